"""What is wrong with a configuration, in the words of the person who typed it."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from wealtharena.config.composition import defaults_for, groups, literal
from wealtharena.config.specs.base import RefusedBlocksError
from wealtharena.config.suggest import did_you_mean, nearest
from wealtharena.errors import ConfigError
from wealtharena.files import without_home

# Where a part of the spec stands in conf/, which is where a user set it.
_HOMES = (
    ("asset.universe", "universe"),
    ("env.reward", "reward"),
    ("env.costs", "asset.costs"),
    ("env.limits", "asset.limits"),
    ("env.instrument", "asset.instrument"),
)
_TYPES = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list, such as [a,b]",
    "dict_type": "a mapping, such as {a: 1}",
    "date_from_datetime_inexact": "a date, such as 2024-12-31",
    "date_from_datetime_parsing": "a date, such as 2024-12-31",
    "date_parsing": "a date, such as 2024-12-31",
    "date_type": "a date, such as 2024-12-31",
}


# what Hydra's and OmegaConf's own code stumbles over while it composes
UNREADABLE = (ValueError, TypeError, KeyError, yaml.YAMLError)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `text` says what; the way out is `hint`, or conf's own value of `key`."""

    key: str
    text: str
    value: Any = None
    unknown: bool = False
    hint: str = ""


def describe(
    error: ValidationError, model: type[BaseModel], *, prefix: str = "", skip: Sequence[str] = ()
) -> list[Problem]:
    """Return pydantic's complaints as problems, each once, in conf's keys."""
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        loc = tuple(str(part) for part in detail["loc"])
        if loc and loc[0] in skip:
            continue
        key = _home(prefix + ".".join(loc))
        inner = (detail.get("ctx") or {}).get("error")
        if isinstance(inner, RefusedBlocksError):
            for name, (spec, complaints) in inner.blocks.items():
                found |= {problem.key: problem for problem in describe(complaints, spec, prefix=f"{key}.{name}.")}
            continue
        found.setdefault(key, _problem(key, detail, _field(model, loc)))
    return list(found.values())


def problems_error(problems: Sequence[Problem], defaults: Mapping[str, Any]) -> ConfigError:
    """Return one ConfigError that carries every problem, one a line, each with a way out."""
    lines = [(problem.text, _way_out(problem, defaults)) for problem in problems]
    if len(lines) == 1:
        return ConfigError(lines[0][0], hint=lines[0][1])
    return ConfigError("\n".join(f"{text}; {hint}" if hint else text for text, hint in lines))


