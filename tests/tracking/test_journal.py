from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wealtharena.errors import WealthArenaError
from wealtharena.tracking.journal import Journal, read


def filled(path: Path, steps: range) -> Journal:
    journal = Journal(path)
    for step in steps:
        journal.write({"env_step": step, "loss": 1 / step})
    return journal


def test_each_iteration_is_one_line_on_disk_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in (100, 200, 300):
        journal.write({"env_step": step, "loss": np.float32(0.5)})
        assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1]) == {"env_step": step, "loss": 0.5}
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
    journal.close()


@pytest.mark.slow
def test_what_has_no_room_is_told_with_its_name_also_at_the_end(tmp_path: Path) -> None:
    """The file tries again at its end what it could not write, and that error had no name."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from wealtharena.tracking.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for ask in (lambda: journal.write({'env_step': 1, 'text': 'x' * 5000}), journal.close):\n"
        "    try:\n"
        "        ask()\n"
        "    except OSError as error:\n"
        "        print(error.filename)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "metrics.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(tmp_path / "metrics.jsonl")] * 2


def test_an_evaluation_joins_the_line_of_its_iteration(tmp_path: Path) -> None:
    journal = filled(tmp_path / "metrics.jsonl", range(1, 4))
    journal.amend({"env_step": 3, "validation/sharpe": 0.7})
    journal.write({"env_step": 4})
    journal.amend({"env_step": 4, "validation/sharpe": 0.8})
    journal.close()
    lines = read(tmp_path / "metrics.jsonl")
    assert [line["env_step"] for line in lines] == [1, 2, 3, 4]
    assert [line.get("validation/sharpe") for line in lines] == [None, None, 0.7, 0.8]
    assert lines[2]["loss"] == pytest.approx(1 / 3)


def test_an_evaluation_without_an_iteration_is_a_line_of_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.amend({"env_step": 0, "validation/sharpe": 0.1})
    journal.write({"env_step": 10})
    journal.close()
    assert [line["env_step"] for line in read(tmp_path / "metrics.jsonl")] == [0, 10]


def test_a_resumed_journal_repeats_no_step(tmp_path: Path) -> None:
    filled(tmp_path / "metrics.jsonl", range(1, 8)).close()
    journal = Journal(tmp_path / "metrics.jsonl", resume_step=4)
    journal.amend({"env_step": 4, "validation/sharpe": 0.2})
    for step in range(5, 10):
        journal.write({"env_step": step})
    journal.close()
    lines = read(tmp_path / "metrics.jsonl")
    assert [line["env_step"] for line in lines] == list(range(1, 10))
    assert lines[3]["validation/sharpe"] == 0.2
    assert "loss" not in lines[4]


def test_a_torn_last_line_is_dropped_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    filled(path, range(1, 4)).close()
    with path.open("ab") as file:
        file.write(b'{"env_step": 4, "lo')
    assert [line["env_step"] for line in read(path)] == [1, 2, 3]
    journal = Journal(path, resume_step=10)
    journal.write({"env_step": 5})
    journal.close()
    assert [line["env_step"] for line in read(path)] == [1, 2, 3, 5]


def test_a_new_run_starts_an_empty_journal(tmp_path: Path) -> None:
    filled(tmp_path / "metrics.jsonl", range(1, 4)).close()
    Journal(tmp_path / "metrics.jsonl").close()
    assert read(tmp_path / "metrics.jsonl") == []


def test_a_line_damaged_in_the_middle_is_an_error_and_not_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"env_step": 1}\n{"env_st\n{"env_step": 3}\n')
    with pytest.raises(WealthArenaError, match="line 2"):
        read(tmp_path / "metrics.jsonl")


def test_what_json_cannot_hold_becomes_null(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.write({"env_step": 1, "a": math.nan, "b": -math.inf, "c": np.float64("nan")})
    journal.close()
    assert read(tmp_path / "metrics.jsonl") == [{"env_step": 1, "a": None, "b": None, "c": None}]


@pytest.mark.slow
def test_a_killed_process_leaves_every_line_it_wrote(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from wealtharena.tracking.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for step in range(1, 201): journal.write({'env_step': step, 'words': 'x' * 500})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.jsonl")], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [line["env_step"] for line in read(tmp_path / "m.jsonl")] == list(range(1, 201))


def test_each_fold_goes_on_from_a_step_of_its_own(tmp_path: Path) -> None:
    """Of a run with a longer budget the second has shown what lies behind the first one's step already."""
    path = tmp_path / "metrics.jsonl"
    lines = [{"fold": fold, "env_step": step} for fold, step in ((0, 8), (1, 24), (0, 12), (0, 16), (2, 40))]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    Journal(path, resume_step=24, of_folds={0: 12, 1: 24}).close()
    assert read(path) == lines[:3]


def test_a_fold_that_goes_on_from_before_its_first_validation_forgets_the_one_that_it_was_stopped_with(
    tmp_path: Path,
) -> None:
    """It counted as a checkpoint that the chosen one was the best of, and the run had one more than one that was not stopped."""
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    for fold in range(2):
        journal.write({"env_step": 100 * (fold + 1), "fold": fold, "reward": 0.1})
        journal.amend({"env_step": 100 * (fold + 1), "validation/sharpe": 0.5, "validation/degenerate": "idle"})
    journal.close()
    Journal(path, resume_step=200, of_folds={0: 100, 1: 200}, unvalidated=[1]).close()
    assert ["validation/sharpe" in line for line in read(path)] == [True, False]
    assert read(path)[1] == {"env_step": 200, "fold": 1, "reward": 0.1}
