"""The kernel's account, one decision at a time: opened from what is held, saved and taken up again at any bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs import kernel
from wealtharena.envs.actions import array_of, check_labels
from wealtharena.envs.compiled import compile_status
from wealtharena.envs.kernel.rows import ACCOUNT, BAR, RECORD, ROUNDING, AccountRows, Float64
from wealtharena.envs.market import Market
from wealtharena.envs.paths import Paths, check_window, trades_of
from wealtharena.envs.rules import Rules, rules_of
from wealtharena.envs.tiles import line_up
from wealtharena.envs.trajectory import Trades
from wealtharena.envs.vector import RULE
from wealtharena.errors import MarketError

FORMAT: Final = 1
_NO_LIMIT: Final = 1e18
KEPT: Final = AccountRows._fields[: ACCOUNT.cost_factor + 1]  # what a step reads of an account; the rest it writes


@dataclass(frozen=True, eq=False)
class Step:
    """What one step did to the account, from the close of the bar before to the close of `bar`."""

    bar: int  # row of the market
    timestamp: np.datetime64
    equity: float
    weights: Float64  # [A] held at this close
    targets: Float64  # [A] asked for at the close before, after projection
    traded_value: float
    costs: float
    financing: float
    dividends: float
    trades: Trades  # of this bar, so `trades.bar` is 1
    liquidated: bool


class Walker:
    """One account in a market, stepped from outside by the kernel that backtests: the same decisions, the same path.

    It stands at the close of row `bar` of its market. `step` gives it one decision and goes to the next row, which the
    market must have; `grow` gives it a market with further rows, found by their timestamps, so that nothing is walked
    twice. Cash is what equity has beside the positions at their marks, margined or not. A step is the same, bit for
    bit, however the account came to stand where it does.
    """

    def __init__(
        self, market: Market, spec: EnvSpec, *, bar: int, cost_factor: float = 1.0, alive: bool = True
    ) -> None:
        """Stand at the close of `bar` with the spec's cash; `open` and `load` begin with something else."""
        self.spec, self.bar = spec, bar
        check_window(market, spec, bar, market.length, least=1)
        self._known: dict[tuple[bool, bool], Rules] = {}
        self._paths = Paths(market, self._rules(market), np.array([cost_factor]), start=bar, steps=1, keep=True)
        self._paths.alive[0] = alive
        self._wanted = np.zeros((1, 1, len(market.symbols)))
        self._hold = np.zeros((1, 1), dtype=np.bool_)
        self._marks = market.prices[bar].copy()

    @classmethod
    def open(
        cls,
        market: Market,
        spec: EnvSpec,
        *,
        bar: int,
        units: Mapping[str, float] | None = None,
        cash: float | None = None,
        peak: float | None = None,
        cost_factor: float = 1.0,
        carried: bool = False,
    ) -> Walker:
        """Return an account that holds `units`, by symbol, and `cash` (default the spec's) at the close of row `bar`.

        `peak` is the highest equity it has had, if that is above what it has. Raises MarketError for a symbol that the
        market does not have, that has no price yet or is struck off, and where no equity is left. With `carried`, what is
        struck off is held at its last price, as at a broker that has not closed it; nothing trades it.
        """
        walker = cls(market, spec, bar=bar, cost_factor=cost_factor)
        if units is not None and not hasattr(units, "items"):
            raise MarketError(f"units are a {type(units).__name__}", hint='pass them by symbol: {"AAPL": 30}')
        given = {} if units is None else dict(units.items())  # of a Series, too
        held = np.array([float(given.get(symbol, 0.0)) for symbol in market.symbols])
        unknown = sorted(map(str, set(given) - set(market.symbols)))
        if unknown:
            raise MarketError(
                f"units of {unknown[0]} are held, which the market does not have", hint="name its symbols"
            )
        unpriced = (held != 0.0) & (walker._marks == 0.0)
        if unpriced.any():
            symbol = market.symbols[int(np.argmax(unpriced))]
            raise MarketError(f"{symbol} is held, but has no price up to bar {bar}", hint="open it at a later bar")
        struck_off = (held != 0.0) & (walker._marks > 0.0) & (market.bars[bar, BAR.inverse] == 0.0)
        if struck_off.any() and not carried:
            symbol, limit = market.symbols[int(np.argmax(struck_off))], spec.limits.delisting_bars
            raise MarketError(
                f"{symbol} is held, but is struck off: it has had no price for {limit} bars or more",
                hint="leave it out, and add what it brought to the cash",
            )
        walker._put(held, spec.initial_cash if cash is None else float(cash), peak)
        if not 0.0 < walker.equity < math.inf:
            raise MarketError(
                f"units and cash come to an equity of {walker.equity:g}", hint="an account opens with more than nothing"
            )
        return walker

    @classmethod
    def load(cls, saved: Mapping[str, Any], market: Market, spec: EnvSpec, *, remark: bool = False) -> Walker:
        """Return the account that `save` wrote, standing at the row of this market that has its timestamp.

        The spec is the one it was saved under; only the account is in the file. Raises MarketError where the market is
        another one, lacks that row, or marks what is held otherwise than when it was saved; with `remark`, the account
        is marked anew, as after a revision of the last bar.
        """
        what = "the saved account"
        if saved.get("format") != FORMAT:
            raise MarketError(f"{what} has format {saved.get('format')!r}, expected {FORMAT}", hint="save it anew")
        lacking = {"timestamp", "symbols", "fill", "units", "marks", "account", "alive"} - set(saved)
        lacking |= {f"account.{name}" for name in set(KEPT) - set(saved.get("account", {}))}
        if lacking:
            raise MarketError(f"{what} lacks {', '.join(sorted(lacking))}", hint="pass what Walker.save returned")
        _check_same(market, saved["symbols"], saved["fill"])
        bar = _row_of(market, np.datetime64(saved["timestamp"], "ns"))
        account = saved["account"]
        walker = cls(market, spec, bar=bar, alive=bool(saved["alive"]))
        paths = walker._paths
        paths.units[:, 0] = saved["units"]
        for name in KEPT:
            paths.state[getattr(ACCOUNT, name), 0] = account[name]
        walker._marks = np.array(saved["marks"], dtype=np.float64)
        walker._mark(market, bar, remark=remark)
        return walker

    def save(self) -> dict[str, Any]:
        """Return the account as strings, numbers, booleans and lists of them, for JSON; `load` takes it up, bit for bit."""
        paths, market = self._paths, self._paths.market
        return {
            "format": FORMAT,
            "timestamp": str(self.timestamp),
            "symbols": list(market.symbols),
            "fill": market.fill,
            "units": paths.units[:, 0].tolist(),
            "marks": self._marks.tolist(),
            "account": {name: float(paths.state[getattr(ACCOUNT, name), 0]) for name in KEPT},
            "alive": bool(paths.alive[0]),
        }

    def grow(self, market: Market, *, remark: bool = False) -> None:
        """Go on in a market that has further rows; nothing is walked again.

        Early rows may be gone, but for the window and those that volatility looks back on (SIGMA_BARS + 1), and the row
        of a price that is carried on at the first of these. Raises MarketError, with nothing changed, where the market
        has other symbols or fills, lacks the row at which the account stands, or marks what is held otherwise there;
        with `remark`, the account is marked anew.
        """
        old = self._paths.market
        _check_same(market, old.symbols, old.fill)
        if market.layout.window != old.layout.window:
            raise MarketError(
                f"the market was built for env.window={market.layout.window}, the account for {old.layout.window}",
                hint="build the market from the account's spec",
            )
        bar = _row_of(market, self.timestamp)
        check_window(market, self.spec, bar, market.length, least=1)
        self._mark(market, bar, remark=remark)
        self._paths.enter(market, self._rules(market))
        self.bar = bar

    def step(self, weights: npt.NDArray[Any] | None) -> Step:
        """Trade toward `weights` [A] at the next bar, or give no order where they are None, and go to its close.

        Raises MarketError, with nothing changed, where the market ends here or a weight is not finite.
        """
        self._require_next()
        self._wanted[0, 0] = 0.0 if weights is None else self._checked(weights)
        self._hold[0, 0] = weights is None
        return self._advance()

    def deal(self, orders: npt.NDArray[Any]) -> Step:
        """Give `orders` [A], units with a sign, to the next bar and go to its close; they are filled as sized, or less.

        The bar fills less where its volume is too small, whole lots only where there are lots, and nothing where it must
        not; limits of weight and gross value are not looked at. A liquidated account closes what is left, whatever it is
        given. `deal(orders(w))` is `step(w)`, to rounding. An order of less than a million millionth of equity is not
        given. Raises MarketError, with nothing changed, as `step` does.
        """
        self._require_next()
        given = self._checked(orders)
        equity = self.equity
        goal = np.where(given == -self.units, 0.0, self.units + given)
        self._wanted[0, 0] = goal * self._marks / equity if equity > 0.0 else 0.0
        self._hold[0, 0] = False
        paths = self._paths
        rules = self._rules(paths.market)
        paths.enter(paths.market, self._rules(paths.market, limited=False))
        try:
            return self._advance()
        finally:
            paths.enter(paths.market, rules)

    def _rules(self, market: Market, *, limited: bool = True) -> Rules:
        """Return the rules of a market of the account's symbols, or those that fill whatever was sized, made once."""
        key = (market.delisting, limited)
        if key not in self._known:
            rules = rules_of(self.spec, market.symbols, delisting=market.delisting)
            self._known[key] = rules if limited else _without_limits(rules)
        return self._known[key]

    def _require_next(self) -> None:
        if self.bar + 1 >= self._paths.market.length:
            raise MarketError(
                f"the market ends at bar {self.bar}, where the account stands", hint="grow() with the next bar first"
            )

    def _advance(self) -> Step:
        """Go to the close of the next bar with what is wanted there."""
        paths, market, t = self._paths, self._paths.market, self.bar
        before, ended = paths.units[:, 0].copy(), self.equity <= 0.0
        paths.start = t
        paths.weights[0, 0] = self.weights
        with compile_status(kernel.walk):
            paths.walk(self._wanted, self._hold, t, t + 1, offset=t)
        self.bar = t + 1
        self._marks = market.prices[t + 1].copy()
        traded, costs, financing, income = paths.ledger[0, 0].tolist()
        dividends = float(before @ market.dividends[t + 1]) if paths.margined and not ended else income
        return Step(
            bar=self.bar,
            timestamp=self.timestamp,
            equity=self.equity,
            weights=paths.weights[0, 1].copy(),
            targets=paths.projected[0, 0].copy(),
            traded_value=traded,
            costs=costs,
            financing=financing,
            dividends=dividends,
            trades=trades_of(paths.fills[0], market.bars[t : t + 2], market.worth[t : t + 2]),
            liquidated=self.liquidated,
        )

    def orders(self, weights: npt.NDArray[Any]) -> Float64:
        """Return the units [A], signed, that `step(weights)` would ask the next bar for, as the kernel sizes them here.

        The bar fills less where its volume is too small, and nothing where it must not. Nothing is changed.
        """
        paths, market = self._paths, self._paths.market
        rules = self._rules(market)
        probe = Paths(market, rules, np.ones(1), start=0, steps=1, keep=True, scratch=paths.scratch)
        probe.units[:], probe.state[:], probe.alive[:] = paths.units, paths.state, paths.alive
        probe.enter(market, rules, records=_obliging(market.bars[self.bar]))
        probe.walk(self._checked(weights)[None, None], np.zeros((1, 1), dtype=np.bool_), 0, 1)
        orders: Float64 = probe.fills[0, 0, 0]
        return orders

    def observe(self) -> npt.NDArray[np.float32]:
        """Return what a policy sees here, [1, D], as training would show it."""
        observation = np.empty((1, self._paths.market.layout.size), dtype=np.float32)
        self._paths.observe(self.bar, observation)
        return observation

    @property
    def timestamp(self) -> np.datetime64:
        return np.datetime64(self._paths.market.timestamps[self.bar], "ns")

    @property
    def units(self) -> Float64:
        """Return the units held, [A]."""
        return self._paths.units[:, 0].copy()

    @property
    def lots(self) -> Float64:
        """Return the units of a lot, [A]; 0 trades fractions."""
        return self._rules(self._paths.market).lots

    @property
    def cash(self) -> float:
        return float(self._paths.state[ACCOUNT.cash, 0])

    @property
    def equity(self) -> float:
        return float(self._paths.state[ACCOUNT.equity, 0])

    @property
    def peak(self) -> float:
        """Return the highest equity so far."""
        return float(self._paths.state[ACCOUNT.peak, 0])

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._paths.market.symbols

    @property
    def weights(self) -> Float64:
        """Return the weights held, [A]; zeros where no equity is left."""
        equity = self.equity
        inverse = 1.0 / equity if equity > 0.0 else 0.0
        weights: Float64 = self._paths.units[:, 0] * self._marks * inverse
        return weights

    @property
    def liquidated(self) -> bool:
        """Return whether the rules closed the account by force; it asks for nothing but zero from then on."""
        return not bool(self._paths.alive[0])

    def _checked(self, weights: npt.NDArray[Any]) -> Float64:
        check_labels(weights, "weights", self._paths.market.symbols)
        wanted = array_of(weights, "weights", np.float64)
        shape = self._wanted.shape[2:]
        if wanted.shape != shape:
            raise MarketError(f"weights have shape {wanted.shape}, expected {shape}", hint="pass one weight a symbol")
        if not np.isfinite(wanted).all():
            raise MarketError(f"a weight at bar {self.bar} is not finite", hint="check the policy for NaN, or hold")
        return wanted

    def _put(self, units: Float64, cash: float, peak: float | None) -> None:
        """Set what is held, and what follows from it at the marks."""
        state, value = self._paths.state, units * self._marks
        self._paths.units[:, 0] = units
        state[ACCOUNT.cash, 0] = cash
        state[ACCOUNT.equity, 0] = cash + value.sum()
        state[ACCOUNT.gross, 0] = np.abs(value).sum()
        state[ACCOUNT.peak, 0] = max(self.equity, self.equity if peak is None else peak)

    def _mark(self, market: Market, bar: int, *, remark: bool) -> None:
        """Compare the marks of row `bar` with those that the account was marked at; with `remark`, take them."""
        marks, units = market.prices[bar].copy(), self._paths.units[:, 0].copy()
        moved = (units != 0.0) & (marks != self._marks)
        if moved.any() and not remark:
            n = int(np.argmax(moved))
            raise MarketError(
                f"{market.symbols[n]} was marked at {self._marks[n]:g} and is {marks[n]:g} in this market at the same bar",
                hint="a revised bar: pass remark=True; a split: open the account with the new units",
            )
        self._marks = marks
        if moved.any():
            self._put(units, self.cash, float(self._paths.state[ACCOUNT.peak, 0]))


