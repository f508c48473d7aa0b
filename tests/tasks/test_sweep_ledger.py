"""What a search writes to the ledger: every configuration that it looked at, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.tasks.conftest import SMALL
from wealtharena.agents import memory
from wealtharena.config import compose
from wealtharena.config.specs.sweep import DimensionSpec
from wealtharena.errors import ConfigError, TrainingError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.evaluation.trials import History
from wealtharena.tasks import finalists, searching, sweep
from wealtharena.tasks.pipeline import Prepared, prepare
from wealtharena.tasks.trial import check_metric, own_view
from wealtharena.tuning.rows import TrialRow
from wealtharena.tuning.search import open_study
from wealtharena.tuning.selection import RETURNS_KEY

RECORD: Any = SimpleNamespace(run_id="s", content={})


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(compose(SMALL))


@pytest.fixture
def job(prepared: Prepared, tmp_path: Path) -> searching.Search:
    typed = [*SMALL, "sweep=ppo", f"paths.ledger={tmp_path / 'ledger.jsonl'}"]
    spec = compose(typed)
    return searching.Search(spec, sweep.trial_overrides(spec, typed), prepared, tmp_path, tmp_path / "study.journal")


def scored(number: int, *overrides: str, state: str = "COMPLETE") -> TrialRow:
    returns = np.random.default_rng(number).normal(0.001, 0.01, 50).tolist()
    return TrialRow(number, state, overrides, 0.1 * number, 2, {RETURNS_KEY: returns})


def trials(job: searching.Search) -> list[dict[str, Any]]:
    return [entry for entry in Ledger(job.spec.paths.ledger).entries() if entry["kind"] == "trial"]


@pytest.mark.slow
def test_a_failed_trial_that_cannot_be_composed_does_not_end_the_search(job: searching.Search) -> None:
    impossible = ("algo=sac", "model=gru")
    with pytest.raises(ConfigError):
        compose([*job.base, *impossible])
    rows = [TrialRow(0, "FAIL", impossible, None, 0, {}, "ConfigError: no"), scored(1, "algo.gamma=0.9")]
    searching.record_trials(job, RECORD, rows)
    (line,) = trials(job)
    assert line["sharpe_annual"] > 0


def test_the_windows_that_choose_stand_in_the_ledger_before_the_first_trial(
    job: searching.Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, began: Callable[[], None], **__: Any) -> None:
        began()
        (line,) = trials(job)
        assert line["window"] == [list(dates) for dates in job.prepared.sealed.selection.dates]
        raise SystemExit

    monkeypatch.setattr(sweep, "search", killed)
    for _ in range(2):  # a search that goes on takes up its own look
        with pytest.raises(SystemExit):
            sweep._search_and_judge(job, RECORD)
    assert len(trials(job)) == 1


def test_a_search_that_is_refused_is_no_look(job: searching.Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any, **__: Any) -> None:
        raise ConfigError("the study is another search's", hint="")

    monkeypatch.setattr(sweep, "search", refusing)
    with pytest.raises(ConfigError):
        sweep._search_and_judge(job, RECORD)
    assert not trials(job)


@pytest.mark.slow
def test_a_search_that_ends_with_an_error_leaves_its_trials_in_the_ledger_once_each(
    job: searching.Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [scored(0), scored(1, "algo.gamma=0.7"), scored(2, "algo.gamma=0.7")]

    def failing(*_: Any, began: Callable[[], None], ended: Any, **__: Any) -> None:
        began()
        ended(tuple(twice))
        raise TrainingError("too many failed", hint="")

    monkeypatch.setattr(sweep, "search", failing)
    for _ in range(2):
        with pytest.raises(TrainingError):
            sweep._search_and_judge(job, RECORD)
    lines = trials(job)
    assert [line["sharpe_annual"] is None for line in lines] == [True, False, False]
    assert lines[0]["config_hash"] == lines[1]["config_hash"], "the first trial is the base configuration"
    history = History.of(Ledger(job.spec.paths.ledger), job.spec.asset.agent, job.prepared.sealed.selection)
    assert history.trials(lines[0]["config_hash"]).count == 2


@pytest.mark.slow
def test_a_trial_whose_features_begin_later_is_chosen_by_the_window_of_all_others(prepared: Prepared) -> None:
    """Its own split would reach into the test window of a winner that has the search's features."""
    slow = compose([*SMALL, "features.names=[log_return_1,scaled_return_252]"])
    alone, view = prepare(slow).sealed, own_view(slow, prepared.windows)
    (ours,) = prepared.sealed.selection.dates
    assert alone.selection.dates[0][1] > ours[1]
    stamps = view.features.panel.timestamps.astype("datetime64[D]").astype(str)
    assert (stamps[view.validation.start], stamps[view.validation.stop - 1]) == ours
    assert stamps[-1] == ours[1]
    assert prepare(slow, windows=prepared.windows).sealed.window.dates == prepared.sealed.window.dates


