"""The journal of a study: what is damaged is told, what a crash cut short is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.tuning.objectives import Toy
from tests.tuning.toy import run, sweep_spec
from wealtharena.config import compose
from wealtharena.config.specs.experiment import SEEDS, seed_after
from wealtharena.errors import ConfigError, TrainingError
from wealtharena.tuning.engine import scheduler_of
from wealtharena.tuning.rows import Rows, collect
from wealtharena.tuning.search import FINISHED_KEY, STEP_KEY, StudySearch, open_study, reached
from wealtharena.tuning.selection import RETURNS_KEY


def opened(path: Path) -> optuna.Study:
    return open_study(sweep_spec(), path, seed=0, identity={"data.bars": "f"})


@pytest.mark.parametrize("damage", [b"garbage\n", b"[1, 2]\n", b'{"a": 1}\n', b"\xff\n", b'{"op_code": 4}\n'])
def test_a_journal_that_is_damaged_is_a_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "study.journal"
    opened(path)
    path.write_bytes(damage + path.read_bytes())
    with pytest.raises(ConfigError, match=r"study\.journal is damaged: .*; put it back from a copy, or start another"):
        opened(path)


def test_a_search_of_the_last_seed_goes_on(tmp_path: Path) -> None:
    path, last = tmp_path / "study.journal", compose([f"seed={SEEDS - 1}"]).seed
    for known in range(2):
        study = open_study(sweep_spec(), path, seed=last, identity={"data.bars": "f"})
        assert len(study.get_trials()) == known
        study.tell(study.ask(), 0.0)
    assert compose([f"seed={seed_after(last, 1_000)}"]).seed == 999, "a finalist's"


def test_a_line_that_a_crash_cut_short_does_not_damage_the_next(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    opened(path).ask()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    opened(path).ask()
    assert path.read_bytes().startswith(whole)
    assert len(opened(path).get_trials()) >= 2


def test_what_a_trial_earned_is_told_where_it_cannot_be_read(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    rows.write(3, "COMPLETE", {})
    assert rows.read(3, scored=True) == {"evaluation": 0}
    (tmp_path / "3.json").write_text("[")
    with pytest.raises(TrainingError, match=r"3\.json is damaged, which says what trial 3 earned"):
        rows.read(3, scored=True)


class Ended:
    """A study with two trials under way, and what a searcher says of them, in order."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "study.journal"
        self.study = opened(self.path)
        self.rows = Rows(folder / "study.trials")
        self.said: list[tuple[str, bool]] = []
        self.search = StudySearch(self.study, sweep_spec(), finished=self._finished, told=self._told)
        for name in ("a", "b"):
            self.search.suggest(name)
            self.search.on_trial_result(name, {"score": 0.5, STEP_KEY: 1, RETURNS_KEY: [0.1, 0.2]})

    def _finished(self, number: int, state: str, result: Mapping[str, Any]) -> None:
        self.said.append(("finished", self.study.trials[number].state.is_finished()))
        self.rows.write(number, state, result)

    def _told(self, number: int) -> None:
        self.said.append(("told", self.study.trials[number].state.is_finished()))


def test_what_a_trial_earned_is_on_disk_before_the_study_says_that_it_has_ended(tmp_path: Path) -> None:
    made = Ended(tmp_path)
    made.search.on_trial_complete("a", {"score": 0.5, STEP_KEY: 1, FINISHED_KEY: True, RETURNS_KEY: [0.1, 0.2]})
    assert made.said == [("finished", False), ("told", True)]


def test_what_a_failed_trial_had_shown_counts(tmp_path: Path) -> None:
    made = Ended(tmp_path)
    made.search.on_trial_complete("b", None, error=True)
    (row,) = collect(made.study, made.rows)
    assert (row.state, row.extra[RETURNS_KEY]) == ("FAIL", [0.1, 0.2])


def test_a_search_whose_trials_have_lost_what_they_earned_does_not_go_on(tmp_path: Path) -> None:
    made = Ended(tmp_path)
    made.search.on_trial_complete("a", {"score": 0.5, STEP_KEY: 1, FINISHED_KEY: True})
    made.search.on_trial_complete("b", None, error=True)
    (tmp_path / "study.trials" / "1.json").unlink()  # of a failed one that showed nothing there need not be any
    assert len(collect(made.study, made.rows)) == 2
    (tmp_path / "study.trials" / "0.json").unlink()
    with pytest.raises(TrainingError, match=r"0\.json is gone, .*; put it back from a copy, or begin another search"):
        run(sweep_spec(), Toy(), tmp_path, identity={"data.bars": "f"})


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_a_journal_that_has_lost_its_end_is_told_and_not_begun_anew(left: int, tmp_path: Path) -> None:
    """Whatever line it was cut at, also at none: its trials' own files say that there were more."""
    made = Ended(tmp_path)
    for name in ("a", "b"):
        made.search.on_trial_complete(name, {"score": 0.5, STEP_KEY: 1, FINISHED_KEY: True, RETURNS_KEY: [0.1, 0.2]})
    made.path.write_bytes(b"".join(made.path.read_bytes().splitlines(keepends=True)[:left]))
    for _ in range(2):  # the attempt leaves nothing that would pass the next
        with pytest.raises(TrainingError, match=r"holds trial [01], of which the study study\.journal knows nothing"):
            run(sweep_spec(), Toy(), tmp_path, identity={"data.bars": "f"})


