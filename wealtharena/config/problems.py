"""What is wrong with a configuration, in the words of the person who typed it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from wealtharena.config.composition import PRIMARY, defaults_for, groups, literal
from wealtharena.config.homes import field_of, home
from wealtharena.config.paths import own_config_dirs
from wealtharena.config.preset_files import no_preset
from wealtharena.config.specs.base import InWords, RefusedBlocksError
from wealtharena.config.spelling import key_of
from wealtharena.config.suggest import as_day, nearest
from wealtharena.config.unknown import name_of_another, unknown_key, way_out
from wealtharena.config.words import ALONE, unread_word
from wealtharena.errors import ConfigError
from wealtharena.shown import some, without_home

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

_SIZES = {
    "too_short": ("at least", "entry"),
    "too_long": ("at most", "entry"),
    "string_too_short": ("at least", "letter"),
    "string_too_long": ("at most", "letter"),
}

_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(,\d{3})+")

PRESETS: Final = ("experiment", "debug", "zoo")  # groups of which each choice may set any key

# what Hydra's and OmegaConf's own code stumbles over while it composes
UNREADABLE = (ValueError, TypeError, KeyError, AssertionError, RecursionError, yaml.YAMLError)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `text` says what; the way out is `hint`, or conf's own value of `key`."""

    key: str
    text: str
    value: Any = None
    unknown: bool = False
    missing: bool = False
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
        key = home((prefix + ".".join(loc)).rstrip("."))
        inner = (detail.get("ctx") or {}).get("error")
        if isinstance(inner, RefusedBlocksError):
            for name, (spec, complaints) in inner.blocks.items():
                told = map(_of_block, describe(complaints, spec, prefix=f"{key}.{name}."))
                found |= {problem.key: problem for problem in told}
            continue
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # some of them could not be read, and each of those is told of
        found.setdefault(key, _problem(key, detail, field_of(model, loc)))
    return list(found.values())


def _of_block(problem: Problem) -> Problem:
    """Return the problem with a way out that needs no value of conf's, which has none of such a block."""
    said = problem.hint or problem.unknown or problem.missing
    return problem if said else replace(problem, hint=f"give {problem.key} another value")


def problems_error(problems: Sequence[Problem], overrides: Sequence[str]) -> ConfigError:
    """Return one ConfigError that carries every problem of what was typed, one a line, each with a way out."""
    defaults = defaults_for(overrides)
    told = _by_own_file(_by_preset(_by_choice(problems, overrides), overrides), overrides, defaults)
    told = [_as_typed(problem, overrides) for problem in told]
    lines = [(problem.text, _way_out(problem, overrides, defaults)) for problem in told]
    if len(lines) == 1:
        return ConfigError(lines[0][0], hint=lines[0][1])
    return ConfigError("\n".join(f"{text}; {hint}" if hint else text for text, hint in lines))


def _by_choice(problems: Sequence[Problem], overrides: Sequence[str]) -> list[Problem]:
    """Return the problems, those of a group whose `name` was set to another of its choices as one."""
    told = list(problems)
    for word, group, choice in name_of_another(overrides):
        block = f"{group.replace('/', '.')}."
        rest = [one for one in told if not ((one.unknown or one.missing) and one.key.startswith(block))]
        if len(rest) < len(told):
            text = f"{word} names another choice without the settings that go with it"
            told = [Problem(f"{block}name", text, hint=f"write {group}={choice}"), *rest]
    return told


def _by_preset(problems: Sequence[Problem], overrides: Sequence[str]) -> list[Problem]:
    """Return the problems, those of keys that a preset sets and another choice of their group lacks as one.

    Nobody typed them: what was typed are the preset and the choice, which do not go together.
    """
    told = list(problems)
    presets = [word for word in overrides if key_of(word) in PRESETS]
    for word in overrides:
        group, choice = key_of(word), word.partition("=")[2]
        if not presets or group in PRESETS or choice not in groups().get(group, ()):
            continue
        block = f"{group.replace('/', '.')}."
        typed = {key_of(item) for item in overrides}
        set_there = [one for one in told if one.unknown and one.key.startswith(block) and one.key not in typed]
        if set_there:
            names = ", ".join(one.key for one in set_there)
            text = f"{' '.join(presets)} sets {names}, which {word} does not have"
            rest = [one for one in told if one not in set_there]
            told = [Problem(block[:-1], text, hint=f"leave out {word}, or {' and '.join(presets)}"), *rest]
    return told


def _as_typed(problem: Problem, overrides: Sequence[str]) -> Problem:
    """Return the problem of an entry that is no text with the word that stands for it: of 1E5 and TRUE only a value is left."""
    parent, _, place = problem.key.rpartition(".")
    if place == "[key]":  # of a mapping, such as one by symbols
        return replace(problem, hint="put it in quotes, as in '{\"600519\": ...}'")
    lists = [word.partition("=")[2] for word in overrides if key_of(word) == parent]
    entries = lists[-1].strip("[] ").split(",") if lists else []
    if not place.isdecimal() or not problem.text.endswith("must be text") or int(place) >= len(entries):
        return problem
    word = entries[int(place)].strip()
    word = word.upper() if word.isalpha() else word  # TRUE and NAN, as symbols are written
    if not ALONE.fullmatch(word):
        return problem
    hint = f"put it in quotes of its own, as in '{parent}=[\"{word}\"]'"
    return replace(problem, text=f"{problem.key}={word} must be text", hint=hint)


