"""task=collect: fill the local store that training reads, and say what failed and why."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import provider
from wealtharena.data.collecting import Collector, Outcome
from wealtharena.errors import ConfigError, Interrupted
from wealtharena.features import keeping
from wealtharena.shown import some
from wealtharena.tasks import console
from wealtharena.tasks.record import RunContext, recorded
from wealtharena.terminal import Screen, styled

log = logging.getLogger(__name__)

_NAMED = 8  # symbols that share a failure and are called by name
_WIDTH = 150  # of the table where no terminal says how wide it is
_STYLE = {
    "failed": "red",
    "new": "green",
    "updated": "green",
    "refetched": "yellow",
    "rejudged": "yellow",
    "restored": "yellow",
    "current": "dim",
}


def run(spec: ExperimentSpec) -> int:
    """Collect every symbol and macro series of the request; return 1 if too many failed, 130 if interrupted.

    What was finished stays: running it again fetches only what is missing.
    """
    context = RunContext.current()
    screen = console.screen()
    if not screen.is_terminal:
        screen = console.screen(at_least=_WIDTH)
    with recorded(spec, context) as record:
        collector = Collector(spec.asset, spec.data, spec.collect)
        outcomes: list[Outcome] = []
        interrupted = False
        try:
            _go_through(spec, screen, collector, outcomes)
        except KeyboardInterrupt:
            interrupted = True
        _say(spec, screen, collector, outcomes)
        code = Interrupted.exit_code if interrupted else int(too_many_failed(spec, outcomes))
        record.update(
            status={0: "completed", 1: "failed"}.get(code, "interrupted"),
            data={"source": ",".join(collector.chain), "simulated": False, "symbols": list(collector.symbols)},
            collect=_content(outcomes),
        )
        if spec.data.store_features and not interrupted:
            _keep_features(screen, spec, collector, outcomes)
        else:
            _name_old_features(screen, spec, collector, outcomes)
        if interrupted:
            screen.print(
                "Interrupted; what is finished is kept. The same command goes on with the rest.", style="yellow"
            )
        elif code:
            message = f"{_failed(outcomes)} of {len(outcomes)} failed"
            hint = f"collect.max_failed_share={spec.collect.max_failed_share:g} allows fewer; what came is kept"
            record.update(error={"type": "DataError", "message": message, "hint": hint})
            screen.print(styled("[red]{}[/], {}", message, hint))
        return code


def beforehand(spec: ExperimentSpec, run: Mapping[str, Any]) -> None:
    """Bring up to date what a run is about to read on this machine, where `train.collect` asks for it.

    What fails is told, and the run goes on with what is there. `run` is run.json's content so far: one that goes on had
    its bars, and would be refused over later ones.
    """
    if not spec.train.collect or "data" in run:
        return
    data, screen = spec.data, console.screen()
    if data.source not in ("auto", "store"):
        kind = provider.find(data.source)
        if kind.renew is provider.Provider.renew:
            log.warning("train.collect: data=%s reads nothing that could be brought up to date", data.source)
        elif hindered := kind(provider.with_manners(kind, data), spec.asset).renew():
            console.screen(answer=True).print(hindered, style="yellow", markup=False)
        return
    try:
        collector = Collector(spec.asset, data.model_copy(update={"source": "auto"}), spec.collect)
    except ConfigError as error:  # no source of the chain has such bars: they came from elsewhere
        log.warning("train.collect: %s", error)
        return
    outcomes: list[Outcome] = []
    _go_through(spec, screen, collector, outcomes)
    _say(spec, screen, collector, outcomes)


def _go_through(spec: ExperimentSpec, screen: Screen, collector: Collector, outcomes: list[Outcome]) -> None:
    """Collect each symbol and series, and then the ECB's rates; `outcomes` has what came of those done so far."""
    healed = collector.store.heal()
    if healed.changed:
        screen.print(f"the catalog was brought up to the files: {len(healed.changed)} entries", style="dim")
    if healed.damaged:
        form = "[yellow]damaged files: {}[/]; what this request names is made again or fetched"
        screen.print(styled(form, ", ".join(healed.damaged)))
    jobs: list[tuple[str, Callable[[str], Outcome]]] = [(name, collector.collect) for name in collector.symbols]
    jobs += [(name, collector.collect_series) for name in _series(spec)]
    with _progress(spec, screen, len(jobs)) as tell:
        for name, job in jobs:
            outcomes.append(job(name))
            tell(outcomes[-1])
        collector.renew_rates()


def _series(spec: ExperimentSpec) -> tuple[str, ...]:
    wanted = (*spec.data.macro.series, *filter(None, [spec.asset.costs.cash_series]))
    return tuple(dict.fromkeys(wanted))


def _say(spec: ExperimentSpec, screen: Screen, collector: Collector, outcomes: Sequence[Outcome]) -> None:
    summarise(screen, spec, outcomes, total=len(collector.symbols) + len(_series(spec)))
    for words in dict.fromkeys(collector.lacking):
        console.screen(answer=True).print(words, style="yellow", markup=False)


