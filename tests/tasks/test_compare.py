import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from tests.evaluation.test_leaderboard import run_dir
from tests.evaluation.test_pins import ended
from tests.registry import shelf
from wealtharena import files
from wealtharena.config import compose
from wealtharena.config.composition import compose_raw
from wealtharena.config.folders import Refused
from wealtharena.errors import ConfigError
from wealtharena.evaluation import records
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry import promote
from wealtharena.tasks import compare
from wealtharena.tasks.multirun import Leaderboard
from wealtharena.tasks.shared import shared_overrides

AGENTS = ("asx_stocks", "currency_pairs", "cryptocurrencies", "etf", "commodities")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(*overrides):
    return compose(["task=compare", "evaluation.bootstrap_draws=200", *overrides])


def boards(root):
    return sorted(root.glob("outputs/*/*/leaderboard.json"))


@pytest.mark.slow
def test_a_folder_of_runs_becomes_json_page_table_and_comparison_report(here, capsys):
    for i, agent in enumerate(AGENTS):
        for seed in range(2):
            run_dir(here / "multirun", f"{agent}-{seed}", agent=agent, seed=seed, drift=0.0002 * i)
    run_dir(here / "multirun", "broken", agent="etf", seed=9, status="failed")
    assert compare.run(spec("compare.runs=[multirun]")) == 0
    (path,) = boards(here)
    board = json.loads(path.read_text())
    assert [row["status"] for row in board["rows"]] == ["completed"] * 5 + ["failed"]
    assert path.with_suffix(".html").stat().st_size > 1_000
    report = json.loads(Path("results/master_comparison/comparison_report.json").read_text())
    assert set(report["agents"]) == set(AGENTS)
    assert report["ranking"][0] == "commodities"
    assert report["missing"] == []
    shown = capsys.readouterr().out
    assert "no bars" in shown
    assert all(agent in shown for agent in AGENTS)
    assert json.loads((path.parent / "run.json").read_text())["status"] == "completed"


@pytest.mark.slow
def test_one_agent_alone_leaves_the_comparison_of_agents_as_it_was(here):
    run_dir(here / "runs", "a")
    compare.run(spec("compare.runs=[runs/a]"))
    assert not Path("results").exists()


def test_only_failed_runs_end_with_an_error_code(here):
    run_dir(here / "runs", "a", status="failed")
    assert compare.run(spec("compare.runs=[runs]")) == 1


def test_nothing_to_compare_says_what_to_name(here):
    with pytest.raises(ConfigError, match=r"compare\.runs"):
        compare.run(spec())
    (record,) = here.glob("outputs/*/*/run.json")
    assert json.loads(record.read_text())["error"]["hint"].startswith("name run directories")


def test_the_line_of_an_agent_is_never_chosen_by_its_test_result():
    def row(config, seeds, sharpe, status="unproven"):
        return {
            "agent": "etf", "config_hash": config, "seeds": seeds, "run_ids": [config], "status": "completed",
            "metrics": {"sharpe": sharpe}, "verdict": {"status": status}, "simulated": False,
        }  # fmt: skip

    board = {"rows": [row("lucky", [0], 9.0), row("solid", [0, 1, 2], 0.5)], "generated_at": "", "weights": {}}
    assert compare.comparison_report(board)["agents"]["etf"]["config_hash"] == "solid"
    rows = [row("solid", [0], 0.5) | {"frequency": "1d"}, row("x", [0], 0.5) | {"agent": "crypto", "frequency": "1h"}]
    assert compare.comparison_report({**board, "rows": rows})["unlike"] == ["lengths of a bar"]
    board["rows"].append(row("proven", [0], 0.1, status="promotable"))
    assert compare.comparison_report(board)["agents"]["etf"]["config_hash"] == "proven"
    board["rows"].append(row("made_up", [0, 1, 2], 9.0, status="promotable") | {"simulated": True})
    assert compare.comparison_report(board)["agents"]["etf"]["config_hash"] == "proven"


@pytest.mark.slow
def test_a_multirun_ends_with_its_leaderboard(here):
    folder = here / "multirun" / "day" / "time"
    for seed in range(2):
        run_dir(folder, str(seed), seed=seed)
    as_called(folder / "0", "asset=etf", "evaluation.bootstrap_draws=150", "paths.ledger=mine.jsonl")
    Leaderboard().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}}))
    board = json.loads((folder / "leaderboard.json").read_text())
    assert (board["rows"][0]["seeds"], board["judged_by"]["draws"]) == ([0, 1], 150)


