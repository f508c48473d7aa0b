"""Policies of one's own that a study is given: what is wrong with them is said before a window is opened for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.tasks.conftest import SMALL
from tests.test_study import table
from wealtharena import Study
from wealtharena.agents.process import own_torch
from wealtharena.data import load_panel
from wealtharena.errors import ConfigError, DataError, TrainingError
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
    with pytest.raises(ConfigError, match=r"file cannot be written: File exists; pass another path"):
        study.report(found, tmp_path / "file" / "report.html")
    (tmp_path / "plots").touch()
    with pytest.raises(ConfigError, match=r"plots cannot be written"):
        study.report(found, tmp_path / "report.html")


@pytest.mark.slow
def test_a_panel_of_another_class_a_path_and_a_list_of_overrides_are_refused_in_a_sentence() -> None:
    """A panel that was read as funds was played by the costs, limits and calendar of coins, the class of no override."""
    panel = load_panel(table("AAA-USD", bars=90), asset="etf")
    with pytest.raises(ConfigError, match='read as asset=etf, and this is asset=crypto; pass "asset=etf"'):
        Study.of(panel)
    path: Any = Path("bars.csv")
    with pytest.raises(DataError, match=r'bars\.csv is no table; .* None with "data=files" and "data\.path=bars\.csv"'):
        Study.of(path)
    several: Any = ["asset=etf", "seed=1"]
    with pytest.raises(ConfigError, match="is no override; pass each by itself"):
        Study.of(panel, several)


@pytest.fixture
def _torch_as_it_was() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.usefixtures("_torch_as_it_was")
def test_a_training_computes_as_ours_do_whatever_a_notebook_has_set_of_torchs(study: Study, tmp_path: Path) -> None:
    """Within no_grad() it spoke of an objective without a gradient; other defaults were torch's own tracebacks."""
    torch.set_default_device("meta")
    for context in (torch.no_grad(), torch.inference_mode()):
        with context, own_torch():
            weight = torch.ones(2, requires_grad=True)
            (weight * weight).sum().backward()
            assert weight.grad is not None
            assert weight.device.type == "cpu"
    assert torch.ones(1).device.type == "meta"
    torch.set_default_dtype(torch.float64)
    with pytest.raises(
        TrainingError, match=r"torch makes torch\.float64 .*; call torch\.set_default_dtype\(torch\.float32\)"
    ):
        study.train()
    assert list(tmp_path.iterdir()) == []
