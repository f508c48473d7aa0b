"""What a key that is not there probably meant: one nearby, one under another choice, or one that is there after all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from wealtharena.config.composition import compose_raw, defaults_for, flatten, groups
from wealtharena.config.homes import takes_entries, takes_values
from wealtharena.config.paths import conf_dirs
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import key_of
from wealtharena.config.suggest import by_another_name, did_you_mean, nearest
from wealtharena.errors import ConfigError


def unknown_key(key: str, overrides: Sequence[str]) -> ConfigError:
    """Return what to say of an override that Hydra finds no place for: what is there is said to be there."""
    defaults = defaults_for(overrides)
    word = next((item for item in overrides if key_of(item).partition("@")[0] == key), key)
    removed, value = word.startswith("~"), word.partition("=")[2]
    if key in groups():
        if removed:
            return ConfigError(
                f"{key}={value} is not chosen, so there is nothing to take out", hint=f"leave out {word}"
            )
        return ConfigError(f"{key} is a group that is there, and has one place", hint=f"write {key}={value}")
    if removed and key in defaults and defaults[key] is None:
        return ConfigError(f"{key} is null, which cannot be taken out", hint=f"leave out {word}: nothing is set there")
    if not removed and isinstance(defaults.get(key), dict):
        if _takes_entries(key, defaults):
            return ConfigError(f"{key} has no such entry yet", hint=f"add it with a + before it: '+{word}'")
        key = next((name for name in _names(word) if name not in defaults), key)
    block = next((name for name in _above(key) if name in defaults and _takes_entries(name, defaults)), None)
    if not removed and block is not None:
        inside = key.removeprefix(f"{block}.")
        if (entry := _dotted(key, block, defaults)) is not None:
            written = f"{{{entry}: {{{inside.removeprefix(f'{entry}.')}: {value}}}}}"
            return ConfigError(f"{entry} is one name in {block}, dots and all", hint=f"write '{block}={written}'")
        if "." in inside and takes_values(ExperimentSpec, block):
            return ConfigError(
                f"{inside} is one name in {block}, dots and all", hint=f"write '+{block}={{{inside}: {value}}}'"
            )
        return ConfigError(f"{key} is no entry yet", hint=f"add it with a + before it: '+{word}'")
    null = _null_above(key, defaults)
    hint = way_out(key, overrides, defaults)
    hidden = null is not None and "under " in hint
    return ConfigError(f"{key} is not there: {null} is null" if hidden else f"unknown key {key}", hint=hint)


def way_out(key: str, overrides: Sequence[str], defaults: Mapping[str, Any]) -> str:
    """Return what an unknown key probably meant: itself under another choice of its group, or one that is near."""
    if key.startswith("hydra.launcher."):
        return "name the launcher that has it, as hydra/launcher=joblib has hydra.launcher.n_jobs"
    if key.startswith("hydra."):
        return "look at Hydra's own keys with --cfg hydra"
    null = _null_above(key, defaults)
    others = _by_choice(key, overrides, null)
    if places := [choice for choice, keys in others.items() if key in keys]:
        return f"it is there under {' or '.join(places)}"
    parent, _, leaf = key.rpartition(".")
    for choice, keys in others.items() if null else ():
        siblings = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == parent]
        if near := nearest(leaf, siblings):
            return f"did you mean {parent}.{near[0]}, which is there under {choice}?"
    return similar(key, defaults)


def similar(key: str, names: Iterable[str]) -> str:
    """Return what the key probably meant: what others call so, a sibling, one of a block nearby, the same leaf elsewhere, a near path."""
    known = list(dict.fromkeys(name for name in [*names, *groups()] if name != key and not name.startswith(f"{key}.")))
    if meant := by_another_name(key, known):
        return f"did you mean {meant}?"
    parent, _, leaf = key.rpartition(".")
    siblings = _below(parent, known)
    near = [siblings[name] for name in nearest(leaf, siblings)] or _of_near_block(key, known)
    near = near or [name for name in known if name.rpartition(".")[2] == leaf][:2] or nearest(key, known)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return did_you_mean(leaf, siblings, fallback="look at the keys with --cfg job")


def name_of_another(overrides: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the words that set a group's `name` to one of its choices, each with group and choice."""
    known = groups()
    found = []
    for word in overrides:
        group, _, last = key_of(word).rpartition(".")
        choice = word.partition("=")[2].strip("'\"")
        if last == "name" and choice in known.get(group.replace(".", "/"), ()):
            found.append((word, group.replace(".", "/"), choice))
    return found


