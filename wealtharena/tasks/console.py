"""What a run says on the terminal before and after its work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TextIO, cast

from rich.table import Table
from rich.text import Text

from wealtharena.config import speech
from wealtharena.config.spelling import going_on
from wealtharena.errors import WealthArenaError
from wealtharena.files import relative
from wealtharena.reporting.words import challenged, kept_shares, learned, window_of
from wealtharena.shown import bar_time
from wealtharena.terminal import Screen, figure, styled
from wealtharena.tracking.console import duration
from wealtharena.trading.reading import since_close

_MEASURES = (
    ("total_return", "return", "+.1%"),
    ("annual_return", "a year", "+.1%"),
    ("sharpe", "Sharpe", "+.2f"),
    ("max_drawdown", "drawdown", ".1%"),
    ("turnover", "turnover", ".1f"),
    ("trades", "trades", ",.0f"),
)
LEAST_TOLD = 0.0005  # of an account's order value: what reads as 0.0 % is not told
TOLD_SECONDS = 3.0  # a task that took longer says so
GUARDED: Final = (
    "risk rules stand before the agent, and before the anchor of a tilt; the other baselines are played without them"
)
STYLE: Final = {"promotable": "bold green", "unproven": "bold yellow", "rejected": "bold red"}  # of a verdict


def screen(*, at_least: int = 0, answer: bool = False) -> Screen:
    """Return the console that a person reads; numbers are not coloured for their own sake.

    A table whose cells will be typed again is written `at_least` so many columns wide, however narrow the terminal. With
    quiet=true nothing is shown but an `answer`: a verdict, what a task was asked to tell, where a result is, an alarm.
    """
    if speech.is_quiet() and not answer:
        return Screen(quiet=True)
    if speech.as_json():
        return Screen(file=cast("TextIO", speech.Lines()), width=max(at_least, speech.WIDE), no_color=True)
    found = Screen()
    return found if found.width >= at_least else Screen(width=at_least)


def simulated(words: str) -> Text:
    """Return `words` behind the stamp of simulated data."""
    return styled("[bold white on red] SIMULATED DATA [/] {}", words)


def marked(words: str, *, simulated: bool) -> Text:
    """Return `words`, before the stamp of simulated data where they are about such."""
    return styled("{} [bold white on red] SIMULATED DATA [/]" if simulated else "{}", words)


def took(seconds: float) -> None:
    """Say how long a task took; a glance is not told."""
    if seconds >= TOLD_SECONDS:
        screen().print(f"Took {duration(seconds)}.", style="dim")


def header(record: Mapping[str, Any], *, notes: Sequence[str] = ()) -> None:
    """Say what is about to be trained, on what data, and what a reader should know about that data."""
    data, split = record["data"], record["split"]
    out = screen()
    if data["simulated"]:
        out.print(simulated("these prices come from a market simulator, not from a market."))
    made, span = f"{record['algo']} seed {record['seed']}", f"{data['start']} to {data['end']}"
    bars = f"{data['bars']:,} bars of {data['frequency']}"
    form = "[bold]{}[/]  {}  {} symbols from [bold]{}[/], {}, {}"
    out.print(styled(form, record["agent"], made, len(data["symbols"]), data["source"], span, bars))
    spans = "  ".join(f"{name} {_span(split[name])}" for name in ("train", "validation", "test"))
    of = "" if split.get("name", "holdout") == "holdout" else "  (training and validation: the last fold's)"
    out.print(f"{spans}{of}  fills at the {record['fill'].replace('_', ' ')}")
    tell(notes)


def goes_on_from(steps: Mapping[int, int], *, total: int) -> None:
    """Say from which step, of each fold that has begun, a training goes on: a kill loses what came after the last saved state."""
    where = f"step {max(steps.values()):,} of {total:,}" if steps else "its begin: no state had been saved"
    screen().print(f"Goes on from {where}")


def tell(notes: Sequence[str]) -> None:
    """Say what a reader must know about the data before believing a figure."""
    for note in notes:
        screen().print(f"- {note}", style="dim")


def interrupted(folder: Path) -> None:
    """Say how to go on."""
    form = "[yellow]Interrupted; the last checkpoint is kept.[/] Go on with: {}"
    screen().print(styled(form, going_on(folder)))


def nothing_to_do(folder: Path, *, taken: int | None) -> None:
    """Say that a run which was to go on has ended, after how many steps, and where its results are."""
    out = screen(answer=True)
    after = "" if taken is None else f" after {taken:,} steps: it ends with the rollout in which its budget is reached"
    out.print(f"Nothing to do: the run in {relative(folder)} is completed{after}.")
    larger = "a larger train.env_steps" if taken is None else f"train.env_steps above {taken}"
    out.print(f"With {larger} another run goes on from it; to train otherwise, leave resume= out.")


def nothing_to_search(folder: Path, *, study: str | None) -> None:
    """Say that a search which was to go on has chosen its winner, and how another one tries more."""
    out = screen(answer=True)
    out.print(f"Nothing to do: the search in {relative(folder)} is completed.")
    kept = "one with sweep.study=<name> keeps its trials for those after it"
    named = f"one with sweep.study={study} and a larger sweep.trials goes on from its trials"
    out.print(f"To try more, start another search: {named if study else kept}.")


def result(record: Mapping[str, Any], folder: Path) -> None:
    """Say what the test window showed, beside the baselines, with the verdict and where the report is."""
    out = screen()
    out.print(comparison_table(record))
    for line in (*kept_share_notes(record), *baseline_notes(record)):
        out.print(line, style="dim")
    verdict(record)
    for reason in (record.get("verdict") or {}).get("reasons", ()):
        out.print(f"  - {reason}")
    if record.get("challenge"):
        out.print(challenged(record["challenge"]))
    if record["data"]["simulated"]:
        out.print(simulated("nothing above says anything about a real market."))
    report(folder)


def _verdict(status: str, *, simulated: bool) -> Text:
    """Return the verdict; `simulated` stamps it where nothing else is said that would."""
    said = Text("Verdict: ").append(status, STYLE.get(status, "bold"))
    return said.append(" ").append(" SIMULATED DATA ", "bold white on red") if simulated else said


def risk_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what `risk_over` found as sentences."""
    counts = found["interventions"].items()
    lines = [f"Risk rules: {what}, {count} time{'s' if count != 1 else ''}" for what, count in counts]
    if found["stopped_at"]:
        lines.append(f"Risk rules ended the trading at {bar_time(found['stopped_at'])}.")
    guarded, plain = found["total_return"], found["total_return_without"]
    return [*lines, f"Return with risk rules {guarded:+z.1%}, without them {plain:+z.1%}."]


