"""task=audit: prove on this very data that nothing the agent sees, earns or trades at knows the future."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from rich.text import Text

from wealtharena import data
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import loading
from wealtharena.data.bars import RawBars
from wealtharena.data.panel import Panel
from wealtharena.data.provider import fetched as fetched_from
from wealtharena.data.store import Store
from wealtharena.envs.market import resolve_fill
from wealtharena.errors import ProviderError
from wealtharena.evaluation import audit
from wealtharena.tasks import console
from wealtharena.tasks.pipeline import describe
from wealtharena.tasks.record import RunContext, recorded
from wealtharena.terminal import printable, styled

_WORDS = {True: ("passed", "green"), False: ("FOUND", "bold red"), None: ("not made", "dim")}


def run(spec: ExperimentSpec) -> int:
    """Audit the asset's data, features, environment and repairs; return 1 on a finding, after naming the first of each."""
    context = RunContext.current()
    with recorded(spec, context) as record:
        panel = data.load(spec.asset, spec.data, seed=spec.seed)
        record.update(
            data=describe(panel, currency=spec.asset.account_currency), fill=resolve_fill(spec.env.fill, panel)
        )
        report = audit.audit(
            panel,
            spec.features,
            spec.env,
            quality=spec.data.quality,
            points=spec.audit.bars,
            rng=np.random.default_rng(spec.seed),
            raw=raw_bars(spec, panel),
            subject=audit.Subject(repair=lambda raw: loading.clean(raw, spec.asset, spec.data)[0]),
        )
        record.update(audit=report.to_json(), status="completed")
    show(report, panel)
    return 0 if report.passed else 1


def raw_bars(spec: ExperimentSpec, panel: Panel) -> Sequence[RawBars]:
    """Return what the panel's source sent, before any repair; nothing for simulated data or a source that is away."""
    if panel.simulated:
        return ()
    if panel.source == "store":
        return _stored(spec, panel)
    provider = loading.make_provider(panel.source, spec.asset, spec.data, seed=spec.seed)
    found = []
    for symbol in panel.symbols:
        with suppress(ProviderError):
            fetched = fetched_from(provider, symbol, spec.data.start, spec.data.end, spec.data.interval)
            if isinstance(fetched, RawBars):
                found.append(fetched)
    return found


def _stored(spec: ExperimentSpec, panel: Panel) -> Sequence[RawBars]:
    store = Store(spec.data.root)
    catalog = store.catalog()["bars"]
    keys = {entry_symbol: key for key, entry in catalog.items() if (entry_symbol := entry.get("symbol"))}
    found = []
    for symbol in panel.symbols:
        entry = catalog.get(keys.get(symbol, ""))
        raw = store.read_raw(spec.asset.name, entry["provider"], symbol, spec.data.interval) if entry else None
        if raw is not None:
            found.append(raw)
    return found


def show(report: audit.AuditReport, panel: Panel) -> None:
    """Print every check with its answer."""
    out = console.screen()
    days = panel.timestamps.astype("datetime64[D]")
    title = f"Look-ahead audit of {panel.asset}, {panel.source}, {len(panel.symbols)} symbols, {days[0]} to {days[-1]}"
    out.print(console.marked(title, simulated=panel.simulated))
    told = out if report.passed else console.screen(answer=True)  # what was found is never kept quiet
    console.tell(panel.notes)
    for check in report.checks:
        word, style = _WORDS[check.passed]
        told.print(Text.assemble("  ", (f"{word:<9}", style), f" {check.name:<12} {printable(check.detail)}"))
    for suspicion in report.suspicions:
        out.print(styled("  [yellow]to be looked at[/] {}", suspicion))
    if report.passed:
        console.screen(answer=True).print("No look-ahead found.")
    else:
        told.print(f"{len(report.findings)} checks found look-ahead.", style="bold red")
