"""The jobs of a grid, composed before the first of them begins."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from wealtharena.config import plugins, unread
from wealtharena.config.composition import grid_name, groups
from wealtharena.config.hashing import config_hash
from wealtharena.config.parse import compose
from wealtharena.config.problems import UNREADABLE, composition_error
from wealtharena.config.spelling import key_of
from wealtharena.config.threads import usable_cores
from wealtharena.errors import ConfigError

MOST_VALUES = 10_000  # of one key: more are a slip of the pen, and Hydra would list them before it said a word
MOST_CHECKED = 200  # jobs; a larger grid is checked to here, and further by each job itself
_JOBLIB = "hydra/launcher=joblib"
_DISPATCHED = re.compile(r"all|(?=.*[1-9n])(?:[\d.+*/() -]|n_jobs)+")
# what joblib takes of the settings that it looks at no earlier than the jobs begin, or answers by running none
_OF_JOBLIB: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "n_jobs": (lambda value: value != 0, "a number of processes, or -1 for one a processor"),
    "batch_size": (lambda value: value == "auto" or _above_0(value), "auto, or a whole number above 0"),
    "pre_dispatch": (
        lambda value: _DISPATCHED.fullmatch(str(value)) is not None,
        "all, a number of jobs above 0, or one such as 2*n_jobs",
    ),
    "timeout": (lambda value: value is None or _above_0(value), "null, or a number above 0"),
    "max_nbytes": (
        lambda value: value is None or re.fullmatch(r"\d+(?:\.\d+)?[KMG]?", str(value)) is not None,
        "null, or a size such as 1M",
    ),
    "prefer": (lambda value: value in (None, "processes"), "processes: each job has one of its own"),
    "require": (lambda value: value is None, "null: each job has a process of its own"),
}
_OF_SWEEPER: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "hydra.sweeper.max_batch_size": (lambda value: value is None or _above_0(value), "null, or a whole number above 0"),
}


def check_launcher(argv: Sequence[str]) -> None:
    """Raise ConfigError for a setting of the joblib launcher, or of the sweeper, that it would stumble over once its folder is made."""
    known = {f"hydra.launcher.{name}": rule for name, rule in _OF_JOBLIB.items()} if _JOBLIB in argv else {}
    known |= _OF_SWEEPER
    for word in argv:
        key = key_of(word)
        if key not in known or word.startswith("~"):
            continue
        try:
            value = OverridesParser.create().parse_override(word).value()
        except HydraException:
            continue  # Hydra says it better
        takes, words = known[key]
        if not takes(value):
            raise ConfigError(f"{word} must be {words}", hint=f"leave {key} out")


def _above_0(value: object) -> bool:
    try:
        return float(str(value)) > 0
    except ValueError:
        return False


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
            unread.refuse(spec, job)
            if spec.task == "train" and spec.compute.name == "gpu":
                plugins.load("agents", "process").require_gpu(spec.compute)
        except ConfigError as error:
            raise ConfigError(f"the job {' '.join(job)}: {error.message}", hint=error.hint) from error
        if spec.task == "train":
            known.setdefault(spec.asset.agent, set()).add(config_hash(spec))
    chosen = any(len(hashes) > 1 for hashes in known.values())
    said = any(item.lstrip("+~").startswith("train.test=") for item in argv)
    return [*argv, "train.test=false"] if chosen and not said else list(argv)


def jobs_at_once() -> int:
    """Return how many jobs of the grid under way this machine plays at once; 1 outside of a parallel one."""
    if grid_name() is None:
        return 1
    most = OmegaConf.select(HydraConfig.get().launcher, "n_jobs", default=1)
    if most == 1:
        return 1
    typed = Path(HydraConfig.get().sweep.dir, "multirun.yaml")  # Hydra writes it before the first job
    if not typed.is_file():
        return 1
    words = OmegaConf.select(OmegaConf.load(typed), "hydra.overrides.task", default=[])
    jobs = math.prod(len(_values(item)) for item in OverridesParser.create().parse_overrides(list(words)))
    return max(1, min(jobs, usable_cores() if most < 0 else int(most)))


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
    if isinstance(value, RangeSweep) and value.step == 0:
        raise ConfigError(
            f"{override.input_line} goes on in steps of 0",
            hint=f"name another step, such as {override.get_key_element()}=range({value.start},{value.stop},1)",
        )
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
