"""What a symbol's suffix says of its venue: currency, whether quotes are in hundredths of it, and the time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.spelling import as_key
from wealtharena.data import calendars, currency
from wealtharena.data.bars import PRICE_COLUMNS
from wealtharena.data.reading.identifiers import canonical_symbol, coins_of, is_money, quote_of_coin
from wealtharena.data.reading.words import HUNDREDTHS, SMALL, shown
from wealtharena.errors import DataError


@dataclass(frozen=True)
class Quote:
    """How a symbol is quoted: `scale` turns a quote into `currency`; `said` is what a report must say about it."""

    currency: str
    scale: float = 1.0
    said: str = ""

    def whole(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table with prices and dividends in whole units of the currency."""
        if self.scale == 1.0:
            return table
        return table.assign(**{name: table[name] * self.scale for name in (*PRICE_COLUMNS, "dividend")})


# suffix -> currency, hundredths of it or not, time zone, calendar (of days, where the library of calendars has none)
_VENUES: Final = {
    "AX": "AUD Australia/Sydney XASX", "NZ": "NZD Pacific/Auckland XNZE", "T": "JPY Asia/Tokyo XTKS",
    "JP": "JPY Asia/Tokyo XTKS", "HK": "HKD Asia/Hong_Kong XHKG", "SS": "CNY Asia/Shanghai XSHG",
    "SH": "CNY Asia/Shanghai XSHG", "SZ": "CNY Asia/Shanghai XSHG", "BJ": "CNY Asia/Shanghai XSHG",
    "KS": "KRW Asia/Seoul XKRX", "KQ": "KRW Asia/Seoul XKRX", "TW": "TWD Asia/Taipei XTAI",
    "TWO": "TWD Asia/Taipei XTAI", "NS": "INR Asia/Kolkata XBOM", "BO": "INR Asia/Kolkata XBOM",
    "SI": "SGD Asia/Singapore XSES", "KL": "MYR Asia/Kuala_Lumpur XKLS", "JK": "IDR Asia/Jakarta XIDX",
    "BK": "THB Asia/Bangkok XBKK", "SR": "SAR Asia/Riyadh XSAU", "TA": "ILS/100 Asia/Jerusalem weekday24",
    "IS": "TRY Europe/Istanbul XIST", "JO": "ZAR/100 Africa/Johannesburg XJSE", "L": "GBP/100 Europe/London XLON",
    "UK": "GBP/100 Europe/London XLON", "IR": "EUR Europe/Dublin XDUB", "PA": "EUR Europe/Paris XPAR",
    "DE": "EUR Europe/Berlin XETR", "F": "EUR Europe/Berlin XFRA", "SG": "EUR Europe/Berlin XSTU",
    "MU": "EUR Europe/Berlin XFRA", "AS": "EUR Europe/Amsterdam XAMS", "BR": "EUR Europe/Brussels XBRU",
    "LS": "EUR Europe/Lisbon XLIS", "MI": "EUR Europe/Rome XMIL", "MC": "EUR Europe/Madrid XMAD",
    "HE": "EUR Europe/Helsinki XHEL", "VI": "EUR Europe/Vienna XWBO", "AT": "EUR Europe/Athens weekday24",
    "SW": "CHF Europe/Zurich XSWX", "ST": "SEK Europe/Stockholm XSTO", "OL": "NOK Europe/Oslo XOSL",
    "CO": "DKK Europe/Copenhagen XCSE", "IC": "ISK Atlantic/Reykjavik XICE", "WA": "PLN Europe/Warsaw XWAR",
    "PR": "CZK Europe/Prague XPRA", "BD": "HUF Europe/Budapest XBUD", "RO": "RON Europe/Bucharest weekday24",
    "TO": "CAD America/Toronto XTSE", "V": "CAD America/Toronto XTSE", "NE": "CAD America/Toronto XTSE",
    "CN": "CAD America/Toronto XTSE", "MX": "MXN America/Mexico_City XMEX", "SA": "BRL America/Sao_Paulo BVMF",
    "BA": "ARS America/Argentina/Buenos_Aires XBUE", "SN": "CLP America/Santiago XSGO",
    "US": "USD America/New_York XNYS",
}  # fmt: skip
# suffix -> names of the venue before a symbol (TradingView's, Google's, ISO's); those of several countries are left out
_NAMES: Final = {
    "US": "NASDAQ NYSE AMEX ARCA BATS CBOE NYSEARCA NYSEAMERICAN NYSEMKT OTC OTCMKTS XNAS XNYS XASE ARCX US",
    "L": "LSE LON XLON", "AX": "ASX XASX", "NZ": "NZX NZE XNZE", "TO": "TSX XTSE", "V": "TSXV CVE XTSX",
    "NE": "NEO", "CN": "CNSX XCNQ", "T": "TYO XTKS JPX", "HK": "HKEX HKG SEHK XHKG", "SS": "SHA SSE SHSE XSHG",
    "SZ": "SHE SZSE XSHE", "KS": "KRX XKRX", "KQ": "KOSDAQ XKOS", "TW": "TWSE TPE XTAI", "TWO": "TPEX ROCO",
    "NS": "NSE XNSE", "BO": "BOM XBOM", "SI": "SGX XSES", "KL": "MYX KLSE XKLS", "JK": "XIDX", "BK": "BKK XBKK",
    "SR": "TADAWUL XSAU", "TA": "TASE TLV XTAE", "IS": "BIST XIST", "JO": "JSE XJSE", "DE": "XETR XETRA ETR",
    "F": "FWB FRA XFRA", "SG": "SWB XSTU", "MU": "XMUN", "PA": "EPA XPAR", "AS": "AMS XAMS", "BR": "EBR XBRU",
    "LS": "ELI XLIS", "MI": "MIL XMIL", "MC": "BME XMAD", "HE": "OMXHEX HEL XHEL", "VI": "VIE WBAG XWBO",
    "AT": "ATHEX XATH", "SW": "SWX SIX XSWX", "ST": "OMXSTO XSTO", "OL": "OSL XOSL", "CO": "OMXCOP CPH XCSE",
    "IC": "OMXICE XICE", "WA": "GPW WSE XWAR", "PR": "PSECZ XPRA", "BD": "XBUD", "RO": "BVB XBSE", "IR": "XDUB",
    "MX": "BMV XMEX", "SA": "BMFBOVESPA BVMF", "BA": "BCBA XBUE", "SN": "XSGO",
}  # fmt: skip
# Alpha Vantage's suffixes, and those of American shares in RICs
_SPELLINGS: Final = {
    "TRT": "TO", "TRV": "V", "DEX": "DE", "FRK": "F", "LON": "L", "BSE": "BO", "SHH": "SS", "SHZ": "SZ", "SAO": "SA",
    "PAR": "PA", "AMS": "AS", "BRU": "BR", "O": "US", "OQ": "US", "N": "US",
}  # fmt: skip
_EXCHANGES: Final = {name: suffix for suffix, names in _NAMES.items() for name in names.split()}
# suffix -> Bloomberg's codes behind a symbol: of the country, then of its exchanges
_CODES: Final = {
    "US": "US UN UW UQ UA UP UR UF UV", "L": "LN", "AX": "AU AT", "NZ": "NZ", "TO": "CN CT", "V": "CV", "T": "JP JT", "HK": "HK",
    "SS": "CH CG", "SZ": "CS", "KS": "KS", "KQ": "KQ", "TW": "TT", "NS": "IN IS", "BO": "IB", "SI": "SP", "KL": "MK",
    "JK": "IJ", "BK": "TB", "SR": "AB", "TA": "IT", "IS": "TI", "JO": "SJ", "DE": "GR GY", "F": "GF", "SG": "GS",
    "MU": "GM", "PA": "FP", "AS": "NA", "BR": "BB", "LS": "PL", "MI": "IM", "MC": "SM", "HE": "FH", "VI": "AV", "AT": "GA",
    "SW": "SW SE VX", "ST": "SS", "OL": "NO", "CO": "DC", "WA": "PW", "PR": "CP", "BD": "HB", "RO": "RO", "IR": "ID",
    "MX": "MM", "SA": "BZ BS", "BA": "AR", "SN": "CI",
}  # fmt: skip
_BLOOMBERG: Final = {code: suffix for suffix, codes in _CODES.items() for code in codes.split()}
_OF_BLOOMBERG: Final = re.compile(r"(\S+) ([A-Z]{2})( equity)?", re.IGNORECASE)
_WORDS: Final = frozenset({"AB", "ID", "IS", "IT", "SE", "SP", "UP"})  # codes that also end names: MSCI IT, SKF AB
_PREFIXES: Final = {"SH": "SS", "SZ": "SZ"}  # qlib's SH600000
_CLASSES: Final = frozenset({"A", "B", "C", "D", "K", "U", "W", "WS", "UN", "RT", "P"})  # BRK.B: a class of share
_SHARES: Final = ("stocks", "etf")  # the asset classes whose names may tell a venue
_METALS: Final = frozenset({"XAU", "XAG", "XPT", "XPD"})


