"""The whole judgement of an agent on a window that was opened for it: measures, baselines, intervals, stress, verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.runs import EvaluationSpec, VerdictSpec
from wealtharena.envs.shortfall import shortfall
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import (
    active,
    backtest,
    bootstrap,
    comparison,
    metrics,
    seeds,
    shape,
    significance,
    stress,
    verdict,
)
from wealtharena.evaluation.behaviour import degenerate
from wealtharena.evaluation.evidence import AGENT, TEST_WINDOW, Evidence, Unfilled, of_orders
from wealtharena.evaluation.splits import Segment
from wealtharena.evaluation.trials import Trials
from wealtharena.files import jsonable

FloatArray = npt.NDArray[np.float64]
Counted = Callable[[float, Sequence[float]], Trials]
# facts that stand in the evidence as they are
DOUBTS = (
    "leaks", "edited", "hindsight", "survivors", "searched", "costless", "window", "assumed", "hurdle_raised", "uncharged",
    "faults",
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What the judgement has to know beside the backtests."""

    simulated: bool
    unadjusted_rolls: bool
    trials: Trials  # from History.trials, after this run was written to the ledger
    openings: int  # of the window, by anyone
    own_openings: int = 1  # by this configuration
    benchmark: str | None = None
    risk_free_per_year: float = 0.0  # a share; where cash earns a dated rate, the least that counts, unless 0
    hurdle_raised: bool = False  # whether that is more than cash earns
    max_gross: float | None = None  # largest gross weight that the agent may hold
    degenerate: str | None = None  # what was found elsewhere: by the validation, or as a record says it
    kept_share: float | None = None  # lambda: the largest share of what was learned that a validation proved
    stayed: tuple[bool, ...] = ()  # whether each record says it is its anchor; none: compare their weights
    audit: Literal["passed", "failed"] | None = None
    leaks: tuple[str, ...] = ()  # what the leak test of the data named
    hindsight: str | None = None  # how the universe was chosen, where that was after the window began
    survivors: float | None = None
    searched: str | None = None  # what search chose the settings by bars of the window, in words
    costless: bool = False  # whether orders cost next to nothing
    window: str = TEST_WINDOW  # or evidence.PLAYED
    assumed: str | None = None  # what is paid by assumption, in words
    uncharged: str | None = None  # what holding costs and nobody charged, in words
    faults: tuple[str, ...] = ()  # what is wrong with the bars and was left in, in words
    unfilled: tuple[Unfilled, ...] = ()  # what the orders of agent and baselines met
    invested: Mapping[str, float] = field(default_factory=dict)  # share of a baseline bought once that was bought
    edited: tuple[str, ...] = ()  # recorded runs that are not as they ended, in words
    apart: tuple[Mapping[str, Any], ...] = ()  # evidence of records whose further paths are not at hand, as of `cpcv`
    seeds: int | None = None  # behind the agents, where several are paths of one training (cpcv); None: one each
    saw: Callable[[Segment], bool] | None = None  # see stress.table
    ordered: bool = True  # whether the agents' order is their own, as of seeds; a caller's draws no other numbers


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that run.json and a report say about a test; several `agents` are seeds or paths of one configuration."""

    agents: tuple[Trajectory, ...]
    agent: Trajectory  # the one with the median Sharpe ratio
    baselines: Mapping[str, Trajectory]
    metrics: Mapping[str, float]  # of `agent`
    agent_metrics: tuple[Mapping[str, float], ...]  # of each of `agents`
    baseline_metrics: Mapping[str, Mapping[str, float]]
    comparisons: Mapping[str, comparison.Comparison]
    sharpe: bootstrap.Interval  # interquartile mean over `agents`, with its interval over them
    stress: tuple[stress.StressResult, ...]
    verdict: verdict.Verdict
    risk_free: FloatArray  # each bar: what cash earned in it
    ratios: tuple[float, ...] = ()  # annual Sharpe ratio of each seed, of several paths of one the median's
    active: Mapping[str, float] | None = None  # of `agent` beside the anchor that it tilts
    tilts: Mapping[str, Mapping[str, float]] | None = None  # by symbol: what they earned and cost

    def to_json(self) -> dict[str, Any]:
        """Return run.json's blocks `metrics` (of the test), `baselines`, `comparison`, `shape`, `stress`, `seeds`, `verdict`."""
        blocks: dict[str, Any] = {
            "metrics": dict(self.metrics),
            "baselines": {name: dict(values) for name, values in self.baseline_metrics.items()},
            "comparison": {name: found.to_json() for name, found in self.comparisons.items()},
            "shape": self._shape(),
            "stress": [row.to_json() for row in self.stress],
            "seeds": {
                "count": len(self.agents),
                "sharpe_interquartile_mean": self.sharpe.value,
                "ci95": [self.sharpe.low, self.sharpe.high],
                "metrics": [dict(values) for values in self.agent_metrics],
            },
            "verdict": self.verdict.to_json(),
        }
        if self.active is not None:
            symbols = {name: dict(values) for name, values in (self.tilts or {}).items()}
            blocks["comparison"][backtest.ANCHOR]["active"] = {**self.active, "symbols": symbols}
        cleaned: dict[str, Any] = jsonable(blocks)
        return cleaned

    def _shape(self) -> dict[str, Any]:
        name = shape.benchmark_of(tuple(self.baselines), self.verdict.evidence.rivals)
        return shape.to_json(
            self.agent.returns,
            self.agent.equity,
            self.agent.timestamps,
            benchmark=(name, self.baselines[name].returns) if name is not None else None,
            bars_per_year=self.agent.bars_per_year,
            risk_free=self.risk_free,
        )


