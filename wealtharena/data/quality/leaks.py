"""Leaking bars: numbers that tell a return which is still to come, in one series and in a whole panel."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config.specs.data import QualitySpec
from wealtharena.data.panel import Panel
from wealtharena.data.quality import foresight
from wealtharena.data.quality.foresight import Float32, Float64, Number, Sighting
from wealtharena.data.quality.report import Context, Detection
from wealtharena.errors import DataError

LEAST_BARS: Final = 60
WINDOW: Final = 250
NAMED: Final = 10  # sightings that a panel keeps
REPAIRED: Final = "leaking bars repaired: each close is the next bar's open, and orders fill at the next close"
PRICES: Final = ("open", "high", "low", "close", "volume")
Numbers = tuple[Sequence[Number], npt.NDArray[Any]]  # names and values, or what is new in them, [T, N]


def leaking_bars(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find series whose bars tell the next return (repair: the next open becomes the close, opens go).

    Two questions: does the shape of a bar tell the next close-to-close return (`leak_correlation`), and does what is new
    in any column tell a return that can still be traded (`leak_floor`: named; `leak_ceiling`: refused)? After the repair
    no open is left, since it would be the close that was just observed: orders fill at the next close. The last bar,
    whose next open is not known, is removed.
    """
    spec, everything = context.spec, np.ones(len(table), dtype=bool)
    sightings = series_sightings(table, spec)
    found = _fault(table, sightings, spec)
    if found is None:
        return Detection(everything, sightings[0].text(_times(table)), named=True) if sightings else None
    repaired = table.assign(close=table["open"].shift(-1), open=np.nan).iloc[:-1]
    repaired = repaired.assign(
        high=np.fmax(repaired["high"], repaired["close"]), low=np.fmin(repaired["low"], repaired["close"])
    )
    if _fault(repaired, series_sightings(repaired, spec), spec) is not None:
        return Detection(everything, found)
    return Detection(everything, found, repaired, note=REPAIRED)


def _fault(table: pd.DataFrame, sightings: Sequence[Sighting], spec: QualitySpec) -> str | None:
    """Return why the bars of one series must be refused, else None."""
    strength, shape, bars = _strongest(table)
    if strength > spec.leak_correlation:
        first, last = (str(_times(table)[place])[:10] for place in (bars.start, bars.stop - 1))
        return (
            f"a bar's own {shape} correlates {strength:.2f} with the next close-to-close return, bars {bars.start} to"
            f" {bars.stop} ({first} to {last}); markets stay below {spec.leak_correlation:g}, so the bar holds prices from after its close"
        )
    worst = next((item for item in sightings if item.sure > spec.leak_ceiling), None)
    return None if worst is None else worst.text(_times(table))


def series_sightings(table: pd.DataFrame, spec: QualitySpec) -> tuple[Sighting, ...]:
    """Return the columns and shapes of one series' bars that tell its next tradable return, strongest first."""
    columns = {name: table[name].to_numpy(dtype=np.float64)[:, None] for name in PRICES}
    numbers, values = observed(columns, ("",))
    return foresight.search(
        numbers, values, _fills(columns), symbols=("",), floor=spec.leak_floor, rng=np.random.default_rng(0)
    )


@np.errstate(over="ignore", under="ignore")  # a price of any size may stand in a panel that warns only
def checked(panel: Panel, spec: QualitySpec) -> Panel:
    """Return the panel with `leaks`: each number of it, macro too, that tells a tradable return of any symbol.

    Simulated bars are not tested: what foretells their returns was planted on purpose, and is configured.

    Raises:
        DataError: one tells it by more than `leak_ceiling`, and `leaking_bars` is `refuse`.
    """
    if panel.simulated:
        return panel
    found = panel_sightings(panel, spec)
    worst = next((item for item in found if item.sure > spec.leak_ceiling), None)
    if worst is not None and spec.leaking_bars == "refuse":
        raise DataError(
            f"refused by data.quality.leaking_bars: {worst.text(panel.timestamps)}",
            hint=f"look at {worst.number} in the source: is its bar over when it says so? Take another source,"
            " leave the symbol out of data.symbols, or set data.quality.leaking_bars=warn to look into it",
        )
    return replace(panel, leaks=tuple(item.text(panel.timestamps) for item in found[:NAMED]))


