"""Plugins found by name: one file in a room, no table to keep."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from wealtharena.config.suggest import did_you_mean
from wealtharena.errors import ConfigError


def load(room: str, name: str) -> ModuleType:
    """Return the module wealtharena.<room>.<name>; `room` may be dotted, such as data.providers.

    Raises:
        ConfigError: no such file; names the near ones.
    """
    target = f"wealtharena.{room}.{name}"
    if name.isidentifier() and not name.startswith("_"):
        try:
            return importlib.import_module(target)
        except ModuleNotFoundError as error:
            if error.name != target:
                raise
    raise ConfigError(
        f"there is no {name!r} in wealtharena/{room.replace('.', '/')}/",
        hint=did_you_mean(name, available(room), fallback="write the file"),
    )


def available(room: str) -> tuple[str, ...]:
    """Return the names of the modules in a room, sorted."""
    package = importlib.import_module(f"wealtharena.{room}")
    return tuple(sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_")))
