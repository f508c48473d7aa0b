"""`resume=<run directory>`: the old run's overrides, then the new ones, in the old folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from wealtharena.config.composition import groups
from wealtharena.config.foreign import check_overrides
from wealtharena.config.identity import run_record
from wealtharena.config.paths import own_config_dirs
from wealtharena.config.spelling import key_of, quoted
from wealtharena.errors import ConfigError
from wealtharena.files import read_regular

_MAX_BYTES = 1024 * 1024


def resumed_argv(argv: Sequence[str]) -> list[str]:
    """Return the arguments with `resume=` carried out; others come back as they are.

    The old overrides come first, a new one replaces the old of the same key, `hydra.run.dir` becomes the old folder
    and its `.hydra/` is not written again.

    Resume is for runs of one's own: what their record holds is done again. It is refused where it would do more than
    set this package's keys.

    Raises:
        ConfigError: the folder is no run directory, or its record holds what runs code.
    """
    asked = [item for item in argv if item.startswith("resume=")]
    value = _value(asked[-1]) if asked else "null"
    if value == "null":
        return list(argv)
    if not value.strip():
        raise ConfigError("resume= names no run directory", hint=_recent())
    folder = Path(value).expanduser().resolve()
    record = folder / ".hydra" / "overrides.yaml"
    if not record.is_file():
        raise ConfigError(f"resume={value} is no run directory: it has no .hydra/overrides.yaml", hint=_recent())
    new = [item for item in argv if not item.startswith("resume=")]
    _check_place(new, value, folder)
    _check_own_files(value, folder)
    replaced = {key_of(item) for item in new} | {"resume"}
    try:
        written = yaml.safe_load(read_regular(record, limit=_MAX_BYTES)) or []
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"resume={value}: .hydra/overrides.yaml cannot be read", hint=_recent()) from error
    if not isinstance(written, list):
        raise ConfigError(f"resume={value}: .hydra/overrides.yaml is not a list", hint=_recent())
    old = [item for item in check_overrides(written, where=str(record)) if key_of(item) not in replaced]
    if (cut := next((item for item in old if "=" not in item and not item.startswith("~")), None)) is not None:
        raise ConfigError(
            f"resume={value}: .hydra/overrides.yaml is damaged: {cut!r} sets nothing",
            hint="put it back from a copy, or start a new run",
        )
    _check_choices(old, value)
    return [*old, *new, f"resume={quoted(folder)}", f"hydra.run.dir={quoted(folder)}", "hydra.output_subdir=null"]


def _check_place(words: Sequence[str], value: str, folder: Path) -> None:
    """Raise ConfigError where a word names another folder than the run's own."""
    for item in words:
        if key_of(item) == "hydra.run.dir" and Path(_value(item)).expanduser().resolve() != folder:
            raise ConfigError(f"resume={value} goes on in its own folder", hint=f"leave out {item}")


def _check_choices(old: Sequence[str], value: str) -> None:
    """Raise ConfigError where the run was composed of a choice that is not here: it came with a package."""
    here = groups()
    for item in old:
        choices, chosen = here.get(key_of(item), ()), _value(item)
        if choices and chosen.isidentifier() and chosen not in (*choices, "null"):
            raise ConfigError(
                f"resume={value} was begun with {item}, which is not here", hint="install the package that offers it"
            )


def _check_own_files(value: str, folder: Path) -> None:
    """Raise ConfigError where the run was composed with folders of a person's own, and none is given now."""
    if own_config_dirs():
        return
    try:
        words = shlex.split(str(run_record(folder).get("command") or ""))
    except ValueError:  # cut short: what it was begun with is not known
        return
    named = [words[place : place + 2] for place, word in enumerate(words) if word == "--config-dir"]
    if named:
        again = shlex.join(word for pair in named for word in pair)
        raise ConfigError(
            f"resume={value} was begun with {again}, whose files it is composed of",
            hint=f"add {again}, or where it lies now",
        )


def _value(override: str) -> str:
    return override.partition("=")[2].strip("'\"")


def _recent() -> str:
    runs = sorted(Path("outputs").glob("*/*/.hydra/overrides.yaml"), key=lambda path: path.stat().st_mtime)
    return f"the latest run is {runs[-1].parent.parent}" if runs else "give the folder that holds run.json"