def evaluate(
    backtests: Sequence[backtest.Backtest],
    *,
    evaluation: EvaluationSpec,
    facts: Facts,
    rng: np.random.Generator,
    strategies: FloatArray | None = None,
    counted: Counted | None = None,
) -> Evaluation:
    """Return the judgement of `backtests` (one a seed, all over the same window of the same bars).

    `counted` gives, by the Sharpe ratio that is shown and that of each seed, the trials that stand in for those of `facts`:
    which runs a group leaves out is known once it was played.

    `strategies` [T, N] are returns of the configurations that were chosen among, for PBO, over whatever bars they were
    chosen on and without what cash, or the anchor of a tilt, earned by itself; without them PBO is not known.
    Every random draw comes from `rng`; the same generator state gives the same figures. Raises ValueError for backtests
    over different windows.
    """
    first = backtests[0]
    if any(one.window != first.window for one in backtests):
        raise ValueError("backtests must be judged over one window")
    pieces = tuple(one.parts() for one in backtests)
    agents = tuple(backtest.join(parts) for parts in pieces)
    names = tuple(dict.fromkeys((*evaluation.baselines, *evaluation.verdict.beats)))
    streams = rng.spawn(4)
    played = backtest.of_baselines(
        first.features,
        first.env,
        first.window,
        evaluation=evaluation,
        rng=streams[0],
        benchmark=facts.benchmark,
        names=names,
        market=first.markets[0],
        risk_free_per_year=facts.risk_free_per_year,
    )
    still = backtest.untilted(first)
    anchor = still.parts() if still is not None else ()
    if anchor:
        played = played.beside(backtest.join(anchor), first.markets[0], first.env, parts=anchor)
    met = [shortfall(one.markets[0], *parts, spec=one.env) for one, parts in zip(backtests, pieces, strict=True)]
    facts = replace(facts, unfilled=(Unfilled.of(AGENT, max(met, key=lambda found: found.share)),))
    judged = judge(
        agents, played, evaluation=evaluation, facts=facts, rng=streams[1], strategies=strategies, counted=counted
    )
    harder = stress.table(
        backtests,
        agents,
        evaluation=evaluation,
        baseline=evaluation.verdict.beats[0],
        rng=streams[0],
        benchmark=facts.benchmark,
        risk_free_per_year=facts.risk_free_per_year,
        saw=facts.saw,
    )
    tilts = active.by_symbol_of(pieces[agents.index(judged.agent)], anchor, first.markets[0]) if anchor else None
    return Evaluation(**{**vars(judged), "stress": harder, "tilts": tilts})


