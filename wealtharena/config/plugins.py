"""Plugins found by name: one file in a room, or an entry point of somebody's own package; no table to keep.

A package offers a plugin by an entry point of the group `wealtharena.<room>`, such as `wealtharena.data.providers`, whose
name is the plugin's and whose value is its module. Configuration comes along by `wealtharena.conf`, whose value is a folder
of the package (`my_package.conf`) with groups as in conf/.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from wealtharena.config.suggest import did_you_mean
from wealtharena.errors import ConfigError, WealthArenaError

Base = TypeVar("Base")
_CONF = "wealtharena.conf"
HINT: Final = "mend or uninstall its package (docs/howto/plugins.md says what it needs)"
# what the module of each kind has, and what a function of it is called with; rewards are asked in their own room
_NEEDED: Final[Mapping[str, Mapping[str, str | None]]] = {
    "data.providers": {"Provider": None},
    "agents.algorithms": {"AlgorithmSpec": None, "ACTIONS": None, "build": "bench"},
    "envs.baselines": {"weights": "panel, row, spec"},
    "envs.anchors": {"rule": "close, spec"},
    "trading.brokers": {"Settings": None, "why_not": "spec", "open_broker": "opening"},
    "trading.risk": {"Rule": None, "check": "now, rule"},
    "tracking.mirrors": {"open_mirror": "folder, identity, resume_step="},
}


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
        ConfigError: no such file or entry point, several packages offer it, or the package's cannot be imported or
            lacks what its kind needs.
    """
    target = f"wealtharena.{room}.{name}"
    if name.isidentifier() and not name.startswith("_"):
        try:
            with importing():
                return importlib.import_module(target)
        except ModuleNotFoundError as error:
            if error.name != target:
                raise
        if name in _offered(room):
            return _of_package(room, name)
    raise ConfigError(
        f"there is no {name!r} in wealtharena/{room.replace('.', '/')}/",
        hint=did_you_mean(name, available(room), fallback="write the file"),
    )


def available(room: str) -> tuple[str, ...]:
    """Return the names of a room's modules and of what packages offer for it, sorted."""
    return tuple(sorted(_own(room) | _offered(room).keys()))


def names_offered(room: str) -> tuple[str, ...]:
    """Return the names of what packages offer for a room, sorted, without importing any."""
    return tuple(sorted(_offered(room)))


def modules_offered(room: str) -> tuple[str, ...]:
    """Return what packages offer for a room as `name = module`, sorted, without importing any."""
    return tuple(f"{name} = {entry.value}" for name in names_offered(room) for entry in _offered(room)[name])


def sources_offered(room: str) -> tuple[Path, ...]:
    """Return the Python files of the packages that offer something for a room: a plugin may be made of several of them."""
    modules = {entry.value for name in names_offered(room) for entry in _offered(room)[name]}
    return tuple(file for module in sorted(modules) for file in _sources(module).values())


@cache
def source_of(room: str, name: str) -> str:
    """Return a digest of the code behind a package's plugin, "" for one of ours: of all of its package, as it was at the first call."""
    if not of_package(room, name):
        return ""
    files = _sources(_offered(room)[name][0].value)
    if not files:
        return ""
    found = hashlib.sha256()
    for place, file in files.items():
        found.update(f"{place} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:16]


def _sources(module: str) -> dict[str, Path]:
    """Return the Python files of a module's package by their places in it, in their order; nothing is imported."""
    spec = importlib.util.find_spec(module.partition(":")[0].partition(".")[0])
    if spec is None:
        return {}
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    files = {str(file.relative_to(folder)): file for folder in folders for file in folder.rglob("*.py")}
    if not folders and spec.origin is not None:
        files = {"": Path(spec.origin)}
    return dict(sorted(files.items()))


@cache
def conf_folders() -> tuple[Path, ...]:
    """Return the folders of configuration that packages offer."""
    found = []
    for entry in entry_points(group=_CONF):
        places = [place for place in _places(entry.value) if place.is_dir()]
        if not places:
            raise ConfigError(
                f"{entry.value}, which a package offers as configuration, is no folder of it",
                hint="mend or uninstall it",
            )
        found += places
    return tuple(sorted(set(found)))


def _places(module: str) -> tuple[Path, ...]:
    """Return where a module may lie, without suffix; nothing is imported: what it lies in may be broken, and of no use here."""
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return ()
    if spec.submodule_search_locations is None:
        return (Path(spec.origin).with_suffix(""),) if spec.origin is not None else ()
    return tuple(Path(place).joinpath(*below) for place in spec.submodule_search_locations)


@cache
def _offered(room: str) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=f"wealtharena.{room}"):
        known = found.get(entry.name, ())
        if all(entry.value != other.value for other in known):  # one package may be found on two paths
            found[entry.name] = (*known, entry)
    return found


