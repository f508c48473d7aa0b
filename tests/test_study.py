"""What a study writes down of what it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from tests.tasks.conftest import SMALL
from wealtharena import Study
from wealtharena.data import load_panel
from wealtharena.errors import ConfigError, DataError
from wealtharena.evaluation.ledger import Ledger


class Even:
    """The same weight of each symbol at every bar."""

    def __init__(self, assets: int, name: str = "even") -> None:
        self.assets, self.name = assets, name

    def reset(self, batch: int = 1) -> None:
        """Nothing is kept."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the weights."""
        return np.full((len(observation), self.assets), 1 / self.assets)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return Study.of(None, *SMALL, "env.action=weights")


def lines(study: Study) -> list[dict[str, object]]:
    return list(Ledger(study.spec.paths.ledger).entries())


@pytest.mark.slow
def test_a_policy_that_is_played_over_validation_is_a_trial_of_it_once(study: Study) -> None:
    assets = len(study.view.features.panel.symbols)
    study.backtest(Even(assets), window="train")
    assert lines(study) == [], "training rows choose nothing"
    for name in ("even", "even", "other"):
        study.backtest(Even(assets, name))
    first, second = lines(study)
    assert (first["kind"], first["window"]) == ("trial", [list(pair) for pair in study.prepared.sealed.selection.dates])
    assert first["config_hash"] != second["config_hash"]
    study.judge(Even(assets))
    opened = next(line for line in lines(study) if line["kind"] == "open")
    assert opened["config_hash"] == first["config_hash"], "one configuration, tried and judged"


@pytest.mark.slow
def test_what_a_study_trained_and_then_plays_over_validation_is_one_trial(study: Study) -> None:
    study.backtest(study.train())
    (line,) = lines(study)
    assert line["kind"] == "trial"


def test_what_is_of_another_kind_is_refused_in_a_sentence(study: Study) -> None:
    for bars in ([1, 2], "bars.csv", {"close": [1.0]}):
        with pytest.raises(DataError, match="pass a pandas DataFrame"):
            Study.of(bars, "asset=etf")
    with pytest.raises(ConfigError, match='such as "etf"'):
        load_panel(pd.DataFrame({"close": [1.0]}), asset=3)
    for policy in (0.5, "even", Even):
        with pytest.raises(ConfigError, match="is no policy"):
            study.backtest(policy)
        with pytest.raises(ConfigError, match="is no policy"):
            study.judge(policy)
    for count in (0, -1, 2.5, "3"):
        with pytest.raises(ConfigError, match="is no number of accounts"):
            study.vector_env(count)
    with pytest.raises(ConfigError, match=r"pass what judge\(\) returned"):
        study.report("report.html", "report.html")
    assert lines(study) == [], "what cannot be played opens nothing"
