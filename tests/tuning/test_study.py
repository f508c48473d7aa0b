"""The journal of a study: what is damaged is told, what a crash cut short is not."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tests.tuning.toy import sweep_spec
from wealtharena.errors import ConfigError, TrainingError
from wealtharena.tuning.engine import _Rows
from wealtharena.tuning.search import open_study


def opened(path: Path) -> optuna.Study:
    return open_study(sweep_spec(), path, seed=0, identity={"data.bars": "f"})


@pytest.mark.parametrize("damage", [b"garbage\n", b"[1, 2]\n", b'{"a": 1}\n', b"\xff\n", b'{"op_code": 4}\n'])
def test_a_journal_that_is_damaged_is_a_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "study.journal"
    opened(path)
    path.write_bytes(damage + path.read_bytes())
    with pytest.raises(ConfigError, match=r"study\.journal is damaged: .*; put it back from a copy, or start another"):
        opened(path)


def test_a_line_that_a_crash_cut_short_does_not_damage_the_next(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    opened(path).ask()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    opened(path).ask()
    assert path.read_bytes().startswith(whole)
    assert len(opened(path).get_trials()) >= 2


def test_what_a_trial_earned_is_told_where_it_cannot_be_read(tmp_path: Path) -> None:
    rows = _Rows(tmp_path)
    rows.write(3, "COMPLETE", {})
    assert rows.read(3) == {"evaluation": 0}
    (tmp_path / "3.json").write_text("[")
    with pytest.raises(TrainingError, match=r"3\.json is damaged, which says what trial 3 earned"):
        rows.read(3)