@cache
def _of_package(room: str, name: str) -> ModuleType:
    """Return a package's module, looked through once: rules are asked for at every decision."""
    offered = _offered(room)[name]
    if len(offered) > 1:
        who = " and ".join(sorted(entry.value for entry in offered))
        raise ConfigError(f"{name!r} is offered by {who}", hint="uninstall one of them, or rename it")
    try:
        found: ModuleType = offered[0].load()
    except (Exception, SystemExit) as error:  # whatever a stranger's module does
        cause = error if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{title(room, name)} cannot be imported: {cause}", hint=HINT) from error
    for what, called in _NEEDED.get(room, {}).items():
        if not hasattr(found, what):
            raise ConfigError(f"{title(room, name)} has no {what}", hint=HINT)
        if called is not None and not takes(getattr(found, what), called.split(", ")):
            raise ConfigError(f"{title(room, name)} has {what}, which cannot be called as {what}({called})", hint=HINT)
    return found


def title(room: str, name: str) -> str:
    """Return what messages call a plugin: its name and its module, a package's or ours."""
    module = _offered(room)[name][0].value if of_package(room, name) else f"wealtharena.{room}.{name}"
    return f"the plugin {name!r} ({module})"


def of_package(room: str, name: str) -> bool:
    """Return whether a plugin is a package's, and no file of the room."""
    return name in _offered(room) and name not in _own(room)


def misused(room: str, name: str, what: str) -> WealthArenaError:
    """Return the error for what a plugin answered or lacks, such as `weights answered with a list`."""
    hint = HINT if of_package(room, name) else "an error of WealthArena itself: please report this line"
    return WealthArenaError(f"{title(room, name)}: {what}", hint=hint)


def subclass(room: str, name: str, what: str, of: type[Base]) -> type[Base]:
    """Return the class `what` of a plugin; ConfigError where it is no subclass of `of`."""
    found = getattr(load(room, name), what)
    if not (isinstance(found, type) and issubclass(found, of)):
        raise ConfigError(f"{title(room, name)}: {what} is no subclass of {of.__module__}.{of.__name__}", hint=HINT)
    return found


def check_answer(room: str, name: str, answer: object, *, of: str, methods: str) -> None:
    """Raise WealthArenaError where what the function `of` returned lacks one of the `methods`, parted by blanks."""
    lacking = [method for method in methods.split() if not callable(getattr(answer, method, None))]
    if lacking:
        raise misused(room, name, f"{of} returned a {type(answer).__name__}, which has no {lacking[0]}()")


def failure(error: BaseException) -> WealthArenaError | None:
    """Return the error that names the plugin of a package in which an exception came up; None where none had a part in it."""
    modules = {
        entry.value.partition(":")[0]: name
        for room in (*_NEEDED, "envs.rewards")
        for name in _offered(room)
        for entry in _offered(room)[name]
    }
    packages = {module.partition(".")[0]: name for module, name in modules.items()} | modules
    files = {str(file): name for module, name in modules.items() for file in _sources(module).values()}
    cause: BaseException | None = error
    while cause is not None:
        for frame, line in reversed(list(traceback.walk_tb(cause.__traceback__))):
            module = str(frame.f_globals.get("__name__", ""))
            name, file = packages.get(module) or packages.get(module.partition(".")[0]), frame.f_code.co_filename
            if name is None and file in files:  # a frame that a compiled function has made up
                name, module = files[file], Path(file).name
            if name is not None:
                return WealthArenaError(
                    f"the plugin {name!r} ({module}, line {line}) failed: {type(error).__name__}: {error}",
                    hint="mend or uninstall its package; HYDRA_FULL_ERROR=1 shows the whole traceback",
                )
        cause = cause.__cause__ or cause.__context__
    return None


def _own(room: str) -> set[str]:
    package = importlib.import_module(f"wealtharena.{room}")
    found = pkgutil.iter_modules(getattr(package, "__path__", ()))
    return {info.name for info in found if not info.name.startswith("_")}


def takes(function: Any, names: list[str]) -> bool:
    """Return whether the function can be called with that many arguments, those that end in `=` by their name."""
    try:
        inspect.signature(function).bind(
            *(name for name in names if not name.endswith("=")),
            **{name[:-1]: None for name in names if name.endswith("=")},
        )
    except ValueError:  # of something built in: nobody knows
        return callable(function)
    except TypeError:
        return False
    return True