def _by_own_file(problems: Sequence[Problem], overrides: Sequence[str], defaults: Mapping[str, Any]) -> list[Problem]:
    """Return the problems, what a file of a person's own leaves out of its group as one: it begins with none of ours."""
    told = list(problems)
    for word in overrides:
        group, choice = key_of(word), word.partition("=")[2]
        block = f"{group.replace('/', '.')}."
        lacking = [one for one in told if one.missing and one.key.startswith(block)]
        if not lacking or not any((folder / group / f"{choice}.yaml").is_file() for folder in own_config_dirs()):
            continue
        ours = defaults.get(f"{block}name", defaults.get(f"{block}source", min(groups()[group])))
        text = f"{word}: {group}/{choice}.yaml lacks {some([one.key for one in lacking], 3)}"
        hint = f"begin it with `defaults: [{ours}]`, or another choice of {group}, and say only what differs"
        told = [Problem(block[:-1], text, hint=hint), *(one for one in told if one not in lacking)]
    return told


def composition_error(error: BaseException, overrides: Sequence[str]) -> ConfigError:
    """Return Hydra's complaint as a ConfigError with a way out."""
    if nameless := [item for item in overrides if not key_of(item)]:
        return ConfigError(f"{nameless[0]} sets no key", hint="write key=value or group=choice")
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_choice(error, overrides)
    if isinstance(error, OverrideParseException):
        return unread_word(error.override)
    if isinstance(error, yaml.MarkedYAMLError):
        return _broken_yaml(error)
    if isinstance(error, RecursionError):
        return ConfigError("files of configuration choose one another in a circle", hint="look at their `defaults`")
    if isinstance(error, KeyError):
        hint = "a variable named by hydra.job.env_copy has to be set, and COMP_LINE for a question of a shell"
        return ConfigError(f"there is no {error.args[0]!r}", hint=hint)
    text = str(error) or str(error.__cause__ or "")
    if match := re.match(r"Could not append to config\. An item is already at '([^']+)'", text):
        return ConfigError(f"{match[1]} exists already", hint="leave out the +")
    for item in overrides:
        group, value = key_of(item).partition("@")[0], item.partition("=")[2]
        if item.startswith("+") and group in groups():
            return ConfigError(f"{group} is a group that is there", hint=f"write {group}={value}")
    if match := re.search(r"The value of '([^']+)' is (.*) and not (.*)\.$", text):
        return ConfigError(f"{match[1]} is {match[2]}, not {match[3]}", hint=f"set it: {match[1]}=<value>")
    if match := re.match(r"Error merging override (.+)", text):
        why = str(error.__cause__ or "it does not fit").splitlines()[0]
        if "is not Optional" in why:
            return ConfigError(f"{match[1]}: it takes no null", hint=f"leave out {match[1]}")
        if why.startswith("Cannot merge"):
            kind = _TYPES["tuple_type" if match[1].partition("=")[2].startswith("{") else "dict_type"]
            return ConfigError(
                f"{match[1]} must be {kind}",
                hint=f"leave out {match[1]}, or look at the values with --cfg all",
            )
        return ConfigError(f"{match[1]}: {why}", hint=f"leave out {match[1]}, or look at the values with --cfg all")
    if match := re.search(r"Could not (?:override|delete from config\.|delete) '([^'@]+)", text):
        return unknown_key(match[1].partition("=")[0], overrides)
    if match := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '([^']+)'", text):
        key, _, value = match[1].partition("=")
        if _THOUSANDS.fullmatch(value):
            return ConfigError(f"{match[1]} lists several values", hint=f"write {key}={value.replace(',', '_')}")
        return ConfigError(
            f"{match[1]} lists several values", hint=f"for one job each: -m {match[1]}; for one list: key=[a,b]"
        )
    if text.startswith("Config group override must be"):
        return _no_group(overrides)
    if match := re.match(r"Multiple values for ([\w/]+)", text):
        return ConfigError(f"{match[1]} is chosen twice", hint="give each group once")
    if match := re.match(r"Override (\S+) looks like a config group", text):
        return unknown_key(match[1].partition("@")[0], overrides)
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