def panel_sightings(panel: Panel, spec: QualitySpec, *, more: Numbers | None = None) -> tuple[Sighting, ...]:
    """Return the numbers of a panel, and `more` of the same bars, that tell a tradable return, strongest first.

    Asked are returns of a bar and of `foresight.STEPS` bars. One sighting a number, the surest.
    """
    surest: dict[Number, Sighting] = {}
    for step in foresight.STEPS:
        for item in _sightings(panel, spec, more, step) if panel.bars // step >= foresight.LEAST else ():
            if item.number not in surest or surest[item.number].sure < item.sure:
                surest[item.number] = item
    return tuple(sorted(surest.values(), key=lambda item: -abs(item.correlation)))


def _sightings(panel: Panel, spec: QualitySpec, more: Numbers | None, step: int) -> tuple[Sighting, ...]:
    """Return what is seen at every `step`-th bar, each number against returns that begin at the fill after its bar.

    Over several bars neither prices are asked, which go on as they went where a fund holds bills, nor what goes on so.
    """
    columns = {name: getattr(panel, name) for name in PRICES if getattr(panel, name) is not None}
    fills, seen = _fills(columns), panel
    if step > 1:
        rows = np.arange(0, panel.bars - 1, step)
        fills = {name: foresight.surprising(_after(values, rows)) for name, values in fills.items()}
        seen, columns = panel.take(rows), {"volume": columns["volume"][rows]} if "volume" in columns else {}
        more = None if more is None else (more[0], more[1][rows])
    parts = [observed(columns, panel.symbols)] if columns else []
    parts += [_beside(seen, prices=step == 1)]
    parts += [(more[0], foresight.surprise(more[1]))] if more is not None else []
    return foresight.search(
        [number for part in parts for number in part[0]],
        np.hstack([part[1] for part in parts]),
        fills,
        symbols=panel.symbols,
        floor=spec.leak_floor,
        rng=np.random.default_rng(0),
        step=step,
    )


def _after(prices: Float64, rows: npt.NDArray[np.int64]) -> Float64:
    """Return the prices of the bar after each of `rows`, one place later: what a number is traded at is the next one's."""
    found = np.full((len(rows), prices.shape[1]), np.nan)
    found[1:] = prices[rows[:-1] + 1]
    return found


def observed(columns: Mapping[str, Float64], symbols: Sequence[str]) -> Numbers:
    """Return what is new in each column and in the shape of each bar; `columns` are arrays [T, A]."""
    found = {f"change of {name}": foresight.change(values) for name, values in columns.items()}
    if "high" in columns and "low" in columns:
        found |= shapes(columns["high"], columns["low"], columns["close"])
    numbers = [Number(name, symbol) for name in found for symbol in symbols]
    return _known(numbers, foresight.surprise(np.hstack(list(found.values()))))


def shapes(high: Float64, low: Float64, close: Float64) -> dict[str, Float64]:
    """Return four shapes of a bar, by name; NaN where a price is not positive or the bar has no range."""
    with np.errstate(invalid="ignore", divide="ignore"):
        price = np.where(close > 0, close, np.nan)
        return {
            "middle of high and low against close": (high + low) / 2 / price - 1,
            "place of the close between low and high": (close - low) / np.where(high > low, high - low, np.nan),
            "high against close": high / price - 1,
            "low against close": low / price - 1,
        }


def _beside(panel: Panel, *, prices: bool) -> Numbers:
    """Return what is new in what stands beside the prices: macro series and, being `prices` too, conversion rates, dividends; only where it is."""
    numbers: list[Number] = []
    arrays = [np.empty((panel.bars, 0))]
    if panel.macro is not None:
        moved = np.full(panel.macro.shape, np.nan)
        moved[1:] = np.diff(panel.macro, axis=0)
        arrays.append(np.where(moved != 0, moved, np.nan))
        numbers += [Number(name) for name in panel.macro_names]
    if prices:
        rate = foresight.change(panel.to_account)
        arrays += [np.where(rate != 0, rate, np.nan), np.where(panel.dividends > 0, panel.dividends, np.nan)]
        numbers += [Number(name, symbol) for name in ("conversion rate", "dividend") for symbol in panel.symbols]
    return _known(numbers, np.hstack(arrays).astype(np.float32))


