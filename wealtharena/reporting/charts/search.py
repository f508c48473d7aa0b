"""Figures of a search: its history, what mattered, where the good regions lie, and how much of it is luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wealtharena.reporting.marks import compact, figures, percents, ticks
from wealtharena.reporting.svg import Canvas, FloatArray, Scale, Size, line_path
from wealtharena.reporting.words import DASH, number, percent

_ENDS = 0.04  # margin around the data, as a share of its range
_GRID = 14  # cells a side of the contour
_TIE = 1e-11  # moves a logit of 0, the middle of an odd number of trials, to the side on which PBO counts it


@dataclass(frozen=True)
class TrialPoint:
    """One trial as the figures need it; `params` maps override key to value."""

    number: int
    state: str  # COMPLETE, PRUNED or FAIL
    score: float | None
    params: Mapping[str, Any]


def history(size: Size, trials: Sequence[TrialPoint], *, mode: str, metric: str) -> str:
    """Return score by trial, with the best so far as a step line; stopped trials are hollow."""
    scored = [trial for trial in trials if trial.score is not None]
    best_words = "best" if size.narrow else "best so far"
    canvas = Canvas(size.behind([f"{best_words} +0.000"]), f"{metric} by trial")
    if not scored:
        return _nothing(canvas, "no trial was scored")
    values = np.array([trial.score for trial in scored], dtype=np.float64)
    y = _score_axis(canvas, values)
    last = max(trial.number for trial in trials)
    x = Scale(0, max(last, 1), canvas.x0 + 6, canvas.x1 - 6)
    marks = [mark for mark in ticks(0, max(last, 1), 6) if mark == int(mark)]
    canvas.number_axis(x, marks, [str(int(mark)) for mark in marks])
    for trial in scored:
        css = "agent" if trial.state == "COMPLETE" else "base-other see-through"
        canvas.dot(float(x(trial.number)), float(y(trial.score or 0.0)), css, radius=3.2, title=_title(trial, metric))
    done = [trial for trial in scored if trial.state == "COMPLETE"]
    if done:
        best = np.maximum.accumulate if mode == "max" else np.minimum.accumulate
        running = best(np.array([trial.score for trial in done], dtype=np.float64))
        px = np.repeat([float(x(trial.number)) for trial in done] + [float(x(last))], 2)[1:-1]
        canvas.add(f'<path class="line agent" d="{line_path(px, np.repeat(y(running), 2))}"/>', "best so far")
        canvas.end_labels([(float(y(running[-1])), best_words, number(running[-1], digits=3, signed=True), "agent")])
    return canvas.render()


def parallel(size: Size, trials: Sequence[TrialPoint], *, mode: str, metric: str) -> str:
    """Return parallel coordinates: an axis a parameter, the score last; the best tenth is drawn strong."""
    scored = [trial for trial in trials if trial.score is not None]
    keys = _keys(scored)
    canvas = Canvas(size, f"Parameters of every trial against {metric}")
    if not scored or not keys:
        return _nothing(canvas, "no trial was scored")
    axes = {key: _axis([trial.params.get(key) for trial in scored]) for key in keys}
    scores = np.array([trial.score for trial in scored], dtype=np.float64)
    axes[metric] = _axis(list(scores))
    columns = np.linspace(canvas.x0 + 10, canvas.x1 - 10, len(axes))
    order = np.argsort(scores if mode == "max" else -scores)
    strong = set(order[-max(1, len(scored) // 10) :].tolist())
    top, bottom = canvas.y1 + 22, canvas.y0 - 4
    for i in [*(k for k in order if k not in strong), *(k for k in order if k in strong)]:
        trial = scored[i]
        row = [trial.params.get(key) for key in keys] + [trial.score]
        heights = np.array([axis.place(value) for axis, value in zip(axes.values(), row, strict=True)])
        css = "line agent" if i in strong else "line base-cash thin"
        drawn = np.isfinite(heights)  # a line passes an axis that its trial did not draw from
        path = line_path(columns[drawn], bottom - heights[drawn] * (bottom - top))
        canvas.add(f'<path class="{css}" d="{path}"/>', _title(trial, metric))
    for k, (key, axis) in enumerate(axes.items()):
        canvas.rule(columns[k], top, columns[k], bottom, "grid")
        anchor = "start" if k == 0 else "end" if k == len(axes) - 1 else "middle"
        canvas.text(columns[k], canvas.y1 + (0 if k % 2 else 10), key.rsplit(".", 1)[-1], "tick", anchor)
        for share, words in axis.labels():
            canvas.text(
                columns[k] + 4, bottom - share * (bottom - top), words, "tick", "start" if k < len(axes) - 1 else "end"
            )
    return canvas.render()


def importance(size: Size, shares: Mapping[str, float]) -> str:
    """Return a bar a parameter: the share of the score's variation that it explains."""
    ranked = sorted(shares.items(), key=lambda item: -item[1])[:10]
    canvas = Canvas(size.before([key for key, _ in ranked]), "Importance of the parameters")
    if not shares:
        return _nothing(canvas, "too few finished trials to tell")
    step = (canvas.y0 - canvas.y1) / len(ranked)
    x = Scale(0.0, max(value for _, value in ranked) or 1.0, canvas.x0, canvas.x1 - 8)
    for row, (key, value) in enumerate(ranked):
        y = canvas.y1 + row * step
        canvas.box(
            canvas.x0,
            y + 3,
            float(x(value)) - canvas.x0,
            min(step - 6, 18),
            "bar agent",
            f"{key}: {percent(value, digits=0)}",
        )
        canvas.text(canvas.x0 - 6, y + 3 + min(step - 6, 18) / 2, key, anchor="end")
        canvas.text(float(x(value)) + 6, y + 3 + min(step - 6, 18) / 2, percent(value, digits=0), "end-figure")
    return canvas.render()


