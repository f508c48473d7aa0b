"""Composition for tests, each set of overrides once: it is the slowest part of a quick test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from wealtharena import config
from wealtharena.config.specs.experiment import ExperimentSpec


@cache
def _composed(overrides: tuple[str, ...]) -> ExperimentSpec:
    return config.compose(overrides)


def compose(overrides: Sequence[str] = ()) -> ExperimentSpec:
    """Return the spec of the overrides; specs are frozen, so that tests can share them."""
    return _composed(tuple(overrides))
