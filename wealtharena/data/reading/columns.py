"""Which column is what: names as exporters write them, and no role given twice in silence."""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

from wealtharena.data import currency
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.zones import without_word
from wealtharena.errors import DataError

# role -> names without case, spaces and signs, the likeliest first
_ALIASES: Final = {
    "timestamp": (
        "candledatetimeutc timestamp datetime date time opentime startofbar datetimeutc timestamputc unix unixtimestamp unixtime epoch ts "
        "datadate tradedate tradingdate gmttime utctime utc dt starttime bartime periodstart localtime windowstart tsevent mts startat snappedat "
        "dtyyyymmdd 日期 时间 datum zeit t day index"
    ),
    "symbol": "symbol ticker tickers tic code instrument tscode pair asset sid stock security 股票代码 代码",
    "name": "ric isin cusip sedol figi permno gvkey name",  # of a table without symbols
    "currency": "currency ccy quotecurrency pricecurrency tradingcurrency",
    "open": "open o openprice priceopen 1open adjopen firsttrade pxopen openprc prcod openingprice 开盘 开盘价 eröffn eröffnung erster",
    "high": "high h highprice max 2high adjhigh pxhigh pricehigh askhi prchd 最高 最高价 hoch tageshoch",
    "low": "low l lowprice min 3low adjlow pxlow pricelow bidlo prcld 最低 最低价 tief tagestief",
    "close": "close c closeprice closelast last lastprice price 4close settle pxlast priceclose prc prccd tradeprice 收盘 收盘价 zuletzt schluss schlusskurs",
    "adjclose": "adjclose adjustedclose closeadj 5adjustedclose",
    "volume": "volume vol v totalvolume 5volume 6volume volumefrom tickvol pxvolume cshtrd 成交量 volumen",
    "quote_volume": "quotevolume quoteassetvolume volumequote volumeto turnoverusd candleacctradeprice 成交额",
    "base_volume": "basevolume baseassetvolume volumebase candleacctradevolume stuecke stücke",
    "dividend": (
        "dividend dividends divcash exdividend cashdividend dividendpershare dividendspershare dividendamount "
        "7dividendamount div dps distribution distributions capitalgainsdividend"
    ),
    "split": "split splits stocksplits stocksplit splitratio stocksplitratio splitfactor splitcoefficient 8splitcoefficient",
    "factor": "factor adjfactor cfacpr ajexdi",
    "gains": "capitalgains",
    "period": "per period",
    "zone": (  # of the times beside it
        "timezone tz tzname timezonename exchangetimezonename exchangetimezone exchangetz gmtoffset utcoffset tzoffset "
        "timezoneoffset"
    ),
}
_ROLES: Final = {name: role for role, names in _ALIASES.items() for name in names.split()}
_RANK: Final = {name: place for names in _ALIASES.values() for place, name in enumerate(names.split())}
MONEY: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI", "USD")  # counted as dollars
_OTHER_MONEY: Final = ("EUR", "GBP", "JPY", "KRW", "AUD", "CAD", "CHF", "TRY", "BRL")
_HUNDREDTHS: Final = {"GBX": "GBX", "GBp": "GBX", "GBPENCE": "GBX", "ZAc": "ZAC", "ZAC": "ZAC", "ILA": "ILA",
                      "ILa": "ILA"}  # fmt: skip
_MONEY_WORDS: Final = {"gbx": "GBX", "pence": "GBX", "us$": "USD", "us dollar": "USD", "us dollars": "USD", "euro": "EUR",
                       "euros": "EUR", "a$": "AUD", "c$": "CAD", "hk$": "HKD", "british pound": "GBP", "pound sterling": "GBP",
                       "japanese yen": "JPY", "yen": "JPY", "swiss franc": "CHF"}  # fmt: skip
_INDICATORS: Final = frozenset({"MA", "SMA", "EMA", "WMA", "AVG", "AVERAGE", "MEAN", "CHANGE", "CHG", "PCT", "PERCENT", "RATIO",
                               "ZSCORE", "STD", "DELTA", "DIFF", "RSI", "OBV", "MFI", "TREND", "SIGNAL", "PROFILE", "OSC",
                               "FLAG", "RANK", "LOG"})  # fmt: skip
