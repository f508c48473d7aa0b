"""Search spaces: drawn define-by-run, checked whole before the first trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.sweep import DimensionSpec, SweepSpec
from wealtharena.config.spelling import key_of
from wealtharena.config.unread import told as told_of
from wealtharena.errors import ConfigError

if TYPE_CHECKING:
    import optuna

Compose = Callable[[Sequence[str]], ExperimentSpec]
_COMPARED_ON: Final = {  # what all trials have in common -> why, and what to do instead
    "split": ("trials are scored on one validation window, and the winner is tested on one test window", "type it"),
    "data.end": ("trials are scored on one validation window", "type it"),
    "data.interval": ("trials are set against each other bar by bar", "type it"),
    **dict.fromkeys(
        ("asset.costs", "asset.instrument", "asset.account_currency", "asset.risk_free_bps_per_year", "env.fill"),
        ("whoever is charged least, or paid, would win", "type it"),
    ),
    "evaluation": ("it judges the winner, and no trial", "type it"),
    "seed": ("finalists are trained again with fresh seeds, whatever a trial drew", "use sweep.seeds_per_trial"),
}


def draw(trial: optuna.Trial, space: Mapping[str, DimensionSpec]) -> dict[str, Any]:
    """Return one value a dimension, in the order of the space; a dimension whose `when` does not hold is left out."""
    values: dict[str, Any] = {}
    for key, dimension in space.items():
        if not _applies(dimension, values):
            continue
        if dimension.type == "categorical":
            values[key] = trial.suggest_categorical(key, list(dimension.choices or ()))
        elif dimension.type == "int":
            low, high = _bounds(key, dimension)
            values[key] = trial.suggest_int(key, int(low), int(high), step=int(dimension.step or 1), log=dimension.log)
        else:
            low, high = _bounds(key, dimension)
            values[key] = trial.suggest_float(key, low, high, step=dimension.step, log=dimension.log)
    return values


def overrides(values: Mapping[str, Any]) -> list[str]:
    """Return the values as Hydra overrides, quoted where Hydra's grammar asks for it."""
    return [f"{key}={_literal(value)}" for key, value in values.items()]


def check(sweep: SweepSpec, base: Sequence[str], compose: Compose) -> None:
    """Compose every end and every choice of the space once; raises ConfigError that names the dimension at fault.

    Finds before the first trial: an unknown key, a key that the algorithm lacks, an empty or reversed range, a value
    that the spec refuses, a condition on something that is not searched before.
    """
    if not sweep.space:
        raise ConfigError(f"sweep={sweep.name} has an empty space", hint="name at least one override under `space:`")
    seen: list[str] = []
    for key, dimension in sweep.space.items():
        _check_shape(key, dimension, seen)
        seen.append(key)
    open_ends = {
        (key, place): value
        for key, dimension in sweep.space.items()
        for place, value in enumerate(_ends(key, dimension))
    }
    for values, covered in _rounds(sweep.space):
        if _composes([*base, *overrides(values)], compose):
            for end in covered:
                open_ends.pop(end, None)
    for (key, _), value in open_ends.items():  # one by one, to name the one at fault
        chosen = {name: allowed[0] for name, allowed in (sweep.space[key].when or {}).items()}
        try:
            compose([*base, *overrides({**chosen, key: value})])
        except ConfigError as error:
            raise ConfigError(
                f"sweep.space.{key}={value!r} cannot be composed: {error.message}", hint=error.hint
            ) from error


def alike(plain: ExperimentSpec, compose: Compose) -> Compose:
    """Return a `compose` for `check` that refuses what differs from `plain` in what all trials have in common.

    A choice of a group brings such keys along: `experiment` costs and rules, `asset` all that there is of them.
    """

    def composed(words: Sequence[str]) -> ExperimentSpec:
        found = compose(words)
        for name, (why, way_out) in _COMPARED_ON.items():
            if _at(found, name) != _at(plain, name):
                raise ConfigError(f"it changes {name}, and {why}", hint=f"{way_out}, outside the space")
        return found

    return composed


def _at(spec: ExperimentSpec, name: str) -> object:
    found: object = spec
    for part in name.split("."):
        found = getattr(found, part)
    return found


