"""Which columns of somebody's file are its dates and which its returns or levels, and the numbers that they hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from wealtharena.data.reading.columns import plain as letters_of
from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.signs import told, with_minus
from wealtharena.data.reading.words import ABSENT
from wealtharena.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from wealtharena.data.reading.stamps import Stamps

FloatArray = npt.NDArray[np.float64]
Column = tuple[str, "pd.Series"]  # name, cells
RETURNS: Final = ("return", "returns", "ret", "rets", "strategy", "daily_return", "daily_returns", "net_return",
                  "portfolio_return")  # fmt: skip
LEVELS: Final = ("equity", "value", "nav", "balance", "close", "price", "adj_close", "net_asset_value", "portfolio_value",
                 "total")  # fmt: skip
PER_CENT: Final = r"\s*[(\[]?\s*(?:%|in\s*%|percent|per\s*cent)\s*[)\]]?\s*$"  # behind a column's name
NUMBER: Final = (
    r"[+-]?(?:\d{1,3}(?:[.,' ]\d{3})+|\d*)(?:[.,]\d*)?(?:[eE][+-]?\d+)?"  # whichever mark is the decimal one
)
GROUPED: Final = r"[+-]?[1-9]\d{0,2}\.\d{3}"  # 1.013: a decimal, or thousands
ENDLESS: Final = r"([+-]?)(?:inf|infinity|∞)"
NOTHING: Final = r"[+-]?0*[.,]?0*"  # a zero needs no sign
STARTS: Final = re.compile(r"[+-.,]?\d")  # a date, or a number
SPACES: Final = "% \u00a0\u202f"
PROBE: Final = 20  # cells that tell what most are
SAME_RETURN: Final = 1e-6  # that a column of returns may differ from its level's, by rounding
DAY: Final = 86_400 * 10**9  # ns
WEEK: Final = 7  # days
YEAR: Final = 12  # months
MONTHLY: Final = re.compile(  # forms of a stamp
    r"(?:year and month|month's name and year|month and year|year and month by name)$|months of years of two digits"
)


@dataclass(frozen=True, eq=False)
class Figures:
    """The numbers [n] of the column `name`; `sign` says in words what bears a %, where anything does."""

    name: str
    values: FloatArray
    is_level: bool
    sign: str


def plain(name: str) -> str:
    """Return a column's name without a per cent sign behind it, in small letters: daily_return of `Daily Return (%)`."""
    return re.sub(PER_CENT, "", name, flags=re.IGNORECASE).strip().lower().replace(" ", "_").replace("-", "_")


def is_named(name: str) -> bool:
    """Return whether a column's name says that it holds returns or a level."""
    return plain(name) in (*RETURNS, *LEVELS)


def is_typed(cells: pd.Series) -> bool:
    """Return whether a column holds numbers by its type."""
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells))


def text_of(cells: pd.Series) -> pd.Series:
    """Return a column's cells as text, empty where there is none, with the minus of typesetters as a hyphen."""
    found: pd.Series = cells.astype("string").fillna("").str.strip().str.replace("\u2212", "-", regex=False)
    return found


def _holds_numbers(cells: pd.Series) -> bool:
    """Return whether a column is one of numbers, typed or written."""
    if is_typed(cells):
        return True
    text = with_minus(text_of(cells))
    text = text[~text.str.lower().isin(ABSENT)].str.rstrip(SPACES)
    return bool(len(text)) and bool(text.str.fullmatch(f"{NUMBER}|{ENDLESS}", case=False).all())


def _is_blank(cells: pd.Series) -> bool:
    return bool(cells.isna().all()) if is_typed(cells) else bool((text_of(cells) == "").all())


