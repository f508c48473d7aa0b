"""The arena: who plays, what is read, what is kept, and what the board says of it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.arena import board, command, courses, entries, page, play
from tests.forks import LIMIT_SECONDS, Fork
from tests.training.test_killed import First
from wealtharena.config.paths import conf_dir
from wealtharena.training import train
from wealtharena.training.checkpoints import load_state
from wealtharena.training.job import Silent

pytestmark = pytest.mark.slow

TINY = courses.planted("tiny", "a tiny market", r2=0.05, bars=700)
PPO = (
    "algo=ppo", "model.hidden=[8]", "algo.rollout_steps=1024", "algo.minibatch=512", "compute.envs=16",
    "env.episode_bars=32", "train.env_steps=4096", "train.evaluations=2",
)  # fmt: skip
POLICIES = '''
import numpy as np

class Still:
    """Holds nothing, and says how often it was asked to learn."""

    def fit(self, make_env, seed):
        envs = make_env(3)
        seen, _ = envs.reset(seed=seed)
        assert seen.shape == (3, envs.layout.size)

    def act(self, observation):
        return np.zeros((1, 10))

class Broken:
    def act(self, observation):
        raise RuntimeError("out of ideas")
'''


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    path = tmp_path / "policies.py"
    path.write_text(POLICIES)
    return path


def played(out: Path, entrant: entries.Entrant, *, course: courses.Course = TINY, seed: int = 0) -> dict:
    return play.play(play.Cell(course, entrant, seed), out=out, ledger=out / "ledger.jsonl")


def graph(path: Path, size: int) -> Path:
    """An ONNX policy that reads `size` numbers and holds nothing."""
    seen = helper.make_tensor_value_info("observation", TensorProto.FLOAT, [None, size])
    weights = helper.make_tensor_value_info("weights", TensorProto.FLOAT, [None, 10])
    nothing = helper.make_tensor("nothing", TensorProto.FLOAT, [size, 10], np.zeros(size * 10, np.float32))
    node = helper.make_node("MatMul", ["observation", "nothing"], ["weights"])
    made = helper.make_graph([node], "policy", [seen], [weights], [nothing])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def test_every_algorithm_that_ships_is_an_entrant() -> None:
    names = [one.name for one in entries.shipped()]
    assert {path.stem for path in (conf_dir() / "algo").glob("*.yaml")} < set(names)
    assert len(names) == len(set(names))


def test_a_cell_is_trained_measured_and_not_played_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = played(tmp_path, entries.Entrant("ppo", "", PPO))
    assert found["status"] == "played"
    assert found["oracle_sharpe"] > 1.0
    assert len(found["returns"]) == len(found["anchor_returns"]) > 200
    assert found["training_seconds"] > 0
    assert found["active_share"] > 0.0
    assert np.isfinite(found["memorised"])
    assert not (tmp_path / "work").exists() or not list((tmp_path / "work").iterdir())
    monkeypatch.setattr(play, "train", lambda *_, **__: pytest.fail("played again"))
    assert played(tmp_path, entries.Entrant("ppo", "", PPO)) == found
    with pytest.raises(pytest.fail.Exception, match="played again"):
        played(tmp_path, entries.Entrant("ppo", "", (*PPO, "algo.clip=0.1")))


class Kills(Silent):
    """Kills its process behind the second state of a training that was to have four."""

    def on_iteration(self, record: Mapping) -> None:
        if record["iteration"] == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_cell_goes_on_and_ends_in_what_it_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = entries.Entrant("ppo", "", (*PPO[:-1], "train.evaluations=4"))
    whole = played(tmp_path / "whole", who)
    listener: Silent = Kills()
    monkeypatch.setattr(play, "train", lambda job, **_: train(job, listener=listener))
    one = Fork(target=played, args=(tmp_path / "cut", who))
    one.start()
    one.join(LIMIT_SECONDS)
    assert one.exitcode == -signal.SIGKILL
    assert not list((tmp_path / "cut").glob("cells/*"))
    (state,) = (tmp_path / "cut").glob("work/*/0/trainer/state.pt")
    reached, listener = load_state(state.parents[1])["engine"]["env_steps"], First()
    again = played(tmp_path / "cut", who)
    assert listener.record["env_step"] > reached > 0
    assert again["returns"] == whole["returns"]


def test_a_policy_of_ones_own_plays_from_a_class_or_a_graph(tmp_path: Path, policies: Path) -> None:
    still = played(tmp_path, entries.own(f"still={policies}:Still"))
    assert (still["status"], still["sharpe"], still["turnover"]) == ("played", 0.0, 0.0)
    size = TINY.open(("env.action=weights",), 0).features
    width = 10 * len(size.names) + 10 + 3
    fits, other = (entries.own(f"g{n}={graph(tmp_path / f'{n}.onnx', n)}") for n in (width, width + 1))
    assert played(tmp_path, fits)["turnover"] == 0.0
    refused = played(tmp_path, other)
    assert refused["status"] == "does not fit"
    assert f"reads {width + 1} numbers, this market shows {width}" in refused["why"]


def test_what_a_strangers_policy_raises_is_its_result(tmp_path: Path, policies: Path) -> None:
    found = played(tmp_path, entries.own(f"broken={policies}:Broken"))
    assert (found["status"], found["why"]) == ("failed", "RuntimeError: out of ideas")
    policies.write_text(POLICIES.replace('raise RuntimeError("out of ideas")', "return np.zeros((1, 10))"))
    assert played(tmp_path, entries.own(f"broken={policies}:Broken"))["status"] == "played"


def test_what_failed_is_tried_again_though_nothing_of_its_name_changed(tmp_path: Path, policies: Path) -> None:
    cell = play.Cell(TINY, entries.own(f"still={policies}:Still"), 0)
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / f"{cell.key}.json").write_text('{"status": "failed", "why": "a full disk"}')
    assert not play.stands(cell, tmp_path)
    found = played(tmp_path, cell.entrant)
    assert found["status"] == "played"
    assert played(tmp_path, cell.entrant) == found
    assert play.stands(cell, tmp_path)


def test_another_class_another_number_of_folds_is_another_cell(tmp_path: Path, policies: Path) -> None:
    still, broken = (entries.own(f"one={policies}:{part}") for part in ("Still", "Broken"))
    assert play.Cell(TINY, still, 0).key != play.Cell(TINY, broken, 0).key
    few, many = (courses.recorded("etf", tmp_path, folds=folds) for folds in (3, 5))
    assert play.Cell(few, still, 0).key != play.Cell(many, still, 0).key


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--entry", "direct={0}:Still"], "direct is the name of several entrants"),
        (["--jobs", "0"], "0 is less than 1"),
        (["--seeds", "0"], "0 is less than 1"),
        (["--seeds", "many"], "many is no whole number"),
        (["--minutes", "nan"], "nan is no number of minutes, 0 or more"),
        (["--minutes", "-5"], "-5 is no number of minutes"),
        (["--courses", "short", "null", "short"], "course short is named twice"),
        (["--entrants"], "nobody plays"),
        (["--entrants", "ppo", "data.simulator.predictability=0.3"], "is a course's, the same for all who play it"),
        (["--entrants", "ppo", "split=cpcv"], "is a course's"),
        (["--entrants", "ppo", "algo=sac"], "or an entrant's name"),
        (["--entry", "one={0}.onnx"], ".onnx: there is no file "),
        (["--entry", "../one={0}:Still"], "a name is part of a file's name"),
        (["--entry", "one={0}:Still", "--docs", "{0}.md"], "is no page"),
        (["--entry", "one={0}:Still", "--out", "{0}"], "cannot be written"),
        (
            ["--entry", "one={0}:Still", "--market", ".", "--ledger", "{0}"],
            "so nobody can say how often a window was looked at",
        ),
    ],
)
def test_a_line_that_cannot_be_played_is_refused_before_a_cell(words, said, policies: Path, capsys) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([word.format(policies) for word in words])
    assert refused.value.code == 2
    assert said in capsys.readouterr().err


def test_the_example_of_the_documents_finds_its_feature_in_any_course(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "arena.md").read_text()
    block = text.split("    class Momentum:")[1].split("\n\n## ")[0]
    (tmp_path / "policies.py").write_text(textwrap.dedent("    class Momentum:" + block))
    who = entries.own(f"mine={tmp_path / 'policies.py'}:Momentum")
    few = dataclasses.replace(who, overrides=(*who.overrides, "features.names=[volatility_20,log_return_20]"))
    assert [played(tmp_path, one)["status"] for one in (who, few)] == ["played", "played"]


@pytest.mark.parametrize("text", ["nothing", "a=", "=x.py:P"])
def test_an_entry_that_is_none_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"name=policy\.onnx, name=file\.py:Class or name=model\.zip:PPO"):
        entries.own(text)


def test_a_recorded_course_reads_nothing_of_the_last_fifth_and_tells_the_ledger(tmp_path: Path, policies: Path) -> None:
    course = courses.recorded("forex", tmp_path, folds=2)
    ground = course.open((), 0)
    assert ground.window is not None
    (first, _), *_ = ground.window.dates
    assert str(ground.features.panel.timestamps[-1])[:10] < first
    assert max(segment.stop for fold in ground.folds for segment in fold.test) <= ground.features.bars
    assert [fold.train[0].start for fold in ground.folds] == [0, 0]
    found = played(tmp_path, entries.own(f"still={policies}:Still"), course=course)
    assert found["oracle_sharpe"] is None
    assert found["dates"][1] < first
    (line,) = [json.loads(text) for text in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert (line["kind"], line["purpose"], line["agent"]) == ("trial", "arena", "currency_pairs")
    assert line["window"] == [list(pair) for pair in ground.window.dates]


def made_up(course: str, entrant: str, seed: int, *, edge: float, oracle: float | None) -> dict:
    rng = np.random.default_rng(seed)
    anchor = np.random.default_rng(99).normal(0.0003, 0.01, 800)
    returns = anchor + rng.normal(edge, 0.004, 800)
    return {
        "course": course, "entrant": entrant, "seed": seed, "status": "played", "sharpe": 1.0 + 50 * edge + 0.1 * seed,
        "anchor_sharpe": 0.5, "oracle_sharpe": oracle, "turnover": 3.0, "exposure": 1.0, "training_seconds": 2.0,
        "degenerate": None, "kept_shares": [0.25, 0.75], "active_share": 0.125, "memorised": 0.1, "bars_per_year": 252.0, "dates": ["2010-01-04", "2014-01-03"],
        "returns": returns.tolist(), "anchor_returns": anchor.tolist(), "cell_seconds": 3.0,
    }  # fmt: skip


def of_board(*names: str) -> dict:
    where = (TINY, courses.recorded("forex", Path(), folds=2))
    who = [entries.Entrant(name, "as it ships") for name in names]
    cells = [
        made_up(course.name, one.name, seed, edge=0.001 * n, oracle=4.0 if course.planted else None)
        for n, one in enumerate(who)
        for course in where
        for seed in range(3)
    ]
    lost = {"course": "tiny", "entrant": names[0], "seed": 3, "status": "failed", "why": "because", "cell_seconds": 1.0}
    return board.build([*cells, lost], courses=where, entrants=who, note="2 cells did not fit.")


def test_the_board_ranks_by_the_share_of_the_oracle_and_its_intervals_mind_the_number_of_entrants() -> None:
    two, six = of_board("bad", "good"), of_board("bad", "good", *(f"more{n}" for n in range(4)))
    assert [row["entrant"] for row in two["rows"]] == ["good", "bad"]
    assert two["rows"][0]["share"] == pytest.approx((1.0 + 0.05 + 0.1) / 4.0)
    assert (two["confidence"], six["confidence"]) == (1 - 0.05 / 2, 1 - 0.05 / 6)

    def width(found: dict, course: int) -> float:
        line = next(line for line in found["courses"][course]["lines"] if line["entrant"] == "good")
        return line["interval"][1] - line["interval"][0]

    assert width(six, 0) > width(two, 0)
    assert width(six, 1) > width(two, 1)
    good = next(row for row in two["rows"] if row["entrant"] == "good")
    assert (good["ahead"], good["behind"], good["recorded"]) == (1, 0, 1)
    assert [one["why"] for one in two["not_played"]] == ["because"]


def test_who_failed_where_another_played_stands_behind_all_who_did_not() -> None:
    where = (TINY, courses.planted("hard", "a hard market", r2=0.01, bars=700))
    who = [entries.Entrant(name, "") for name in ("whole", "choosy", "late")]
    cells = [
        made_up(course.name, one.name, seed, edge=edge, oracle=4.0)
        for one, edge in zip(who, (0.0, 0.01, 0.002), strict=True)
        for course in where
        for seed in range(2)
        if (one.name, seed) != ("late", 1) and (one.name, course.name) != ("choosy", "hard")
    ]
    lost = [
        {"course": "hard", "entrant": "choosy", "seed": seed, "status": "failed", "why": "too hard"} for seed in (0, 1)
    ]
    found = board.build([*cells, *lost], courses=where, entrants=who)
    assert [(row["entrant"], row["cells"], row["failed"]) for row in found["rows"]] == [
        ("late", 2, 0),  # the time was up: it chose nothing
        ("whole", 4, 0),
        ("choosy", 2, 2),
    ]
    assert "| - | 2.00 | 2 of 4 |" in page.markdown(found)
    assert "2 of 4 cells" in page.render(found)


def test_the_page_says_what_is_simulated_and_every_figure_of_the_board() -> None:
    found = of_board("bad", "good")
    html = page.render(found)
    assert 'role="alert">SIMULATED DATA' in html
    assert html.count('<span class="mark fail">SIMULATED</span>') == 1
    assert "2 cells did not fit." in html
    assert "because" in html
    assert "97.5" in html
    assert "0.12<br><small>lambda 0.50</small>" in html
    text = page.markdown(found)
    assert "| 0.12 (0.50) |" in text
    assert text.count("| good |") == 1
    assert "2 cells did not fit." in text


def test_equals_share_a_place() -> None:
    who = [entries.Entrant(name, "") for name in ("idle", "still", "good")]
    edges = (0.0, 0.0, 0.002)
    cells = [made_up("tiny", one.name, 0, edge=edge, oracle=4.0) for one, edge in zip(who, edges, strict=True)]
    found = board.build(cells, courses=(TINY,), entrants=who)
    assert {row["entrant"]: row["place"] for row in found["rows"]} == {"good": 1, "idle": 2, "still": 2}
    assert page.render(found).count("<b>2</b>") == 4


def test_entrants_that_played_other_bars_are_not_told_as_of_one_window() -> None:
    """The first one's dates and anchor stood above all: +0.91 beside an anchor of +0.71 was 0.00 less its anchor."""
    found = of_board("bad", "good")
    assert "Played from 4 Jan 2010 to 3 Jan 2014 (the anchor alone +0.50)." in page.render(found)
    (line,) = [one for one in found["courses"][1]["lines"] if one["entrant"] == "good"]
    line |= {"dates": ["2010-06-01", "2014-03-03"], "anchor_sharpe": 0.7}
    html = page.render(found)
    assert "good from 1 Jun 2010 to 3 Mar 2014 (the anchor alone +0.70); bad from 4 Jan 2010 to 3 Jan 2014" in html
    assert "Not all played the same bars" in html


