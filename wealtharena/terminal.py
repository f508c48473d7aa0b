"""What a person reads on a terminal: texts as they are, whoever wrote them, and style from our own words alone."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.text import Text

_TAG = re.compile(r"\[(/?)([^][{}]*)\]")


class Screen(Console):
    """A console that takes no text for markup, for an emoji or for a command to the terminal.

    A symbol called `[/x]`, a run called `:x:` and a reason with an escape sequence in it are shown as they were written.
    Style comes by `style=` and by `styled`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "soft_wrap": True, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Return `text` as it is, whatever `options` say of markup."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def styled(form: str, *given: object) -> Text:
    """Return `form` with its styles ([bold]...[/]) carried out, and what is `given` put in for each {} as it is.

    ValueError where it has more or fewer places than there are things given.
    """
    made, style, left, at = Text(), "", list(given), 0
    for tag in [*_TAG.finditer(form), None]:
        own = form[at : tag.start() if tag else len(form)]
        for n, words in enumerate(own.split("{}")):
            if n and not left:
                raise ValueError(f"{form!r} has more places than things to put there")
            made.append(printable(str(left.pop(0))) if n else "", style)
            made.append(words, style)
        if tag is not None:
            style, at = "" if tag[1] else tag[2], tag.end()
    if left:
        raise ValueError(f"{form!r} has no place for {left[0]!r}")
    return made


def printable(text: str) -> str:
    """Return `text` with what a terminal would obey, or could not show, as its escape; newlines and tabs stay."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    known = letter.isprintable() or letter in "\n\t"
    return letter if known else letter.encode("unicode_escape").decode()
