"""The backtest face of the kernel: follow targets through a window of bars and keep what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs import kernel
from wealtharena.envs.compiled import compile_status
from wealtharena.envs.engine import kernel_accounts, kernel_scratch
from wealtharena.envs.market import Market
from wealtharena.envs.rules import Rules, rules_of
from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.envs.vector import MARGINED
from wealtharena.errors import MarketError

Decide = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]
_WALK: Any = kernel.walk  # its arguments come as prepared tuples, which a type checker cannot count
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
    _check_window(market, spec, start, stop)
    count = len(targets)
    holds = hold if hold is not None else [None] * count
    labels = names if names is not None else [f"policy {n}" for n in range(count)]
    factors = cost_factors if cost_factors is not None else [1.0] * count
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
    _check_window(market, spec, start, stop)
    paths = max(len(targets), len(cost_factors) if cost_factors is not None else 1)
    factors = np.ones(paths) if cost_factors is None else np.asarray(cost_factors, dtype=np.float64)
    if (
        len(targets) not in (1, paths)
        or len(factors) != paths
        or targets.shape[1:] != (market.length, len(market.symbols))
    ):
        raise MarketError(
            f"targets {targets.shape} and {len(factors)} cost factors do not go together", hint="pass [P, T, A] and [P]"
        )
    rules = rules_of(spec, market.symbols, delisting=market.delisting)
    walker = _Walker(market, rules, factors, start, stop, keep=False)
    with compile_status(kernel.walk):
        walker.walk(
            np.ascontiguousarray(_finite(targets, start, stop)),
            np.zeros((1, market.length), dtype=np.bool_),
            start,
            stop - 1,
        )
    return walker.equity


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
    walker = _Walker(market, rules, np.array([factor]), start, stop, keep=True)
    held = np.zeros(market.length, dtype=np.bool_) if hold is None else np.ascontiguousarray(hold, dtype=np.bool_)
    if held.shape != (market.length,):
        raise MarketError(
            f"hold has shape {held.shape}, expected ({market.length},)", hint="one flag a bar of the market"
        )
    if callable(targets):
        walker.follow(targets, held[None], start, stop - 1)
    else:
        shape = (market.length, len(market.symbols))
        if np.shape(targets) != shape:
            raise MarketError(
                f"targets have shape {np.shape(targets)}, expected {shape}", hint="one row a bar of the market"
            )
        wanted = _finite(np.where(held[:, None], 0.0, np.asarray(targets, dtype=np.float64))[None], start, stop)
        walker.walk(np.ascontiguousarray(wanted), held[None], start, stop - 1)
    return walker.trajectory(name)


class _Walker:
    """The arrays of P paths through one window, filled by the kernel."""

    def __init__(
        self, market: Market, rules: Rules, factors: npt.NDArray[np.float64], start: int, stop: int, *, keep: bool
    ) -> None:
        paths, assets, steps = len(factors), len(market.symbols), stop - 1 - start
        kept = paths if keep else 0
        self.market, self.rules, self.start = market, rules, start
        self.margined = bool(rules.vector[MARGINED])
        self.units, self.state = kernel_accounts(assets, paths)
        self.scratch = kernel_scratch(assets)
        self.alive = np.ones(paths, dtype=np.bool_)
        self.equity = np.zeros((paths, steps + 1))
        self.weights = np.zeros((kept, steps + 1, assets))
        self.projected = np.zeros((kept, steps, assets))
        self.ledger = np.zeros((kept, steps, 4))
        self.fills = np.zeros((kept, steps, 4, assets))
        for path, factor in enumerate(factors):
            kernel.open_account(rules.vector, self.units, self.state, path, float(factor))

    def walk(self, targets: kernel.Float64, hold: kernel.Flags, first: int, last: int, *, offset: int = 0) -> None:
        """Follow targets [P or 1, rows, A], whose row 0 belongs to bar `offset`, from the close of `first` to `last`."""
        market = self.market
        _WALK(
            market.bars, market.records, market.years, self.rules.lots, self.rules.vector, targets, hold, offset, self.start, first, last,
            self.units, self.state, *self.scratch, self.alive, self.equity, self.weights, self.projected, self.ledger,
            self.fills,
        )  # fmt: skip

    def follow(self, decide: Decide, hold: kernel.Flags, first: int, last: int) -> None:
        """Ask `decide` at every bar with the observation that training would show, and follow."""
        market, shape = self.market, (1, len(self.market.symbols))
        observation = np.empty((1, market.layout.size), dtype=np.float32)
        wanted = np.zeros((1, *shape))
        still = np.zeros((1, 1), dtype=np.bool_)
        seen = (market.bars, market.features, market.copies, self.units, self.state)
        for t in range(first, last):
            kernel.observe(*seen, t, 0, observation, 0)
            weights = np.asarray(decide(observation))
            if weights.shape != shape:
                raise MarketError(
                    f"the policy returned shape {weights.shape}, expected {shape}", hint="one weight a symbol"
                )
            wanted[0] = weights
            still[0, 0] = hold[0, t]
            self.walk(wanted, still, t, t + 1, offset=t)
            if self.state[kernel.REJECTED, 0]:
                raise MarketError(
                    f"the policy returned a weight that is not finite at bar {t}", hint="check the policy for NaN"
                )

    def trajectory(self, name: str) -> Trajectory:
        """Return the first path as a Trajectory."""
        market, fills = self.market, self.fills[0]
        window = slice(self.start, self.start + self.equity.shape[1])
        return Trajectory(
            name=name,
            timestamps=market.timestamps[window],
            symbols=market.symbols,
            equity=self.equity[0],
            weights=self.weights[0],
            targets=self.projected[0],
            traded_value=self.ledger[0, :, 0],
            costs=self.ledger[0, :, 1],
            financing=self.ledger[0, :, 2],
            dividends=self._dividends(),
            trades=_trades(fills, market.bars[window]),
            fill=market.fill,
            bars_per_year=market.bars_per_year,
            liquidated=not bool(self.alive[0]),
        )

    def _dividends(self) -> npt.NDArray[np.float64]:
        """Return cash dividends; what the kernel books as income beside them is the conversion of a margined contract."""
        first, steps = self.start, self.ledger.shape[1]
        paid = self.market.dividends[first + 1 : first + steps + 1]
        if not paid.any():
            return np.zeros(steps)
        if not self.margined:
            return self.ledger[0, :, 3]
        held = np.concatenate(
            [np.zeros((1, paid.shape[1])), np.cumsum(self.fills[0, :, 0] + self.fills[0, :, 2], axis=0)]
        )
        total: npt.NDArray[np.float64] = (held[:-1] * paid).sum(axis=1)
        return total


def _trades(fills: kernel.Float64, bars: kernel.Float64) -> Trades:
    """Return ordinary fills at the fill price and forced closes at the mark, in time order; bar 0 is the window's first."""
    trades = _columns(fills[:, 0], fills[:, 1], bars[1:, kernel.FILL])
    if fills[:, 2].any():
        forced = _columns(fills[:, 2], fills[:, 3], bars[1:, kernel.MARK])
        both = [np.concatenate(pair) for pair in zip(trades, forced, strict=True)]
        order = np.lexsort((both[1], both[0]))
        trades = tuple(column[order] for column in both)
    bar, symbol, units, price, value, cost = trades
    return Trades(bar=bar, symbol=symbol, units=units, price=price, value=value, cost=cost)