def judge(
    agents: Sequence[Trajectory],
    baselines: Mapping[str, Trajectory],
    *,
    evaluation: EvaluationSpec,
    facts: Facts,
    rng: np.random.Generator,
    strategies: FloatArray | None = None,
    counted: Counted | None = None,
) -> Evaluation:
    """Return the judgement of backtests that were played already, without a stress table."""
    if isinstance(baselines, backtest.Baselines):
        beside = tuple(Unfilled.of(name, found) for name, found in baselines.shortfalls.items())
        facts = replace(facts, unfilled=(*facts.unfilled, *beside), invested=baselines.invested)
    risk_free = metrics.risk_free(agents[0], facts.risk_free_per_year)
    of_agents = tuple(metrics.summary(agent, risk_free=risk_free) for agent in agents)
    shown = [values["sharpe"] for values in of_agents]
    middle, by_seed = seeds.median_index(shown), seeds.ratios(shown, facts.seeds)
    facts = facts if counted is None else replace(facts, trials=counted(shown[middle], by_seed))
    streams, at = rng.spawn(2), seeds.order(agents, facts.ordered)
    compared_with = partial(
        comparison.compare_group,
        [agents[i] for i in at],
        rng=streams[0],
        draws=evaluation.bootstrap_draws,
        risk_free=risk_free,
    )
    names, compared = rivals_of(evaluation.verdict, baselines), compared_with(baselines)
    rivals = compared
    if evaluation.verdict.confidence != comparison.CONFIDENCE:
        asked = {name: baselines[name] for name in names if name in baselines}
        rivals = compared_with(asked, confidence=evaluation.verdict.confidence)
    ratios = np.array([shown[i] if math.isfinite(shown[i]) else 0.0 for i in at])
    evidence = gather(
        agents,
        of_agents,
        middle,
        comparison.hardest(names, rivals),
        evaluation=evaluation,
        facts=facts,
        strategies=strategies,
        anchor=baselines.get(backtest.ANCHOR),
        risk_free=risk_free,
    )
    return Evaluation(
        agents=tuple(agents),
        agent=agents[middle],
        baselines=dict(baselines),
        metrics=of_agents[middle],
        agent_metrics=of_agents,
        baseline_metrics=backtest.measures(baselines, risk_free=risk_free),
        comparisons=compared,
        sharpe=bootstrap.stratified_interval(ratios, rng=streams[1], draws=evaluation.bootstrap_draws),
        stress=(),
        verdict=verdict.judge(evidence, evaluation),
        risk_free=risk_free,
        ratios=by_seed,
        active=active.part(agents[middle], baselines[backtest.ANCHOR]) if backtest.ANCHOR in baselines else None,
    )


def rivals_of(rules: VerdictSpec, baselines: Mapping[str, Trajectory]) -> tuple[str, ...]:
    """Return the baselines to be beaten: those of the rules, and the anchor of an agent that tilts one."""
    own = (backtest.ANCHOR,) if backtest.ANCHOR in baselines else ()
    return tuple(dict.fromkeys((*rules.beats, *own)))


def gather(
    agents: Sequence[Trajectory],
    of_agents: Sequence[Mapping[str, float]],
    middle: int,
    against: comparison.Comparison,
    *,
    evaluation: EvaluationSpec,
    facts: Facts,
    strategies: FloatArray | None,
    risk_free: FloatArray,
    anchor: Trajectory | None = None,
) -> Evidence:
    """Return what the rules of the verdict look at; `against` compares with the hardest of the baselines to be beaten.

    What an `anchor` earns is no skill of the agent that tilts it: deflated Sharpe ratio and PBO are then of returns less
    the anchor's, and a tilt that never leaves its anchor is told, not called degenerate.
    """
    shown = agents[middle]
    stayed = _stayed(agents, anchor, facts)
    own_anchor, finding = _behaviour(agents, stayed, facts)
    copies = seeds.repeated(agents, stayed, facts.seeds)
    known = [values["sharpe"] for values in of_agents if math.isfinite(values["sharpe"])]
    overfit = significance.overfitting(strategies, blocks=evaluation.cscv_blocks)
    return Evidence(
        seeds=(facts.seeds or len(agents)) - copies,
        repeated=copies,
        years=shown.returns.size / shown.bars_per_year,
        bars=shown.returns.size,
        cash_return=metrics.annual_return(risk_free, bars_per_year=shown.bars_per_year),
        max_gross=facts.max_gross,
        annual_return=float(bootstrap.interquartile_mean([v["annual_return"] for v in of_agents])),
        sharpe=float(bootstrap.interquartile_mean(known)) if known else math.nan,
        sharpe_spread=max(known) - min(known) if len(known) > 1 else None,
        beats=against.baseline,
        rivals=(*evaluation.verdict.beats, *([backtest.ANCHOR] if anchor is not None else [])),
        own_anchor=own_anchor,
        kept_share=facts.kept_share,
        **_difference(against),
        dsr=_own_skill(shown, facts.trials, anchor, risk_free),
        **_tried(facts.trials),
        pbo=overfit.probability if overfit is not None else None,
        strategies=0 if strategies is None else strategies.shape[1],
        **seeds.worst(agents, of_agents, facts.apart),
        degenerate=finding,
        simulated=facts.simulated,
        unadjusted_rolls=facts.unadjusted_rolls,
        audit=facts.audit,
        openings=facts.openings,
        own_openings=facts.own_openings,
        **_rates(shown, facts.risk_free_per_year, risk_free),
        **{name: getattr(facts, name) for name in DOUBTS},
        **of_orders(facts.unfilled, facts.invested, evaluation.verdict),
    )


