"""Which column is what: names as exporters write them, and no role given twice in silence."""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

# role -> names without case, spaces and signs, the likeliest first
_ALIASES: Final = {
    "timestamp": (
        "timestamp datetime date time opentime startofbar datetimeutc timestamputc unix unixtimestamp unixtime epoch ts "
        "datadate tradedate tradingdate gmttime utctime utc dt starttime bartime periodstart day index"
    ),
    "symbol": "symbol ticker tickers tic code instrument tscode pair asset sid stock security",
    "open": "open o openprice priceopen 1open adjopen firsttrade",
    "high": "high h highprice max 2high adjhigh",
    "low": "low l lowprice min 3low adjlow",
    "close": "close c closeprice closelast last lastprice price 4close settle",
    "adjclose": "adjclose adjustedclose closeadj 5adjustedclose",
    "volume": "volume vol v totalvolume 5volume 6volume volumefrom tickvol",
    "quote_volume": "quotevolume quoteassetvolume volumequote volumeto turnoverusd",
    "base_volume": "basevolume baseassetvolume volumebase",
    "dividend": "dividend dividends divcash dividendamount 7dividendamount capitalgainsdividend",
    "split": "split splits stocksplits stocksplit splitfactor splitcoefficient 8splitcoefficient",
    "factor": "factor adjfactor",
    "period": "per period",
}
_ROLES: Final = {name: role for role, names in _ALIASES.items() for name in names.split()}
_RANK: Final = {name: place for names in _ALIASES.values() for place, name in enumerate(names.split())}
MONEY: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI", "USD")  # counted as dollars
_OTHER_MONEY: Final = ("EUR", "GBP", "JPY", "KRW", "AUD", "CAD", "CHF", "TRY", "BRL")
PRICES: Final = ("open", "high", "low", "close", "adjclose")


def plain(name: object) -> str:
    """Return a column's name without case, spaces, signs and what stands in brackets behind it."""
    text = re.sub(r"(?<=\w)\s*[(\[].*[)\]]\s*$", "", str(name).strip())
    return "".join(letter for letter in text.lower() if letter.isalnum())


def role_of(name: object) -> str | None:
    """Return the role of a column of that name; None where it says nothing."""
    return _ROLES.get(plain(name)) or _named_volume(name)


def _named_volume(name: object) -> str | None:
    """Return which volume `Volume USD`, `Volume BTC` or `volume_usdt` is."""
    words = re.split(r"[^A-Za-z0-9]+", str(name).strip())
    if len(words) not in (2, 3) or words[0].lower() not in ("volume", "vol"):
        return None
    if words[1].upper() in (*MONEY, *_OTHER_MONEY):
        return "quote_volume"
    return "base_volume" if words[1].isalnum() and 2 <= len(words[1]) <= 10 else None


def columns_by_role(frame: pd.DataFrame, ledger: Ledger) -> dict[str, list[tuple[str, pd.Series]]]:
    """Return the columns of each role as (name, values), the likeliest first; others are listed as passed over.

    Raises:
        DataError: two columns of one name and role differ, or the table lacks a time or a close.
    """
    found: dict[str, list[tuple[str, pd.Series]]] = {}
    passed: list[str] = []
    for position, column in enumerate(frame.columns):
        label, values = str(column), frame.iloc[:, position]
        role = role_of(column)
        if role is None and position == 0 and (plain(column).startswith("unnamed") or not plain(column)):
            role = "timestamp"
        if role is None:
            passed.append(label or f"column {position + 1}")
        elif role == "period" or not _is_blank(values):
            found.setdefault(role, []).append((label, values))
    for role, columns in found.items():
        columns.sort(key=lambda item: _RANK.get(plain(item[0]), 99))
        if role not in ("timestamp", "period"):
            passed += _one_column(role, columns, ledger.name)
    if "close" not in found and "adjclose" in found:
        _take_adjusted(found, ledger)
    missing = [name for name in ("timestamp", "close") if name not in found]
    if missing:
        raise DataError(
            f"{ledger.name} has no column for {' and '.join(missing)}; it has {', '.join(map(str, frame.columns))}",
            hint="name them timestamp, symbol, open, high, low, close, volume",
        )
    volumes = {"volume", "base_volume", "quote_volume"} & set(found)
    lacking = [role for role in ("open", "high", "low") if role not in found] + ([] if volumes else ["volume"])
    if lacking:
        ledger.note(f"the file has no column for {', '.join(lacking)}")
    if passed:
        ledger.settle("passed over", ", ".join(passed))
    return found


def _one_column(role: str, columns: list[tuple[str, pd.Series]], where: str) -> list[str]:
    """Leave one column of a role, the likeliest by name; return the names of the others."""
    first = columns[0]
    for name, values in columns[1:]:
        same_name = plain(name) == plain(first[0]) or _RANK.get(plain(name), 99) == _RANK.get(plain(first[0]), 99)
        if not same_name and role != "symbol":
            continue
        if not (values.astype("str").to_numpy() == first[1].astype("str").to_numpy()).all():
            raise DataError(
                f"{where}: {first[0]} and {name} both stand for {role}, and differ", hint="rename or remove one of them"
            )
    rest = [name for name, _ in columns[1:]]
    del columns[1:]
    return rest


def _take_adjusted(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Let adjusted closes stand as the close; raw opens, highs and lows do not belong to them."""
    found["close"] = found.pop("adjclose")
    raw = [role for role in ("open", "high", "low") if role in found and not plain(found[role][0][0]).startswith("adj")]
    for role in raw:
        del found[role]
    beside = f"; {', '.join(raw)} are not adjusted with it and are left out" if raw else ""
    ledger.note(f"the only close is {found['close'][0][0]}{beside}")
    ledger.settle("adjustment", f"by its only close, {found['close'][0][0]}")


def _is_blank(values: pd.Series) -> bool:
    """Return whether a column holds nothing at all."""
    if pd.api.types.is_string_dtype(values) or values.dtype == object:
        text = values.astype("string").str.strip().fillna("")
        return bool(len(values)) and bool((text == "").all())
    return bool(len(values)) and bool(values.isna().all())
