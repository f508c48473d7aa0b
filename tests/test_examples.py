"""The examples run: the notebook cell by cell, the scripts as scripts."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = ("data.start=2022-01-01", "universe.max_symbols=3", "evaluation.bootstrap_draws=200")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that loads an example as a module, in an empty folder, with settings that take seconds."""
    monkeypatch.chdir(tmp_path)

    def load(name: str):
        found = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(found)
        monkeypatch.setitem(sys.modules, name, module)
        found.loader.exec_module(module)
        monkeypatch.setattr(module, "SETTINGS", (*module.SETTINGS, *QUICK))
        return module

    return load


def test_the_notebook_runs_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "a notebook is kept without its outputs"
            exec(compile("".join(cell["source"]), "notebook.ipynb", "exec"), names)
    assert names["found"].verdict.status in ("unproven", "rejected")
    assert (tmp_path / "outputs" / "notebook" / "report.html").stat().st_size > 50_000
    (chosen, opened, result) = [
        json.loads(line) for line in (tmp_path / "results" / "ledger.jsonl").read_text().splitlines()
    ]
    assert (opened["kind"], opened["purpose"], result["kind"]) == ("open", "study", "result")
    assert chosen["kind"] == "trial", "what it chose by is told before"
    assert chosen["window"][0][1] < opened["window"][0][0]


def test_a_policy_of_ones_own_is_judged_like_an_agent(script, capsys) -> None:
    script("own_policy").main()
    said = capsys.readouterr().out
    assert "verdict: unproven" in said or "verdict: rejected" in said
    assert Path("outputs/own_policy/report.html").is_file()


def test_stable_baselines3_trains_on_our_environment_and_is_judged(script, capsys) -> None:
    pytest.importorskip("stable_baselines3", reason="comes with the extra `bench`: pip install -e '.[bench]'")
    script("with_stable_baselines3").main(1024)
    assert "verdict:" in capsys.readouterr().out
