from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.registry.shelf import place
from tests.tasks.conftest import SMALL, record
from wealtharena.config import compose
from wealtharena.errors import ConfigError, PromotionError
from wealtharena.registry import ModelCheckpoint
from wealtharena.registry.history import Pointer, now
from wealtharena.registry.promotion import withdraw
from wealtharena.reporting.words import challenged
from wealtharena.tasks import retraining, train
from wealtharena.tasks.record import RunContext

pytestmark = pytest.mark.slow

Small = Callable[..., tuple[int, Path]]
OLD = ("data=ecb", "data.start=2016-01-01", "data.end=2022-12-30", "train.env_steps=1024", "train.evaluations=1")
TWO = (" ".join(OLD), " ".join((*OLD, "seed=1")))  # jobs that many tests begin with: each runs once
Finished = Callable[..., list[Path]]


def versions_of(folders: list[Path]) -> list[str]:
    return [str(record(folder)["run_id"]) for folder in folders]


def promote(version: str) -> None:
    """Let a version stand in production, which the gate would keep it from."""
    store = ModelCheckpoint("checkpoints")
    kept = store.load_checkpoint("forex", version).files.manifest_sha256
    place(store.root, Pointer("currency_pairs", "production", version, kept, "promotable", False, now()))


def test_a_retraining_repeats_production_on_newer_data_and_must_beat_it(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = [], retraining.room.challenge
    monkeypatch.setattr(
        retraining.room, "challenge", lambda *args, **named: asked.append(named) or real(*args, **named)
    )
    store = ModelCheckpoint("checkpoints")
    hurdle = "asset.risk_free_bps_per_year=300"
    _, first = small(*OLD, "model.hidden=[8]", "evaluation.bootstrap_draws=300", hurdle)
    old = store.load_checkpoint("forex", record(first)["run_id"])
    promote(old.metadata.version)
    code, second = small(
        "asset=crypto",
        "data=ecb",
        "train.retrain=forex",
        "train.warm_start=true",
        "train.env_steps=1024",
        "train.evaluations=1",
    )
    assert code == 0
    run = record(second)
    assert (run["agent"], run["data"]["source"], run["data"]["symbols"]) == (
        "currency_pairs",
        "ecb",
        list(old.metadata.symbols),
    )
    assert run["data"]["start"] == old.metadata.data.start
    assert run["data"]["end"] > "2026"
    new = store.load_checkpoint("forex", run["run_id"])
    config = yaml.safe_load(new.files.content["config.yaml"])
    assert config["model"]["hidden"] == [8]
    challenge = json.loads(new.files.content["metadata.json"])["challenge"]
    assert run["challenge"] == challenge
    said = "It beats" if challenge["beats"] else "It does not beat"
    assert challenged(run["challenge"]).startswith(f"{said} the incumbent {old.metadata.version} on data")
    assert challenge["incumbent"] == old.metadata.version
    assert challenge["start"] > "2022-12-30"
    assert challenge["bars"] > 100
    assert challenge["ci95"][0] < challenge["sharpe_difference"] < challenge["ci95"][1]
    assert challenge["beats"] is (challenge["ci95"][0] > 0)
    assert [named["risk_free_per_year"] for named in asked] == [0.03], "the hurdle of production's configuration"


def test_a_warm_start_begins_with_the_incumbents_weights(finished: Finished) -> None:
    from wealtharena.agents.engine import warm_up
    from wealtharena.agents.policy import load_policy

    store = ModelCheckpoint("checkpoints")
    loaded = store.load_checkpoint("forex", versions_of(finished(*TWO))[0])
    policy = load_policy(loaded.files.folder)
    for parameter in policy.network.parameters():
        torch.nn.init.zeros_(parameter)
    warm_up(policy.network, loaded.files.folder)
    saved = torch.load(loaded.files.folder / "weights.pt", weights_only=True)
    for name, value in policy.network.state_dict().items():
        torch.testing.assert_close(value, saved[name])


def test_a_warm_start_is_a_configuration_of_the_version_that_it_begins_with(
    small: Small, finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Seeds that began with the weights of two versions were judged together, as seeds of one configuration."""
    hashes = list[str]()
    versions = versions_of(finished(*TWO))
    monkeypatch.setattr(train, "train_view", stopped)  # the run has said by then what it is
    for version in versions:
        promote(version)
        for warm in ("true", "false"):
            before = set(tmp_path.glob("outputs/*/*"))
            with pytest.raises(KeyboardInterrupt):
                small("train.retrain=forex", f"train.warm_start={warm}", *OLD[3:], "data.end=2023-12-29")
            (folder,) = set(tmp_path.glob("outputs/*/*")) - before
            run = record(folder)
            assert run.get("begun_with") == (version if warm == "true" else None)
            hashes.append(run["config_hash"])
    assert hashes[0] != hashes[2]
    assert hashes[1] == hashes[3], "the incumbents differ in their seeds alone"


def stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("split", "end"), [("holdout", "2018-12-31"), ("walk_forward split.folds=2", "2023-12-29")])
def test_weights_that_have_learnt_from_a_test_window_begin_no_training(
    small: Small, finished: Finished, split: str, end: str
) -> None:
    """Agents that had seen their test in another life were judged on it as on bars that nobody knows."""
    version = versions_of(finished(*TWO) if split == "holdout" else finished(f"{TWO[0]} split={split}"))[0]
    promote(version)
    words = ("train.retrain=forex", *OLD[3:], f"data.end={end}")
    with pytest.raises(ConfigError, match=rf"{version} has learnt from bars up to 20\d\d-"):
        small(*words, "train.warm_start=true")
    code, folder = small(*words)
    assert code == 0, "what begins at nothing knows nothing"
    told = any(
        "What comes of it will stay on paper: only 0 bars are later than 2022-12-30" in note
        for note in record(folder)["notes"]
    )
    assert told is (end < "2022"), "before anything is trained, whether it can be compared at all"
    assert (record(folder)["challenge"]["bars"] == 0) is told


def test_a_warm_start_that_goes_on_begins_with_what_it_was_begun_with(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folds after a promotion began with the weights of another version than the hash of the run says."""
    begun = list[Path | None]()
    versions = versions_of(finished(*TWO))
    promote(versions[0])
    words = (*SMALL, "train.retrain=forex", "train.warm_start=true", *OLD[3:], "data.end=2023-12-29", "data=ecb")

    def killed(*_: object, warm: Path | None, **__: object) -> None:
        begun.append(warm)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train_view", killed)
    for resumed in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train.run_in(RunContext(Path("again").resolve(), words, resumed=resumed), compose(words))
        promote(versions[1])
    assert [None if place is None else place.name for place in begun] == [versions[0]] * 2


def test_without_production_there_is_nothing_to_retrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PromotionError, match="nothing is in production"):
        retraining.version_of(compose(["train.retrain=crypto"]), {})


@pytest.mark.parametrize("end", ["withdrawn", "sees otherwise"])
def test_a_retraining_ends_though_production_changed_while_it_trained(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """One whose incumbent was withdrawn had opened its test window, could not be compared, and was lost."""
    store, words = (
        ModelCheckpoint("checkpoints"),
        (*SMALL, "train.retrain=forex", *OLD[3:], "data=ecb", "data.end=2023-12-29"),
    )
    versions = versions_of(finished(TWO[0], f"{TWO[0]} features=compact"))
    promote(versions[0])
    context = RunContext(Path("again").resolve(), words)
    with monkeypatch.context() as patch:
        patch.setattr(train, "train_view", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.run_in(context, compose(words))
    promote(versions[1])  # of another configuration
    real = train.train_folds

    def withdrawn(*args: Any, **named: Any) -> Any:
        if end == "withdrawn":
            withdraw(store, "forex")
        return real(*args, **named)

    monkeypatch.setattr(train, "train_folds", withdrawn)
    assert train.run_in(replace(context, resumed=True), compose(words)) == 0
    run = record(context.folder)
    assert (run["retrains"], run["challenge"]["incumbent"]) == (versions[0], versions[0])
    told = json.loads(store.load_checkpoint("forex", run["run_id"]).files.content["metadata.json"])
    assert told["retrains"] == versions[0]
    seen = [store.load_checkpoint("forex", name).metadata.feature_names for name in (*versions, run["run_id"])]
    assert seen[2] == seen[0] != seen[1]


@pytest.mark.parametrize("model", ["mlp", "shared"])
def test_bars_that_have_lost_a_symbol_make_no_retraining_in_silence(small: Small, tmp_path: Path, model: str) -> None:
    """An agent of two symbols was trained where production trades three, without a word, or failed after its test was opened."""
    days = pd.bdate_range("2016-01-01", "2023-12-29", tz="UTC")
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, (len(days), 3)), axis=0))
    names = ("USDJPY", "EURUSD", "GBPUSD")
    table = pd.DataFrame(close, index=days, columns=names).rename_axis("timestamp")

    def bars(*kept: str, end: str) -> None:
        long = table.loc[:end, list(kept)].reset_index().melt("timestamp", var_name="symbol", value_name="close")
        long.to_parquet(tmp_path / "bars.parquet")

    bars(*names, end="2022-12-30")
    steps = ("train.env_steps=1024", "train.evaluations=1")
    tilt = "env.action=tilt"  # of whose observation two columns are no features of bars
    _, first = small("data=files", f"data.path={tmp_path}/bars.parquet", f"model={model}", tilt, *steps)
    version = record(first)["run_id"]
    promote(version)
    bars(*names[1:], end="2023-12-29")
    told = f"currency_pairs/{version} was trained on other symbols than these bars have: USDJPY is lacking"
    if model == "mlp":
        with pytest.raises(ConfigError, match=re.escape(told)):
            small("train.retrain=forex", *steps)
        return
    code, folder = small("train.retrain=forex", *steps)
    assert (code, record(folder)["data"]["symbols"]) == (0, list(names[1:]))
    assert any(told in note for note in record(folder)["notes"])
    assert record(folder)["challenge"]["incumbent"] == version


