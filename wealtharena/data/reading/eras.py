"""Times in wide digits and blanks and of other calendars: Minguo, Buddhist and Japanese years, brought to 2024-01-31."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Final

import pandas as pd

_PLAINER: Final = {0xFF01 + place: 0x21 + place for place in range(94)} | dict.fromkeys(
    (0xA0, 0x2007, 0x2009, 0x202F, 0x3000), " "
)
_HALF_FIRST: Final = re.compile(r"(上午|午前|오전|下午|午後|오후) ?([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)")
_BEFORE_NOON: Final = ("上午", "午前", "오전")
_PARTS: Final = r"(?:年|[-/.])(?P<month>[0-9]{1,2})(?:月|[-/.])(?P<day>[0-9]{1,2})日?(?P<rest>(?:[ T].*)?)"
_JAPANESE: Final = re.compile(rf"(?P<era>令和|平成|昭和|[RHS]) ?(?P<year>元|[0-9]{{1,2}}){_PARTS}")
_MINGUO: Final = re.compile(rf"(?:民國|民国|中華民國) ?(?P<year>[0-9]{{1,3}}){_PARTS}")
_BARE_MINGUO: Final = re.compile(rf"(?P<year>1[0-4][0-9]|[789][0-9]){_PARTS}")
_DIGITS_OF_MINGUO: Final = re.compile(
    r"(?P<year>1[0-4][0-9])(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12][0-9]|3[01])(?P<rest>)"
)
_BUDDHIST: Final = re.compile(
    r"(?P<before>|[0-9]{1,2}[-/. ][^\s/.-]{1,9}[-/. ])(?P<year>2[456][0-9]{2})(?P<rest>[-/.].*|(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])|(?:[ T].*)?)"
)
_ERAS: Final = {"令和": 2018, "R": 2018, "平成": 1988, "H": 1988, "昭和": 1925, "S": 1925}  # the year before each
_MINGUO_ZERO, _BUDDHIST_ZERO = 1911, -543
_OTHERS: Final = (1300, 1460)  # years of the Persian calendar and the Islamic one, of 1921 and later


def plainer(text: pd.Series) -> pd.Series:
    """Return cells with plain digits, signs and blanks for wide ones, and the half of a day behind its clock."""
    if text.str.isascii().all():
        return text
    cells = (str(cell).translate(_PLAINER) for cell in text)
    return pd.Series([_HALF_FIRST.sub(_half_last, cell) for cell in cells], index=text.index, dtype="string")


def _half_last(found: re.Match[str]) -> str:
    return f"{found[2]} {'am' if found[1] in _BEFORE_NOON else 'pm'}"


def in_common_era(text: pd.Series) -> tuple[pd.Series, str]:
    """Return times of a Japanese era, of Minguo or of the Buddhist calendar with our years, and which they are in words.

    Only where all cells are of one calendar and of no other; else they stay as they are, and nothing is said.
    """
    cells = [str(cell) for cell in text]
    for pattern, year_of, words in _CALENDARS:
        found: list[re.Match[str]] = []
        for cell in cells:
            if (one := pattern.fullmatch(cell)) is None:
                break
            found.append(one)
        if not cells or len(found) < len(cells):
            continue
        years = [year_of(one) for one in found]
        if pattern is _BARE_MINGUO and not any(len(one["year"]) == 3 for one in found):
            continue  # a year of ours without its century
        if min(years) < 1900 or max(years) > dt.datetime.now(dt.UTC).year + 1:
            continue
        made = [_written(one, year) for one, year in zip(found, years, strict=True)]
        return pd.Series(made, index=text.index, dtype="string"), words
    return text, ""


def _written(found: re.Match[str], year: int) -> str:
    parts = found.groupdict()
    if "before" in parts:
        return f"{parts['before']}{year}{parts['rest']}"
    return f"{year}-{int(parts['month']):02d}-{int(parts['day']):02d}{parts['rest']}"


def _of_an_era(found: re.Match[str]) -> int:
    return _ERAS[found["era"]] + (1 if found["year"] == "元" else int(found["year"]))


def _since(zero: int) -> Callable[[re.Match[str]], int]:
    return lambda found: zero + int(found["year"])


_CALENDARS: Final = (
    (_JAPANESE, _of_an_era, "Japanese eras"),
    (_MINGUO, _since(_MINGUO_ZERO), "years of Minguo"),
    (_BARE_MINGUO, _since(_MINGUO_ZERO), "years of Minguo"),
    (_DIGITS_OF_MINGUO, _since(_MINGUO_ZERO), "years of Minguo"),
    (_BUDDHIST, _since(_BUDDHIST_ZERO), "Buddhist years"),
)


def other_calendar(year: int) -> str:
    """Return what to say of a year that two other calendars have now; "" of any other."""
    if _OTHERS[0] <= year <= _OTHERS[1]:
        return f"; {year} may be a year of the Persian or the Islamic calendar, write dates of the Gregorian one"
    return ""