def _columns(units: kernel.Float64, fee: kernel.Float64, price: kernel.Float64) -> tuple[npt.NDArray[Any], ...]:
    """Return bar, symbol, units, price, value and cost of every trade, in time order."""
    flat = np.ascontiguousarray(units).reshape(-1)
    places = np.flatnonzero(flat)
    step, symbol = np.divmod(places, units.shape[1])
    traded, paid, cost = (np.ascontiguousarray(column).reshape(-1)[places] for column in (units, price, fee))
    return step + 1, symbol, traded, paid, traded * paid, cost


def _finite(targets: npt.NDArray[np.float64], start: int, stop: int) -> npt.NDArray[np.float64]:
    """Return the targets; raise MarketError where one that will be used is not finite."""
    bad = ~np.isfinite(targets[:, start : stop - 1])
    if bad.any():
        bar = start + int(np.argwhere(bad)[0, 1])
        raise MarketError(
            f"the target weights at bar {bar} are not finite", hint="check the policy for NaN, or hold that bar"
        )
    return targets


def _check_window(market: Market, spec: EnvSpec, start: int, stop: int) -> None:
    first = market.layout.window - 1
    if start < first or stop > market.length or stop - start < 2:
        raise MarketError(
            f"bars [{start}, {stop}) of {market.length} cannot be played with env.window={market.layout.window}",
            hint=f"start at {first} or later and give at least two bars",
        )
    if spec.fill not in ("auto", market.fill):
        raise MarketError(
            f"the market fills at {market.fill}, the spec says {spec.fill}", hint="build the market from this spec"
        )