def composition_error(error: BaseException, overrides: Sequence[str]) -> ConfigError:
    """Return Hydra's complaint as a ConfigError with a way out."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_choice(error)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"cannot read the override {error.override!r}",
            hint="write key=value or group=choice; quote a value with spaces or commas twice: 'key=\"a, b\"'",
        )
    if isinstance(error, yaml.MarkedYAMLError):
        return _broken_yaml(error)
    if isinstance(error, KeyError):
        return ConfigError(
            f"there is no {error.args[0]!r}", hint="a variable named by hydra.job.env_copy has to be set"
        )
    text = str(error) or str(error.__cause__)
    if match := re.match(r"Could not append to config\. An item is already at '([^']+)'", text):
        return ConfigError(f"{match[1]} exists already", hint="leave out the +")
    if match := re.match(r"force-add of config groups is not supported: '\+\+([^']+)'", text):
        return ConfigError(f"{match[1].partition('=')[0]} is a group that is there", hint=f"write {match[1]}")
    if match := re.match(r"Error merging override (.+)", text):
        why = str(error.__cause__ or "it does not fit").splitlines()[0]
        return ConfigError(f"{match[1]}: {why}", hint=f"leave out {match[1]}, or look at the values with --cfg all")
    if match := re.search(r"Could not (?:override|delete from config\.|delete) '([^'@]+)", text):
        return _unknown_key(match[1].partition("=")[0], overrides)
    if match := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '([^']+)'", text):
        return ConfigError(
            f"{match[1]} lists several values", hint=f"for one job each: -m {match[1]}; for one list: key=[a,b]"
        )
    if text.startswith("Config group override must be"):
        return _no_group(overrides)
    if match := re.match(r"Multiple values for ([\w/]+)", text):
        return ConfigError(f"{match[1]} is chosen twice", hint="give each group once")
    if match := re.match(r"Override (\S+) looks like a config group", text):
        return _unknown_key(match[1].partition("@")[0], overrides)
    return ConfigError(
        " ".join(text.split()) or type(error).__name__, hint="see --help, or set HYDRA_FULL_ERROR=1 for all of it"
    )


def _broken_yaml(error: yaml.MarkedYAMLError) -> ConfigError:
    """Return what to say of a file of configuration that is no YAML: file, line and column, and what stands there."""
    mark = error.problem_mark or error.context_mark
    place = f"{without_home(mark.name)}, line {mark.line + 1}, column {mark.column + 1}" if mark else "a file"
    return ConfigError(
        f"{place} is no YAML: {error.problem or error.context}", hint="mend it; quote a value that begins with [ or {"
    )


def _no_choice(error: MissingConfigException) -> ConfigError:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    choices = [item for item in error.options or () if item not in groups()]
    if not group:
        return ConfigError(f"there is no configuration {choice!r}", hint="leave out --config-name")
    near = nearest(choice, choices)
    hint = f"did you mean {' or '.join(f'{group}={name}' for name in near)}? " if near else ""
    return ConfigError(f"{group}={choice} is not a choice", hint=f"{hint}choices: {', '.join(choices)}")


def _no_group(overrides: Sequence[str]) -> ConfigError:
    """Return what to say of a group whose choice is no name, such as algo=null or algo=[a,b]."""
    known = groups()
    for item in overrides:
        group, _, choice = item.partition("=")
        if group in known and choice not in known[group]:
            return ConfigError(f"{item} is not a choice", hint=f"choices: {', '.join(known[group])}")
    return ConfigError("a group is given something that is no choice", hint="see --help for the choices")


def _unknown_key(key: str, overrides: Sequence[str]) -> ConfigError:
    defaults = defaults_for(overrides)
    return ConfigError(f"unknown key {key}", hint=_similar(key, defaults))


def _similar(key: str, names: Iterable[str]) -> str:
    """Return what the key probably meant: a sibling, the same leaf elsewhere, a near path."""
    known = [name for name in [*names, *groups()] if name != key and not name.startswith(f"{key}.")]
    parent, _, leaf = key.rpartition(".")
    siblings = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == parent}
    near = [siblings[name] for name in nearest(leaf, siblings)]
    near = near or [name for name in known if name.rpartition(".")[2] == leaf][:2] or nearest(key, known)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return did_you_mean(leaf, siblings, fallback="look at the keys with --cfg job")


def _problem(key: str, detail: Any, field: FieldInfo | None) -> Problem:
    kind, value = detail["type"], detail["input"]
    said = f"{key}={literal(value)}"
    if kind == "extra_forbidden":
        return Problem(key, f"unknown key {key}", unknown=True)
    if kind == "missing":
        return Problem(key, f"{key} is missing", hint=f"set {key}=...")
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        near = nearest(str(value), choices)
        return Problem(
            key, f"{said} must be one of {', '.join(choices)}", value, hint=f"try {key}={near[0]}" if near else ""
        )
    if kind in ("model_type", "model_attributes_type"):
        return Problem(key, f"{said} stands for several keys", hint=f"set one of them, as {key}.<name>=<value>")
    if kind in _TYPES:
        return Problem(key, f"{said} must be {_TYPES[kind]}", value, hint=_as_text(key, value, kind))
    if kind.startswith(("greater_than", "less_than")):
        return Problem(key, f"{said} must be {_range(field, detail)}", value)
    message = detail["msg"].removeprefix("Value error, ")
    return Problem(key, f"{said}: {message[:1].lower()}{message[1:]}", value)


def _as_text(key: str, value: Any, kind: str) -> str:
    """Return how to write what YAML took for a number or a truth value: a date of digits, a symbol such as 600519."""
    digits = str(value)
    if kind.startswith("date") and len(digits) == 8 and digits.isdigit():
        return f"try {key}={digits[:4]}-{digits[4:6]}-{digits[6:]}"
    parent, _, place = key.rpartition(".")
    if kind != "string_type" or not place.isdigit() or isinstance(value, list | dict):
        return ""
    word = isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value))
    written = literal(value).upper() if word else literal(value)  # TRUE and NAN, as symbols are written
    return f"put it in quotes of its own, as in '{parent}=[\"{written}\"]'"


def _range(field: FieldInfo | None, detail: Any) -> str:
    bounds = dict(detail.get("ctx") or {})
    for item in field.metadata if field else ():
        bounds |= {
            name: getattr(item, name) for name in ("gt", "ge", "lt", "le") if getattr(item, name, None) is not None
        }
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is not None and high is not None:
        out = [literal(bounds[name]) for name in ("gt", "lt") if name in bounds and detail["input"] == bounds[name]]
        return f"between {literal(low)} and {literal(high)}" + (f", {out[0]} excluded" if out else "")
    if low is not None:
        return f"at least {literal(low)}" if "ge" in bounds else f"above {literal(low)}"
    return f"at most {literal(high)}" if "le" in bounds else f"below {literal(high)}"


def _way_out(problem: Problem, defaults: Mapping[str, Any]) -> str:
    if problem.hint:
        return problem.hint
    if problem.unknown:
        return _similar(problem.key, defaults)
    parent, _, last = problem.key.rpartition(".")
    key = parent if last.isdecimal() else problem.key  # of an element of a list the list is what one types
    default = defaults.get(key, problem.value)
    return f"leave {key} out" if default == problem.value else f"try {key}={literal(default)}"


def _home(key: str) -> str:
    for inside, home in _HOMES:
        if key == inside or key.startswith(f"{inside}."):
            return home + key[len(inside) :]
    return key


def _field(model: type[BaseModel], loc: Sequence[str]) -> FieldInfo | None:
    """Return the field that a location names, through nested models; None inside lists and mappings."""
    field: FieldInfo | None = None
    current: type[BaseModel] | None = model
    for part in loc:
        if current is None:
            return None
        field = current.model_fields.get(part)
        current = _model_of(field.annotation) if field else None
    return field


def _model_of(annotation: Any) -> type[BaseModel] | None:
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((item for item in options if isinstance(item, type) and issubclass(item, BaseModel)), None)
