"""What a person reads on a terminal: texts as they are, whoever wrote them, style from our own words alone, no figure cut."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, TextIO, cast

from rich.cells import cell_len
from rich.console import Console
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from wealtharena.files import let_go, naming

_WIDE = 10_000  # columns, more than any table has
_SLACK = 4  # columns by which a table with broken lines may be wider than it was allowed to be
_TAG = re.compile(r"\[(/?)([^][{}]*)\]")


class Screen(Console):
    """A console that takes no text for markup, for an emoji or for a command to the terminal.

    A symbol called `[/x]`, a run called `:x:` and a reason with an escape sequence in it are shown as they were written.
    Style comes by `style=` and by `styled`. A table that the terminal is too narrow for is shown as lines, since half a
    figure is another figure.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "soft_wrap": True, **options})
        if self.width < 1:  # COLUMNS=0: rich would print nothing
            self.width = 80

    def render_str(self, text: str, **options: Any) -> Text:
        """Return `text` as it is, whatever `options` say of markup."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def print(self, *things: Any, **options: Any) -> None:
        """Print, a table as lines where its columns do not fit side by side."""
        with naming(Path("standard output")):
            super().print(*(self._fitting(thing) for thing in things), **options)

    def on_broken_pipe(self) -> None:
        """Say no more to a reader that has gone, as `head` does; rich would end the run."""
        self.quiet = True
        let_go(cast("TextIO", self.file))

    def _fitting(self, thing: Any) -> Any:
        if not isinstance(thing, Table):
            return thing
        for column in thing.columns:  # lines break between words alone
            words = [word for cell in (column.header, *column.cells) for word in _text(cell, self).plain.split()]
            column.min_width = max(column.min_width or 0, *map(cell_len, words), 0)
        anywhere = self.options.update(width=_WIDE)
        needs, room = Measurement.get(self, anywhere, thing), self.width - _SLACK
        if needs.maximum <= self.width:
            return thing
        return Constrain(thing, room) if needs.minimum <= room else _as_lines(thing, self)


def _as_lines(table: Table, screen: Screen) -> Text:
    """Return a table as text: of each row its first cell, then the others under it, each behind its heading."""
    made = Text()
    if table.title:
        made.append(_text(table.title, screen)).append("\n")
    heads = [_text(column.header, screen).plain if table.show_header else "" for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    for row, kind in zip(rows, table.rows, strict=True):
        cells = [_text(cell, screen) for cell in row]
        line = Text(style=kind.style or "").append(cells[0])
        for head, cell in zip(heads[1:], cells[1:], strict=True):
            if not cell.plain:
                continue
            pair = Text(f"{head} ".lstrip(), "dim").append(cell)
            room = screen.width - len(line.plain.rpartition("\n")[2])
            line.append("  " if len(pair) + 2 <= room else "\n  ").append(pair)
        made.append(line).append("\n")
    made.right_crop(1)
    return made


def _text(cell: Any, screen: Screen) -> Text:
    return cell.copy() if isinstance(cell, Text) else screen.render_str(str(cell))


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


def figure(value: float | None, form: str) -> str:
    """Return a number in a form such as `+.2f`, never a negative zero; a dash where it is not known or not defined."""
    if value is None or not math.isfinite(value):
        return "-"
    text = f"{value:{form}}"
    return text if any(digit in text for digit in "123456789") else f"{0.0:{form}}"


def printable(text: str) -> str:
    """Return `text` with what a terminal would obey, or could not show, as its escape; newlines and tabs stay."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    known = letter.isprintable() or letter in "\n\t"
    return letter if known else letter.encode("unicode_escape").decode()
