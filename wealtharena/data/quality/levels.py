"""Checks on the level of prices: another unit, a split not applied, a spike, another company behind the symbol.

All of them judge a bar by itself and by what came before it. Rescaling the past by a constant changes no return but
the faulty one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from wealtharena.data import calendars, intervals
from wealtharena.data.bars import PRICE_COLUMNS
from wealtharena.data.quality import sessions
from wealtharena.data.quality.payouts import closes_before
from wealtharena.data.quality.report import Context, Detection, naive_times, prices_of

Array = np.ndarray[Any, np.dtype[np.float64]]

_UNIT: Final = 100.0  # pence for pounds, cents for dollars
_UNIT_BAND: Final = 0.3  # log distance from 100 that still counts; no market moves by 74 to 135 times in a bar
_RUN: Final = 3  # bars at a new level before it is believed rather than the old one
_SPLITS: Final = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)
_NEAR_EVENT: Final = 60  # bars before a recorded split in which its adjustment may have been missed
_RECENT: Final = 20  # bars on each side of a split that tell how much is traded there
_UNMOVED: Final = 0.25  # of the logarithm of a split, from which on a volume rises on its date
_RUSH: Final = 5.0  # times the usual value traded: a split changes it little, a crash much
_RUSH_FAR: Final = 20.0  # the same for ratios of three and more, at which shares of any size hardly crash overnight
_STEADY: Final = 0.3  # log distance within which prices count as one level over a few bars
_MISFITS: Final = 5  # long gaps, or days that are no session, from which on dates are turned to see
_SPIKE_FLOOR: Final = 1.5  # whatever sigma says, a smaller ratio is no spike
_WICK: Final = 4.0  # high or low beyond both open and close by this ratio


def trailing_sigma(closes: Array, *, bars: int = 60, least: int = 10) -> Array:
    """Return the robust standard deviation of log returns before each bar; 0.03 where there are too few."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = np.abs(np.diff(np.log(np.where(closes > 0, closes, np.nan)), prepend=np.nan))
    median = pd.Series(moves).rolling(bars, min_periods=least).median().shift(1).to_numpy(dtype=np.float64)
    return np.where(np.isfinite(median), median / 0.6745, 0.03)


