"""Accounts on their way through a market, and the record that the kernel writes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs import kernel
from wealtharena.envs.actions import array_of, check_labels
from wealtharena.envs.kernel.arguments import Scratch, WalkArguments, accounts
from wealtharena.envs.kernel.rows import ACCOUNT, BAR, Flags, Float32, Float64
from wealtharena.envs.market import Market
from wealtharena.envs.rules import Rules
from wealtharena.envs.trajectory import Trades, Trajectory, to_read
from wealtharena.envs.vector import RULE
from wealtharena.errors import MarketError

Decide = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]
_WALK: Any = kernel.walk  # its arguments come as a prepared tuple, which a type checker cannot count


class Paths:
    """P accounts in one market and what happened to each in the `steps` bars from `start` on.

    They begin with the spec's cash. With `keep`, weights, trades and charges are recorded beside equity.
    """

    def __init__(
        self,
        market: Market,
        rules: Rules,
        factors: npt.NDArray[np.float64],
        *,
        start: int,
        steps: int,
        keep: bool,
        scratch: Scratch | None = None,
    ) -> None:
        count, assets = len(factors), len(market.symbols)
        for factor in factors:
            if not 0.0 <= factor < np.inf:
                raise MarketError(f"cost_factor={factor:g} multiplies no costs", hint="try cost_factor=1.0")
        kept = count if keep else 0
        self.start = start
        self.units, self.state = accounts(assets, count)
        self.alive = np.ones(count, dtype=np.bool_)
        self.equity = np.zeros((count, steps + 1))
        self.weights = np.zeros((kept, steps + 1, assets))
        self.projected = np.zeros((kept, steps, assets))
        self.ledger = np.zeros((kept, steps, 4))
        self.fills = np.zeros((kept, steps, 4, assets))
        self.scratch = Scratch.of(assets) if scratch is None else scratch
        for path, factor in enumerate(factors):
            kernel.open_account(rules.vector, self.units, self.state, path, float(factor))
        self.enter(market, rules)

    def enter(self, market: Market, rules: Rules, *, records: Float64 | None = None) -> None:
        """Go on in this market, sizing and filling orders by `records` where its own are not to be used."""
        self.market = market
        records = market.records if records is None else records
        # some arrays are read-only already, and the loop would be compiled anew for every mixture of the two kinds
        self.margined = bool(rules.vector[RULE.margined])
        self._prepared: tuple[Any, ...] = tuple(
            WalkArguments(
                bars=market.bars,
                records=to_read(records),
                years=market.years,
                rates=market.rates,
                lots=rules.lots,
                rules=to_read(rules.vector),
                units=self.units,
                state=self.state,
                alive=self.alive,
                equity=self.equity,
                weights=self.weights,
                projected=self.projected,
                ledger=self.ledger,
                fills=self.fills,
                **self.scratch._asdict(),
            )
        )

    def walk(self, targets: Float64, hold: Flags, first: int, last: int, *, offset: int = 0) -> None:
        """Follow targets [P or 1, rows, A], whose row 0 belongs to bar `offset`, from the close of `first` to `last`."""
        _WALK(*self._prepared, to_read(targets), to_read(hold), offset, self.start, first, last)

    def observe(self, t: int, observation: Float32) -> None:
        """Write what the first account sees at the close of bar t into `observation` [1, D], as training would show it."""
        market = self.market
        kernel.observe(market.bars, market.features, market.copies, self.units, self.state, t, 0, observation, 0)

    def walk_asking(self, decide: Decide, hold: Flags, first: int, last: int) -> None:
        """Ask `decide` at every bar with the observation that training would show, and walk on by its answer."""
        market, shape = self.market, (1, len(self.market.symbols))
        wanted = np.zeros((1, *shape))
        still = np.zeros((1, 1), dtype=np.bool_)
        seen = (market.bars, market.features, market.copies, self.units, self.state)
        for t in range(first, last):
            observation = np.empty((1, market.layout.size), dtype=np.float32)  # its own each bar: a policy may keep it
            kernel.observe(*seen, t, 0, observation, 0)
            answer = decide(observation)
            check_labels(answer, "the policy's weights", market.symbols)
            weights = array_of(answer, "the policy's weights", np.float64)
            if weights.shape != shape:
                raise MarketError(
                    f"the policy returned shape {weights.shape}, expected {shape}", hint="one weight a symbol"
                )
            wanted[0] = weights
            still[0, 0] = hold[0, t]
            self.walk(wanted, still, t, t + 1, offset=t)
            if self.state[ACCOUNT.rejected, 0]:
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
            trades=trades_of(fills, market.bars[window], market.worth[window]),
            fill=market.fill,
            bars_per_year=market.bars_a_year(window),
            liquidated=not bool(self.alive[0]),
            cash_rates=market.cash_rates(window),
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
        total[self.equity[0, :-1] <= 0.0] = 0.0  # an account that has ended is paid nothing
        return total


def trades_of(fills: Float64, bars: Float64, worth: Float64) -> Trades:
    """Return ordinary fills at the fill price and forced closes at the mark, in time order; bar 0 is the window's first."""
    trades = _columns(fills[:, 0], fills[:, 1], bars[1:, BAR.fill])
    forced = np.zeros(len(trades[0]), dtype=np.bool_)
    if fills[:, 2].any():
        closed = _columns(fills[:, 2], fills[:, 3], bars[1:, BAR.mark])
        both = [np.concatenate(pair) for pair in zip(trades, closed, strict=True)]
        order = np.lexsort((both[1], both[0]))
        trades = tuple(column[order] for column in both)
        forced = order >= len(forced)
    bar, symbol, units, price, value, cost = trades
    quote = price / worth[bar, symbol]
    return Trades(bar=bar, symbol=symbol, units=units, price=price, value=value, cost=cost, quote=quote, forced=forced)


def _columns(units: Float64, fee: Float64, price: Float64) -> tuple[npt.NDArray[Any], ...]:
    """Return bar, symbol, units, price, value and cost of every trade, in time order."""
    flat = np.ascontiguousarray(units).reshape(-1)
    places = np.flatnonzero(flat)
    step, symbol = np.divmod(places, units.shape[1])
    traded, paid, cost = (np.ascontiguousarray(column).reshape(-1)[places] for column in (units, price, fee))
    return step + 1, symbol, traded, paid, traded * paid, cost


def check_window(market: Market, spec: EnvSpec, start: int, stop: int, *, least: int = 2) -> None:
    """Raise MarketError where bars [start, stop) cannot be observed, or the market was built under another fill."""
    for name, row in (("start", start), ("stop", stop)):
        if not isinstance(row, int | np.integer):
            raise MarketError(
                f"{name}={row!r} is no row", hint="np.searchsorted(market.timestamps, ...) finds that of a date"
            )
    first = market.layout.window - 1
    if start < first or stop > market.length or stop - start < least:
        raise MarketError(
            f"bars [{start}, {stop}) of {market.length} cannot be played with env.window={market.layout.window}",
            hint=f"start at {first} or later and give at least {least} bars",
        )
    if spec.fill not in ("auto", market.fill):
        raise MarketError(
            f"the market fills at {market.fill}, the spec says {spec.fill}", hint="build the market from this spec"
        )
