"""The verdict of an agent that tilts an anchor."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.envs.markets import EVERY_COST, market_of, random_targets, rough_panel, spec_of
from tests.evaluation import worlds
from tests.evaluation.test_evaluate import facts
from tests.evaluation.test_leaderboard import board, run_dir
from wealtharena.envs.simulate import simulate
from wealtharena.evaluation import active, backtest, comparison, evaluate, tables
from wealtharena.evaluation.splits import Segment
from wealtharena.evaluation.trials import Trials
from wealtharena.files import jsonable
from wealtharena.tasks import console


class Holds:
    """The same weight of every symbol."""

    name = "holds"

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def reset(self, batch: int = 1) -> None:
        """Nothing is remembered."""

    def act(self, observation):
        return np.full((len(observation), 4), self.weight)


class Tilter(backtest.Untilted):
    """Leans to the first symbol by `lean`, every other ten bars."""

    name = "tilter"

    def __init__(self, market, env, lean: float) -> None:
        super().__init__(market, env)
        self.lean, self.bars = lean, 0

    def act(self, observation):
        self.bars += 1
        tilts = self.kind.empty(1)
        tilts[0, 0] = self.lean * (self.bars // 10 % 2)
        return self.kind.weights(tilts, observation, tilts.copy())


def judged(spec, lean: float, anchor: str = "equal_weight", *, fill: str = "auto", **changes):
    limits = spec.env.limits.model_copy(update={"long_only": True})
    env = spec.env.model_copy(update={"action": "tilt", "window": 1, "anchor": anchor, "limits": limits, "fill": fill})
    features = worlds.features(400, 4, start="2019-10-01")
    scaler = backtest.plain_scaler(features)
    piece = backtest.Piece(Tilter.__new__(Tilter), scaler, Segment(250, 400))
    player = backtest.Backtest("tilter", features, env, (piece,))
    piece.policy.__init__(player.markets[0], env, lean)
    evaluation = spec.evaluation.model_copy(update={"bootstrap_draws": 300})
    return evaluate.evaluate([player], evaluation=evaluation, facts=facts(**changes), rng=np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize("anchor", ["equal_weight", "cash"])
def test_a_tilt_that_is_its_anchor_is_unproven_and_no_degenerate_policy(spec, anchor: str) -> None:
    found = judged(spec, 0.0, anchor, degenerate="it never trades")
    assert found.verdict.evidence.own_anchor
    assert found.verdict.evidence.degenerate is None
    assert "It is its anchor: it tilts by next to nothing." in found.verdict.reasons
    assert {ruling.rule: ruling.status for ruling in found.verdict.rulings}["degenerate"] == "promotable"
    assert found.to_json()["comparison"]["anchor"]["active"]["active_share"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.slow
def test_a_seed_that_stayed_at_an_anchor_of_cash_is_no_fault_of_one_that_left_it(spec) -> None:
    anchor, left = (judged(spec, lean, "cash").agent for lean in (0.0, 1.0))
    assert active.is_anchor(anchor, anchor)
    assert not active.is_anchor(left, anchor)
    baselines = dict(judged(spec, 0.0, "cash").baselines)
    evaluation = spec.evaluation.model_copy(update={"bootstrap_draws": 300})
    found = evaluate.judge(
        [anchor, left], baselines, evaluation=evaluation, facts=facts(), rng=np.random.default_rng(0)
    )
    assert not found.verdict.evidence.own_anchor
    assert found.verdict.evidence.degenerate is None


@pytest.mark.slow
@pytest.mark.parametrize(("off", "same"), [(0.0099, True), (0.0101, False)])
def test_who_differs_from_his_anchor_by_less_than_counts_as_cash_is_his_anchor(spec, off: float, same: bool) -> None:
    anchor = judged(spec, 0.0).agent
    moved = anchor.weights.copy()
    moved[:, 0] += off
    assert active.is_anchor(replace(anchor, weights=moved), anchor) is same


@pytest.mark.slow
def test_next_to_nothing_is_in_proportion_to_what_may_be_held(spec) -> None:
    anchor = judged(spec, 0.0).agent
    for off, same in ((0.00099, True), (0.00101, False)):
        moved = anchor.weights.copy()
        moved[:, 0] += off
        assert active.is_anchor(replace(anchor, weights=moved), anchor, max_gross=0.1) is same
    assert active.is_anchor(replace(anchor, weights=anchor.weights + 1e-6), anchor, max_gross=3.0)


@pytest.mark.slow
@pytest.mark.parametrize("agents", [1, 2])
def test_an_account_that_was_emptied_has_no_difference_a_year(spec, agents: int) -> None:
    whole = judged(spec, 0.0).agent
    left = np.linspace(1.0, 1e-4, len(whole.equity))
    lost = replace(whole, equity=whole.equity[0] * left)
    for one, other in ((lost, whole), (whole, lost), (lost, lost)):
        found = active.part(one, other)
        assert found.pop("active_share") == 0.0
        assert all(np.isnan(value) for value in found.values())
        beside = comparison.compare_group([one] * agents, {"anchor": other}, rng=np.random.default_rng(0), draws=50)
        said = beside["anchor"].to_json()
        assert (said["return_difference"], said["return_ci95"], said["return_p_value"]) == (None, None, None)
    notes = console.baseline_notes({"comparison": {"anchor": {"active": {**jsonable(found), "active_share": 0.0}}}})
    assert notes == [
        "Less its anchor: one of the two accounts was emptied, so there is no figure a year, active share 0.0%."
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("share", "own"), [(0.0, True), (0.4, False), (None, False)])
def test_who_kept_nothing_of_what_was_learned_is_his_anchor_where_no_anchor_is_played(spec, share, own) -> None:
    features = worlds.features(400, 4, start="2019-10-01")
    env = spec.env.model_copy(update={"action": "weights", "window": 1})
    piece = backtest.Piece(Holds(0.0), backtest.plain_scaler(features), Segment(250, 400))
    found = evaluate.evaluate(
        [backtest.Backtest("cash", features, env, (piece,))],
        evaluation=spec.evaluation.model_copy(update={"bootstrap_draws": 300}),
        facts=facts(kept_share=share),
        rng=np.random.default_rng(0),
    )
    rulings = {ruling.rule: ruling for ruling in found.verdict.rulings}
    assert found.verdict.evidence.own_anchor is own
    assert found.verdict.status == ("unproven" if own else "rejected")
    assert (rulings["degenerate"].status == "promotable") is own
    if own:
        assert "lambda 0" in rulings["anchor"].reason


@pytest.mark.slow
def test_a_tilt_is_compared_with_its_anchor_and_deflated_by_what_it_adds(spec) -> None:
    found = judged(spec, 1.0)
    evidence = found.verdict.evidence
    assert evidence.rivals == (*spec.evaluation.verdict.beats, "anchor")
    assert not evidence.own_anchor
    assert next(iter(found.baselines)) == "anchor"
    less = found.agent.returns - found.baselines["anchor"].returns
    assert found.active is not None
    assert found.active["information_ratio"] == pytest.approx(
        less.mean() / less.std(ddof=1) * np.sqrt(found.agent.bars_per_year)
    )
    assert found.active["active_share"] > 0.05
    assert evidence.dsr == pytest.approx(
        evaluate.deflated(less, facts().trials, bars_per_year=found.agent.bars_per_year)
    )


@pytest.mark.parametrize(("earned", "above_cash"), [(-0.002, True), (0.0004, False)])
def test_to_leave_an_anchor_that_lost_against_cash_takes_no_skill(spec, earned: float, above_cash: bool) -> None:
    """Beside an anchor that is bad enough anybody has a deflated Sharpe ratio of 1, whatever was tried.

    What the trials vary by is the anchor's too, and counts only where it is not taken off.
    """
    rng = np.random.default_rng(0)
    market = rng.normal(0.0003, 0.01, 400)
    own = market * 0.5 + rng.normal(0.0002, 0.006, 400)
    anchor = rng.normal(0.0, 0.003, 400)
    anchor += earned - anchor.mean()
    played = {name: worlds.trajectory(row, name=name) for name, row in (("buy_and_hold", market), ("anchor", anchor))}
    played["anchor"] = replace(played["anchor"], weights=np.zeros_like(played["anchor"].weights))
    told = replace(facts(), trials=Trials(20, 3.0))
    agent = worlds.trajectory(own, name="tilter")
    evaluation = spec.evaluation.model_copy(update={"bootstrap_draws": 100})
    found = evaluate.judge([agent], played, evaluation=evaluation, facts=told, rng=np.random.default_rng(0))
    year = agent.bars_per_year
    less = evaluate.deflated(agent.returns - played["anchor"].returns, Trials(20), bars_per_year=year)
    own_skill = evaluate.deflated(agent.returns, Trials(20, 3.0), bars_per_year=year)
    assert own_skill < 0.9 < less or not above_cash
    assert found.verdict.evidence.dsr == pytest.approx(own_skill if above_cash else less)


@pytest.mark.slow
def test_what_single_precision_leaves_of_an_anchor_has_no_deflated_sharpe_ratio(spec) -> None:
    found = judged(spec, 1e-9)
    assert np.isnan(found.verdict.evidence.dsr)


def test_what_differs_from_an_anchor_by_rounding_in_either_direction_shows_no_skill(spec) -> None:
    """Of a difference that is all rounding the ratio is that of the rounding, and may be any."""
    rng = np.random.default_rng(0)
    returns = rng.normal(0.001, 0.01, 400)
    agent = worlds.trajectory(returns + np.abs(rng.normal(0.0, 1e-9, 400)), name="tilter")
    played = {name: worlds.trajectory(returns, name=name) for name in ("buy_and_hold", "anchor")}
    evaluation = spec.evaluation.model_copy(update={"bootstrap_draws": 100})
    found = evaluate.judge([agent], played, evaluation=evaluation, facts=facts(), rng=np.random.default_rng(0))
    assert np.isnan(found.verdict.evidence.dsr)


@pytest.mark.slow
@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_what_the_tilts_of_each_symbol_earned_and_cost_is_the_active_return(spec, fill: str) -> None:
    found = judged(spec, 1.0, fill=fill)
    assert found.active is not None
    assert found.tilts is not None
    assert set(found.tilts) == set(found.agent.symbols)
    earned = sum(part["earned"] - part["cost"] for part in found.tilts.values())
    assert earned - found.active["financing"] == pytest.approx(found.active["annual_return"], abs=1e-9)
    assert sum(part["cost"] for part in found.tilts.values()) == pytest.approx(found.active["costs"], rel=0.02)
    assert sum(part["tilt"] for part in found.tilts.values()) == pytest.approx(
        2 * found.active["active_share"], rel=0.05
    )


@pytest.mark.slow
def test_the_anchor_is_the_agent_without_its_tilts(spec) -> None:
    anchor = judged(spec, 1.0).baselines["anchor"]
    assert active.is_anchor(judged(spec, 0.0).agent, anchor)


@pytest.mark.slow
def test_an_agent_of_weights_has_no_anchor(spec) -> None:
    from tests.evaluation.test_evaluate import backtests

    env = spec.env.model_copy(update={"window": 1})
    evaluation = spec.evaluation.model_copy(update={"bootstrap_draws": 300})
    found = evaluate.evaluate(backtests(env), evaluation=evaluation, facts=facts(), rng=np.random.default_rng(0))
    assert found.active is None
    assert "anchor" not in found.baselines
    assert found.verdict.evidence.rivals == spec.evaluation.verdict.beats


@pytest.mark.slow
def test_the_rounding_of_weights_has_no_information_ratio(spec) -> None:
    found = judged(spec, 1e-7)
    assert 0.0 < found.active["active_share"] < 1e-6
    assert np.isnan(found.active["information_ratio"])


def held(folder: Path, *, gross: float, **evidence: bool) -> None:
    """Rewrite a run directory as that of an agent that held so much beside an anchor, and what it says of itself."""
    agent, beside = tables.read(folder)
    weights = np.full_like(agent.weights, gross / agent.weights.shape[1])
    tables.write(folder, replace(agent, weights=weights), baselines={**beside, "anchor": beside["buy_and_hold"]})
    content = json.loads((folder / "run.json").read_text())
    content["verdict"]["evidence"] |= evidence
    (folder / "run.json").write_text(json.dumps(content))


def test_who_left_an_anchor_of_shares_for_cash_is_not_taken_for_it(spec, tmp_path) -> None:
    """A leaderboard has the anchor's equity and no weights: next to nothing is no sign of being at it."""
    for seed in range(3):
        held(run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004), gross=0.001, own_anchor=False)
    (row,) = board(tmp_path, spec.evaluation.model_copy(update={"bootstrap_draws": 300}))["rows"]
    assert not row["verdict"]["evidence"]["own_anchor"]
    assert "0.10% of its equity" in row["verdict"]["evidence"]["degenerate"]
    assert row["verdict"]["status"] == "rejected"


