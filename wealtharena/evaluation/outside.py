"""Returns that were made elsewhere: a file of them as a path that measures, charts and baselines understand."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.data import periods
from wealtharena.data.panel import closing_rate
from wealtharena.data.reading.settled import Ledger
from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.errors import DataError, UnknownFileError, UnusableFileError
from wealtharena.evaluation import sheets, yearly
from wealtharena.evaluation.dates import WEEK, dated, dates_of, without_footer
from wealtharena.evaluation.figures import Figures, figures_of
from wealtharena.evaluation.levels import require_no_flows, require_no_splits, require_one_owner
from wealtharena.evaluation.naming import says_pct
from wealtharena.evaluation.percent import Sizes

FloatArray = npt.NDArray[np.float64]
START: Final = 100.0  # equity before the first return
GAP_DAYS: Final = 15  # from one bar to the next without a note
GAP_STEPS: Final = 3.0  # the same in usual steps, of weeks
GAP_MONTHS: Final = 1.5  # the same of months, quarters and years, of which no holiday takes one
MIDMONTH: Final = 20
STANDS_STILL: Final = 0.1  # share of a record's dates on which prices may have no new bar, as on a holiday
WEEKEND_DAYS: Final = 4  # that prices may begin after a record, or end before it, without a note
PATIENCE_STEPS: Final = 1.5  # the same in steps of the prices, which may be labelled by the first day of a month
MOST: Final = 1e100  # that equity may grow by in a bar: figures take squares of it
FACTORS: Final = (0.8, 1.25)  # between which no median gain of a row lies
MANY, LARGE, ALIKE = 20, 0.05, 0.9  # returns, the largest of them and their correlation, which no market has together
_MOST_OF_A_YEAR = np.timedelta64(300, "D")
OF_YEARS = 0.97  # the same of whole years: what bills earn in one is much like what they earned in the last
WILD: Final = 3.0  # volatility a year of a level of hardly anything
LEAST: Final = 2  # returns that a record has at least


@dataclass(frozen=True, eq=False)
class Returns(Trajectory):
    """A record of returns: a stretch without any is no time of it, where a level has moved across it."""


def read(path: Path, unit: str = "auto", ledger: Ledger | None = None) -> Trajectory:
    """Return the record in a CSV or Parquet file: a column of dates and one of returns or of equity.

    What the column is goes by its name (`naming.RETURNS`, `LEVELS`); a file that leaves two possibilities open is refused.
    Nothing is known of positions, orders and costs: those parts of the path are empty.

    Args:
        path: The file.
        unit: What returns are written in: `share` (0.01 is one per cent), `percent`, or `auto`: per cents where the
            column's name or its cells bear a %, else shares, where they can hardly be anything else.
        ledger: Where it is written down which unit was taken without being told, and what was left out.

    Raises:
        UnusableFileError: no such file, no dates, no figures or a column that may be another thing, rows without a figure
            behind the first, infinite ones, returns that may be per cents, several steps of time, or a date that stands
            twice.
    """
    try:
        return _read(path, unit, Ledger(path.name) if ledger is None else ledger)
    except UnknownFileError:
        raise
    except DataError as error:
        raise UnusableFileError(error.message, hint=error.hint) from error


def _read(path: Path, unit: str, ledger: Ledger) -> Trajectory:
    sheet, years = yearly.unfolded(sheets.read(path, ledger), ledger)
    columns = without_footer(dated(sheet.columns), ledger)
    require_one_owner(columns, path.name)
    at, found = dates_of(columns, ledger), figures_of(columns, ledger)
    order = np.argsort(at, kind="stable")
    at, values = at[order], found.values[order]
    first = int(np.isnan(values[:1]).sum())  # no return yet, as pandas' pct_change leaves it
    values, at = values[first:], at[first:]
    if lost := int((~np.isfinite(values)).sum()):
        raise DataError(
            f"{path.name}: {lost} of {len(values)} rows have no finite {found.name}",
            hint="write 0 where nothing was earned, or leave those rows out",
        )
    if len(np.unique(at)) != len(at):
        raise DataError(f"{path.name}: a date stands twice", hint="give one row a date")
    least, kind = (LEAST + 1, "levels") if found.is_level else (LEAST, "returns")
    if len(values) < least:
        raise DataError(f"{path.name} has {len(values)} {kind}", hint=f"give at least {least}")
    _require_one_step(at, path.name)
    _note_future(at, ledger)
    if found.is_level:
        require_no_flows(columns, order, found.name, path.name)
        require_no_splits(columns, order, found, ledger)
        if unit != "auto":
            raise DataError(
                f"{path.name}: returns_unit={unit}, and {found.name} holds a level",
                hint="leave returns_unit out, or call the column `return`",
            )
        if step := _begun(at):
            ledger.note(
                f"each level is taken as that of its date, though dates are the first of {step}s: write the last where "
                f"it is of the {step}'s end"
            )
        record = _path(path.stem, at, values)
        _note_wild(record, found.name, ledger)
        return record
    at = _ended(at, ledger)
    _require_countable(1.0 + values, path.name)
    found = replace(found, values=values)
    unit = years.unit_of(at, found, unit, ledger)
    values = _as_shares(found, at, unit, sheet.above, ledger)
    years.check(at, found, per_cents=bool(found.sign) or unit == "percent", ledger=ledger)
    _require_own(values, at, found.name, path.name)
    if (values <= -1.0).any():
        raise DataError(
            f"{path.name}: a return of {values.min():.2%} loses all that there was, or more",
            hint="write shares, -0.01 is a loss of one per cent, or say returns_unit=percent",
        )
    at = np.concatenate([[_before(at)], at])
    with np.errstate(over="ignore"):
        equity = START * np.concatenate([[1.0], np.cumprod(1.0 + values)])
    told = _path(path.stem, at, equity)
    closing = None if _silent(at).any() else closing_rate(at[1:])
    return Returns(**{**vars(told), "bars_per_year": closing or len(values) / _years(at)})


def _note_wild(record: Trajectory, column: str, ledger: Ledger) -> None:
    """Say of a level that moves as none does that it may be none."""
    volatility = float(np.std(np.diff(np.log(record.equity))) * record.bars_per_year**0.5)
    if volatility > WILD:
        ledger.note(f"{column} is taken as a level, which varies by {volatility:.0%} a year: see whether it is one")


def _require_countable(growth: FloatArray, name: str) -> None:
    """Raise DataError where what a bar multiplies equity by, [n], has a square that is no number."""
    if not (growth < MOST).all():
        raise DataError(f"{name}: equity grows beyond every number", hint="look at its rows, and at their unit")


def _require_own(values: FloatArray, at: npt.NDArray[np.datetime64], column: str, name: str) -> None:
    """Raise DataError where returns, as shares, are no row's own gain: what it multiplies by, cumulative or rolling ones."""
    if _like_factors(values):
        raise DataError(
            f"{name}: {column} lies around 1 ({np.median(values):.4f}), as factors by which a value grows do",
            hint="subtract 1 (100 of per cents)",
        )
    if len(values) < MANY or np.abs(values).max() < LARGE or np.ptp(values[1:]) == 0.0 or np.ptp(values[:-1]) == 0.0:
        return
    alike = float(np.corrcoef(values[1:], values[:-1])[0, 1])
    yearly = np.median(np.diff(at)) > _MOST_OF_A_YEAR
    if alike > (OF_YEARS if yearly else ALIKE):
        raise DataError(
            f"{name}: each {column} is much like the one before (a correlation of {alike:.2f}), as cumulative or rolling ones are",
            hint="give what each row earned; of cumulative returns, 1 + each is a level: call that column `equity`",
        )