def without_footer(columns: list[Column], ledger: Ledger) -> list[Column]:
    """Return columns without the last rows that have no date: a sum, a source, a line about the file.

    Such a row is text in its only cell, or has a word without a digit where dates stand.
    """
    import pandas as pd

    cells = pd.DataFrame({place: text_of(values) for place, (_, values) in enumerate(columns) if not is_typed(values)})
    if cells.empty or len(cells.columns) < len(columns):  # a file of typed columns has no text below them
        return columns
    times = [place for place, (name, _) in enumerate(columns) if role_of(name) == "timestamp"] or [0]
    kept = len(cells)
    while kept:
        row = [str(cell) for cell in cells.iloc[kept - 1]]
        lone = [cell for cell in row if cell]
        dates = [row[place] for place in times if row[place].lower() not in (*ABSENT, "nat")]
        word = bool(dates) and not any(letter.isdigit() for cell in dates for letter in cell)
        if not word and not (len(lone) == 1 and not STARTS.match(lone[0]) and not _is_date(lone[0])):
            break
        kept -= 1
    ledger.drop("no date, below the last one", len(cells) - kept)
    return [(name, values.iloc[:kept]) for name, values in columns]


def _is_date(cell: str) -> bool:
    import pandas as pd

    from wealtharena.data.reading import stamps

    try:
        stamps.parse(pd.Series([cell], dtype="string"), "")
    except DataError as error:
        return "may " in error.message
    return True


