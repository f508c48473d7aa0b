"""Flags of the command line, wherever among the words they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from wealtharena.config.suggest import nearest
from wealtharena.errors import ConfigError


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
        near = nearest(words.split()[0], options) if unknown else []
        hint = f"did you mean {' or '.join(near)}?" if near else "--help lists keys and flags"
        raise ConfigError(f"unknown flag {words.split()[0]}" if unknown else message, hint=hint)

    parser.error = refuse  # type: ignore[method-assign]  # argparse prints its usage and leaves otherwise
    typed = [_Word(word) for word in argv]
    parsed = parser.parse_intermixed_args(typed)
    if parsed.package is not None and parsed.cfg is None:
        raise ConfigError(
            "--package says which part --cfg prints, and there is none",
            hint=f"write --cfg job --package {parsed.package}",
        )
    words = {id(word) for word in parsed.overrides}
    return [str(word) for word in sorted(typed, key=lambda word: id(word) in words)]
