"""Corporate actions: what a split does to units, told by prices that were rescaled behind our back, or by a broker later."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from wealtharena.trading.broker import Event
from wealtharena.trading.situation import TOLERANCE

Prices = Mapping[str, float]
EARLIER: Final = 20  # bars that are looked at beside the last
OWN_SPLIT: Final = "split/"  # ids of the splits that are our own word begin with it, and go on with the bar
_TAKEN_BACK: Final = ("/units", "/cash")  # and what takes a part of one back ends with one of these
_TOLD_WITHIN: Final = 30 * 86400.0  # seconds between such a split and the broker's own word on it
_LARGEST: Final = 100  # new shares for old ones, or old for new
_SMALLEST: Final = 0.045  # 21 for 20 is the least that is taken for a split
_CENT: Final = 0.01  # what two prices that are rounded to cents may be apart by, together
_EXACT: Final = (1e-5, 2e-3)  # of a ratio, at least and at most: nearly every ratio is near some plain fraction
_ALIKE: Final = 3  # bars of before that were all rescaled alike, and say so of whatever ratio, such as a spin-off's
_LEAST_ALIKE: Final = 0.01  # the least such ratio, far from what rounding makes


def split_of(before: float, now: float) -> float | None:
    """Return how many units one became, where a price of the past that was `before` is `now` a plain fraction of it.

    Prices are split-adjusted, so that a split rescales all that came before it. None for a price that was only revised.

    >>> split_of(100.0, 25.0)
    4.0
    >>> split_of(1.5, 15.0)
    0.1
    >>> split_of(100.0, 98.0) is None
    True
    >>> split_of(106.0, 100.0) is None
    True
    """
    if not (before > 0.0 and now > 0.0):
        return None
    ratio = before / now
    if abs(ratio - 1.0) < _SMALLEST:
        return None
    plain = Fraction(ratio).limit_denominator(20) if ratio > 1.0 else 1 / Fraction(1.0 / ratio).limit_denominator(20)
    if max(plain.numerator, plain.denominator) > _LARGEST:
        return None
    return float(plain) if _rescales(before, now, float(plain)) else None


def _rescales(before: float, now: float, ratio: float) -> bool:
    near = min(max(_CENT / min(before, now), _EXACT[0]), _EXACT[1])
    return abs(before / now / ratio - 1.0) < near


def splits_between(
    before: Mapping[str, float], now: Mapping[str, float], *, earlier: Callable[[], Iterable[tuple[Prices, Prices]]]
) -> dict[str, float]:
    """Return the splits that turned the prices of one bar `before` into those of the same bar `now`, by symbol.

    A split rescales all that came before it, a correction does not: `earlier` gives the prices of earlier bars, before
    and now, and most of those that are known have to be rescaled alike. Where none is, the one bar decides. Several that
    are all rescaled alike say so of any ratio, as of a spin-off's 1281 for 1000.
    """
    moved = {name: (price, now.get(name, 0.0)) for name, price in before.items()}
    moved = {name: one for name, one in moved.items() if min(one) > 0.0 and abs(one[0] / one[1] - 1.0) >= _LEAST_ALIKE}
    pairs = list(earlier()) if moved else []
    found: dict[str, float] = {}
    for name, one in moved.items():
        older = [(then.get(name, 0.0), there.get(name, 0.0)) for then, there in pairs]
        ratio = _ratio_of(*one, older=[two for two in older if min(two) > 0.0])
        found |= {} if ratio is None else {name: ratio}
    return found


def _ratio_of(before: float, now: float, *, older: Sequence[tuple[float, float]]) -> float | None:
    """Return the split that rescaled a price and those of the bars before it that are known, None for a correction.

    Of a plain fraction more than half of these have to be rescaled alike: one may have been corrected besides. A spin-off
    is told as a split in whatever ratio, and all have to be.
    """
    plain = split_of(before, now)
    if plain is not None and (not older or _mostly(older, plain)):
        return plain
    scale = before / now
    apart = abs(scale - 1.0) >= _LEAST_ALIKE and 1.0 / _LARGEST <= scale <= _LARGEST
    alike = len(older) >= _ALIKE and all(_rescales(*one, scale) for one in older)
    return scale if apart and alike else None


def late_split(pairs: Sequence[tuple[float, float]]) -> tuple[int, float] | None:
    """Return which of these bars is the last that a split has rescaled, and the split; None where none but the first may be.

    `pairs` are prices of bars, newest first, before and now. One bar that was corrected is none: of those before it, more
    than half have to be rescaled alike.

    >>> late_split([(50.0, 50.0), (100.0, 50.0), (99.0, 49.5), (98.0, 49.0)])
    (1, 2.0)
    >>> late_split([(50.0, 50.0), (100.0, 50.0), (99.0, 99.0), (98.0, 98.0)]) is None
    True
    """
    for place, one in enumerate(pairs):
        older = [two for two in pairs[place + 1 :] if min(two) > 0.0]
        ratio = _ratio_of(*one, older=older) if place and older and min(one) > 0.0 else None
        if ratio is not None:
            return place, ratio
    return None


def _mostly(pairs: Sequence[tuple[float, float]], ratio: float) -> bool:
    return 2 * sum(_rescales(before, now, ratio) for before, now in pairs) > len(pairs)


def rescaled(units: float, ratio: float, *, lot: float) -> tuple[float, float]:
    """Return the units after a split, and what is left of a lot, which is paid in cash; the two add up.

    >>> rescaled(7.0, 1.5, lot=1.0)
    (10.0, 0.5)
    """
    whole = units * ratio
    if not lot:
        return whole, 0.0
    kept = math.trunc(whole / lot + math.copysign(TOLERANCE, whole)) * lot
    return kept, whole - kept


def taken_back(known: Iterable[Mapping[str, Any]], told: Sequence[Event]) -> list[Event]:
    """Return what takes back our own word on splits, units and cash each as the broker tells of them: they would count twice.

    `known` are the events that are booked, as a ledger has them, `told` those that the broker tells now.
    """
    splits = {one["event_id"]: one for one in known if one["kind"] == "split"}
    new = [one for one in told if one.kind == "split" and one.event_id not in splits]
    found = []
    for name, own in splits.items():
        if not name.startswith(OWN_SPLIT) or name.endswith(_TAKEN_BACK):
            continue
        at = dt.datetime.fromisoformat(name.removeprefix(OWN_SPLIT)[:10]).replace(tzinfo=dt.UTC).timestamp()
        same = [one for one in new if one.symbol == own["symbol"] and abs(one.sequence / 1e6 - at) < _TOLD_WITHIN]
        units = own["units"] if any(one.units for one in same) else 0.0
        cash = own["cash"] if any(one.cash for one in same) else 0.0
        found += [
            Event(own["sequence"], f"{name}{part}", "split", own["symbol"], -less_units, -less_cash)
            for part, less_units, less_cash in zip(_TAKEN_BACK, (units, 0.0), (0.0, cash), strict=True)
            if (less_units or less_cash) and f"{name}{part}" not in splits
        ]
    return found
