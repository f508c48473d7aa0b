"""The jobs of a grid, composed before the first of them begins."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from wealtharena.config.parse import compose
from wealtharena.errors import ConfigError

MOST_CHECKED = 200  # jobs; a larger grid is checked to here, and further by each job itself


def check(argv: Sequence[str]) -> None:
    """Raise ConfigError where a job of the grid that `argv` asks for has a wrong configuration.

    Otherwise the jobs before it would be trained first.
    """
    for job in _jobs([item for item in argv if not item.startswith(("-", "hydra.", "hydra/"))])[:MOST_CHECKED]:
        try:
            compose(job)
        except ConfigError as error:
            raise ConfigError(f"the job {' '.join(job)}: {error.message}", hint=error.hint) from error


def _jobs(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the overrides of each job, one of those that differ in a whole number as seed only; none where Hydra cannot read them."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return []  # Hydra says it better
    axes = [[one for one in _values(item) if not _plain_seed(one)] for item in parsed]
    return list(itertools.product(*(axis for axis in axes if axis)))


def _values(override: Override) -> list[str]:
    if override.is_sweep_override() and override.is_discrete_sweep():
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    return [str(override.input_line)]


def _plain_seed(override: str) -> bool:
    key, _, value = override.partition("=")
    return key == "seed" and value.isdecimal()