def _known(numbers: Sequence[Number], values: Float32) -> Numbers:
    """Return the numbers that have values enough to be looked at."""
    kept = np.isfinite(values).sum(axis=0) >= foresight.LEAST
    return list(itertools.compress(numbers, kept)), values[:, kept]


def _fills(columns: Mapping[str, Float64]) -> dict[str, Float64]:
    return {name: columns[name] for name in ("open", "close") if name in columns}


def _times(table: pd.DataFrame) -> Any:
    return pd.DatetimeIndex(table["timestamp"]).tz_localize(None).to_numpy()


def leak(table: pd.DataFrame) -> tuple[float, str]:
    """Return the largest |correlation| of a bar's shape with the next return, and the shape's name.

    The largest over the whole series and over each full window of 250 bars, since a feed may begin to leak at any
    time. Both sides are clipped at their 1 % and 99 % quantiles. 0 for fewer than 60 bars or closes only.
    """
    strength, name, _ = _strongest(table)
    return strength, name


def _strongest(table: pd.DataFrame) -> tuple[float, str, range]:
    """Return `leak`'s correlation and shape, and the bars in which it is found."""
    high, low, close = (table[name].to_numpy(dtype=np.float64) for name in ("high", "low", "close"))
    best = (0.0, "range", range(len(close)))
    if len(close) < LEAST_BARS:
        return best
    with np.errstate(invalid="ignore", divide="ignore"):
        following = np.r_[close[1:] / close[:-1] - 1, np.nan]
    whole = len(close) // WINDOW * WINDOW
    for name, shape in shapes(high, low, close).items():
        looks = ((x[None], x[:whole].reshape(-1, WINDOW)) for x in (shape, following))
        for a, b in zip(*looks, strict=True):
            strengths = np.abs(_correlations(a, b))
            if np.max(strengths, initial=0.0) > best[0]:
                place, size = int(np.argmax(strengths)), a.shape[1]
                best = (float(strengths[place]), name, range(place * size, (place + 1) * size))
    return best


def _correlations(a: Float64, b: Float64) -> Float64:
    """Return the correlation of each row of `a` with that of `b` [rows, bars]; 0 where there are few pairs, or a side stands still."""
    usable = np.isfinite(a) & np.isfinite(b) & (b != 0)
    few = usable.sum(axis=1) < LEAST_BARS // 2
    a, b = (_centred(x[~few], usable[~few]) for x in (a, b))
    power = np.sqrt(np.einsum("wn,wn->w", a, a) * np.einsum("wn,wn->w", b, b))
    found = np.zeros(len(few))
    found[~few] = np.einsum("wn,wn->w", a, b) / np.where(power > 0, power, 1)
    return found


def _centred(values: Float64, usable: npt.NDArray[np.bool_]) -> Float64:
    """Return each row clipped at its 1 % and 99 % quantiles, less its mean; 0 where unusable, and throughout a row of one value."""
    count = usable.sum(axis=1, keepdims=True)
    ordered = np.sort(np.where(usable, values, np.inf), axis=1)
    low, high = (_quantile(ordered, count, q) for q in (0.01, 0.99))
    clipped = np.where(usable, np.clip(values, low, high), 0.0)
    return np.where(usable & (high > low), clipped - clipped.sum(axis=1, keepdims=True) / count, 0.0)


def _quantile(ordered: Float64, count: npt.NDArray[np.int64], q: float) -> Float64:
    """Return the quantile of the first `count` [rows, 1] of each row in order of size, between two of them in proportion."""
    place = q * (count - 1)
    below = np.floor(place).astype(np.int64)
    at, after = (np.take_along_axis(ordered, np.minimum(index, count - 1), axis=1) for index in (below, below + 1))
    return np.asarray(at + (place - below) * (after - at))
