"""The challenge of an incumbent is over what cash earned: interest is no skill there either."""

from __future__ import annotations

import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, features_of, panel_of, spec_of
from tests.evaluation.test_backtest import Fixed
from wealtharena.errors import PromotionError
from wealtharena.evaluation import backtest, metrics
from wealtharena.evaluation.challenge import challenge, unseen
from wealtharena.evaluation.splits import Segment

BARS = 400
RATES = np.linspace(0.0, 0.06, BARS)  # a share a year, known at each bar
IDLE, INVESTED = Fixed([0.02, 0.0]), Fixed([0.9, 0.0])  # one lives on interest, the other on what its symbol makes


def market(*, cash_bps, dated):
    """Return features of two symbols that gain 10 % a year, and the rules of a market that pays cash."""
    moves = np.random.default_rng(0).normal(0.1 / 365, 0.01, (BARS, 2))
    moves[:, 0] += 0.1 / 365 - moves[:, 0].mean()
    panel = panel_of(100.0 * np.exp(np.cumsum(moves, axis=0)), cash=RATES if dated else None)
    return features_of(panel), spec_of(costs={**EVERY_COST, "cash_bps_per_year": "DFF" if dated else cash_bps})


def met(features, env, *, hurdle, who=(IDLE, INVESTED)):
    scaler, segment = backtest.plain_scaler(features), Segment(10, BARS)
    outcome = challenge(
        (who[0], scaler), (who[1], scaler), name="v1", features=features, env=env, segment=segment,
        rng=np.random.default_rng(0), draws=200, risk_free_per_year=hurdle,
    )  # fmt: skip
    paths = [backtest.of_policy(policy, features, scaler, env, segment) for policy in who]
    return outcome, paths


def difference(paths, free):
    ours, theirs = (metrics.sharpe(p.returns, bars_per_year=p.bars_per_year, risk_free=free) for p in paths)
    return ours - theirs


@pytest.mark.parametrize(("cash_bps", "hurdle"), [(450, 0.045), (450, 0.08), (0, 0.05)])
def test_who_lives_on_interest_does_not_beat_who_earns_more(cash_bps, hurdle):
    outcome, paths = met(*market(cash_bps=cash_bps, dated=False), hurdle=hurdle)
    free = metrics.cash_returns(paths[0].timestamps, hurdle)
    assert outcome.sharpe_difference == pytest.approx(difference(paths, free))
    assert not outcome.beats


def test_without_a_hurdle_it_would():
    outcome, paths = met(*market(cash_bps=450, dated=False), hurdle=0.0)
    assert outcome.sharpe_difference == pytest.approx(difference(paths, 0.0))
    assert outcome.beats


@pytest.mark.parametrize("floor", [0.0, 0.04])
def test_a_dated_rate_is_taken_bar_by_bar_and_a_named_one_lifts_single_bars(floor):
    outcome, paths = met(*market(cash_bps=0, dated=True), hurdle=floor)
    rates = np.maximum(RATES[10:-1], floor)
    free = metrics.cash_returns(paths[0].timestamps, rates)
    assert np.array_equal(paths[0].cash_rates, RATES[10:-1])
    assert outcome.sharpe_difference == pytest.approx(difference(paths, free))
    assert not outcome.beats


def test_who_is_ahead_by_what_may_be_chance_does_not_beat():
    features, env = market(cash_bps=0, dated=False)
    one, other = Fixed([0.5, 0.4]), Fixed([0.4, 0.5])
    outcomes = [met(features, env, hurdle=0.0, who=who)[0] for who in ((one, other), (other, one))]
    ahead = max(outcomes, key=lambda outcome: outcome.sharpe_difference)
    assert ahead.ci95[0] < 0.0 < ahead.sharpe_difference
    assert not any(outcome.beats for outcome in outcomes)
    days = features.panel.timestamps.astype("datetime64[D]").astype(str)
    assert (ahead.start, ahead.end, ahead.bars) == (days[10], days[BARS - 1], BARS - 10)


HOURS = np.datetime64("2024-01-01", "ns") + np.arange(96) * np.timedelta64(1, "h")


@pytest.mark.parametrize("last", ["2024-01-02", "2024-01-02T05:00:00"])
def test_the_whole_of_the_last_day_counts_as_seen(last):
    assert unseen(HOURS, Segment(10, 96), last=last, incumbent="v1") == Segment(48, 96)
    assert unseen(HOURS, Segment(60, 96), last=last, incumbent="v1") == Segment(60, 96)


def test_a_challenge_begins_with_its_ninth_bar():
    """The return of the first is none: eight are the least that are compared."""
    assert unseen(HOURS, Segment(10, 57), last="2024-01-02", incumbent="v1") == Segment(48, 57)
    with pytest.raises(PromotionError, match="only 8 bars are later"):
        unseen(HOURS, Segment(10, 56), last="2024-01-02", incumbent="v1")