def _like_factors(values: FloatArray) -> bool:
    """Return whether figures may be what each row multiplies by; in per cents a fund that never loses may look so, too."""
    return bool(values.min() > 0.0 and FACTORS[0] < np.median(values) < FACTORS[1])


def _as_shares(found: Figures, at: npt.NDArray[np.datetime64], unit: str, above: str, ledger: Ledger) -> FloatArray:
    """Return returns as shares, and write down the unit that was taken where nobody said it.

    Raises:
        DataError: they may be shares or per cents, or are called shares and bear a %.
    """
    if unit == "share" and found.sign:
        raise DataError(f"{ledger.name}: {found.name} bears a %", hint="leave returns_unit out, or say percent")
    values = found.values
    sizes = Sizes.of(values, _years(at) * len(values) / max(len(values) - 1, 1))
    if found.sign and unit == "auto":
        ledger.note(f"returns are taken as per cents, since {found.sign} a %: they {sizes.told('percent')}")
    elif unit == "auto":
        hint = "say which: returns_unit=percent, or returns_unit=share where 0.01 is one per cent"
        if _like_factors(values):
            hint += "; where they are factors by which a value grows, neither: subtract 1"
        both = f"as shares they {sizes.told('share')}, as per cents they {sizes.told('percent')}"
        if says_pct(found.name):
            if not sizes.is_open:
                raise DataError(f"{ledger.name}: {found.name} speaks of per cents: {both}", hint=hint)
            ledger.note(f"returns are taken as per cents, as {found.name} says: they {sizes.told('percent')}")
            return values / 100.0
        if sizes.is_open:
            raise DataError(f"{ledger.name}: returns may be per cents or shares: {both}", hint=hint)
        if re.search(r"%|per ?cent", above, re.IGNORECASE):
            raise DataError(f"{ledger.name}: a line above the header speaks of per cents: {both}", hint=hint)
        ledger.note(
            f"returns are taken as shares, 0.01 for one per cent, since nothing says otherwise: they {sizes.told('share')}; "
            f"as per cents (returns_unit=percent) they {sizes.told('percent')}"
        )
    elif not found.sign and unit == "percent" and _like_factors(values):
        ledger.note(
            f"{found.name} is taken as per cents, as returns_unit says, and lies around 1 ({np.median(values):.4f}), as factors "
            "by which a value grows do: see whether it is none"
        )
    return values / 100.0 if unit == "percent" or found.sign else values


