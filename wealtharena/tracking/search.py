"""What a person sees while a search runs: a live table of trials on a terminal, a line a finished trial elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wealtharena.config import speech
from wealtharena.files import tell
from wealtharena.terminal import Screen, figure, printable, styled
from wealtharena.tracking.console import duration
from wealtharena.tracking.mirror import Ending, Identity
from wealtharena.tracking.privacy import shareable, without_paths
from wealtharena.tracking.tracker import configuration, summary, tags
from wealtharena.tracking.wandb_run import WandbRun, own_tags, resolve_mode

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from wealtharena.config.specs.experiment import ExperimentSpec

_SHOWN = 12
_ENDED = ("COMPLETE", "PRUNED", "FAIL")
_STYLE = {"RUNNING": "cyan", "COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}
_WORD = {"RUNNING": "running", "COMPLETE": "done", "PRUNED": "stopped early", "FAIL": "failed"}


@dataclass
class TrialState:
    """One trial as the table shows it."""

    overrides: tuple[str, ...]
    state: str = "RUNNING"
    step: int = 0
    score: float | None = None


class SearchDisplay:
    """Listener of a search; `metric`, `trials` and `mode` are the sweep's, `steps` the evaluations of a whole trial."""

    def __init__(
        self,
        metric: str,
        *,
        mode: str,
        trials: int,
        steps: int,
        kind: str = "auto",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metric = metric
        self._sign = 1.0 if mode == "max" else -1.0
        self._trials, self._steps = trials, steps
        self._stream = stream or sys.stdout
        self._kind = kind if kind != "auto" else ("rich" if self._stream.isatty() else "plain")
        if speech.is_quiet():  # which a search that is composed anew has not in its tracking
            self._kind = "quiet"
        elif speech.as_json() and kind != "quiet":
            self._kind = "json"
        self._clock = clock
        self._started = clock()
        self._rows: dict[int, TrialState] = {}
        self._kept = 0  # of them, those that a search goes on from
        self._live: Live | None = None

    def on_kept(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        """Take in a trial that had ended before this search began, without a word."""
        self._rows[number] = TrialState(tuple(overrides), state, min(step, self._steps), score)
        self._kept += 1

    def on_trial(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        """Take in a trial's start, report or end."""
        row = self._rows.setdefault(number, TrialState(tuple(overrides)))
        row.state, row.step = state, min(step, self._steps)
        row.score = score if score is not None else row.score
        if self._kind == "rich":
            self._redraw()
        elif self._kind == "plain" and state in _ENDED:
            self._say(f"trial {number:>3} {_WORD[state]:<13} {_number(row.score):>8}  {' '.join(row.overrides)}")
            self._say(f"    {self.headline()}")
        elif self._kind == "json" and state in _ENDED:
            speech.say("trial", self._facts(number, row), stream=self._stream)

    def on_failure(self, number: int, message: str) -> None:
        """Say why a trial failed."""
        if self._live is not None:
            self._live.console.print(styled("[red]trial {} failed:[/] {}", number, message))
        elif self._kind == "json":
            speech.say("trial_failed", {"number": number, "message": message}, stream=self._stream)
        elif self._kind != "quiet":
            self._say(f"trial {number} failed: {message}")

    def _facts(self, number: int, row: TrialState) -> dict[str, Any]:
        """Return what a program is told of a trial that has ended, and of the search by then."""
        (ended, left), best = self._ended(), self.best()
        return {
            "number": number, "state": _WORD[row.state], "metric": self.metric, "score": row.score, "overrides": list(row.overrides),
            "ended": ended, "trials": self._trials, "best": best and best[1], "best_trial": best and best[0], "seconds_left": left,
        }  # fmt: skip

    def _ended(self) -> tuple[int, float | None]:
        """Return how many trials have ended, and the seconds that the others take at their pace; None before there is one."""
        ended = sum(row.state in _ENDED for row in self._rows.values())
        spent = self._clock() - self._started
        own = ended - self._kept  # the others took none of this time
        return ended, spent / own * (self._trials - ended) if own else None

    def headline(self) -> str:
        """Return how far the search is: ended trials, best so far, time left."""
        (ended, left), best = self._ended(), self.best()
        shown = f"best {self.metric} {_number(best[1])} (trial {best[0]})" if best else "no score yet"
        return f"{ended} of {self._trials} trials, {shown}, {duration(left)} left"

    def best(self) -> tuple[int, float] | None:
        """Return number and score of the best trial that ran to its end; None before there is one."""
        scored = [
            (number, row.score)
            for number, row in self._rows.items()
            if row.state == "COMPLETE" and row.score is not None
        ]
        return max(scored, key=lambda item: self._sign * item[1]) if scored else None

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _redraw(self) -> None:
        if self._live is None:
            from rich.live import Live

            self._live = Live(self._table(), console=Screen(soft_wrap=False), refresh_per_second=4, transient=False)
            self._live.start()
        self._live.update(self._table())

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        best = self.best()
        table = Table(title=self.headline(), title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name, justify in (
            ("trial", "right"),
            ("state", "left"),
            ("progress", "right"),
            (self.metric, "right"),
            ("overrides", "left"),
        ):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]  # rich's literal type, given as two words here
        newest = sorted(self._rows.items(), key=lambda item: (item[1].state == "RUNNING", item[0]))[-_SHOWN:]
        chosen: dict[int, Any] = dict(newest)
        if best is not None:
            chosen = {best[0]: self._rows[best[0]], **chosen}
        for number, row in chosen.items():
            mark = "*" if best is not None and number == best[0] else ""
            table.add_row(
                f"{mark}{number}",
                Text(_WORD[row.state], _STYLE[row.state]),
                f"{row.step}/{self._steps}",
                _number(row.score),
                " ".join(row.overrides),
            )
        return table

    def _say(self, words: str) -> None:
        tell(printable(words), self._stream)


def _number(value: float | None) -> str:
    return figure(value, "+.3f")


def mirror(
    spec: ExperimentSpec,
    folder: Path,
    run_record: Mapping[str, Any],
    result: Mapping[str, Any],
    files: Sequence[Path] = (),
) -> str | None:
    """Write a search to Weights & Biases: one run a trial and one for the search, in the group of the search's run id.

    `result` is sweep.json. Does nothing where W&B is disabled; returns where it is, or what went wrong, in words.
    """
    mode = resolve_mode(spec.tracking.wandb)
    if mode == "disabled":
        return None
    run_id = str(run_record["run_id"])
    settings = spec.tracking.wandb.model_copy(update={"group": spec.tracking.wandb.group or run_id})
    labels = tags(run_record, (*settings.tags, *own_tags()))
    for trial in result["trials"]:
        name = f"trial {trial['number']}"
        identity = Identity(f"{run_id}-{trial['number']}", name, "trial", labels, without_paths(trial["overrides"]))
        run = WandbRun(settings, identity, folder=folder, mode=mode)
        score = {} if trial["score"] is None else {str(result["metric"]).replace(".", "/"): trial["score"]}
        run.log({"env_step": trial.get("env_step") or 0, **score})  # a failed one may have told of none
        run.finish(Ending((), {**score, "state": trial["state"]}, (), None, int(trial["state"] == "FAIL")))
        if run.trouble is not None:
            return run.trouble
    composed = spec.model_dump(mode="json")
    identity = Identity(run_id, f"search {result['sweep']}", "sweep", labels, configuration(composed, run_record))
    whole = WandbRun(settings, identity, folder=folder, mode=mode)
    whole.log({"env_step": 0, "trials": len(result["trials"])})
    page = next((path for path in files if path.suffix == ".html"), None)
    report = None if page is None else shareable(page, composed, run_record, result)
    whole.finish(Ending((), summary(run_record), [path for path in files if path.suffix == ".png"], report, 0))
    return whole.trouble or whole.whereabouts(beside=True)
