"""What stands behind a column's name: EUR of `Close (EUR)`, a scale, a count, a basis of adjustment, a side of the market."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from wealtharena.data import currency

HUNDREDTHS: Final = "hundredths"  # cents of whatever money the symbol is quoted in
_HUNDREDTHS_OF: Final = {"GBX": "GBX", "GBp": "GBX", "GBPENCE": "GBX", "ZAc": "ZAC", "ZAC": "ZAC", "ILA": "ILA", "ILa": "ILA",
                         "USX": "USX", "USc": "USX"}  # fmt: skip
SMALL: Final = {"GBX": "GBP", "GBP_PENCE": "GBP", "GBp": "GBP", "ZAc": "ZAR", "ZAC": "ZAR", "ILA": "ILS", "USX": "USD"}
_CENTS_OF: Final = {SMALL[code]: code for code in _HUNDREDTHS_OF.values()}
_CENTS_PAID: Final = frozenset(("c", "cps", "cpu"))  # of a payout; of a price c is its close
_DOLLARS: Final = "USD|AUD|CAD|HKD|NZD|SGD|TWD|MXN|ARS|CLP|COP"  # the first is meant where nothing tells
# code, or the codes that a sign may mean -> its words, in small letters and without dots
_MONEY: Final = {
    "USD": "us$;usd$;us dollar;us dollars;u s dollar;u s dollars", "EUR": "€;euro;euros", "GBX": "p;pence;penny;gbx;gb pence",
    "GBP": "£;gb£;british pound;british pounds;pound sterling;pounds sterling;sterling", "JPY": "円;japanese yen;yen;jp¥",
    "JPY|CNY": "¥;\uffe5", "CNY": "元;rmb;cn¥;yuan;人民币", "INR": "₹;rs;rupee;rupees;indian rupees", "HKD": "hk$;港元",
    "AUD": "a$;au$", "CAD": "c$;ca$", "NZD": "nz$", "SGD": "s$;sg$", "TWD": "nt$", "BRL": "r$;reais", "MXN": "mx$", "KRW": "₩;won",
    "RUB": "₽", "TRY": "₺;tl", "THB": "฿;baht", "ILS": "₪;nis", "VND": "₫", "PHP": "₱", "PLN": "zł;zl", "CHF": "swiss franc;sfr;fr",
    "CZK": "kč", "HUF": "ft", "SEK|NOK|DKK|ISK": "kr", "USX": "us cents;us cent;us¢;cents us",
    "ILA": "agorot;agora", _DOLLARS: "$;dollar;dollars",
    HUNDREDTHS: "cents;cent;ct;¢;hundredths;øre;öre;sen;paise;paisa;centavo;centavos;centimes;rappen;grosz;groszy;kuruş;kurus",
}  # fmt: skip
_MONEY_WORDS: Final = {word: code for code, words in _MONEY.items() for word in words.split(";")}
DOLLARS: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI", "USD")  # coins count as dollars
_SCALES: Final = {
    1e2: "hundred;hundreds;100s;x100;100x;x 100;百",
    1e3: "000;000s;'000;'000s;000's;k;x1000;x 1000;in 1000;in 1000s;1000s;x1,000;thousand;thousands;thous;ths;tsd;tys;tis;тыс;тысяч;千;천",
    1e4: "万;萬;ten thousand;ten thousands;x10000", 1e5: "lakh;lakhs;lac;lacs", 1e8: "亿;億",
    1e6: "m;mn;mio;mil;mill;mm;million;millions;millionen;mln;млн;百万;백만;in 1000000;x1000000;000000", 1e7: "crore;crores;cr",
    1e9: "b;bn;bio;billion;billions;mrd;milliarden",
}  # fmt: skip
_SCALE_WORDS: Final = {word: scale for scale, words in _SCALES.items() for word in words.split(";")}
_COUNTS: Final = {
    "hands": frozenset(("手", "hand", "hands")),  # of a hundred shares
    "lots": frozenset(("lot", "lots", "round lots", "board lots", "round lot")),
    "units": frozenset(("share", "shares", "unit", "units", "contract", "contracts", "coin", "coins", "qty", "quantity", "stück",
                        "stk", "aktien", "titres", "株", "股", "张", "шт", "주", "db", "number of shares", "nos", "no")),
    "money": frozenset(("turnover", "value", "notional", "money", "traded value", "quote")),
}  # fmt: skip
_ADJUSTED: Final = frozenset(("adjusted", "adj", "dividend adjusted", "total return", "fully adjusted", "adjusted close", "qfq", "hfq",
                              "前复权", "后复权"))  # fmt: skip
_RAW: Final = frozenset(
    ("unadjusted", "unadj", "not adjusted", "raw", "as traded", "split adjusted", "split-adjusted", "不复权")
)
_SIDES: Final = {word: side for side, said in (("bid", "bid bids"), ("ask", "ask asks offer"), ("mid", "mid mids midpoint"))
                 for word in said.split()}  # fmt: skip
# what changes no figure
_SILENT: Final = frozenset(("in", "of", "per", "at", "and", "the", "a", "as", "price", "prices", "last", "close", "closing", "open", "high",
                            "low", "daily", "day", "eod", "weekly", "monthly", "hourly", "volume", "currency", "number", "count", "date",
                            "text", "string", "yyyy-mm-dd", "local", "latest", "traded", "ohlc", "utc", "1d", "1h"))  # fmt: skip
HOW_TO_NAME: Final = (
    "name them timestamp, symbol, open, high, low, close, volume; what was earned goes to task=report returns=<file>"
)
ABSENT: Final = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "-", "--", "\u2013", "\u2014", "n.a.", "n.a", "n. a.",
                  "n.v.", "k.a.", "k. a.", "#nv", "n/d")  # fmt: skip
_BRACKET: Final = re.compile(r"(?<=\S)\s*[(\[{\uff08]([^()\[\]{}\uff08\uff09]*)[)\]}\uff09][\s*]*$")
_LONGEST: Final = 3  # words of a phrase


@dataclass(frozen=True)
class Meaning:
    """What the words say; `currency` may be several codes that a sign stands for (JPY|CNY), or `HUNDREDTHS`.

    `count` is units, hands (of 100), lots, money, or nothing; `basis` all, raw, or nothing; `unknown` are the words of
    which nothing is known.
    """

    currency: str = ""
    scale: float = 1.0
    count: str = ""
    basis: str = ""
    side: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def telling(self) -> bool:
        """Return whether all words are known and one of them says something."""
        return not self.unknown and self != Meaning()


def bracket(name: object) -> str:
    """Return what stands in brackets behind a column's name: EUR of `Close (EUR)`; "" where nothing does."""
    text, said = str(name).strip(), list[str]()
    while found := _BRACKET.search(text):
        said.insert(0, found[1].strip())
        text = text[: found.start()]
    return " ".join(filter(None, said))


