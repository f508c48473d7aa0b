"""What was held and what trading cost: weights, turnover, costs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.data.panel import trade_dates
from wealtharena.envs.trajectory import Trajectory
from wealtharena.reporting.charts.paths import time_scale
from wealtharena.reporting.marks import figures, percents, ticks
from wealtharena.reporting.svg import LINE_HEIGHT, Canvas, FloatArray, Scale, Size, seconds
from wealtharena.reporting.words import UNIT_GAP, amount, number, percent

MOSTLY_INVESTED = 0.6  # below this the axis ends at what is held: a line along zero tells nothing
_ROUNDING = 1e-9  # of the starting equity: what cash that is 0 but for its last bits was charged
MOST_SYMBOLS = 9  # more than this are summed as "others": nobody tells twenty colours apart


def weights(size: Size, path: Trajectory) -> str:
    """Return weights over time as stacked areas, longs above zero and shorts below; the rest of 100 % is cash."""
    names, held = largest(path)
    means = (held[1:] if len(held) > 1 else held).mean(axis=0)  # at the first close nothing is held yet
    size = size.behind(["  mean weight", *(f"__{_short(name)} −100.0 %" for name in names)])
    columns = int((size.width - size.left - size.right) / 2)
    at, held = _averaged(seconds(path.timestamps), held, columns)
    up, down = np.cumsum(np.maximum(held, 0), axis=1), np.cumsum(np.minimum(held, 0), axis=1)
    high, low = float(up[:, -1].max()), min(float(down[:, -1].min()), 0.0)
    high = max(high, 1.0) if high > MOSTLY_INVESTED else max(1.1 * high, 0.02)
    low *= 1.0 if low < -MOSTLY_INVESTED else 1.1
    canvas = Canvas(size, "Weights held over the window, by symbol")
    y = Scale(low, high, canvas.y0, canvas.y1)
    marks = ticks(low, high, 5)
    canvas.y_axis(y, list(zip(marks, percents(marks, signed=False), strict=True)), zero=0.0)
    x = time_scale(canvas, path)
    px = x(at)
    for k, name in enumerate(names):
        title = f"{name}, mean weight {percent(float(means[k]), signed=low < 0)}"
        for stack, sign in ((up, 1), (down, -1)):
            if (sign * held[:, k]).max() <= 1e-9:
                continue
            inner = stack[:, k - 1] if k else np.zeros(len(px))
            canvas.area(px, y(stack[:, k]), y(inner), f"stack s{k}", title)
    _stack_legend(canvas, names, means)
    return canvas.render()


def largest(path: Trajectory) -> tuple[list[str], FloatArray]:
    """Return symbols by mean absolute weight, the small ones summed as others, and their weights [n + 1, k]."""
    order = np.argsort(-np.abs(path.weights).mean(axis=0), kind="stable")
    if len(order) <= MOST_SYMBOLS + 1:
        return [path.symbols[i] for i in order], path.weights[:, order]
    head, tail = order[:MOST_SYMBOLS], order[MOST_SYMBOLS:]
    held = np.column_stack([path.weights[:, head], path.weights[:, tail].sum(axis=1)])
    return [*(path.symbols[i] for i in head), f"{len(tail)} others"], held


def turnover(size: Size, path: Trajectory) -> str:
    """Return traded value over equity, summed by month (by day where the record is shorter than two months)."""
    equity = path.equity[:-1]
    share = np.divide(path.traded_value, equity, out=np.zeros_like(equity), where=equity > 0)
    unit, share_of = period(path)
    whole = trade_dates(path.timestamps)[1:].astype(f"datetime64[{unit}]")
    periods, index = np.unique(whole, return_inverse=True)
    sums = np.bincount(index, weights=share, minlength=len(periods))
    notes = ("× equity", f"a {share_of}")
    size = size.behind(notes)
    canvas = Canvas(size, f"Turnover by {share_of}")
    high = max(float(sums.max(initial=0.0)), 1e-6)
    y = Scale(0.0, high * 1.05, canvas.y0, canvas.y1)
    marks = ticks(0.0, high * 1.05, 4)
    canvas.y_axis(y, list(zip(marks, figures(marks, unit="×"), strict=True)), zero=0.0)
    x = time_scale(canvas, path)
    low, stop = seconds(path.timestamps[:1])[0], seconds(path.timestamps[-1:])[0]
    starts = np.maximum(seconds(periods), low)
    stops = np.minimum(seconds(periods + 1), stop)
    for a, b, value, key in zip(x(starts), x(stops), sums, periods, strict=True):
        if value > 0:
            canvas.box(
                a, canvas.y0, max(b - a - 1, 0.8), float(y(value)) - canvas.y0, "bar agent", f"{key}: {number(value)}×"
            )
    for row, words in enumerate(notes):
        canvas.text(canvas.x1 + 10, canvas.y1 + 6 + row * LINE_HEIGHT, words, "note")
    return canvas.render()


def costs(size: Size, path: Trajectory) -> str:
    """Return costs, financing and dividends, each summed over time as a share of the starting equity."""
    start = path.equity[0]
    lines = [("Trading costs", path.costs, "cost-trade"), ("Financing", path.financing, "cost-finance")]
    if path.dividends.any():
        lines.append(("Dividends", path.dividends, "cost-income"))
    sums = [(name, np.concatenate([[0.0], np.cumsum(values)]) / start, css) for name, values, css in lines]
    low = min(0.0, *(float(values.min()) for _, values, _ in sums))
    high = max(1e-5, *(float(values.max()) for _, values, _ in sums))
    words = [(_cost_name(name, size), "" if size.narrow else _cost_figure(values)) for name, values, _ in sums]
    size = size.behind([f"{name} {figure}" for name, figure in words])
    canvas = Canvas(size, "Costs, financing and dividends, summed, as a share of the starting equity")
    y = Scale(low, high * 1.05, canvas.y0, canvas.y1)
    marks = ticks(low, high * 1.05, 4)
    canvas.y_axis(y, list(zip(marks, percents(marks, signed=False), strict=True)), zero=0.0)
    x = time_scale(canvas, path)
    px = x(seconds(path.timestamps))
    labels = []
    for (name, values, css), (shown, figure) in zip(sums, words, strict=True):
        canvas.line(px, y(values), css, f"{name} {_cost_figure(values)}")
        labels.append((float(y(values[-1])), shown, figure, css))
    canvas.end_labels(labels)
    return canvas.render()


def _cost_name(name: str, size: Size) -> str:
    return name.split()[-1].capitalize() if size.narrow else name


def _cost_figure(values: FloatArray) -> str:
    last = float(values[-1]) if abs(values[-1]) >= _ROUNDING else 0.0
    return f"{amount(100.0 * last, digits=2 if abs(last) < 0.1 else 1)}{UNIT_GAP}%"


def period(path: Trajectory) -> tuple[str, str]:
    """Return numpy's unit and the word for the periods that bars are summed over."""
    days = float((path.timestamps[-1] - path.timestamps[0]) / np.timedelta64(1, "s")) / 86_400
    return ("M", "month") if days > 62 else ("D", "day")