def _are_dates(cells: pd.Series) -> bool:
    """Return whether most cells of a column are dates, or its type says so, so that one that is none is a fault."""
    import pandas as pd

    if _holds_numbers(cells):
        return False
    if not (pd.api.types.is_string_dtype(cells) or cells.dtype == object):
        return True
    probe = cells.astype("string").fillna("").iloc[:: max(1, len(cells) // PROBE)]
    return 2 * sum(_is_date(str(cell)) for cell in probe) > len(probe)


def dates_of(columns: Sequence[Column], ledger: Ledger) -> npt.NDArray[np.datetime64]:
    """Return the stamp of each row, [n] in ns: the date that is written where rows are a day or more apart, else UTC.

    Columns that are called so count, numbers among them (20240131, epochs); else whatever holds dates that are written.

    Raises:
        DataError: there is none, a cell is none, or two columns tell different dates.
    """
    from wealtharena.data.reading import stamps
    from wealtharena.data.reading.moments import time_of_rows

    found: dict[str, npt.NDArray[np.datetime64]] = {}
    broken: DataError | None = None
    columns = [(name, _written_out(name, cells)) for name, cells in columns]
    named = _called_times(columns, ledger.name)
    if named:
        try:
            read = time_of_rows([(name, cells.reset_index(drop=True)) for name, cells in named], ledger)
            found[ledger.facts.get("time column", named[0][0])] = _moments(read, ledger)
        except DataError as error:
            if "tell different" in error.message or any(map(_are_dates, (cells for _, cells in named))):
                raise
            broken = error
    for name, cells in columns:
        if name in dict(named) or _holds_numbers(cells):
            continue
        try:
            found[name] = _moments(stamps.parse(cells, f"{ledger.name}: {name}"), ledger)
        except DataError:
            continue
    if not found:
        hint = "write them as 2024-01-31, in a column of their own"
        raise broken or DataError(f"{ledger.name} has no column of dates", hint=hint)
    at = next(iter(found.values()))
    if not all((other == at).all() for other in found.values()):
        raise DataError(f"{ledger.name}: dates may be any of {', '.join(found)}", hint="keep one column of dates")
    return at


def _called_times(columns: Sequence[Column], where: str) -> list[Column]:
    """Return the columns that are called times, and a first one without a name, each name once.

    Raises:
        DataError: two columns of one name differ.
    """
    found: dict[str, pd.Series] = {}
    for place, (name, cells) in enumerate(columns):
        nameless = not letters_of(name) or letters_of(name).startswith("unnamed")
        if role_of(name) != "timestamp" and (place or not nameless):
            continue
        if name in found and not (text_of(found[name]) == text_of(cells)).all():
            raise DataError(f"{where}: dates may be any of {name}, {name}", hint="keep one column of dates")
        found.setdefault(name, cells)
    return list(found.items())


def _written_out(name: str, cells: pd.Series) -> pd.Series:
    """Return a column with its periods as their last days, and with months as 2024-01 where it writes 202401.

    Six digits are months where each row is of the month after the one before, in either order, and no date of two digits a
    year is written so: 202401 has no month 24, and no year has its first twelve days alone.
    """
    import pandas as pd

    if isinstance(cells.dtype, pd.PeriodDtype):
        ends = cells.dt.to_timestamp(how="end").astype("datetime64[ns]")
        return ends.dt.floor("D") if (ends.diff().dropna().abs() >= pd.Timedelta(days=1)).all() else cells
    if role_of(name) != "timestamp":
        return cells
    text = text_of(cells)
    if not text.str.fullmatch(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])").all():
        return cells
    months = text.str[:4].astype("int64") * 12 + text.str[4:].astype("int64")
    apart = months.diff().dropna()
    alone = len(text) > YEAR or (text.str[2:4].astype("int64") > YEAR).any()
    return text.str[:4] + "-" + text.str[4:] if alone and (apart.eq(1).all() or apart.eq(-1).all()) else cells


def _moments(read: Stamps, ledger: Ledger) -> npt.NDArray[np.datetime64]:
    """Return dates of rows that are a day or more apart, else instants; an epoch's date is that of a bar stamped so."""
    import pandas as pd

    from wealtharena.data import intervals
    from wealtharena.data.reading.moments import bar_times

    if MONTHLY.search(read.form):  # 2024-01 says which month it is of, and its figure is known at the end
        return (pd.DatetimeIndex(read.wall) + pd.offsets.MonthEnd(0)).to_numpy().astype("datetime64[ns]")
    if intervals.is_dated(pd.DatetimeIndex(read.instants)) is False:
        return read.instants.astype("datetime64[ns]")
    if not read.form.startswith("epochs"):
        return _written_dates(read, ledger).astype("datetime64[ns]")
    keeps_weekends = pd.DatetimeIndex(read.instants).day_of_week.nunique() < WEEK
    found = bar_times(read, dated=True, zone="UTC", weekdays=keeps_weekends, where=ledger.name)
    return np.asarray(pd.DatetimeIndex(found).tz_localize(None).as_unit("ns").to_numpy(), dtype="datetime64[ns]")


def _written_dates(read: Stamps, ledger: Ledger) -> npt.NDArray[np.int64]:
    """Return the dates of days as they are written, ns; of times in UTC those that keep weekends.

    Midnight of a place further east is the evening before there.
    """
    from wealtharena.data.reading.moments import off_weekends

    dates = read.wall // DAY * DAY
    if read.whole_days or (read.wall != read.instants).any() or np.median(np.diff(np.sort(dates))) > DAY:
        return dates
    kept = off_weekends(read.wall)
    if kept is None or (kept == dates).all():
        return dates
    ledger.note(
        "by their times of day some rows would be of weekends: all are taken as of the dates half a day on or back"
    )
    return kept


def figures_of(columns: Sequence[Column], ledger: Ledger) -> Figures:
    """Return the one column whose name says that it holds returns or a level.

    A level counts where the returns of it stand beside it, as in a run's equity.parquet. A name such as `pnl_pct`,
    `drawdown` or `log_return` says another thing, and one such as `0` nothing. Which mark is the
    decimal one is for all columns of numbers to show.

    Raises:
        DataError: no column is called so, or several that differ; a cell is no number, or may be two.
    """
    called = [(name, cells) for name, cells in columns if is_named(name)]
    called = _without_its_returns([one for one in called if not _is_blank(one[1])] or called)
    if not called or not _are_one(called):
        raise _unclear([name for name, _ in called], columns, ledger.name)
    name, cells = called[0]
    if len(columns) > 2:
        ledger.note(f"of its {len(columns)} columns the figures are those of {name}")
    sign = f"the name of {name} bears" if re.search(PER_CENT, name, re.IGNORECASE) else ""
    if is_typed(cells):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        text = told(text_of(cells), name, ledger)
        absent = text.str.lower().isin(ABSENT)
        marked = text.str.endswith("%")
        if marked.any() and not (marked | absent | text.str.fullmatch(NOTHING)).all():
            raise DataError(f"{ledger.name}: some cells of {name} bear a % and some none", hint="write all alike")
        sign = sign or ("its cells bear" if marked.any() else "")
        beside = [other for label, other in columns if not is_named(label) and role_of(label) != "timestamp"]
        values = _numbers(name, text, [one for one in beside if not is_typed(one) and _holds_numbers(one)], ledger)
    if sign and plain(name) in LEVELS:
        raise DataError(f"{ledger.name}: {name} bears a %: that is no level", hint="call the column `return`")
    return Figures(name, np.asarray(values, dtype=np.float64), plain(name) in LEVELS, sign)


def _numbers(name: str, text: pd.Series, beside: list[pd.Series], ledger: Ledger) -> FloatArray:
    """Return the numbers that cells stand for; where they leave the decimal mark open, columns of numbers `beside` show it."""
    endless = text.str.extract(f"^{ENDLESS}$", flags=re.IGNORECASE)[0]
    own = {name: text.str.rstrip(SPACES).mask(endless.notna(), "")}
    try:
        values = marked(own, ledger)[name]
    except DataError as error:
        others = {f"column {place}": with_minus(text_of(one)).str.rstrip(SPACES) for place, one in enumerate(beside)}
        others = {key: one.mask(one.str.fullmatch(ENDLESS, case=False), "") for key, one in others.items()}
        if not others or " may be " not in error.message:
            raise
        try:
            values = marked({**own, **others}, ledger)[name]
        except DataError:
            raise error from None
    is_endless, is_loss = endless.notna().to_numpy(dtype=bool), endless.eq("-").fillna(value=False).to_numpy(dtype=bool)
    return np.where(is_endless, np.where(is_loss, -np.inf, np.inf), values.to_numpy(dtype=np.float64))


def marked(columns: dict[str, pd.Series], ledger: Ledger) -> dict[str, pd.Series]:
    """Return the numbers of columns, their marks read as bars' are.

    Raises:
        DataError: a cell is no number, or 1.013 may be thousands: where tabs separate as where semicolons do, and wherever
            whole numbers stand among nothing else, which three decimals throughout would not leave.
    """
    from wealtharena.data.reading.numbers import to_numbers

    cells = {key: one[~one.str.lower().isin(ABSENT)] for key, one in columns.items()}
    dotted = {key: one[one.str.contains(".", regex=False)] for key, one in cells.items()}
    first = next((str(one.iloc[0]) for one in dotted.values() if len(one)), "")
    grouped = all(one.str.fullmatch(GROUPED).all() for one in dotted.values())
    if first and grouped and not any(one.str.contains(",", regex=False).any() for one in cells.values()):
        whole = any(cells[key].str.fullmatch(r"[+-]?[1-9]\d*").any() for key, one in dotted.items() if len(one) > 1)
        if whole or ledger.facts.get("separator", "comma") != "comma":
            raise DataError(
                f"{ledger.name}: {first} may be {first.replace('.', '')} or {first.replace('.', ',')}",
                hint="write numbers with a decimal point and no thousands mark, and separate them by commas",
            )
    return to_numbers(columns, ledger)


def _are_one(called: Sequence[Column]) -> bool:
    """Return whether columns are one, written again: of the same name, with the same cells."""
    name, cells = called[0]
    return all(
        other.strip().lower() == name.strip().lower() and (text_of(values) == text_of(cells)).all()
        for other, values in called[1:]
    )


def _without_its_returns(called: list[Column]) -> list[Column]:
    """Return the one level alone where whatever stands beside it are its returns, which know nothing of before its first row."""
    import pandas as pd

    levels = [one for one in called if plain(one[0]) in LEVELS]
    if len(levels) != 1:
        return called
    level, *others = (
        pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        for _, cells in [*levels, *(one for one in called if one is not levels[0])]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        earned = level[1:] / level[:-1] - 1.0
    own = all(
        (np.isnan(told[:1]) | (told[:1] == 0.0)).all() and (np.abs(told[1:] - earned) <= SAME_RETURN).all()
        for told in others
    )
    return levels if own else called


def _unclear(called: list[str], columns: Sequence[Column], where: str) -> DataError:
    numeric = [name for name, cells in columns if role_of(name) != "timestamp" and _holds_numbers(cells)]
    told = "has no column of figures"
    if called:
        told = f"may mean any of {', '.join(called)}"
    elif any(_is_date(name) for name, _ in columns):
        told = f"has no names above its columns; it begins with {', '.join(name for name, _ in columns)[:80]}"
    elif numeric:
        told = f"has figures called {', '.join(numeric[:5])}, which may be returns, a level or another thing"
    return DataError(f"{where} {told}", hint="call one column `return` (shares, 0.01 is one per cent) or `equity`")