def quote_of(symbol: str, asset: AssetSpec, *, stated: str = "") -> Quote:
    """Return how a symbol is quoted: as configured, a pair's own currency, as its file states, its venue's, the universe's.

    Raises:
        DataError: among currencies, the symbol names no pair; among coins, it is quoted in another coin.
    """
    configured = configured_for(symbol, asset)
    if configured is not None:
        return quote_in(configured)
    if asset.market == "forex":
        return _of_a_pair(symbol)
    if stated and not (asset.market == "crypto" and stated.startswith("USD") and _tells_money(symbol)):
        return _as_stated(symbol, asset, stated)
    return _by_name(symbol, asset)


def _as_stated(symbol: str, asset: AssetSpec, stated: str) -> Quote:
    """Return the quote that a file states; it is said where figures are divided, or where the name tells another.

    Raises:
        DataError: the file states a sign of several currencies, and the name tells none of them.
    """
    usual: Quote | None = None
    with suppress(DataError):  # a coin in a coin
        usual = _by_name(symbol, asset)
    quote = _meant(symbol, asset, stated, usual)
    if usual and quote.currency == usual.currency and quote.scale == usual.scale == 1.0:
        return quote
    words = f"hundredths of {quote.currency}, divided by 100" if quote.scale != 1.0 else quote.currency
    return replace(quote, said=f"{symbol}: prices are in {words}, as the file states")


