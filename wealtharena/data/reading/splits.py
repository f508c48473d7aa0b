"""Splits and payouts that no column names and two others prove: the closes, and an adjusted close or a factor beside them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import BoolArray, IntArray, Stamps
from wealtharena.errors import DataError

_LARGE: Final = 0.15  # log of the smallest step (7:6) that is called a split whatever its ratio
_BONUS: Final = 20  # a smaller one is a split where it is one new share for so many or fewer (21:20)
_EXACT: Final = 0.002  # adjusted closes are rounded to cents
_SLIGHT: Final = 1e-4  # log of a step that is no payout: exporters compute in single precision
_DECIMALS: Final = 6
_OFF: Final = 0.2  # share by which a payout that an adjusted close shows and the recorded one are two
_FEW: Final = 2  # dates on which they may differ, being errors of one of them
_STEPPING: Final = 0.1  # share of bars with a step beside ex-dates: an adjusted close of more is made otherwise
_WEEK: Final = 6 * 86_400 * 10**9  # less than that, in ns, between payouts

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class _Steps:
    """What the factor of one symbol does from each bar to the next: `size` is its step, without recorded dividends.

    `shown` are those that rounding cannot make, `bare` those on whose date nothing is recorded, and `falls` those that the
    close makes in the other direction.
    """

    rows: IntArray
    size: Array
    shown: BoolArray
    bare: BoolArray
    falls: BoolArray

    @property
    def large(self) -> BoolArray:
        """Return the steps that no dividend makes and the close shows."""
        return self.shown & self.falls & (np.abs(np.log(self.size)) > _LARGE)

    @property
    def small(self) -> BoolArray:
        """Return the other steps where nothing is recorded; none where one goes down, as none does that payouts make."""
        found = self.shown & self.bare & (np.abs(np.log(self.size)) <= _LARGE)
        return found & (not (self.size[found] < 1.0).any())


def write_proven(
    numbers: pd.DataFrame,
    groups: dict[str, IntArray],
    read: Stamps,
    found: dict[str, list[tuple[str, pd.Series]]],
    ledger: Ledger,
) -> bool:
    """Write down the splits and payouts that an adjusted close or a factor beside the closes proves, where no column does.

    On a split's date the close falls by the ratio and the adjusted close does not: their quotient, or the factor, makes a
    step. So it does on an ex-date. Payouts are paid by an adjusted close alone: closes may contain what a factor tells.

    Returns:
        Whether there are such splits, so that the closes are not adjusted for them.
    """
    role = next((role for role in ("adjclose", "factor") if role in numbers), None)
    if role is None or (role == "factor" and found["factor"][0][0].startswith("$")):
        return False
    stepping = {
        name: _steps(numbers, rows[np.argsort(read.instants[rows], kind="stable")], role)
        for name, rows in groups.items()
    }
    if role == "adjclose" and "dividend" in numbers:
        _check_recorded(numbers, stepping, read, found, ledger)
    close = numbers["close"].to_numpy(dtype=np.float64)
    written = {"split": np.zeros(len(numbers)), "dividend": np.zeros(len(numbers))}
    told: dict[str, list[str]] = {"split": [], "dividend": []}
    free = "split" not in numbers
    for name, steps in stepping.items():
        large = steps.large
        for place in np.flatnonzero((large & free) | steps.small):
            before, row = steps.rows[place : place + 2]
            step, day = float(steps.size[place]), _day(read, row)
            ratio = _ratio(step, large=bool(large[place]))
            if large[place] or (free and ratio is not None and (role == "adjclose" or steps.falls[place])):
                written["split"][row] = float(ratio) if ratio else step
                words = f"{ratio.numerator}:{ratio.denominator}" if ratio else f"{step:.4f}:1"
                told["split"].append(f"{name} {words} on {day}")
            else:
                written["dividend"][row] = float(close[before]) * (1.0 - 1.0 / step)
                told["dividend"].append(f"{name} {written['dividend'][row]:.4g} on {day}")
    shown = {kind: f"{', '.join(words[:5])}{' ...' if len(words) > 5 else ''}" for kind, words in told.items()}
    column = found[role][0][0]
    if told["split"]:
        numbers["split"] = written["split"]
        ledger.note(f"{column} shows splits, or payouts as large, that no column names: {shown['split']}")
    if not told["dividend"]:
        return bool(told["split"])
    if role == "factor":
        ledger.note(f"{column} shows payouts, which are not paid, as closes may contain them: {shown['dividend']}")
    elif "dividend" in numbers:
        ledger.note(f"{column} shows payouts where no dividend is recorded; they are not paid: {shown['dividend']}")
    else:
        numbers["dividend"] = written["dividend"]
        ledger.note(f"{column} shows payouts that no column names; they count as dividends: {shown['dividend']}")
    return bool(told["split"])


def _steps(numbers: pd.DataFrame, rows: IntArray, role: str) -> _Steps:
    """Return the steps of a symbol's factor, `rows` being its rows in order of time."""
    with np.errstate(invalid="ignore", divide="ignore"):
        close, beside = (
            numbers["close"].to_numpy(dtype=np.float64)[rows],
            numbers[role].to_numpy(dtype=np.float64)[rows],
        )
        factor = beside / close if role == "adjclose" else beside
        there = np.isfinite(np.log(factor))
        rows, close, beside, factor = rows[there], close[there], beside[there], factor[there]
        noise = _rounding(close) + _rounding(beside) if role == "adjclose" else np.zeros(len(rows))
        columns = [numbers[name].fillna(0).to_numpy()[rows][1:] for name in ("dividend", "split") if name in numbers]
        bare = np.all([(cells == 0) | (cells == 1) for cells in columns], axis=0) if columns else True
        paid = columns[0] if "dividend" in numbers else 0.0
        left = np.broadcast_to(1.0 - paid / close[:-1], len(rows) - 1) if len(rows) else np.zeros(0)
        size = factor[1:] / factor[:-1] * left
        jump, fall = np.log(size), np.log(close[1:] / close[:-1])
        undone = factor * np.cumprod(np.r_[1.0, np.where(left > 0, left, 1.0)])[: len(rows)]
    shown = np.isfinite(jump) & (np.abs(jump) > np.maximum(_SLIGHT, noise[1:] + noise[:-1]))
    bare = shown & bare
    # by all bars of a stretch, of which one is rounded more than the others; recorded dividends make none of their steps
    level = _levels(undone, shown)
    size = np.where(bare, level[1:] / level[:-1], size)
    return _Steps(rows, size, shown, bare, np.abs(jump + fall) < np.abs(fall))


