"""Where an axis is marked, and what stands at the marks: round values, each label told from the next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from wealtharena.reporting.words import MINUS, UNIT_GAP, number

_MOST_DECIMALS = 9
_DIGITS = 12  # of a step, that count: the others are rounding
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALL = 1e-4  # labels below it are written by powers of ten


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers from `low` to `high`, two at least where three are asked: one tells no scale."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    factor = next((factor for factor in (1, 2, 2.5, 5) if factor * power >= raw), 10)
    found = _multiples(low, high, factor * power)
    finer = 1 if factor == 2.5 else factor / 2
    return found if len(found) > 1 else _multiples(low, high, finer * power)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, digits = math.ceil(low / step - 1e-9), _DIGITS - math.floor(math.log10(step))
    return [round(i * step, digits) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Return at most about `count` numbers of the series 1, 2, 5, 10, ... from `low` to `high`, in even steps."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    inside = [value for value in every if low <= value <= high]
    if len(inside) <= count + 2:
        return inside
    tens = [value for value in inside if math.log10(value).is_integer()]
    return tens[:: -(-len(tens) // (count + 2))]


_STEPS: tuple[tuple[str, int], ...] = (
    *(("h", n) for n in (1, 3, 6, 12)),
    *(("D", n) for n in (1, 2, 7, 14)),
    *(("M", n) for n in (1, 2, 3, 6)),
    *(("Y", n) for n in (1, 2, 5, 10, 20, 50, 100, 200)),
)
_DAYS = {"h": 1 / 24, "D": 1.0, "M": 30.4, "Y": 365.25}


def time_ticks(start: np.datetime64, stop: np.datetime64, count: int) -> list[tuple[np.datetime64, str]]:
    """Return at most `count` round moments from `start` to `stop` with their labels; one more rather than one alone."""
    days = float((stop - start) / np.timedelta64(1, "s")) / 86_400
    fits = next((k for k, (unit, step) in enumerate(_STEPS) if days / (step * _DAYS[unit]) <= count), len(_STEPS) - 1)
    unit, step = _STEPS[fits]
    found = _moments(start, stop, unit, step)
    if len(found) < 2 and fits:
        finer = _moments(start, stop, *_STEPS[fits - 1])
        if len(finer) <= count + 1:
            found, unit = finer, _STEPS[fits - 1][0]
    return [(moment, _moment(moment, unit, first=i == 0)) for i, moment in enumerate(found)]


def _moments(start: np.datetime64, stop: np.datetime64, unit: str, step: int) -> list[np.datetime64]:
    first = start.astype(f"datetime64[{unit}]").astype(np.int64)
    last = stop.astype(f"datetime64[{unit}]").astype(np.int64)
    zero = 1970 if unit == "Y" else 0  # counts begin in 1970: let decades be round
    marks = [n for n in range(int(first), int(last) + 1) if (n + zero) % step == 0]
    moments = np.array(marks, dtype=np.int64).astype(f"datetime64[{unit}]")
    return [moment for moment in moments if start <= moment <= stop]


def _moment(moment: np.datetime64, unit: str, *, first: bool) -> str:
    when = moment.astype("datetime64[s]").item()
    if unit == "Y":
        return f"{when:%Y}"
    if unit == "M":
        return f"{when:%Y}" if when.month == 1 else f"{when:%b ’%y}" if first else f"{when:%b}"
    if unit == "D":
        return f"{when.day} {when:%b}"
    return f"{when.day} {when:%b}" if when.hour == 0 else f"{when:%H:%M}"


def compact(value: float) -> str:
    """Return a number alone in as few characters as it needs: 1.5k, 2M, 0.25."""
    value = float(f"{value:.3g}")
    size = abs(value)
    for limit, suffix in _UNITS:
        if size >= limit:
            return f"{value / limit:.3g}{suffix}".replace("-", MINUS)
    return f"{value:.3g}".replace("-", MINUS) if size >= 1e-3 or size == 0 else f"{value:.0e}".replace("-", MINUS)


def _decimals(step: float) -> int:
    """Return how many decimals a label needs so that marks `step` apart are written as they are: 0.25 needs two."""
    enough = (n for n in range(_MOST_DECIMALS) if abs(round(step, n) - step) <= 1e-3 * abs(step))
    return next(enough, _MOST_DECIMALS) if step else 2


def figures(marks: Sequence[float], *, signed: bool = False, unit: str = "") -> list[str]:
    """Return a label for each mark, all in one form and with as many decimals as tell one from the next: 1.075, 1.080."""
    step, size = _step(marks), max((abs(mark) for mark in marks), default=0.0)
    limit, suffix = next(((limit, suffix) for limit, suffix in _UNITS if size >= limit), (1.0, ""))
    if 0.0 < size < _SMALL:
        power = math.floor(math.log10(size))
        limit, suffix = 10.0**power, f"e{MINUS}{-power}"
    digits = _decimals(step / limit)
    return [
        number(mark / limit, digits=digits, signed=signed) + suffix + unit if abs(mark) > 1e-9 * size else "0"
        for mark in marks
    ]


def percents(marks: Sequence[float], *, signed: bool = True) -> list[str]:
    """Return a label for each mark, a share: +10 %, with as many decimals as tell one from the next."""
    digits, size = _decimals(100 * _step(marks)), max((abs(mark) for mark in marks), default=0.0)
    shown = [100 * mark if abs(mark) > 1e-9 * size else 0.0 for mark in marks]
    return [number(mark, digits=digits if mark else 0, signed=signed) + f"{UNIT_GAP}%" for mark in shown]


def _step(marks: Sequence[float]) -> float:
    """Return the smallest distance of two marks, of one alone its size."""
    apart = [abs(b - a) for a, b in itertools.pairwise(marks)]
    return min(apart) if apart else abs(marks[0]) if len(marks) else 0.0
