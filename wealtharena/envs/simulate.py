"""The backtest face of the kernel: follow targets through a window of bars and keep what happened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs import kernel
from wealtharena.envs.actions import array_of, check_labels, check_times
from wealtharena.envs.compiled import compile_status
from wealtharena.envs.market import Market
from wealtharena.envs.paths import Decide, Paths, check_window
from wealtharena.envs.rules import Rules, rules_of
from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import MarketError

Targets = npt.NDArray[np.float64] | Decide


def simulate(
    market: Market,
    targets: Targets,
    *,
    spec: EnvSpec,
    start: int = 0,
    stop: int | None = None,
    hold: npt.NDArray[np.bool_] | None = None,
    name: str = "policy",
    cost_factor: float = 1.0,
) -> Trajectory:
    """Return the path of one policy over bars [start, stop): the first decision at bar `start`, the last mark at stop - 1.

    `targets` is an array [T, A], T the market's bars, whose row t is the decision at the close of bar t; or a callable
    `decide(observation float32 [1, D]) -> weights [1, A]`, asked at every bar. Weights are projected as in training;
    one that is not finite raises MarketError. `hold[t]` gives no order at bar t. `cost_factor` multiplies trading,
    borrow and margin costs. Equity begins at `spec.initial_cash`. Positions are marked, not closed, at the end.
    """
    return simulate_many(
        market, [targets], spec=spec, start=start, stop=stop, hold=[hold], names=[name], cost_factors=[cost_factor]
    )[0]


def simulate_many(
    market: Market,
    targets: Sequence[Targets],
    *,
    spec: EnvSpec,
    start: int = 0,
    stop: int | None = None,
    hold: Sequence[npt.NDArray[np.bool_] | None] | None = None,
    names: Sequence[str] | None = None,
    cost_factors: Sequence[float] | None = None,
) -> tuple[Trajectory, ...]:
    """Return `simulate` of every policy, each an account of its own."""
    stop = market.length if stop is None else stop
    check_window(market, spec, start, stop)
    count = len(targets)
    holds = hold if hold is not None else [None] * count
    labels = names if names is not None else [f"policy {n}" for n in range(count)]
    factors = cost_factors if cost_factors is not None else [1.0] * count
    for what, given in (("hold", holds), ("names", labels), ("cost_factors", factors)):
        if len(given) != count:
            raise MarketError(f"{what} are {len(given)} for {count} policies", hint="pass one a policy")
    rules = rules_of(spec, market.symbols, delisting=market.delisting)
    with compile_status(kernel.walk):
        return tuple(
            _one(market, rules, target, held, start, stop, label, factor)
            for target, held, label, factor in zip(targets, holds, labels, factors, strict=True)
        )


def equity_paths(
    market: Market,
    targets: npt.NDArray[np.float64],
    *,
    spec: EnvSpec,
    start: int = 0,
    stop: int | None = None,
    cost_factors: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Return equity [P, n + 1] of many paths at once, without weights or trades.

    `targets` is [P, T, A] or, with one set for every cost factor, [1, T, A]; `cost_factors` is [P].
    """
    stop = market.length if stop is None else stop
    check_window(market, spec, start, stop)
    targets = array_of(targets, "targets", np.float64)
    given = np.ones(len(targets) if targets.ndim else 0) if cost_factors is None else cost_factors
    factors = np.atleast_1d(array_of(given, "cost_factors", np.float64))
    shape = (market.length, len(market.symbols))
    if targets.ndim != 3 or targets.shape[1:] != shape or factors.ndim != 1 or len(targets) not in (1, len(factors)):
        raise MarketError(
            f"targets {targets.shape} and {len(factors)} cost factors do not go together", hint="pass [P, T, A] and [P]"
        )
    rules = rules_of(spec, market.symbols, delisting=market.delisting)
    paths = Paths(market, rules, factors, start=start, steps=stop - 1 - start, keep=False)
    with compile_status(kernel.walk):
        paths.walk(
            np.ascontiguousarray(_finite(targets, start, stop)),
            np.zeros((1, market.length), dtype=np.bool_),
            start,
            stop - 1,
        )
    return paths.equity


def _one(
    market: Market,
    rules: Rules,
    targets: Targets,
    hold: npt.NDArray[np.bool_] | None,
    start: int,
    stop: int,
    name: str,
    factor: float,
) -> Trajectory:
    paths = Paths(market, rules, np.array([factor]), start=start, steps=stop - 1 - start, keep=True)
    held = np.zeros(market.length, dtype=np.bool_) if hold is None else _flags(hold, market)
    if callable(targets):
        paths.walk_asking(targets, held[None], start, stop - 1)
    else:
        shape = (market.length, len(market.symbols))
        check_labels(targets, "targets", market.symbols, market.timestamps)
        given = array_of(targets, "targets", np.float64)
        if given.shape != shape:
            raise MarketError(f"targets have shape {given.shape}, expected {shape}", hint="one row a bar of the market")
        wanted = _finite(np.where(held[:, None], 0.0, given)[None], start, stop)
        paths.walk(np.ascontiguousarray(wanted), held[None], start, stop - 1)
    return paths.trajectory(name)


def _flags(hold: npt.NDArray[np.bool_], market: Market) -> npt.NDArray[np.bool_]:
    """Return `hold` [T]; MarketError where it is of other bars, or where a cell is neither yes nor no."""
    check_times(hold, "hold", market.timestamps)
    flags = array_of(hold, "hold")
    if flags.shape != (market.length,):
        raise MarketError(
            f"hold has shape {flags.shape}, expected ({market.length},)", hint="one flag a bar of the market"
        )
    if flags.dtype != np.bool_ and not np.isin(flags, (0, 1)).all():
        raise MarketError("hold is neither True nor False at some bar", hint="pass one flag a bar of the market")
    return np.ascontiguousarray(flags, dtype=np.bool_)


def _finite(targets: npt.NDArray[np.float64], start: int, stop: int) -> npt.NDArray[np.float64]:
    """Return the targets; raise MarketError where one that will be used is not finite."""
    bad = ~np.isfinite(targets[:, start : stop - 1])
    if bad.any():
        bar = start + int(np.argwhere(bad)[0, 1])
        raise MarketError(
            f"the target weights at bar {bar} are not finite", hint="check the policy for NaN, or hold that bar"
        )
    return targets
