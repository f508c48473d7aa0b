"""What a study writes down of what it is shown."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from tests.tasks.conftest import SMALL
from wealtharena import Study
from wealtharena.config import compose
from wealtharena.data import load_panel
from wealtharena.errors import CheckpointError, ConfigError, DataError
from wealtharena.evaluation import leaderboard, records, tables
from wealtharena.evaluation.evaluate import Evaluation
from wealtharena.evaluation.ledger import Ledger
from wealtharena.features import compute
from wealtharena.training.job import Silent


class Even:
    """The same weight of each symbol at every bar."""

    def __init__(self, assets: int, name: str = "even") -> None:
        self.assets, self.name = assets, name

    def reset(self, batch: int = 1) -> None:
        """Nothing is kept."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the weights."""
        return np.full((len(observation), self.assets), 1 / self.assets)


class Dice:
    """Other weights at every bar, by a seed; all seeds are one configuration."""

    name = "dice"

    def __init__(self, assets: int, seed: int) -> None:
        self.assets, self.seed = assets, seed

    def reset(self, batch: int = 1) -> None:
        """Begin with the first throw."""
        self.rng = np.random.default_rng(self.seed)

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the weights."""
        return self.rng.dirichlet(np.ones(self.assets + 1), len(observation))[:, : self.assets]


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
def test_a_study_has_one_ledger_and_one_folder_wherever_the_process_goes(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Even(len(study.view.features.panel.symbols))
    study.backtest(policy)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    study.backtest(Even(policy.assets, "other"))
    assert [line["kind"] for line in lines(study)] == ["trial", "trial"]
    assert not list((tmp_path / "elsewhere").iterdir())
    assert study.folder == tmp_path / "outputs" / "study"


@pytest.mark.slow
def test_what_a_study_trained_and_then_plays_over_validation_is_one_trial(study: Study) -> None:
    study.backtest(study.train())
    (line,) = lines(study)
    assert line["kind"] == "trial"


def test_a_study_says_what_it_is_in_one_line(study: Study) -> None:
    said = repr(study)
    assert said.startswith(f"Study({study.spec.asset.name}, {study.spec.algo.name}: train ")
    first, last = study.prepared.sealed.window.dates[0]
    assert said.endswith(f"test {first} to {last})")
    assert repr(study.view.features).startswith("TrainingFeatures(TrainingPanel(")
    assert lines(study) == []


def test_what_is_of_another_kind_is_refused_in_a_sentence(study: Study) -> None:
    for bars in ([1, 2], "bars.csv", {"close": [1.0]}):
        with pytest.raises(DataError, match="pass a pandas DataFrame"):
            Study.of(bars, "asset=etf")
    with pytest.raises(ConfigError, match='such as "etf"'):
        load_panel(pd.DataFrame({"close": [1.0]}), asset=3)
    unnamed = Even(3)
    unnamed.name = 5
    with pytest.raises(ConfigError, match="a policy's name is 5"):
        study.judge(unnamed)
    for policy in (0.5, "even", Even):
        with pytest.raises(ConfigError, match="is no policy"):
            study.backtest(policy)
        with pytest.raises(ConfigError, match="is no policy"):
            study.judge(policy)
    for count in (0, -1, 2.5, "3", True):
        with pytest.raises(ConfigError, match="is no number of accounts"):
            study.vector_env(count)
        with pytest.raises(ConfigError, match="is no number of configurations"):
            study.judge(Even(2), tried=count)
    with pytest.raises(ConfigError, match=r"pass what judge\(\) returned"):
        study.report("report.html", "report.html")
    assert lines(study) == [], "what cannot be played opens nothing"


@pytest.mark.slow
def test_a_report_is_a_file_and_numpys_numbers_count(study: Study, tmp_path: Path) -> None:
    assert study.vector_env(np.int64(2)).num_envs == 2
    found = study.judge(Even(len(study.view.features.panel.symbols)), tried=np.int64(7))
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        study.report(found, tmp_path)


@pytest.mark.slow
def test_what_another_study_has_made_is_played_and_told_only_where_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bars = table("AAA-USD", "BBB-USD").assign(volume=9e6)
    few = (*SMALL[4:], "asset=crypto", "universe.max_symbols=null", "features.names=[log_return_1,rsi_14]")

    def over(*overrides: str) -> Study:
        return Study.of(bars, *few, *overrides)

    bound = over("env.action=weights", "model=mlp")
    policy = bound.train()
    assert bound.backtest(policy).symbols == ("AAA-USD", "BBB-USD")
    for override, said in (
        ("data.symbols=[BBB-USD,AAA-USD]", "serves its own symbols in their own order only"),
        ("data.symbols=[AAA-USD]", "serves its own symbols"),
        ("env.window=3", "trained with env.window=1, not 3"),
    ):
        with pytest.raises(CheckpointError, match=said):
            over("env.action=weights", "model=mlp", override).backtest(policy)
    alike = over("env.action=tilt").train()
    assert len(over("env.action=tilt", "data.symbols=[BBB-USD,AAA-USD]").backtest(alike).equity) > 1
    with pytest.raises(CheckpointError, match="trained with another anchor of its tilts"):
        over("env.action=tilt", "env.anchor=cash").backtest(alike)
    found = bound.judge(policy)
    for other in ("data.symbols=[AAA-USD]", "data.end=2022-02-01"):
        with pytest.raises(ConfigError, match="judged by another study"):
            over("env.action=weights", other).report(found, "report.html")
    assert bound.report(found, "report.html").is_file()


def run_folders(study: Study, folder: Path, looks: Sequence[tuple[dict[str, Any], Evaluation]]) -> None:
    """Leave the run directories that trainings of one configuration would have left, one a look."""
    for seed, (line, found) in enumerate(looks):
        place = folder / str(line["run_id"])
        place.mkdir(parents=True)
        blocks = found.to_json()
        content = {
            "run_id": line["run_id"],
            "status": "completed",
            "task": "train",
            "agent": line["agent"],
            "seed": seed,
            "config_hash": line["config_hash"],
            "data": dict(study.prepared.about),
            "split": {"test": study.prepared.sealed.window.dates},
            "metrics": {"test": blocks["metrics"]},
            "verdict": blocks["verdict"],
        }
        (place / "run.json").write_text(json.dumps(content))
        tables.write(place, found.agent, baselines=found.baselines)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [3, 5])
def test_a_study_and_a_comparison_rule_alike_of_the_same_runs(study: Study, chosen: int) -> None:
    """The best of several seeds, which were judged one by one, leave the others out in both; all of them leave none."""
    assets = len(study.view.features.panel.symbols)
    singles = [study.judge(Dice(assets, seed)) for seed in range(5)]
    shown: list[dict[str, Any]] = [line for line in lines(study) if line["kind"] == "result"]
    best = sorted(range(5), key=lambda seed: -singles[seed].metrics["sharpe"])[:chosen]
    together = study.judge(*[Dice(assets, seed) for seed in best]).verdict
    run_folders(study, Path("runs"), [(shown[seed], singles[seed]) for seed in best])
    board = leaderboard.build(
        records.find(["runs"]),
        evaluation=study.spec.evaluation,
        ledger=Ledger(study.spec.paths.ledger),
        rng=np.random.default_rng(0),
    )
    compared = board["rows"][0]["verdict"]
    assert set(together.evidence.left_out) == {shown[seed]["run_id"] for seed in range(5) if seed not in best}
    assert set(compared["evidence"]["left_out"]) == set(together.evidence.left_out)
    for name in ("seeds", "trials", "configurations", "openings"):
        assert compared["evidence"][name] == getattr(together.evidence, name), name
    assert compared["evidence"]["dsr"] == pytest.approx(together.evidence.dsr)
    told = {rule["rule"]: rule["status"] for rule in compared["rules"]}
    ruled = {ruling.rule: ruling.status for ruling in together.rulings}
    by_chance = {"lower_bound"}  # of other random numbers
    assert {k: v for k, v in told.items() if k not in by_chance} == {
        k: v for k, v in ruled.items() if k not in by_chance
    }
    assert ruled["selection"] == ("promotable" if chosen == 5 else "unproven")


@pytest.mark.slow
def test_a_policy_that_is_passed_three_times_is_one_seed(study: Study) -> None:
    assets = len(study.view.features.panel.symbols)
    one = Dice(assets, 0)
    for policies in ((one, one, one), [Dice(assets, 0) for _ in range(3)]):
        evidence = study.judge(*policies).verdict.evidence
        assert (evidence.seeds, evidence.repeated) == (1, 2)
    assert lines(study)[-1]["shown"] == [{"seed": None, "sharpe_annual": pytest.approx(evidence.sharpe)}] * 3
    assert study.judge(one).verdict.evidence.left_out == (), "what it showed before is the same again"


@pytest.mark.slow
def test_a_report_tells_its_window_and_that_several_are_seeds(study: Study, tmp_path: Path) -> None:
    """Its window was a dash, and its seeds were paths put together from other folds."""
    found = study.judge(*[Dice(len(study.view.features.panel.symbols), seed) for seed in range(3)])
    html = study.report(found, tmp_path / "report.html").read_text()
    assert "The luck of the seed" in html
    first, last = (pd.Timestamp(found.agent.timestamps[at]) for at in (0, -1))
    assert f"{first.day} {first:%b %Y} – {last.day} {last:%b %Y}" in html


def table(*symbols: str, bars: int = 500, freq: str = "D") -> pd.DataFrame:
    """Return bars in long form, with a volume that may be coins or dollars."""
    days = pd.date_range("2021-01-01", periods=bars, freq=freq)
    parts = []
    for seed, symbol in enumerate(symbols):
        close = 100 * np.exp(np.random.default_rng(seed).normal(0, 0.02, bars).cumsum())
        parts.append(pd.DataFrame({"timestamp": days, "symbol": symbol, "close": close, "volume": 300_000.0 + seed}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
def test_what_overrides_ask_of_the_bars_holds_for_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bars = table("AAA-USD", "BBB-USD", "CCC-USD")

    def panel(*overrides: str) -> Any:
        return Study.of(bars, "asset=crypto", "features.names=[log_return_1]", *overrides).prepared.sealed.training(0)

    def dates(view: Any) -> tuple[str, str]:
        stamps = view.features.panel.timestamps
        return str(stamps[0])[:10], str(stamps[-1])[:10]

    assert panel("data.symbols=[BBB-USD]").features.panel.symbols == ("BBB-USD",)
    assert panel("universe.max_symbols=2").features.panel.symbols == ("AAA-USD", "BBB-USD")
    whole, part = dates(panel()), dates(panel("data.start=2021-03-01", "data.end=2022-01-31"))
    assert part[0] == "2021-03-02" > whole[0]
    assert part[1] < "2022-02-01"
    assert part[1] < whole[1]
    assert panel("data.volume_unit=account").features.panel.volume_unit == "account"
    assert panel("data.volume_unit=units").features.panel.volume_unit == "units"
    for overrides, said in (
        (["data.symbols=[ZZZ-USD]"], "ZZZ-USD"),
        (["data.start=2030-01-01"], "no rows between"),
        (["data.interval=1h"], "1h"),
    ):
        with pytest.raises(DataError, match=said):
            panel(*overrides)
    assert Study.of(table("AAA-USD", freq="h"), "asset=crypto").view.features.panel.frequency == "1h"


@pytest.mark.slow
def test_overrides_that_passed_bars_cannot_follow_are_refused() -> None:
    bars = table("AAA-USD", bars=80)
    read = load_panel(bars, asset="crypto")
    for override in ("data=ecb", "data.path=other.csv", "data.root=elsewhere", "data.simulator.drift=false"):
        with pytest.raises(ConfigError, match="other bars than those that are passed"):
            Study.of(bars, "asset=crypto", override)
    for override in ("data.start=2021-02-01", "+data.symbols=[AAA-USD]", "universe.max_symbols=1"):
        with pytest.raises(ConfigError, match="cannot change a panel"):
            Study.of(read, "asset=crypto", override)


@pytest.mark.parametrize(
    "override",
    ["task=audit", "sweep=ppo", "resume=outputs/there", "train.retrain=etf", "train.callbacks=[json:JSONDecoder]"],
)
def test_what_a_study_does_not_do_is_refused_and_not_passed_over(override: str) -> None:
    with pytest.raises(ConfigError, match=f"{override.partition('=')[0]}.*is nothing that a study does"):
        Study.of(None, *SMALL, override)


@pytest.mark.slow
def test_a_window_that_is_to_stay_closed_is_not_opened_and_a_listener_has_both_methods(study: Study) -> None:
    closed = Study.of(None, *SMALL, "env.action=weights", "train.test=false")
    with pytest.raises(ConfigError, match=r"train\.test=false keeps the test window closed"):
        closed.judge(Even(3))
    with pytest.raises(ConfigError, match="no listener: it has no on_iteration and no on_evaluation"):
        study.train(listener=print)
    assert lines(study) == []


def test_overrides_that_are_no_texts_are_refused_in_a_sentence() -> None:
    for wrong in ("asset=crypto", None, 3, {"asset": "crypto"}, [1], [["asset=crypto"]]):
        with pytest.raises(ConfigError, match=r"is no (list of overrides|override)"):
            compose(wrong)
    with pytest.raises(ConfigError, match="is no override"):
        Study.of(table("AAA-USD"), ["asset=crypto"])
    with pytest.raises(ConfigError, match=r"compose\(\[...\]\).data"):
        load_panel(table("AAA-USD"), asset="crypto", data="files")


def test_what_an_environment_or_features_are_made_of_is_asked_for_by_its_name() -> None:
    whole, bars = compose(["asset=crypto"]), table("AAA-USD", bars=90)
    panel = load_panel(bars, asset="crypto")
    with pytest.raises(ConfigError, match=r"spec is a ExperimentSpec; .*compose\(\[...\]\).env"):
        gym.make("wealtharena/Portfolio-v0", panel=panel, spec=whole)
    with pytest.raises(ConfigError, match="panel is a DataFrame; load_panel"):
        gym.make("wealtharena/Portfolio-v0", panel=bars, spec=whole.env)
    with pytest.raises(ConfigError, match="features is a Panel"):
        gym.make("wealtharena/Portfolio-v0", features=panel, spec=whole.env)
    with pytest.raises(ConfigError, match=r"spec is a str; pass compose\(\[...\]\).features"):
        compute(panel, "default")


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy])
def test_the_arrays_of_a_copied_panel_and_of_its_features_are_read_only_too(again: Any) -> None:
    features = again(compute(load_panel(table("AAA-USD", bars=90), asset="crypto"), compose([]).features))
    for values in (features.values, features.panel.close, features.panel.timestamps, again(features.panel).close):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = values[1]


@pytest.mark.slow
def test_a_training_that_is_stopped_returns_no_policy(study: Study) -> None:
    """A cell of a notebook must not go on to the test window with what Ctrl-C has left."""

    class Stops(Silent):
        def on_iteration(self, record: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    longer = Study.of(None, *SMALL, "env.action=weights", "train.env_steps=500000")
    with pytest.raises(KeyboardInterrupt, match="its candidates are in outputs"):
        longer.train(listener=Stops())


@pytest.mark.parametrize("wrong", [None, 3, ["outputs"]])
def test_a_folder_that_is_no_path_is_refused_in_a_sentence(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"folder=.* is no path"):
        Study.of(None, *SMALL, folder=wrong)


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_trained(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            ConfigError, match=r"the study's folder .*file.* cannot be made: Not a directory; pass another"
        ):
            dataclasses.replace(study, folder=place).train()
    assert lines(study) == []


@pytest.mark.slow
def test_a_training_leaves_torchs_threads_as_they_were(study: Study) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        study.train()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
