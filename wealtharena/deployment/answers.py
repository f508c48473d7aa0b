"""From the service's requests to the manager's agents, and from their predictions to answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from wealtharena.deployment.schemas import Bar, Observation, PredictBody
from wealtharena.errors import CheckpointError
from wealtharena.prediction.agent import ServedAgent
from wealtharena.prediction.bars import BarTable
from wealtharena.prediction.cleaning import COLUMNS
from wealtharena.prediction.inputs import InputError, Portfolio
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.prediction.observations import Question, from_questions
from wealtharena.registry import history
from wealtharena.registry.gate import held

SIGNALS_SHOWN = 5
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def size(body: PredictBody) -> int:
    """Return the number of observations in a request."""
    return len(body.batch) if body.batch is not None else 1


def has_bars(body: PredictBody) -> bool:
    """Return whether any observation has to be computed from bars."""
    return body.bars is not None or any(item.bars is not None for item in body.batch or ())


def predict(
    manager: ProductionModelManager, served: ServedAgent, body: PredictBody, *, max_stale_bars: int | None
) -> dict[str, Any]:
    """Return the answer to a request, all of it from `served`; InputError names the field that can't be used."""
    answers = served.pointer.version
    if body.version not in (None, answers):
        raise InputError(
            "version", f"{answers} answers", hint="it has no use for another's `state`: leave that out once"
        )
    items: Sequence[PredictBody | Observation] = body.batch if body.batch is not None else (body,)
    fields = [f"batch.{i}." for i in range(len(items))] if body.batch is not None else [""]
    asked = [_question(item, at) for item, at in zip(items, fields, strict=True)]
    given = from_questions(served.policy, asked, fields=fields, max_stale_bars=max_stale_bars)
    return manager.answer(served, given).to_dict()


def _question(item: PredictBody | Observation, field: str) -> Question:
    held = item.portfolio
    return Question(
        bars=_table(item.bars, f"{field}bars") if item.bars is not None else None,
        features=item.features or (),
        portfolio=Portfolio(held.weights, held.cash, held.drawdown, held.leverage) if held is not None else None,
        state=item.state,
    )


def _table(bars: Sequence[Bar], field: str) -> BarTable:
    stamps, wall = np.empty((2, len(bars)), dtype=np.int64)
    for i, bar in enumerate(bars):
        moment = bar.timestamp if bar.timestamp.tzinfo is not None else bar.timestamp.replace(tzinfo=UTC)
        if not _EARLIEST <= moment <= _LATEST:
            raise InputError(f"{field}.{i}.timestamp", "lies outside 1970 to 2200")
        stamps[i] = _nanoseconds(moment - _EARLIEST)
        wall[i] = stamps[i] + _nanoseconds(moment.utcoffset() or timedelta())
    values = {name: np.array([_or_nan(getattr(bar, name)) for bar in bars]) for name in COLUMNS}
    symbols, zoned = np.array([bar.symbol for bar in bars]), all(bar.timestamp.tzinfo is not None for bar in bars)
    return BarTable(stamps=stamps, symbols=symbols, values=values, wall=wall, zoned=zoned)


def _nanoseconds(span: timedelta) -> int:
    return ((span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds) * 1_000


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def agent_list(manager: ProductionModelManager) -> dict[str, Any]:
    """Return the body of GET /agents."""
    rows = []
    for row in manager.list_agents():
        served = manager.serving(row["agent"])
        kept = {name: row[name] for name in ("agent", "asset", "production", "paper", "problem")}
        rows.append({**kept, "serving": serving(served) if served is not None else None})
    return {"agents": rows}


def serving(served: ServedAgent) -> dict[str, Any]:
    """Return what answers, as every answer names it."""
    pointer = served.pointer
    names = ("version", "stage", "verdict", "simulated", "since", "forced_reason")
    return {name: getattr(pointer, name) for name in names}


def reasons(manager: ProductionModelManager, served: ServedAgent) -> list[str]:
    """Return the reasons of the verdict that is served: first why the version's own is doubted, where it is."""
    meta = served.metadata
    try:
        doubt = history.doubted(history.read_history(manager.store.root, agent=meta.agent), meta.version)
    except CheckpointError as error:
        unread = f"its own verdict is doubted, and nobody can read why: {error.message}"
        doubt = None if served.pointer.verdict == meta.verdict.status else unread
    return list(held(meta, doubt).verdict.reasons)


def detail(manager: ProductionModelManager, served: ServedAgent) -> dict[str, Any]:
    """Return the body of GET /agents/{agent_id}."""
    meta, why = served.metadata, served.explanation
    holdings = [
        {
            "symbol": item.symbol,
            "weight": item.weight,
            "signals": [vars(signal) for signal in item.signals[:SIGNALS_SHOWN]],
        }
        for item in why.holdings
    ]
    return {
        "agent": meta.agent,
        "asset": meta.asset,
        "algo": meta.algo,
        "members": meta.members,
        "serving": serving(served),
        "symbols": meta.symbols,
        "features": meta.feature_names,
        "window": meta.window,
        "min_history_bars": meta.min_history_bars,
        "frequency": meta.frequency,
        "states": meta.states,
        "data": meta.data.model_dump(),
        "config_hash": meta.config_hash,
        "verdict_reasons": reasons(manager, served),
        "metrics": meta.metrics.get("test", {}),
        "baselines": meta.baselines,
        "comparison": meta.comparison,
        "recorded_at": meta.recorded_at,
        "holdings": holdings,
        "cash": why.cash,
    }