_TIMES: Final = {"000": 1e3, "000s": 1e3, "'000": 1e3, "k": 1e3, "thousand": 1e3, "thousands": 1e3, "in thousands": 1e3,
                 "m": 1e6, "mn": 1e6, "mio": 1e6, "mil": 1e6, "mm": 1e6, "million": 1e6, "millions": 1e6, "in millions": 1e6,
                 "b": 1e9, "bn": 1e9, "billion": 1e9, "billions": 1e9, "in billions": 1e9}  # fmt: skip
PRICES: Final = ("open", "high", "low", "close", "adjclose")


def plain(name: object) -> str:
    """Return a column's name without case, spaces, signs and what stands in brackets behind it."""
    text = re.sub(r"(?<=\w)\s*[(\[].*[)\]]\s*$", "", str(name).strip())
    return "".join(letter for letter in text.lower() if letter.isalnum())


def role_of(name: object) -> str | None:
    """Return the role of a column of that name; None where it says nothing."""
    known = _ROLES.get(plain(name)) or _named_volume(name)
    return known or ("timestamp" if _ROLES.get(plain(without_word(str(name)))) == "timestamp" else None)


def _named_volume(name: object) -> str | None:
    """Return which volume `Volume USD`, `Volume BTC` or `volume_usdt` is; whether BTC is a coin its table must tell."""
    word = _word_of_volume(name)
    if word in (*MONEY, *_OTHER_MONEY):
        return "quote_volume"
    return "base_volume" if word else None


def _word_of_volume(name: object) -> str:
    """Return BTC of `Volume BTC`; "" for any other name."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", str(name)) if word]
    if len(words) != 2 or words[0].lower() not in ("volume", "vol"):
        return ""
    return words[1].upper() if words[1].isalnum() and 2 <= len(words[1]) <= 10 else ""


def currency_of(text: str) -> str:
    """Return the currency that a word names, GBX, ZAC or ILA for hundredths; "" for any other word."""
    word = text.strip()
    known = _HUNDREDTHS.get(word) or _MONEY_WORDS.get(word.lower().replace(".", ""))
    return known or (word.upper() if word.upper() in currency.codes() else "")


def _bracket(name: object) -> str:
    """Return what stands in brackets behind a column's name: EUR of `Close (EUR)`."""
    found = re.search(r"[(\[]([^()\[\]]*)[)\]]\s*$", str(name).strip())
    return found[1].strip() if found else ""


def scale_of(name: object) -> float:
    """Return what a cell of a column named `Volume (000s)` or `Vol [M]` counts; 1 where its name gives no scale."""
    return _TIMES.get(_bracket(name).lower(), 1.0)


def columns_by_role(frame: pd.DataFrame, ledger: Ledger) -> dict[str, list[tuple[str, pd.Series]]]:
    """Return the columns of each role as (name, values), the likeliest first; others are listed as passed over.

    Raises:
        DataError: two columns of one name and role differ, or the table lacks a time or a close.
    """
    found: dict[str, list[tuple[str, pd.Series]]] = {}
    passed: list[str] = []
    blank: dict[str, str] = {}
    strangers = _strangers(frame, ledger.name)
    for position, column in enumerate(frame.columns):
        label, values = str(column), frame.iloc[:, position]
        role = role_of(column) if label not in strangers else None
        if role is None and position == 0 and (plain(column).startswith("unnamed") or not plain(column)):
            role = "timestamp"
        if role is None:
            passed.append(label or f"column {position + 1}")
        elif role == "period" or not _is_blank(values):
            found.setdefault(role, []).append((label, values))
        else:
            blank[role] = label
    for role, columns in found.items():
        columns.sort(key=lambda item: _RANK.get(plain(item[0]), 99))
        if role not in ("timestamp", "period", "name"):
            passed += _one_column(role, columns, ledger.name)
    if "name" in found:
        passed += _by_name(found, ledger)
    if "close" not in found and "adjclose" in found:
        _take_adjusted(found, ledger)
    missing = [name for name in ("timestamp", "close") if name not in found]
    if empty := [blank[name] for name in missing if name in blank]:
        raise DataError(f"{ledger.name}: {' and '.join(empty)} holds nothing in any row", hint="download it again")
    if missing:
        raise DataError(
            f"{ledger.name} has no column for {' and '.join(missing)}; it has {', '.join(map(str, frame.columns))}",
            hint="name them timestamp, symbol, open, high, low, close, volume",
        )
    volumes = {"volume", "base_volume", "quote_volume"} & set(found)
    lacking = [role for role in ("open", "high", "low") if role not in found] + ([] if volumes else ["volume"])
    if lacking:
        ledger.note(f"the file has no column for {', '.join(lacking)}")
    for name, _ in (found[role][0] for role in PRICES if role in found):
        ledger.state_currency(currency_of(_bracket(name)), f"the column {name}")
    if passed:
        ledger.settle("passed over", ", ".join(passed))
    return found


