"""Symbols exactly as they are written: never numbers, truth values or missing cells, whatever they look like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data import currency, intervals
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.words import DOLLARS
from wealtharena.errors import DataError

_KRAKEN: Final = {"XBT": "BTC", "XDG": "DOGE"}
_COINS: Final = frozenset({
    "BTC", "XBT", "ETH", "BNB", "XRP", "SOL", "DOGE", "XDG", "ADA", "TRX", "LINK", "AVAX", "XLM", "BCH", "DOT", "LTC",
    "ATOM", "ETC", "XMR", "ALGO", "VET", "FIL", "UNI", "NEAR", "MATIC", "POL", "SHIB", "TON", "SUI", "APT", "ARB", "AAVE",
    "MKR", "EOS", "XTZ", "ZEC", "DASH", "NEO", "ICP", "HBAR", "PEPE", "INJ", "GRT", "SAND", "MANA", "CRV", "LDO", "KSM",
    "QTUM", "IOTA", "COMP", "SNX", "YFI", "SUSHI", "BAT", "ZRX", "ENJ", "CHZ", "AXS", "FTM", "XEM", "TIA", "TAO", "RUNE",
    "WIF", "BONK", "FLOKI", "RNDR", "FET", "STX", "IMX", "GALA", "EGLD", "THETA", "FLOW", "ZIL", "WAVES", "KAVA", "DYDX",
    "ZEN", "BSV", "OMG", "KNC", "GNO", "1INCH", "WBTC", "STETH", "USDT", "USDC", "EURT", "EURC", "PAXG", "XAUT",
})  # fmt: skip
_COIN_MONEY: Final = ("BTC", "XBT", "ETH", "BNB")  # coins in which exchanges quote others
_USUAL_MONEY: Final = ("EUR", "GBP", "JPY", "KRW", "AUD", "CAD", "CHF", "TRY", "BRL")  # ends the name of hardly a coin
_DOLLARS: Final = frozenset({*DOLLARS, "USDE", "USDP", "USDS", "USDD", "GUSD", "PYUSD", "RLUSD", "USTC", "UST", "FRAX"})
_CONTRACT: Final = frozenset({"PERP", "PERPETUAL", "SWAP", "SPOT", "FUT", "FUTURES", "LINEAR", "INVERSE"})
_UNSEEN: Final = "[\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad]"  # what a web page leaves in a copied name
_TEXT_MARK: Final = r"^'(?=[^']+$)"  # before what a spreadsheet is to keep as text: '600519
_NEXT_BARS: Final = 5  # steps within which the bars of one name follow those of another
_DATE: Final = r"(?:\d{4}-\d{2}(?:-\d{2})?|(?:19|20)\d{6}(?:\d{4}|\d{6})?|\d{2}\.\d{2}\.(?:19|20)\d{2}|(?:19|20)\d{2})"  # 2024-01, 202301010000, 2023
_OF_A_STEM: Final = re.compile(  # what exporters, browsers and desks append to a symbol; never all of a name
    r"(?<=[^\W_]|!)(?:"
    r"[-_ ](?:"
    r"(?:1m|3m|5m|15m|30m|1h|2h|4h|6h|12h|1d|1w|1mo|d|h|w|m|\d{1,2}mins?|1min(?:ute)?|1hour|1day|1week|1month|daily|weekly|monthly|hourly|minute|60|240|720|1440"
    r"|M(?:1|2|3|4|5|6|10|12|15|20|30)|H(?:1|2|3|4|6|8|12)|D1|W1|MN1?)(?:[-_]\d{4}(?:-\d{2}){0,2})?"
    rf"|Candlestick_\d+_[A-Z]+_(?:BID|ASK)|{_DATE})"
    r"|,\s?(?:\d{1,4}[SDWMH]?|[DWM])(?:_[0-9a-f]{5})?"  # TradingView's `, 1D`
    r"|_full_1?\d?(?:min|hour|day)_(?:adjsplitdiv|adjsplit|unadjusted)|_(?:[a-z0-9-]+_historical-data|price-history)-\d\d-\d\d-\d{4}"  # FirstRate, Barchart
    r"|\.(?:last|bid|ask)| historical (?:data|prices)"  # NinjaTrader, Investing.com
    r"|\s?\(\d{1,3}\)|(?: -)? copy)$",
    re.IGNORECASE,
)
_WHOLE_STEM: Final = re.compile(  # NSE's, CoinMarketCap's and Nasdaq's names of a file, which hold the symbol
    r"Quote-Equity-(?P<nse>.+?)-(?:[A-Z]{2})-\d\d-\d\d-\d{4}-to-\d\d-\d\d-\d{4}"
    r"|(?P<coin>.+?)_(?:\d{1,2}_\d{1,2}_\d{4}-\d{1,2}_\d{1,2}_\d{4}|\d{4}-\d\d-\d\d-\d{4}-\d\d-\d\d)_historical_data_coinmarketcap"
    r"|Download Data - [A-Z]+_[A-Z]{2}_[A-Z]{4}_(?P<marketwatch>[A-Z.]+)"
    r"|'(?P<marked>[^']+)"  # what a spreadsheet is to keep as text
)
_BEFORE_A_SYMBOL: Final = re.compile(
    r"(?:currency_)?(?:daily|weekly|monthly)_(?:adjusted_)?(?=[A-Z])"
)  # Alpha Vantage's


def symbols_of(values: pd.Series, ledger: Ledger) -> pd.Series:
    """Return the symbol of each row as text, <NA> where the cell is empty.

    Raises:
        DataError: the column holds truth values or broken numbers, or two spellings differ in case only.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(values):
        raise DataError(
            f"{ledger.name}: its column of symbols holds true and false, not text", hint="write the symbols as text"
        )
    if pd.api.types.is_float_dtype(values):
        present = values.dropna()
        if (present != np.trunc(present)).any():
            raise DataError(f"{ledger.name}: symbol {present.iloc[0]} is a number", hint="write the symbols as text")
        values = values.astype("Int64")
    if pd.api.types.is_integer_dtype(values):
        ledger.note("symbols stand as numbers; zeros at their beginning may have been lost")
    text: pd.Series = values.astype("string").str.replace(_UNSEEN, "", regex=True).str.strip()
    text = text.str.replace(_TEXT_MARK, "", regex=True)
    text = text.mask(text == "")
    check_spellings(text.dropna().unique(), where=ledger.name)
    return text