def _require_one_step(at: npt.NDArray[np.datetime64], name: str) -> None:
    """Raise DataError where a record goes on by steps of another length: a year has then no number of bars."""
    import pandas as pd

    from wealtharena.data import intervals

    shown = intervals.spacing(pd.DatetimeIndex(at))
    if shown is not None and shown.interval is not None and shown.mixed:
        beside = shown.other or f"{shown.foreign} steps that are none"
        raise DataError(
            f"{name}: steps of several lengths stand in one record ({shown.interval} and {beside})",
            hint="give one row a day, or one a month, throughout",
        )


def _note_future(at: npt.NDArray[np.datetime64], ledger: Ledger) -> None:
    """Note dates that have not come yet, as a year of two digits may be read; the period that is running may be named by its end."""
    usual = np.median(np.diff(at)) if len(at) > 1 else np.timedelta64(0, "D")
    late = int((at > np.datetime64(dt.datetime.now(), "ns") + np.timedelta64(1, "D") + usual).sum())
    if late:
        ledger.note(
            f"{late} of {len(at)} dates have not come yet, the last is {str(at[-1])[:10]}: no record tells of them; see whether "
            "their years are read as they are meant"
        )


def holes(path: Trajectory) -> list[str]:
    """Return a sentence for each stretch of time without a row of the record, the longest first."""
    at = path.timestamps
    found = np.flatnonzero(_silent(at))
    longest = sorted(found, key=lambda i: (at[i] - at[i + 1], at[i]))
    counts = (
        "figures a year, baselines and cash are of the bars that are there"
        if isinstance(path, Returns)
        else "what was earned in it is the return of one bar"
    )
    return [
        f"the record tells nothing of the time from {_date(path, i)} to {_date(path, i + 1)}: {counts}" for i in longest
    ]