def contour(size: Size, trials: Sequence[TrialPoint], keys: tuple[str, str], *, mode: str, metric: str) -> str:
    """Return trials over two parameters, shaded by the distance-weighted mean score; the stronger its colour, the better."""
    scored = [trial for trial in trials if trial.score is not None and all(key in trial.params for key in keys)]
    canvas = Canvas(size, f"{metric} over {keys[0]} and {keys[1]}")
    if len(scored) < 3:
        return _nothing(canvas, "too few trials share these two parameters")
    first, second = (_axis([trial.params[key] for trial in scored]) for key in keys)
    at = np.array([[first.place(trial.params[keys[0]]), second.place(trial.params[keys[1]])] for trial in scored])
    scores = np.array([trial.score for trial in scored], dtype=np.float64) * (1 if mode == "max" else -1)
    rank = np.argsort(np.argsort(scores)) / max(len(scores) - 1, 1)
    x, y = Scale(0, 1, canvas.x0, canvas.x1), Scale(0, 1, canvas.y0, canvas.y1)
    wide, tall = (canvas.x1 - canvas.x0) / _GRID, (canvas.y0 - canvas.y1) / _GRID
    for i in range(_GRID):
        for j in range(_GRID):
            centre = np.array([(i + 0.5) / _GRID, (j + 0.5) / _GRID])
            weight = 1.0 / (((at - centre) ** 2).sum(axis=1) + 0.01)
            shade = float((weight * rank).sum() / weight.sum())
            canvas.add(
                f'<rect class="heat" fill-opacity="{shade * shade:.2f}" x="{canvas.x0 + i * wide:.1f}" '
                f'y="{canvas.y0 - (j + 1) * tall:.1f}" width="{wide + 0.3:.1f}" height="{tall + 0.3:.1f}"/>'
            )
    for trial, (a, b) in zip(scored, at, strict=True):
        css = "agent" if trial.state == "COMPLETE" else "base-other see-through"
        canvas.dot(float(x(a)), float(y(b)), css, radius=3, title=_title(trial, metric))
    for share, words in first.labels():
        canvas.text(
            float(x(share)),
            canvas.y0 + 14,
            words,
            anchor="start" if share < 0.1 else "end" if share > 0.9 else "middle",
        )
    canvas.text((canvas.x0 + canvas.x1) / 2, canvas.y0 + 14, keys[0], "note", "middle")
    for share, words in second.labels():
        canvas.text(canvas.x0 - 6, float(y(share)), words, anchor="end")
    canvas.text(canvas.x0, canvas.y1 - 8, keys[1], "note")
    return canvas.render()


def seeds(size: Size, finalists: Sequence[tuple[str, Sequence[float]]], *, metric: str) -> str:
    """Return each finalist's scores over seeds as dots, with the median as a bar."""
    canvas = Canvas(size, f"{metric} of the finalists, a dot a seed")
    if not finalists:
        return _nothing(canvas, "no finalist was trained again")
    values = np.concatenate([np.asarray(scores, dtype=np.float64) for _, scores in finalists])
    y = _score_axis(canvas, values)
    columns = np.linspace(canvas.x0, canvas.x1, len(finalists) + 2)[1:-1]
    for x, (name, scores) in zip(columns, finalists, strict=True):
        middle = float(np.median(scores))
        canvas.rule(x - 16, float(y(middle)), x + 16, float(y(middle)), "line agent")
        for seed, score in enumerate(scores):
            canvas.dot(
                x,
                float(y(score)),
                "agent",
                radius=3.5,
                title=f"{name}, seed {seed}: {number(score, digits=3, signed=True)}",
            )
        canvas.text(x, canvas.y0 + 14, name, anchor="middle")
    return canvas.render()