def _averaged(at: FloatArray, values: FloatArray, columns: int) -> tuple[FloatArray, FloatArray]:
    """Return time and weights averaged into `columns` equal groups of bars, ends kept."""
    if len(at) <= columns:
        return at, values
    edges: npt.NDArray[np.int64] = np.linspace(0, len(at), columns + 1).astype(np.int64)
    counts = np.diff(edges)
    means = np.add.reduceat(values, edges[:-1], axis=0) / counts[:, None]
    middles = np.add.reduceat(at, edges[:-1]) / counts
    middles[0], middles[-1] = at[0], at[-1]
    return middles, means


def _stack_legend(canvas: Canvas, names: list[str], means: FloatArray) -> None:
    top = canvas.y1 + 6
    canvas.text(canvas.x1 + 12, top, "mean weight", "note")
    for row, k in enumerate(range(len(names)), start=1):
        y = top + row * (LINE_HEIGHT + 3)
        canvas.box(canvas.x1 + 12, y - 5, 10, 10, f"stack s{k}")
        mean = percent(float(means[k]), digits=0 if canvas.size.narrow else 1)
        canvas.legend(canvas.x1 + 27, y, _short(names[k]), mean)
    cash = 1.0 - float(means.sum())
    y = top + (len(names) + 1) * (LINE_HEIGHT + 3)
    canvas.box(canvas.x1 + 12, y - 5, 10, 10, "stack cash")
    canvas.legend(canvas.x1 + 27, y, "cash", percent(cash, digits=0 if canvas.size.narrow else 1))


def _short(name: str) -> str:
    """Return a name of eleven letters at most, its end kept: names of one kind begin alike."""
    return name if len(name) < 11 else f"{name[:5]}…{name[-4:]}"
