"""How training went: small curves over environment steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wealtharena.reporting.marks import compact, figures, percents, ticks
from wealtharena.reporting.svg import Canvas, FloatArray, Scale, Size
from wealtharena.reporting.words import MEASURES, finite, name_of, number

STEP = "env_step"
VALIDATION = "validation/sharpe"
MOST_CURVES = 6
_PREFERRED = (
    VALIDATION,
    "reward",
    "episode_return",
    "validation/total_return",
    "policy_loss",
    "value_loss",
    "entropy",
    "kl",
)
_UNINTERESTING = {STEP, "iteration", "seconds", "time", "seed", "env_steps", "fold"}


def curves(journal: Sequence[Mapping[str, Any]]) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return up to six figures of the journal worth a curve, as (steps, values), the telling ones first."""
    names = {key for line in journal for key in line if key not in _UNINTERESTING}
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    for name in sorted(names, key=_interest):
        pairs = [(finite(line.get(STEP)), finite(line.get(name))) for line in journal]
        known = np.array([(a, b) for a, b in pairs if a is not None and b is not None], dtype=np.float64).reshape(-1, 2)
        if len(known) >= 2 and (name == VALIDATION or np.ptp(known[:, 1]) > 0):
            found[name] = known[:, 0], known[:, 1]
        if len(found) == MOST_CURVES:
            break
    return found


def curve(size: Size, name: str, steps: FloatArray, values: FloatArray, *, chosen: float | None = None) -> str:
    """Return one curve; `chosen` marks the step of the checkpoint that was selected."""
    canvas = Canvas(size, f"{title(name)} over environment steps")
    low, high = _range(values)
    y = Scale(low, high, canvas.y0, canvas.y1)
    marks = ticks(low, high, 4)
    measure = MEASURES.get(name.rsplit("/", 1)[-1])
    share = measure is not None and measure.kind in ("percent", "share")
    canvas.y_axis(y, list(zip(marks, percents(marks) if share else figures(marks), strict=True)), zero=0.0)
    x = Scale(0.0, max(float(steps.max()), 1.0), canvas.x0, canvas.x1)
    marks = ticks(0.0, x.high, 4)
    canvas.number_axis(x, marks, figures(marks))
    few = len(steps) <= 40 and name.startswith("validation/")
    canvas.line(x(steps), np.clip(y(values), canvas.y1, canvas.y0), "agent", title(name))
    if few:
        for px, py in zip(x(steps), y(values), strict=True):
            canvas.dot(px, float(np.clip(py, canvas.y1, canvas.y0)), "agent", radius=2)
    if chosen is not None and name == VALIDATION:
        at = int(np.abs(steps - chosen).argmin())
        words = f"selected at {compact(chosen)} steps, {number(float(values[at]), signed=True)}"
        px, py = float(x(steps[at])), float(y(values[at]))
        canvas.dot(px, py, "chosen", radius=5, title=words)
        right = px < (canvas.x0 + canvas.x1) / 2
        canvas.text(
            px + (9 if right else -9), max(py - 10, canvas.y1 + 4), "selected", "note", "start" if right else "end"
        )
    return canvas.render()


def title(name: str) -> str:
    """Return a figure of the journal by a name that reads well."""
    *window, last = name.split("/")
    measure = MEASURES.get(last)
    words = {"kl": "KL divergence"}.get(last) or (measure.label if measure else name_of(last))
    return ", ".join([words, *window])


def _range(values: FloatArray) -> tuple[float, float]:
    """Return the axis' range; single wild points of long curves are left outside it."""
    if len(values) >= 50:
        low, high = (float(v) for v in np.quantile(values, [0.005, 0.995]))
    else:
        low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or max(abs(high) * 0.1, 0.1)
    return low - room, high + room


def _interest(name: str) -> tuple[int, str]:
    for rank, wanted in enumerate(_PREFERRED):
        if name == wanted or name.endswith(f"/{wanted}") or name.endswith(f"_{wanted}"):
            return rank, name
    return len(_PREFERRED), name