def _of_near_block(key: str, known: Sequence[str]) -> list[str]:
    """Return what stands in the block whose name is near that of the first part of the path that is not there."""
    parts = key.split(".")
    for depth in range(1, len(parts)):
        block = ".".join(parts[:depth])
        if block in known:
            continue
        siblings = _below(".".join(parts[: depth - 1]), known)
        near = [siblings[name] for name in nearest(parts[depth - 1], siblings)]
        whole = [".".join([name, *parts[depth:]]) for name in near]
        return [name for name in whole if name in known] or near
    return []


def _below(parent: str, known: Iterable[str]) -> dict[str, str]:
    return {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == parent}


def _takes_entries(key: str, defaults: Mapping[str, Any]) -> bool:
    """Return whether people choose the names in a mapping; an empty one is there to be filled, whoever's spec it is of."""
    return defaults[key] == {} or takes_entries(ExperimentSpec, key)


def _null_above(key: str, defaults: Mapping[str, Any]) -> str | None:
    """Return the block above a key that is null; None where there is none."""
    return next((block for block in _above(key) if block in defaults and defaults[block] is None), None)


def _above(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _dotted(key: str, block: str, defaults: Mapping[str, Any]) -> str | None:
    """Return the entry of a block that a key is of, where its name has dots as that of a search's range; None else."""
    around = [name for name in _above(key) if name in defaults and name.startswith(f"{block}.")]
    return next((name for one in reversed(around) if "." in (name := one.removeprefix(f"{block}."))), None)


def _names(word: str) -> list[str]:
    """Return the keys that an override with a mapping sets."""
    value = OverridesParser.create().parse_override(word).value()
    return list(flatten({key_of(word): value})) if isinstance(value, dict) else []


def _by_choice(key: str, overrides: Sequence[str], null: str | None) -> dict[str, frozenset[str]]:
    """Return the keys under those choices of the group of a key whose files may have it, or the block that is null here.

    Each is composed, which takes a fifth of a second.
    """
    known = groups()
    group = max((name for name in known if key.startswith(f"{name.replace('/', '.')}.")), key=len, default=None)
    if group is None:
        return {}
    line = (
        rf"(?m)^\s*{re.escape(null.rpartition('.')[2])}:\s*([#{{].*)?$"
        if null
        else rf"{re.escape(key.rpartition('.')[2])}:"
    )
    others = tuple(item for item in overrides if item.partition("=")[2] in known.get(item.partition("=")[0], ()))
    rest = tuple(item for item in others if key_of(item) != group)
    asked = [f"{group}={choice}" for choice in known[group] if _may_have(group, choice, line)]
    return {choice: _keys((*rest, choice), conf_dirs()) for choice in asked}


def _may_have(group: str, choice: str, line: str) -> bool:
    """Return whether the file of a choice has such a line, or a file of the group that it builds on."""
    place = next((file for root in conf_dirs() if (file := root / group / f"{choice}.yaml").is_file()), None)
    if place is None:
        return False
    text = place.read_text(encoding="utf-8", errors="replace")
    built_on = [name for name in re.findall(r"(?m)^ *- (\w+)\s*(?:#.*)?$", text) if name not in (choice, "_self_")]
    return re.search(line, text) is not None or any(_may_have(group, name, line) for name in built_on)


@lru_cache(maxsize=128)
def _keys(choices: tuple[str, ...], roots: tuple[Path, ...]) -> frozenset[str]:
    """Return the keys of a composition below `roots`, conf/ and what was added; none where it cannot be made."""
    try:
        return frozenset(flatten(OmegaConf.to_container(compose_raw(choices), resolve=False)))
    except (HydraException, OmegaConfBaseException, YAMLError):
        return frozenset()
