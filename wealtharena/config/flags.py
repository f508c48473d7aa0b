"""Flags of the command line, wherever among the words they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from wealtharena.config.suggest import nearest
from wealtharena.errors import ConfigError


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
    words = Counter(parser.parse_intermixed_args(list(argv)).overrides)
    flags: list[str] = []
    rest: list[str] = []
    for word in reversed(argv):  # a flag's value that is also a word stands before it
        (rest if words[word] > 0 else flags).append(word)
        words[word] -= 1
    return [*reversed(flags), *reversed(rest)]
