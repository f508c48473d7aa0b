"""A record of several folds: each begins in cash, and nothing that it does is measured from what the one before held."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation import worlds
from tests.evaluation.test_active import Tilter
from tests.evaluation.test_backtest import Fixed
from tests.evaluation.test_evaluate import facts
from wealtharena.envs.shortfall import shortfall
from wealtharena.evaluation import active, backtest, evaluate, metrics
from wealtharena.evaluation.splits import Segment

FOLDS = (Segment(250, 300), Segment(300, 350), Segment(350, 400))
SEAM = 300  # the first bar of the second fold: what was decided at the close before is filled here


def tilting(spec, *, trade_rate=0.1):
    """Return the backtest of an agent that tilts, and its anchor's, a policy a fold."""
    limits = spec.env.limits.model_copy(update={"long_only": True})
    changed = {"action": "tilt", "window": 1, "anchor": "equal_weight", "trade_rate": trade_rate, "limits": limits}
    env, features = spec.env.model_copy(update=changed), worlds.features(400, 4, start="2019-10-01")
    scaler = backtest.plain_scaler(features)
    pieces = tuple(backtest.Piece(Tilter.__new__(Tilter), scaler, segment) for segment in FOLDS)
    one = backtest.Backtest("tilter", features, env, pieces)
    for piece, market in zip(one.pieces, one.markets, strict=True):
        piece.policy.__init__(market, env, 1.0)
    return one, backtest.untilted(one)


def played(one, still):
    """Return the parts of agent and anchor, which are played anew, and how many bars each has."""
    for piece in one.pieces:
        piece.policy.bars = 0
    parts = one.parts()
    return parts, still.parts(), [len(part.costs) for part in parts]


def asking(spec, *, drift=0.0, **changes):
    """Return the backtest of an agent that asks for a half of two symbols at every bar, a policy a fold."""
    features = worlds.features(400, 2, start="2019-10-01", drift=drift, **changes)
    scaler = backtest.plain_scaler(features)
    pieces = tuple(backtest.Piece(Fixed([0.5, 0.5]), scaler, segment) for segment in FOLDS)
    return backtest.Backtest("asking", features, spec.env.model_copy(update={"action": "weights", "window": 1}), pieces)


def judged(spec, *ones):
    evaluation = spec.evaluation.model_copy(update={"bootstrap_draws": 200})
    return evaluate.evaluate(ones, evaluation=evaluation, facts=facts(), rng=np.random.default_rng(0))


def unfilled(found):
    return next((met for met in found.verdict.evidence.unfilled if met.who == "the agent"), None)


@pytest.mark.slow
@pytest.mark.parametrize("trade_rate", [0.1, 1.0])
def test_what_a_fold_held_is_no_order_of_the_next_that_never_filled(spec, trade_rate) -> None:
    found = judged(spec, tilting(spec, trade_rate=trade_rate)[0])
    assert found.agent.weights[SEAM - 1 - 250].sum() > 0.9, "the first fold ends invested"
    assert found.verdict.evidence.unfilled == ()


@pytest.mark.slow
def test_who_asks_for_what_the_fold_before_held_has_asked_nonetheless(spec) -> None:
    tradable = np.ones((400, 2), dtype=bool)
    tradable[SEAM] = False
    assert unfilled(judged(spec, asking(spec))) is None
    met = unfilled(judged(spec, asking(spec, tradable=tradable)))
    assert met is not None
    assert met.cause == "no trading"
    assert met.share == pytest.approx(1 / 4, abs=0.05), "three purchases, and one that could not be made"
    beside = unfilled(judged(spec, asking(spec), asking(spec, tradable=tradable)))
    assert beside == met, "of several seeds the one that fared worst"


@pytest.mark.slow
@pytest.mark.parametrize("drift", [-0.02, 0.02])
def test_why_a_fold_could_not_buy_does_not_depend_on_what_the_one_before_made(spec, drift) -> None:
    """Units of a later fold are scaled to the money that was left: a bar's volume is told from its own account."""
    one = asking(spec, drift=drift, volume=np.full((400, 2), 1e6), volume_unit="account")
    found, parts = judged(spec, one), one.parts()
    met = unfilled(found)
    each = [shortfall(one.markets[0], part, spec=one.env) for part in parts]
    whole = shortfall(one.markets[0], *parts, spec=one.env)
    assert abs(np.log(found.agent.equity[SEAM - 250] / found.agent.equity[0])) > 0.1
    assert met is not None
    assert met.cause == "volume"
    assert met.share == pytest.approx(sum(sum(e.missed.values()) for e in each) / sum(e.asked for e in each))
    assert whole.missed["volume"] > 0.99 * sum(whole.missed.values())


@pytest.mark.slow
def test_the_tilts_of_a_fold_earn_nothing_in_the_next(spec) -> None:
    one, still = tilting(spec)
    found = judged(spec, one)
    parts, anchors, bars = played(one, still)
    pairs = list(zip(parts, anchors, strict=True))
    assert all(agent.weights[-1, 0] - anchor.weights[-1, 0] > 0.05 for agent, anchor in pairs), "it ends with a tilt"
    each = [active.by_symbol(agent, anchor, one.markets[0]) for agent, anchor in pairs]
    for symbol, figures in found.tilts.items():
        for name, figure in figures.items():
            assert figure == pytest.approx(np.average([part[symbol][name] for part in each], weights=bars))


@pytest.mark.slow
def test_what_a_record_traded_held_and_paid_is_what_its_folds_did(spec) -> None:
    one, still = tilting(spec)
    found = judged(spec, one)
    parts, anchors, bars = played(one, still)
    own = [metrics.summary(part) for part in parts]
    apart = [active.part(agent, anchor) for agent, anchor in zip(parts, anchors, strict=True)]
    assert found.metrics["trades"] == sum(figures["trades"] for figures in own)
    for whole, each, names in (
        (found.metrics, own, ("turnover", "exposure")),
        (found.active, apart, ("annual_return", "turnover", "costs")),
    ):
        for name in names:
            assert whole[name] == pytest.approx(np.average([figures[name] for figures in each], weights=bars)), name
    held = [figures["active_share"] * (count + 1) for figures, count in zip(apart, bars, strict=True)]
    assert found.active["active_share"] == pytest.approx(sum(held) / (sum(bars) + 1))
