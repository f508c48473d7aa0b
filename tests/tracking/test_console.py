from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from wealtharena.tracking import console


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def played(stream: io.StringIO, *, iterations: int, seconds_each: float) -> console.State:
    clock = Clock()
    state = console.State(iterations * 100, label="crypto ppo", clock=clock)
    shown = console.Plain(stream, every_seconds=30.0, clock=clock)
    for i in range(1, iterations + 1):
        clock.now += seconds_each
        state.advance({"env_step": i * 100})
        shown.show(state, evaluated=False)
        if i % 100 == 0:
            state.advance({"env_step": i * 100, "validation/sharpe": 0.5 - i / 1000})
            shown.show(state, evaluated=True)
    return state


def test_plain_lines_are_few_and_tell_every_evaluation() -> None:
    stream = io.StringIO()
    played(stream, iterations=1000, seconds_each=0.1)
    lines = stream.getvalue().splitlines()
    assert sum("validation Sharpe +" in line or "validation Sharpe -0" in line for line in lines) >= 10
    assert len(lines) <= 15


def test_the_best_so_far_stays_when_later_ones_are_worse() -> None:
    state = played(io.StringIO(), iterations=1000, seconds_each=0.1)
    assert state.best == pytest.approx(0.4)
    assert state.sharpe == pytest.approx(-0.5)
    assert "best +0.40" in state.words()


def test_time_left_follows_from_the_pace_since_the_first_record() -> None:
    """The first iteration compiles: at its speed a minute's training was said to take nine."""
    clock = Clock()
    state = console.State(1000, label="x", clock=clock)
    clock.now = 60.0
    state.advance({"env_step": 100, "env_steps_per_second": 1.7})
    assert state.seconds_left is None
    assert "left" not in state.words()
    clock.now = 70.0
    state.advance({"env_step": 200, "env_steps_per_second": 2.9})
    assert state.seconds_left == pytest.approx(80.0)
    assert "3 steps/s" in state.words()
    assert "1 min 20 s left" in state.words()


def test_auto_is_plain_where_there_is_no_terminal() -> None:
    assert isinstance(console.display("auto", stream=io.StringIO()), console.Plain)


def test_auto_is_live_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(console.display("auto", stream=Terminal()), console.Rich)


def test_the_live_line_tells_everything_on_a_terminal_of_80_columns() -> None:
    stream = io.StringIO()
    shown = console.Rich(Console(file=stream, width=80, force_terminal=True, color_system=None))
    clock = Clock()
    state = console.State(300_000, label="commodities ppo", clock=clock)
    state.advance({"env_step": 0})
    clock.now = 10.0
    state.advance({"env_step": 120_000, "env_steps_per_second": 12_345.6, "validation/sharpe": 0.4})
    shown.show(state, evaluated=True)
    shown.close()
    for words in ("commodities ppo", "120k/300k", "12.3k/s", "val. Sharpe +0.40", "best +0.40", "15 s left"):
        assert words in stream.getvalue()


def test_how_much_of_what_was_learned_is_kept_is_told_beside_the_ratio_of_what_is_kept() -> None:
    """An agent that is its anchor has one ratio in every validation, whatever it learns."""
    state = console.State(300_000, label="crypto direct")
    state.advance({"env_step": 8192})
    assert "lambda" not in state.words()
    found = {"validation/sharpe": -0.01, "validation/kept_share": 0.0, "validation/learned_t": -1.26}
    state.advance({"env_step": 16384, **found})
    state.advance({"env_step": 24576})
    assert "validation Sharpe -0.01, best -0.01, lambda 0.00 (t -1.26)" in state.words()
    stream = io.StringIO()
    shown = console.Rich(Console(file=stream, width=120, force_terminal=True, color_system=None))
    shown.show(state, evaluated=True)
    shown.close()
    assert "best -0.01 lambda 0.00" in stream.getvalue()
    state.advance({**found, "validation/learned_t": float("nan")})
    assert "lambda 0.00 (t -)" in state.words()
    cash = console.State(300_000, label="forex direct")  # an anchor of cash has no ratio at all
    cash.advance({**found, "env_step": 16384, "validation/sharpe": float("nan")})
    assert "validation Sharpe -, best -, lambda 0.00 (t -1.26)" in cash.words()


@pytest.mark.parametrize("width", range(24, 120, 3))
def test_the_live_line_cuts_no_figure_however_narrow_the_terminal_is(width: int) -> None:
    stream = io.StringIO()
    shown = console.Rich(Console(file=stream, width=width, force_terminal=True, color_system=None))
    state = console.State(300_000, label="cryptocurrencies direct seed 0")
    state.advance(
        {"env_step": 120_000, "env_steps_per_second": 12_345.6, "validation/sharpe": 0.4, "validation/kept_share": 0.5}
    )
    shown.show(state, evaluated=True)
    shown.close()
    assert "120k/300k" in stream.getvalue()
    assert "…" not in stream.getvalue()
    assert width < 45 or "val. Sharpe +0.40" in stream.getvalue()


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    shown = console.display("quiet")
    shown.show(console.State(10, label="x"), evaluated=True)
    shown.close()
    assert capsys.readouterr() == ("", "")


def test_the_live_display_gives_the_terminal_back() -> None:
    before = sys.stdout, sys.stderr
    shown = console.Rich()
    state = console.State(1000, label="crypto ppo")
    state.advance({"env_step": 500, "validation/sharpe": 1.25})
    shown.show(state, evaluated=True)
    shown.close()
    shown.close()
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "-"), (0.4, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (7805, "2 h 10 min")]
)
def test_durations_read_well(seconds: float | None, words: str) -> None:
    assert console.duration(seconds) == words