def _meant(symbol: str, asset: AssetSpec, stated: str, usual: Quote | None) -> Quote:
    """Return the quote of one of several currencies that a sign stands for, the name's own; a dollar alone is American.

    Cents of a future stay as they are, since its multiplier counts them.
    """
    whole = asset.market == "commodities" and not commodity_pair(symbol)
    if stated == HUNDREDTHS and usual:
        return Quote(usual.currency, 1.0 if whole else 0.01)
    if stated == "USX" and whole:
        return Quote("USD")
    codes = stated.split("|")
    if len(codes) == 1 and stated != HUNDREDTHS:
        return quote_in(stated)
    if usual and usual.currency in codes:
        return Quote(usual.currency)
    if codes[0] == "USD":
        return Quote("USD")
    raise DataError(
        f"{symbol} is in {shown(stated)}, as the file states, and its name does not tell which",
        hint=f"set {setting(symbol, codes[0] if len(codes) > 1 else 'USD')} if that is its currency",
    )


def _by_name(symbol: str, asset: AssetSpec) -> Quote:
    """Return how a symbol is quoted by its name alone; as the universe is where that tells nothing."""
    if asset.market == "crypto":
        return _of_a_coin(symbol, asset)
    if asset.market == "commodities" and (pair := commodity_pair(symbol)):
        return Quote(pair[3:])
    suffix = _venue_of(symbol, asset)
    if suffix is None:
        return Quote(asset.universe.currency)
    if suffix not in _VENUES:
        own = asset.universe.currency
        return Quote(
            own,
            said=f"{symbol}: the venue {_written(symbol, suffix)} is not known, its quotes are taken as {own};"
            f" if they are not, set {setting(symbol, 'USD' if own != 'USD' else 'EUR')}",
        )
    return _of_a_venue(symbol, suffix)


def quote_in(code: str) -> Quote:
    """Return how a quote in a currency is meant by its code, hundredths (GBp, GBX, ZAc, ILA, USX) included."""
    return Quote(SMALL[code], 0.01) if code in SMALL else Quote(code)


def quote_abroad(symbol: str, asset: AssetSpec, *, name: str) -> Quote | None:
    """Return how a source quotes what it calls `name`, where all but American names carry their venue; None if unknown.

    As configured for `symbol`, else a pair's own currency (EURUSD=X, BTC-EUR), its venue's, or dollars. An index tells
    nothing.
    """
    configured = configured_for(symbol, asset)
    if configured is not None:
        return quote_in(configured)
    if name.endswith("=X"):
        pair = currency.split_pair(canonical_symbol(name, "forex"))
        return Quote(pair[1]) if pair else None
    if asset.market == "crypto":
        return quote_in(name.rpartition("-")[2]) if "-" in name else None
    suffix = suffix_of(name)
    if name.startswith("^") or (suffix is not None and suffix not in _VENUES):
        return None
    return _of_a_venue(symbol, suffix or "US")


def untold(symbol: str, name: str) -> tuple[str, str]:
    """Return the cause and the way out where a source does not say what it quotes `name` in, nor the name itself."""
    way = f"set {setting(symbol, 'EUR')} if that is its currency"
    return (
        f"does not say what {name} is quoted in, and its name does not tell",
        "it is an index: leave it out of data.symbols" if name.startswith("^") else way,
    )


