"""Equity, drawdown and rolling Sharpe ratio over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bottleneck
import numpy as np

from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation.significance import FLAT
from wealtharena.reporting.data import Band
from wealtharena.reporting.marks import compact, figures, log_ticks, percents, ticks
from wealtharena.reporting.svg import Canvas, FloatArray, Scale, Size, area_path, seconds, thin
from wealtharena.reporting.words import DASH, day, figure, finite, name_of, percent

ROLLING_BARS = 24  # fewer returns make no Sharpe ratio: of months, two years
LOG_ABOVE = 4.0  # highest over lowest equity from which a log scale reads better


def growth(trajectory: Trajectory) -> FloatArray:
    """Return equity over starting equity, shape [n + 1]."""
    result: FloatArray = trajectory.equity / trajectory.equity[0]
    return result


def equity(
    size: Size,
    agent: Trajectory,
    baselines: Sequence[Trajectory],
    *,
    band: Band | None,
    totals: Mapping[str, Any],
    name: str,
) -> str:
    """Return growth of the agent and the baselines with end labels; `totals` holds the total return each label states.

    The scale turns logarithmic where the highest value is more than four times the lowest.
    """
    paths = [*((growth(path), path.name) for path in baselines), (growth(agent), "")]
    ends = [values for values, _ in paths]
    if band is not None:
        ends += [band.lower / agent.equity[0], band.upper / agent.equity[0]]
    low, high = min(float(np.nanmin(v)) for v in ends), max(float(np.nanmax(v)) for v in ends)
    log = low > 0 and high / low > LOG_ABOVE
    words = []
    for _, key in paths:
        total = finite(totals.get(key or "agent"))
        figure = _label(total, short=size.narrow) if total is not None else DASH
        words.append((name_of(key, short=size.narrow) if key else name, figure))
    size = size.behind([f"{shown} {figure}" for shown, figure in words])
    canvas = Canvas(size, f"Growth of {name} and the baselines over the window")
    y = _growth_axis(canvas, low, high, log=log)
    x = time_scale(canvas, agent)
    if band is not None:
        _band(canvas, x(seconds(agent.timestamps)), y, band, agent.equity[0])
    labels = []
    for (values, key), (shown, figure) in zip(paths, words, strict=True):
        css = css_of(key) if key else "agent"
        timestamps = next((b.timestamps for b in baselines if b.name == key), agent.timestamps)
        canvas.line(x(seconds(timestamps)), y(values), css, f"{shown} {figure}")
        labels.append((float(y(values[-1])), shown, figure, css))
    canvas.end_labels(labels)
    same = [b for b in baselines if b.timestamps.shape == agent.timestamps.shape]
    series = [("Agent", "agent", growth(agent) - 1), *((name_of(b.name), css_of(b.name), growth(b) - 1) for b in same)]
    canvas.read_out(x(seconds(agent.timestamps)), agent.timestamps, series, kind="percent")
    return canvas.render()


def _label(value: float, *, short: bool) -> str:
    return percent(value, signed=True, digits=0 if short and abs(value) >= 0.1 else 1)


def drawdown(size: Size, agent: Trajectory, reference: Trajectory | None, *, name: str) -> str:
    """Return the share lost since the highest equity so far, with the deepest point marked."""
    depth = underwater(agent)
    lines = [depth] + ([underwater(reference)] if reference else [])
    low = min(*(float(values.min()) for values in lines), -0.001)
    compared = [name_of(reference.name, short=size.narrow)] if reference is not None else []
    size = size.behind([name, *compared])
    canvas = Canvas(size, f"Drawdown of {name}")
    y = Scale(low * 1.08, 0.0, canvas.y0, canvas.y1)
    marks = ticks(low * 1.08, 0.0, 4)
    canvas.y_axis(y, list(zip(marks, percents(marks), strict=True)), zero=0.0)
    x = time_scale(canvas, agent)
    px = x(seconds(agent.timestamps))
    tx, ty = thin(px, y(depth), columns=int(canvas.x1 - canvas.x0))
    canvas.add(f'<path class="fill agent" d="{area_path(tx, np.full_like(tx, float(y(0.0))), ty)}"/>')
    labels = [(float(y(depth[-1])), name, "", "agent")]
    if reference is not None:
        shown = name_of(reference.name, short=size.narrow)
        canvas.line(x(seconds(reference.timestamps)), y(lines[1]), css_of(reference.name), shown)
        labels.append((float(y(lines[1][-1])), shown, "", css_of(reference.name)))
    canvas.line(px, y(depth), "agent", name)
    worst = int(depth.argmin())
    if depth[worst] < 0:
        words = f"{figure('percent', depth[worst])}, {day(agent.timestamps[worst])}"
        canvas.dot(px[worst], float(y(depth[worst])), "agent", title=words)
        side, anchor = (8, "start") if px[worst] < (canvas.x0 + canvas.x1) / 2 else (-8, "end")
        at = float(y(depth[worst])) + 9  # below its line, which may run on level
        canvas.text(px[worst] + side, at, words, "note", anchor, left=canvas.x0 + 4)  # not over the axis
    canvas.end_labels(labels)
    series = [("Agent", "agent", depth)]
    if reference is not None and reference.timestamps.shape == agent.timestamps.shape:
        series.append((name_of(reference.name), css_of(reference.name), lines[1]))
    canvas.read_out(px, agent.timestamps, series, kind="percent")
    return canvas.render()


def rolling_sharpe(
    size: Size,
    agent: Trajectory,
    reference: Trajectory | None,
    *,
    name: str,
    bars: int,
    risk_free: float | FloatArray = 0.0,
) -> str:
    """Return the annual Sharpe ratio over the last `bars` returns, for the agent and a baseline."""
    shown = [(rolling(agent, bars, risk_free), agent, "agent", name)]
    if reference is not None:
        words = name_of(reference.name, short=size.narrow)
        shown.insert(0, (rolling(reference, bars, risk_free), reference, css_of(reference.name), words))
    known = np.concatenate([values[np.isfinite(values)] for values, *_ in shown] + [np.zeros(1)])
    low, high = min(float(known.min()), -0.5), max(float(known.max()), 0.5)
    size = size.behind([words for *_, words in shown])
    canvas = Canvas(size, f"Sharpe ratio of {name} over the last {bars} bars")
    y = Scale(low, high, canvas.y0, canvas.y1)
    marks = ticks(low, high, 4)
    canvas.y_axis(y, list(zip(marks, figures(marks, signed=True), strict=True)), zero=0.0)
    x = time_scale(canvas, agent)
    labels = []
    for values, path, css, words in shown:
        canvas.line(x(seconds(path.timestamps[1:])), y(values), css, words)
        last = values[np.isfinite(values)]
        if last.size:
            labels.append((float(y(last[-1])), words, "", css))
    canvas.end_labels(labels)
    series = [(words, css, values) for values, _, css, words in reversed(shown) if len(values) == len(agent.returns)]
    canvas.read_out(x(seconds(agent.timestamps[1:])), agent.timestamps[1:], series, kind="ratio")
    return canvas.render()


def underwater(trajectory: Trajectory) -> FloatArray:
    """Return `V / cummax(V) - 1`, shape [n + 1]."""
    result: FloatArray = trajectory.equity / np.maximum.accumulate(trajectory.equity) - 1.0
    return result


def rolling(trajectory: Trajectory, bars: int, risk_free: float | FloatArray) -> FloatArray:
    """Return the annual Sharpe ratio of the last `bars` returns, shape [n]; NaN before there are so many, and where they are one."""
    excess = np.asarray(trajectory.returns - risk_free)
    result = np.full(excess.shape, np.nan)
    if 1 < bars <= excess.size:
        centre = excess.mean()  # keeps the differences of sums accurate
        mean = _window_sums(excess - centre, bars) / bars
        variance = (_window_sums((excess - centre) ** 2, bars) - bars * mean**2) / (bars - 1)
        deviation = np.sqrt(np.maximum(variance, 0.0))
        apart = bottleneck.move_max(excess, bars)[bars - 1 :] - bottleneck.move_min(excess, bars)[bars - 1 :]
        moved = (apart > FLAT) & (deviation > 1e-9)  # of sums that run on, what is left where nothing moves is rounding
        ratio = np.divide(mean + centre, deviation, out=np.full(mean.shape, np.nan), where=moved)
        result[bars - 1 :] = ratio * np.sqrt(trajectory.bars_per_year)
    return result


def _window_sums(values: FloatArray, bars: int) -> FloatArray:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    result: FloatArray = sums[bars:] - sums[:-bars]
    return result


def rolling_bars(trajectory: Trajectory) -> int:
    """Return the window of the rolling Sharpe ratio: half a year, `ROLLING_BARS` at least, or a third of a shorter record."""
    n = trajectory.returns.size
    return max(min(max(round(trajectory.bars_per_year / 2), ROLLING_BARS), n // 3), 2)


def css_of(baseline: str) -> str:
    """Return the class that colours a baseline: its own where it has one, else a neutral one."""
    known = {"buy_and_hold", "equal_weight", "momentum", "inverse_volatility", "minimum_variance", "cash", "random"}
    return f"base-{baseline}" if baseline in known else "base-other"


def time_scale(canvas: Canvas, path: Trajectory) -> Scale:
    """Return the horizontal scale of a path's time, with its axis drawn."""
    at = seconds(path.timestamps)
    scale = Scale(float(at[0]), float(at[-1]), canvas.x0, canvas.x1)
    canvas.time_axis(scale, path.timestamps)
    return scale


def _growth_axis(canvas: Canvas, low: float, high: float, *, log: bool) -> Scale:
    if log:
        y = Scale(low / 1.05, high * 1.05, canvas.y0, canvas.y1, log=True)
        canvas.y_axis(y, [(mark, f"{compact(mark)}×") for mark in log_ticks(y.low, y.high, 6)], zero=1.0)
        return y
    room = max(0.04 * (high - low), 0.002)
    y = Scale(low - room, high + room, canvas.y0, canvas.y1)
    marks = ticks(y.low - 1, y.high - 1, 7)
    canvas.y_axis(y, [(1 + mark, words) for mark, words in zip(marks, percents(marks), strict=True)], zero=1.0)
    return y


def _band(canvas: Canvas, px: FloatArray, y: Scale, band: Band, start: float) -> None:
    step = max(len(px) // int(canvas.x1 - canvas.x0), 1)
    keep = np.unique(np.append(np.arange(0, len(px), step), len(px) - 1))
    upper, lower = y(band.upper[keep] / start), y(band.lower[keep] / start)
    canvas.area(px[keep], upper, lower, "band", band.meaning)