def logits(size: Size, values: FloatArray, *, probability: float | None) -> str:
    """Return the histogram of CSCV's logits; the part at or below zero is the probability of overfitting."""
    canvas = Canvas(size, "Out-of-sample rank of the in-sample winner, as a logit")
    if values.size == 0 or probability is None:
        return _nothing(canvas, "too few trials or bars for CSCV")
    edge = max(float(np.abs(values).max()), 1.0) * 1.02
    bins = np.linspace(-edge, edge, 25)
    counts, _ = np.histogram(values - _TIE, bins=bins)
    x = Scale(-edge, edge, canvas.x0, canvas.x1)
    y = Scale(0, counts.max() * 1.08 / values.size, canvas.y0, canvas.y1)
    marks = ticks(0, counts.max() / values.size, 4)
    canvas.y_axis(y, list(zip(marks, percents(marks, signed=False), strict=True)), zero=0.0)
    for count, left, right in zip(counts, bins[:-1], bins[1:], strict=True):
        css = "bar base-buy_and_hold" if right <= 1e-9 else "bar agent"
        height = float(y(count / values.size)) - canvas.y0
        canvas.box(
            float(x(left)) + 0.5, canvas.y0, float(x(right) - x(left)) - 1, height, css, percent(count / values.size)
        )
    canvas.number_axis(x, [-edge, 0.0, edge], [f"{-edge:.1f}", "0", f"{edge:.1f}"])
    canvas.text(canvas.x0 + 4, canvas.y1 + 4, f"at or below 0: {percent(probability, digits=0)}", "note")
    return canvas.render()


@dataclass(frozen=True)
class _Axis:
    """Places values of one parameter on [0, 1]."""

    values: tuple[Any, ...]  # categories, or (low, high)
    categorical: bool
    log: bool

    def place(self, value: Any) -> float:
        """Return the share of the axis; NaN where the parameter was not drawn."""
        if value is None:
            return float("nan")
        if self.categorical:
            return (self.values.index(str(value)) + 0.5) / len(self.values)
        return float(Scale(self.values[0], self.values[1], _ENDS, 1 - _ENDS, log=self.log)(float(value)))

    def labels(self) -> list[tuple[float, str]]:
        """Return (share, words) to write along the axis."""
        if self.categorical:
            return [(self.place(value), value) for value in self.values]
        return [(_ENDS, compact(self.values[0])), (1 - _ENDS, compact(self.values[1]))]


def _axis(values: Sequence[Any]) -> _Axis:
    known = [value for value in values if value is not None]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return _Axis(tuple(sorted({str(value) for value in known})), True, False)
    low, high = float(min(known)), float(max(known))
    if low == high:
        low, high = low - (abs(low) or 1.0) * 0.5, high + (abs(high) or 1.0) * 0.5
    return _Axis((low, high), False, low > 0 and high / low >= 20)


def _keys(trials: Sequence[TrialPoint]) -> list[str]:
    return list(dict.fromkeys(key for trial in trials for key in trial.params))


def _score_axis(canvas: Canvas, values: FloatArray) -> Scale:
    low, high = float(values.min()), float(values.max())
    margin = (high - low or 1.0) * 0.06
    scale = Scale(low - margin, high + margin, canvas.y0, canvas.y1)
    marks = ticks(low - margin, high + margin, 5)
    canvas.y_axis(scale, list(zip(marks, figures(marks, signed=True), strict=True)), zero=0.0)
    return scale


def _title(trial: TrialPoint, metric: str) -> str:
    words = ", ".join(f"{key}={value}" for key, value in trial.params.items())
    score = DASH if trial.score is None else number(trial.score, digits=3, signed=True)
    return f"trial {trial.number} ({trial.state.lower()}): {metric} {score}; {words}"


def _nothing(canvas: Canvas, why: str) -> str:
    canvas.text((canvas.x0 + canvas.x1) / 2, (canvas.y0 + canvas.y1) / 2, why, "note", "middle")
    return canvas.render()