def as_called(job, *overrides):
    """Keep how a job was called, as Hydra does."""
    place = job / ".hydra"
    place.mkdir()
    OmegaConf.save(compose_raw(overrides), place / "config.yaml")


@pytest.mark.slow
def test_what_judges_a_grid_goes_by_its_presets_too(here):
    """A preset's ledger knew all that had been tried, and the leaderboard asked another; nor did it hold to its limits."""
    preset = here / "mine.yaml"
    preset.write_text(
        "paths: {ledger: our own/ledger.jsonl}\nevaluation: {verdict: {max_drawdown: -0.1, beats: [cash]}, stress: {delay_bars: 2}}\n"
    )
    job = here / "job"
    job.mkdir()
    as_called(job, f"experiment={preset}", "evaluation.verdict.min_seeds=5")
    assert shared_overrides(job) == [
        "evaluation.verdict.max_drawdown=-0.1",
        "evaluation.verdict.min_seeds=5",
        "evaluation.verdict.beats=[cash]",
        "paths.ledger='our own/ledger.jsonl'",
    ]
    told = compose(["task=compare", *shared_overrides(job)])
    assert (told.paths.ledger, told.evaluation.verdict.beats) == ("our own/ledger.jsonl", ("cash",))
    assert shared_overrides(here / "nothing") == []


def full(path, *_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@pytest.mark.slow
def test_a_multirun_whose_leaderboard_finds_no_room_ends_in_an_error_that_names_it_and_the_way_to_it(here, monkeypatch):
    folder = here / "multirun" / "day" / "time"
    run_dir(folder, "0")

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(Refused) as told:
        Leaderboard().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}}))
    assert str(told.value.error) == (
        "no leaderboard: multirun/day/time/leaderboard.json: No space left on device; "
        "make room; the jobs stand, and their leaderboard is made by: python run.py task=compare compare.runs=[multirun/day/time]"
    )


def test_a_page_that_is_not_there_is_not_named(here, monkeypatch, capsys):
    run_dir(here / "runs", "0")

    monkeypatch.setattr(compare.page, "write", full)
    compare.run(spec("compare.runs=[runs]"))
    said = capsys.readouterr().out
    assert "leaderboard.html" in said  # as what could not be drawn
    assert said.rstrip().splitlines()[-1].startswith("Leaderboard: outputs/")
    assert said.rstrip().endswith("leaderboard.json")


def test_a_multirun_without_results_ends_quietly(here, caplog):
    (here / "empty").mkdir()
    Leaderboard().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(here / "empty")}}}))
    assert caplog.text == ""
    assert not list((here / "empty").iterdir())


def test_the_registry_is_compared_by_what_its_checkpoints_say(here, monkeypatch):
    folder = here / "checkpoints" / "etf" / "v1"
    folder.mkdir(parents=True)
    test = {"sharpe": 1.0, "annual_return": 0.1, "win_rate": 0.5, "profit_factor": 1.1}
    metadata = {
        "version": "v1", "created_at": "2026-01-01", "agent": "etf", "asset": "etf", "algo": "ppo", "seed": 0,
        "config_hash": "c", "data": {"simulated": False, "source": "files", "fingerprint": "f"},
        "metrics": {"test": test}, "verdict": {"status": "unproven", "reasons": ["One seed."], "evidence": {}},
    }  # fmt: skip
    (folder / "metadata.json").write_text(json.dumps(metadata))
    listed = [{"model_path": str(folder), "version": "v1"}, {"model_path": str(folder / "x"), "error": "corrupted"}]
    monkeypatch.setattr(compare.ModelCheckpoint, "list_checkpoints", lambda self, agent: listed)
    found = compare.from_registry(here / "checkpoints")
    assert [run.status for run in found] == ["failed", "completed"]
    board = compare.build(found, evaluation=spec().evaluation, ledger=None, seed=0)
    assert board["rows"][0]["verdict"]["reasons"] == ["One seed."]
    assert board["rows"][0]["metrics"] == test
    assert np.isfinite(board["rows"][0]["composite"])