def spread_line(found: Mapping[str, Any]) -> str:
    """Return what `spread_over` found as a sentence."""
    return (
        f"Spread of the {found['members']} members: {found['mean_spread']:.1%} of equity on average, "
        f"{found['max_spread']:.1%} at most"
    )


def verdict(record: Mapping[str, Any]) -> None:
    """Say the word of the verdict."""
    status = (record.get("verdict") or {}).get("status", "unproven")
    screen(answer=True).print(_verdict(status, simulated=speech.is_quiet() and record["data"]["simulated"]))


def report(folder: Path) -> None:
    """Say where the report is, or the figures: none is written with tracking.report=false, or where it cannot be drawn."""
    out = screen(answer=True)
    if (folder / "report.html").is_file():
        out.print(f"Report: {relative(folder / 'report.html')}")
    else:
        out.print(f"Figures: {relative(folder / 'run.json')}")


def written(path: Path) -> None:
    """Say that a file was written."""
    screen(answer=True).print(f"Written: {relative(path)}")


def tracked(places: Sequence[str]) -> None:
    """Say where Weights & Biases and other mirrors have the run."""
    for place in places:
        screen().print(place)


def comparison_table(record: Mapping[str, Any], *, window: str = "test") -> Table:
    """Return the agent's and the baselines' measures over the window that was played, or the validation window."""
    title = f"{window_of(record, window).capitalize()}, after costs"
    if record["algo"] == "returns":  # made elsewhere: nobody knows of costs and windows
        title = "The record"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("")
    for _, name, _ in _MEASURES:
        table.add_column(name, justify="right")
    rows = {record["algo"]: record["metrics"][window], **(record.get("baselines") or {})}
    for position, (name, measures) in enumerate(rows.items()):
        cells = [figure(measures.get(key), form) for key, _, form in _MEASURES]
        several = f" (mean of {measures['seeds']})" if measures.get("seeds") else ""
        table.add_row(name.replace("_", " ") + several, *cells, style="bold" if position == 0 else "")
    return table