def check_spellings(names: Iterable[str], *, where: str) -> None:
    """Raise DataError where two names are one but for case or spaces."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.upper().strip(), name)
        if other != name:
            raise DataError(f"{where}: {other} and {name} are two spellings of one symbol", hint="write one of them")


def check_continued(tables: Mapping[str, pd.DataFrame], *, where: str) -> None:
    """Raise DataError where one symbol's bars end as another's begin whose name is the first and something behind it.

    JPM and JPM.N, or JPM and `JPM US Equity`, are then one symbol, of which half would be taken for the whole.
    """
    for name, late in tables.items():
        short = re.split(r"[ .:/_-]", name, maxsplit=1)[0]
        if short == name or short not in tables:
            continue
        first, second = sorted((tables[short], late), key=lambda table: table["timestamp"].min())
        gap = second["timestamp"].min() - first["timestamp"].max()
        if pd.Timedelta(0) < gap <= max(pd.Timedelta(days=7), _NEXT_BARS * _step(first)):
            raise DataError(
                f"{where}: the bars of {short} and {name} follow each other, as of one symbol in two spellings",
                hint="write one of them",
            )


def _step(table: pd.DataFrame) -> pd.Timedelta:
    shown = intervals.spacing(table["timestamp"])
    return shown.typical if shown else pd.Timedelta(0)


def symbol_of_file(stem: str) -> str:
    """Return the symbol that a file is named by, without interval, dates and a copy's number that stand around it."""
    copy = re.sub(r"(?: ?\(\d{1,3}\)|(?: -)? copy)$", "", stem)
    if whole := _WHOLE_STEM.fullmatch(copy):
        return str(next(filter(None, whole.groups())))
    stem = _BEFORE_A_SYMBOL.sub("", stem) if _BEFORE_A_SYMBOL.match(stem) else stem
    shorter = _OF_A_STEM.sub("", stem)
    while shorter != stem:
        stem, shorter = shorter, _OF_A_STEM.sub("", shorter)
    return stem


