"""Flags of the command line, wherever among the words they stand."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final, NoReturn

from hydra._internal.utils import get_args_parser

from wealtharena.config.spelling import key_of
from wealtharena.config.words import unknown_flag
from wealtharena.errors import ConfigError

_INSTEAD: Final = {
    "run": "--run",
    "multirun": "-m",
    "cfg": "--cfg",
    "info": "--info",
    "shell_completion": "--shell-completion",
}
_COMPLETED: Final = re.compile("(?:install|uninstall|query)=(?:bash|fish|zsh)")


class _Word(str):
    """A word of the command line, told by its identity from others that are spelt alike."""


def in_front(argv: Sequence[str]) -> list[str]:
    """Return the arguments with Hydra's flags and their values first: it takes no words on both sides of one.

    Raises:
        ConfigError: a flag that is not known, or whose value is none.
    """
    parser = get_args_parser()
    parser.allow_abbrev = False
    options = [option for action in parser._actions for option in action.option_strings]

    def refuse(message: str) -> NoReturn:
        _, unknown, words = message.partition("unrecognized arguments: ")
        if unknown:
            raise unknown_flag(words.split()[0], argv, options)
        raise ConfigError(message, hint="--help lists keys and flags")

    parser.error = refuse  # type: ignore[method-assign]  # argparse prints its usage and leaves otherwise
    typed = [_Word(word) for word in argv]
    parsed = parser.parse_intermixed_args(typed)
    if parsed.package is not None and parsed.cfg is None:
        raise ConfigError(
            "--package says which part --cfg prints, and there is none",
            hint=f"write --cfg job --package {parsed.package}",
        )
    _check_together(parsed)
    _check_loggers(parsed.overrides)
    words = {id(word) for word in parsed.overrides}
    return [str(word) for word in sorted(typed, key=lambda word: id(word) in words)]


def _check_together(parsed: Namespace) -> None:
    """Raise ConfigError for flags that exclude each other, or that do nothing without another."""
    asked = [flag for name, flag in _INSTEAD.items() if getattr(parsed, name)]
    if len(asked) > 1:
        raise ConfigError(f"{asked[0]} and {asked[1]} are two things to do", hint=f"leave out {asked[1]}")
    if parsed.resolve and not parsed.cfg:
        raise ConfigError("--resolve is for what --cfg prints, and there is none", hint="write --cfg job --resolve")
    if parsed.shell_completion and not any(_COMPLETED.fullmatch(word) for word in parsed.overrides):
        raise ConfigError(
            "--shell-completion does not say what to do",
            hint="write --shell-completion install=bash, or uninstall=bash; bash may be fish or zsh",
        )


def _check_loggers(words: Sequence[str]) -> None:
    """Raise ConfigError where hydra.verbose is neither true, false nor names of modules: no logger would answer to it."""
    for word in words:
        if key_of(word) != "hydra.verbose":
            continue
        names = re.findall(r"[^\s,'\"\[\]]+", word.partition("=")[2])
        strange = [name for name in names if not name[0].isalpha() or find_spec(name.partition(".")[0]) is None]
        if [name.lower() for name in names] not in (["true"], ["false"]) and (strange or not names):
            raise ConfigError(
                f"{word}: {strange[0] if strange else 'nothing'} is no module that logs",
                hint="write true, false, or modules, such as hydra.verbose=wealtharena.data",
            )
