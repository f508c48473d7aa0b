"""Symbols with different calendars and listing dates on one time axis, without inventing a price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.spelling import as_key
from wealtharena.data import calendars, currency, intervals, periods
from wealtharena.data.bars import PRICE_COLUMNS, Bars, VolumeUnit
from wealtharena.data.panel import BoolArray, FloatArray, Panel, mid_price
from wealtharena.data.quality import calendar_of
from wealtharena.data.reading.venues import commodity_pair
from wealtharena.errors import ConfigError, DataError

IntArray = npt.NDArray[np.int64]
_COLUMNS = (*PRICE_COLUMNS, "volume", "dividend")
_SHARED_ROW = 0.5  # a date off the calendar is kept where at least this share of the listed symbols traded
_ENOUGH_ALIKE = 20  # equal closes, which no two symbols have by chance
_COPIED = 0.5  # share of the common bars from which on the closes of one symbol are another's


@dataclass(frozen=True, eq=False)
class _Series:
    """One symbol's bars as arrays, rows without a close removed."""

    bars: Bars
    stamps: IntArray  # [n] ns since 1970, increasing
    values: FloatArray  # [n, 6] in the order of _COLUMNS
    tradable: BoolArray  # [n]

    def keep(self, rows: BoolArray) -> _Series:
        """Return the series of these rows; cash of one that is left out is paid on the next of them."""
        values = self.values.copy()
        _carry_dividends(values[:, 5], rows)
        return replace(self, stamps=self.stamps[rows], values=values[rows], tradable=self.tradable[rows])


def align(
    bars: Sequence[Bars],
    asset: AssetSpec,
    data: DataSpec,
    *,
    source: str,
    simulated: bool,
    notes: Sequence[str] = (),
) -> Panel:
    """Return the panel of the given symbols, in the given order, on the union of their bars.

    A symbol without a bar at some time has NaN there and is not tradable: nothing is carried, filled or interpolated.
    Not tradable are also bars without volume where the symbol's source has volume, bars with a non-positive price (it
    stays as a mark), bars whose open is missing where the panel has opens, and bars that the quality room marked.

    Fewer than `data.quality.max_gap_bars` bars beyond a hole of more than that many rows are strays (AVAX-USD has two,
    ten weeks before its listing) and dropped; within the day a hole is counted in bars of the symbol's own, since its
    exchange rests in many rows. A longer run on the far side of a hole stays, with NaN between, and how
    long a position is marked over it is the environment's rule. Dates off the calendar on which fewer than half of the
    listed symbols traded are dropped. Dividends on a date without a bar, or whose bar is left out, are
    paid on the symbol's next bar.

    Raises:
        DataError: no bar is left, symbols repeat, or currencies cannot be converted.
        ConfigError: the size of a future's contract is not stated.
    """
    names = [item.symbol for item in bars]
    _require_sizes(names, asset)
    if len(set(names)) != len(names):
        raise DataError(f"symbols repeat: {', '.join(sorted(names))}", hint="name every symbol once")
    said = [*notes, *(note for item in bars for note in item.notes)]
    series = [_series(item) for item in bars]
    begins = data.interval in periods.LONG and any(periods.begin(item.stamps, data.interval) for item in series)
    series = _under_one_label(series, asset, data.interval, said)
    axis, series = _axis(series, asset.universe.calendar, data.interval, said)
    own = data.interval not in intervals.DATED
    series = [_without_strays(item, axis, data.quality.max_gap_bars, said, own=own) for item in series]
    axis, series = _axis(series, asset.universe.calendar, data.interval, said)
    if not len(axis):
        raise DataError("no bars are left in the window", hint="widen data.start and data.end, or check the source")
    table = np.full((len(axis), len(series), len(_COLUMNS)), np.nan)
    tradable = np.zeros(table.shape[:2], dtype=np.bool_)
    for column, item in enumerate(series):
        rows = np.searchsorted(axis, item.stamps)
        table[rows, column] = item.values
        tradable[rows, column] = item.tradable
    said += _copies(table[:, :, 3], names)
    return _panel(series, axis, table, tradable, asset, data, source, simulated, said, begins=begins)


def _require_sizes(names: Sequence[str], asset: AssetSpec) -> None:
    """Raise ConfigError where a future's size is not stated: by 1 a contract of 1000 barrels would be one of them."""
    if asset.market != "commodities" or not asset.instrument.margin_futures:
        return
    missing = [name for name in names if name not in asset.instrument.multipliers and not commodity_pair(name)]
    if missing:
        sizes = ",".join(as_key(name) + ":<size>" for name in missing)
        raise ConfigError(
            f"asset.instrument.multipliers has no size of {', '.join(missing)}: what one contract gains when its quote moves by 1",
            hint=f"state it: '+asset.instrument.multipliers={{{sizes}}}'",
        )


