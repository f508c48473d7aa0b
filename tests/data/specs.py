"""Composition for tests, each set of overrides once: it is the slowest part of a quick test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from wealtharena import config
from wealtharena.config.specs.experiment import ExperimentSpec


@cache
def _composed(overrides: tuple[str, ...]) -> ExperimentSpec:
    return config.compose(overrides)


def compose(overrides: Sequence[str] = ()) -> ExperimentSpec:
    """Return the spec of the overrides; specs are frozen, so that tests can share them."""
    return _composed(tuple(overrides))


def with_data(spec: ExperimentSpec, **changes: Any) -> ExperimentSpec:
    """Return the spec with other values in its data part, without composing again."""
    return spec.model_copy(update={"data": spec.data.model_copy(update=changes)})