def kept_share_notes(record: Mapping[str, Any]) -> list[str]:
    """Return how much of what was learned is played and why, one line; none where nothing is shrunk."""
    shares = kept_shares(record).values()
    if not shares:
        return []
    low, high = min(shares), max(shares)
    told = f"{high:.2f}" if low == high else f"{low:.2f} to {high:.2f} over {len(shares)} folds"
    return [f"Lambda {told}: {learned(record)}"]


def baseline_notes(record: Mapping[str, Any]) -> list[str]:
    """Return what the figures of a baseline do not say: how much of it was bought, how far its draws lie apart."""
    notes = []
    added = ((record.get("comparison") or {}).get("anchor") or {}).get("active")
    if added:
        ratio = figure(added["information_ratio"], "+.2f")
        less = (
            "one of the two accounts was emptied, so there is no figure a year"
            if added["annual_return"] is None
            else f"{added['annual_return']:+.2%} a year, information ratio {ratio}"
        )
        notes.append(f"Less its anchor: {less}, active share {added['active_share']:.1%}.{_ratios_inside(record)}")
    for name, measures in (record.get("baselines") or {}).items():
        label = name.replace("_", " ").capitalize()
        if measures.get("invested") is not None:
            notes.append(f"{label} held {measures['invested']:.0%} of what it was to hold, over the window.")
        if measures.get("sharpe_low") is not None:
            low, high = measures["sharpe_low"], measures["sharpe_high"]
            notes.append(
                f"{label}: nine in ten of {measures['seeds']} draws have a Sharpe from {low:+.2f} to {high:+.2f}."
            )
    return notes


def _ratios_inside(record: Mapping[str, Any]) -> str:
    """Return the information ratio to the anchor where the agent has learnt and was chosen; nothing without one."""
    windows = record.get("metrics") or {}
    found = {name: (windows.get(name) or {}).get("information_ratio") for name in ("train", "validation")}
    if found["train"] is None or found["validation"] is None:
        return ""
    return f" That ratio in training {found['train']:+.2f}, on validation {found['validation']:+.2f}."


def _span(dates: Any) -> str:
    first = dates[0] if isinstance(dates[0], str) else dates[0][0]
    last = dates[-1] if isinstance(dates[-1], str) else dates[-1][-1]
    return f"{first}..{last}"


def paper_header(
    record: Mapping[str, Any], *, version: str, account: str, folder: Path, money: str, live: bool = False
) -> None:
    """Say what is about to be traded, whose money is at stake, and how to stop it."""
    out, data = screen(), record["data"]
    bars = "bars as they come" if live else "a replay of bars"
    form = "[bold]{}[/]  {} {}, account {}: {}, {}."
    kind = "LIVE" if money.startswith("REAL MONEY") else "PAPER"
    out.print(styled(form, kind, record["agent"], version, account, money, bars))
    if data["simulated"]:
        out.print(simulated("these prices come from a market simulator."))
    out.print(f"{len(data['symbols'])} symbols from {data['source']}, fills at the {record['fill'].replace('_', ' ')}")
    tell(record.get("notes") or ())
    place = relative(folder / "KILL")
    out.print(f"To freeze it: touch {place}; to close everything: echo flatten > {place}", style="dim")


