"""Intervals and seeds, as strips that fit into a table or under one another."""

from __future__ import annotations

from collections.abc import Sequence

from wealtharena.reporting.marks import figures, ticks
from wealtharena.reporting.marks import percents as shares_of
from wealtharena.reporting.svg import Canvas, Scale, Size
from wealtharena.reporting.words import number, percent

_ROW = Size(220, 26, left=4, right=4, top=4, bottom=4)


def interval(value: float | None, low: float | None, high: float | None, *, limits: tuple[float, float]) -> str:
    """Return a dot with its interval on the common axis `limits`, zero marked; empty where nothing is known."""
    canvas = Canvas(_ROW, "interval")
    x = Scale(*limits, canvas.x0, canvas.x1)
    zero = float(x(0.0))
    canvas.rule(zero, 0, zero, _ROW.height, "zero")
    middle = _ROW.height / 2
    if low is not None and high is not None:
        css = "interval sure" if low > 0 or high < 0 else "interval"
        words = f"{number(low, signed=True)} to {number(high, signed=True)}"
        canvas.add(
            f'<line class="{css}" x1="{float(x(low)):.1f}" y1="{middle}" x2="{float(x(high)):.1f}" y2="{middle}"/>',
            words,
        )
    if value is not None:
        canvas.dot(float(x(value)), middle, "agent", radius=4, title=number(value, signed=True))
    return canvas.render()


def limits(values: Sequence[float | None]) -> tuple[float, float]:
    """Return a range that holds every known value and zero, with room at both ends."""
    known = [value for value in values if value is not None] or [0.0]
    low, high = min(*known, 0.0), max(*known, 0.0)
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def seeds(
    size: Size, groups: Sequence[tuple[str, Sequence[tuple[str, float]], float | None]], *, percents: bool
) -> str:
    """Return one row of dots a measure: (name, [(seed, value)], middle); the middle is a bar."""
    canvas = Canvas(size.before([name for name, *_ in groups]), "Results by seed")
    low, high = limits([value for _, dots, _ in groups for _, value in dots])
    x = Scale(low, high, canvas.x0, canvas.x1)
    marks = ticks(low, high, 5)
    canvas.number_axis(x, marks, shares_of(marks) if percents else figures(marks, signed=True))
    zero = float(x(0.0))
    canvas.rule(zero, canvas.y1, zero, canvas.y0, "zero")
    height = (canvas.y0 - canvas.y1) / max(len(groups), 1)
    for row, (name, dots, middle) in enumerate(groups):
        y = canvas.y1 + (row + 0.5) * height
        canvas.text(canvas.x0 - 6, y, name, anchor="end")
        canvas.rule(canvas.x0, y, canvas.x1, y, "grid")
        for seed, value in dots:
            figure = percent(value, signed=True) if percents else number(value, signed=True)
            canvas.dot(float(x(value)), y, "agent see-through", radius=5, title=f"seed {seed}: {figure}")
        if middle is not None:
            canvas.rule(float(x(middle)), y - 10, float(x(middle)), y + 10, "middle")
    return canvas.render()