def _tried(trials: Trials) -> dict[str, Any]:
    """Return the fields of `Evidence` that say what was tried."""
    return {
        "trials": trials.count,
        "configurations": trials.configurations,
        "tested": trials.tested,
        "lacking": trials.lacking,
        "elsewhere": trials.elsewhere,
        "left_out": trials.left_out,
    }


def _stayed(agents: Sequence[Trajectory], anchor: Trajectory | None, facts: Facts) -> tuple[bool, ...]:
    """Return which paths are their anchor."""
    if facts.kept_share == 0.0:
        return (True,) * len(agents)
    most = 1.0 if facts.max_gross is None else facts.max_gross
    return facts.stayed or tuple(
        anchor is not None and active.is_anchor(path, anchor, max_gross=most) for path in agents
    )


def _behaviour(agents: Sequence[Trajectory], stayed: Sequence[bool], facts: Facts) -> tuple[bool, str | None]:
    """Return whether all that is shown is the anchor, and else what is wrong with who left it, in words."""
    most = 1.0 if facts.max_gross is None else facts.max_gross
    leaving = [path for path, same in zip(agents, stayed, strict=True) if not same]
    if not leaving:
        return True, None
    found = (degenerate(path, max_gross=most) for path in leaving)
    return False, next(filter(None, found), None) or facts.degenerate


def _rates(shown: Trajectory, named: float, risk_free: FloatArray) -> dict[str, Any]:
    """Return the risk-free rate a year in one number, that of the spec or the mean of a dated one, and its floor."""
    mean = named
    if shown.cash_rates is not None:
        days = float((shown.timestamps[-1] - shown.timestamps[0]) / np.timedelta64(1, "D"))
        mean = float(risk_free.sum()) / (days / 365.25)
    return {"risk_free_per_year": mean, "risk_free_floor": named}


def _difference(against: comparison.Comparison) -> dict[str, Any]:
    """Return the fields of `Evidence` that come from the comparison; all are None where it could not be made."""
    sharpe = against.difference.sharpe if against.difference else None
    return {
        "sharpe_difference": sharpe.value if sharpe else None,
        "sharpe_difference_low": sharpe.low if sharpe else None,
        "sharpe_difference_high": sharpe.high if sharpe else None,
        "years_needed": against.years_needed if sharpe else None,
    }


def _own_skill(shown: Trajectory, trials: Trials, anchor: Trajectory | None, risk_free: FloatArray) -> float:
    """Return the deflated Sharpe ratio of what cash, or the anchor where there is one, did not earn by itself.

    To leave an anchor that lost against cash takes no skill: it is then no more than that of what was earned above cash.
    """
    year, above = shown.bars_per_year, metrics.excess(shown.returns, risk_free)
    if anchor is None:
        return deflated(above, trials, bars_per_year=year)
    less = shown.returns - anchor.returns
    if len(less) > 1 and float(less.std(ddof=1)) <= active.ROUNDING:  # its anchor; what is left is of single precision
        less = np.zeros_like(less)
    found = deflated(less, replace(trials, sharpe_variance=None), bars_per_year=year)  # the trials share the anchor's
    if not float(metrics.excess(anchor.returns, risk_free).sum()) < 0.0:
        return found
    return min(found, deflated(above, trials, bars_per_year=year))  # what is not defined stays so


def deflated(returns: FloatArray, trials: Trials, *, bars_per_year: float) -> float:
    """Return the deflated Sharpe ratio of a record after everything that was tried.

    The trials' variance is of annual figures and is brought to the record's bars, so that hourly trials deflate a daily
    record by what they showed. It counts as at least 1 / (n - 1), what luck alone shows: trials that move together
    vary less, and no more of them lower it. Of independent normal figures the expected maximum is larger (Slepian 1962).
    """
    found = significance.moments(returns)
    annual, of_luck = trials.sharpe_variance, 1.0 / max(found.bars - 1, 1)
    variance = max(annual / bars_per_year, of_luck) if annual is not None else of_luck
    return significance.deflated_sharpe_ratio(
        found.sharpe,
        bars=found.bars,
        skewness=found.skewness,
        kurtosis=found.kurtosis,
        trials=max(trials.count, 1),
        trials_variance=variance,
    )
