"""A policy of one's own in the arena: what it stands on, what it is shown, and what is refused before anything is played."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from gymnasium import spaces
from onnx import TensorProto, helper, numpy_helper

from benchmarks.arena import command, courses, entries, play, sources
from benchmarks.arena.workers import EndedError, Worker, alone, dismiss, ready
from tests.benchmarks.test_arena import TINY, graph, played
from tests.forks import runs
from wealtharena import files
from wealtharena.config import compose
from wealtharena.envs.actions import actions_of

pytestmark = pytest.mark.slow

LEARNER = '''
import numpy as np

class Learner:
    """Notes what it is shown."""

    def fit(self, make_env, seed):
        market = make_env(2).market
        np.savez({0!r}, bars=market.bars, times=market.timestamps)

    def act(self, observation):
        return np.zeros((1, 10))
'''


def key(text: str, course: courses.Course = TINY) -> str:
    return play.Cell(course, entries.own(text), 0).key


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("import helper", "helper.py"),
        ("from helper import of", "helper.py"),
        ("from helper.deep import of", "helper/deep.py"),
        ("import other", "helper.py"),  # other imports it
        ("SCALE = open('/nowhere/scale.txt')", "scale.txt"),
        ("from pathlib import Path\nSCALE = Path(__file__).parent / 'scale.txt'", "scale.txt"),
        ("SCALE = 'data/scale.txt'", "data/scale.txt"),
        ("from pathlib import Path\nSCALE = Path('data') / 'scale.txt'", "data/scale.txt"),
        ("HERE = ''\nSCALE = f'{HERE}/scale.txt'", "scale.txt"),
    ],
)
def test_a_file_that_a_policy_stands_on_makes_another_cell_where_it_changes(source, file, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("import helper\n")
    (tmp_path / "policies.py").write_text(f"{source}\nclass Own:\n    pass\n")
    place = tmp_path / file
    place.parent.mkdir(exist_ok=True)
    place.write_text("of = 1\n")
    (tmp_path / "unread.txt").write_text("1")
    text = f"own={tmp_path / 'policies.py'}:Own"
    before = key(text)
    (tmp_path / "unread.txt").write_text("2")
    assert key(text) == before
    place.write_text("of = 2\n")
    assert key(text) != before


def test_what_is_installed_is_no_part_of_a_policy(tmp_path: Path) -> None:
    own = tmp_path / "policies.py"
    own.write_text("import json\nimport numpy as np\nfrom wealtharena import errors\nHERE = '.'\nROOT = '/'\n")
    assert sources.stands_on(own) == {own}


def test_the_weights_beside_a_graph_are_part_of_it(tmp_path: Path) -> None:
    path = graph(tmp_path / "policy.onnx", 43)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)
        )  # as bytes, which can stand outside
    onnx.save_model(
        model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0, convert_attribute=False
    )
    before = key(f"own={path}")
    content = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(b"\x01" + content[1:])
    assert key(f"own={path}") != before


def test_other_bars_under_the_same_path_are_another_cell(tmp_path: Path) -> None:
    course = courses.recorded("etf", tmp_path, folds=3)
    who = entries.Entrant("ppo", "", ("algo=ppo",))
    found = []
    for content in (None, "one", "two"):
        if content:
            (tmp_path / "etf_daily.parquet").write_text(content)
        found.append(play.Cell(course, who, 0).key)
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--entrants", "ppo", "algo.clipp=0.1"], "ppo can play nowhere: "),
        (["--entrants", "ppo", "train.env_steps=-1"], "train.env_steps=-1 must be"),
        (["--entrants", "--entry", "own={0}/fine.py:Own", "--action", "tilts"], "env.action=tilts"),
        (["--entrants", "--entry", "own={0}/fine.py:Other"], "AttributeError: "),
        (["--entrants", "--entry", "own={0}/fine.py:NUMBER"], "NUMBER is no class"),
        (["--entrants", "--entry", "own={0}/ends.py:Own"], "SystemExit: 0"),
        (["--entrants", "--entry", "own={0}/dies.py:Own"], "dies.py: its process ended with exit code 3"),
        (["--entrants", "--entry", "own={0}/stops.py:Own"], "stops.py: KeyboardInterrupt"),
        (["--entrants", "--entry", "own={0}/torn.py:Own"], "SyntaxError: "),
        (["--entrants", "--entry", "own={0}/torn.onnx"], "torn.onnx: "),
        (["--entrants", "--entry", "own={0}/export.onnx"], "an export of this platform is not played: "),
        (["--entrants", "--entry", "own={0}/memory.onnx"], "it reads observation, state; a graph of one input"),
        (["--entrants", "--entry", "own={0}/saved.zip"], "name the algorithm that saved it, as in own="),
        (
            ["--entrants", "--entry", "own={0}/saved.zip:PPO"],
            "saved.zip:PPO: ",
        ),  # no archive, or no library that reads it
        (["--market", "{0}/nowhere"], "nowhere is no folder"),
        (
            ["--market", "{0}", "--minutes", "0"],
            "lacks stocks_asx_daily.parquet (recorded-stocks), crypto_daily.parquet (recorded-crypto)",
        ),
    ],
)
def test_an_entry_that_can_play_nowhere_is_refused_before_a_cell(words, said, tmp_path: Path, capsys) -> None:
    (tmp_path / "fine.py").write_text("NUMBER = 3\nclass Own:\n    pass\n")
    (tmp_path / "ends.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "dies.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "stops.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "torn.py").write_text("class Own\n")
    (tmp_path / "saved.zip").write_bytes(b"PK rest")
    (tmp_path / "torn.onnx").write_bytes(b"\x08\x09rest")
    two_inputs(tmp_path / "export.onnx", "features", "portfolio")
    two_inputs(tmp_path / "memory.onnx", "observation", "state")
    with pytest.raises(SystemExit) as refused:
        command.main([*(word.format(tmp_path) for word in words), "--out", str(tmp_path / "out")])
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def two_inputs(path: Path, *names: str) -> None:
    seen = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 10]) for name in names]
    weights = helper.make_tensor_value_info("weights", TensorProto.FLOAT, [None, 10])
    made = helper.make_graph([helper.make_node("Add", list(names), ["weights"])], "policy", seen, [weights])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def test_settings_that_suit_some_course_are_played_there(tmp_path: Path) -> None:
    where = courses.courses(tmp_path)
    some = entries.Entrant("ppo", "", ("algo=ppo", "data.symbols=[BTC-USD]", "env.anchor=equal_weight"))
    command.check(where, [some])


@pytest.mark.parametrize("raised", ["SystemExit(0)", "GeneratorExit(0)"])
def test_a_policy_that_raises_what_is_no_exception_has_failed(tmp_path: Path, raised: str) -> None:
    (tmp_path / "policies.py").write_text(f"class Own:\n    def act(self, seen):\n        raise {raised}\n")
    found = played(tmp_path, entries.own(f"own={tmp_path / 'policies.py'}:Own"))
    assert (found["status"], found["why"]) == ("failed", raised.replace("(0)", ": 0"))


def fate(spot: tuple[int, int, int], words: list[str]) -> dict[str, float]:
    """Stand for a cell in a process of its own."""
    what = words[spot[0]]
    if what == "exits":
        os._exit(3)
    if what == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hangs":
        time.sleep(1000)
    return {"cell_seconds": 1.0}


def fates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, str | None]:
    """Return why each of these cells, begun side by side, was lost; None for one that was not."""
    monkeypatch.setattr(command, "one", fate)
    found = {}
    with command.Crew(command.read(["--out", str(tmp_path)]), words) as crew:
        for n, what in enumerate(words):
            crew.begin(play.Cell(TINY, entries.Entrant(what, ""), 0), (n, 0, 0))
        while crew.busy:
            found |= {cell.entrant.name: result.get("why") for cell, result in crew.settle()}
    kept = [json.loads(path.read_text()) for path in (tmp_path / "cells").glob("*.json")]
    assert {one["entrant"]: one["why"] for one in kept} == {name: why for name, why in found.items() if why}
    return found


def test_a_cell_whose_process_ends_is_lost_and_no_other_is(tmp_path: Path, monkeypatch) -> None:
    assert fates(tmp_path, monkeypatch, "plays", "exits", "crashes") == {
        "plays": None,
        "exits": "its process ended with exit code 3",
        "crashes": "its process was ended by SIGSEGV",
    }


def test_a_cell_that_does_not_end_is_lost_once_the_patience_is_over(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(command, "PATIENCE_SECONDS", 1.0)
    assert fates(tmp_path, monkeypatch, "hangs") == {"hangs": "it had not ended after 1 s"}


def test_the_others_stand_on_the_board_beside_policies_that_end_or_interrupt_their_process(tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text(
        "import os\nclass Exits:\n    def act(self, seen):\n        os._exit(3)\n"
        "class Stops:\n    def act(self, seen):\n        raise KeyboardInterrupt('no more')\n"
        "class Still:\n    def act(self, seen):\n        return [[0.0] * 10]\n"
    )
    words = ["--courses", "short", "--entrants", "--seeds", "1", "--jobs", "2", "--out", str(tmp_path / "out")]
    for name in ("Exits", "Stops", "Still"):
        words += ["--entry", f"{name}={tmp_path / 'policies.py'}:{name}"]
    assert command.main(words) == 0
    found = json.loads((tmp_path / "out" / "arena.json").read_text())
    assert [row["entrant"] for row in found["rows"]] == ["Still"]
    assert {one["entrant"]: one["why"] for one in found["not_played"]} == {
        "Exits": "its process ended with exit code 3",
        "Stops": "KeyboardInterrupt: no more",
    }


def test_what_a_policy_does_to_its_process_reaches_no_other_cell(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "policies.py").write_text(
        "import os\nfrom wealtharena.evaluation import metrics\n"
        "class Still:\n    def act(self, seen):\n        return [[0.0] * 10]\n"
        "class Goes(Still):\n    def fit(self, make_env, seed):\n        os.chdir('/')\n"
        "class Forks(Still):\n    def fit(self, make_env, seed):\n        os.fork()\n"
        "class Lies(Still):\n    def fit(self, make_env, seed):\n        metrics.sharpe = lambda *_, **__: 9.9\n"
    )
    monkeypatch.chdir(tmp_path)
    names = ("Goes", "Forks", "Lies", "Still")
    words = ["--courses", "short", "--entrants", "--seeds", "1", "--jobs", "1", "--out", "out"]
    for name in names:
        words += ["--entry", f"{name}=policies.py:{name}"]
    assert command.main(words) == 0
    found = json.loads((tmp_path / "out" / "arena.json").read_text())
    assert sorted(line["entrant"] for line in found["courses"][0]["lines"]) == sorted(names)
    assert {line["entrant"]: line["sharpe"] for line in found["courses"][0]["lines"]} | {"Lies": 9.9} == {
        name: 9.9 if name == "Lies" else 0.0 for name in names
    }
    assert len(list((tmp_path / "out" / "cells").iterdir())) == len(names)


@pytest.mark.parametrize(
    ("given", "said"), [("[[True] * 10]", "hold True or False"), ("[[1j] * 10]", "are complex numbers")]
)
def test_what_is_no_weight_is_none_here_either(given: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text(f"class Own:\n    def act(self, seen):\n        return {given}\n")
    found = played(tmp_path, entries.own(f"own={tmp_path / 'policies.py'}:Own"))
    assert found["status"] == "failed"
    assert said in found["why"]


def fork_and_tell(place: Path) -> str:
    """Fork as a policy may, and have the copy come back before the process itself does."""
    with alone():
        child = os.fork()
        if child:
            os.waitpid(child, 0)
    with place.open("a") as told:
        told.write("came back\n")
    return "from the process itself"


def test_of_a_process_that_a_policy_forked_one_comes_back(tmp_path: Path) -> None:
    worker = Worker()
    try:
        worker.give(fork_and_tell, tmp_path / "told")
        assert ready([worker], 60.0) == [worker]
        assert worker.answer() == "from the process itself"
        assert (tmp_path / "told").read_text() == "came back\n"
        worker.give(os.fork)
        assert ready([worker], 60.0) == [worker]
        assert isinstance(worker.answer(), int)
        assert ready([worker], 1.0) == []  # the copy says nothing
    finally:
        dismiss([worker], at_once=True)


def scribble(mark: bytes) -> None:
    """Write an answer of the right length, as a policy may that looks for open files, which is none."""
    for number in range(3, 100):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, len(mark).to_bytes(4, "big") + mark)


def test_an_answer_that_cannot_be_read_is_a_lost_cell() -> None:
    worker = Worker()
    try:
        worker.give(scribble, b"no pickle")
        assert ready([worker], 60.0) == [worker]
        with pytest.raises(EndedError, match="cannot be read"):
            worker.answer()
    finally:
        dismiss([worker], at_once=True)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.2, 0.8, 1.6])
def test_ctrl_c_while_the_first_process_imports_is_said_by_the_arena_alone(after: float) -> None:
    """The one that all others are forks of printed where it had been in its imports."""
    asked = "from benchmarks.arena.workers import Worker, dismiss"
    script = f"{asked}\ntry:\n    print('begun', flush=True)\n    dismiss([Worker()])\n    input()\n"
    script += "except KeyboardInterrupt:\n    print('interrupted')"
    both = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen([sys.executable, "-c", script], text=True, start_new_session=True, **both) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(after)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "interrupted\n"


def leave(place: Path) -> None:
    """Be an arena that is killed: note the process that it gave something to."""
    worker = Worker()
    worker.give(time.sleep, 1000.0)
    files.write_text(place, str(worker.process.pid))
    time.sleep(1000)


def test_a_process_of_an_arena_that_was_killed_ends_soon(tmp_path: Path) -> None:
    arena = multiprocessing.get_context("spawn").Process(target=leave, args=(tmp_path / "pid",))
    arena.start()
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(arena.pid, signal.SIGKILL)
    arena.join(60)
    player = int((tmp_path / "pid").read_text())
    while runs(player) and time.monotonic() < until:
        time.sleep(0.1)
    assert not runs(player)


def test_a_cell_that_another_process_plays_is_waited_for_and_not_played_twice(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "policies.py").write_text("class Own:\n    def act(self, seen):\n        return [[0.0] * 10]\n")
    cell = play.Cell(TINY, entries.own(f"own={tmp_path / 'policies.py'}:Own"), 0)
    monkeypatch.setattr(play, "PATIENCE_SECONDS", 0.1)
    with files.held(tmp_path / "turns" / cell.key), pytest.raises(TimeoutError):
        play.play(cell, out=tmp_path, ledger=tmp_path / "ledger.jsonl")


def test_a_board_on_which_nothing_was_played_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text("class Own:\n    def act(self, seen):\n        raise ValueError\n")
    words = ["--courses", "short", "--entrants", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert command.main([*words, "--entry", f"own={tmp_path / 'policies.py'}:Own"]) == 1


def test_what_learns_is_shown_no_bar_of_the_folds_test(tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text(LEARNER.format(str(tmp_path / "seen.npz")))
    assert played(tmp_path, entries.own(f"own={tmp_path / 'policies.py'}:Learner"))["status"] == "played"
    ground = TINY.open(("env.action=weights",), 0)
    (fold,) = ground.folds
    with np.load(tmp_path / "seen.npz") as seen:
        assert len(seen["bars"]) == len(seen["times"]) == fold.validation.stop
        assert fold.validation.stop <= fold.test[0].start
        assert seen["times"][-1] == ground.features.panel.timestamps[fold.validation.stop - 1]


@pytest.mark.parametrize(
    ("action", "given", "said"),
    [("weights", spaces.Discrete(6), "saved.zip answers Discrete(6), and actions of --action weights are Box"),
     ("weights", spaces.Box(-1.0, 1.0, (1,)), "saved.zip answers Box(-1.0, 1.0, (1,), float32), and actions"),
     ("allocation", spaces.Box(-1.0, 1.0, (5,)), "and actions of --action allocation are Discrete(6)"),
     ("weights", spaces.Box(-1.0, 1.0, (5,), np.float64), ""), ("allocation", spaces.Discrete(6), "")],
)  # fmt: skip
def test_a_model_whose_actions_are_of_another_kind_does_not_fit(
    action: str, given: spaces.Space, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = actions_of(action, 5, compose(["asset=crypto"]).asset.limits, SimpleNamespace(size=3))
    shape, told = SimpleNamespace(shape=(3,)), (np.asarray([given.sample()]), None)
    saved = SimpleNamespace(action_space=given, observation_space=shape, predict=lambda _, deterministic: told)
    monkeypatch.setattr(entries, "_algorithm", lambda _: SimpleNamespace(load=lambda *_, **__: saved))

    def opened():
        return entries._model(tmp_path / "saved.zip", "PPO", lambda n: SimpleNamespace(actions=kind))

    if not said:
        assert opened()(np.zeros((1, 3), np.float32)).shape == (1, 5)
        return
    with pytest.raises(entries.DoesNotFitError, match=re.escape(said)):
        opened()