def _series(bars: Bars) -> _Series:
    table = bars.table
    values = np.column_stack([table[name].to_numpy(dtype=np.float64) for name in _COLUMNS])
    values[:, :5][~np.isfinite(values[:, :5])] = np.nan
    stamps = table["timestamp"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
    values[:, 5] = np.nan_to_num(values[:, 5])
    present = np.isfinite(values[:, 3])
    _carry_dividends(values[:, 5], present)
    tradable = table["tradable"].to_numpy(dtype=bool) & (values[:, 3] > 0)
    volume = values[:, 4]
    if bars.volume_unit != "none" and np.nansum(volume[present]) > 0:
        tradable &= np.nan_to_num(volume) > 0
    else:
        values[:, 4] = np.nan
    return _Series(bars, stamps[present], values[present], tradable[present])


def _carry_dividends(dividends: FloatArray, present: BoolArray) -> None:
    """Move, in place, cash that falls on a row without a bar to the next row that has one."""
    for row in np.flatnonzero((dividends != 0) & ~present):
        later = np.flatnonzero(present[row:])
        if len(later):
            dividends[row + later[0]] += dividends[row]


def _axis(series: list[_Series], calendar: str, interval: str, notes: list[str]) -> tuple[IntArray, list[_Series]]:
    """Return the sorted union of the timestamps, less stray dates off the calendar, and the series without those."""
    filled = [item for item in series if len(item.stamps)]
    if not filled:
        return np.empty(0, dtype=np.int64), series
    axis, counts = np.unique(np.concatenate([item.stamps for item in filled]), return_counts=True)
    if interval != "1d" or calendar == calendars.ALWAYS:
        return axis, series
    first = np.sort([item.stamps[0] for item in filled])
    last = np.sort([item.stamps[-1] for item in filled])
    listed = np.searchsorted(first, axis, side="right") - np.searchsorted(last, axis, side="left")
    suspects = counts < _SHARED_ROW * listed
    if not suspects.any():
        return axis, series
    begin, end = (pd.Timestamp(int(value)).date() for value in (axis[0], axis[-1]))
    known = calendars.sessions(calendar, begin, end).as_unit("ns").asi8
    stray = suspects & ~np.isin(axis, known)
    if not stray.any():
        return axis, series
    notes.append(f"{int(stray.sum())} dates off the calendar {calendar}, with bars of few symbols, are left out")
    return axis[~stray], [item.keep(~np.isin(item.stamps, axis[stray])) for item in series]


def _without_strays(item: _Series, axis: IntArray, max_gap: int, notes: list[str], *, own: bool) -> _Series:
    """Return the series without runs of fewer than `max_gap` bars beyond a hole of more than `max_gap` rows.

    With `own` a hole is as many bars as the symbol has in so many rows, over all its record.
    """
    rows = np.searchsorted(axis, item.stamps)
    holes = (np.diff(rows) - 1).astype(np.float64)
    if own and len(rows):
        holes *= len(rows) / (rows[-1] - rows[0] + 1)
    breaks = np.flatnonzero(holes > max_gap)
    if not len(breaks):
        return item
    runs = np.split(np.arange(len(rows)), breaks + 1)
    longest = max(len(run) for run in runs)
    stray = [run for run in runs if len(run) < min(max_gap, longest)]
    if not stray:
        return item
    dropped = np.concatenate(stray)
    begin, end = (pd.Timestamp(int(item.stamps[i])).date() for i in (dropped[0], dropped[-1]))
    notes.append(
        f"{item.bars.symbol}: {len(dropped)} stray bars beyond a hole of more than {max_gap} bars are left out ({begin} to {end})"
    )
    keep = np.ones(len(rows), dtype=np.bool_)
    keep[dropped] = False
    return item.keep(keep)


def _copies(close: FloatArray, names: Sequence[str]) -> list[str]:
    """Return a note on each two symbols whose closes, [T, A], are the same: one download that was saved under two names.

    Equal closes of few values, as two coins pegged to the dollar have, are none.
    """
    order = np.argsort(close, axis=1, kind="stable")
    ranked = np.take_along_axis(close, order, axis=1)
    rows, places = np.nonzero(ranked[:, 1:] == ranked[:, :-1])
    pairs, counts = np.unique(np.stack([order[rows, places], order[rows, places + 1]]), axis=1, return_counts=True)
    notes = []
    for (one, other), count in zip(pairs.T, counts, strict=True):
        same = close[close[:, one] == close[:, other], one]
        common = int(np.isfinite(close[:, [one, other]]).all(axis=1).sum())
        if count >= max(_ENOUGH_ALIKE, _COPIED * common) and len(np.unique(same)) >= _ENOUGH_ALIKE:
            notes.append(
                f"{names[one]} and {names[other]} have the same close in {len(same)} of {common} bars, as one series"
                " under two names has; leave the copy out of data.symbols, or get the bars of its own"
            )
    return notes


def _panel(
    series: Sequence[_Series],
    axis: IntArray,
    table: FloatArray,
    tradable: BoolArray,
    asset: AssetSpec,
    data: DataSpec,
    source: str,
    simulated: bool,
    notes: list[str],
    *,
    begins: bool,
) -> Panel:
    symbols = tuple(item.bars.symbol for item in series)
    prices = {name: table[:, :, i] for i, name in enumerate(PRICE_COLUMNS)}
    ohlc = {name: values if np.isfinite(values).any() else None for name, values in prices.items() if name != "close"}
    opens = ohlc["open"]
    if opens is not None:
        tradable &= opens > 0  # NaN compares False
        bare = [name for i, name in enumerate(symbols) if not np.isfinite(opens[:, i]).any()]
        if bare:
            notes.append(f"{', '.join(bare)}: no bar has an open, as others have, so that none can be traded")
    close = prices["close"]
    rates, said = _converted(series, axis, close, asset, data, simulated=simulated, begins=begins)
    multipliers = np.array([asset.instrument.multipliers.get(name, 1.0) for name in symbols])
    volume, unit = _volume(series, table[:, :, 4], price=mid_price(opens, close) * multipliers * rates, rates=rates)
    dividends = np.nan_to_num(table[:, :, 5])
    return Panel(
        timestamps=axis.astype("datetime64[ns]"),
        symbols=symbols,
        close=close,
        tradable=tradable,
        open=opens,
        high=ohlc["high"],
        low=ohlc["low"],
        volume=volume,
        dividends=dividends,
        to_account=rates,
        multipliers=multipliers,
        frequency=data.interval,
        asset=asset.name,
        source=source,
        simulated=simulated,
        volume_unit=unit,
        has_dividends=bool((dividends != 0).any()),
        dividends_in_prices=any(item.bars.adjusted == "all" for item in series),
        volume_left_out=any(
            item.bars.volume_unit == "none" and bool((item.bars.table["volume"] > 0).any()) for item in series
        ),
        notes=tuple(dict.fromkeys([*notes, *said])),
        quoted_in=tuple(item.bars.currency for item in series),
    )


def _under_one_label(series: list[_Series], asset: AssetSpec, interval: str, notes: list[str]) -> list[_Series]:
    """Return the series with the weeks or months of all symbols under one label each."""
    if interval not in periods.LONG:
        return series
    if sundays := [item.bars.symbol for item in series if periods.on_sundays(item.stamps, interval)]:
        notes.append(f"the weeks of {', '.join(sundays[:5])} are labelled by Sundays, and are taken to end on them")
    always = any(_calendar(item, asset) == calendars.ALWAYS for item in series)
    stamps, moved = periods.under_one_label([item.stamps for item in series], interval, always=always)
    if not moved:
        return series
    word = "week" if interval == "1w" else "month"
    notes.append(
        f"symbols label their {word}s by different days: {moved} bars stand under the latest label of their {word}"
    )
    return [replace(item, stamps=labels) for item, labels in zip(series, stamps, strict=True)]


def _converted(
    series: Sequence[_Series],
    axis: IntArray,
    close: FloatArray,
    asset: AssetSpec,
    data: DataSpec,
    *,
    simulated: bool,
    begins: bool,
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the account's currency for one unit of each symbol's, [T, A], and notes on what was used."""
    pairs = {item.bars.symbol: close[:, i] for i, item in enumerate(series) if currency.split_pair(item.bars.symbol)}
    rates, said = currency.to_account(
        [item.bars.currency for item in series],
        asset.account_currency,
        closes=_closes(series, axis, asset, data.interval, begins=begins),
        begins=np.isfinite(close).argmax(axis=0).tolist(),
        pairs=pairs,
        simulated=simulated,
    )
    if begins and said:
        said = (*said, f"bars of {data.interval} are taken to begin on their labels, and are converted at their ends")
    return rates, said


def _closes(
    series: Sequence[_Series], axis: IntArray, asset: AssetSpec, interval: str, *, begins: bool
) -> list[pd.DatetimeIndex]:
    """Return when the bars of each symbol close, one object a calendar."""
    at_hand = pd.Timestamp(max(item.bars.fetched_at for item in series)).tz_convert("UTC")
    names = [_calendar(item, asset) for item in series]
    known = {
        name: periods.closes(axis, interval, calendar=name, begins=begins, at_hand=at_hand)
        for name in dict.fromkeys(names)
    }
    return [known[name] for name in names]


def _calendar(item: _Series, asset: AssetSpec) -> str:
    return calendar_of(item.bars.symbol, asset, currency=item.bars.currency)


def _volume(
    series: Sequence[_Series], volume: FloatArray, *, price: FloatArray, rates: FloatArray
) -> tuple[FloatArray | None, VolumeUnit]:
    """Return the volume in one unit: units, or the account's money where a source counts money.

    A source's money is the quote's, which `rates` turn into the account's; where sources mix units and money, units
    count at `price`, what one is worth in the account.
    """
    units = [item.bars.volume_unit if np.isfinite(volume[:, i]).any() else "none" for i, item in enumerate(series)]
    known = set(units) - {"none"}
    if not known:
        return None, "none"
    if known == {"units"}:
        return volume, "units"
    return volume * np.where(np.array(units) == "units", np.abs(price), rates), "account"
