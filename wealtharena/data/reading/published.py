"""Series as statistics offices publish them, one number a date: FRED's, and the exchange rates of the ECB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from wealtharena.data import currency
from wealtharena.data.reading.columns import is_nameless, plain, role_of
from wealtharena.data.reading.identifiers import symbol_of_file
from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_RATE: Final = re.compile(
    r".*\(EXR\.[A-Z]\.([A-Z]{3})\.([A-Z]{3})\.[A-Z0-9]{4}\.[A-Z]\)"
)  # a column of the ECB's data portal
_SDMX: Final = ("CURRENCY", "CURRENCY_DENOM", "TIME_PERIOD", "OBS_VALUE")
_OF_FUND: Final = "NAV"  # a ticker as well: alone beside dates it is a fund's net asset value
_DAILY_FILE: Final = "eurofxref"  # units of each currency for a euro
_ABSENT: Final = {".": "", "N/A": ""}


def names_series(row: Sequence[str]) -> bool:
    """Return whether a row is the header of such a table: FRED's of a date and a name, or the ECB's of named rates."""
    if any(_RATE.fullmatch(cell) for cell in row):
        return True
    return (
        len(row) == 2 and role_of(row[0]) == "timestamp" and bool(_NAME.fullmatch(row[1])) and role_of(row[1]) is None
    )


def as_closes(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return such a table in long form with symbols and closes; any other as it is.

    A column beside the dates is a close where FRED's header says so, or where the file is named as it is, and all its
    numbers are above zero, as those of returns and spreads are not.

    Raises:
        DataError: several of the ECB's series are of one pair, or its values are no ones.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        return frame
    if set(_SDMX) <= set(names):
        return _of_sdmx(frame, ledger)
    rates = {name: "".join(found.groups()[::-1]) for name in names if (found := _RATE.fullmatch(name))}
    others = [
        name for name in names if role_of(name) != "timestamp" and not (is_nameless(name) and _is_void(frame[name]))
    ]
    if not rates and ledger.name.lower().startswith(_DAILY_FILE) and others and set(others) <= currency.codes():
        rates = {name: f"EUR{name}" for name in others}
    if not rates and len(names) == 2 and names_series(names):
        stem = symbol_of_file(ledger.name.partition(".")[0])
        numbers = pd.to_numeric(frame[names[1]].astype("string").replace(_ABSENT), errors="coerce").dropna()
        is_value = names[1] == _OF_FUND
        told = plain(names[0]) == "observationdate" or stem.upper() == names[1] or is_value
        if told and len(numbers) and (numbers > 0).all():
            rates = {names[1]: stem if is_value else names[1]}
    dates = [name for name in names if role_of(name) == "timestamp"]
    if not rates or set(others) != set(rates) or not dates:
        return frame
    of = "" if list(rates) == list(rates.values()) else f" of {_some(rates.values())}"
    ledger.note(f"{_some(rates)} {'is' if len(rates) == 1 else 'are'} taken for closes{of}")
    parts = [
        pd.DataFrame({"timestamp": frame[dates[0]], "symbol": symbol, "close": frame[name].replace(_ABSENT)})
        for name, symbol in rates.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _is_void(values: pd.Series) -> bool:
    return bool((values.astype("string").fillna("").str.strip() == "").all())


def _some(words: Iterable[str]) -> str:
    listed = list(words)
    return f"{', '.join(listed[:4])}{' ...' if len(listed) > 4 else ''}"


def _of_sdmx(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    pairs = frame["CURRENCY_DENOM"].astype("string") + frame["CURRENCY"].astype("string")
    keys = [name for name in ("KEY", "FREQ", "EXR_TYPE", "EXR_SUFFIX") if name in frame]
    series = pd.DataFrame({"pair": pairs, **{name: frame[name] for name in keys}}).drop_duplicates()
    if series["pair"].duplicated().any():
        pair = series["pair"][series["pair"].duplicated()].iloc[0]
        raise DataError(f"{ledger.name} holds several series of {pair}", hint="keep the rows of one KEY a pair")
    if "UNIT_MULT" in frame and not frame["UNIT_MULT"].astype("string").str.strip().isin(["0", ""]).all():
        raise DataError(f"{ledger.name}: its UNIT_MULT counts values in powers of ten", hint="write values in ones")
    ledger.note(
        f"OBS_VALUE is taken for closes of {_some(pairs.unique())}, units of CURRENCY for one of CURRENCY_DENOM"
    )
    return pd.DataFrame({"timestamp": frame["TIME_PERIOD"], "symbol": pairs, "close": frame["OBS_VALUE"]})