@pytest.mark.slow
def test_a_finalist_with_other_features_is_trained_on_the_market_of_its_trial(job: searching.Search) -> None:
    row = scored(0, "features.names=[log_return_1,rsi_14]")
    found = finalists.prepared_for(job, row)
    ours, theirs = (one.sealed.training(0).features.panel.close[-1] for one in (job.prepared, found))
    assert ours.tolist() == theirs.tolist()
    assert found.sealed.window.dates == job.prepared.sealed.window.dates


@pytest.mark.parametrize("metric", ["validation.sharp", "test.sharpe", "validation.", "validation.test.sharpe"])
def test_a_measure_that_no_validation_has_is_refused_before_a_trial(metric: str) -> None:
    with pytest.raises(ConfigError, match=rf"sweep\.metric={metric} is no measure of a validation backtest"):
        check_metric(metric)


@pytest.mark.parametrize("metric", ["validation.sharpe", "calmar", "validation.trades", "validation.kept_share"])
def test_every_measure_of_a_validation_may_be_searched_for(metric: str) -> None:
    check_metric(metric)


@pytest.mark.parametrize("metric", ["validation.max_drawdown", "cvar_95"])
def test_a_search_for_the_largest_loss_is_refused(metric: str) -> None:
    check_metric(metric, "max")
    check_metric("validation.turnover", "min")
    with pytest.raises(ConfigError, match=rf"sweep\.mode=min with sweep\.metric={metric} looks for the largest loss"):
        check_metric(metric, "min")


@pytest.mark.slow
def test_a_finalist_stands_where_no_other_configuration_ever_does(
    job: searching.Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Further trials may change who leads: what was trained for one must not be taken up by another."""
    monkeypatch.setattr(finalists, "_train_again", lambda *_: 0.1)
    rows = [scored(7, "algo.gamma=0.7"), scored(2, "algo.gamma=0.8")]
    before, after = (finalists.train_finalists(job, order) for order in (rows, [scored(9, "algo.gamma=0.9"), *rows]))
    places = [{item.score.overrides: item.folders for item in found} for found in (before, after)]
    assert all(places[1][key] == folders for key, folders in places[0].items())
    assert len({folder for folders in places[1].values() for folder in folders}) == 3 * job.spec.sweep.finalist_seeds


@pytest.mark.slow
def test_trials_that_have_no_room_are_refused_before_the_first(
    job: searching.Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(concurrency: int, key: str = "algo.learning_rate", choices: tuple[Any, ...] = (0.001, 0.002)) -> None:
        space = {key: DimensionSpec.model_validate({"type": "categorical", "choices": choices})}
        several = job.spec.sweep.model_copy(update={"concurrency": concurrency, "trials": 8, "space": space})
        spec = job.spec.model_copy(update={"sweep": several})
        sweep.require_room_for_trials(spec, job.base, job.prepared)

    monkeypatch.setattr(memory, "usable_bytes", lambda: 2 * 2**30)
    asked(2)
    with pytest.raises(ConfigError, match=r"each training takes about .* for 4 at once, .* let [23] run at once"):
        asked(4)
    with pytest.raises(ConfigError, match=r"sweep\.space\.algo\.rollout_steps=90000000 .* observations .* would fit"):
        asked(1, "algo.rollout_steps", (256, 90000000))


@pytest.mark.parametrize(
    ("word", "said"),
    [("sweep.metric=validation.calmar", "metric of its trials was validation.sharpe, is validation.calmar"),
     ("sweep.mode=min", "mode of its trials was max, is min"),
     ("sweep.seeds_per_trial=2", "seeds_per_trial of its trials was 1, is 2"),
     ("sweep.env_steps=512", "env_steps of its trials was 200000, is 512")],
)  # fmt: skip
def test_a_study_takes_no_trials_of_another_measure_or_length(
    word: str, said: str, job: searching.Search, tmp_path: Path
) -> None:
    """Scores of two measures stood in one study, and the best of it was the worst by the one that was asked for."""
    typed = [*SMALL, "sweep=ppo", f"paths.ledger={tmp_path / 'ledger.jsonl'}", word]
    spec = compose(typed)
    other = replace(job, spec=spec, base=sweep.trial_overrides(spec, typed))
    open_study(job.spec.sweep, job.study_path, seed=0, identity=sweep.study_identity(job))
    open_study(job.spec.sweep, job.study_path, seed=0, identity=sweep.study_identity(job))
    with pytest.raises(ConfigError, match=said):
        open_study(spec.sweep, job.study_path, seed=0, identity=sweep.study_identity(other))


@pytest.mark.slow
def test_a_study_takes_no_trials_of_edited_code(job: searching.Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of two rewards under one name stood in one study."""
    for code, told in (
        ("as it was", None),
        ("as it was", None),
        ("as it is", r"code of envs\.rewards\.calm was as it was"),
    ):
        monkeypatch.setattr(sweep, "code_of", lambda spec, code=code: {"envs.rewards.calm": code})
        identity = sweep.study_identity(job)
        if told is None:
            open_study(job.spec.sweep, job.study_path, seed=0, identity=identity)
            continue
        with pytest.raises(ConfigError, match=told):
            open_study(job.spec.sweep, job.study_path, seed=0, identity=identity)