def _keep_features(screen: Screen, spec: ExperimentSpec, collector: Collector, outcomes: Sequence[Outcome]) -> None:
    """Write the features of the symbols that came; those of a failed one stay as they were, as its bars do."""
    failed = {outcome.name for outcome in outcomes if outcome.status == "failed"}
    symbols = tuple(name for name in collector.symbols if name not in failed)
    if not symbols:
        return
    written = keeping.keep(spec.asset, spec.data, spec.features, symbols=symbols)
    screen.print(f"features of {len(written)} symbols are in {written[0].parent}")


def _name_old_features(screen: Screen, spec: ExperimentSpec, collector: Collector, outcomes: Sequence[Outcome]) -> None:
    """Say of which symbols the stored features are those of bars that have been replaced."""
    asset, interval = spec.asset.name, spec.data.interval
    changed = [outcome.name for outcome in outcomes if outcome.status not in ("current", "failed")]
    old = [name for name in changed if keeping.features_path(collector.store, asset, name, interval).exists()]
    if old:
        form = "[yellow]{}:[/] the stored features are of earlier bars; data.store_features=true writes them again"
        screen.print(styled(form, some(old, _NAMED)))


def too_many_failed(spec: ExperimentSpec, outcomes: Sequence[Outcome]) -> bool:
    """Return whether more than `collect.max_failed_share` of the symbols failed."""
    return _failed(outcomes) > spec.collect.max_failed_share * len(outcomes)


def _failed(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.status == "failed" for outcome in outcomes)


def summarise(screen: Screen, spec: ExperimentSpec, outcomes: Sequence[Outcome], *, total: int) -> None:
    """Print a row a symbol with its quality, then each failure with its cause and remedy."""
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in _STYLE}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing done"
    left = f", {total - len(outcomes)} not reached" if len(outcomes) < total else ""
    table = Table(
        title=f"{spec.asset.name}: {told}{left}", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for name, justify in (("symbol", "left"), ("source", "left"), ("", "left"), ("bars", "right"), ("new", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # the two literals are what it takes
    for name in ("from", "to", "quality"):
        table.add_column(name)
    for outcome in outcomes:
        row = (outcome.name, outcome.provider, Text(outcome.status, _STYLE[outcome.status]))
        numbers = (f"{outcome.bars:,}", f"{outcome.added:+,}") if outcome.bars else ("-", "-")
        table.add_row(*row, *numbers, outcome.start or "-", outcome.end or "-", outcome.quality)
    if spec.tracking.console != "quiet":
        screen.print(table)
    screen = console.screen(answer=True)
    for remedy, alike in itertools.groupby(failures(outcomes).items(), key=lambda item: item[0][2]):
        for (source, cause, _), names in alike:
            screen.print(styled("[red]{}: {}:[/] {}", source, some(names, _NAMED), cause))
        if remedy:
            screen.print(f"  -> {remedy}")
    for note, names in notes(outcomes).items():
        screen.print(styled("[yellow]{}:[/] {}", some(names, _NAMED), note))


def notes(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """Return the symbols by what is to be said of how their bars came about."""
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.note:
            found.setdefault(outcome.note, []).append(outcome.name)
    return found


def failures(outcomes: Sequence[Outcome]) -> dict[tuple[str, str, str], list[str]]:
    """Return the failed symbols by source, cause and remedy, so that one cause is said once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            found.setdefault((outcome.provider, outcome.cause, outcome.remedy), []).append(outcome.name)
    return found


@contextmanager
def _progress(spec: ExperimentSpec, screen: Screen, total: int) -> Iterator[Callable[[Outcome], None]]:
    """Yield a function that shows one more outcome: a bar on a terminal, a line elsewhere."""
    wanted = spec.tracking.console
    if wanted == "quiet":
        yield lambda outcome: None
        return
    if wanted == "plain" or (wanted == "auto" and not screen.is_terminal):
        done, last = 0, ""

        def line(outcome: Outcome) -> None:
            nonlocal done, last
            done += 1
            what = f"{outcome.bars:,} bars" if outcome.bars else outcome.cause
            what, last = ("(as before)" if what == last and not outcome.bars else what), what
            screen.print(f"{spec.asset.name} {done}/{total} {outcome.name} {outcome.status} {what}")

        yield line
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[last]}", markup=False),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        job = bar.add_task(spec.asset.name, total=total, last="")
        yield lambda outcome: bar.update(job, advance=1, last=f"{outcome.name} {outcome.status}")


def _content(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "symbol": outcome.name,
            "status": outcome.status,
            "provider": outcome.provider,
            "bars": outcome.bars,
            "start": outcome.start,
            "end": outcome.end,
            "quality": outcome.quality,
            "cause": outcome.cause,
            "note": outcome.note,
        }
        for outcome in outcomes
    ]
