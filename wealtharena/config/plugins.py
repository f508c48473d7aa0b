"""Plugins found by name: one file in a room, or an entry point of somebody's own package; no table to keep.

A package offers a plugin by an entry point of the group `wealtharena.<room>`, such as `wealtharena.data.providers`, whose
name is the plugin's and whose value is its module. Configuration comes along by `wealtharena.conf`, whose value is a folder
of the package (`my_package.conf`) with groups as in conf/.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from wealtharena.config.suggest import did_you_mean
from wealtharena.errors import ConfigError

_CONF = "wealtharena.conf"


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage meanwhile, nor later in what was imported: a seventh of a small run went into what stays for good."""
    collects, known = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        if collects:
            gc.enable()


def load(room: str, name: str) -> ModuleType:
    """Return the module wealtharena.<room>.<name>, or the one of that name that a package offers; `room` may be dotted.

    A file of the room wins over a package's.

    Raises:
        ConfigError: no such file or entry point, several packages offer it, or it cannot be imported.
    """
    target = f"wealtharena.{room}.{name}"
    if name.isidentifier() and not name.startswith("_"):
        try:
            with importing():
                return importlib.import_module(target)
        except ModuleNotFoundError as error:
            if error.name != target:
                raise
        if offered := _offered(room).get(name):
            return _of_package(name, offered)
    raise ConfigError(
        f"there is no {name!r} in wealtharena/{room.replace('.', '/')}/",
        hint=did_you_mean(name, available(room), fallback="write the file"),
    )


def available(room: str) -> tuple[str, ...]:
    """Return the names of a room's modules and of what packages offer for it, sorted."""
    package = importlib.import_module(f"wealtharena.{room}")
    own = {
        info.name for info in pkgutil.iter_modules(getattr(package, "__path__", ())) if not info.name.startswith("_")
    }
    return tuple(sorted(own | _offered(room).keys()))


def names_offered(room: str) -> tuple[str, ...]:
    """Return the names of what packages offer for a room, sorted, without importing any."""
    return tuple(sorted(_offered(room)))


def sources_offered(room: str) -> tuple[Path, ...]:
    """Return the files of what packages offer for a room, in the order of their names."""
    found = []
    for name in names_offered(room):
        spec = importlib.util.find_spec(_offered(room)[name][0].value)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin))
    return tuple(found)


@cache
def conf_folders() -> tuple[Path, ...]:
    """Return the folders of configuration that packages offer."""
    found = []
    for entry in entry_points(group=_CONF):
        spec = importlib.util.find_spec(entry.value)
        places = None if spec is None else spec.submodule_search_locations
        if not places:
            raise ConfigError(
                f"{entry.value}, which a package offers as configuration, is no folder of it",
                hint="mend or uninstall it",
            )
        found += [Path(place) for place in places]
    return tuple(sorted(set(found)))


@cache
def _offered(room: str) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=f"wealtharena.{room}"):
        known = found.get(entry.name, ())
        if all(entry.value != other.value for other in known):  # one package may be found on two paths
            found[entry.name] = (*known, entry)
    return found


def _of_package(name: str, offered: tuple[EntryPoint, ...]) -> ModuleType:
    if len(offered) > 1:
        who = " and ".join(sorted(entry.value for entry in offered))
        raise ConfigError(f"{name!r} is offered by {who}", hint="uninstall one of them, or rename it")
    try:
        found: ModuleType = offered[0].load()
    except ImportError as error:
        raise ConfigError(
            f"the plugin {name!r} ({offered[0].value}) cannot be imported: {error}",
            hint="mend or uninstall its package",
        ) from error
    return found
