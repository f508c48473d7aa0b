"""How the returns of a record are distributed."""

from __future__ import annotations

import math

import numpy as np

from wealtharena.envs.trajectory import Trajectory
from wealtharena.reporting.marks import figures, percents, ticks
from wealtharena.reporting.svg import Canvas, FloatArray, Scale, Size
from wealtharena.reporting.words import percent

TAIL = 0.002  # share of the returns at each end that one box takes together
_BOXES = 41


def edges_of(returns: FloatArray) -> FloatArray:
    """Return the edges of the boxes: equal in width about zero, the outermost open for what lies beyond."""
    low, high = (float(value) for value in np.quantile(returns, [TAIL, 1.0 - TAIL]))
    reach = max(-low, high, 1e-6)
    return np.linspace(-reach, reach, _BOXES + 1)


def histogram(size: Size, path: Trajectory, *, name: str) -> str:
    """Return how many bars had which return, with the normal distribution of the same mean and deviation over it."""
    returns = path.returns
    edges = edges_of(returns)
    counts, _ = np.histogram(np.clip(returns, edges[0], edges[-1]), bins=edges)
    canvas = Canvas(size, f"Distribution of the returns of {name}")
    curve = _normal(returns, edges)
    top = max(float(counts.max(initial=1)), float(curve[1].max(initial=0.0))) * 1.05
    y = Scale(0.0, top, canvas.y0, canvas.y1)
    counted = [mark for mark in ticks(0.0, top, 4) if float(mark).is_integer()]
    canvas.y_axis(y, list(zip(counted, figures(counted), strict=True)), zero=0.0)
    x = Scale(float(edges[0]), float(edges[-1]), canvas.x0, canvas.x1)
    marks = ticks(float(edges[0]), float(edges[-1]), 5 if not size.narrow else 3)
    canvas.number_axis(x, marks, percents(marks))
    wide = float(x(edges[1]) - x(edges[0]))
    digits = max(2, math.ceil(-math.log10(100.0 * float(edges[1] - edges[0]))))  # that tell a box's two edges apart
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            between = " to ".join(percent(edge, digits=digits, signed=True) for edge in (left, right))
            words = f"{between}: {count} bar{'s' if count != 1 else ''}"
            canvas.box(float(x(left)) + 0.5, canvas.y0, wide - 1, float(y(count)) - canvas.y0, "bar agent", words)
    if curve[1].any():
        canvas.line(x(curve[0]), y(curve[1]), "base-other", "normal distribution of the same mean and deviation")
    return canvas.render()


def _normal(returns: FloatArray, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where the normal curve goes: positions, and bars a box; nothing but zeros where the returns never move."""
    at = np.linspace(edges[0], edges[-1], 161)
    deviation = float(returns.std(ddof=1)) if returns.size > 1 else 0.0
    if deviation < 1e-12:
        return at, np.zeros_like(at)
    density = np.exp(-0.5 * ((at - returns.mean()) / deviation) ** 2) / (deviation * np.sqrt(2.0 * np.pi))
    return at, density * returns.size * float(edges[1] - edges[0])