def test_a_trial_that_was_killed_before_the_study_knew_its_end_is_no_damage(tmp_path: Path) -> None:
    made = Ended(tmp_path)
    made.rows.write(0, "COMPLETE", {"score": 0.5, STEP_KEY: 1})
    study = opened(made.path)
    made.rows.require_known(study)
    assert collect(study, made.rows) == ()


def test_a_setting_that_the_journal_has_lost_is_told(tmp_path: Path) -> None:
    made = Ended(tmp_path)
    made.search.on_trial_complete("a", {"score": 0.5, STEP_KEY: 1, FINISHED_KEY: True, RETURNS_KEY: [0.1, 0.2]})
    assert len(collect(opened(made.path), made.rows)) == 1
    lines = made.path.read_bytes().splitlines(keepends=True)
    setting = next(line for line in lines if b'"param_name"' in line)
    made.path.write_bytes(b"".join(line for line in lines if line is not setting))
    with pytest.raises(TrainingError, match=r"has lost a setting of trial 0: its journal is damaged; put it back"):
        collect(opened(made.path), made.rows)


@pytest.mark.parametrize("end", [{FINISHED_KEY: True}, {}])
def test_a_score_that_was_changed_in_the_study_is_told(tmp_path: Path, end: dict[str, bool]) -> None:
    """The search went on with it, and chose by it."""
    made = Ended(tmp_path)
    made.search.on_trial_complete("a", {"score": 0.5, STEP_KEY: 2, **end})
    (row,) = collect(made.study, made.rows)
    assert (row.score, row.extra) == (0.5, {})
    lines = made.path.read_text().splitlines(keepends=True)
    made.path.write_text("".join(line if "param_name" in line else line.replace("0.5", "2.5") for line in lines))
    with pytest.raises(
        TrainingError, match=r"trial 0 reported a score of 0\.5, and the study says 2\.5: one of them was changed"
    ):
        collect(opened(made.path), made.rows)
    (tmp_path / "study.trials" / "0.json").write_text('{"evaluation": 2}')  # of before scores were kept there
    assert collect(opened(made.path), made.rows)[0].score == 2.5


@pytest.mark.parametrize(
    ("scheduler", "mode"), [("asha", "max"), ("asha", "min"), ("median", "max"), ("median", "min")]
)
def test_who_stops_trials_knows_those_of_before(scheduler: str, mode: str, tmp_path: Path) -> None:
    sweep = sweep_spec(scheduler=scheduler, mode=mode, study=mode)
    sign = 1.0 if mode == "max" else -1.0
    study = open_study(sweep, tmp_path / "study.journal", seed=0, identity={"data.bars": "f"})
    for score in (0.5, 0.6, 0.7, 0.8):
        trial = study.ask()
        for step in (1, 2, 3, 4):
            trial.report(sign * score, step=step)
        study.tell(trial, sign * score)
    zombie = study.ask()
    zombie.report(sign * 100.0, step=1)
    study.tell(zombie, state=optuna.trial.TrialState.FAIL)
    study.set_user_attr(f"zombie-{zombie.number}", True)

    def answers(kept: Mapping[int, Mapping[int, float]], score: float) -> str:
        found, trial = scheduler_of(sweep, 4, kept), Fresh()
        found.on_trial_add(Nobody(), trial)
        return str(found.on_trial_result(Nobody(), trial, {STEP_KEY: 1, "score": sign * score}))

    kept = reached(study)
    assert list(kept) == [0, 1, 2, 3]
    assert answers(kept, 0.1) == "STOP"
    assert answers(kept, 0.9) == "CONTINUE"
    assert answers({}, 0.1) == "CONTINUE"


class Fresh:
    """A trial that Tune has just begun."""

    trial_id = "fresh"


class Nobody:
    """Tune's controller where no other trial waits."""

    def get_live_trials(self) -> list[Any]:
        return []