def test_bars_that_have_lost_a_column_make_no_retraining(small: Small, tmp_path: Path) -> None:
    """Where features are lacking the comparison failed, once the test window of a whole training had been opened."""
    days = pd.bdate_range("2016-01-01", "2023-12-29", tz="UTC")
    close = 1.1 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.005, len(days))))
    begun = np.r_[close[0], close[:-1]]
    top, low = np.maximum(begun, close) * 1.002, np.minimum(begun, close) * 0.998
    prices = {"open": begun, "high": top, "low": low, "close": close}
    table = pd.DataFrame({"timestamp": days, "symbol": "EURUSD", **prices})
    table.iloc[:-250].to_parquet(tmp_path / "bars.parquet")
    steps = ("train.env_steps=1024", "train.evaluations=1")
    _, first = small("data=files", f"data.path={tmp_path}/bars.parquet", *steps)
    version = record(first)["run_id"]
    promote(version)
    table[["timestamp", "symbol", "close"]].to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(
        ConfigError, match=rf"{version} was trained on other features than these bars give: .*atr_14 is lacking"
    ):
        small("train.retrain=forex", *steps)


def test_newer_bars_may_lie_in_another_file(small: Small, tmp_path: Path) -> None:
    """They had to be written over those that production was trained on."""
    days = pd.bdate_range("2016-01-01", "2023-12-29", tz="UTC")
    close = 1.1 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.005, len(days))))
    table = pd.DataFrame({"timestamp": days, "symbol": "EURUSD", "close": close})
    table.iloc[:-250].to_parquet(tmp_path / "old.parquet")
    table.to_parquet(tmp_path / "new.parquet")
    store, steps = ModelCheckpoint("checkpoints"), ("train.env_steps=1024", "train.evaluations=1")
    _, first = small("data=files", f"data.path={tmp_path}/old.parquet", *steps)
    version = record(first)["run_id"]
    promote(version)
    code, folder = small("train.retrain=forex", "data=files", f"data.path={tmp_path}/new.parquet", *steps)
    assert code == 0
    told = record(folder)["data"]
    assert told["end"][:10] == str(days[-1].date())
    assert record(folder)["challenge"]["incumbent"] == version
    config = yaml.safe_load(store.load_checkpoint("forex", record(folder)["run_id"]).files.content["config.yaml"])
    assert config["data"]["path"] == f"{tmp_path}/new.parquet"


def test_a_file_is_no_newer_data_of_another_source(small: Small, finished: Finished) -> None:
    version = versions_of(finished(*TWO))[0]
    promote(version)
    with pytest.raises(ConfigError, match=rf"{version} was trained on data=ecb, not on a file"):
        small("train.retrain=forex", "data=files", "data.path=new.parquet", "train.env_steps=1024")
