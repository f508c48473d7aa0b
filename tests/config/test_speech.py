import ast
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import called
from tests.reporting.made_up import report_data
from wealtharena.config import speech
from wealtharena.config.ending import show
from wealtharena.errors import ConfigError
from wealtharena.tasks import console
from wealtharena.terminal import Screen, styled
from wealtharena.tracking import console as display

ROOT = Path(__file__).parents[2]


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
    clock = iter((0.0, 5.0))
    state = display.State(1000, label="etf ppo", clock=lambda: next(clock))
    state.advance({"env_step": 0})
    state.advance({"env_step": 500, "env_steps_per_second": 100.0, "validation/sharpe": 0.5})
    display.display("auto").show(state, evaluated=True)
    (found,) = lines(capsys.readouterr().out)
    assert (found["event"], found["env_step"], found["sharpe"], found["seconds_left"]) == ("validation", 500, 0.5, 5.0)


def test_a_number_that_is_not_defined_is_null() -> None:
    told = json.loads(
        speech.line("validation", {"sharpe": float("nan"), "best": [float("inf")]}), parse_constant=pytest.fail
    )
    assert (told["sharpe"], told["best"]) == (None, [None])


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


@pytest.fixture
def quietly():
    speech.use("text", quiet=True)
    yield
    speech.use("text")


def test_a_quiet_run_says_its_verdict_and_where_its_report_is(quietly, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").touch()
    console.header(report_data().run)
    console.result(report_data().run, tmp_path)
    console.took(75.0)
    assert capsys.readouterr().out == "Verdict: unproven\nReport: report.html\n"
    console.result(report_data(simulated=True).run, tmp_path)
    said = capsys.readouterr()
    assert said.out == "Verdict: unproven  SIMULATED DATA \nReport: report.html\n"
    assert said.err == ""


def test_an_answer_and_an_error_are_never_kept_quiet(quietly, capsys) -> None:
    console.screen().print("on the way")
    console.screen(answer=True).print("wa_secret")
    assert show(ConfigError("wrong")) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("wa_secret\n", "error: wrong\n")


def test_a_glance_is_not_told_how_long_it_took(capsys) -> None:
    console.took(0.5)
    console.took(75.0)
    assert capsys.readouterr().out == "Took 1 min 15 s.\n"


BACKTEST = (
    "task=backtest", "asset=etf", "data=simulated", "data.simulator.bars=400", "backtest.baseline=cash",
    "evaluation.bootstrap_draws=200", "evaluation.baselines=[buy_and_hold,cash]",
)  # fmt: skip


@pytest.mark.slow
def test_a_whole_quiet_job_prints_its_verdict_where_its_report_is_and_no_more(tmp_path: Path) -> None:
    code, said, trouble = called(("quiet=true", *BACKTEST), tmp_path)
    assert (code, trouble) == (0, "")
    verdict, line = said.splitlines()
    assert verdict == "Verdict: rejected  SIMULATED DATA "
    assert (tmp_path / line.removeprefix("Report: ")).is_file()


@pytest.mark.slow
def test_every_line_of_a_whole_job_is_an_object_and_the_last_tells_its_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wealtharena", "log=json", *BACKTEST],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = lines(done.stdout)
    assert (found[-1]["event"], found[-1]["task"], found[-1]["exit_code"]) == ("end", "backtest", 0)
    assert any("report.html" in str(one.get("text")) for one in found)


@pytest.mark.slow
def test_a_refusal_is_one_object_on_standard_error(tmp_path: Path) -> None:
    code, _, trouble = called(("log=json", "algo.clip=3"), tmp_path)
    (found,) = lines(trouble)
    assert (code, found["event"], found["hint"]) == (2, "error", "try algo.clip=0.2")


@pytest.mark.slow
def test_no_message_names_a_script_that_only_a_checkout_has() -> None:
    """A package that pip installed has no run.py: commands in messages begin with `speech.COMMAND`."""
    package = Path(speech.__file__).parents[1]
    named = {
        f"{path.relative_to(package)}: {node.value}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "python run.py" in node.value
    }
    messages = {words for words in named if "`" not in words}  # and not the first line of a docstring
    assert messages == {"config/speech.py: python run.py"}
    assert speech.COMMAND == "python run.py"  # here


SAYS = """
import sys
from wealtharena.config import speech
from wealtharena.config.launch import launch
from wealtharena.tasks import console

def job(cfg):
    console.screen().print("株式 ü")
    return 0

sys.argv[1:] = ["--version"]
launch(job)()  # opens the streams
for log in ("text", "json"):
    speech.use(log)
    job(None)
"""
WRITTEN = {"ascii": r"\u682a\u5f0f \xfc", "cp1252": r"\u682a\u5f0f ü", "utf-8": "株式 ü"}


def assert_said(said: bytes, encoding: str) -> None:
    _, text, line = said.decode(encoding).splitlines()
    assert text == WRITTEN[encoding]
    assert json.loads(line)["text"] == "株式 ü"


@pytest.mark.slow
def test_a_letter_that_a_streams_encoding_lacks_ends_no_process() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", SAYS], env=environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert_said(done.stdout, "cp1252")


@pytest.mark.parametrize("encoding", WRITTEN)
def test_a_letter_that_a_streams_encoding_lacks_ends_no_run(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    try:
        exec(SAYS, {})  # as the process above
        sys.stdout.flush()
    finally:
        speech.use("text")
    assert_said(kept.getvalue(), encoding)