@pytest.mark.slow
def test_a_promotable_group_puts_its_middle_seed_into_the_registry_under_its_verdict(here):
    store = shelf.ModelCheckpoint(Path("checkpoints"))
    for seed in range(3):
        folder = run_dir(here / "runs", f"r{seed}", agent=shelf.AGENT, seed=seed, drift=0.004 + 0.001 * seed)
        ended(folder, Ledger(spec().paths.ledger))
        shelf.save(store, f"r{seed}")
    compare.run(spec("compare.runs=[runs]", "evaluation.verdict.implausible=50", "evaluation.verdict.min_years=0.3"))
    listed = {row["version"]: row for row in store.list_checkpoints(shelf.AGENT)}
    assert set(listed) == {"r0", "r1", "r2", "r1-judged"}
    assert store.load_checkpoint(shelf.AGENT, "r1-judged").metadata.verdict.status == "promotable"
    assert listed["r1-judged"]["verdict"] == "unproven", "by looser rules than ship, for so short a record"
    assert promote(store, shelf.AGENT, "r1-judged")[1].stage == "paper"
    assert promote(store, shelf.AGENT, "r1-judged", force_reason="a made-up record")[1].stage == "production"
    assert listed["r1"]["verdict"] == "unproven"
    assert store.load_checkpoint(shelf.AGENT, "r1-judged").metadata.model_dump()["judged_with"] == ["r0", "r1", "r2"]
    compare.run(spec("compare.runs=[runs]", "evaluation.verdict.implausible=50", "evaluation.verdict.min_years=0.3"))
    assert len(store.list_checkpoints(shelf.AGENT)) == 4


@pytest.mark.slow
def test_a_group_is_judged_anew_once_more_was_tried_and_its_new_verdict_stands_beside_the_old(here):
    store, ledger = shelf.ModelCheckpoint(Path("checkpoints")), Ledger(spec().paths.ledger)
    rules = ("evaluation.verdict.implausible=50", "evaluation.verdict.min_years=0.3", "evaluation.verdict.max_pbo=1")
    for seed in range(3):
        ended(run_dir(here / "runs", f"r{seed}", agent=shelf.AGENT, seed=seed, drift=0.004 + 0.001 * seed), ledger)
        shelf.save(store, f"r{seed}")
    compare.run(spec("compare.runs=[runs]", *rules))
    ended(run_dir(here / "runs", "x", agent=shelf.AGENT, config="other", drift=-0.001), ledger)
    for _ in range(2):
        compare.run(spec("compare.runs=[runs]", *rules))
        assert {row["version"] for row in store.list_checkpoints(shelf.AGENT)} >= {"r1-judged", "r1-2-judged"}
    counted = {
        name: store.load_checkpoint(shelf.AGENT, name).metadata.verdict.evidence["trials"]
        for name in ("r1-judged", "r1-2-judged")
    }
    assert counted == {"r1-judged": 1, "r1-2-judged": 2}
    assert len(store.list_checkpoints(shelf.AGENT)) == 5
    assert [run.run_id for run in compare.from_registry(Path("checkpoints"))] == ["r0", "r1", "r2"]


def test_an_unproven_group_changes_nothing_in_the_registry(here):
    store = shelf.ModelCheckpoint(Path("checkpoints"))
    run_dir(here / "runs", "r0", agent=shelf.AGENT, drift=0.004)
    shelf.save(store, "r0")
    compare.run(spec("compare.runs=[runs]", "evaluation.verdict.implausible=50", "evaluation.verdict.min_years=0.3"))
    assert [row["version"] for row in store.list_checkpoints(shelf.AGENT)] == ["r0"]


def test_a_search_whose_version_carries_its_verdict_is_not_endorsed_again(here):
    store = shelf.ModelCheckpoint(Path("checkpoints"))
    said = {"status": "promotable", "reasons": [], "evidence": {"configurations": 1, "openings": 1}}
    tests = {"count": 3, "metrics": [{"sharpe": sharpe} for sharpe in (1.0, 1.2, 1.4)]}
    run_dir(here / "runs", "s", agent=shelf.AGENT, task="sweep", seeds=tests, verdict=said)
    ended(here / "runs" / "s", Ledger(spec().paths.ledger))
    shelf.save(store, "s")
    compare.run(spec("compare.runs=[runs]"))
    (row,) = json.loads(boards(here)[0].read_text())["rows"]
    assert row["verdict"]["status"] == "promotable"
    assert [row["version"] for row in store.list_checkpoints(shelf.AGENT)] == ["s"]


