"""plots/*.png: the main figures as pictures, for W&B and for slides."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wealtharena import files
from wealtharena.reporting.charts import book, paths, training
from wealtharena.reporting.data import ReportData
from wealtharena.reporting.words import name_of, window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _SOFT, _AGENT = "#1b2026", "#57616b", "#0b57b8"
_COLOURS = {
    "buy_and_hold": "#b4500a",
    "equal_weight": "#00765f",
    "momentum": "#8c3f8f",
    "inverse_volatility": "#6f6100",
    "minimum_variance": "#a02c52",
    "cash": "#6a737c",
    "random": "#9aa3ab",
}
_STACK = ("#332f87", "#79bfe6", "#3a9d8c", "#117733", "#999933", "#ddc871", "#cc6677", "#882255", "#aa4499", "#b9bec4")


def write(folder: Path, data: ReportData) -> tuple[Path, ...]:
    """Write equity.png, drawdown.png, weights.png and training.png, those that there is data for; return their paths."""
    written = []
    for name, draw in (("equity", _equity), ("drawdown", _drawdown), ("weights", _weights), ("training", _training)):
        content = _picture(data, draw)
        if content is not None:
            path = folder / f"{name}.png"
            files.write_bytes(path, content)
            written.append(path)
    return tuple(written)


def _picture(data: ReportData, draw: Callable[[Axes, ReportData], bool]) -> bytes | None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), dpi=110)
    figure.subplots_adjust(left=0.07, right=0.985 if draw is not _weights else 0.84, top=0.92, bottom=0.11)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if not draw(axes, data):
        return None
    run = data.run
    mark = "SIMULATED DATA, " if (run.get("data") or {}).get("simulated") else ""
    title = f"{mark}{name_of(str(run.get('agent', '')))} {name_of(str(run.get('algo', '')))}, {axes.get_title()}"
    axes.set_title("")  # the drawing put what it shows there
    axes.set_title(title, loc="left", fontsize=11, color="#b00020" if mark else _INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, colors=_SOFT)
    axes.grid(axis="y", color="#e9ecee")
    axes.set_axisbelow(True)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _equity(axes: Axes, data: ReportData) -> bool:
    if data.agent is None:
        return False
    if data.band is not None:
        start = data.agent.equity[0]
        axes.fill_between(
            data.agent.timestamps, data.band.lower / start, data.band.upper / start, color=_AGENT, alpha=0.1, lw=0
        )
    for path in data.baselines:
        axes.plot(
            path.timestamps,
            paths.growth(path),
            lw=1,
            color=_COLOURS.get(path.name, "#4b5563"),
            label=name_of(path.name),
        )
    axes.plot(data.agent.timestamps, paths.growth(data.agent), lw=2, color=_AGENT, label="Agent")
    axes.legend(fontsize=8, frameon=False, ncols=2, loc="upper left")
    axes.set_title(f"growth over the {window_of(data.run, data.window)}")
    return True


def _drawdown(axes: Axes, data: ReportData) -> bool:
    if data.agent is None:
        return False
    depth = paths.underwater(data.agent)
    axes.fill_between(data.agent.timestamps, 100 * depth, color=_AGENT, alpha=0.2, lw=0)
    axes.plot(data.agent.timestamps, 100 * depth, color=_AGENT, lw=1.4)
    axes.set_title("drawdown, %")
    return True


def _weights(axes: Axes, data: ReportData) -> bool:
    if data.agent is None or not data.held:
        return False
    names, held = book.largest(data.agent)
    for sign in (1, -1):
        parts = [(sign * held[:, k]).clip(0) * sign for k in range(len(names))]
        labels = names if sign == 1 else None
        axes.stackplot(data.agent.timestamps, *parts, colors=_STACK, labels=labels or [], lw=0)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_title("weights")
    return True


def _training(axes: Axes, data: ReportData) -> bool:
    found = training.curves(data.journal)
    if training.VALIDATION not in found:
        return False
    axes.plot(*found[training.VALIDATION], color=_AGENT, marker=".", lw=1.4)
    axes.set_xlabel("environment steps", fontsize=9, color=_SOFT)
    axes.set_title("validation Sharpe ratio")
    return True
