"""The report's section on the shape of the returns: distribution, benchmark, worst drawdowns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wealtharena.reporting import charts, tables
from wealtharena.reporting.charts import shape as drawn
from wealtharena.reporting.data import ReportData
from wealtharena.reporting.page import figure, section
from wealtharena.reporting.words import DASH, Measure, day, escape, finite, measured, name_of, number

_DISTRIBUTION: Final = (
    Measure("skew", "Skew", "ratio", True, "third moment over the deviation cubed; below 0 the long tail is of losses"),
    Measure("kurtosis", "Kurtosis", "ratio", False, "fourth moment over the variance squared; 3 for a normal distribution"),
    Measure("tail_ratio", "Tail ratio", "ratio", False, "95 % quantile over the size of the 5 % quantile"),
    Measure("best", "Best bar", "percent", True, "largest return of a bar"),
    Measure("worst", "Worst bar", "percent", True, "smallest return of a bar"),
)  # fmt: skip
_RELATIVE: Final = (
    Measure("alpha", "Alpha a year", "percent", True, "intercept of the excess returns on the benchmark’s (Jensen 1968)"),
    Measure("beta", "Beta", "ratio", False, "slope of the excess returns on the benchmark’s"),
    Measure("correlation", "Correlation", "ratio", True, "of the excess returns with the benchmark’s"),
    Measure("tracking_error", "Tracking error a year", "percent", False, "deviation of the difference to the benchmark"),
    Measure("information_ratio", "Information ratio", "ratio", True, "mean over deviation of the difference, a year"),
)  # fmt: skip


def shape(data: ReportData) -> str:
    """Return the section, or nothing where run.json has no `shape`."""
    found = data.run.get("shape") or {}
    parts = []
    if data.agent is not None and data.agent.returns.size:
        histogram = "".join(
            drawn.histogram(size, data.agent, name="Agent") for size in (charts.FULL, charts.NARROW_LOW)
        )
        parts.append(
            figure(
                "Returns of a bar",
                histogram,
                note="Bars by return; the outermost boxes hold what lies beyond. The line is a normal distribution.",
            )
        )
    if found:
        parts += [_numbers(found), _drawdowns(found)]
    return section("shape", "Shape of the returns", *parts) if found else ""


def _numbers(found: Mapping[str, Any]) -> str:
    inside = found.get("distribution") or {}
    pairs = [_pair("shape.distribution", inside, measure) for measure in _DISTRIBUTION]
    beside = found.get("relative") or {}
    if beside:
        pairs += [_pair("shape.relative", beside, measure) for measure in _RELATIVE]
    named = (
        f'<p class="soft">Alpha to information ratio: against {escape(name_of(str(beside["to"])).lower())}.</p>'
        if beside
        else ""
    )
    meanings = [
        (measure.label, escape(measure.meaning)) for measure in (*_DISTRIBUTION, *(_RELATIVE if beside else ()))
    ]
    how = f"<details><summary>How these are defined</summary>{tables.facts(meanings)}</details>"
    return tables.facts(pairs) + named + how


def _pair(at: str, values: Mapping[str, Any], measure: Measure) -> tuple[str, str]:
    return measure.label, measured(f"{at}.{measure.name}", values.get(measure.name), measure)


def _drawdowns(found: Mapping[str, Any]) -> str:
    depth = Measure("depth", "Depth", "percent", True, "")
    rows = []
    for i, one in enumerate(found.get("drawdowns") or ()):
        rows.append(
            [
                str(i + 1),
                measured(f"shape.drawdowns.{i}.depth", one.get("depth"), depth),
                escape(day(one.get("began"))),
                escape(day(one.get("bottom"))),
                escape(day(one["recovered"])) if one.get("recovered") else f"{DASH} not yet",
                number(finite(one.get("bars")) or 0, digits=0),
            ]
        )
    if not rows:
        return "<p>Equity never fell below its highest.</p>"
    head = ["", "Depth", "Highest equity", "Lowest", "Reached again", "Bars"]
    return f"<h3>The {len(rows)} worst drawdowns</h3>" + tables.table(head, rows, css="trades")
