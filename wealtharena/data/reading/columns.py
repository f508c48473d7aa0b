"""Which column is what: names as exporters write them, and no role given twice in silence."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Final

import pandas as pd

from wealtharena.data.reading import words
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.words import Meaning
from wealtharena.data.reading.zones import without_word
from wealtharena.errors import DataError

# role -> names without case, spaces and signs, the likeliest first
_ALIASES: Final = {
    "timestamp": (
        "timestamp datetime date time opentime startofbar datetimeutc timestamputc unix unixtimestamp unixtime epoch ts "
        "datadate tradedate tradingdate gmttime utctime utc dt starttime bartime periodstart localtime day index"
    ),
    "symbol": "symbol ticker tickers tic code instrument tscode pair asset sid stock security",
    "name": "ric isin cusip sedol figi permno gvkey name",  # of a table without symbols
    "currency": "currency ccy quotecurrency pricecurrency tradingcurrency",
    "open": "open o openprice priceopen 1open adjopen firsttrade",
    "high": "high h highprice max 2high adjhigh",
    "low": "low l lowprice min 3low adjlow",
    "close": "close c closeprice closelast last lastprice price 4close settle",
    "adjclose": "adjclose adjustedclose closeadj 5adjustedclose",
    "volume": (
        "volume vol v totalvolume 5volume 6volume volumefrom tickvol tottrdqty ttltrdqnty totaltradedquantity tradedquantity "
        "noofshares numberofshares sharestraded tradingvolume tradevolume"
    ),
    "quote_volume": "quotevolume quoteassetvolume volumequote volumeto turnoverusd dollarvolume",
    "turnover": "amount turnover totalturnover money tradedvalue tradevalue totaltradedvalue tottrdval value 成交额 成交金额",  # a proof
    "base_volume": "basevolume baseassetvolume volumebase",
    "dividend": (
        "dividend dividends divcash exdividend cashdividend dividendpershare dividendspershare dividendamount "
        "7dividendamount div dps distribution distributions capitalgainsdividend"
    ),
    "split": "split splits stocksplits stocksplit splitratio stocksplitratio splitfactor splitcoefficient 8splitcoefficient",
    "factor": "factor adjfactor",
    "gains": "capitalgains",
    "period": "per period",
    "zone": (  # of the times beside it
        "timezone tz tzname timezonename exchangetimezonename exchangetimezone exchangetz gmtoffset utcoffset tzoffset "
        "timezoneoffset"
    ),
}
_ROLES: Final = {name: role for role, names in _ALIASES.items() for name in names.split()}
_RANK: Final = {name: place for names in _ALIASES.values() for place, name in enumerate(names.split())}
_INDICATORS: Final = frozenset({"MA", "SMA", "EMA", "WMA", "AVG", "AVERAGE", "MEAN", "CHANGE", "CHG", "PCT", "PERCENT", "RATIO",
                               "ZSCORE", "STD", "DELTA", "DIFF", "RSI", "OBV", "MFI", "TREND", "SIGNAL", "PROFILE", "OSC",
                               "FLAG", "RANK", "LOG"})  # fmt: skip
PRICES: Final = ("open", "high", "low", "close", "adjclose")
_NAMED: Final = re.compile(r"[^\W\d_]")  # a letter
_LARGE: Final = re.compile(r"[^\W\d_]{3}|000|[\u4e00-\u9fff]")  # of a scale that a price may be counted in
_VOLUMES: Final = ("volume", "quote_volume", "base_volume")


def plain(name: object) -> str:
    """Return a column's name without case, spaces, signs and what stands in brackets behind it."""
    return "".join(letter for letter in words.without_bracket(name).lower() if letter.isalnum())


def parts_of(name: object) -> tuple[str, Meaning]:
    """Return a column's name without the words behind it, and what these say: `Close (EUR)`, `close_eur`, `volume in lots`.

    Words that no bracket holds count where all of them are known and say something about a price or a volume.
    """
    if not _NAMED.search(str(name)):
        return str(name), Meaning()  # a number, as most cells are in which a header is looked for
    if said := words.bracket(name):
        base, meaning = words.without_bracket(name), words.meaning_of(said)
        if meaning.scale != 1.0 and _ROLES.get(plain(base)) in PRICES and not _LARGE.search(said):
            meaning = replace(meaning, scale=1.0, unknown=(*meaning.unknown, said))  # no price is counted in M or K
        return base, meaning
    text = str(name).strip()
    if plain(text) in _ROLES and not any(unicodedata.category(letter) == "Sc" for letter in text[1:]):
        return text, Meaning()
    pieces = [piece for piece in re.split(r"[\s_,./-]+|(?<=[a-z])(?=[A-Z])", text) if piece]
    for cut in range(len(pieces) - 1, 0, -1):
        base, rest = " ".join(pieces[:cut]), pieces[cut:]
        role = _ROLES.get(plain(base))
        if role not in (*PRICES, "volume", "turnover") or any(
            len(word) < 3 and word.isascii() and word.isalpha() and word.lower() != "in" for word in rest
        ):
            continue
        meaning = words.meaning_of(" ".join(rest))
        if meaning.telling and not (meaning.count if role in PRICES else meaning.side):
            return base, meaning
    return text, Meaning()


def role_of(name: object) -> str | None:
    """Return the role of a column of that name; None where it says nothing."""
