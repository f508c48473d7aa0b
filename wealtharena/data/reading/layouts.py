"""Shapes of tables other than one row a bar under one row of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

# Files without names that are known by their width: (exporter, names). Their order is checked on the prices.
_HEADLESS: Final = {
    12: (
        "Binance klines",
        "open_time open high low close volume close_time quote_asset_volume count taker_base taker_quote ignore",
    ),
    8: ("Kraken OHLC", "time open high low close vwap volume trades"),
    7: ("Kraken OHLCVT", "time open high low close volume trades"),
    6: ("time, open, high, low, close, volume (ccxt, HistData)", "time open high low close volume"),
}
_METATRADER: Final = ("MetaTrader history", "date time open high low close volume")
_COHERENT: Final = 0.98  # share of bars whose high and low hold their open and close


def wide_to_long(rows: Sequence[Sequence[str]], body: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return long form of a table with one column a field and ticker, as yfinance.download(...).to_csv writes it.

    Rows in which a ticker has no value at all are no bars of it.
    """
    fields = next((row for row in rows if any(row[1:]) and all(role_of(cell) for cell in row[1:])), None)
    if fields is None:
        raise DataError(
            f"{ledger.name} has several header rows, and none of them names prices", hint="use long form: one row a bar"
        )
    tickers = next((row for row in rows if row is not fields and any(row[1:])), None)
    names = list(tickers[1:]) if tickers is not None else [None] * (len(fields) - 1)
    parts: list[pd.DataFrame] = []
    for ticker in dict.fromkeys(names):
        columns = [i + 1 for i, name in enumerate(names) if name == ticker]
        part = body[[0, *columns]].set_axis(["timestamp", *(fields[i] for i in columns)], axis=1)
        there = part.iloc[:, 1:].map(_is_there).any(axis=1)
        parts.append(part[there] if ticker is None else part[there].assign(symbol=ticker))
    ledger.settle("layout", f"one column a field and ticker, {len(parts)} tickers")
    return pd.concat(parts, ignore_index=True) if len(body) else pd.DataFrame()


def headless_names(body: pd.DataFrame, ledger: Ledger) -> list[str]:
    """Return the names of the columns of a file without a header, as its width, clock and prices show.

    Raises:
        DataError: its shape is that of no exporter that is known, or its prices do not stand in that order.
    """
    width = body.shape[1]
    clock = width == 7 and body.iloc[:, 1].str.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?").all()
    exporter, names = _METATRADER if clock else _HEADLESS.get(width, ("", ""))
    columns = names.split()
    if not columns or not _coherent(body, columns):
        raise DataError(
            f"{ledger.name} has no header row, and its {width} columns are not in the order of an exporter that is known",
            hint="write names above them: timestamp, symbol, open, high, low, close, volume",
        )
    ledger.settle("header", f"none; columns in the order of {exporter}")
    ledger.note(f"the file has no header; its columns are taken in the order of {exporter}")
    return columns


def _coherent(body: pd.DataFrame, columns: list[str]) -> bool:
    prices = [
        pd.to_numeric(body.iloc[:, columns.index(name)].str.replace(",", ".", regex=False), errors="coerce")
        for name in ("open", "high", "low", "close")
    ]
    first, high, low, last = (price.to_numpy(dtype=np.float64) for price in prices)
    with np.errstate(invalid="ignore"):
        held = (high >= np.fmax(first, last)) & (low <= np.fmin(first, last)) & (low > 0)
    return bool(len(held)) and float(held.mean()) >= _COHERENT


def _is_there(value: object) -> bool:
    return value is not None and value == value and value != ""  # a NaN differs from itself
