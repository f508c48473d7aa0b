"""Shapes of tables other than one row a bar under one row of names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.reading.columns import is_nameless, plain, role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import clock, parse
from wealtharena.errors import DataError

_DATE_PARTS: Final = ("year", "month", "day")
_CLOCK_PARTS: Final = ("hour", "minute", "second")
FloatArray = npt.NDArray[np.float64]
# Files without names that are known by their width: (exporter, names). Their order is checked on the prices.
_HEADLESS: Final = {
    12: (
        "Binance klines",
        "open_time open high low close volume close_time quote_asset_volume count taker_base taker_quote ignore",
    ),
    8: ("Kraken OHLC", "time open high low close vwap volume trades"),
    7: ("Kraken OHLCVT", "time open high low close volume trades"),
    6: ("time, open, high, low, close, volume (ccxt, HistData)", "time open high low close volume"),
    5: ("time, open, high, low, close (currencies)", "time open high low close"),
}
# Orders that only the prices prove, by width
_OTHER_ORDERS: Final = {
    6: (
        ("Bitfinex (time, open, close, high, low, volume)", "time open close high low volume"),
        ("Coinbase (time, low, high, open, close, volume)", "time low high open close volume"),
    ),
    7: (
        ("Bybit (time, open, high, low, close, volume, turnover)", "time open high low close volume quote_volume"),
        ("KuCoin (time, open, close, high, low, volume, turnover)", "time open close high low volume quote_volume"),
        ("Gate.io (time, turnover, close, high, low, open, volume)", "time quote_volume close high low open volume"),
    ),
}
_COIN_M: Final = (
    "open_time open high low close contracts close_time base_asset_volume count taker_contracts taker_base ignore"
)
_DOLLARS: Final = (10.0, 100.0)  # that one of its contracts is worth
_DATED: Final = {  # those of the same width whose first column is a date, where Kraken's is an epoch
    8: ("yfinance's history", "date open high low close volume dividends splits"),
    7: ("Yahoo's history", "date open high low close adjclose volume"),
}
_TICKER_FIRST: Final = (
    "symbol, time, open, high, low, close, volume (ASX, MetaStock)",
    "symbol time open high low close volume",
)
_METATRADER: Final = {
    7: ("MetaTrader history", "date time open high low close volume"),
    6: ("MetaTrader history without volume", "date time open high low close"),
}
_FINAM: Final = {
    9: ("Finam (ticker, period, date, time, open, high, low, close, volume)", "symbol per date time open high low close volume"),
    8: ("Finam (ticker, period, date, time, open, high, low, close)", "symbol per date time open high low close"),
}  # fmt: skip
_DAY: Final = r"\d{8}|\d{4}([-/])\d{2}\1\d{2}|\d{2}([-/])\d{2}\2\d{4}"
_HISTDATA: Final = re.compile(r"DAT_(?:ASCII|MT|NT|MS)_[A-Z]{6}_M1_")
_ENOUGH: Final = 20  # bars that prove another order than the usual one
_COHERENT: Final = 0.98  # share of bars whose high and low hold their open and close


def wide_to_long(rows: Sequence[Sequence[str]], body: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return long form of a table with one column a field and ticker, as yfinance.download(...).to_csv writes it.

    Rows in which a ticker has no value at all are no bars of it.
    """
    fields = _field_row(rows)
    if fields is None:
        raise DataError(
            f"{ledger.name} has several header rows, and none of them names prices", hint="use long form: one row a bar"
        )
    time = _time_column(rows)
    tickers = next((row for row in rows if row is not fields and any(row[time + 1 :])), None)
    names = [None] * len(fields) if tickers is None else list(tickers)
    parts: list[pd.DataFrame] = []
    lost: list[str] = []
    for ticker in dict.fromkeys(names[time + 1 :]):
        columns = [i for i, name in enumerate(names) if i > time and name == ticker]
        part = body[[time, *columns]].set_axis(["timestamp", *(fields[i] for i in columns)], axis=1)
        there = part.iloc[:, 1:].map(_is_there).any(axis=1)
        if not there.any() and len(part):
            lost.append(str(ticker))
        parts.append(part[there] if ticker is None else part[there].assign(symbol=ticker))
    if lost:
        ledger.note(f"{', '.join(lost)} {'has' if len(lost) == 1 else 'have'} no value in any row")
    ledger.settle("layout", f"one column a field and ticker, {len(parts)} tickers")
    return pd.concat(parts, ignore_index=True) if len(body) else pd.DataFrame()


