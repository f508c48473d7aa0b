"""From the judgement of a test to what a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wealtharena.reporting.band import equity_band
from wealtharena.reporting.data import AuditRow, ReportData, SeedRow, StressRow
from wealtharena.reporting.words import finite
from wealtharena.shown import without_places

if TYPE_CHECKING:
    from wealtharena.evaluation.evaluate import Evaluation


def from_evaluation(
    run: Mapping[str, Any],
    evaluation: Evaluation,
    *,
    rng: np.random.Generator,
    journal: Sequence[Mapping[str, Any]] = (),
    seeds: Sequence[int] = (),
    run_ids: Sequence[str] = (),
    audit: Sequence[AuditRow] = (),
    notes: Sequence[str] | None = None,
    config: str = "",
    currency: str = "",
) -> ReportData:
    """Return the report of `evaluation`, whose figures stand in `run`, the content of run.json.

    `rng` draws the band around the equity. `seeds` and `run_ids` name the evaluation's agents where there are several;
    several agents without `seeds` are the paths of a combinatorial split.
    `notes` are run.json's own unless given. How often the test window was opened, and how many configurations were
    tried on it, is taken from the verdict's evidence.
    """
    evidence = evaluation.verdict.evidence
    return ReportData(
        run=run,
        agent=evaluation.agent,
        baselines=tuple(evaluation.baselines.values()),
        band=equity_band(evaluation.agent, rng=rng),
        journal=journal,
        stress=tuple(StressRow(r.name, known(r.metrics), known(r.baseline), r.note) for r in evaluation.stress),
        seeds=tuple(
            SeedRow(
                seeds[i] if i < len(seeds) else i,
                known(figures),
                run_ids[i] if i < len(run_ids) else "",
            )
            for i, figures in enumerate(evaluation.agent_metrics)
        ),
        several="seed" if seeds else "path",
        audit=audit,
        elsewhere=evidence.elsewhere,
        test_openings=evidence.openings,
        configurations_tried=evidence.configurations,
        results_beside=len(evidence.left_out) + evidence.lacking,
        notes=tuple(run.get("notes") or ()) if notes is None else tuple(notes),
        beside=evidence.beats,
        config=without_places(config),  # a report is shown to others
        currency=currency,
        risk_free=evaluation.risk_free,
    )


def known(figures: Mapping[str, Any]) -> dict[str, float | None]:
    """Return measures with None for what is not a finite number."""
    return {name: finite(value) for name, value in figures.items()}