def unread(sweep: SweepSpec, base: Sequence[str], compose: Compose) -> list[str]:
    """Return a line for each dimension, and each word of `sweep.fixed`, that no trial reads, whatever else it draws."""
    silent: dict[str, str] = {}
    for values, _ in _rounds(sweep.space):
        try:
            spec = compose([*base, *overrides(values)])
        except ConfigError:  # its values do not go together; `check` has tried them one by one
            continue
        for word in (*sweep.fixed, *overrides(values)):
            key, told = key_of(word), told_of(spec, [word])
            silent[key] = silent.get(key, told[0].partition(": ")[2]) if told else ""
    return [
        f"sweep.{'space.' if key in sweep.space else 'fixed: '}{key} has no effect: {why}"
        for key, why in silent.items()
        if why
    ]


def _rounds(space: Mapping[str, DimensionSpec]) -> Iterator[tuple[dict[str, Any], list[tuple[str, int]]]]:
    """Yield values that put many ends to the test at once, with the ends that they cover: composing takes a while."""
    longest = max(len(_ends(key, dimension)) for key, dimension in space.items())
    for place in range(longest):
        values: dict[str, Any] = {}
        covered = []
        for key, dimension in space.items():
            ends = _ends(key, dimension)
            if _applies(dimension, values):
                values[key] = ends[min(place, len(ends) - 1)]
                covered.append((key, min(place, len(ends) - 1)))
        yield values, covered


def _composes(items: Sequence[str], compose: Compose) -> bool:
    try:
        compose(items)
    except ConfigError:
        return False
    return True


def _applies(dimension: DimensionSpec, values: Mapping[str, Any]) -> bool:
    return all(values.get(name) in allowed for name, allowed in (dimension.when or {}).items())


def _bounds(key: str, dimension: DimensionSpec) -> tuple[float, float]:
    if dimension.low is None or dimension.high is None:
        raise ConfigError(
            f"sweep.space.{key} needs low and high", hint=f"write {{type: {dimension.type}, low: ..., high: ...}}"
        )
    return dimension.low, dimension.high


def _check_shape(key: str, dimension: DimensionSpec, seen: Sequence[str]) -> None:
    for name, (why, way_out) in _COMPARED_ON.items():
        if key == name or key.startswith(f"{name}."):
            raise ConfigError(f"sweep.space.{key} cannot be searched: {why}", hint=f"{way_out}, outside the space")
    for name in dimension.when or {}:
        if name not in seen:
            raise ConfigError(
                f"sweep.space.{key} depends on {name}, which is not searched before it",
                hint=f"put {name} above {key} in the space, or drop `when`",
            )
    if dimension.type == "categorical":
        if not dimension.choices:
            raise ConfigError(f"sweep.space.{key} has no choices", hint="give at least one under `choices:`")
        return
    low, high = _bounds(key, dimension)
    if low > high:
        raise ConfigError(f"sweep.space.{key} is empty: low={low:g} is above high={high:g}", hint="exchange the two")
    if dimension.log and low <= 0:
        raise ConfigError(f"sweep.space.{key} is logarithmic from low={low:g}", hint="low must be above 0, or drop log")
    if dimension.log and dimension.step is not None:
        raise ConfigError(f"sweep.space.{key} has both log and step", hint="Optuna takes one of them")
    if dimension.type == "int" and not (float(low).is_integer() and float(high).is_integer()):
        raise ConfigError(
            f"sweep.space.{key} is of integers but runs from {low:g} to {high:g}", hint="use whole numbers"
        )


def _ends(key: str, dimension: DimensionSpec) -> list[Any]:
    if dimension.type == "categorical":
        return list(dimension.choices or ())
    low, high = _bounds(key, dimension)
    return [int(low), int(high)] if dimension.type == "int" else [low, high]


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{value} cannot be an override", hint="use a finite number")
        return repr(float(f"{value:.6g}"))  # six digits say all that a search knows, and can be read
    if isinstance(value, list | tuple):
        return "[" + ",".join(_literal(item) for item in value) + "]"
    if isinstance(value, str) and not value.replace("_", "").replace("-", "").replace(".", "").isalnum():
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)