def _check_recorded(
    numbers: pd.DataFrame,
    stepping: dict[str, _Steps],
    read: Stamps,
    found: dict[str, list[tuple[str, pd.Series]]],
    ledger: Ledger,
) -> None:
    """Compare recorded dividends with those that the adjusted close shows on their dates, where it shows any.

    They are others where dividends are those of the shares of their day and prices have the splits, or the other way round.

    Raises:
        DataError: they differ on more than a few dates, and on a tenth of them; fewer are said.
    """
    close, beside, paid = (numbers[name].to_numpy(dtype=np.float64) for name in ("close", "adjclose", "dividend"))
    for name, steps in stepping.items():
        before, at = steps.rows[:-1], steps.rows[1:]
        split = numbers["split"].to_numpy(dtype=np.float64)[at] if "split" in numbers else np.zeros(len(at))
        with np.errstate(invalid="ignore", divide="ignore"):
            shown = close[before] - beside[before] / beside[at] * close[at]
            room = 2 * close[before] * (_rounding(close)[before] + _rounding(beside)[before])
            dated = (
                (paid[at] > 0) & np.isin(np.nan_to_num(split), (0.0, 1.0)) & (shown > room) & (shown < close[before])
            )
            differ = dated & (np.abs(shown - paid[at]) > _OFF * np.maximum(shown, paid[at]) + room)
        if not differ.any() or (steps.shown & steps.bare).mean() > _STEPPING:
            continue
        place = int(np.flatnonzero(differ)[0])
        words = (
            f"{found['adjclose'][0][0]} shows a payout of {shown[place]:.4g} on {_day(read, at[place])}, where {found['dividend'][0][0]} has"
            f" {paid[at[place]]:.4g}"
        )
        count = int(differ.sum())
        if count > _FEW and count > _STEPPING * dated.sum():
            raise DataError(
                f"{ledger.name}: of {name}, {words}, and so on {count} of {int(dated.sum())} dates",
                hint="write dividends for the shares that the closes count (divided by later splits where these have them),"
                " or remove one of the two columns",
            )
        ledger.note(f"of {name}, {words}{f' ({count} dates are so)' if count > 1 else ''}; the recorded one is paid")


