"""inspection.html: what was read, what it was taken for, and a picture of the bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wealtharena import files
from wealtharena.data import provider
from wealtharena.data.panel import Panel
from wealtharena.reporting import tables
from wealtharena.reporting.charts.bars import bars
from wealtharena.reporting.page import figure, page, section
from wealtharena.reporting.svg import Size
from wealtharena.reporting.words import escape, prose

_WIDE, _NARROW = Size(860, 230, left=46, right=14), Size(348, 200, left=42, right=10)
DRAWN = 24  # symbols of which a picture is drawn


@dataclass(frozen=True, eq=False)
class Inspection:
    """What task=inspect found: `settled` are (file, (topic, answer) pairs); `symbols` one row of facts a symbol."""

    panel: Panel
    settled: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    symbols: Sequence[Mapping[str, str]]


def write(path: Path, found: Inspection) -> None:
    """Write the page to `path`, whole or not at all."""
    files.write_text(path, render(found))


def render(found: Inspection) -> str:
    """Return the page as an HTML document."""
    panel = found.panel
    banner = (
        '<div class="banner" role="alert">SIMULATED DATA <span>drawn from a market simulator</span></div>'
        if panel.simulated
        else ""
    )
    head = (
        '<header class="top"><p class="eyebrow">WealthArena · bars as they are read</p>'
        f"<h1>{escape(_named(found))} <small>{len(panel.symbols)} symbol{'s' if len(panel.symbols) != 1 else ''}, {panel.bars:,} bars of "
        f"{escape(panel.frequency)}</small></h1></header>"
    )
    body = f"{banner}{head}<main>{_notes(panel)}{_settled(found)}{_symbols(found)}{_pictures(panel)}</main>"
    return page(title=f"Bars of {panel.source}", body=body)


def _named(found: Inspection) -> str:
    """Return the file that was read, or whose bars they are."""
    if len(found.settled) > 1 and found.panel.source == "files":  # the last entry is what holds for all of them
        return found.settled[0][0] if len(found.settled) == 2 else f"{len(found.settled) - 1} files"
    known = provider.found(found.panel.source)
    return known.title if known else found.panel.source


def _notes(panel: Panel) -> str:
    listed = "".join(f"<li>{prose(note)}</li>" for note in panel.notes)
    return section("notes", "What to know", f'<ul class="notes">{listed}</ul>' if listed else "")


def _settled(found: Inspection) -> str:
    parts = [
        f"<h3>{escape(name)}</h3>{tables.facts([(topic, escape(answer)) for topic, answer in facts])}"
        for name, facts in found.settled
    ]
    return section("settled", "What was settled", *parts)


def _symbols(found: Inspection) -> str:
    if not found.symbols:
        return ""
    head = list(found.symbols[0])
    rows = [[escape(row[name]) for name in head] for row in found.symbols]
    return section("symbols", "Symbols", tables.table([escape(name) for name in head], rows))


def _pictures(panel: Panel) -> str:
    shown = panel.symbols[:DRAWN]
    drawn = [
        figure(symbol, bars(_WIDE, panel, i) + bars(_NARROW, panel, i), note="close, range, volume")
        for i, symbol in enumerate(shown)
    ]
    more = len(panel.symbols) - len(shown)
    lead = f"The first {len(shown)} of {len(panel.symbols)} symbols. " if more else ""
    return section(
        "bars", "Bars", *drawn, lead=f"{lead}A mark along the bottom stands under bars that cannot be traded."
    )
