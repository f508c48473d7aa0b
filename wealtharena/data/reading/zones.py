"""The time zone that a file states beside its times: in the name of their column, or in a column of zones or offsets."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd

from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import BoolArray, IntArray, Stamps
from wealtharena.errors import DataError

# a zone's abbreviation -> what may be meant by it; several are taken where they give the same instants
_WORDS: Final = {
    "UTC": "UTC", "GMT": "UTC", "Z": "UTC", "ZULU": "UTC", "ET": "America/New_York", "CT": "America/Chicago",
    "MT": "America/Denver", "PT": "America/Los_Angeles", "EST": "UTC-5 America/New_York", "EDT": "UTC-4 America/New_York",
    "CST": "UTC-6 America/Chicago Asia/Shanghai", "CDT": "UTC-5 America/Chicago", "MST": "UTC-7 America/Denver",
    "MDT": "UTC-6 America/Denver", "PST": "UTC-8 America/Los_Angeles", "PDT": "UTC-7 America/Los_Angeles", "WET": "WET",
    "CET": "CET", "CEST": "UTC+2 CET", "EET": "EET", "EEST": "UTC+3 EET", "BST": "UTC+1 Europe/London",
    "MSK": "Europe/Moscow", "IST": "Asia/Kolkata Asia/Jerusalem Europe/Dublin", "JST": "Asia/Tokyo", "KST": "Asia/Seoul",
    "HKT": "Asia/Hong_Kong", "SGT": "Asia/Singapore", "AET": "Australia/Sydney", "AEST": "UTC+10 Australia/Sydney",
    "AEDT": "UTC+11 Australia/Sydney", "NZST": "UTC+12 Pacific/Auckland", "NZDT": "UTC+13 Pacific/Auckland",
}  # fmt: skip
_OFFSET: Final = re.compile(r"(?:UTC|GMT)? ?([+-]) ?([0-9]{1,2}):?([0-9]{2})?(?::00)?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_FURTHEST: Final = 14 * 3600  # of any zone from UTC, in seconds
_ABOVE: Final = re.compile(r"(?i)\b(?:time ?zone|tz)\"? *[:=,;\t]+ *(.+)$|\btimes? (?:are )?(?:in|as) +(\S+)$")
_BEHIND: Final = re.compile(  # 2023-10-02 09:30:00 US/Eastern, Oct 2 09:30:00 EDT 2023
    r"(?P<time>.*[0-9].*?(?:[0-9]|[AaPp]\.?[Mm]\.?(?![A-Za-z]))) ?(?P<word>[A-Za-z]{2,5}|[A-Za-z]+(?:/[A-Za-z_+0-9-]+)+)(?P<year> [0-9]{4})?"
)
_DAY: Final = 86_400 * 10**9
_ZONE_LIKE: Final = re.compile(r"[A-Z]{2,5}|[A-Za-z_]+/[A-Za-z_/]+|.*\b(?:local|exchange|time|zone)\b.*")
_NO_ZONE: Final = re.compile(
    r"[ymdhs:/. -]+|unix|epoch|iso.*|[mun]?s(?:ec(?:onds)?)?|.*\b(?:start|end|open|close)\b.*", re.I
)


def word_in(name: str) -> str:
    """Return what a time column's name says behind its first word: EET of `Time (EET)`, EST of `datetime_est`, UTC of `Gmt time`.

    "" where it says nothing that can be a zone: a form (`yyyy-mm-dd`), a unit (`ms`), an end of the bar.
    """
    if bracket := re.search(r"[(\[]([^()\[\]]*)[)\]]\s*$", name.strip()):
        word = bracket[1].strip()
        known = bool(_meant(word))
        return word if known or (_ZONE_LIKE.fullmatch(word) and not _NO_ZONE.fullmatch(word)) else ""
    words = re.findall(r"[A-Za-z]+", name)
    if words and words[0].lower() == "local":
        return name
    glued = re.fullmatch(r"(?i)(?:datetime|timestamp|date|time)(utc|gmt)|(utc|gmt)(?:time)?", "".join(words))
    if glued:
        return "UTC"
    return words[-1].upper() if len(words) > 1 and words[-1].upper() in _WORDS else ""


def above(lines: list[str]) -> str:
    """Return the zone that a line above the header states: EET of `# Timezone: EET`, UTC of `All times in UTC`; "" without."""
    for line in lines:
        found = _ABOVE.search(line.strip().strip(",;\t"))
        word = next(filter(None, found.groups()), "").strip().strip('",;.') if found else ""
        if word and (_meant(word) or (found and found[1])):
            return word
    return ""


def split_off(values: pd.Series, where: str) -> tuple[pd.Series, pd.Series | None]:
    """Return times without the words for zones behind them, and these words; the times as they are where not all are known.

    Words for UTC alone stay, since they are offsets.

    Raises:
        DataError: some times have such a word and others have none.
    """
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values) or not len(values):
        return values, None
    first = _BEHIND.fullmatch(str(values.iloc[0]).strip())
    if first is None or not _meant(first["word"]):
        return values, None
    codes, unique = pd.factorize(values.astype("string").str.strip())
    parts = pd.Series(unique, dtype="string").str.extract(f"^{_BEHIND.pattern}$")
    words = set(parts["word"].dropna())
    if words <= {"UTC", "GMT"} or not all(_meant(word) for word in words):
        return values, None
    if parts["word"].isna().any() or (codes < 0).any():
        raise DataError(f"{where}: some timestamps have a zone and others have none", hint="write all in one zone")
    times = (parts["time"] + parts["year"].fillna("")).to_numpy()[codes]
    return pd.Series(times, dtype="string"), pd.Series(parts["word"].to_numpy()[codes], dtype="string")


def without_word(name: str) -> str:
    """Return a column's name without the abbreviation of a zone at its end: `Time` of `Time EET`."""
    found = re.fullmatch(r"(.*[A-Za-z])[^A-Za-z]+([A-Za-z]+)", name.strip())
    return found[1] if found and found[2].upper() in _WORDS else name


