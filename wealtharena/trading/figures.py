"""The record of an account as a path, so that it is measured by the measures of a backtest."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from wealtharena.envs.market import Market
from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.trading.actions import split_of
from wealtharena.trading.ledger import Ledger


def path_of(
    ledger: Ledger, symbols: tuple[str, ...], *, fill: Literal["next_open", "next_close"], bars_per_year: float
) -> Trajectory:
    """Return the account from its first close on, with every execution; targets are as decided, before projection.

    What was executed at a bar that was missed stands at the next close.
    """
    closes, wanted = ledger.closes(), ledger.wanted()
    bars = [row["bar"] for row in closes]
    equity = np.array([row["equity"] for row in closes])
    worth = np.array([[row["positions"].get(s, 0.0) * row["marks"][s] for s in symbols] for row in closes])
    flat = [0.0] * len(symbols)
    # what was executed since the last close belongs to none yet, and a stranger's symbol to no column
    fills = [one for one in ledger.fills() if "" < one.bar <= max(bars, default="") and one.symbol in symbols]

    def charged(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([row[name] for row in closes[1:]], dtype=np.float64)

    return Trajectory(
        name="paper",
        timestamps=np.array(bars, dtype="datetime64[ns]"),
        symbols=symbols,
        equity=equity,
        weights=np.divide(worth, equity[:, None], out=np.zeros_like(worth), where=equity[:, None] > 0.0),
        targets=np.array([wanted.get(bar, flat) for bar in bars[:-1]]).reshape(-1, len(symbols)),
        traded_value=charged("traded"),
        costs=charged("costs"),
        financing=charged("financing"),
        dividends=charged("dividends"),
        trades=Trades(
            bar=np.searchsorted(bars, [one.bar for one in fills]).astype(np.int64),
            symbol=np.array([symbols.index(one.symbol) for one in fills], dtype=np.int64),
            units=np.array([one.units for one in fills]),
            price=np.array([one.price for one in fills]),
            value=np.array([one.units * one.price for one in fills]),
            cost=np.array([one.cost for one in fills]),
            quote=np.array([one.quote for one in fills]),
            forced=np.array([one.client_id is None for one in fills], dtype=np.bool_),
        ),
        fill=fill,
        bars_per_year=bars_per_year,
    )


def in_units_of_now(path: Trajectory, ledger: Ledger, market: Market) -> Trajectory:
    """Return the account's path with its executions in the units of this market, whose past prices splits have rescaled since."""
    closes, trades = ledger.closes(), path.trades
    rows = np.searchsorted(market.timestamps, path.timestamps[trades.bar])
    now = market.prices[rows, trades.symbol].tolist()
    names = [path.symbols[column] for column in trades.symbol]
    then = [closes[bar]["marks"].get(name, 0.0) for bar, name in zip(trades.bar, names, strict=True)]
    growth = np.array([split_of(*one) or 1.0 for one in zip(then, now, strict=True)])
    units, price, quote = trades.units * growth, trades.price / growth, trades.quote
    return replace(
        path, trades=replace(trades, units=units, price=price, quote=None if quote is None else quote / growth)
    )


def slippage_bps(ledger: Ledger) -> float | None:
    """Return what executions at a broker outside cost beside the prices of the backtest, in basis points of their value.

    Positive is dear. None where there are none, as at the paper broker, which fills at those prices.
    """
    rows = ledger.slippage()
    value = sum(abs(row["units"] * row["reference"]) for row in rows)
    return 1e4 * float(sum(row["cost"] for row in rows)) / value if value > 0.0 else None
