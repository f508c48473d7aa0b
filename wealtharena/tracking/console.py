"""What a person sees while a training runs: a live bar on a terminal, a few plain lines elsewhere, or nothing."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from wealtharena.config import speech
from wealtharena.files import tell
from wealtharena.terminal import Screen, figure
from wealtharena.tracking.journal import STEP

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SPEED = "env_steps_per_second"
SHARPE = "validation/sharpe"
KEPT = "validation/kept_share"  # lambda, of an agent that is shrunk towards its anchor
LEARNED_T = "validation/learned_t"  # what it goes by
_LEAST_BAR = 6  # columns that the bar and the space before it have at least


class Display(Protocol):
    """One way to show the state of a training."""

    def show(self, state: State, *, evaluated: bool) -> None:
        """Show `state`; `evaluated` where a validation backtest has just ended."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


class State:
    """Where a training stands: steps, speed, validation Sharpe, best so far, time left."""

    def __init__(self, total_steps: int, *, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.total_steps = total_steps
        self.label = label
        self.step = 0
        self.speed: float | None = None
        self.sharpe: float | None = None
        self.best: float | None = None
        self.kept: float | None = None
        self.learned_t: float | None = None
        self._clock = clock
        self._mark: tuple[float, int] | None = None
        self._pace: float | None = None  # since the first record: what comes before it, compiling too, happens once

    def advance(self, record: Mapping[str, Any]) -> None:
        """Take in a record of the journal."""
        self.step = int(record.get(STEP, self.step))
        now = self._clock()
        if self._mark is None:
            self._mark = now, self.step
        started, first = self._mark
        if now > started and self.step > first:
            self._pace = (self.step - first) / (now - started)
        speed = record.get(SPEED)
        self.speed = float(speed) if isinstance(speed, int | float) else self._pace or self.speed
        self.remember(record)

    def remember(self, record: Mapping[str, Any]) -> None:
        """Take in the validation of a record, of this process or of the one before a resume; cash has no Sharpe ratio."""
        if (sharpe := _known(record.get(SHARPE))) is not None:
            self.sharpe = sharpe
            self.best = self.sharpe if self.best is None else max(self.best, self.sharpe)
        if KEPT in record:
            self.kept, self.learned_t = _known(record[KEPT]), _known(record.get(LEARNED_T))

    @property
    def seconds_left(self) -> float | None:
        """Return the time to the last step at the pace since the first record; None before a second one."""
        return max(self.total_steps - self.step, 0) / self._pace if self._pace else None

    def words(self) -> str:
        """Return the state as one plain line."""
        share = min(100 * self.step / max(self.total_steps, 1), 100)
        parts = [f"{self.label}  {self.step:>9,} / {self.total_steps:,} steps ({share:3.0f} %)"]
        parts.append(f"{self.speed:,.0f} steps/s" if self.speed else "- steps/s")
        kept = "" if self.kept is None else f", lambda {self.kept:.2f} (t {_signed(self.learned_t)})"
        parts.append(f"validation Sharpe {_signed(self.sharpe)}, best {_signed(self.best)}{kept}")
        if self.seconds_left is not None:
            parts.append(f"{duration(self.seconds_left)} left")
        return "  ".join(parts)


class Plain:
    """Plain lines: each evaluation, and otherwise at most one each `every_seconds`."""

    def __init__(
        self, stream: TextIO, *, every_seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._every_seconds = every_seconds
        self._clock = clock
        self._said_at = clock() - every_seconds  # so that the first iteration says that training is under way

    def show(self, state: State, *, evaluated: bool) -> None:
        """Write a line if there is news or enough time has passed."""
        now = self._clock()
        if evaluated or now - self._said_at >= self._every_seconds:
            self._said_at = now
            tell(state.words(), self._stream)

    def close(self) -> None:
        """Do nothing: lines need no cleaning up."""


class Rich:
    """A live bar that redraws in place; what others print appears above it."""

    def __init__(self, terminal: Console | None = None) -> None:
        self._terminal = terminal
        self._progress: Progress | None = None
        self._task: Any = None

    def show(self, state: State, *, evaluated: bool) -> None:
        """Redraw the bar with `state`."""
        if self._progress is None:
            self._progress, self._task = _bar(state, self._terminal)
        words = _fitting(state, self._progress.console.width)
        self._progress.update(self._task, completed=min(state.step, state.total_steps), words=words)

    def close(self) -> None:
        """Stop redrawing and leave the last state on the screen; a second call does nothing."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Quiet:
    """Shows nothing."""

    def show(self, state: State, *, evaluated: bool) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Told:
    """One JSON object for each iteration and validation."""

    def show(self, state: State, *, evaluated: bool) -> None:
        """Say where training stands."""
        facts = {
            "label": state.label, "env_step": state.step, "total_steps": state.total_steps,
            "steps_per_second": state.speed, "sharpe": state.sharpe, "best": state.best, "lambda": state.kept,
            "learned_t": state.learned_t, "seconds_left": state.seconds_left,
        }  # fmt: skip
        speech.say("validation" if evaluated else "iteration", facts)

    def close(self) -> None:
        """Do nothing: lines need no cleaning up."""


def display(kind: str, *, stream: TextIO | None = None) -> Display:
    """Return the display called `kind`; `auto` is rich on a terminal and plain elsewhere, and JSON where that is asked for."""
    stream = stream or sys.stdout
    if speech.as_json() and kind != "quiet":
        return Told()
    if kind == "quiet":
        return Quiet()
    if kind == "rich" or (kind == "auto" and stream.isatty()):
        return Rich()
    return Plain(stream)


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: 42 s, 3 min 05 s, 2 h 10 min; a dash where unknown."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _short(value: float) -> str:
    """Return a count in at most four characters or so: 950, 8.2k, 120k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.0f}{letter}" if value >= 100 * size else f"{value / size:.3g}{letter}"
    return f"{value:.0f}"


def _known(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None


def _signed(value: float | None) -> str:
    return figure(value, "+.2f")


def _fitting(state: State, width: int) -> str:
    """Return as much of the state as `width` columns hold, each part whole; what counts least goes first."""
    parts = {  # in the order in which they are shown
        "label": state.label,
        "steps": f"{_short(state.step)}/{_short(state.total_steps)}",
        "speed": f"{_short(state.speed)}/s" if state.speed else "-/s",
        "sharpe": f"val. Sharpe {_signed(state.sharpe)}",
        "best": f"best {_signed(state.best)}",
        "lambda": "" if state.kept is None else f"lambda {state.kept:.2f}",
        "left": f"{duration(state.seconds_left)} left",
    }
    for least in ("lambda", "speed", "label", "left", "best", "sharpe"):
        if len(" ".join(filter(None, parts.values()))) + _LEAST_BAR <= width:
            break
        del parts[least]
    return " ".join(filter(None, parts.values()))


def _bar(state: State, terminal: Console | None) -> tuple[Progress, Any]:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    progress = Progress(
        TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None),
        console=terminal or Screen(soft_wrap=False),
        refresh_per_second=2,
        expand=True,
    )
    progress.start()
    task = progress.add_task(state.label, total=state.total_steps, words=_fitting(state, progress.console.width))
    return progress, task