def _of_a_venue(symbol: str, suffix: str) -> Quote:
    money, hundredths, _ = _VENUES[suffix].split()[0].partition("/")
    if not hundredths:
        return Quote(money)
    return Quote(
        money,
        0.01,
        f"{symbol}: quotes of {_written(symbol, suffix)} are taken as hundredths of {money} and divided by 100;"
        f" if they are whole, set {setting(symbol, money)}",
    )


def configured_for(symbol: str, asset: AssetSpec) -> str | None:
    """Return the currency that the configuration names for a symbol, in its spelling or the platform's; None without."""
    named = asset.instrument.currencies
    own = {canonical_symbol(name, asset.market): money for name, money in named.items()}
    return named.get(symbol) or own.get(canonical_symbol(symbol, asset.market))


def same_symbol(first: str, second: str, market: str) -> bool:
    """Return whether two names can be one symbol in two spellings: BTCUSDT and BTC-USD, BHP and ASX:BHP, brk_b and BRK.B."""
    one, other = canonical_symbol(first, market), canonical_symbol(second, market)
    if _letters(one) == _letters(other):
        return True
    if market == "crypto":
        return bool(_coins(one) & _coins(other))
    (ticker, venue), (again, elsewhere) = venue_in(one), venue_in(other)
    return _letters(ticker) == _letters(again) and (venue == elsewhere or None in (venue, elsewhere))


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.upper())).lstrip("0")


def _coins(name: str) -> set[str]:
    """Return the coins that a name may be of against the dollar, itself and what an exchange stands before included."""
    parts = {name.upper(), *re.split(r"[:_]", name.upper())}
    return parts.union(*(coins_of(part) for part in parts))


def without_venue(names: Iterable[str], asset: AssetSpec) -> list[str]:
    """Return the names that tell no venue and are taken as the universe's, though the universe's own names tell theirs."""
    own = asset.universe.symbols
    if not any(_venue_of(name, asset) in _VENUES for name in own):
        return []
    return [
        name for name in names if name not in own and suffix_of(name) is None and configured_for(name, asset) is None
    ]


def setting(symbol: str, money: str) -> str:
    """Return the override that says what a symbol is quoted in, as it is typed in a shell."""
    if re.fullmatch(r"[A-Za-z][\w-]*", symbol):
        return f"+asset.instrument.currencies.{symbol}={money}"
    return f"'+asset.instrument.currencies={{{as_key(symbol)}: {money}}}'"


def _of_a_pair(symbol: str) -> Quote:
    pair = currency.split_pair(canonical_symbol(symbol, "forex"))
    if pair and currency.codes() & set(pair):
        return Quote(pair[1])
    raise DataError(
        f"{symbol} names no pair of currencies, so that what it is quoted in is not known",
        hint=f"set {setting(symbol, 'EUR')}, leave it out of data.symbols,"
        f" or set data.symbols=[EURUSD] where a single file holds that pair",
    )


def commodity_pair(symbol: str) -> str | None:
    """Return the pair that a commodity's name is, XAUEUR of `XAU/EUR.x`: a metal and a currency, or two currencies and no more."""
    pair = currency.pair_in(symbol)
    return pair if pair and (pair[:3] in _METALS or _letters(symbol) == pair) else None


def _of_a_coin(symbol: str, asset: AssetSpec) -> Quote:
    own = asset.universe.currency
    quote, sure = quote_of_coin(symbol) or (own, True)
    money = quote if is_money(quote) else own
    if sure and quote != money:
        raise DataError(
            f"{symbol} is quoted in {quote}, a coin, and nothing tells what that is worth in {asset.account_currency}",
            hint=f"leave it out of data.symbols, or set {setting(symbol, 'USD')} where it is quoted in dollars",
        )
    return Quote(money, said="" if sure else _taken(symbol, money))


def _tells_money(symbol: str) -> bool:
    """Return whether a coin's name says what it is quoted in, for certain or as a currency."""
    quote, sure = quote_of_coin(symbol) or ("", False)
    return sure or is_money(quote)


def _taken(symbol: str, money: str) -> str:
    other = "EUR" if money == "USD" else "USD"
    return f"{symbol}: its quotes are taken as {money}; if they are not, set {setting(symbol, other)}"


def zone_of(symbol: str, asset: AssetSpec) -> str:
    """Return the time zone in which a symbol's dates are meant: its venue's, else the universe's."""
    known = _VENUES.get(_venue_of(symbol, asset) or "")
    return known.split()[1] if known else calendars.time_zone(asset.universe.calendar)