def canonical_symbol(name: str, market: str) -> str:
    """Return a source's symbol in the platform's words: EURUSD for EURUSD=X or EUR/USD, BTC-USD for BTC/USD.

    A pair of currencies is the one that stands in the name, whatever a broker writes beside it: EURUSD for EURUSD.pro.
    """
    text = name.strip()
    if market == "forex":
        bare = text.upper().removesuffix("=X").replace("/", "").replace("_", "").replace("-", "")
        if len(bare) == 3 and text.upper().endswith("=X"):
            return f"USD{bare}"
        return bare if currency.split_pair(bare) else currency.pair_in(text) or bare
    return text.replace("/", "-") if market == "crypto" else text


def canonical(raw: Mapping[str, pd.DataFrame], market: str) -> dict[str, str]:
    """Return the platform's word for each symbol of a file.

    Raises:
        DataError: two of them become one.
    """
    named: dict[str, str] = {}
    for name in raw:
        symbol = canonical_symbol(name, market)
        if symbol in named.values():
            raise DataError(f"two symbols of the file are both {symbol}", hint=f"rename or remove {name}")
        named[name] = symbol
    return named


def quote_of_coin(name: str) -> tuple[str, bool] | None:
    """Return what a coin's name says that it is quoted in, and whether that is sure; None where it says nothing.

    The quote is USD for dollars and dollar coins, a currency's code, or a coin (BTC of `ETH/BTC`); unsure is also a word
    that is none of them. A coin such as STETH or WBTC, a perpetual's `BTC-PERP` and a wallet's `BTC` say nothing.
    """
    name = name[1:] if re.fullmatch(r"t[A-Z0-9]{6,}", name) else name  # Bitfinex's tETHBTC
    text = name.upper()
    if ":" in text:  # BTC/USDT:USDT settles in what stands behind; BINANCE:BTCUSDT trades where the first word says
        before, _, after = text.partition(":")
        text = before if re.search(r"[-/]", before) else after
    words = [word for word in re.split(r"[-/_. ]+", text) if word and not word.isdigit() and word not in _CONTRACT]
    for before, word in reversed(list(pairwise(words))):
        if money := _money(word):
            return money, True
        paired = before in _COINS or _money(before) or "/" in text  # of kraken-btc the first is a source
        if word in _COINS and paired:
            return (_money(before) or word), not _money(before)  # KRW-BTC, as Upbit writes it
    glued = [found for word in words if (found := _glued(word))]
    if glued:
        return glued[-1]
    return (words[-1], False) if len(words) > 1 and words[-1].isalpha() else None


def is_money(word: str) -> bool:
    """Return whether a word is a currency's code or a dollar coin."""
    return _money(word) is not None


def _money(word: str) -> str | None:
    """Return the currency that a word stands for, USD for a dollar coin."""
    return "USD" if word in _DOLLARS else word if word in currency.codes() else None


def _glued(word: str) -> tuple[str, bool] | None:
    """Return the quote of a pair without a separator, and whether its coin is known to be one: EUR of XBTEUR."""
    if kraken := re.fullmatch(r"X([A-Z]{3})[XZ]([A-Z]{3})", word):
        word = kraken[1] + kraken[2]
    if coins_of(word):
        return "USD", True
    base, last = word[:-3], word[-3:]
    if base in _COINS and (last in currency.codes() or last in _COIN_MONEY):
        return last, True
    told = last in _USUAL_MONEY or (last in _COIN_MONEY and len(base) >= 3)
    return (last, False) if told and len(base) >= 2 else None


def dollar_pairs(names: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Return which coins of a file stand for wanted ones: BTCUSDT for BTC-USD, where that is not there itself.

    Only where one symbol alone can stand for it: with BTCUSDT and BTCUSDC in a file neither is taken.
    """
    known = set(names)
    stand_ins: dict[str, list[str]] = {}
    for name in sorted(known):
        for symbol in {f"{coin}-USD" for coin in coins_of(name)} & set(wanted):
            stand_ins.setdefault(symbol, []).append(name)
    return {found[0]: symbol for symbol, found in stand_ins.items() if symbol not in known and len(found) == 1}


def coins_of(name: str) -> set[str]:
    """Return which coins a pair may be of, against the dollar or a dollar coin: DOTUSD is DOT in USD, or DO in TUSD.

    None for anything else, a perpetual included.
    """
    text = name.upper()
    found: set[str] = set()
    if ":" in text:
        return found
    for money in DOLLARS:
        coin = text.removesuffix(money)
        bare = coin.rstrip("-/_")
        if coin != text and bare.isalnum() and 2 <= len(bare) <= 10:
            found.add(_KRAKEN.get(bare, bare))
    return found
