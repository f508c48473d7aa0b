"""The jobs of a grid, composed before the first of them begins."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException

from wealtharena.config import plugins
from wealtharena.config.composition import groups
from wealtharena.config.hashing import config_hash
from wealtharena.config.parse import compose
from wealtharena.config.problems import UNREADABLE, composition_error
from wealtharena.errors import ConfigError

MOST_VALUES = 10_000  # of one key: more are a slip of the pen, and Hydra would list them before it said a word
MOST_CHECKED = 200  # jobs; a larger grid is checked to here, and further by each job itself


def check(argv: Sequence[str]) -> list[str]:
    """Return the arguments of a grid whose jobs are all well configured, with `train.test=false` where they are a choice.

    Several configurations of one agent are a choice among them: if each opened the test window, the best would have been
    chosen on it. Whoever types `train.test=true` has it so. Raises ConfigError where a job is wrong, or asks for a GPU that
    is not there: otherwise those before it would be trained first.
    """
    known: dict[str, set[str]] = {}
    jobs = _jobs([item for item in argv if not item.lstrip("+~").startswith(("-", "hydra.", "hydra/"))])
    for job in itertools.islice(jobs, MOST_CHECKED):
        try:
            spec = compose(job)
            if spec.task == "train" and spec.compute.name == "gpu":
                plugins.load("agents", "process").require_gpu(spec.compute)
        except ConfigError as error:
            raise ConfigError(f"the job {' '.join(job)}: {error.message}", hint=error.hint) from error
        if spec.task == "train":
            known.setdefault(spec.asset.agent, set()).add(config_hash(spec))
    chosen = any(len(hashes) > 1 for hashes in known.values())
    said = any(item.lstrip("+~").startswith("train.test=") for item in argv)
    return [*argv, "train.test=false"] if chosen and not said else list(argv)


def _jobs(overrides: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """Return the overrides of each job, one of those that differ in a whole number as seed only; none where Hydra cannot read them.

    ConfigError where there is none: a range or a pattern that nothing is in.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return []  # Hydra says it better
    values = [_values(item) for item in parsed]
    for item, found in zip(parsed, values, strict=True):
        if not found:
            raise ConfigError(f"{item.input_line} names no value: the grid has no job", hint="name one at least")
    axes = [[one for one in axis if not _plain_seed(one)] for axis in values]
    return itertools.product(*(axis for axis in axes if axis))


def _values(override: Override) -> list[str]:
    value: object = override.value()
    if isinstance(value, Glob):
        return [
            f"{override.get_key_element()}={name}" for name in value.filter([*groups().get(override.key_or_group, ())])
        ]
    if override.is_sweep_override() and override.is_discrete_sweep():
        try:
            found = list(itertools.islice(override.sweep_string_iterator(), MOST_VALUES + 1))
        except UNREADABLE as error:
            raise composition_error(error, [str(override.input_line)]) from error
        if len(found) > MOST_VALUES:
            raise ConfigError(
                f"{override.input_line} names more than {MOST_VALUES:,} values", hint="a grid runs one job for each"
            )
        return [f"{override.get_key_element()}={value}" for value in found]
    return [str(override.input_line)]


def _plain_seed(override: str) -> bool:
    key, _, value = override.partition("=")
    return key == "seed" and value.isdecimal()