def in_time(record: Trajectory) -> Trajectory:
    """Return a record with a usual step for each stretch of which it tells nothing: the time in which cash earns beside it."""
    if not isinstance(record, Returns):
        return record
    at = record.timestamps
    steps = np.where(_silent(at), np.median(np.diff(at)), np.diff(at))
    return replace(record, timestamps=at[-1] - np.concatenate([[0], np.cumsum(steps[::-1])])[::-1].astype(steps.dtype))


def _silent(at: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Return which steps, [n - 1], are too long for a weekend, a holiday or a missed week; a missed month is one of them."""
    steps = np.diff(at) / np.timedelta64(1, "D")
    usual = GAP_MONTHS if _months(at) else GAP_STEPS
    return np.asarray(steps > max(GAP_DAYS, usual * float(np.median(steps))))


def _years(at: npt.NDArray[np.datetime64]) -> float:
    """Return the years that a record is of: of a silent stretch counts one usual step."""
    steps = np.diff(at) / np.timedelta64(1, "D")
    return float(np.where(_silent(at), np.median(steps), steps).sum()) / 365.25


def beside(paths: Sequence[Trajectory], record: Trajectory, ledger: Ledger | None = None) -> list[Trajectory]:
    """Return paths at the dates of the record, each grown from the same start; of returns without what it tells nothing of.

    Where their prices begin later or end earlier than the record, by more than a long weekend, a note in `ledger` says so.

    Raises:
        DataError: a path does not cover the record, begins, ends or pauses for more than `GAP_DAYS` beside it, or has clearly
            fewer bars than it there.
    """
    found: list[Trajectory] = []
    for path in paths:
        at = np.searchsorted(path.timestamps, record.timestamps, side="right") - 1
        at[0] = max(at[0], 0)  # a record of returns begins at a date that is only likely
        apart = np.abs(record.timestamps - path.timestamps[at]) / np.timedelta64(1, "D")  # [n + 1]
        step = float(np.median(np.diff(path.timestamps)) / np.timedelta64(1, "D"))
        worst = int(np.argmax(apart))
        dull = float(np.mean(np.diff(at) == 0)) > STANDS_STILL
        far = ""
        if not (few := at[1] < 0 or dull) and apart[worst] > max(GAP_DAYS, PATIENCE_STEPS * step):
            far = f" (beside {_date(record, worst)} the nearest is of {_date(path, at[worst])})"
        if few or far:
            raise DataError(
                f"prices from {_date(path, 0)} to {_date(path, -1)} do not cover the returns, "
                f"{_date(record, 0)} to {_date(record, -1)}, bar by bar{far}",
                hint="give prices at least as often as returns, from the bar before the first to the last, or fewer returns",
            )
        if ledger is not None and not found:  # all of one market
            for end, word in ((0, "begin"), (-1, "end")):
                if apart[end] > max(WEEKEND_DAYS, PATIENCE_STEPS * step):
                    ledger.note(
                        f"prices {word} at {_date(path, at[end])}, the returns at {_date(record, end)}: the baselines stand "
                        "still between"
                    )
        equity = record.equity[0] * path.equity[at] / path.equity[at[0]] * _unheard(path, record, at)
        found.append(replace(_path(path.name, record.timestamps, equity), bars_per_year=record.bars_per_year))
    return found


def _unheard(path: Trajectory, record: Trajectory, at: npt.NDArray[np.intp]) -> FloatArray:
    """Return the factor [n + 1] that takes out of a path, of which the record has rows `at`, what it earned while no return was told."""
    factor = np.ones(len(at))
    if isinstance(record, Returns):
        step = np.median(np.diff(record.timestamps))
        for row in np.flatnonzero(_silent(record.timestamps)) + 1:
            moment = record.timestamps[row] - step
            begins = int(np.searchsorted(path.timestamps, moment, side="right")) - 1
            if moment - path.timestamps[begins] > np.timedelta64(GAP_DAYS, "D"):
                begins = int(at[row])  # the prices begin again with it
            factor[row:] *= path.equity[at[row - 1]] / path.equity[begins]
    return factor


def _date(path: Trajectory, row: int | np.int64) -> str:
    return str(path.timestamps[row])[:10]


def _path(name: str, at: npt.NDArray[np.datetime64], equity: FloatArray) -> Trajectory:
    if len(equity) < LEAST + 1 or not (equity > 0.0).all():
        raise DataError(f"{name}: equity must be positive, over at least {LEAST + 1} dates", hint="look at its rows")
    with np.errstate(over="ignore", invalid="ignore"):
        _require_countable(equity[1:] / equity[:-1], name)
    bars, years = len(equity) - 1, float((at[-1] - at[0]) / np.timedelta64(1, "D")) / 365.25
    nothing = np.zeros(bars)
    return Trajectory(
        name=name,
        timestamps=at,
        symbols=(),
        equity=equity,
        weights=np.zeros((bars + 1, 0)),
        targets=np.zeros((bars, 0)),
        traded_value=nothing,
        costs=nothing,
        financing=nothing,
        dividends=nothing,
        trades=Trades(np.zeros(0, np.int64), np.zeros(0, np.int64), *(np.zeros(0) for _ in range(4))),
        fill="",
        bars_per_year=closing_rate(at) or bars / years,
    )


def _days(at: npt.NDArray[np.datetime64]) -> float:
    """Return the usual step, in days."""
    return float(np.median(np.diff(at)) / np.timedelta64(1, "D"))


def _months(at: npt.NDArray[np.datetime64]) -> int:
    """Return how many months a step is, 1, 3, 6 or 12; 0 for any other step."""
    step = _days(at)
    return next((count for count in (1, 3, 6, 12) if abs(step / (365.25 / 12) - count) < 0.1 * count), 0)


def _begun(at: npt.NDArray[np.datetime64]) -> str:
    """Return week, month, quarter or year where dates name the beginnings of these, as bars may; else nothing."""
    months = _months(at)
    is_week = not months and abs(_days(at) - WEEK) < 1.0
    if not (months or is_week) or not periods.begin(
        at.astype("datetime64[ns]").astype(np.int64), "1mo" if months else "1w"
    ):
        return ""
    return {0: "week", 1: "month", 3: "quarter", 6: "half-year", 12: "year"}[months]


def _ended(at: npt.NDArray[np.datetime64], ledger: Ledger) -> npt.NDArray[np.datetime64]:
    """Return the last days of the weeks or months of returns that are dated by the first: no return is known before it is over."""
    import pandas as pd

    step = _begun(at)
    if not step:
        return at
    stamps = pd.DatetimeIndex(at)
    if step == "week":
        last = stamps + pd.to_timedelta(WEEK - 1 - stamps.day_of_week, unit="D")
    else:
        last = stamps.normalize() + pd.offsets.MonthEnd(0) + pd.offsets.MonthEnd(_months(at) - 1)
    ledger.note(
        f"dates are the first of {step}s: each return is taken as that of the {step} which begins there, known on its last "
        f"day, {last[0]:%Y-%m-%d} the first; write that day to say otherwise"
    )
    return np.asarray(last.as_unit("ns").to_numpy(), dtype="datetime64[ns]")


def _before(at: npt.NDArray[np.datetime64]) -> np.datetime64:
    """Return when the first return began: one step before it; of months, quarters and years, by the calendar."""
    import pandas as pd

    months = _months(at)
    if not months:
        return np.datetime64(at[0] - np.median(np.diff(at)))
    first = pd.Timestamp(at[0])
    if first.day > MIDMONTH:  # the last of a month, of its days or of its sessions
        return (first + pd.offsets.MonthEnd(0) - pd.offsets.MonthEnd(months)).to_datetime64()
    return (first - pd.DateOffset(months=months)).to_datetime64()
