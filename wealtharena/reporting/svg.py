"""Small hand-written SVG: scales, axes, lines, areas and labels that keep out of each other's way.

Colours are CSS classes, never values, so that one figure serves light and dark pages. Every chart is drawn at the size
it is shown at, wide and narrow, because text that shrinks with its picture can't be read on a phone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from wealtharena.reporting.lettering import cut, isolated, width_of
from wealtharena.reporting.marks import time_ticks
from wealtharena.reporting.words import day, escape

FloatArray = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]
LINE_HEIGHT = 14.0
_TO_LABEL, _TO_EDGE = 12.0, 4.0  # pixels between a line's end and its label, and between the label and the edge
_WIDEST_MARGIN = 0.5  # of the chart: labels longer than this are cut


@dataclass(frozen=True)
class Size:
    """Width and height in CSS pixels, and the margins that axis and end labels need."""

    width: float
    height: float
    left: float = 46
    right: float = 14
    top: float = 12
    bottom: float = 24

    @property
    def narrow(self) -> bool:
        """Return whether labels should be short."""
        return self.width < 350

    def behind(self, labels: Sequence[str]) -> Size:
        """Return this size with a right margin that holds each of the labels, up to half of the width."""
        return replace(self, right=max(self.right, self._margin(labels, _TO_LABEL)))

    def before(self, labels: Sequence[str]) -> Size:
        """Return this size with a left margin that holds each of the labels, up to half of the width."""
        return replace(self, left=max(self.left, self._margin(labels, 6.0)))

    def _margin(self, labels: Sequence[str], gap: float) -> float:
        widest = max((width_of(words) for words in labels), default=0.0)
        return min(widest + gap + _TO_EDGE, _WIDEST_MARGIN * self.width)


@dataclass(frozen=True)
class Scale:
    """A map from values to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: npt.ArrayLike) -> FloatArray:
        """Return pixel positions of `value`, any shape."""
        values = np.asarray(value, dtype=np.float64)
        low, high = self.low, self.high
        if self.log:
            values, low, high = np.log(np.maximum(values, 1e-12)), math.log(low), math.log(high)
        span = high - low or 1.0
        result: FloatArray = self.start + (values - low) / span * (self.stop - self.start)
        return result


def spread(positions: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Return `positions` moved as little as is simple so that any two are `gap` apart, inside [low, high] if they fit."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(positions[i], placed[-1] + gap if placed else low))
    limit = high
    for k in range(len(placed) - 1, -1, -1):
        placed[k] = min(placed[k], limit)
        limit = placed[k] - gap
    result = [0.0] * len(positions)
    for k, i in enumerate(order):
        result[i] = placed[k]
    return result


def thin(x: FloatArray, y: FloatArray, *, columns: int) -> tuple[FloatArray, FloatArray]:
    """Return the points of a line that `columns` pixels can show: the lowest and highest of each column are kept."""
    if len(x) <= 2 * columns:
        return x, y
    each = -(-len(x) // columns)
    padded = np.full(columns * each, np.nan)
    padded[: len(y)] = y
    rows = padded.reshape(columns, each)
    starts = np.arange(columns) * each
    lowest = starts + np.where(np.isnan(rows), np.inf, rows).argmin(axis=1)
    highest = starts + np.where(np.isnan(rows), -np.inf, rows).argmax(axis=1)
    index = np.unique(np.concatenate([[0, len(x) - 1], lowest, highest]))
    index = index[index < len(x)]
    return x[index], y[index]


def line_path(x: FloatArray, y: FloatArray) -> str:
    """Return the path data of a line; a NaN lifts the pen."""
    parts: list[str] = []
    pen = "M"
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(py):
            parts.append(f"{pen}{px:.1f} {py:.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(parts)


def area_path(x: FloatArray, upper: FloatArray, lower: FloatArray) -> str:
    """Return the path data of the area between two lines without NaN."""
    forth = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), upper.tolist(), strict=True))
    back = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x[::-1].tolist(), lower[::-1].tolist(), strict=True))
    return f"M{forth}L{back}Z"