def placed(
    found: Stamps,
    used: tuple[str, ...],
    column: tuple[str, pd.Series] | None,
    symbols: pd.Series | None,
    ledger: Ledger,
    behind: tuple[str, pd.Series] | None = None,
) -> Stamps:
    """Return the stamps of the columns `used` with the instants that the stated zone gives them; dates stay dates.

    A zone in the stamps themselves counts first, as an offset or as words `behind` those of a column, before one in a
    column's name, that before a `column` of zones or offsets, and that before a line above the header.

    Raises:
        DataError: the word is no zone that is known or may be several; or a time does not exist there, or comes twice.
    """
    if found.zoned or found.whole_days:
        return found
    words = {word: name for name in used if (word := word_in(name))}
    if len(words) > 1:
        raise DataError(f"{ledger.name}: {' and '.join(used)} state two time zones", hint="write both in one column")
    also = ""
    if behind is not None:
        name, cells = behind
        source, also = f"the words behind the times of {name}", next(iter(words), "")
    elif words:
        ((word, name),) = words.items()
        cells = pd.Series(word, index=range(len(found.wall)), dtype="string")
        source = f"the name of {name}"
    elif column is not None:
        name, cells = column[0], column[1].astype("string").str.strip().fillna("")
        source = f"its column {name}"
    elif ledger.zone:
        name, cells = ledger.zone_by, pd.Series(ledger.zone, index=range(len(found.wall)), dtype="string")
        source = name
    else:
        return found
    codes, unique = pd.factorize(cells)
    instants = found.wall.copy()
    owner = np.zeros(len(codes), dtype=np.int64) if symbols is None else pd.factorize(symbols)[0]
    for code, word in enumerate(unique):
        rows = np.flatnonzero(codes == code)
        instants[rows] = _instants(found.wall[rows], owner[rows], str(word), name, ledger.name, also)
    shown = ", ".join(_with_unit(str(word)) for word in unique[:3])
    if not all(_meant(str(word)) for word in unique):
        return found  # of a bar a day
    if behind is None and not words and (instants != found.wall).any():
        ledger.note(f"its times are taken as local times of {shown}, as {source} says")
    form = f"{found.form}, in {shown} by {source}"
    return replace(found, instants=instants, zoned=True, offset=bool((instants != found.wall).any()), form=form)


