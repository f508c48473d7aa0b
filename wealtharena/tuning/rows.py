"""The trials of a study as rows: how each ended, and what it reported beside its score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wealtharena import files
from wealtharena.errors import TrainingError
from wealtharena.tuning.search import ASKED_KEY, SCORE_KEY, STEP_KEY, failure_of
from wealtharena.tuning.space import overrides

_BACK: Final = "put it back from a copy, or begin another search without resume=, in another folder"


@dataclass(frozen=True)
class TrialRow:
    """One finished trial as the study keeps it."""

    number: int
    state: str
    overrides: tuple[str, ...]
    score: float | None
    steps: int
    extra: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None  # why a failed one failed


class Rows:
    """What a trial reported beside its score, one small file a trial, so that a killed driver loses none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, number: int, state: str, result: Mapping[str, Any]) -> None:
        """Keep what a trial reported, and the score that the study is told."""
        keep = {key: value for key, value in result.items() if key.startswith("x_") or key == SCORE_KEY}
        keep[STEP_KEY] = result.get(STEP_KEY, 0)
        files.write_json(self._folder / f"{number}.json", keep)

    def require_known(self, study: Any) -> None:
        """Raise TrainingError where a trial is kept here that the study knows nothing of: its journal has lost lines."""
        begun = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.name != "WAITING"}
        kept = (int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal())
        if (lost := min((number for number in kept if number not in begun), default=None)) is not None:
            raise TrainingError(
                f"{self._folder} holds trial {lost}, of which the study {self._folder.stem}.journal knows nothing: lines of it are gone",
                hint=f"{_BACK}, or with another sweep.study=<name>",
            )

    def read(self, number: int, *, scored: bool) -> dict[str, Any]:
        """Return what a trial reported; TrainingError where it cannot be read, or is gone and the trial was `scored`."""
        path = self._folder / f"{number}.json"
        try:
            return dict(json.loads(path.read_text()))
        except FileNotFoundError as error:
            if not scored:
                return {}
            raise _lost(path, "gone", number) from error
        except (ValueError, TypeError) as error:
            raise _lost(path, "damaged", number) from error


def _lost(path: Path, how: str, number: int) -> TrainingError:
    return TrainingError(
        f"{path} is {how}, which says what trial {number} earned: nobody could say what the best was chosen among",
        hint=_BACK,
    )


def collect(study: Any, rows: Rows, *, only: int | None = None) -> tuple[TrialRow, ...]:
    """Return the trials that have ended and count, or the one of that number.

    TrainingError where what a trial reported is gone or damaged, or where the study has another score than was kept of it.
    """
    found = []
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished() or f"zombie-{trial.number}" in study.user_attrs:
            continue
        if only not in (None, trial.number):
            continue
        extra, asked = rows.read(trial.number, scored=trial.state.name != "FAIL"), overrides(trial.params)
        if sorted(extra.pop(ASKED_KEY, asked)) != sorted(asked):
            raise TrainingError(
                f"the study {study.study_name} has lost a setting of trial {trial.number}: its journal is damaged",
                hint=_BACK,
            )
        score = (
            trial.value
            if trial.value is not None
            else (max(trial.intermediate_values.items())[1] if trial.intermediate_values else None)
        )
        if trial.state.name != "FAIL" and (told := extra.pop(SCORE_KEY, score)) != score:
            raise TrainingError(
                f"trial {trial.number} reported a score of {told}, and the study says {score}: one of them was changed",
                hint=_BACK,
            )
        found.append(
            TrialRow(
                trial.number,
                trial.state.name,
                tuple(asked),
                score,
                int(extra.pop(STEP_KEY, 0)),
                extra,
                failure_of(study, trial.number),
            )
        )
    return tuple(found)