@dataclass
class Canvas:
    """An SVG under construction, with the plot's frame."""

    size: Size
    label: str  # what a screen reader says
    parts: list[str] = field(default_factory=list)
    hover: str = ""

    @property
    def x0(self) -> float:
        return self.size.left

    @property
    def x1(self) -> float:
        return self.size.width - self.size.right

    @property
    def y0(self) -> float:
        return self.size.height - self.size.bottom

    @property
    def y1(self) -> float:
        return self.size.top

    def line(self, x: FloatArray, y: FloatArray, css: str, title: str = "") -> None:
        """Draw a line through pixel positions, thinned to what can be seen."""
        x, y = thin(x, y, columns=int(self.x1 - self.x0))
        self.add(f'<path class="line {css}" d="{line_path(x, y)}"/>', title)

    def area(self, x: FloatArray, upper: FloatArray, lower: FloatArray, css: str, title: str = "") -> None:
        """Fill between two lines of pixel positions."""
        self.add(f'<path class="{css}" d="{area_path(x, upper, lower)}"/>', title)

    def rule(self, x0: float, y0: float, x1: float, y1: float, css: str) -> None:
        """Draw a straight line."""
        self.parts.append(f'<line class="{css}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>')

    def box(self, x: float, y: float, width: float, height: float, css: str, title: str = "") -> None:
        """Fill a rectangle; a negative height is drawn upwards from `y`."""
        top, tall = (y, height) if height >= 0 else (y + height, -height)
        self.add(
            f'<rect class="{css}" x="{x:.1f}" y="{top:.1f}" width="{max(width, 0):.1f}" height="{tall:.1f}"/>', title
        )

    def dot(self, x: float, y: float, css: str, *, radius: float = 3.5, title: str = "") -> None:
        """Draw a filled circle."""
        self.add(f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>', title)

    def text(
        self, x: float, y: float, words: str, css: str = "tick", anchor: str = "start", *, left: float = 1.0
    ) -> None:
        """Write text whose middle line is at `y`, moved or cut where it would leave the chart or begin before `left`."""
        shown = cut(words, self.size.width - 2)
        wide = width_of(shown)
        before = {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        x = min(max(x, left + before), self.size.width - 1 - wide + before)
        self.parts.append(
            f'<text class="{css}" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{escape(shown)}</text>'
        )

    def add(self, element: str, title: str = "") -> None:
        """Add an element, in a group with its title where it has one."""
        self.parts.append(f"<g><title>{escape(title)}</title>{element}</g>" if title else element)

    def y_axis(self, scale: Scale, marks: Sequence[tuple[float, str]], *, zero: float | None = None) -> None:
        """Draw a grid line and a label at each mark; the one at `zero` is stronger."""
        for value, words in marks:
            y = float(scale(value))
            self.rule(self.x0, y, self.x1, y, "zero" if value == zero else "grid")
            self.text(self.x0 - 6, y, words, anchor="end")

    def time_axis(self, scale: Scale, times: Times) -> None:
        """Label the moments along the bottom."""
        count = max(int((self.x1 - self.x0) / 62), 2)
        for moment, words in time_ticks(times[0], times[-1], count):
            x = float(scale(seconds(np.array([moment]))[0]))
            self.rule(x, self.y0, x, self.y0 + 4, "grid")
            self.text(x, self.y0 + 14, words, anchor="start" if x - self.x0 < 12 else "middle")

    def number_axis(self, scale: Scale, marks: Sequence[float], words: Sequence[str]) -> None:
        """Label numbers along the bottom."""
        for mark, text in zip(marks, words, strict=True):
            x = float(scale(mark))
            anchor = "start" if x - self.x0 < 12 else "end" if self.x1 - x < 12 else "middle"
            self.rule(x, self.y0, x, self.y0 + 4, "grid")
            self.text(x, self.y0 + 14, text, anchor=anchor)

    def end_labels(self, ends: Sequence[tuple[float, str, str, str]]) -> None:
        """Name lines at their ends: (y of the line's end, name, figure, CSS class), without overlaps."""
        places = spread([end[0] for end in ends], gap=LINE_HEIGHT, low=self.y1 + 2, high=self.y0 - 2)
        for (y, name, value, css), place in zip(ends, places, strict=True):
            self.parts.append(
                f'<path class="leader {css}" d="M{self.x1 + 1:.1f} {y:.1f}L{self.x1 + 9:.1f} {place:.1f}"/>'
            )
            self.legend(self.x1 + _TO_LABEL, place, name, value, f"end {css}")

    def legend(self, x: float, y: float, name: str, figure: str, css: str = "legend") -> None:
        """Write a name, cut where it must be, and its figure, which is always whole."""
        behind = f" {figure}" if figure else ""
        name = isolated(cut(name, self.size.width - 1 - x - width_of(behind)))
        strong = f' <tspan class="end-figure">{escape(figure)}</tspan>' if figure else ""
        self.parts.append(f'<text class="{css}" x="{x:.1f}" y="{y + 4:.1f}">{escape(name)}{strong}</text>')

    def read_out(
        self, x: FloatArray, times: Times, series: Sequence[tuple[str, str, FloatArray]], *, kind: str
    ) -> None:
        """Let a pointer read values: (name, CSS class, values at `times`); kind is percent or ratio."""
        keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), int(self.x1 - self.x0) // 3)).astype(int))
        digits = 4 if kind == "percent" else 2
        found = {
            "x": [round(float(value), 1) for value in x[keep]],
            "t": [day(moment) for moment in times[keep]],
            "s": [[name, css, [_rounded(v, digits) for v in values[keep]]] for name, css, values in series],
            "k": kind,
            "y": [self.y1, self.y0],
        }
        self.hover = f' data-hover="{escape(json.dumps(found, separators=(",", ":"), ensure_ascii=False))}"'

    def render(self) -> str:
        """Return the SVG element."""
        w, h = self.size.width, self.size.height
        css = "chart narrow" if self.size.narrow else "chart wide"
        return (
            f'<svg class="{css}" viewBox="0 0 {w:g} {h:g}" width="{w:g}" height="{h:g}" role="img" style="max-width:{w * 1.12:.0f}px"{self.hover} '
            f'aria-label="{escape(self.label)}">{"".join(self.parts)}</svg>'
        )


def seconds(times: Times) -> FloatArray:
    """Return moments as seconds since 1970."""
    return np.asarray(times, dtype="datetime64[ms]").astype(np.int64).astype(np.float64) / 1000.0


def _rounded(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