class PaperProgress:
    """A line a month of the bars' own time, so that a replay can be watched and a log stays short; or a line a bar."""

    def __init__(self, ledger: Any, *, every: Literal["month", "bar"] = "month", agent: str = "") -> None:
        self._ledger, self._shown = ledger, ""
        self._agent = f"{agent}  " if agent else ""
        self._letters = 7 if every == "month" else 10**3

    def show(self, bar: str) -> None:
        """Say how the account stands where a month, or a bar, begins."""
        if bar[: self._letters] != self._shown:
            self._shown = bar[: self._letters]
            last, (state, _) = self._ledger.last_close(), self._ledger.state()
            stands = "equity unknown"  # where the broker does not say, it is not that of the close before
            if last and last["bar"] == bar:
                stands = f"equity {last['equity']:,.0f}  {len(last['positions'])} positions"
            screen().print(f"{self._agent}{bar_time(bar)}  {state:<8}  {stands}", style="dim")


def paper_status(found: Mapping[str, Any], *, agent: str) -> None:
    """Say how an account stands."""
    out, last = screen(answer=True), found["last"]
    form = "{}: [bold]{}[/] {}  epoch {}, {} closes"
    out.print(styled(form, agent, found["state"], found["reason"], found["epoch"], found["bars"]))
    if found["version"]:
        became = f", {found['standing']}" if found["standing"] else ""
        out.print(f"It is traded by {found['version']}{became}.")
    if found["switch"] is not None:
        out.print(f"The kill switch is thrown: {found['switch']}.", style="red")
    if last:
        out.print(f"{last['bar'][:19]}  equity {last['equity']:,.2f}  cash {last['cash']:,.2f}")
        for symbol, units in last["positions"].items():
            mark = last["marks"].get(symbol)
            worth = "of a price that is not known" if mark is None else f"worth {units * mark:,.2f}"
            out.print(f"  {symbol}  {units:,.6g} units, {worth}")
        if since := since_close(last["positions"], found["held"]):
            out.print(since)
    for one in found["interventions"]:
        out.print(f"{one['bar'][:19]}  {one['rule']}: {one['action']} {' '.join(one['symbols'])}", style="dim")


def paper_failed(agent: str, error: Exception) -> None:
    """Say that one of several agents ended, and that the others go on."""
    words = error.message if isinstance(error, WealthArenaError) else f"{type(error).__name__}: {error}"
    hint = f" ({error.hint})" if isinstance(error, WealthArenaError) and error.hint else ""
    screen(answer=True).print(f"{agent} has ended: {words}{hint}. The others go on.", style="red", markup=False)


def paper_result(found: Mapping[str, Any], folder: Path, *, agent: str = "") -> None:
    """Say what the record shows, beside the backtest over the same bars, and how the account stands; whose, where `agent` is given."""
    out = screen()
    if agent:
        out.print(styled("\n[bold]{}[/]", agent))
    if "paper" in found:
        shown = {"algo": "paper", "metrics": {"paper": found["paper"]}, "baselines": {"backtest": found["backtest"]}}
        out.print(comparison_table(shown, window="paper"))
        if found["largest_deviation"] is not None:
            out.print(f"Largest deviation of equity from the backtest: {found['largest_deviation']:.2g} of it")
    for what, count in found["interventions"].items():
        out.print(f"- {what}, {count} time{'s' if count != 1 else ''}", style="dim")
    if lapsed := lapsed_note(found):
        out.print(f"- {lapsed}", style="dim")
    why = f" {found['reason']}" if found["reason"] else ""
    screen(answer=True).print(styled("State: [bold]{}[/]{}", found["state"], why))
    if "paper" in found:
        out.print(f"Paths: {relative(folder / 'equity.parquet')}")
        report(folder)


def lapsed_note(found: Mapping[str, Any]) -> str:
    """Return which share of an account's order value did not go through; nothing where that is nothing, or not known."""
    share = found.get("unfilled") or 0.0
    return f"{share:.1%} of the order value that it asked for was cut or lapsed" if share >= LEAST_TOLD else ""