def ticker_reuse(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find rows before a long gap that belong to something else (repair: only the rows after it stay).

    A gap longer than `max_gap_bars` with few bars before it, of more than a year, or across which the price changed
    threefold; after any other gap the same company trades on. Fewer than `max_gap_bars` bars after such a gap, and fewer
    than before it, are strays themselves, and no listing. Where few bars would be all that stays, or the gaps come from
    dates whose day and month were exchanged, the series is refused.
    """
    times, closes = naive_times(table), table["close"].to_numpy()
    gaps, most, end = gap_bars(times, context), context.spec.max_gap_bars, len(table)
    if said := _exchanged_dates(table, gaps, context):
        everything = np.ones(len(table), dtype=bool)
        return Detection(everything, said, beyond_repair=True, way_out="write dates as 2024-01-31, or correct the file")
    year, begin, said = _year(context), 0, ""
    for place in np.flatnonzero(gaps > most)[::-1]:
        with np.errstate(invalid="ignore", divide="ignore"):
            jump = abs(np.log(closes[place + 1] / closes[place]))
        if place + 1 >= most and gaps[place] <= year and jump < np.log(3):
            continue
        until = f"none for {gaps[place]:.0f} until {str(times[place + 1])[:10]}"
        if end - place - 1 < min(most, place + 1):
            end = int(place) + 1
            said = f"{end} bars, then {until}: what comes after, fewer than {most} bars, is taken for strays"
            continue
        begin, said = int(place) + 1, f"{place + 1} bars, then {until}: what came before is taken for another listing"
        break
    rows = np.arange(len(table))
    mask = (rows < begin) | (rows >= end)
    if not mask.any():
        return None
    left = len(table) - int(mask.sum())
    if mask.sum() > left and left < 2 * most:
        first = str(times[begin])[:10]
        way = f"correct the dates of the file, or set data.start={first} where these are meant"
        detail = f"{said}, so that {left} of {len(table)} bars would stay"
        return Detection(mask, detail, table[~mask], beyond_repair=True, way_out=way)
    return Detection(mask, said, table[~mask])


def _year(context: Context) -> float:
    """Return how many bars a year has, roughly."""
    step = intervals.length(context.raw.interval)
    if context.calendar == calendars.ALWAYS:
        return float(pd.Timedelta(days=365) / step)
    if context.intraday:
        return float(252 * _hours(context) * pd.Timedelta(hours=1) / step)
    return float(252 / max(step / pd.Timedelta(days=1) * 5 / 7, 1.0))


def _hours(context: Context) -> int:
    return 24 if context.calendar == calendars.WEEKDAYS else 7


def _exchanged_dates(table: pd.DataFrame, gaps: Array, context: Context) -> str:
    """Return why dates have their day and month exchanged: exchanged back they fit the calendar; else nothing.

    What does not fit are long gaps between times, and days that are no session.
    """
    if context.raw.interval in ("1w", "1mo"):
        return ""
    most, times = context.spec.max_gap_bars, naive_times(table)
    before = int((gaps > most).sum()) if context.intraday else int((~sessions.inside(table, context)[0]).sum())
    if before < _MISFITS:
        return ""
    back = table.assign(timestamp=_turned(pd.DatetimeIndex(times)).tz_localize("UTC")).sort_values("timestamp")
    again = gap_bars(naive_times(back), context)
    after = int((again > most).sum()) if context.intraday else int((~sessions.inside(back, context)[0]).sum())
    if 4 * after > before:
        return ""
    what = f"gaps of more than {most} bars" if context.intraday else f"dates outside the sessions of {context.calendar}"
    return (
        f"{before} {what}, and {after} with day and month exchanged where both are below 13: the dates were read or"
        " written the wrong way round"
    )


def _turned(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return the stamps with day and month exchanged; those with a day above 12 as they are."""
    day, month = (
        np.where(stamps.day > 12, stamps.month, stamps.day),
        np.where(stamps.day > 12, stamps.day, stamps.month),
    )
    years = (stamps.year.to_numpy() - 1970).astype("datetime64[Y]").astype("datetime64[M]")
    days = (years + (day - 1)).astype("datetime64[D]") + (month - 1)
    return pd.DatetimeIndex(days + (stamps - stamps.normalize()).to_numpy()).as_unit("ns")


def gap_bars(times: np.ndarray[Any, np.dtype[Any]], context: Context) -> Array:
    """Return the number of bars that the calendar's week would have had between neighbours, roughly."""
    if len(times) < 2:
        return np.zeros(0)
    days = times.astype("datetime64[D]")
    if context.calendar == calendars.ALWAYS:
        count = (times[1:] - times[:-1]) / intervals.length(context.raw.interval).to_timedelta64() - 1
        return np.asarray(count, dtype=np.float64)
    between = np.busday_count(days[:-1], days[1:]).astype(np.float64)
    step = intervals.length(context.raw.interval)
    if context.intraday:
        return np.maximum(between - 1, 0) * (_hours(context) * pd.Timedelta(hours=1) / step)
    return np.maximum(between / max(step / pd.Timedelta(days=1) * 5 / 7, 1.0) - 1, 0)


def level_factors(closes: Array, ratio: float, *, band: float, anchor: int) -> Array:
    """Return what each bar must be multiplied by to stand on the anchor's level.

    Neighbours whose closes differ by about `ratio` (or its inverse), in logs to within `band`, are on different
    levels; all other moves are the market's.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.diff(np.log(np.where(closes > 0, closes, np.nan)))
        target = np.log(ratio)
        jumps = (np.abs(steps - target) <= band).astype(int) - (np.abs(steps + target) <= band).astype(int)
    level = np.r_[0, np.cumsum(jumps)]
    return np.asarray(ratio ** -(level - level[anchor]).astype(np.float64))


def unit_errors(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find bars, or single prices in a bar, that are 100 times off (repair: divided or multiplied by 100).

    The unit is that of the newest run of at least three bars in which something was traded.
    """
    closes = table["close"].to_numpy()
    if len(closes) < _RUN:
        return None
    factors = level_factors(closes, _UNIT, band=_UNIT_BAND, anchor=0)
    factors = factors / factors[_anchor(factors, table["volume"].to_numpy())]
    prices = prices_of(table) * factors[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.log(prices[:, :3] / prices[:, 3:])
        single = (np.abs(off - np.log(_UNIT)) <= _UNIT_BAND).astype(float) - (np.abs(off + np.log(_UNIT)) <= _UNIT_BAND)
    prices[:, :3] *= _UNIT**-single
    mask = (factors != 1) | (single != 0).any(axis=1)
    if not mask.any() or np.abs(np.log(factors)).max() > np.log(_UNIT) * 1.5:
        return None
    repaired = table.copy()
    repaired[list(PRICE_COLUMNS)] = prices
    return Detection(mask, f"{mask.sum()} bars are 100 times off", repaired)


def _anchor(factors: Array, volumes: Array) -> int:
    """Return the newest bar that traded in a run of at least three bars on one level; the last such bar if none did."""
    starts = np.flatnonzero(np.r_[True, factors[1:] != factors[:-1]])
    lengths = np.diff(np.r_[starts, len(factors)])
    long_enough = np.repeat(lengths >= _RUN, lengths)
    traded = np.flatnonzero(long_enough & (np.nan_to_num(volumes) > 0))
    if len(traded):
        return int(traded[-1])
    steady = np.flatnonzero(long_enough)
    return int(steady[-1]) if len(steady) else len(factors) - 1


def splits(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find splits that the prices do not have applied (repair: earlier prices and volumes are rescaled).

    Recorded splits of an unadjusted source are applied as recorded. Where the source says that it is adjusted, bars
    within 60 before a recorded split that missed it are put right. For shares and funds, a split nobody recorded is
    taken for one if the whole bar stands at a whole ratio of the close before, from the open on, with no rush of
    trading, between two levels that last: a crash falls during the day, or trades many times the usual value.
    Dividends are those of the shares of their day wherever a source does not know of the split, or prices fall by them.
    """
    prices, volumes = prices_of(table), table["volume"].to_numpy()
    ratios = table["split"].to_numpy()
    paid, factors, found = table["dividend"].to_numpy(dtype=np.float64), np.ones(len(table)), []
    events = [int(i) for i in np.flatnonzero((ratios > 0) & (ratios != 1))]
    if context.raw.adjusted == "none":
        for event in events:
            factors[:event] /= ratios[event]
            paid = np.r_[paid[:event] / ratios[event], paid[event:]]
            found.append(f"{ratios[event]:g}:1 on {table['timestamp'].iloc[event]:%Y-%m-%d} applied")
        if context.raw.volume_unit == "units" and _has_splits(volumes, ratios, events):
            found.append(
                "volume does not rise on their dates as shares traded do: if it has the splits already, it is that much"
                " too large before them now; write volume as traded, or leave it out"
            )
    else:
        for event in events:
            part = _missed(prices[:, 3] * factors, ratios[event], event)
            if part is not None:
                paid = paid * part if _as_of_then(prices[:, 3], paid, part) else paid
                factors *= part
                found.append(
                    f"{ratios[event]:g}:1 on {table['timestamp'].iloc[event]:%Y-%m-%d} was not applied throughout"
                )
    if context.market in ("stocks", "etf"):
        for place, ratio in _unrecorded(prices * factors[:, None], volumes / factors, paid, events):
            factors[:place] /= ratio
            paid = np.r_[paid[:place] / ratio, paid[place:]]  # of the shares then: no source knew of the split
            found.append(f"{ratio:g}:1 on {table['timestamp'].iloc[place]:%Y-%m-%d} that nobody recorded")
    mask = ~np.isclose(factors, 1.0, rtol=1e-9)
    if not mask.any():
        return None
    repaired = table.copy()
    repaired[list(PRICE_COLUMNS)] = prices * factors[:, None]
    repaired["volume"] = volumes / factors
    repaired["dividend"] = paid
    return Detection(mask, "; ".join(found), repaired, note=f"{context.raw.symbol}: splits: {'; '.join(found)}")


def _has_splits(volumes: Array, ratios: Array, events: list[int]) -> bool:
    """Return whether volumes stay as they were where splits of two and more multiply the shares."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes = np.where(volumes > 0, np.log(volumes), np.nan)
    rise, due = 0.0, 0.0
    for event in events:
        step = float(np.log(ratios[event]))
        parts = (sizes[max(event - _NEAR_EVENT, 0) : event], sizes[event : event + _NEAR_EVENT])
        before, after = (part[np.isfinite(part)] for part in parts)
        if abs(step) >= np.log(2) - 1e-9 and min(len(before), len(after)) >= _RECENT:
            rise += float(np.sign(step) * (np.median(after) - np.median(before)))
            due += abs(step)
    return due > 0 and rise < _UNMOVED * due


def _missed(closes: Array, ratio: float, event: int) -> Array | None:
    """Return factors for bars that missed the adjustment for a split at `event`; None where all have it."""
    if abs(np.log(ratio)) < np.log(1.25):
        return None  # too close to a day's move to tell
    first, last = max(event - _NEAR_EVENT, 0), min(event + 2, len(closes))
    near = closes[first:last]
    band = 0.08 * abs(np.log(ratio)) + min(2.5 * float(np.median(trailing_sigma(near))), 0.1)
    factors = np.ones(len(closes))
    factors[first:last] = level_factors(near, ratio, band=band, anchor=len(near) - 1)
    factors[:first] = factors[first]
    # a level above the anchor's by one split is what a missed adjustment looks like; anything else is the market
    plausible = np.isclose(factors, 1.0) | np.isclose(factors, 1 / ratio)
    return factors if plausible.all() and not np.isclose(factors, 1.0).all() else None


def _as_of_then(closes: Array, paid: Array, part: Array) -> bool:
    """Return whether prices that missed a split fall by the dividends beside them, and not by those of as many shares more."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moves, yields = closes[1:] / closes[:-1] - 1.0, paid[1:] / closes[:-1]
    at = np.isfinite(moves) & np.isfinite(yields) & (yields > 0) & (part[1:] != 1)
    nearer = (moves + yields / part[1:]) ** 2 - (moves + yields) ** 2
    return bool(nearer[at].sum() > 0)


def _unrecorded(prices: Array, volumes: Array, paid: Array, events: list[int]) -> list[tuple[int, float]]:
    """Return (bar, ratio) of splits that show in the prices and stand in no record; a dividend that is `paid` is one."""
    closes, found = prices[:, 3], []
    sigma = trailing_sigma(closes)
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = np.log(closes / closes_before(closes, paid))[1:]
    for place in (int(i) + 1 for i in np.flatnonzero(np.abs(moves) > np.log(1.6))):
        if any(abs(place - event) <= 1 for event in events):
            continue
        worth = _value_traded(volumes, closes, place)
        ratio = _split_ratio(prices[place], closes[place - 1], sigma[place], judged_by_volume=worth is not None)
        if ratio is None or not _between_levels(closes, place):
            continue
        rush = _RUSH if 1 / 3 < ratio < 3 else _RUSH_FAR
        if worth is None or 1 / rush <= worth <= rush:
            found.append((place, ratio))
    return found


def _split_ratio(bar: Array, before: float, sigma: float, *, judged_by_volume: bool) -> float | None:
    """Return the whole ratio at which the whole bar stands to the close before; None if it stands at none.

    Where the value traded can tell a split from a crash, the open may be 12 % and the close 20 % off; else they must
    fit as an ordinary day's would.
    """
    if not before > 0 or not bar[3] > 0:
        return None
    full = np.isfinite(bar).all() and (bar > 0).all()
    opened, closed = np.log((bar[0] if full else bar[3]) / before), np.log(bar[3] / before)
    best = min((r for n in _SPLITS for r in (float(n), 1.0 / n)), key=lambda r: abs(opened + np.log(r)))
    target = -np.log(best)
    room = (0.12, 0.2) if judged_by_volume else (max(0.03, min(2.5 * sigma, 0.12)), max(0.06, min(5 * sigma, 0.2)))
    fits = abs(opened - target) <= room[0] and abs(closed - target) <= room[1]
    if full:
        beyond = np.log(bar[1] / before) < target / 2 if target < 0 else np.log(bar[2] / before) > target / 2
        fits = fits and bool(beyond)
    return best if fits else None


def _between_levels(closes: Array, place: int) -> bool:
    """Return whether prices stood near the level before, and stay near the new one; else it is a spike or its end."""
    before, after = closes[max(place - 5, 0) : place], closes[place + 1 : place + 4]
    with np.errstate(invalid="ignore", divide="ignore"):
        stood = abs(np.log(np.median(before) / closes[place - 1])) < _STEADY
        stays = len(after) > 0 and abs(np.log(np.median(after) / closes[place])) < _STEADY
    return bool(stood and stays)


def _value_traded(volumes: Array, closes: Array, place: int) -> float | None:
    """Return the value traded as a multiple of the usual; None where the source has no volume."""
    value = (volumes * closes)[max(place - 20, 0) : place]
    usual = float(np.median(value[value > 0])) if (value > 0).any() else 0.0
    now = float(volumes[place] * closes[place])
    return now / usual if usual and now > 0 else None


def spikes(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find bars that stand apart from the last good close, judged without what comes after (repair: removed).

    The whole bar must lie beyond `spike_sigmas` trailing robust sigmas and a ratio of 1.5, and not have fallen by its
    dividend; a second bar at the new level confirms it and stays. A high or low four times beyond both open and close is cut back to them.
    """
    prices, times = prices_of(table), naive_times(table)
    high, low = np.fmax(prices[:, 1], prices[:, 3]), np.fmin(prices[:, 2], prices[:, 3])
    limit = np.maximum(context.spec.spike_sigmas * trailing_sigma(prices[:, 3]), np.log(_SPIKE_FLOOR))
    near = np.r_[False, gap_bars(times, context) <= 5]
    before = closes_before(prices[:, 3], table["dividend"].to_numpy(dtype=np.float64))
    mask, confirmed = _apart(prices[:, 3], before, high, low, limit, near)
    body_top, body_bottom = np.fmax(prices[:, 0], prices[:, 3]), np.fmin(prices[:, 0], prices[:, 3])
    with np.errstate(invalid="ignore", divide="ignore"):
        wick_up = ~mask & (np.log(high / body_top) > np.maximum(limit, np.log(_WICK)))
        wick_down = ~mask & (low > 0) & (np.log(body_bottom / low) > np.maximum(limit, np.log(_WICK)))
    touched = mask | wick_up | wick_down
    if not touched.any():
        return None
    repaired = table.copy()
    repaired["high"] = np.where(wick_up, body_top, table["high"])
    repaired["low"] = np.where(wick_down, body_bottom, table["low"])
    detail = f"{mask.sum()} bars apart from the close before, {(wick_up | wick_down).sum()} highs or lows beyond reason"
    stayed = ", ".join(f"{table['timestamp'].iloc[place]:%Y-%m-%d} by {ratio:.3g}" for place, ratio in confirmed)
    told = f"prices jumped and stayed (a split that was missed, or news): {stayed}" if stayed else ""
    note = f"{context.raw.symbol}: {told}" if told else ""
    return Detection(touched, "; ".join(filter(None, (detail, told))), repaired[~mask], note=note)


def _far(before: Array, high: Array, low: Array, limit: Array, near: np.ndarray[Any, np.dtype[np.bool_]]) -> list[int]:
    """Return the bars that may lie beyond the limit from the close before."""
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.maximum(np.log(low / before), np.log(before / high))[1:]
    found: list[int] = (np.flatnonzero(near[1:] & ~(distance <= limit[1:])) + 1).tolist()
    return found


def _apart(
    closes: Array, before: Array, high: Array, low: Array, limit: Array, near: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], list[tuple[int, float]]]:
    """Return the bars apart from the last good close, and (bar, ratio) of those that a second bar confirmed."""
    mask, confirmed, done = np.zeros(len(closes), dtype=bool), [], 0
    # before any bar that is not far the last good close is the one before
    for start in _far(before, high, low, limit - 1e-9, near):
        if start <= done:
            continue
        good, suspect = before[start], np.nan
        for place in range(start, len(closes)):
            done = place
            distance = (
                max(np.log(low[place] / good), np.log(good / high[place])) if good > 0 and low[place] > 0 else 0.0
            )
            agrees = suspect > 0 and abs(np.log(closes[place] / suspect)) < np.log(_SPIKE_FLOOR)
            if distance > limit[place] and near[place] and not agrees:
                mask[place], suspect = True, closes[place]
                continue
            if agrees and distance > np.log(_SPIKE_FLOOR):
                confirmed.append((place, float(closes[place] / good)))
            break
    return mask, confirmed
