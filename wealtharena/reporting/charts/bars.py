"""Bars as they stand in a panel: range and close, volume beneath, what cannot be traded marked."""

from __future__ import annotations

import numpy as np

from wealtharena.data.panel import Panel
from wealtharena.reporting.marks import compact, figures, log_ticks, ticks
from wealtharena.reporting.svg import Canvas, FloatArray, Scale, Size, line_path, seconds

_VOLUME_SHARE = 0.2  # of the height
_LOG_ABOVE = 4.0  # highest over lowest close from which a log scale reads better


def bars(size: Size, panel: Panel, column: int) -> str:
    """Return one symbol's closes with the range of each bar, its volume, and a mark under bars that cannot be traded."""
    close = panel.close[:, column]
    high, low = (close if values is None else values[:, column] for values in (panel.high, panel.low))
    known = np.flatnonzero(np.isfinite(close))
    if not len(known):
        return ""
    rows = slice(known[0], known[-1] + 1)
    close, high, low = (np.fmax(close, high) if i == 1 else values for i, values in enumerate((close, high, low)))
    close, high, low = close[rows], high[rows], np.fmin(close, low)[rows]
    bottom, top = float(np.nanmin(low)), float(np.nanmax(high))
    log = bottom > 0 and top / bottom > _LOG_ABOVE
    marks = log_ticks(bottom, top, 5) if log else ticks(bottom, top, 5)
    labels = [compact(mark) for mark in marks] if log else figures(marks)
    canvas = Canvas(size.before(labels), f"Bars of {panel.symbols[column]}")
    floor = canvas.y0 - _VOLUME_SHARE * (canvas.y0 - canvas.y1)
    y = Scale(bottom, top if top > bottom else bottom + 1.0, floor, canvas.y1, log=log)
    canvas.y_axis(y, list(zip(marks, labels, strict=True)))
    moments = seconds(panel.timestamps[rows])
    x = Scale(float(moments[0]), float(moments[-1]), canvas.x0, canvas.x1)
    canvas.time_axis(x, panel.timestamps[rows])
    px = x(moments)
    _ranges(canvas, px, y(high), y(low))
    canvas.line(px, y(close), "agent", f"Close of {panel.symbols[column]}")
    if panel.volume is not None:
        _volume(canvas, px, panel.volume[rows, column], floor + 6)
    _marks(canvas, px, panel.tradable[rows, column] | ~np.isfinite(close))
    return canvas.render()


def _columns(canvas: Canvas, px: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return for each bar the pixel column that it falls into."""
    return np.asarray((px - canvas.x0).astype(np.intp))


def _ranges(canvas: Canvas, px: FloatArray, high: FloatArray, low: FloatArray) -> None:
    """Draw a stroke from low to high in each pixel column that has a bar."""
    column = _columns(canvas, px)
    tops, bottoms = np.full(column.max() + 1, np.inf), np.full(column.max() + 1, -np.inf)
    np.fmin.at(tops, column, high)
    np.fmax.at(bottoms, column, low)
    drawn = np.flatnonzero(np.isfinite(tops) & np.isfinite(bottoms))
    strokes = "".join(f"M{canvas.x0 + c:.1f} {tops[c]:.1f}V{bottoms[c]:.1f}" for c in drawn.tolist())
    canvas.add(f'<path class="grid" d="{strokes}"/>', "range of the bars")


def _volume(canvas: Canvas, px: FloatArray, volume: FloatArray, top: float) -> None:
    """Draw the largest volume of each pixel column as a stroke from the bottom, on a scale of its own."""
    largest = float(np.nanmax(volume)) if np.isfinite(volume).any() else 0.0
    if largest <= 0:
        return
    column = _columns(canvas, px)
    heights = np.zeros(column.max() + 1)
    np.fmax.at(heights, column, np.nan_to_num(volume))
    y = Scale(0.0, largest, canvas.y0, top)
    strokes = "".join(
        f"M{canvas.x0 + c:.1f} {canvas.y0:.1f}V{float(y(heights[c])):.1f}" for c in np.flatnonzero(heights > 0).tolist()
    )
    canvas.add(f'<path class="line base-other" style="stroke-dasharray:none" d="{strokes}"/>', "volume")


def _marks(canvas: Canvas, px: FloatArray, good: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    """Mark bars that cannot be traded along the bottom."""
    bad = px[~good]
    if len(bad):
        level = np.full(2 * len(bad), canvas.y0)
        ends = np.column_stack([bad - 1.0, bad + 1.0]).ravel()
        gaps = np.insert(np.column_stack([ends, level]), np.arange(2, 2 * len(bad), 2), np.nan, axis=0)
        canvas.add(f'<path class="line base-momentum" d="{line_path(gaps[:, 0], gaps[:, 1])}"/>', "cannot be traded")