def _field_row(rows: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """Return the header row that names fields: with a close, and more roles than another; tickers may be C, LOW or V.

    A row whose corner says what it holds is that; fields are rarely written in capitals alone, and tickers always are.
    """

    def rank(row: Sequence[str]) -> tuple[int, int, int]:
        corner = {"price": 1, "attributes": 1, "ticker": -1, "tickers": -1, "symbol": -1}.get(
            str(row[0]).strip().lower(), 0
        )
        return (
            corner,
            -int(all(str(cell) == str(cell).upper() for cell in row[1:])),
            len({role_of(cell) for cell in row[1:]}),
        )

    named = [row for row in rows if {"close", "adjclose"} & {role_of(cell) for cell in row[1:]}]
    return max(named, key=rank, default=None)


def _time_column(rows: Sequence[Sequence[str]]) -> int:
    """Return the number of the column of time: the first, or the one that `Date` stands over beside a count of rows."""
    for row in rows:
        for place, cell in enumerate(row[:3]):
            others = [other[place] for other in rows if other is not row]
            if role_of(cell) == "timestamp" and not any(others) and place:
                return place
    return 0


def headless_names(body: pd.DataFrame, ledger: Ledger) -> list[str]:
    """Return the names of the columns of a file without a header, as its width, clock and prices show.

    Raises:
        DataError: its shape is that of no exporter that is known, or its prices do not stand in that order.
    """
    width = body.shape[1]
    timed = width in _METATRADER and (
        body.iloc[:, 1].str.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?").all() or _are_days(body, 0)
    )
    known = _HEADLESS if body.iloc[:, 0].str.fullmatch(r"[0-9.]+").all() else _HEADLESS | _DATED
    exporter, names = _METATRADER[width] if timed else known.get(width, ("", ""))
    if (
        width == 7
        and body.iloc[:, 0].str.fullmatch(r"[A-Za-z][A-Za-z0-9.^]*").all()
        and body.iloc[:, 1].str.fullmatch(_DAY).all()
    ):
        exporter, names = _TICKER_FIRST
    if width in _FINAM and body.iloc[:, 1].str.fullmatch(r"[DWM]|\d{1,2}").all() and _are_days(body, 2):
        exporter, names = _FINAM[width]
    columns = names.split()
    bare = bool(columns) and "volume" not in columns
    if not columns or not _coherent(body, columns, 1.0 if bare else _COHERENT) or (bare and _turned(body, columns)):
        others = [item for item in _OTHER_ORDERS.get(width, ()) if _proven(body, item[1].split())]
        exporter, names = others[0] if len(others) == 1 else ("", "")
        columns = names.split()
    if not columns:
        raise DataError(
            f"{ledger.name} has no header row, and its {width} columns are not in the order of an exporter that is known",
            hint="write names above them: timestamp, symbol, open, high, low, close, volume",
        )
    if width == 12 and _counts_contracts(body, columns):
        exporter, columns = "Binance COIN-M klines, in contracts and coins", _COIN_M.split()
    if _HISTDATA.match(ledger.name) and not ledger.zone:
        ledger.zone, ledger.zone_by = "UTC-5", "HistData's name of the file"  # New York's winter time all year
    ledger.settle("header", f"none; columns in the order of {exporter}")
    ledger.note(f"the file has no header; its columns are taken in the order of {exporter}")
    return columns


def _are_days(body: pd.DataFrame, place: int) -> bool:
    """Return whether a column holds days, and the next one times of day in digits or with colons: 20240131, 093000."""
    days = body.iloc[:, place].str.fullmatch(rf"{_DAY}|\d{{6}}|\d{{2}}/\d{{2}}/\d{{2}}").all()
    times = body.iloc[:, place + 1]
    return bool(days and times.str.fullmatch(r"0|\d{4}|\d{6}|\d{2}:\d{2}(:\d{2})?").all()) and clock(times) is not None


def _proven(body: pd.DataFrame, columns: list[str]) -> bool:
    """Return whether prices hold in that order, and opens are nearer to the closes before than closes to the opens before."""
    if len(body) < _ENOUGH or not _coherent(body, columns):
        return False
    numbers = body.apply(pd.to_numeric, errors="coerce").set_axis(columns, axis=1).sort_values("time")
    joined, turned = _steps(numbers)
    if "quote_volume" in columns:
        money = (numbers["quote_volume"] / numbers["volume"] / numbers["close"]).median()
        if not 0.5 < money < 2.0:
            return False
    return joined < turned


def _steps(numbers: pd.DataFrame) -> tuple[float, float]:
    """Return how far opens are from the closes before, and closes from the opens before, at the median."""
    first, last = numbers["open"].to_numpy(dtype=np.float64), numbers["close"].to_numpy(dtype=np.float64)
    steps = pd.DataFrame({"joined": np.abs(first[1:] - last[:-1]), "turned": np.abs(last[1:] - first[:-1])}).median()
    return float(steps["joined"]), float(steps["turned"])


def _turned(body: pd.DataFrame, columns: list[str]) -> bool:
    """Return whether opens and closes stand in each other's place, as steps from bar to bar of enough rows show."""
    if len(body) < _ENOUGH:
        return False
    try:
        times = parse(body.iloc[:, 0], "").wall
    except DataError:
        times = np.arange(len(body))
    numbers = body.replace(",", ".", regex=True).apply(pd.to_numeric, errors="coerce").set_axis(columns, axis=1)
    if times[0] > times[-1]:
        times, numbers = times[::-1], numbers[::-1]
    joined, turned = _steps(numbers.iloc[np.argsort(times, kind="stable")])
    return turned < joined


def _counts_contracts(body: pd.DataFrame, columns: list[str]) -> bool:
    """Return whether volumes are contracts of some dollars each beside coins, where they would be coins beside money."""
    numbers = body.apply(pd.to_numeric, errors="coerce").set_axis(columns, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = (numbers["quote_asset_volume"] * numbers["close"] / numbers["volume"]).replace(np.inf, np.nan).median()
    apart = abs(np.log(float((numbers["close"] ** 2).median()) / size)) > np.log(2.0)  # else it may be money as well
    return bool(apart) and any(abs(size / dollars - 1.0) < 0.05 for dollars in _DOLLARS)


def _coherent(body: pd.DataFrame, columns: list[str], share: float = _COHERENT) -> bool:
    """Return whether prices, and what stands behind them, are what the columns of an exporter hold in that share of rows."""

    def column(name: str) -> FloatArray:
        text = body.iloc[:, columns.index(name)].str.replace(",", ".", regex=False)
        return pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)

    first, high, low, last = (column(name) for name in ("open", "high", "low", "close"))
    with np.errstate(invalid="ignore"):
        held = (high >= np.fmax(first, last)) & (low <= np.fmin(first, last)) & (low > 0)
        if "adjclose" in columns:  # below the close by what was paid since, and never a volume
            held &= (column("adjclose") > 0) & (column("adjclose") <= last * 1.001)
        if "vwap" in columns:
            held &= (column("vwap") >= low * 0.999) & (column("vwap") <= high * 1.001) | (column("volume") == 0)
        if "trades" in columns:
            held &= (column("trades") == np.trunc(column("trades"))) & (column("trades") >= 0)
        if "dividends" in columns:
            held &= (column("dividends") == 0) | (column("dividends") < 0.5 * last)
    quiet = "dividends" not in columns or float((column("splits") == 0).mean()) > 0.9
    return bool(len(held)) and float(held.mean()) >= share and quiet


def _is_there(value: object) -> bool:
    return value is not None and value == value and value != ""  # a NaN differs from itself


def with_dates(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table whose dates stand in columns year, month and day with one column of dates; any other table as it is.

    Columns hour, minute and second beside them are their time of day; year and month alone are a month's bar.

    Raises:
        DataError: a year is not of four digits, and nothing else tells dates.
    """
    named = {plain(name): name for name in frame.columns}
    if not {"year", "month"} <= set(named):
        return frame
    dated = [named[part] for part in _DATE_PARTS if part in named]
    clocks = [named[part] for part in _CLOCK_PARTS if part in named] if "hour" in named else []
    others = [name for name in frame.columns if name not in (*dated, *clocks) and role_of(name) == "timestamp"]
    if any(clock(frame[name]) is None for name in others) or _nameless_times(frame, ledger.name):
        return frame  # it has dates of its own
    text = [frame[name].astype("string").str.strip().str.removesuffix(".0").fillna("") for name in (*dated, *clocks)]
    odd = np.flatnonzero(~text[0].str.fullmatch("[0-9]{4}").to_numpy(dtype=bool))
    if len(odd):
        raise DataError(
            f"{ledger.name}: {dated[0]} is {text[0].iloc[odd[0]]!r} in row {odd[0] + 1}, no year of four digits",
            hint="write dates like 2024-01-31 in one column",
        )
    parts, times = text[: len(dated)], text[len(dated) :]
    digits = bool(parts[1].str.fullmatch("[0-9]{1,2}").all())
    first, *rest = [part.str.zfill(2) for part in parts] if digits else parts[::-1]
    joined = first.str.cat(pd.concat(rest, axis=1), sep="-" if digits else " ")
    if times:
        hour, *finer = [part.str.zfill(2) for part in times]
        joined = joined.str.cat(hour.str.cat(pd.concat(finer, axis=1), sep=":") if finer else hour + ":00", sep=" ")
    ledger.settle("dates", f"of columns {', '.join(map(str, (*dated, *clocks)))}")
    made = frame.drop(columns=[*dated, *clocks])
    made.insert(0, "date", joined)
    return made


def _nameless_times(frame: pd.DataFrame, where: str) -> bool:
    """Return whether a column without a name, as pandas writes an index, holds times."""
    for name in frame.columns:
        if is_nameless(name):
            try:
                parse(frame[name], where)
            except DataError:
                continue
            return True
    return False