def without_bracket(name: object) -> str:
    """Return a column's name without what stands in brackets behind it."""
    text = str(name).strip()
    while found := _BRACKET.search(text):
        text = text[: found.start()]
    return text


def money_of(text: str) -> str:
    """Return the currency that a word or sign names, GBX, ZAC, ILA or USX for hundredths, JPY|CNY for a sign of several."""
    word = text.strip()
    known = _HUNDREDTHS_OF.get(word) or _MONEY_WORDS.get(re.sub(r"[.\s]+", " ", word.lower()).strip())
    return known or (word.upper() if word.upper() in currency.codes() else "")


def agreed(one: str, other: str) -> str:
    """Return the currencies that two statements have in common, each of one or of several codes (JPY|CNY); "" where none."""
    return "|".join(code for code in one.split("|") if code in other.split("|"))


def shown(code: str) -> str:
    """Return a statement of a currency in words: `JPY or CNY` of a sign that means either."""
    codes = code.split("|")
    return " or ".join(codes[:2]) + (" or another" if len(codes) > 2 else "")


def meaning_of(text: str) -> Meaning:
    """Return what the words in a bracket or behind a name say, in any order: `USD millions`, `in thousands`, `EUR/MWh`."""
    if (whole := _phrase(text)) is not None:
        return whole
    priced = re.fullmatch(r"\s*(\S+?)\s*(?:/|\bper\b)\s*([\w. ]+)", text)
    if priced and (code := money_of(priced[1])):  # EUR/MWh, USD per barrel; EUR/USD is a pair's own name
        return Meaning() if priced[2].strip().upper() in currency.codes() else Meaning(currency=code)
    parts = [word for word in re.split(r"[\s,;:/|&+]+|(?<=[万亿億千百천만])(?=[股手元张株주])", text.strip()) if word]
    made, place = Meaning(), 0
    while place < len(parts):
        sizes = range(min(_LONGEST, len(parts) - place), 0, -1)
        phrases = ((size, _phrase(" ".join(parts[place : place + size]))) for size in sizes)
        size, found = next(((size, said) for size, said in phrases if said is not None), (1, None))
        made = _together(made, Meaning(unknown=(parts[place],)) if found is None else found)
        place += size
    return made


def of_payout(text: str) -> Meaning:
    """Return what the words behind a dividend's name say: c, cps and c/share are cents there."""
    said = meaning_of(text)
    rest = tuple(word for word in said.unknown if word.lower() not in _CENTS_PAID)
    if len(rest) == len(said.unknown):
        return said
    return replace(_together(replace(said, unknown=()), Meaning(currency=HUNDREDTHS)), unknown=rest)


def _together(one: Meaning, other: Meaning) -> Meaning:
    """Return what two phrases say; two currencies name a pair, and not what prices are in, but for `AUD cents`."""
    unknown = (*one.unknown, *other.unknown)
    code = one.currency or other.currency
    if one.currency and other.currency and one.currency != other.currency:
        whole = other.currency if one.currency == HUNDREDTHS else code
        small = whole if whole in _CENTS_OF.values() else _CENTS_OF.get(whole, HUNDREDTHS)
        if {one.currency, other.currency} <= {whole, small, HUNDREDTHS}:
            code, unknown = small, (*unknown, whole) if small == HUNDREDTHS and "|" not in whole else unknown
        else:
            unknown = (*unknown, other.currency)
    return Meaning(
        code,
        one.scale * other.scale,
        one.count or other.count,
        one.basis or other.basis,
        one.side or other.side,
        unknown,
    )


def _phrase(text: str) -> Meaning | None:
    """Return what one phrase says; None of an unknown one."""
    word = re.sub(r"[.\s]+", " ", text.strip().lower()).strip()
    if word in _SCALE_WORDS:
        return Meaning(scale=_SCALE_WORDS[word])
    if word in _SILENT:
        return Meaning()
    if word in _SIDES:
        return Meaning(side=_SIDES[word])
    if count := next((count for count, known in _COUNTS.items() if word in known), ""):
        return Meaning(count=count)
    if word in _ADJUSTED or word in _RAW:
        return Meaning(basis="all" if word in _ADJUSTED else "raw")
    code = money_of(text) or ("USD" if text.strip().upper() in DOLLARS else "")
    return Meaning(currency=code) if code else None
