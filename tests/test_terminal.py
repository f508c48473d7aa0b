"""Whatever a text holds, a terminal shows it and does nothing else."""

from __future__ import annotations

import ast
import io
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Table

from wealtharena.config import machine, speech
from wealtharena.files import let_go, tell
from wealtharena.terminal import Screen, figure, printable, styled
from wealtharena.tracking.console import Plain, Rich, State
from wealtharena.tracking.search import SearchDisplay

ROOT = Path(__file__).parents[1]
HOSTILE = (
    "[/x]",
    "[bold]b[/]",
    "[link=http://a]a[/link]",
    ":smiley:",
    "\\[red]",
    "a\\",
    "\x1b[31mred",
    "\x9b2J",
    "\ud800",
    "\u202eabc",
)


def shown(*parts: object, **options: object) -> str:
    stream = io.StringIO()
    Screen(file=stream, width=400, force_terminal=True, color_system=None).print(*parts, **options)
    return stream.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_as_it_is_alone_in_a_table_and_in_a_title(text: str) -> None:
    table = Table(text, title=text)
    table.add_row(text)
    for out in (shown(text), shown(table), shown(text, markup=True, style="bold"), shown(styled("[bold]{}[/]", text))):
        assert printable(text) in out
        assert out.replace("\n", "").isprintable()


@given(st.text(), st.text())
def test_what_is_given_is_no_style_of_its_own(first: str, second: str) -> None:
    made = styled("[bold]{}[/] and [red]{}[/]", first, second)
    assert made.plain == f"{printable(first)} and {printable(second)}"
    lengths = [len(printable(first)), len(printable(second))]
    assert [span.end - span.start for span in made.spans] == [length for length in lengths if length]


def test_a_form_has_a_place_for_each_that_is_given_and_no_more() -> None:
    with pytest.raises(ValueError, match="no place"):
        styled("{}", 1, 2)
    with pytest.raises(ValueError, match="has more places"):
        styled("{} {}", 1)


@pytest.mark.parametrize("width", range(24, 90))
def test_no_figure_is_cut_however_narrow_the_terminal_is(width: int) -> None:
    table = Table(title="Test window", box=None, pad_edge=False)
    heads = ("", "return", "a year", "drawdown", "turnover", "note")
    for head in heads:
        table.add_column(head, justify="right")
    rows = [
        ("minimum variance", "+12,345.6%", "-30.9%", "-100.0%", "[/x]", "two words"),
        ("cash", "+0.0%", "+0.0%", "-", "1.5", ""),
    ]
    for row in rows:
        table.add_row(*row, style="bold")
    stream = io.StringIO()
    Screen(file=stream, width=width).print(table)
    said = stream.getvalue()
    assert "…" not in said
    words = said.split()
    for row in rows:
        assert [word for cell in row for word in cell.split() if word not in words] == []
    assert max(len(line) for line in said.splitlines()) <= max(width, max(len(head) for head in heads) + 12)
    assert width >= 50 or "turnover [/x]" in said, "lines where it is narrow"
    assert width < 70 or "turnover [/x]" not in said, "a table elsewhere"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_defined_is_a_dash(value: float | None) -> None:
    assert figure(value, "+.2f") == "-"
    assert figure(-0.004, "+.1%") == "-0.4%"
    assert [figure(-6e-9, form) for form in ("+.1%", ".2f")] == ["+0.0%", "0.00"], "nothing was lost"


def test_newlines_stay_and_commands_to_the_terminal_do_not() -> None:
    assert printable("a\nb\tc") == "a\nb\tc"
    assert printable("\x1b]0;title\x07") == "\\x1b]0;title\\x07"


def test_a_status_takes_no_markup_either() -> None:
    with Progress(console=Screen(file=io.StringIO())) as bar:
        bar.console.print("[/x]")
    assert "[/x]" in bar.console.file.getvalue()


@pytest.mark.parametrize("said", ["screen", "json", "plain", "rich", "search"])
def test_a_reader_that_has_gone_ends_nothing(said: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        state = State(10, label="one")
        bar = Rich(Screen(file=stream))
        speak: dict[str, Callable[[], object]] = {
            "screen": lambda: Screen(file=stream).print("some words"),
            "json": lambda: speech.say("said", {"text": "some words"}, stream=stream),
            "plain": lambda: Plain(stream, every_seconds=0).show(state, evaluated=True),
            "rich": lambda: (bar.show(state, evaluated=True), bar.close()),
            "search": lambda: SearchDisplay("sharpe", mode="max", trials=1, steps=1, kind="plain", stream=stream)._say(
                "a"
            ),
        }
        for _ in range(2):
            speak[said]()
        assert os.path.samestat(os.fstat(writer), Path(os.devnull).stat())


@pytest.mark.slow
def test_style_on_a_terminal_is_ours_alone() -> None:
    """A `Screen` takes no text for markup; what is markup passes `styled`, at once or as a `form`, which puts in the rest as it is."""
    wrong = []
    for path in sorted((ROOT / "wealtharena").rglob("*.py")):
        text = path.read_text()
        if path.name != "terminal.py" and re.search(r"\bConsole\(|from_markup|rich\.markup|markup=True", text):
            wrong.append(f"{path}: prints past terminal.Screen")
        if "[/]" not in text:
            continue
        tree = ast.parse(text)
        styled = [
            node.args[0] for node in ast.walk(tree) if isinstance(node, ast.Call) and "styled" in ast.dump(node.func)
        ]
        styled += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and "id='form'" in ast.dump(node.targets[0])
        ]
        ours = {id(part) for root in styled for part in ast.walk(root)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and "[/]" in str(node.value) and id(node) not in ours:
                wrong.append(f"{path}:{node.lineno}: markup that no styled() reads: {node.value!r}")
    assert not [line for line in wrong if "terminal.py" not in line]


def test_a_stream_that_takes_no_more_is_named_as_no_file() -> None:
    """`task=inspect >log.txt` on a full disk ended in `cannot write a file`."""
    with Path("/dev/full").open("w") as full:
        for say in (lambda: Screen(file=full).print("words"), lambda: tell("words", full)):
            with pytest.raises(OSError) as raised:
                say()
            assert str(machine.of_the_machine(raised.value)).startswith("cannot write standard output: No space left")
        with pytest.raises(OSError):
            full.flush()
        let_go(full)