def _strangers(frame: pd.DataFrame, where: str) -> set[str]:
    """Return the columns that their table shows not to be what their name may mean.

    `C` is a close, and a ticker beside other tickers in a table of closes; `Volume BTC` counts coins where the table is of
    BTC, has that volume in money too, or has no other volume. `Volume MA` and `vol_20` are made of prices or volumes.
    """
    labels = [str(column) for column in frame.columns]
    letters = {plain(label) for label in labels} & set("ohlc")
    unknown = any(label and role_of(label) is None for label in labels[1:])
    lone = "close" not in {role_of(label) for label in labels if len(plain(label)) > 1}  # no column called close
    crowd = unknown or {label.strip() for label in labels if len(label.strip()) == 1} == {"C", "V"}
    lonely = {label for label in labels if lone and crowd and len(letters) < 3 and plain(label) in set("ohlcv")}
    if len(letters) < 4 or any(role_of(label) == "timestamp" for label in labels if plain(label) != "t"):
        lonely |= {label for label in labels if plain(label) == "t"}  # a ticker, where it is no column of letters alone
    if any(plain(label) == "candledatetimeutc" for label in labels):
        lonely |= {label for label in labels if plain(label) == "timestamp"}  # Upbit's, of the last trade in a bar
    words = {label: word for label in labels if (word := _word_of_volume(label)) and role_of(label) == "base_volume"}
    made = {label for label, word in words.items() if word in _INDICATORS or word[:1].isdigit()}
    coins = {label: word for label, word in words.items() if label not in made}
    others = any(role_of(label) in ("volume", "quote_volume") for label in labels if label not in words)
    if (not others and len(coins) == 1) or any(role_of(label) == "quote_volume" for label in labels):
        return lonely | made
    told = [where, *(str(name) for label in labels if role_of(label) == "symbol" for name in frame[label].iloc[:1])]
    strange = {
        label for label, word in coins.items() if not any(re.search(rf"(?i)(^|[^a-z]){word}", name) for name in told)
    }
    return lonely | made | strange


def _by_name(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> list[str]:
    """Let a column that names securities stand for symbols where the table has none; return the names of the others.

    Raises:
        DataError: it holds several names, one after the other: a security that was renamed, or several of them.
    """
    columns = found.pop("name")
    several = [item for item in columns if item[1].astype("str").str.strip().nunique() > 1]
    rics = [item for item in columns if plain(item[0]) == "ric"]
    if "symbol" not in found and not several and rics:
        found["symbol"] = rics[:1]  # one security's file: its RIC is its symbol, and tells its venue
        ledger.note(f"the file has no column of symbols; {rics[0][0]} is taken for its symbol")
        return [name for name, _ in columns if name != rics[0][0]]
    if "symbol" in found or not several or "timestamp" not in found:
        return [name for name, _ in columns]
    name, values = several[0]
    rows = pd.DataFrame({place: stamps.astype("str") for place, (_, stamps) in enumerate(found["timestamp"])})
    once = rows.assign(name=values.astype("str")).drop_duplicates()
    if not once.duplicated(subset=list(rows)).any():
        raise DataError(
            f"{ledger.name} has no column of symbols, and {name} holds {values.nunique()} names, one after the other",
            hint="call that column symbol if they are several securities, or remove it if one was renamed",
        )
    found["symbol"] = [several[0]]
    ledger.note(f"the file has no column of symbols; {name} tells its securities apart")
    return [other for other, _ in columns if other != name]


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