def test_a_multirun_and_the_registry_give_the_same_runs_the_same_row(here):
    """Same function, same result: what a multirun says of three seeds is what `make compare` says of them later."""
    store = shelf.ModelCheckpoint(Path("checkpoints"))
    for seed in range(3):
        run_dir(here / "multirun" / "x", f"r{seed}", agent=shelf.AGENT, seed=seed, drift=0.001)
        shelf.save(store, f"r{seed}")
    rules = spec().evaluation
    of_multirun = compare.build(records.find([here / "multirun"]), evaluation=rules, ledger=None, seed=0)
    of_registry = compare.build(compare.from_registry(Path("checkpoints")), evaluation=rules, ledger=None, seed=0)
    assert of_multirun["rows"] == of_registry["rows"]
    assert of_registry["rows"][0]["judged"] == "together"
    assert not any("1 seed;" in reason for reason in of_registry["rows"][0]["verdict"]["reasons"])
    assert compare.title_of(of_multirun) == compare.title_of(of_registry)


@pytest.mark.slow
def test_boards_that_were_judged_by_other_rules_say_so_in_their_titles(here):
    run_dir(here / "runs", "r0")
    titles = set()
    for changes, seed in (
        ((), 0),
        ((), 1),
        (("evaluation.bootstrap_draws=300",), 0),
        (("evaluation.verdict.confidence=0.9",), 0),
    ):
        rules = spec(*changes).evaluation
        titles.add(
            compare.title_of(compare.build(records.find([here / "runs"]), evaluation=rules, ledger=None, seed=seed))
        )
    assert len(titles) == 4


def test_without_its_run_directories_a_group_is_judged_apart_and_says_so(here, capsys):
    for seed in range(3):
        run_dir(here / "runs", f"r{seed}", seed=seed, drift=0.004, paths=False)
    compare.run(spec("compare.runs=[runs]"))
    (board,) = boards(here)
    (row,) = json.loads(board.read_text())["rows"]
    assert (row["judged"], row["intervals"]["sharpe"], row["verdict"]["status"]) == ("apart", [None, None], "unproven")
    assert "(each run by itself)" in " ".join(re.findall(r"\(each run by|itself\)", capsys.readouterr().out))


@pytest.mark.slow
def test_an_order_of_unlike_rows_says_so_and_each_row_which_run_it_is(here, capsys):
    for name, changes in (("a", {}), ("b", {"config": "c2"})):
        run_dir(here / "runs", name, **changes)
    assert compare.run(spec("compare.runs=[runs]")) == 0
    alike = capsys.readouterr().out
    assert "unlike contests" not in alike
    assert "runs/a" in alike
    assert "runs/b" in alike
    for name, frequency in (("a", "1d"), ("b", "1h")):
        record = here / "runs" / name / "run.json"
        run = json.loads(record.read_text())
        run["data"] |= {"frequency": frequency, "currency": {"a": "USD", "b": "AUD"}[name]}
        run["split"]["test"][0] = {"a": "2022-01-01", "b": "2021-12-01"}[name]
        record.write_text(json.dumps(run))
    assert compare.run(spec("compare.runs=[runs]")) == 0
    told = "Rows are of other test windows, lengths of a bar and account currencies: their order is of figures from unlike contests."
    assert told in " ".join(capsys.readouterr().out.split())
    assert any(told in path.read_text() for path in here.glob("outputs/*/*/leaderboard.html"))


@pytest.mark.slow
def test_of_folders_of_one_run_each_is_named_and_led_to_by_its_seed_and_its_end(here, capsys):
    """One copy is from before the run's end, one goes by another seed."""
    run_dir(here / "runs", "a")
    (here / "runs/a/report.html").touch()
    for name, changes in (("copy", {"status": "interrupted"}), ("other", {"seed": 9})):
        content = json.loads((shutil.copytree(here / "runs/a", here / "runs" / name) / "run.json").read_text())
        (here / "runs" / name / "run.json").write_text(json.dumps(content | changes))
    assert compare.run(spec("compare.runs=[runs]")) == 0
    assert ": 2022-01-01 to 2023-02-05, runs/a, runs/other" in capsys.readouterr().out
    (board,) = here.glob("outputs/*/*/leaderboard.html")
    links = re.findall(r'<a href="[^"#]*/runs/([^"#]+)/report.html">([^<]+)</a>', board.read_text())
    assert links == [("a", "seed 0"), ("other", "seed 9"), ("copy", "seed 0")]


def test_the_record_of_a_search_is_named_whatever_its_seeds():
    row = {"rank": 1, "window": None, "run_ids": ["r"], "seeds": [0, 9], "status": "completed"}
    assert compare.about(row, {("r", None, "completed"): Path("a")}) == "#1: a"