def _day(read: Stamps, row: int) -> str:
    return str(np.datetime64(int(read.wall[row]), "ns").astype("datetime64[D]"))


def _levels(factor: Array, shown: BoolArray) -> Array:
    """Return the median factor of each stretch between steps."""
    stretch = np.r_[0, np.cumsum(shown)][: len(factor)]  # none where a symbol has no factor
    return np.asarray(pd.Series(factor).groupby(stretch).transform("median"), dtype=np.float64)


def _rounding(prices: Array) -> Array:
    """Return by how much a share of each price may be off, having been rounded to the decimals that all have."""
    finite = prices[np.isfinite(prices)]
    decimals = next(
        (d for d in range(_DECIMALS) if np.allclose(finite, np.round(finite, d), rtol=0, atol=1e-9)), _DECIMALS
    )
    return np.asarray(0.5 * 10.0**-decimals / np.abs(prices), dtype=np.float64)


def _ratio(step: float, *, large: bool) -> Fraction | None:
    """Return a split's ratio where a step is a plain one; of a small step, that of a bonus issue."""
    ratio = Fraction(step).limit_denominator(10 if large else _BONUS)
    if ratio <= 0 or abs(float(ratio) / step - 1.0) >= (_EXACT if large else _SLIGHT * 2):
        return None
    return ratio if large or (ratio.numerator == ratio.denominator + 1) else None


def join_copies(numbers: pd.DataFrame, groups: dict[str, IntArray], read: Stamps, ledger: Ledger) -> None:
    """Give all rows of one symbol and time the dividend and split that any of them has, since one row alone stays.

    Raises:
        DataError: they have several, as where each payout of a day has a row of its own.
    """
    for role, none in (("dividend", 0.0), ("split", 1.0)):
        if role not in numbers:
            continue
        cells = numbers[role].replace(none, 0.0).fillna(0.0).to_numpy(dtype=np.float64).copy()
        for name, rows in groups.items():
            times = read.instants[rows]
            again = pd.Series(times).duplicated(keep=False).to_numpy() & (len(times) > 1)
            for time in np.unique(times[again & np.isin(times, times[cells[rows] != 0.0])]):
                copies = rows[times == time]
                told = np.unique(cells[copies][cells[copies] != 0.0])
                if len(told) > 1:
                    day = np.datetime64(int(read.wall[copies[0]]), "ns").astype("datetime64[D]")
                    shown = ", ".join(f"{cell:.10g}" for cell in told[:4])
                    raise DataError(
                        f"{ledger.name}: {name} has several rows on {day} with a {role} each ({shown})",
                        hint=f"write one row a bar, with the {'sum of its dividends' if role == 'dividend' else 'product of its splits'}",
                    )
                cells[copies] = told[0]
        numbers[role] = np.where(cells != 0.0, cells, numbers[role])


def leave_out_rates(
    numbers: pd.DataFrame,
    groups: dict[str, IntArray],
    read: Stamps,
    found: dict[str, list[tuple[str, pd.Series]]],
    ledger: Ledger,
) -> None:
    """Leave out dividends of which most stand within a week of another: a yearly figure, or a yield, on every bar.

    Splits that do so are a factor, and stand as one where the file has none.
    """
    for role in (role for role in ("dividend", "split") if role in numbers):
        cells = numbers[role].fillna(0).to_numpy()
        given = (cells > 0) & ((cells != 1) | (role == "dividend"))
        near = 0
        for rows in groups.values():
            near += int((np.diff(np.unique(read.instants[rows[given[rows]]])) < _WEEK).sum())
        if near <= 0.5 * given.sum():
            continue
        column, left = found[role][0][0], numbers.pop(role)
        told = f"{column} holds a figure in {int(given.sum())} of {len(given)} rows, too many for"
        if role == "dividend":
            ledger.note(f"{told} payouts: none is paid")
        elif "factor" in numbers:
            ledger.note(f"{told} splits: none is applied")
        else:
            numbers["factor"], found["factor"] = left, found[role]
            ledger.note(f"{told} splits: it is taken for a factor of adjustment")