def _obliging(bar: Float64) -> Float64:
    """Return the record of a step from this bar [BAR_ROWS, A] to one that fills every order at its mark, whatever its size."""
    after = np.zeros_like(bar)
    after[BAR.mark] = bar[BAR.mark]
    after[BAR.fill] = np.where(bar[BAR.inverse] > 0.0, bar[BAR.mark], 0.0)
    after[BAR.volume] = np.inf
    return line_up(np.stack([(bar, after)[at][row] for row, at in RECORD], axis=-1).reshape(-1))


def _without_limits(rules: Rules) -> Rules:
    """Return the rules under which an order is filled as it was sized: no limit of weight, gross value or least trade."""
    vector = rules.vector.copy()
    vector[[RULE.max_gross, RULE.max_weight]] = _NO_LIMIT
    vector[RULE.long_only] = 0.0
    vector[RULE.min_trade] = ROUNDING
    return replace(rules, vector=vector)


def _check_same(market: Market, symbols: Sequence[str], fill: str) -> None:
    if market.symbols != tuple(symbols):
        raise MarketError(
            f"the account was walked over {', '.join(symbols)}; this market has {', '.join(market.symbols)}",
            hint="give a market of the same symbols in the same order",
        )
    if market.fill != fill:
        raise MarketError(f"the account filled at {fill}, this market fills at {market.fill}", hint="build it alike")


def _row_of(market: Market, timestamp: np.datetime64) -> int:
    """Return the row of this timestamp."""
    row = int(np.searchsorted(market.timestamps, timestamp))
    if row == market.length or market.timestamps[row] != timestamp:
        raise MarketError(
            f"the account stands at {timestamp}, a bar that this market does not have",
            hint="give a market that reaches from there on",
        )
    return row
