"""Callbacks of a user's own: `train.callbacks=[my_module:Watch]` is told how a training goes.

A callback is what the named class or function returns when it is called without arguments. Any of three methods may be
there, and is called in the process that drives the training:

    on_iteration(record)    after each iteration: `iteration`, `env_step`, and `reward` and losses where there are any
    on_validation(record)   after each validation backtest: `env_step` and the measures of that window
    on_end(run)             once, with the content of run.json, however the run has ended

It watches and decides nothing: it is shown a copy, what it returns is not looked at, the working folder is afterwards what
it was, and the configuration's hash does not know it. What it raises ends the run with an error that names it, resumable.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wealtharena.errors import ConfigError, TrainingError


class Callbacks:
    """The callbacks of one run, as one listener."""

    def __init__(self, named: Sequence[tuple[str, Any]]) -> None:
        self._named = tuple(named)

    @classmethod
    def of(cls, names: Sequence[str]) -> Callbacks:
        """Return the callbacks of these names, `module:attribute` each, found as Python finds modules or in the working folder.

        Raises:
            ConfigError: a name cannot be imported or called, or has none of the three methods.
        """
        return cls([(name, _made(name)) for name in names])

    def on_iteration(self, record: Mapping[str, Any]) -> None:
        """Tell all of an iteration."""
        self._tell("on_iteration", record)

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        """Tell all of a validation backtest."""
        self._tell("on_validation", record)

    def on_end(self, run: Mapping[str, Any]) -> None:
        """Tell all that the run has ended."""
        self._tell("on_end", run)

    def _tell(self, method: str, record: Mapping[str, Any]) -> None:
        for name, callback in self._named:
            function = getattr(callback, method, None)
            if function is None:
                continue
            try:
                with contextlib.chdir(Path.cwd()):
                    function(copy.deepcopy(dict(record)))
            except (Exception, SystemExit) as error:
                raise TrainingError(
                    f"train.callbacks: {name}.{method} raised {type(error).__name__}: {error}",
                    hint="mend it and go on with resume=<run directory>, or leave it out",
                ) from error


def check_names(names: Sequence[str]) -> None:
    """Raise ConfigError where a name is none of a module and what stands in it, or cannot be imported; nothing is made."""
    for name in names:
        _found(name, lambda found: None)


def _made(name: str) -> Any:
    made = _found(name, lambda found: found())
    if not any(hasattr(made, method) for method in ("on_iteration", "on_validation", "on_end")):
        raise ConfigError(
            f"train.callbacks={name} has none of on_iteration, on_validation, on_end", hint="write one of them"
        )
    return made


def _found(name: str, then: Callable[[Any], Any]) -> Any:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(
            f"train.callbacks={name} is no `module:attribute`", hint="try train.callbacks=[my_module:Watch]"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        with contextlib.chdir(here):
            return then(getattr(importlib.import_module(module), attribute))
    except (Exception, SystemExit) as error:  # whatever a stranger's module does
        plain = isinstance(error, ImportError | AttributeError | TypeError)
        raise ConfigError(
            f"train.callbacks={name} cannot be made: {error if plain else f'{type(error).__name__}: {error}'}",
            hint="name a class or function that takes no arguments",
        ) from error
