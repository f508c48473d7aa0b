import json
import logging

import pytest

from wealtharena.config import speech
from wealtharena.config.launch import show
from wealtharena.errors import ConfigError
from wealtharena.tasks import console
from wealtharena.terminal import Screen, styled
from wealtharena.tracking import console as display


@pytest.fixture
def in_json():
    speech.use("json")
    yield
    speech.use("text")


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_said_to_people_becomes_one_object_a_line_without_markup(in_json, capsys) -> None:
    console.screen().print(styled("[bold]Report:[/] {}\nand more", "outputs/x"))
    console.tracked(("TensorBoard: here",))
    found = lines(capsys.readouterr().out)
    assert [one["text"] for one in found] == ["Report: outputs/x", "and more", "TensorBoard: here"]
    assert {one["event"] for one in found} == {"said"}


def test_training_is_told_in_numbers(in_json, capsys) -> None:
    state = display.State(1000, label="etf ppo")
    state.advance({"env_step": 500, "env_steps_per_second": 100.0, "validation/sharpe": 0.5})
    display.display("auto").show(state, evaluated=True)
    (found,) = lines(capsys.readouterr().out)
    assert (found["event"], found["env_step"], found["sharpe"], found["seconds_left"]) == ("validation", 500, 0.5, 5.0)


def test_errors_and_warnings_are_objects_too(in_json, capsys) -> None:
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        speech.use("json")
        logging.getLogger("wealtharena").warning("a word")
    finally:
        logging.getLogger().removeHandler(handler)
    assert show(ConfigError("wrong", hint="try right")) == 2
    warned, failed = lines(capsys.readouterr().err)
    assert (warned["event"], warned["level"], warned["text"]) == ("log", "warning", "a word")
    assert (failed["event"], failed["message"], failed["hint"], failed["exit_code"]) == (
        "error",
        "wrong",
        "try right",
        2,
    )


def test_text_is_plain_in_a_pipe_and_without_colour_where_no_colour_is_wanted(monkeypatch, capsys) -> None:
    console.screen().print(styled("[bold red]Verdict[/]"))
    assert capsys.readouterr().out == "Verdict\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Screen(force_terminal=True).no_color


def test_a_glance_is_not_told_how_long_it_took(capsys) -> None:
    console.took(0.5)
    console.took(75.0)
    assert capsys.readouterr().out == "Took 1 min 15 s.\n"