def test_a_run_that_stayed_at_an_anchor_of_cash_makes_none_beside_it_degenerate(spec, tmp_path) -> None:
    for seed, stays in enumerate((True, False, False)):
        folder = run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004)
        held(folder, gross=0.0 if stays else 0.5, own_anchor=stays)
    (row,) = board(tmp_path, spec.evaluation.model_copy(update={"bootstrap_draws": 300}))["rows"]
    assert not row["verdict"]["evidence"]["own_anchor"]
    assert "holds" not in str(row["verdict"]["evidence"]["degenerate"])


@pytest.mark.slow
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), margined=st.booleans())
def test_what_the_symbols_earned_adds_up_where_prices_are_below_zero_and_positions_closed_by_force(
    seed: int, margined: bool
) -> None:
    rng = np.random.default_rng(seed)
    panel = rough_panel(rng)
    spec = spec_of(
        costs=EVERY_COST,
        limits={"max_gross": 2.0, "max_weight": 1.5, "maintenance_margin": 0.35, "delisting_bars": 2},
        instrument={"margin_futures": margined},
    )
    market = market_of(panel, spec)
    agent, anchor = (simulate(market, weight * random_targets(rng, panel.bars, 3), spec=spec) for weight in (0.3, 0.0))
    part, found = active.part(agent, anchor), active.by_symbol(agent, anchor, market).values()
    total = sum(one["earned"] - one["cost"] for one in found) - part["financing"]
    assert math.isnan(total) == math.isnan(part["annual_return"])
    if not math.isnan(total):
        largest = sum(abs(one["earned"]) for one in found)
        assert total == pytest.approx(part["annual_return"], abs=1e-9 * (1.0 + largest))
