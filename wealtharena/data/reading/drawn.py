"""Tables that are drawn for the eye (Markdown, psql, sqlite, MySQL, DuckDB) or cut by blanks: brought to a plain table."""

from __future__ import annotations

import re
from typing import Final

from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.flat import apart
from wealtharena.data.reading.heads import SEPARATORS
from wealtharena.data.reading.settled import Ledger

_PEEK: Final = 60  # lines in which a rule stands, if there is one
_RULE: Final = re.compile(r"(?=.*(?:--|==|:-|-:))[|+:;,\t =-]+")
_SPANS: Final = re.compile(r"[-=]+")
_COUNT: Final = re.compile(r"\(?[0-9]+ rows?\b[^|,;\t]*")  # (40 rows), 40 rows in set (0.00 sec), (40 rows affected)
_WORD: Final = re.compile(r'"[^"\n]*"|\S+')
_DATE_AND_TIME: Final = re.compile(
    r"(?m)^([ \t]*(?:\S+[ \t]+)?[0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}) (?=[0-9]{2}:[0-9]{2})"
)
_UPRIGHT, _LEVEL = "│┃║┆┇┊┋", "─━═┄┅┈┉╌╍"  # of the signs that boxes are drawn with
_BOXES: Final = {
    place: "|" if chr(place) in _UPRIGHT else "-" if chr(place) in _LEVEL else "+" for place in range(0x2500, 0x2580)
}
_NUMBER_TYPE: Final = (
    r"(?:u?(?:big|small|tiny|huge)?int(?:eger)?|float|double(?: precision)?|[uif])\d*|real|dbl|decimal|numeric"
)
_OTHER_TYPE: Final = (
    r"datetime(?:64)?|date(?:32|64)?|timestamp(?:tz)?|time|dttm|str|string|object|category|bool(?:ean)?|lgl|chr|char|"
    r"n?varchar|text|fct"
)
_BEHIND: Final = r"(?:\[[^\]]*\]|\([0-9, ]*\))?"


def undrawn(text: str, ledger: Ledger) -> str:
    """Return the text without what draws a table: rules become blank lines, bars at the edges and counts of rows go.

    A listing whose columns are marked by a rule of dashes alone, or by blanks alone, has a tab between its cells
    afterwards. Any other text without a rule below or above its header stays as it is.
    """
    if any(sign in text[: 1 << 14] for sign in _UPRIGHT):
        text = text.translate(_BOXES)
    lines = text[: 1 << 18].split("\n")[:_PEEK]
    rules = [place for place, line in enumerate(lines) if _RULE.fullmatch(line.strip())]
    if not rules:
        return _spaced(text, lines, ledger)
    drawn, written = {lines[place].strip() for place in rules}, text.split("\n")
    header = next((line for line in written if "|" in line and line.strip() not in drawn), "")
    lines = ["" if line.strip() in drawn or _COUNT.fullmatch(line.strip()) else line for line in written]
    if not any("|" in rule or "+" in rule for rule in drawn):
        marked = next((place for place in rules if len(_SPANS.findall(written[place])) > 1), None)
        return "\n".join(lines if marked is None else _cut(lines, written[marked], marked))
    ledger.settle("table", "drawn with bars and a rule, which are passed over")
    if header.strip().startswith("|"):
        lines = [_unframed(line) if line.lstrip().startswith("|") else line for line in lines]
    return "\n".join(lines)


def _unframed(line: str) -> str:
    return line.strip().removeprefix("|").removesuffix("|")


def _cut(lines: list[str], rule: str, place: int) -> list[str]:
    """Return the lines from the header above the rule on with a tab between their cells; as they are where none fits.

    Cells are words, one a column; or what stands below a column's dashes, in a table with blanks or spaces in its cells.
    """
    above = next((i for i in range(place - 1, -1, -1) if lines[i].strip()), None)
    if above is None or not re.fullmatch(r"[-= ]+", rule):
        return lines
    spans = [found.span() for found in _SPANS.finditer(rule)]
    table = [line for line in lines[above:] if line.strip()]
    if all(len(line.split()) == len(spans) for line in table):
        return [*lines[:above], *("\t".join(line.split()) for line in lines[above:])]
    starts = [start for start, _ in spans]
    if any(line[start - 1 : start].strip() for line in table for start in starts[1:]):
        return lines
    ends = [*starts[1:], None]
    return [
        *lines[:above],
        *(
            "\t".join(line[start:end].strip() for start, end in zip(starts, ends, strict=True)) if line.strip() else ""
            for line in lines[above:]
        ),
    ]


def _spaced(text: str, lines: list[str], ledger: Ledger) -> str:
    """Return the text with a tab between its words where a line of names has nothing else between them, as R writes tables."""
    place = next((i for i, line in enumerate(lines) if _names_a_bar(line)), None)
    below = next((line for line in lines[place + 1 :] if line.strip()), "") if place is not None else ""
    if place is None or any(sign in below for sign in "\t|;"):
        return text
    width = len(_WORD.findall(lines[place]))
    joined = _DATE_AND_TIME.sub(r"\1T", below)
    if len(_WORD.findall(below)) != width and len(_WORD.findall(joined)) == width:
        text = _DATE_AND_TIME.sub(r"\1T", text)
    elif len(_WORD.findall(below)) not in (width, width + 1):  # row numbers have no name
        return text
    ledger.settle("separator", "blanks")
    if '"' in text:
        return "\n".join("\t".join(_WORD.findall(line)) for line in text.split("\n"))
    return re.sub(r"(?m)^\t+|\t+$", "", re.sub(r"[^\S\n]+", "\t", text))


def _names_a_bar(line: str) -> bool:
    """Return whether a line holds names of a bar's columns with blanks between them and no separator."""
    if any(sign in line for sign in SEPARATORS):
        return False
    words = [word.strip('"') for word in _WORD.findall(line)]
    known = {role_of(word) for word in words} - {None}
    whole = "close" in known and len(known) >= 3 and 2 * len(known) >= len(words)
    return whole or ("timestamp" in known and apart(words) is not None)  # as write.zoo writes AAPL.Close


def are_types(cells: list[str]) -> bool:
    """Return whether a row says of what type its columns are: float64, `varchar(10)`, <dbl>; one of them holds numbers."""
    words = [cell.strip("<> ") for cell in cells if cell]
    known = [re.fullmatch(f"(?:(?P<number>{_NUMBER_TYPE})|{_OTHER_TYPE}){_BEHIND}", word, re.I) for word in words]
    return len(words) > 1 and all(known) and any(found and found["number"] for found in known)
