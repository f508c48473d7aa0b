"""Groups of made-up test records put before the judge that judges runs, with a ledger beside it that knows them all.

The market is real to the judge only where `allow_simulated` says so; everything else is as in a comparison of runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.evaluation.worlds import trajectory
from wealtharena.config import compose
from wealtharena.config.specs.runs import EvaluationSpec
from wealtharena.evaluation.evaluate import Evaluation, Facts, judge
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.evaluation.metrics import sharpe
from wealtharena.evaluation.trials import Completed, History

DAYS = 252
VOLATILITY = 0.16  # a year, of the market
HOLD = 0.4  # annual Sharpe ratio of buying and holding it
FloatArray = npt.NDArray[np.float64]


def rules(draws: int) -> EvaluationSpec:
    """Return the default rules, which take simulated data for once."""
    return compose(["evaluation.verdict.allow_simulated=true", f"evaluation.bootstrap_draws={draws}"]).evaluation


def market(rng: np.random.Generator, bars: int, *, exactly: bool = False) -> FloatArray:
    """Return daily returns with fat tails (t, 5 degrees); `exactly` makes the Sharpe ratio of this window `HOLD`."""
    shocks = rng.standard_t(5, bars) * np.sqrt(3 / 5)
    if exactly:
        shocks = (shocks - shocks.mean()) / shocks.std(ddof=1)
    return VOLATILITY / np.sqrt(DAYS) * (shocks + HOLD / np.sqrt(DAYS))


def noise(rng: np.random.Generator, hold: FloatArray, count: int, *, alike: bool) -> FloatArray:
    """Return what `count` policies earned that know nothing.

    Each holds a share of the market that it draws anew every day; or, `alike`, has returns of its own with the market's
    true Sharpe ratio: as good as holding it, the hardest case of "no better". No costs are taken off, so that nothing but
    the judge stands between luck and a word.
    """
    if not alike:
        return rng.uniform(0.0, 1.0, (count, hold.size)) * hold
    return np.stack([market(rng, hold.size) for _ in range(count)])


def skilled(rng: np.random.Generator, hold: FloatArray, count: int, *, ratio: float) -> FloatArray:
    """Return what `count` seeds of a policy with this net annual Sharpe ratio earned: half market, half of their own."""
    own = rng.standard_normal((count, hold.size)) * VOLATILITY / np.sqrt(DAYS) / 2
    shared = 0.5 * (hold - VOLATILITY / DAYS * HOLD)
    deviation = VOLATILITY / np.sqrt(DAYS) / np.sqrt(2)
    return shared + own + ratio / np.sqrt(DAYS) * deviation


def judged(
    returns: FloatArray, hold: FloatArray, *, chosen: Sequence[int], evaluation: EvaluationSpec, seed: int = 0
) -> Evaluation:
    """Return the judgement of the `chosen` rows of `returns`, every row of which is a completed run in the ledger."""
    agents = [trajectory(row, name=f"seed {i}", trades=200) for i, row in enumerate(returns)]
    agents = [
        replace(agent, targets=agent.weights[1:]) for agent in agents
    ]  # one that is none would be rejected for it
    beside = {"buy_and_hold": trajectory(hold, name="buy_and_hold")}
    window = Window("f", (("2015-01-01", "2022-12-31"),), ("S0",), "1d", simulated=False)
    ratios = [sharpe(row, bars_per_year=DAYS) for row in returns]
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "ledger.jsonl"))
        for i, ratio in enumerate(ratios):
            run = RunIdentity(f"r{i}", "h", "noise", "train", i)
            ledger.record_opening(run, window=window, fold=0)
            ledger.record_result(run, window=window, sharpe=ratio)
        history = History.of(ledger, "noise", window, run_ids=[f"r{i}" for i in chosen])
        left_out = history.left_out("h", [Completed(f"r{i}", i, ratios[i]) for i in chosen])
        facts = Facts(
            simulated=True,
            unadjusted_rolls=False,
            trials=history.trials("h", left_out=left_out),
            openings=history.openings(),
            own_openings=history.openings("h"),
            audit="passed",
        )
    return judge(
        [agents[i] for i in chosen], beside, evaluation=evaluation, facts=facts, rng=np.random.default_rng(seed)
    )


def picked(number: int, *, bars: int, evaluation: EvaluationSpec, of: int = 20, keep: int = 3) -> Evaluation:
    """Return the judgement of the best `keep` of `of` seeds of noise, of either kind by turns."""
    rng = np.random.default_rng([number, 1])
    hold = market(rng, bars)
    returns = noise(rng, hold, of, alike=bool(number % 2))
    best = np.argsort([-sharpe(row, bars_per_year=DAYS) for row in returns])[:keep]
    return judged(returns, hold, chosen=[int(i) for i in best], evaluation=evaluation, seed=number)


def honest(number: int, *, bars: int, evaluation: EvaluationSpec, seeds: int = 3) -> Evaluation:
    """Return the judgement of a group of noise, of either kind by turns, that reports every seed that it has."""
    rng = np.random.default_rng([number, 2])
    hold = market(rng, bars)
    return judged(
        noise(rng, hold, seeds, alike=bool(number % 2)), hold, chosen=range(seeds), evaluation=evaluation, seed=number
    )


def edge(number: int, *, bars: int, evaluation: EvaluationSpec, ratio: float = 2.5, seeds: int = 3) -> Evaluation:
    """Return the judgement of a group with a true net annual Sharpe ratio of `ratio`."""
    rng = np.random.default_rng([number, 3])
    hold = market(rng, bars, exactly=True)
    return judged(skilled(rng, hold, seeds, ratio=ratio), hold, chosen=range(seeds), evaluation=evaluation, seed=number)