def _no_choice(error: MissingConfigException, overrides: Sequence[str]) -> ConfigError:
    sought = str(error.missing_cfg_file)
    # a choice of several parts, such as a path, is parted as it was typed
    typed = (word.partition("=")[::2] for word in overrides)
    fallback = sought.rpartition("/")[::2]
    group, choice = next((pair for pair in typed if "/".join(pair) == sought), fallback)
    if group == "experiment" and "/" in choice:
        return no_preset(choice)
    choices = [item for item in error.options or groups().get(group, ()) if item not in groups()]
    if not group:
        return ConfigError(
            f"there is no configuration {choice!r}",
            hint="leave out --config-name and --config-path; files of your own: --config-dir <folder>",
        )
    file = re.match(r"In '([^']+)'", str(error))  # the primary one where a choice was typed, or set anew by `override`
    by = f"{file[1]}.yaml chooses {group}={choice}, which" if file and file[1] != PRIMARY else f"{group}={choice}"
    if not choices:
        near = nearest(group, groups())
        return ConfigError(f"{by} is of no group that there is", hint=f"did you mean {near[0]}?" if near else "")
    near = nearest(choice, choices)
    hint = f"did you mean {' or '.join(f'{group}={name}' for name in near)}? " if near else ""
    return ConfigError(f"{by} is not a choice", hint=f"{hint}choices: {', '.join(choices)}")


def _no_group(overrides: Sequence[str]) -> ConfigError:
    """Return what to say of a group whose choice is no name, such as algo=null or algo=[a,b]."""
    known = groups()
    for item in overrides:
        group, _, choice = item.partition("=")
        if group in known and choice not in known[group]:
            return ConfigError(f"{item} is not a choice", hint=f"choices: {', '.join(known[group])}")
    return ConfigError("a group is given something that is no choice", hint="see --help for the choices")


def _problem(key: str, detail: Any, field: FieldInfo | None) -> Problem:
    kind, value = detail["type"], detail["input"]
    said = f"{key}={literal(value)}"
    if kind == "extra_forbidden":
        return Problem(key, f"unknown key {key}", unknown=True)
    if kind == "missing" and key.rpartition(".")[2].isdecimal():
        return Problem(key, f"{key.rpartition('.')[0]} has too few values")
    if kind == "missing":
        return Problem(key, f"{key} is missing", missing=True)
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        near = nearest(str(value), choices)
        return Problem(
            key, f"{said} must be one of {', '.join(choices)}", value, hint=f"try {key}={near[0]}" if near else ""
        )
    if kind in ("model_type", "model_attributes_type"):
        return Problem(key, f"{said} stands for several keys", hint=f"set one of them, as {key}.<name>=<value>")
    if kind in _TYPES:
        return Problem(key, f"{said} must be {_TYPES[kind]}", value, hint=_in_its_form(key, value, kind))
    if kind.startswith(("greater_than", "less_than")):
        return Problem(key, f"{said} must be {_range(field, detail)}", value)
    if kind == "repeated":
        once = list(dict.fromkeys(value))
        return Problem(
            key, f"{said} names {literal(detail['ctx']['item'])} twice", value, hint=f"try {key}={literal(once)}"
        )
    if kind in _SIZES:
        return Problem(key, f"{said} must have {_size(kind, detail['ctx'])}", value)
    if kind == "string_pattern_mismatch":
        words = [item.allowed for item in (field.metadata if field else ()) if isinstance(item, InWords)]
        return Problem(key, f"{said} must be {words[0] if words else 'of the form ' + detail['ctx']['pattern']}", value)
    if kind == "multiple_of":
        return Problem(key, f"{said} must be a multiple of {detail['ctx']['multiple_of']:g}", value)
    message = detail["msg"].removeprefix("Value error, ")
    return Problem(key, f"{said}: {message[:1].lower()}{message[1:]}", value)


def _size(kind: str, facts: Mapping[str, Any]) -> str:
    bound, one = _SIZES[kind]
    number = facts["min_length" if bound == "at least" else "max_length"]
    plural = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{bound} {number} {one if number == 1 else plural}"


def _in_its_form(key: str, value: Any, kind: str) -> str:
    """Return how to write a list of one, and what YAML took for a number or a truth value: a date of digits, a symbol such as 600519."""
    if kind == "tuple_type" and isinstance(value, str) and value:
        return f"try '{key}=[{literal(value)}]'"
    place = key.rpartition(".")[2]
    if (kind.startswith("date") or place in ("start", "end")) and (day := as_day(str(value), last=place == "end")):
        return f"try {key}={day}"
    if kind != "string_type" or not place.isdigit() or isinstance(value, list | dict):
        return ""
    return "put what is written there in quotes of its own"


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


def _way_out(problem: Problem, overrides: Sequence[str], defaults: Mapping[str, Any]) -> str:
    if problem.hint:
        return problem.hint
    if problem.unknown:
        return way_out(problem.key, overrides, defaults)
    if problem.missing:
        return f"set {'' if problem.key in defaults else '+'}{problem.key}=..."
    parent, _, last = problem.key.rpartition(".")
    key = parent if last.isdecimal() else problem.key  # of an element of a list the list is what one types
    default = defaults.get(key, problem.value)
    nothing = default in ({}, [], "") or literal(default) == literal(problem.value)  # a preset's true is told as text
    return f"leave {key} out" if nothing else f"try {key}={literal(default)}"
