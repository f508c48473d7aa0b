"""What a policy decides on, from what callers have: bars or features, what is held, what is carried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wealtharena.envs.observation import account_width
from wealtharena.prediction.bars import BarTable, observe
from wealtharena.prediction.inputs import (
    Float32Array,
    InputError,
    Portfolio,
    as_float32,
    contradictions,
    features_row,
    finite_array,
    flat_portfolio,
    portfolio_rows,
    states_of,
)
from wealtharena.registry.inference import OnnxPolicy

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Observations:
    """Inputs of N decisions, as the graph takes them, and what was assumed on the way."""

    features: Float32Array  # [N, A, window, F] raw
    portfolio: Float32Array  # [N, A + 3]
    states: Mapping[str, Float32Array] | None  # [N, ...] by name; None: a fresh start
    flat_portfolio_assumed: Sequence[bool]
    as_of: Sequence[str | None]
    notes: Sequence[
        tuple[str, ...]
    ]  # what was done to the bars of each, and what in its portfolio does not fit together


@dataclass(frozen=True, eq=False)
class Question:
    """One decision to make: from recent `bars`, or from raw `features` [A][window][F].

    Without `portfolio` an empty one is assumed; without `state` a policy with memory begins afresh.
    """

    bars: BarTable | pd.DataFrame | None = None
    features: Sequence[Sequence[Sequence[float]]] = ()
    portfolio: Portfolio | Mapping[str, float] | Float32Array | None = None
    state: Mapping[str, Any] | None = None


def from_questions(
    policy: OnnxPolicy,
    questions: Sequence[Question],
    *,
    fields: Sequence[str] = ("",),
    max_stale_bars: int | None = None,
) -> Observations:
    """Return the inputs of the questions' decisions.

    `fields` is what stands before the name of each question's fields in an InputError, such as `batch.3.`. Bars may
    lack `max_stale_bars` at their end, any number where it is None.
    """
    rows = len(questions)
    features = np.empty((rows, *policy.feature_shape), dtype=np.float32)
    as_of: list[str | None] = [None] * rows
    notes: list[tuple[str, ...]] = [()] * rows
    for row, (asked, at) in enumerate(zip(questions, fields, strict=True)):
        if asked.bars is None:
            features[row] = features_row(policy, asked.features, field=f"{at}features")
            continue
        try:
            computed, as_of[row], notes[row] = observe(policy.metadata, asked.bars, max_stale_bars=max_stale_bars)
        except InputError as error:
            raise InputError(at + error.field, error.reason, hint=error.hint) from error
        features[row] = computed[0]
    held = flat_portfolio(policy, rows)
    for row, (asked, at) in enumerate(zip(questions, fields, strict=True)):
        if asked.portfolio is not None:
            held[row] = portfolio_rows(policy, asked.portfolio, 1, field=f"{at}portfolio")[0]
    notes = [(*of_bars, *of_portfolio) for of_bars, of_portfolio in zip(notes, contradictions(held), strict=True)]
    states = states_of(policy, [asked.state for asked in questions], [f"{at}state" for at in fields])
    return Observations(features, held, states, [asked.portfolio is None for asked in questions], as_of, notes)


def from_array(
    policy: OnnxPolicy, observation: object, portfolio: object | None, state: Mapping[str, Any] | None = None
) -> Observations:
    """Return the inputs of an observation array.

    [A, window, F] or [N, A, window, F] are raw features; [D] or [N, D] is what the environment shows its agent: scaled
    features and the portfolio, which then must not be given besides. `state` is of one decision, or [N, ...] by name.
    InputError names `observation`, `portfolio` or `state`.
    """
    array = as_float32(observation, "observation")
    if array.ndim in (1, 2):
        if portfolio is not None:
            raise InputError(
                "portfolio", "is part of a flat observation already", hint="leave it out, or pass features"
            )
        features, held = _from_flat(policy, finite_array(array, "observation").reshape(-1, array.shape[-1]))
        assumed = False
    else:
        features = _batch(policy, array)
        assumed = portfolio is None
        rows = len(features)
        held = flat_portfolio(policy, rows) if portfolio is None else portfolio_rows(policy, portfolio, rows)
    rows = len(features)
    states = states_of(policy, _by_row(state, rows), ["state"] * rows)
    return Observations(features, held, states, [assumed] * rows, [None] * rows, contradictions(held))


def _batch(policy: OnnxPolicy, array: Float32Array) -> Float32Array:
    shape = policy.feature_shape
    if array.shape[-3:] != shape or array.ndim > 4 or array.size == 0:
        raise InputError(
            "observation", f"has shape {list(array.shape)}, expected [symbols, window, features] = {list(shape)}"
        )
    if np.count_nonzero(np.isinf(array)):
        raise InputError("observation", "holds an infinite value", hint="NaN stands for a symbol that has no value")
    return np.ascontiguousarray(array.reshape(-1, *shape))


def _from_flat(policy: OnnxPolicy, flat: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return raw features and portfolio of the environment's own observations [N, D]."""
    assets, window, features = policy.feature_shape
    size = assets * window * features
    if flat.shape[1] != size + account_width(assets):
        raise InputError(
            "observation",
            f"has {flat.shape[1]} numbers, expected {size + account_width(assets)}",
            hint="as ObservationLayout lays them out",
        )
    scaled = flat[:, :size].reshape(-1, assets, window, features).astype(np.float64)
    raw = scaled * policy.scaling.std + policy.scaling.mean
    return raw.astype(np.float32), portfolio_rows(policy, flat[:, size:], len(flat), field="observation")


def _by_row(state: Mapping[str, Any] | None, rows: int) -> Sequence[Mapping[str, Any] | None]:
    """Return each decision's own state; the state of a single decision may come without the batch axis."""
    if state is None:
        return [None] * rows
    if rows == 1:
        return [state]
    for name, values in state.items():
        if np.ndim(values) == 0 or len(values) != rows:
            raise InputError(f"state.{name}", f"is not one of each of {rows} decisions")
    return [{name: values[row] for name, values in state.items()} for row in range(rows)]