def test_another_anchor_is_not_told_as_other_dates() -> None:
    """Who lacked a seed was said not to have played the same bars, "on another market for each seed" beside the very same words."""
    found = of_board("bad", "good")
    for course, said in zip(
        found["courses"], ("on another market for each seed", "from 4 Jan 2010 to 3 Jan 2014"), strict=True
    ):
        (line,) = [one for one in course["lines"] if one["entrant"] == "good"]
        line["anchor_sharpe"] = 0.7
        html = page.render(found)
        assert f"Played {said}. What the anchor alone did is not the same for all" in html
        assert "good +0.70; bad +0.50. Each is set against its own." in html
        assert "Not all played the same bars" not in html


def test_no_cell_is_begun_that_would_not_end_in_time() -> None:
    clock, cell = command.Clock(1.0), play.Cell(TINY, entries.Entrant("ppo", ""), 0)
    assert clock.fits(cell)
    clock.ended(cell, 61.0)
    assert not clock.fits(cell)
    assert not command.Clock(0.0).fits(cell)


def test_an_arena_in_whose_time_nothing_is_played_fails_and_keeps_the_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "arena.html").write_text("a board of before")
    words = ["--courses", "short", "--entrants", "ppo", "--minutes", "0", "--out", str(tmp_path)]
    assert command.main(words) == 1
    assert "--minutes 0; give more" in capsys.readouterr().err
    assert (tmp_path / "arena.html").read_text() == "a board of before"


def test_seeds_are_played_in_turns() -> None:
    who = [entries.Entrant("a", ""), entries.Entrant("b", "")]
    order = [(cell.seed, cell.entrant.name) for cell in command.cells([TINY], who, 2)]
    assert order == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_the_command_plays_and_leaves_a_board(tmp_path: Path, policies: Path) -> None:
    """As a person types it: processes of a pool cannot import a package's `__main__`."""
    words = ["--courses", "short", "--entrants", "--entry", f"still={policies}:Still", "--seeds", "1", "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.arena", *words, "--out", "arena"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "arena" / "arena.json").read_text())
    assert [row["entrant"] for row in found["rows"]] == ["still"]
    assert "SIMULATED DATA" in (tmp_path / "arena" / "arena.html").read_text()
    with pytest.raises(SystemExit):
        command.main(["--courses", "nowhere", "--out", "arena"])
