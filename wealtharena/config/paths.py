"""Where conf/ and sweeps/ stand: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

from wealtharena.config import plugins
from wealtharena.errors import ConfigError

CONFIG_DIR = "WEALTHARENA_CONFIG_DIR"  # a variable, so that workers of a grid and of Ray know it too
ANCHORS = ("cash", "equal_weight", "inverse_volatility", "momentum")
_PACKAGE = Path(__file__).resolve().parents[1]


def conf_dir() -> Path:
    """Return the folder of Hydra's groups."""
    return _resource("conf")


def own_config_dirs() -> tuple[Path, ...]:
    """Return the folders of a person's own configuration, which `--config-dir` names; first wins.

    Raises:
        ConfigError: there is no such folder.
    """
    named = os.environ.get(CONFIG_DIR, "")
    folders = named.split(os.pathsep) if _folder(named) is None else [named]
    return tuple(_own(folder) for folder in folders if folder)


def use_config_dirs(folders: Sequence[str | Path]) -> None:
    """Make these the folders of a person's own configuration, here and in what this process starts.

    Raises:
        ConfigError: there is no such folder, or several are named, one of them with the sign between them in its name.
    """
    found = [str(_own(folder)) for folder in folders]
    if len(found) > 1 and any(os.pathsep in folder for folder in found):
        raise ConfigError(
            f"a folder of configuration beside another has no {os.pathsep!r} in its name", hint="call it otherwise"
        )
    os.environ[CONFIG_DIR] = os.pathsep.join(dict.fromkeys(found))


def _own(named: str | Path) -> Path:
    if (folder := _folder(named)) is None:
        raise ConfigError(f"--config-dir {named} is no folder", hint="name one with groups as in conf/, such as asset/")
    return folder


def _folder(named: str | Path) -> Path | None:
    """Return the folder of that name; None where there is none, and for a name that none can bear."""
    try:
        folder = Path(named).expanduser().resolve()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long a name; the home of nobody
        return None


def conf_dirs() -> tuple[Path, ...]:
    """Return every folder of groups, first wins: our own, those of packages, and those of `--config-dir`.

    Raises:
        ConfigError: a file of `--config-dir`, or of a second package, would never be read: another of its name wins.
    """
    own = own_config_dirs()
    packages = plugins.conf_folders()
    _check_names(conf_dir(), packages, own)
    return (conf_dir(), *packages, *own)


def refuse_unread(folder: Path) -> None:
    """Raise ConfigError where a file of a further folder of groups would never be read: ours of its name wins."""
    _check_names(conf_dir(), (), (folder,))


@cache
def _check_names(ours: Path, packages: tuple[Path, ...], own: tuple[Path, ...]) -> None:
    """A package's file of one of our names is left out as its plugins are; a copy that says the same is no matter."""
    others = [(folder, packages[:place]) for place, folder in enumerate(packages)]
    others += [(folder, (ours, *packages, *own[:place])) for place, folder in enumerate(own)]
    for folder, before in others:
        for wins, name in sorted((file, file.relative_to(first)) for first in before for file in first.rglob("*.yaml")):
            unread = folder / name
            if unread.is_file() and unread.read_bytes() != wins.read_bytes():
                raise ConfigError(
                    f"{unread} would never be read: {wins} has its name and wins", hint=_another_name(name)
                )


def _another_name(name: Path) -> str:
    if name.parent == Path():
        return "call it otherwise and begin with experiment=<its path>"
    extended = f"begin it with `defaults: [{name.stem}]` and say what differs"
    return f"call it otherwise, {name.parent.as_posix()}=my_{name.stem} for one: {extended}"


def sweeps_dir() -> Path:
    """Return the folder of search spaces."""
    return _resource("sweeps")


def reward_names() -> tuple[str, ...]:
    """Return the names of the rewards: the files of envs/rewards and what packages offer, without importing any."""
    return _names("envs.rewards")


def baseline_names() -> tuple[str, ...]:
    """Return the names of the baselines: the files of envs/baselines and what packages offer, without importing any."""
    return _names("envs.baselines")


def anchor_names() -> tuple[str, ...]:
    """Return the names of the anchors, those that packages offer among them."""
    return tuple(sorted({*ANCHORS, *plugins.names_offered("envs.anchors")}))


def _names(room: str) -> tuple[str, ...]:
    folder = _PACKAGE.joinpath(*room.split("."))
    return tuple(sorted(_files_of(folder, folder.stat().st_mtime_ns) | set(plugins.names_offered(room))))


@lru_cache(maxsize=8)
def _files_of(folder: Path, version: int) -> frozenset[str]:
    """Return the names of a room's files; each configuration that is checked asks for them some ten times."""
    return frozenset(file.stem for file in folder.glob("[!_]*.py"))


def _resource(name: str) -> Path:
    packaged = _PACKAGE / f"_{name}"
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