def share_calendar_of(symbol: str, asset: AssetSpec, *, currency: str | None = None) -> str:
    """Return the calendar of a share's venue; without one the American where it is quoted in dollars abroad, else the universe's."""
    suffix, currency = _venue_of(symbol, asset), asset.instrument.currencies.get(symbol, currency)
    if suffix is None and symbol not in asset.universe.symbols and asset.market in _SHARES:
        suffix = "US" if currency == "USD" != asset.universe.currency else None
    known = _VENUES.get(suffix or "")
    return known.split()[2] if known else asset.universe.calendar


def _venue_of(symbol: str, asset: AssetSpec) -> str | None:
    """Return what stands for the venue of a share or fund; None of anything else: CL.F of Stooq is a future."""
    return suffix_of(symbol) if asset.market in _SHARES else None


def suffix_of(symbol: str) -> str | None:
    """Return what stands for the venue: AX of BHP.AX, ASX:BHP and `BHP AU`; None where nothing does, as for BRK.B."""
    return venue_in(symbol)[1]


def venue_in(symbol: str) -> tuple[str, str | None]:
    """Return a symbol's ticker and the suffix of its venue, or the venue's own word where it is not known.

    It may stand behind (BHP.AX, Bloomberg's `BHP AU Equity`) or before (ASX:BHP; ASX_BHP where ASX is known).
    """
    before, colon, after = symbol.partition(":")
    if colon:
        return _of_a_prefix(before.strip(), after.strip())
    if bloomberg := _of_bloomberg(symbol.strip()):
        return bloomberg
    before, line, after = symbol.partition("_")
    if line and after and (suffix := _exchange(before, after)):
        return after, suffix
    return _of_a_suffix(symbol)


def _of_bloomberg(symbol: str) -> tuple[str, str] | None:
    """Return ticker and venue of `BHP AU Equity`, also of `BHP AU`; None of a company's name: Boeing Co, SAP SE."""
    found = _OF_BLOOMBERG.fullmatch(symbol)
    if found is None:
        return None
    ticker, code, equity = found.groups()
    if equity:
        return ticker, _BLOOMBERG.get(code.upper(), f"{code.upper()} Equity")
    if code not in _BLOOMBERG or not re.fullmatch(r"[A-Z0-9][A-Z0-9/.*-]*", ticker):
        return None
    if code in _WORDS and not re.fullmatch(r"[A-Z]?\d+[A-Z]?", ticker):  # Singapore's D05 SP is none of its words
        return None
    return ticker, _BLOOMBERG[code]


def _exchange(name: str, ticker: str) -> str | None:
    """Return the suffix of an exchange that stands before a ticker; TSE is Tokyo's of numbers, and may be Toronto's."""
    return "T" if name == "TSE" and ticker[:1].isdigit() else _EXCHANGES.get(name)


def _of_a_prefix(name: str, ticker: str) -> tuple[str, str | None]:
    known = _exchange(name.upper(), ticker)
    if known is None and ticker.upper() in _BLOOMBERG:  # AAPL:US
        return name, _BLOOMBERG[ticker.upper()]
    if known is None and (behind := _exchange(ticker.upper(), name)):  # SHEL:LSE
        return name, behind
    return ticker, known or name.upper()


def _of_a_suffix(symbol: str) -> tuple[str, str | None]:
    name, _, suffix = symbol.rpartition(".")
    if name:
        if name.upper() in _PREFIXES and suffix.isdigit():  # baostock's sh.600000
            return suffix, _PREFIXES[name.upper()]
        of_a_class = suffix.upper() in _CLASSES and suffix.upper() not in _VENUES
        if len(suffix) > 2 and suffix.upper() not in _SPELLINGS and (known := _exchange(suffix.upper(), name)):
            return name, known  # JoinQuant's 600519.XSHG, EODHD's SHEL.LSE
        return (symbol, None) if of_a_class else (name, _SPELLINGS.get(suffix.upper(), suffix.upper()))
    if len(symbol) == 8 and symbol[:2].upper() in _PREFIXES and symbol[2:].isdigit():
        return symbol[2:], _PREFIXES[symbol[:2].upper()]
    return symbol, None


def _written(symbol: str, suffix: str) -> str:
    """Return the venue as the symbol writes it where it is a suffix, else as its suffix or its own word."""
    return f".{suffix}" if suffix in _VENUES or symbol.upper().endswith(f".{suffix}") else suffix
