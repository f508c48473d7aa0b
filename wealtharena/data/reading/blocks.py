"""Blocks side by side, one a security, each with its own dates under its name: what Bloomberg's BDH leaves in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise
from typing import Final

import pandas as pd

from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.heads import PEEK, SEPARATORS
from wealtharena.data.reading.settled import Ledger

_BLOOMBERG: Final = re.compile(r"\S+( \S+)? (equity|index|curncy|comdty|corp)", re.IGNORECASE)


def unblocked(text: str, ledger: Ledger) -> str:
    """Return one row a bar and security of blocks with a line of names above their header; any other text as it is.

    A lone block is one where Bloomberg's name of a security stands above it.
    """
    lines = text.split("\n", PEEK)[:PEEK]
    for separator in SEPARATORS:
        grid = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
        for place, (above, names) in enumerate(pairwise(grid), start=1):
            found = _blocks(above, names) if len(names) > 1 else {}
            if found and (len(found) > 1 or _BLOOMBERG.fullmatch(next(iter(found)))):
                return _long(text.split("\n", place + 1)[-1], separator, found, names, ledger)
    return text


def _blocks(above: list[str], names: list[str]) -> dict[str, range]:
    """Return the columns of each block by the name above it; nothing where one lacks a close or its name, or two share one."""
    starts = [place for place, name in enumerate(names) if role_of(name) == "timestamp"]
    found: dict[str, range] = {}
    for start, end in pairwise([*starts, len(names)]):
        titles = [title for title in above[start:end] if title]
        if len(titles) != 1 or titles[0] in found or "close" not in {role_of(name) for name in names[start:end]}:
            return {}
        found[titles[0]] = range(start, end)
    return found


def _long(content: str, separator: str, found: dict[str, range], names: list[str], ledger: Ledger) -> str:
    table = pd.read_csv(
        io.StringIO(content), sep=separator, header=None, names=range(len(names)), dtype="str", keep_default_na=False,
        index_col=False,
    )  # fmt: skip
    parts = []
    for symbol, columns in found.items():
        named = [place for place in columns if names[place]]
        part = table[named].set_axis([names[place] for place in named], axis=1)
        there = (part.iloc[:, 0].str.strip() != "") & (part.iloc[:, 1:] != "").any(axis=1)
        parts.append(part[there].assign(symbol=symbol))
    shown = ", ".join(list(found)[:8])
    ledger.note(f"blocks side by side are read as securities, by the names above them: {shown}")
    return str(pd.concat(parts, ignore_index=True).to_csv(index=False))
