"""From the service's requests to the manager's agents, and from their predictions to answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.deployment.bars import COLUMNS, BarTable, observe
from wealtharena.deployment.inputs import InputError, Portfolio, flat_portfolio, portfolio_rows
from wealtharena.deployment.manager import ProductionModelManager, ServedAgent
from wealtharena.deployment.schemas import Bar, Observation, PredictBody
from wealtharena.registry.inference import OnnxPolicy

Float32Array = npt.NDArray[np.float32]
SIGNALS_SHOWN = 5
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def size(body: PredictBody) -> int:
    """Return the number of observations in a request."""
    return len(body.batch) if body.batch is not None else 1


def has_bars(body: PredictBody) -> bool:
    """Return whether any observation has to be computed from bars."""
    return body.bars is not None or any(item.bars is not None for item in body.batch or ())


def predict(served: ServedAgent, body: PredictBody, *, max_stale_bars: int | None) -> dict[str, Any]:
    """Return the answer to a request, all of it from `served`; InputError names the field that can't be used."""
    items: Sequence[PredictBody | Observation] = body.batch if body.batch is not None else (body,)
    fields = [f"batch.{i}." for i in range(len(items))] if body.batch is not None else [""]
    policy = served.policy
    features, as_of = _features(policy, items, fields, max_stale_bars)
    held = flat_portfolio(policy, len(items))
    for row, (item, at) in enumerate(zip(items, fields, strict=True)):
        if item.portfolio is not None:
            held[row] = portfolio_rows(policy, Portfolio(**item.portfolio.model_dump()), 1, field=f"{at}portfolio")[0]
    states = _states(policy, items, fields)
    found = policy.act(features, held, states)
    cash = (1.0 - found.weights.sum(axis=1)).tolist()
    carried = {name: value.reshape(len(items), -1).tolist() for name, value in found.states.items()}
    spread = [None] * len(items) if found.spread is None else found.spread.tolist()
    symbols = policy.metadata.symbols
    pointer = served.pointer
    return {
        "agent": pointer.agent,
        "version": pointer.version,
        "stage": pointer.stage,
        "verdict": pointer.verdict,
        "simulated": policy.metadata.simulated,
        "predictions": [
            {
                "weights": dict(zip(symbols, row, strict=True)),
                "cash": cash[i],
                "spread": spread[i],
                "flat_portfolio_assumed": items[i].portfolio is None,
                "as_of": as_of[i],
                "state": {name: value[i] for name, value in carried.items()},
            }
            for i, row in enumerate(found.weights.tolist())
        ],
    }


def _features(
    policy: OnnxPolicy, items: Sequence[PredictBody | Observation], fields: Sequence[str], max_stale_bars: int | None
) -> tuple[Float32Array, list[str | None]]:
    rows = np.empty((len(items), *policy.feature_shape), dtype=np.float32)
    as_of: list[str | None] = [None] * len(items)
    for row, (item, at) in enumerate(zip(items, fields, strict=True)):
        if item.bars is not None:
            try:
                computed, as_of[row] = observe(policy.metadata, _table(item.bars), max_stale_bars=max_stale_bars)
            except InputError as error:
                raise InputError(at + error.field, error.reason, hint=error.hint) from error
            rows[row] = computed[0]
        else:
            rows[row] = _array(policy, item.features or [], f"{at}features")
    return rows, as_of


def _array(policy: OnnxPolicy, values: list[list[list[float]]], field: str) -> Float32Array:
    """Return features [A, window, F]; InputError names the first part of another length, and what is too large."""
    assets, window, features = policy.feature_shape
    if len(values) != assets:
        raise InputError(
            field,
            f"has {len(values)} symbols, expected {assets}",
            hint=f"in this order: {', '.join(policy.metadata.symbols)}",
        )
    for i, bars in enumerate(values):
        if len(bars) != window:
            raise InputError(f"{field}.{i}", f"has {len(bars)} bars, expected {window}", hint="oldest first")
        for j, numbers in enumerate(bars):
            if len(numbers) != features:
                raise InputError(
                    f"{field}.{i}.{j}",
                    f"has {len(numbers)} features, expected {features}",
                    hint="GET /agents/{id} names them",
                )
    array = np.array(values, dtype=np.float64)
    if array.size and np.abs(array).max() > 1e30:
        raise InputError(field, "holds a number beyond 1e30")
    return array.astype(np.float32)


def _table(bars: Sequence[Bar]) -> BarTable:
    stamps = np.empty(len(bars), dtype=np.int64)
    for i, bar in enumerate(bars):
        moment = bar.timestamp if bar.timestamp.tzinfo is not None else bar.timestamp.replace(tzinfo=UTC)
        if not _EARLIEST <= moment <= _LATEST:
            raise InputError(f"bars.{i}.timestamp", "lies outside 1970 to 2200")
        elapsed = moment - _EARLIEST
        stamps[i] = ((elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds) * 1_000
    values = {name: np.array([_or_nan(getattr(bar, name)) for bar in bars]) for name in COLUMNS}
    return BarTable(stamps=stamps, symbols=np.array([bar.symbol for bar in bars]), values=values)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _states(
    policy: OnnxPolicy, items: Sequence[PredictBody | Observation], fields: Sequence[str]
) -> dict[str, Float32Array] | None:
    """Return the carried states of a batch; an observation without one begins afresh."""
    if not any(item.state for item in items):
        return None
    states = policy.start_states(len(items))
    for row, (item, at) in enumerate(zip(items, fields, strict=True)):
        given = item.state or {}
        for name in (*given, *(states if given else ())):
            if name not in states:
                raise InputError(
                    f"{at}state.{name}", "unknown state", hint=f"the agent carries {', '.join(states) or 'none'}"
                )
            if name not in given:
                raise InputError(f"{at}state.{name}", "is missing", hint="hand back the state of the last answer")
            target = states[name][row]
            if len(given[name]) != target.size:
                raise InputError(f"{at}state.{name}", f"has {len(given[name])} numbers, expected {target.size}")
            if max(map(abs, given[name]), default=0.0) > 1e30:
                raise InputError(f"{at}state.{name}", "holds a number beyond 1e30")
            target[...] = np.array(given[name], dtype=np.float32).reshape(target.shape)
    return states


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


def detail(served: ServedAgent) -> dict[str, Any]:
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
        "verdict_reasons": meta.verdict.reasons,
        "metrics": meta.metrics.get("test", {}),
        "baselines": meta.baselines,
        "comparison": meta.comparison,
        "recorded_at": meta.recorded_at,
        "holdings": holdings,
        "cash": why.cash,
    }
