"""Checks on single rows: missing, shuffled, repeated, unfinished, impossible or frozen bars.

Each check takes the table and the context and returns a `Detection`, or None where there is nothing to object to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from wealtharena.data import calendars, intervals, periods
from wealtharena.data.bars import PRICE_COLUMNS
from wealtharena.data.quality import ranges
from wealtharena.data.quality.report import Context, Detection, naive_times, prices_of

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def missing_values(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find rows without a close (repair: removed) and rows that lack another price (repair: not tradable).

    A column that is missing throughout is how a source with closes only looks, and no fault.
    """
    prices = prices_of(table)
    absent = ~np.isfinite(prices)
    no_close = absent[:, 3]
    partly = absent[:, [i for i in range(3) if not absent[~no_close, i].all()]].any(axis=1) & ~no_close
    mask = no_close | partly
    if not mask.any():
        return None
    repaired = table.assign(tradable=table["tradable"] & ~partly)[~no_close]
    return Detection(mask, f"{no_close.sum()} rows without a close, {partly.sum()} with a gap in a bar", repaired)


def out_of_order(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find rows that are earlier than one before them (repair: sorted)."""
    times = naive_times(table)
    mask = np.zeros(len(times), dtype=bool)
    mask[1:] = times[1:] < np.maximum.accumulate(times)[:-1]
    if not mask.any():
        return None
    return Detection(mask, "rows out of order", table.sort_values("timestamp", kind="stable"))


def duplicates(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find repeated timestamps (repair: the first received stays; not tradable where the copies' prices disagree).

    Copies that differ in their volume alone are a bar and its correction, and are only counted.
    """
    mask = table["timestamp"].duplicated(keep="first").to_numpy()
    if not mask.any():
        return None
    copies = table.groupby("timestamp")
    apart = {name: _apart(copies[name]) for name in (*PRICE_COLUMNS, "volume")}
    closes, volumes = apart["close"], apart["volume"]
    inner = (apart["open"] | apart["high"] | apart["low"]) & ~closes
    repaired = table.assign(tradable=table["tradable"] & ~closes & ~inner)[~mask]
    days = {
        "different closes": closes,
        "one close and another open, high or low": inner,
        "one set of prices and another volume": volumes & ~closes & ~inner,
    }
    counts = {words: int(table["timestamp"][rows].nunique()) for words, rows in days.items()}
    said = ", ".join(f"{count} with {words}" for words, count in counts.items() if count)
    detail = f"{mask.sum()} repeated timestamps, {said or 'all with equal prices'}"
    odd = counts["one close and another open, high or low"]
    note = f"{context.raw.symbol}: {odd} timestamps repeat with one close and another open, high or low" if odd else ""
    return Detection(
        mask,
        detail,
        repaired,
        note=f"{note}: the first of each stays and is never filled; a summary of more bars?" if odd else "",
    )


def _apart(values: Any) -> pd.Series:
    """Return where the values of a stamp differ by more than rounding."""
    top, bottom = values.transform("max"), values.transform("min")
    apart: pd.Series = (top - bottom).abs() > 1e-6 * top.abs()
    return apart


def unfinished_bar(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find bars that were not over when they were fetched (repair: removed).

    A week or month is over with its last session, whatever day of it its label names.
    """
    if not len(table):
        return None
    fetched, interval = pd.Timestamp(context.raw.fetched_at), context.raw.interval
    recent = (table["timestamp"] > fetched - max(pd.Timedelta("4D"), 2 * intervals.length(interval))).to_numpy()
    mask, stamps = np.zeros(len(table), dtype=bool), table["timestamp"]
    if interval in periods.LONG:
        labels = pd.DatetimeIndex(stamps).as_unit("ns").asi8
        days = periods.last_days(labels, interval, context.calendar)
        stamps, interval = pd.Series(pd.DatetimeIndex(days, tz="UTC")), "1d"
    for place in np.flatnonzero(recent):
        mask[place] = bar_end(stamps.iloc[place], interval, context.calendar) > fetched
    if not mask.any():
        return None
    return Detection(mask, f"fetched at {fetched:%Y-%m-%d %H:%M} UTC, before the bar's end", table[~mask])


def bar_end(start: pd.Timestamp, interval: str, calendar: str) -> pd.Timestamp:
    """Return when the bar that carries the stamp `start` is over."""
    if interval != "1d":
        return start + intervals.length(interval)
    if calendar in (calendars.ALWAYS, calendars.WEEKDAYS):
        return start + pd.Timedelta("1D")
    day = start.tz_localize(None).normalize()
    zone = calendars.time_zone(calendar)
    # the regular close and an hour for the auction and for a feed to correct itself
    close = {"Australia/Sydney": 17, "America/New_York": 17, "America/Chicago": 17}.get(zone, 19)
    return (day + pd.Timedelta(hours=close)).tz_localize(zone).tz_convert("UTC")


def non_positive(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find prices at or below zero (repair: a bar without a close is removed, a bad open, high or low costs itself).

    A bar that lost a price is not tradable, unless no bar has that price. A coherent futures bar below zero stays as a
    mark, not tradable.
    """
    prices = prices_of(table)
    with np.errstate(invalid="ignore"):
        mask: Mask = np.asarray((prices <= 0).any(axis=1))
    if not mask.any():
        return None
    genuine = (
        mask & (ranges.outside(prices) <= 0) if context.market == "commodities" else np.zeros(len(mask), dtype=bool)
    )
    faulty = mask & ~genuine
    with np.errstate(invalid="ignore"):
        bad = (prices <= 0) & faulty[:, None]
    closeless = bad[:, 3]
    partly = bad[:, [i for i in range(3) if (prices[:, i] > 0).any()]].any(axis=1) & ~closeless
    kept = table.assign(tradable=table["tradable"] & ~genuine & ~partly)
    kept[list(PRICE_COLUMNS)] = np.where(bad, np.nan, prices)
    kept = kept[~closeless]
    detail = (
        f"{closeless.sum()} bars without a possible close, {(faulty & ~closeless).sum()} that keep their close,"
        f" {genuine.sum()} genuine (a mark, never a fill)"
    )
    return Detection(mask & ~genuine if (mask & ~genuine).any() else mask, detail, kept)


def stale(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find closes that have not moved for `stale_bars` bars (repair: not tradable from there on)."""
    closes = table["close"].to_numpy(dtype=np.float64)
    if not len(table):
        return None
    fresh = np.flatnonzero(np.r_[True, closes[1:] != closes[:-1]])
    age = np.arange(len(closes)) - np.repeat(fresh, np.diff(np.r_[fresh, len(closes)]))
    mask: Mask = np.asarray(age >= context.spec.stale_bars)
    if not mask.any():
        return None
    repaired = table.assign(tradable=table["tradable"] & ~mask)
    return Detection(mask, f"the same close for up to {age.max() + 1} bars", repaired)


def bad_volume(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find volumes below zero (repair: missing), missing among others, or zero throughout; the last two are named."""
    volume = table["volume"].to_numpy(dtype=np.float64)
    below, missing = volume < 0, np.isnan(volume)
    traded = bool((volume > 0).any())
    if missing.all() or (
        not below.any() and (context.market == "forex" or (traded and context.raw.volume_unit == "none"))
    ):
        return None
    said = [f"{below.sum()} volumes below zero"] if below.any() else []
    said += [f"{missing.sum()} missing among others, whose bars are not tradable"] if traded and missing.any() else []
    said += ["no volume is above zero: they are taken as none"] if not traded else []
    if not said:
        return None
    mask = (below | missing) if traded else ~missing
    note = f"{context.raw.symbol}: {'; '.join(said)}"
    if not below.any():
        return Detection(mask, "; ".join(said), named=True, note=note)
    return Detection(mask, "; ".join(said), table.assign(volume=np.where(below, np.nan, volume)), note=note)