def _instants(wall: IntArray, owner: IntArray, word: str, name: str, where: str, also: str) -> IntArray:
    """Return the instants of times in the zone of a word; of several, in the one that the word `also` stands for."""
    zones = _meant(word)
    one_a_day = not pd.DataFrame({"o": owner, "d": wall // _DAY}).duplicated().any()
    way = "call the column of times by its zone, like `Datetime (America/New_York)` or `Datetime (UTC+2)`"
    if not zones and one_a_day:
        return wall  # a bar a day is of its date, wherever that is
    if not zones:
        raise DataError(f"{where}: {name} states a time zone that is not known: {word!r}", hint=way)
    made = _local(wall, owner, zones[0], where)
    told = _meant(also)[:1]
    if all(_shows(made, zone, wall) for zone in (*zones[1:], *told)):
        return made
    if told and any(_shows(made := _local(wall, owner, told[0], where), zone, wall) for zone in zones):
        return made
    if told:
        raise DataError(f"{where}: {name} states two time zones, {also} and {word}", hint="write one of them")
    raise DataError(f"{where}: {word} of {name} may be {' or '.join(map(str, zones))}", hint=way)


def _shows(instants: IntArray, zone: tzinfo, wall: IntArray) -> bool:
    """Return whether clocks of a zone show these times at these instants."""
    local = pd.DatetimeIndex(instants, tz="UTC").tz_convert(zone).tz_localize(None).as_unit("ns")
    return bool((local.asi8 == wall).all())


@cache
def _meant(word: str) -> tuple[tzinfo, ...]:
    """Return the zones that a word may mean; none for any other word."""
    if seconds := _offset_of(word):
        return (_fixed(seconds),)
    if _NUMBER.fullmatch(word):
        return (_fixed(0),) if float(word) == 0.0 else ()
    if known := _WORDS.get(word.upper()):
        return tuple(_fixed(seconds) if (seconds := _offset_of(part)) else ZoneInfo(part) for part in known.split())
    plain = word.replace(" ", "_")
    keys = [key for key in available_timezones() if key.lower() == plain.lower()]
    cities = [key for key in available_timezones() if "/" in key and key.lower().endswith(f"/{plain.lower()}")]
    return tuple(ZoneInfo(key) for key in sorted(keys or cities)[:1]) if len(plain) > 2 else ()


def _with_unit(word: str) -> str:
    """Return a word of a zone; behind a bare number, which may count hours, minutes or seconds, what it is taken for."""
    return f"{word} ({_meant(word)[0]})" if _NUMBER.fullmatch(word) and _meant(word) else word


def _fixed(seconds: int) -> tzinfo:
    return timezone(timedelta(seconds=seconds))


def _offset_of(word: str) -> int:
    """Return an offset from UTC in seconds, written as `UTC+2`, `-05:00`, `-5` (hours), `-300` or `-18000`; 0 for none."""
    if _NUMBER.fullmatch(word) and not re.fullmatch(r"[+-][0-9]{4}", word):
        number = float(word)
        size = next((size for size, most in ((3600, 14), (60, 840), (1, _FURTHEST)) if abs(number) <= most), 0)
        seconds = number * size
        return int(seconds) if seconds % 900 == 0 else 0
    found = _OFFSET.fullmatch(word)
    if found is None:
        return 0
    seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60
    return (seconds if found[1] == "+" else -seconds) if seconds <= _FURTHEST else 0


def _local(wall: IntArray, owner: IntArray, zone: tzinfo, where: str) -> IntArray:
    """Return the instants of local times; an hour that comes twice is told by its two rows, the earlier one first."""
    times = pd.DatetimeIndex(wall)
    summer = _first_of_two(wall, owner)
    made = times.tz_localize(zone, ambiguous=summer, nonexistent="NaT")
    other = times.tz_localize(zone, ambiguous=~summer, nonexistent="NaT")
    lone = (
        np.asarray(made.asi8 != other.asi8) & ~pd.DataFrame({"o": owner, "w": wall}).duplicated(keep=False).to_numpy()
    )
    bad = np.asarray(made.isna()) | lone
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        why = "comes twice" if lone[row] else "does not exist"
        raise DataError(
            f"{where}: {times[row]:%Y-%m-%d %H:%M} {why} in {zone}, where clocks change",
            hint="write an offset from UTC",
        )
    return np.asarray(made.as_unit("ns").asi8, dtype=np.int64)


def _first_of_two(wall: IntArray, owner: IntArray) -> BoolArray:
    """Return whether a row is the earlier one of its symbol's rows of one time, by the order of the file."""
    frame = pd.DataFrame({"o": owner, "w": wall})
    falling = frame.groupby("o")["w"].transform("first") > frame.groupby("o")["w"].transform("last")
    first, last = ~frame.duplicated(keep="first"), ~frame.duplicated(keep="last")
    return np.asarray(last.where(falling, first), dtype=bool)
