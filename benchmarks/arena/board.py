"""From cells to a board: what of the oracle was learned, and what the anchor was beaten by, with what is luck.

Of m entrants the best of m worthless ones looks good. So each interval is at 1 - 0.05 / m (Bonferroni): that any of them
leaves out the true difference has a chance of 0.05 at most.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.arena.courses import Course
from benchmarks.arena.entries import Entrant
from wealtharena.evaluation.bootstrap import group_bootstrap
from wealtharena.evaluation.streams import named

FloatArray = npt.NDArray[np.float64]
LEVEL = 0.05  # chance that any interval of a course is wrong
DRAWS = 2000
Cells = Sequence[Mapping[str, Any]]


def build(cells: Cells, *, courses: Sequence[Course], entrants: Sequence[Entrant], note: str = "") -> dict[str, Any]:
    """Return the board as JSON types: `rows`, best first, and `courses`, each with the lines of its entrants.

    The order is by the mean share of the oracle on planted markets, the only place where what there is to learn is
    known; without any, by the mean difference to the anchor on recorded ones. Who failed where another played stands
    behind all who did not: the mean of what it chose to play is not theirs.
    """
    played = [cell for cell in cells if cell["status"] == "played"]
    others = [
        {k: cell.get(k) for k in ("course", "entrant", "seed", "status", "why")} for cell in cells if cell not in played
    ]
    count = len({cell["entrant"] for cell in played}) or 1
    lines = [
        line(course, entrant, [c for c in played if (c["course"], c["entrant"]) == (course.name, entrant.name)], count)
        for course in courses
        for entrant in entrants
    ]
    lines = [found for found in lines if found["seeds"]]
    rows = [overall(entrant, [found for found in lines if found["entrant"] == entrant.name]) for entrant in entrants]
    spots = {(cell["course"], cell["seed"]) for cell in played}
    for row in rows:
        failed = {(c["course"], c["seed"]) for c in others if c["entrant"] == row["entrant"]}
        row |= {"of": len(spots), "failed": len(failed & spots)}
    rows = sorted((row for row in rows if row["cells"]), key=_order, reverse=True)
    for row in rows:
        row["place"] = 1 + sum(_order(other) > _order(row) for other in rows)  # equals share one
    return {
        "schema_version": 1,
        "generated_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "entrants": count,
        "confidence": 1.0 - LEVEL / count,
        "rows": rows,
        "courses": [
            {
                "name": c.name,
                "words": c.words,
                "planted": c.planted,
                "lines": [x for x in lines if x["course"] == c.name],
            }
            for c in courses
        ],
        "not_played": others,
        "note": note,
    }


def line(course: Course, entrant: Entrant, cells: Cells, entrants: int) -> dict[str, Any]:
    """Return what came of one entrant on one course over its seeds."""
    found: dict[str, Any] = {
        "course": course.name,
        "planted": course.planted,
        "entrant": entrant.name,
        "seeds": sorted(cell["seed"] for cell in cells),
    }
    if not cells:
        return found
    sharpes = [float(cell["sharpe"]) for cell in cells]
    found |= {
        "sharpe": float(np.mean(sharpes)),
        "spread": float(np.subtract(*np.percentile(sharpes, [75, 25]))) if len(cells) > 1 else None,
        "anchor_sharpe": float(np.mean([cell["anchor_sharpe"] for cell in cells])),
        "turnover": float(np.mean([cell["turnover"] for cell in cells])),
        "exposure": float(np.mean([cell["exposure"] for cell in cells])),
        "seconds": float(np.mean([cell["training_seconds"] for cell in cells])),
        "degenerate": sorted({cell["degenerate"] for cell in cells if cell["degenerate"]}),
        "active_share": _mean([cell["active_share"] for cell in cells]),
        "kept_share": _mean([share for cell in cells for share in cell["kept_shares"]]),
        "dates": cells[0]["dates"],
        **(_of_planted if course.planted else _of_recorded)(cells, 1.0 - LEVEL / entrants),
    }
    return found


def _of_planted(cells: Cells, confidence: float) -> dict[str, Any]:
    """Return shares of the oracle, and the difference to the anchor with an interval over seeds: each met another market."""
    told = [cell["oracle_sharpe"] for cell in cells]
    shares = [c["sharpe"] / best for c, best in zip(cells, told, strict=True) if best is not None and best > 0.5]
    apart = np.array([cell["sharpe"] - cell["anchor_sharpe"] for cell in cells])
    half = math.nan
    if len(apart) > 1:
        half = float(stats.t.ppf(0.5 + confidence / 2, len(apart) - 1) * apart.std(ddof=1) / math.sqrt(len(apart)))
    known = math.isfinite(half)
    middle = float(apart.mean())
    return {
        "share": _mean(shares),
        "shares": shares,
        "difference": middle,
        "interval": [middle - half, middle + half] if known else None,
    }


def _of_recorded(cells: Cells, confidence: float) -> dict[str, Any]:
    """Return the difference to the anchor with its interval over bars and seeds, which share their bars."""
    returns = np.array([cell["returns"] for cell in cells])
    anchor = np.array(cells[0]["anchor_returns"])
    rng = named(np.random.default_rng(20_261_126), f"{cells[0]['course']} {cells[0]['entrant']}")
    year = float(cells[0]["bars_per_year"])
    found = group_bootstrap(returns, anchor, rng=rng, bars_per_year=year, draws=DRAWS, confidence=confidence)
    interval = [found.sharpe.low, found.sharpe.high]
    return {"share": None, "shares": [], "difference": found.sharpe.value, "interval": interval}


def overall(entrant: Entrant, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return an entrant's line over all courses; markets are taken as independent where intervals are put together."""
    recorded = [found for found in lines if not found["planted"]]
    shares = [found["share"] for found in lines if found["share"] is not None]
    halves = [(found["interval"][1] - found["interval"][0]) / 2 for found in recorded if found["interval"]]
    middle = _mean([found["difference"] for found in recorded])
    half = math.sqrt(sum(half**2 for half in halves)) / len(recorded) if halves else None
    sure = [found["interval"] for found in recorded if found["interval"]]
    return {
        "entrant": entrant.name,
        "words": entrant.words,
        "share": _mean(shares),
        "worst_share": min((s for found in lines for s in found["shares"]), default=None),
        "null_difference": _mean([found["difference"] for found in lines if found["course"] == "null"]),
        "difference": middle,
        "interval": [middle - half, middle + half] if middle is not None and half is not None else None,
        "ahead": sum(low > 0 for low, _ in sure),
        "behind": sum(high < 0 for _, high in sure),
        "recorded": len(recorded),
        "turnover": _mean([found["turnover"] for found in recorded or lines]),
        "spread": _mean([found["spread"] for found in recorded or lines if found["spread"] is not None]),
        "seconds": _mean([found["seconds"] for found in lines]),
        "active_share": _mean([found["active_share"] for found in recorded or lines]),
        "kept_share": _mean([found["kept_share"] for found in recorded or lines if found["kept_share"] is not None]),
        "degenerate": sum(bool(found["degenerate"]) for found in lines),
        "cells": sum(len(found["seeds"]) for found in lines),
        "courses": len(lines),
    }


def _order(row: Mapping[str, Any]) -> tuple[bool, bool, float, float]:
    share, difference = row["share"], row["difference"]
    return (
        not row["failed"],
        share is not None,
        share if share is not None else 0.0,
        difference if difference is not None else -math.inf,
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
