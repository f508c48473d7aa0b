"""Policies of one's own that a study is given: what is wrong with them is said before a window is opened for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.tasks.conftest import SMALL
from wealtharena import Study
from wealtharena.errors import ConfigError
from wealtharena.evaluation.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Held:
    """What no dictionary takes: it holds an array, and no weak reference to it is made."""

    held: npt.NDArray[np.float64]
    name: str = "held"

    def reset(self, batch: int = 1) -> None:
        """Nothing is kept."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the weights."""
        return np.repeat(self.held[None], len(observation), axis=0)


class Batched:
    """Asks to be told how many there are."""

    name = "batched"

    def reset(self, batch: int) -> None:
        """Nothing is kept."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return no weights."""
        return np.zeros((len(observation), 1))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return Study.of(None, *SMALL, "env.action=weights")


@pytest.mark.slow
def test_a_policy_that_no_dictionary_takes_is_judged(study: Study) -> None:
    """The test window was opened for it, with a line in the ledger, and then came a traceback."""
    assets = len(study.view.features.panel.symbols)
    assert study.judge(Held(np.full(assets, 1 / assets))).agent.name == "held"


def test_a_policy_that_cannot_be_called_is_refused_before_a_window_is_opened(study: Study) -> None:
    odd: Any = Batched()
    with pytest.raises(ConfigError, match=r"a Batched is asked by reset\(\) and act\(observation\)"):
        study.judge(odd)
    assert not list(Ledger(study.spec.paths.ledger).entries())


@pytest.mark.slow
def test_a_report_that_cannot_be_written_says_where_and_what_to_do(study: Study, tmp_path: Path) -> None:
    """It was a traceback of the system's, behind a judgement that had opened the test window."""
    assets = len(study.view.features.panel.symbols)
    found = study.judge(Held(np.full(assets, 1 / assets)))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"the report cannot be written to .*file.*: File exists; pass another path"):
        study.report(found, tmp_path / "file" / "report.html")
    (tmp_path / "plots").touch()
    with pytest.raises(ConfigError, match=r"the report cannot be written to .*plots"):
        study.report(found, tmp_path / "report.html")
