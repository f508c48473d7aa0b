"""That what is chosen is one file of a group: on the command line, and in the files that others wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from wealtharena.config.composition import group_names, searched_folders
from wealtharena.config.paths import conf_dirs
from wealtharena.config.preset_files import preset_files
from wealtharena.config.spelling import key_of
from wealtharena.errors import ConfigError
from wealtharena.shown import without_home

_OF_ALL: Final = ("debug", "experiment", "task", "zoo")  # groups whose files set keys of the whole configuration
_PLACED: Final = re.compile(r"\s*(?:#\s*@[^\n]*\s+)*#\s*@package\s+\S")  # before anything else: Hydra reads no further
_WORDS: Final = re.compile(r"^\s*(?:(?:override|optional)\s+)*")
MOST: Final = 1000  # files that choose one another


def check_choices(overrides: Sequence[str]) -> None:
    """Raise ConfigError where a group is given a list, here or in a chosen file that is none of ours.

    Hydra lays the files of a list over one another, and the mixture has one's name. A preset of a package or of
    `--config-dir` that does not say that its keys are those of the whole configuration is refused too: nothing reads them
    where they are.
    """
    roots = [*conf_dirs()[1:], *searched_folders(overrides)]
    waiting: list[_File] = []
    for word in overrides:
        group, value = key_of(word).partition("@")[0], word.partition("=")[2].strip()
        if not value.startswith(("[", "{")):
            waiting += _preset(word) if group == "experiment" and ".yaml" in value else _files(group, value, roots)
            continue
        known = group in group_names(conf_dirs())  # which asks what packages offer
        if known or group.startswith("hydra/"):
            jobs = f"; for one job each: -m {group}=<name>,<name>" if known and group != "sweep" else ""
            raise ConfigError(f"{word}: a group takes one choice, by its name", hint=f"write {group}=<name>{jobs}")
    seen: set[Path] = set()
    while waiting and len(seen) < MOST:
        file = waiting.pop()
        if file.path not in seen:
            seen.add(file.path)
            waiting += _chosen_by(file, roots)


@dataclass(frozen=True)
class _File:
    """A file of a group that others wrote."""

    path: Path
    group: str
    placed: bool = False  # whether its keys are those of the whole configuration whatever it says


def _preset(word: str) -> list[_File]:
    return [_File(path, "experiment", placed=True) for path in preset_files(word)]


def _files(group: str, choices: str, roots: Sequence[Path]) -> Iterator[_File]:
    """Yield the files below `roots` that are chosen in a group, one or, in a grid, several."""
    for choice in choices.split(",") if roots and group else ():
        name = choice.strip(" '\"").removesuffix(".yaml")
        places = (root / group / f"{name}.yaml" for root in roots if name and not name.startswith("/"))
        yield from (_File(path, group) for path in [path for path in places if path.is_file()][:1])


def _chosen_by(file: _File, roots: Sequence[Path]) -> Iterator[_File]:
    """Yield the files that a file's `defaults` choose; ConfigError where they list several of a group, or it is no text."""
    where = without_home(str(file.path))
    try:
        errors = "replace" if file.placed else "strict"  # of a preset that is none, reading it tells
        text = file.path.read_text(encoding="utf-8", errors=errors)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} is no text in UTF-8: byte {error.start}", hint="save it as UTF-8") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return  # composing tells of it, with its place
    placed = file.placed or file.group.partition("/")[0] not in _OF_ALL or _PLACED.match(text)
    if not placed and (not isinstance(content, dict) or not content):
        raise ConfigError(f"{where} holds no keys", hint="give it lines of key: value below # @package _global_")
    content = content if isinstance(content, dict) else {}
    if not placed and _PLACED.match(text.removeprefix("\ufeff")):
        raise ConfigError(
            f"{where} begins with a byte order mark, behind which nobody sees its first line",
            hint="save it as UTF-8 without one",
        )
    if not placed:
        raise ConfigError(
            f"{where}: nothing reads its keys, since it does not say that they are those of the whole configuration",
            hint="make its first line: # @package _global_",
        )
    defaults = content.get("defaults")
    for entry in defaults if isinstance(defaults, list) else ():
        for key, value in entry.items() if isinstance(entry, dict) else (("", entry),):
            name = _WORDS.sub("", str(key)).partition("@")[0].strip()
            group = name[1:] if name.startswith("/") else "/".join(part for part in (file.group, name) if part)
            if isinstance(value, list) and group in group_names(conf_dirs()):
                raise ConfigError(
                    f"{where} chooses {key}: [{', '.join(map(str, value))}], and a group takes one choice",
                    hint="write one name there",
                )
            yield from _files(group, value, roots) if isinstance(value, str) else ()
