"""When a bar was: text, dates, datetimes and epochs read to the instant, each by its own form and size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.reading.centuries import MONTHS, written_out
from wealtharena.data.reading.eras import in_common_era, other_calendar, plainer
from wealtharena.data.reading.spelled import has_words, in_english
from wealtharena.errors import DataError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_CLOCK: Final = (
    r"(?:(?:[T ,]+|:)(?P<hour>[0-9]{1,2})(?:[:.](?P<minute>[0-9]{2}))?(?::(?P<second>[0-9]{2}))?"
    r"(?:[.,](?P<fraction>[0-9]{1,9}))?(?:[ -]?(?P<half>[AaPp])\.? ?[Mm]\.?)?)?"
)
_TIME_OF_DAY: Final = r"^([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(?:[ -]?([AaPp])(?:\.? ?[Mm])?\.?)?$"
_ZONE: Final = r"(?: ?(?P<zone>Z|z|(?:UTC|GMT)?[+-][0-9]{2}:?[0-9]{2}(?::00)?|(?:UTC|GMT)?[+-][0-9]{2}|(?:UTC|GMT)[+-][0-9]|UTC|GMT))?"
_TWO, _YEAR, _NAME = "[0-9]{1,2}", "(?P<year>[0-9]{4})", "(?P<name>[A-Za-z]{3,9})"  # \d is any script's digit
_FORMS: Final = {
    "year first": rf"^{_YEAR}[-/.](?P<month>{_TWO})[-/.](?P<day>{_TWO}){_CLOCK}{_ZONE}$",
    "day or month first": rf"^(?P<first>{_TWO})[-/.](?P<next>{_TWO})[-/.]{_YEAR}{_CLOCK}{_ZONE}$",
    "day and month's name": rf"^(?P<day>{_TWO})[-/. ]*{_NAME}[-/. ,]*{_YEAR}{_CLOCK}{_ZONE}$",
    "month's name and day": rf"^{_NAME}[-/. ]*(?P<day>{_TWO})[-/. ,]+{_YEAR}{_CLOCK}{_ZONE}$",
    "year and month's name": rf"^{_YEAR}[-/. ]*{_NAME}[-/. ]*(?P<day>{_TWO})\.?{_CLOCK}{_ZONE}$",
    "year and month": rf"^{_YEAR}[-/.M](?P<month>[0-9]{{2}})$",
    "month and year": rf"^(?P<month>{_TWO})[-/.]{_YEAR}$",
    "year and month by name": rf"^{_YEAR}[-/. ]*{_NAME}\.?$",
    "month's name and year": rf"^{_NAME}\.?,?[- ]{_YEAR}$",
    "digits": rf"^{_YEAR}(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}})(?:T| {{1,2}})(?P<hour>[0-9]{{2}}):?(?P<minute>[0-9]{{2}}):?"
    rf"(?P<second>[0-9]{{2}})?{_ZONE}$",
}
_POINTED: Final = r"(?:0[1-9]|1[0-2])\.(?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}\.(?:0[1-9]|1[0-2])"  # 01.2024, 2024.01
_YEAR_LAST: Final = r"([0-3]?[0-9])([0-3][0-9])((?:19|20)[0-9]{2})"
_UNITS: Final = (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1))  # unit, nanoseconds
_EARLIEST, _LATEST = 10**17, 4_260_000_000 * 10**9  # 1973 to 2104 in ns: where one unit's stamps end, the next begin
_OLDEST: Final = -5_364_662_400 * 10**9  # 1800 in ns
_MOST: Final = 9.2e18  # what 64 bits hold
_FIRST_YEAR, _LAST_YEAR = 1678, 2261  # that are whole in ns of 64 bits
_FIRST_SERIAL, _LAST_SERIAL = 20_000, 60_000  # days as a spreadsheet counts them, of 1954 to 2068
_FURTHEST: Final = 18 * 3600 * 10**9  # of any zone from UTC, in ns
_DAY_NS: Final = 86_400 * 10**9
_HINT: Final = "write them like 2024-01-31 or 2024-01-31T15:00:00Z"


@dataclass(frozen=True, eq=False)
class Stamps:
    """Times as written and as instants, in ns since 1970; where no zone is written both are the same.

    `zoned` says whether instants are known, `offset` whether that is by a written offset other than UTC's.
    """

    wall: IntArray
    instants: IntArray
    zoned: bool
    offset: bool
    form: str

    @property
    def whole_days(self) -> bool:
        """Return whether no stamp has a time of day."""
        return bool((self.wall % _DAY_NS == 0).all())


def parse(values: pd.Series, where: str) -> Stamps:
    """Return the stamps of a column.

    Raises:
        DataError: a cell is empty, is no time, or might be two different ones; the first such row is named.
    """
    if pd.api.types.is_bool_dtype(values):
        raise DataError(f"{where}: a timestamp cannot be read: it is true or false", hint=_HINT)
    if isinstance(values.dtype, pd.PeriodDtype):
        return _typed(_beginnings(values), where)
    if pd.api.types.is_datetime64_any_dtype(values):
        return _typed(values, where)
    if pd.api.types.is_numeric_dtype(values) and not _end_in_years(values):
        return _numeric(values.to_numpy(dtype=np.float64, na_value=np.nan), values, np.arange(len(values)), where)
    codes, unique = pd.factorize(values.astype("string").str.strip().fillna(""))
    text = plainer(pd.Series(unique, dtype="string"))
    empty = np.asarray(text.str.lower().isin(["", "nan", "nat", "none", "null", "<na>"]), dtype=bool)
    if empty.any():
        raise _no_stamp(np.flatnonzero(empty[codes]), where)
    # 31012024 or, its first nought lost, 1022024; no epoch and no 20240131 ends so
    if text.str.fullmatch(_YEAR_LAST).all():
        text = text.str.replace(_YEAR_LAST, r"\1-\2-\3", regex=True)
    text, calendar = in_common_era(text)
    if text.str.fullmatch(r"-?[0-9]+(\.[0-9]*)?").all() and not text.str.fullmatch(_POINTED).all():
        read = _numeric(text.to_numpy(dtype=np.float64), text, codes, where)
    else:
        read = _written(text, codes, where)
    form = f"{read.form}, {calendar}" if calendar else read.form
    return Stamps(read.wall[codes], read.instants[codes], read.zoned, read.offset, form)


def _end_in_years(values: pd.Series) -> bool:
    """Return whether all are whole numbers of seven or eight digits that end in a year, as days or months first do."""
    if not pd.api.types.is_integer_dtype(values) or not values.between(1_011_800, 31_122_199).all():
        return False
    return bool(len(values)) and bool(values.astype("string").str.fullmatch(_YEAR_LAST).all())


def clock(values: pd.Series) -> IntArray | None:
    """Return times of day in ns where a column holds nothing else (09:30, 9:30:00 p.m., 0930, 093000); None otherwise.

    Numbers of two digits might be hours or minutes and are none, but for zeros throughout.
    """
    if is_bare(values):
        return None
    day_time, known = _clock_cells(values)
    return day_time if known.all() else None


def is_bare(values: pd.Series) -> bool:
    """Return whether a column holds numbers up to 59 alone, not all zero, which might be hours or minutes."""
    text = _clock_text(values)
    return bool(text.str.fullmatch("[0-5]?[0-9]").all()) and not bool(text.str.fullmatch("0+").all())


def first_unread(values: pd.Series) -> tuple[int, str]:
    """Return the row of the first cell that is no time of day, and the cell; the first cell where all are."""
    _, known = _clock_cells(values)
    row = int(np.flatnonzero(~known)[0]) if not known.all() else 0
    return row, str(_clock_text(values).iloc[row])


def _clock_text(values: pd.Series) -> pd.Series:
    text = plainer(values.astype("string").str.strip().fillna(""))
    return text.str.removesuffix(".0") if pd.api.types.is_float_dtype(values) else text


def _clock_cells(values: pd.Series) -> tuple[IntArray, BoolArray]:
    """Return times of day in ns, and where a cell is one; digits are read as such where all cells are digits."""
    text = _clock_text(values)
    if text.str.fullmatch("[0-9]{1,6}").all():
        width = 6 if text.str.len().max() > 4 else 4
        digits = text.str.zfill(width)
        parts = pd.DataFrame({0: digits.str[:2], 1: digits.str[2:4], 2: digits.str[4:6], 3: "", 4: ""})
    else:
        parts = text.str.extract(_TIME_OF_DAY)
    known = parts[0].notna().to_numpy()
    hour, minute, second = _hours(parts[0], parts[4].fillna("").str.lower()), _whole(parts[1]), _whole(parts[2])
    day_time = (hour * 3600 + minute * 60 + second) * 10**9
    return np.asarray(day_time, dtype=np.int64), known & (hour <= 23) & (minute <= 59) & (second <= 59)


def _typed(values: pd.Series, where: str) -> Stamps:
    missing = values.isna().to_numpy()
    if missing.any():
        raise _no_stamp(np.flatnonzero(missing), where)
    if isinstance(values.dtype, pd.ArrowDtype) and values.dtype.name.startswith("date"):  # which knows no zone
        values = values.astype("datetime64[ns]")
    zone = values.dt.tz
    index = pd.DatetimeIndex(values)
    beyond = (index.year < _FIRST_YEAR) | (index.year > _LAST_YEAR)
    if beyond.any():
        row = int(np.flatnonzero(beyond)[0])
        raise _no_time(index[row].isoformat(), row, where, f"lies outside {_FIRST_YEAR} to {_LAST_YEAR}")
    index = index.as_unit("ns")
    if zone is None:
        return Stamps(index.asi8, index.asi8, False, False, "datetimes without a zone")
    instants, wall = index.tz_convert("UTC").asi8, index.tz_localize(None).asi8
    return Stamps(wall, instants, True, bool((instants != wall).any()), f"datetimes in {zone}")


def _beginnings(periods: pd.Series) -> pd.Series:
    """Return where periods begin; their numbers are counted in seconds first, which hold any year."""
    starts = pd.PeriodIndex(periods).asfreq("s", how="START").astype("int64")
    made = pd.Series(np.asarray(starts, dtype="datetime64[s]"))
    return made.mask(periods.isna().to_numpy())


def _numeric(numbers: npt.NDArray[np.float64], cells: pd.Series, codes: npt.NDArray[np.intp], where: str) -> Stamps:
    """Return times of numbers; `codes` says in which rows of the file a cell stands."""
    if np.isnan(numbers).any():
        raise _no_stamp(np.flatnonzero(np.isnan(numbers)[codes]), where)
    beyond = ~(np.abs(numbers) < _MOST)
    if beyond.any():
        raise _odd_number(beyond, cells, codes, where, "is no date and no epoch")
    compact = _compact(numbers)
    if compact is not None:
        return Stamps(compact, compact, False, False, "dates of digits (20240131)")
    whole: IntArray = np.trunc(numbers).astype(np.int64)
    if pd.api.types.is_integer_dtype(cells):
        whole = np.asarray(cells, dtype=np.int64)
    elif not pd.api.types.is_numeric_dtype(cells):
        whole = np.asarray(cells.str.split(".").str[0], dtype=np.int64)
    instants = np.zeros(len(whole), dtype=np.int64)
    unit_of = np.full(len(whole), "", dtype="U2")
    for unit, scale in _UNITS:
        inside = (whole >= _EARLIEST // scale) & (whole < _LATEST // scale)
        instants[inside] = whole[inside] * scale + _part(numbers[inside], scale)
        unit_of[inside] = unit
    known = set(unit_of) - {""}
    odd = unit_of == ""
    if odd.any():
        only = dict(_UNITS).get(next(iter(known))) if len(known) == 1 else None
        if only is None or (np.abs(whole[odd]) >= _EARLIEST // only).any() or odd.mean() > 0.9:
            raise _odd_number(odd, cells, codes, where, "is no date and no epoch")
        if (whole[odd] < _OLDEST // only).any():
            raise _odd_number(whole < _OLDEST // only, cells, codes, where, "lies before 1800")
        instants[odd] = whole[odd] * only
    form = "epochs in " + " and ".join(unit for unit, _ in _UNITS if unit in known)
    return Stamps(instants, instants, True, False, form)


def _part(numbers: npt.NDArray[np.float64], scale: int) -> IntArray:
    """Return what stands behind the point of an epoch in seconds, in ns; finer ones have no part worth keeping."""
    if scale != 10**9:
        return np.zeros(len(numbers), dtype=np.int64)
    return np.round((numbers - np.trunc(numbers)) * 1e6).astype(np.int64) * 1000


def _compact(numbers: npt.NDArray[np.float64]) -> IntArray | None:
    """Return the times where all numbers are dates such as 20240131, 202401311530 or 20240131153000; else None."""
    if not len(numbers) or (numbers != np.trunc(numbers)).any():
        return None
    for digits, low in ((8, 1e7), (12, 1e11), (14, 1e13)):
        if ((numbers >= low) & (numbers < 10 * low)).all():
            whole = numbers.astype(np.int64)
            date, time = whole // 10 ** (digits - 8), whole % 10 ** (digits - 8)
            if ((date < 18_000_101) | (date > 21_001_231)).any():
                return None
            time = time * (100 if digits == 12 else 1)
            hour, minute, second = time // 10_000, time // 100 % 100, time % 100
            days = _days(date // 10_000, date // 100 % 100, date % 100)
            if days is None or (hour > 23).any() or (minute > 59).any() or (second > 59).any():
                return None
            return np.asarray(days * _DAY_NS + (hour * 3600 + minute * 60 + second) * 10**9, dtype=np.int64)
    return None


def _days(year: IntArray, month: IntArray, day: IntArray) -> IntArray | None:
    """Return days since 1970, or None where one is not on the calendar."""
    if _off_calendar(year, month, day).any():
        return None
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return np.asarray(months.astype("datetime64[D]").astype(np.int64) + day - 1)


def _off_calendar(year: IntArray, month: IntArray, day: IntArray) -> BoolArray:
    """Return True where there is no such date, or it is too far from today to be held."""
    outside = (month < 1) | (month > 12) | (year < _FIRST_YEAR) | (year > _LAST_YEAR)
    months = np.where(outside, 0, (year - 1970) * 12 + month - 1).astype("datetime64[M]")
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return np.asarray(outside | (day < 1) | (day > length))


def _written(text: pd.Series, codes: IntArray, where: str) -> Stamps:
    """Return times written out: all in one form, with an offset or without."""
    cells = text
    if has_words(text):
        text = in_english(text, where)
    form, parts, most = "", pd.DataFrame({"year": [None] * len(text)}), -1
    for name, pattern in _FORMS.items():
        read = _extracted(text, pattern)
        count = int(read["year"].notna().sum())
        if count > most:
            form, parts, most = name, read, count
        if count == len(text):
            break
    lost = parts["year"].isna().to_numpy()
    if lost.any():
        if (dated := written_out(text, where)) is not None:
            return replace(_written(dated[0], codes, where), form=dated[1])
        row = int(np.flatnonzero(lost[codes])[0])
        shown = cells.iloc[int(codes[row])]
        raise DataError(f"{where}: a timestamp cannot be read: {shown!r} in row {row + 1}", hint=_HINT)
    if not {"day", "first"} & set(parts.columns):  # a month's bar
        parts = parts.assign(day="1", hour="", minute="", second="", zone="")
    year = _whole(parts["year"])
    month, day = _month_and_day(parts, where)
    if "first" in parts:
        form = "day first" if (day == _whole(parts["first"])).all() else "month first"
    days = _days(year, month, day)
    half = parts["half"].fillna("").str.lower() if "half" in parts else pd.Series("", index=parts.index)
    hour, minute, second = _hours(parts["hour"], half), _whole(parts["minute"]), _whole(parts["second"])
    shift = _offsets(parts["zone"].fillna(""))
    wrong = _off_calendar(year, month, day) | (hour > 23) | (minute > 59) | (second > 59) | (np.abs(shift) > _FURTHEST)
    if days is None or wrong.any():
        row = int(np.flatnonzero(wrong[codes])[0])
        shown = cells.iloc[int(codes[row])]
        raise DataError(
            f"{where}: a timestamp cannot be read: {shown!r} in row {row + 1} is not on the calendar"
            f"{other_calendar(int(year[codes][row]))}",
            hint=_HINT,
        )
    wall = days * _DAY_NS + (hour * 3600 + minute * 60 + second) * 10**9
    if "fraction" in parts:
        wall = wall + _whole(parts["fraction"].fillna("").str.ljust(9, "0"))
    zone = parts["zone"].fillna("")
    zoned = (zone != "").to_numpy()
    if zoned.any() and not zoned.all():
        raise DataError(f"{where}: some timestamps have a zone and others have none", hint="write all in one zone")
    return Stamps(wall, wall - shift, bool(zoned.all()), bool((shift != 0).any()), f"text, {form}")


def _extracted(text: pd.Series, pattern: str) -> pd.DataFrame:
    """Return what each named group of a pattern holds, nothing in rows that it does not match: Arrow's, as pandas' is a loop over cells."""
    if text.dtype != "string[pyarrow]":  # a service does without it
        return text.str.extract(pattern)
    import pyarrow as pa
    from pyarrow import compute

    found = compute.extract_regex(pa.array(text, type=pa.string(), from_pandas=True), pattern)
    names = [field.name for field in found.type]
    return pd.DataFrame({name: compute.struct_field(found, name).to_pandas() for name in names}, dtype="string")


def _month_and_day(parts: pd.DataFrame, where: str) -> tuple[IntArray, IntArray]:
    if "name" in parts:
        month = parts["name"].str.lower().map(MONTHS)
        if month.isna().any():
            name = parts["name"][month.isna()].iloc[0]
            raise DataError(f"{where}: a timestamp cannot be read: {name!r} is no month", hint=_HINT)
        return np.asarray(month, dtype=np.int64), _whole(parts["day"])
    if "first" not in parts:
        return _whole(parts["month"]), _whole(parts["day"])
    first, second = _whole(parts["first"]), _whole(parts["next"])
    if (first > 12).any() and not (second > 12).any():
        return second, first
    if (second > 12).any() and not (first > 12).any():
        return first, second
    if (first == second).all() or _are_months(first, second, parts["year"]):
        return first, second
    if _are_months(second, first, parts["year"]):
        return second, first
    shown = f"{parts['first'].iloc[0]}/{parts['next'].iloc[0]}"
    raise DataError(f"{where}: dates like {shown} may mean day or month first", hint="write them like 2024-01-31")


def _are_months(month: IntArray, day: IntArray, year: pd.Series) -> bool:
    """Return whether dates are the first of months that follow each other for more than a year, as no days of one month a year do."""
    steps = np.diff(12 * _whole(year) + month)
    return bool((day == 1).all() and len(steps) >= 12 and abs(int(steps[0])) in (1, 3, 6) and (steps == steps[0]).all())


def _hours(text: pd.Series, half: pd.Series) -> IntArray:
    """Return hours of the day, where `half` is a, p or nothing; one that no clock shows is 99."""
    hour = _whole(text)
    before, after = half.to_numpy() == "a", half.to_numpy() == "p"
    read = np.where(after, hour % 12 + 12, np.where(before, hour % 12, hour))
    return np.where((hour > 23) | (before & (hour > 12)), 99, read)


def _offsets(zone: pd.Series) -> IntArray:
    """Return written offsets from UTC in ns."""
    codes, unique = pd.factorize(zone)
    parts = pd.Series(unique, dtype="string").str.extract(r"([+-])([0-9]{1,2}):?([0-9]{2})?")
    sign = np.where(parts[0].fillna("+").to_numpy() == "-", -1, 1)
    return np.asarray((sign * (_whole(parts[1]) * 3600 + _whole(parts[2]) * 60) * 10**9)[codes], dtype=np.int64)


def _whole(text: pd.Series) -> IntArray:
    """Return the whole numbers written in a part of stamps; there are few: years, hours, seconds."""
    codes, unique = pd.factorize(text.fillna("0").replace("", "0"))
    return np.asarray(pd.to_numeric(pd.Series(unique)).to_numpy(dtype=np.int64)[codes])


def _odd_number(odd: BoolArray, cells: pd.Series, codes: npt.NDArray[np.intp], where: str, why: str) -> DataError:
    row = int(np.flatnonzero(odd[codes])[0])
    shown = str(cells.iloc[int(codes[row])])
    if _FIRST_SERIAL <= float(shown) < _LAST_SERIAL:
        why += "; a spreadsheet counts days so, and some begin in 1900, others in 1904"
    return _no_time(shown, row, where, why)


def _no_time(shown: str, row: int, where: str, why: str) -> DataError:
    return DataError(f"{where}: {shown} in row {row + 1} {why}", hint=_HINT)


def _no_stamp(rows: npt.NDArray[np.intp], where: str) -> DataError:
    return DataError(f"{where}: row {int(rows[0]) + 1} has no timestamp", hint="correct the file or drop the row")
