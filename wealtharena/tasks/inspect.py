"""task=inspect: what is read from a source, what it is taken for and what is made of it, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from wealtharena import data
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import loading
from wealtharena.data.panel import Panel
from wealtharena.data.providers import files
from wealtharena.files import relative
from wealtharena.reporting import inspection
from wealtharena.tasks import console
from wealtharena.tasks.record import RunContext

Facts = Sequence[tuple[str, str]]
_SHOWN = 12  # files and symbols on the console; the page has all


def run(spec: ExperimentSpec) -> int:
    """Read the source, print what was settled and write a page with a picture of the bars; returns 0."""
    settled: list[tuple[str, Facts]] = []
    if spec.data.source == files.Provider.name:
        loading.check_request(spec.data)
        origin = loading.make_provider(spec.data.source, spec.asset, spec.data, seed=spec.seed)
        panel = loading.panel_of(origin, spec.asset, spec.data)
        if isinstance(origin, files.Provider):
            settled = [(item.name, item.facts) for item in origin.content().reading.settled]
            settled.append(("figures", origin.content().meanings()))
    else:
        panel = data.load(spec.asset, spec.data, seed=spec.seed)
    symbols = [_about(panel, column, spec.asset.account_currency) for column in range(len(panel.symbols))]
    page = RunContext.current().folder / "inspection.html"
    inspection.write(page, inspection.Inspection(panel, settled, symbols))
    _show(panel, settled, symbols)
    console.screen(answer=True).print(f"Page: {relative(page)}")
    return 0


def _about(panel: Panel, column: int, account_currency: str) -> dict[str, str]:
    close = panel.close[:, column]
    there = np.flatnonzero(np.isfinite(close))
    first, last = (str(panel.timestamps[i])[:16].removesuffix("T00:00") for i in (there[0], there[-1]))
    fills = int(panel.tradable[:, column].sum())
    return {
        "symbol": panel.symbols[column],
        "bars": f"{len(there):,}",
        "first": first,
        "last": last,
        "tradable": f"{fills / len(there):.1%}",
        "last close": f"{close[there[-1]]:.6g}",
        f"in {account_currency}": f"{close[there[-1]] * panel.to_account[there[-1], column]:.6g}",
        "volume": panel.volume_unit if _has_volume(panel, column) else "none",
        "dividends": str(int((panel.dividends[:, column] != 0).sum())),
    }


def _has_volume(panel: Panel, column: int) -> bool:
    return panel.volume is not None and bool(np.isfinite(panel.volume[:, column]).any())


def _show(panel: Panel, settled: Sequence[tuple[str, Facts]], symbols: Sequence[Mapping[str, str]]) -> None:
    out = console.screen(at_least=100)
    for name, facts in [*settled[: _SHOWN - 1], settled[-1]] if len(settled) > _SHOWN else settled:
        table = Table(title=name, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
        table.add_column(style="dim")
        table.add_column()
        for topic, answer in facts:
            table.add_row(topic, answer)
        out.print(table)
    table = Table(box=None, pad_edge=False, title="bars", title_justify="left", title_style="bold")
    for name in symbols[0]:
        table.add_column(name, justify="left" if name in ("symbol", "first", "last", "volume") else "right")
    for row in symbols[:_SHOWN]:
        table.add_row(*row.values())
    out.print(table)
    if len(symbols) > _SHOWN:
        out.print(f"and {len(symbols) - _SHOWN} more symbols, on the page")
    told = f"{panel.bars:,} bars of {panel.frequency}, fingerprint {panel.fingerprint[:16]}"
    out.print(console.marked(told, simulated=panel.simulated))
    console.tell(panel.notes)
