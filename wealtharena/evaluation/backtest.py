"""Playing policies and baselines over windows of bars, all through the one kernel."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.agents.foresight import targets_of
from wealtharena.agents.playable import reader_of
from wealtharena.agents.policy import Policy, Trained
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.runs import EvaluationSpec
from wealtharena.envs import baselines
from wealtharena.envs.actions import actions_of
from wealtharena.envs.execution import execute
from wealtharena.envs.market import Market
from wealtharena.envs.shortfall import Shortfall, bought, shortfall
from wealtharena.envs.simulate import Targets, simulate
from wealtharena.envs.trajectory import Trades, Trajectory, joint_rate
from wealtharena.errors import FirewallError
from wealtharena.evaluation import chance, metrics
from wealtharena.evaluation.evidence import ANCHOR as ANCHOR
from wealtharena.evaluation.splits import Segment
from wealtharena.evaluation.streams import named
from wealtharena.features.panel import FeaturePanel, Scaler

FloatArray = npt.NDArray[np.float64]
Decide = Callable[[npt.NDArray[np.float32]], FloatArray]


def of_policy(
    policy: Policy,
    features: FeaturePanel,
    scaler: Scaler,
    env: EnvSpec,
    segment: Segment,
    *,
    name: str = "agent",
) -> Trajectory:
    """Return the policy's path through one segment, from cash; its first decision is made at the close of `segment.start`.

    Raises FirewallError where the segment reaches beyond the rows that the features hold.
    """
    return Backtest(name, features, env, (Piece(policy, scaler, segment),)).simulate()


@dataclass(frozen=True, eq=False)
class Piece:
    """A policy and the out-of-sample segment that it is responsible for."""

    policy: Policy
    scaler: Scaler
    segment: Segment


@dataclass(frozen=True, eq=False)
class Backtest:
    """An agent over its window: one policy, or one a fold whose segments follow each other without a gap."""

    name: str
    features: FeaturePanel
    env: EnvSpec
    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if not self.pieces:
            raise ValueError("a backtest needs at least one piece")
        for left, right in zip(self.pieces[:-1], self.pieces[1:], strict=True):
            if left.segment.stop != right.segment.start:
                raise ValueError(f"segments {left.segment} and {right.segment} do not follow each other")
        if self.window.stop > self.features.bars:
            raise FirewallError(
                f"segment {self.window} reaches beyond the {self.features.bars} rows at hand",
                hint="open the test window first, or choose an earlier one",
            )

    @property
    def window(self) -> Segment:
        """Return all the bars that the pieces cover, from the first that has a whole window of observation behind it."""
        return Segment(max(self.pieces[0].segment.start, self.env.window - 1), self.pieces[-1].segment.stop)

    @cached_property
    def markets(self) -> tuple[Market, ...]:
        """Return the market that each piece sees, features scaled with its own scaler."""
        known: dict[int, Market] = {}
        for piece in self.pieces:
            if id(piece.scaler) not in known:
                known[id(piece.scaler)] = Market.build(self.features, self.env, piece.scaler)
        return tuple(known[id(piece.scaler)] for piece in self.pieces)

    def simulate(self, *, cost_factor: float = 1.0, delay_bars: int = 0, window: Segment | None = None) -> Trajectory:
        """Return the path through all pieces as one track record, or through `window` with the policy that owns its start.

        Each later piece begins in cash at the last close of the piece before: changing the policy costs what buying
        its positions costs.
        """
        if window is not None:
            return self._piece(self._owner(window), window, cost_factor, delay_bars)
        return join(self.parts(cost_factor=cost_factor, delay_bars=delay_bars))

    def parts(self, *, cost_factor: float = 1.0, delay_bars: int = 0) -> tuple[Trajectory, ...]:
        """Return the path through each piece, an account of its own that begins in cash; `join` makes one record of them."""
        starts = [self.window.start, *(piece.segment.start - 1 for piece in self.pieces[1:])]
        windows = [Segment(start, piece.segment.stop) for start, piece in zip(starts, self.pieces, strict=True)]
        return tuple(self._piece(i, window, cost_factor, delay_bars) for i, window in enumerate(windows))

    def _owner(self, window: Segment) -> int:
        owners = [i for i, piece in enumerate(self.pieces) if piece.segment.start <= window.start]
        return owners[-1] if owners else 0

    def _piece(self, index: int, segment: Segment, cost_factor: float, delay_bars: int) -> Trajectory:
        policy, market = self.pieces[index].policy, self.markets[index]
        policy.reset()
        targets: Targets = policy.act
        if isinstance(policy, Trained):
            policy = reader_of(policy, market.layout)
            targets = targets_of(policy, market, start=segment.start, stop=segment.stop)
        if delay_bars:
            targets = Delayed(targets if callable(targets) else policy.act, bars=delay_bars)
        return simulate(
            market,
            targets,
            spec=self.env,
            start=segment.start,
            stop=segment.stop,
            name=self.name,
            cost_factor=cost_factor,
        )


class Delayed:
    """Answers with the decision of `bars` bars ago, and with cash before there was one."""

    def __init__(self, decide: Decide, *, bars: int) -> None:
        self.decide = decide
        self.bars = bars
        self.waiting: list[FloatArray] = []

    def __call__(self, observation: npt.NDArray[np.float32]) -> FloatArray:
        self.waiting.append(np.array(self.decide(observation), dtype=np.float64))
        if len(self.waiting) <= self.bars:
            return np.zeros_like(self.waiting[0])
        return self.waiting.pop(0)


class Untilted:
    """The policy that asks for no tilt: what an agent that tilts is measured against."""

    name = ANCHOR

    def __init__(self, market: Market, env: EnvSpec) -> None:
        self.kind = actions_of(env.action, len(market.symbols), env.limits, market.layout)

    def reset(self, batch: int = 1) -> None:
        """There is nothing to forget."""

    def act(self, observation: npt.NDArray[np.float32]) -> FloatArray:
        """Return what the anchor orders, through the same rate and band as the agent."""
        nothing = self.kind.empty(len(observation))
        return self.kind.weights(nothing, observation, nothing.copy()).astype(np.float64)


def of_anchor(base: Backtest) -> Trajectory | None:
    """Return the path of the anchor that the agent of a backtest tilts, None for one that does not tilt."""
    still = untilted(base)
    return None if still is None else still.simulate()


def untilted(base: Backtest) -> Backtest | None:
    """Return the backtest of the anchor over the same pieces, None for an agent that does not tilt."""
    if base.env.tilt is None:
        return None
    pieces = tuple(
        replace(piece, policy=Untilted(market, base.env))
        for piece, market in zip(base.pieces, base.markets, strict=True)
    )
    return replace(base, name=ANCHOR, pieces=pieces)


def of_baselines(
    features: FeaturePanel,
    env: EnvSpec,
    window: Segment,
    *,
    evaluation: EvaluationSpec,
    rng: np.random.Generator,
    benchmark: str | None = None,
    names: Sequence[str] | None = None,
    market: Market | None = None,
    cost_factor: float = 1.0,
    delay_bars: int = 0,
    risk_free_per_year: float = 0.0,
) -> Baselines:
    """Return the paths of the baselines over `window`, same kernel, costs and dates; one the panel has no data for is left out.

    `random` draws from its own stream of `rng`, so that it does not depend on which others are played. It is played
    `evaluation.random_seeds` times; its path is the one whose Sharpe ratio, above cash or `risk_free_per_year`, is nearest their mean.
    """
    market = market or Market.build(features, env, plain_scaler(features))
    asked = evaluation.baselines if names is None else names
    wanted = tuple(name for name in asked if baselines.available(name, features.panel, benchmark=benchmark))

    def rule(name: str, seed: int = 0) -> baselines.Baseline:
        spec = baselines.spec_of(name, evaluation=evaluation, env=env, benchmark=benchmark, seed=seed)
        return baselines.Baseline(spec)

    def simulated(chosen: baselines.Baseline) -> Trajectory:
        return execute(
            chosen,
            market,
            features.panel,
            spec=env,
            start=window.start,
            stop=window.stop,
            every=evaluation.rebalance_bars,
            delay_bars=delay_bars,
            cost_factor=cost_factor,
            lead=features.lead if window.start < chosen.history_bars else None,
        )

    paths, draws = {}, {}
    for name in wanted:
        if rule(name).drawn:
            seeds = named(rng, name).integers(2**63, size=evaluation.random_seeds)
            draws[name] = tuple(simulated(rule(name, int(seed))) for seed in seeds)
            cash = metrics.risk_free(draws[name][0], risk_free_per_year)
            paths[name] = chance.typical(draws[name], risk_free=cash)
        else:
            paths[name] = simulated(rule(name))
    return Baselines.of(paths, draws, market, env, once=tuple(name for name in wanted if rule(name).holds))


@dataclass(frozen=True, eq=False)
class Baselines(Mapping[str, Trajectory]):
    """The baselines' paths by name, and what is to be known of how they were played."""

    paths: Mapping[str, Trajectory]
    draws: Mapping[str, tuple[Trajectory, ...]]  # every path of a baseline that is drawn
    invested: Mapping[str, float]  # of those bought once: how much of what they may hold was bought, on average
    shortfalls: Mapping[str, Shortfall]

    @classmethod
    def of(
        cls,
        paths: Mapping[str, Trajectory],
        draws: Mapping[str, tuple[Trajectory, ...]],
        market: Market,
        env: EnvSpec,
        *,
        once: Sequence[str] = (),
    ) -> Baselines:
        """Return the paths with what their orders met in `market`; those in `once` are bought once."""
        most = min(1.0, env.limits.max_gross)
        invested = {name: float(np.minimum(bought(paths[name]) / most, 1.0).mean()) for name in once}
        return cls(paths, draws, invested, {name: shortfall(market, path, spec=env) for name, path in paths.items()})

    def beside(self, path: Trajectory, market: Market, env: EnvSpec, *, parts: Sequence[Trajectory] = ()) -> Baselines:
        """Return these baselines with one more, the first to be named; `parts` are what its path was joined from."""
        met = shortfall(market, *(parts or (path,)), spec=env)
        return replace(self, paths={path.name: path, **self.paths}, shortfalls={path.name: met, **self.shortfalls})

    def __getitem__(self, name: str) -> Trajectory:
        return self.paths[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def measures(
    played: Mapping[str, Trajectory],
    *,
    risk_free: float | FloatArray,
    of: Callable[..., Mapping[str, float]] = metrics.summary,
) -> dict[str, dict[str, float]]:
    """Return the measures of each baseline, `of(path, risk_free=...)`; of one that is drawn their means and a band (`chance.band`).

    One that is bought once has `invested`.
    """
    found = {name: dict(of(path, risk_free=risk_free)) for name, path in played.items()}
    if isinstance(played, Baselines):
        for name, draws in played.draws.items():
            found[name] = chance.band([of(path, risk_free=risk_free) for path in draws])
        for name, share in played.invested.items():
            found[name]["invested"] = share
    return found


def plain_scaler(features: FeaturePanel) -> Scaler:
    """Return the scaler that changes nothing: baselines look at prices, not at features."""
    count = len(features.names)
    return Scaler(names=features.names, mean=np.zeros(count), std=np.ones(count), clip=1e6)


def join(parts: Sequence[Trajectory]) -> Trajectory:
    """Return several backtests as one track record: each begins with the equity that the one before left.

    The first bar of each part must be the last of the part before. Money of later parts is scaled to their equity. The
    weights at that bar are those that the part before ends with, though the next one begins in cash. After a part that
    leaves nothing there is nothing to go on with: the loss stays as it is. Raises ValueError where parts do not meet.
    """
    if len(parts) == 1:
        return parts[0]
    lost = list(itertools.accumulate((bool(part.equity[-1] <= 0.0) for part in parts), max))
    parts = [parts[0], *(_still(part) if over else part for part, over in zip(parts[1:], lost, strict=False))]
    for left, right in itertools.pairwise(parts):
        if left.timestamps[-1] != right.timestamps[0]:
            raise ValueError(
                f"{right.name} begins at {right.timestamps[0]}, the part before ends at {left.timestamps[-1]}"
            )
    scales = [1.0]
    for left, right in itertools.pairwise(parts):
        scales.append(scales[-1] * float(left.equity[-1]) / float(right.equity[0]))
    offsets = np.cumsum([0, *(len(part.equity) - 1 for part in parts[:-1])])

    def money(values: Sequence[FloatArray]) -> FloatArray:
        return np.concatenate([v * scale for v, scale in zip(values, scales, strict=True)])

    trades = Trades(
        bar=np.concatenate([p.trades.bar + offset for p, offset in zip(parts, offsets, strict=True)]),
        symbol=np.concatenate([p.trades.symbol for p in parts]),
        units=money([p.trades.units for p in parts]),
        price=np.concatenate([p.trades.price for p in parts]),
        value=money([p.trades.value for p in parts]),
        cost=money([p.trades.cost for p in parts]),
        quote=_each([p.trades.quote for p in parts]),
        forced=_each([p.trades.forced for p in parts]),
    )
    return replace(
        parts[0],
        timestamps=np.concatenate([parts[0].timestamps, *(p.timestamps[1:] for p in parts[1:])]),
        equity=money([parts[0].equity, *(part.equity[1:] for part in parts[1:])]),
        bars_per_year=joint_rate(parts),
        weights=np.concatenate([parts[0].weights, *(p.weights[1:] for p in parts[1:])]),
        targets=np.concatenate([p.targets for p in parts]),
        traded_value=money([p.traded_value for p in parts]),
        costs=money([p.costs for p in parts]),
        financing=money([p.financing for p in parts]),
        dividends=money([p.dividends for p in parts]),
        trades=trades,
        liquidated=any(p.liquidated for p in parts),
        cash_rates=_joined_rates(parts),
    )


def _each(columns: Sequence[npt.NDArray[Any] | None]) -> Any:
    """Return the columns as one; None where one is not known."""
    known = [column for column in columns if column is not None]
    return np.concatenate(known) if len(known) == len(columns) else None


def _still(part: Trajectory) -> Trajectory:
    """Return a part in which nothing is held, traded or charged."""
    none = np.zeros(len(part.costs))
    return replace(
        part,
        equity=np.full_like(part.equity, part.equity[0]),
        weights=np.zeros_like(part.weights),
        targets=np.zeros_like(part.targets),
        traded_value=none,
        costs=none,
        financing=none,
        dividends=none,
        trades=replace(part.trades, **{name: v[:0] for name, v in vars(part.trades).items() if v is not None}),
        liquidated=False,
    )


def _joined_rates(parts: Sequence[Trajectory]) -> FloatArray | None:
    """Return the dated rates of all parts; 0 in one that has none."""
    if all(part.cash_rates is None for part in parts):
        return None
    return np.concatenate([np.zeros(len(p.costs)) if p.cash_rates is None else p.cash_rates for p in parts])
