"""A run directory that was edited after its run is named, and proves nothing."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tests.evaluation import worlds
from tests.evaluation.test_leaderboard import run_dir
from wealtharena.evaluation import leaderboard, pins, records, tables
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window

WINDOW = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", simulated=False)


@pytest.fixture(scope="module")
def evaluation(spec):
    return worlds.of_short_records(spec, draws=300)


def ended(folder, ledger, *, pinned=True, shown=None):
    """Write to the ledger what a run in this folder leaves there."""
    run = records.read(folder)
    who = RunIdentity(run.run_id, run.config_hash, run.agent, "train", run.seed)
    ledger.record_opening(who, window=WINDOW, fold=0)
    ledger.record_result(who, window=WINDOW, sharpe=run.test["sharpe"] if shown is None else shown)
    if pinned:
        pins.pin(ledger, who, window=WINDOW, folder=folder)


@pytest.fixture
def good(tmp_path):
    """Return three run directories whose group is promotable, and the ledger that saw them end."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    folders = [run_dir(tmp_path / "runs", f"r{seed}", seed=seed, drift=0.004) for seed in range(3)]
    for folder in folders:
        ended(folder, ledger)
    return folders, ledger


def verdict(folders, evaluation, ledger):
    runs = [records.read(folder) for folder in folders]
    built = leaderboard.build(runs, evaluation=evaluation, ledger=ledger, rng=np.random.default_rng(0))
    return built["rows"][0]["verdict"]


def change(folder, *keys, value):
    path = folder / "run.json"
    content = json.loads(path.read_text())
    place = content
    for key in keys[:-1]:
        place = place.setdefault(key, {})
    place[keys[-1]] = value
    path.write_text(json.dumps(content))


def named(found, words):
    assert found["status"] == "unproven"
    assert any("Nothing vouches for r1" in reason and words in reason for reason in found["reasons"]), found["reasons"]


def test_runs_that_are_as_they_ended_are_judged_by_what_they_show(good, evaluation):
    folders, ledger = good
    found = verdict(folders, evaluation, ledger)
    assert found["status"] == "promotable"
    assert found["evidence"]["edited"] == []


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("data", "simulated"), True),
        (("data", "source"), "yahoo"),
        (("verdict", "evidence", "audit"), "not passed"),
        (("verdict", "evidence", "leaks"), []),
        (("verdict", "status"), "promotable"),
        (("metrics", "test", "max_drawdown"), -0.01),
        (("comparison", "buy_and_hold"), {"ci95": [1.0, 2.0]}),
        (("started_at",), "2026-01-09"),
        (("split", "test"), ["2022-01-02", "2023-02-05"]),
    ],
)  # fmt: skip
def test_a_record_that_was_edited_is_named(good, evaluation, keys, value):
    folders, ledger = good
    change(folders[1], *keys, value=value)
    found = pins.edited([records.read(folder) for folder in folders], ledger)
    assert found == ("r1, whose run.json is not as the run left it",)


def test_an_edited_record_is_at_most_unproven_with_and_without_its_paths(good, evaluation):
    folders, ledger = good
    change(folders[1], "verdict", "evidence", "unadjusted_rolls", value=None)
    named(verdict(folders, evaluation, ledger), "run.json is not as the run left it")
    for folder in folders:
        (folder / "equity.parquet").unlink()
    named(verdict(folders, evaluation, ledger), "run.json is not as the run left it")


@pytest.mark.parametrize("column", ["equity", "baseline/buy_and_hold", "weight/S0"])
def test_paths_that_were_edited_are_named(good, evaluation, column):
    """A worse buy-and-hold is as good a forgery as a better agent."""
    folders, ledger = good
    path = folders[1] / tables.EQUITY_FILE
    table = pd.read_parquet(path)
    table[column] = table[column].to_numpy() * np.linspace(1.0, 0.9, len(table))
    table.to_parquet(path, index=False)
    named(verdict(folders, evaluation, ledger), "equity.parquet or trades.parquet is not as the run left it")


def test_what_no_judgement_reads_may_grow(good, evaluation):
    folders, ledger = good
    change(folders[1], "notes", value=["looked at once more"])
    change(folders[1], "registry", value="etf/r1")
    assert verdict(folders, evaluation, ledger)["status"] == "promotable"


def test_a_run_that_this_ledger_does_not_know_is_named(good, evaluation, tmp_path):
    folders, _ = good
    found = verdict(folders, evaluation, Ledger(tmp_path / "another.jsonl"))
    assert found["status"] == "unproven"
    assert any("r1, of which this ledger does not know what it showed" in reason for reason in found["reasons"])


def test_a_run_under_another_name_is_not_the_one_that_ended(good, evaluation):
    folders, ledger = good
    change(folders[1], "run_id", value="r1b")
    assert any("r1b" in reason for reason in verdict(folders, evaluation, ledger)["reasons"])


def test_of_two_folders_of_one_run_the_edited_one_is_named(good):
    """A copy under another seed was named by the id of both."""
    folders, ledger = good
    copy = folders[0].with_name("copy")
    shutil.copytree(folders[0], copy)
    content = json.loads((copy / "run.json").read_text()) | {"seed": 9}
    (copy / "run.json").write_text(json.dumps(content))
    (said,) = pins.edited([*map(records.read, folders), records.read(copy)], ledger)
    assert said.startswith(f"r0 in {copy}, whose run.json is not")


@pytest.mark.parametrize(("shown", "status"), [(None, "promotable"), (0.1, "unproven")])
def test_a_run_from_before_there_were_pins_is_held_to_its_sharpe_ratio(tmp_path, evaluation, shown, status):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    folders = [run_dir(tmp_path / "runs", f"r{seed}", seed=seed, drift=0.004) for seed in range(3)]
    for folder in folders:
        ended(folder, ledger, pinned=False, shown=shown if folder.name == "r1" else None)
    found = verdict(folders, evaluation, ledger)
    assert found["status"] == status
    assert any("and was +0.10" in reason for reason in found["reasons"]) == (status == "unproven")


def test_a_run_that_ended_twice_is_held_to_its_last_end(good, evaluation):
    """Resumed after a kill, it was judged again and wrote all of it anew."""
    folders, ledger = good
    change(folders[1], "started_at", value="2026-01-05")
    ended(folders[1], ledger)
    assert verdict(folders, evaluation, ledger)["status"] == "promotable"
    last = ledger.pinned(records.read(folders[1]).agent, "r1")
    assert last is not None
    assert last["figures"] == pins.figures_of(json.loads((folders[1] / "run.json").read_text()))
