import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.config.variants import variant
from wealtharena.config import compose, config_hash, hashing
from wealtharena.config.composition import compose_raw, flatten
from wealtharena.config.identity import MAY_CHANGE, refuse_used, run_record
from wealtharena.errors import ConfigError, UsedFolderError


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    [
        "seed=7",
        "paths.checkpoints=elsewhere",
        "tracking.console=plain",
        "tracking.wandb.tags=[a]",
        "compute.torch_threads=1",
        "evaluation.verdict.min_seeds=9",
        "data.root=elsewhere",
        "data.source=store",
        "data.path=bars.parquet",
        "data.manners.requests_per_second=1.5",
        "data.macro.manners.attempts=2",
        "train.checkpoint_seconds=7",
    ],
)
def test_what_cannot_change_the_result_leaves_the_hash(override: str) -> None:
    assert config_hash(variant(override)) == config_hash(variant())


@pytest.mark.parametrize(
    "override",
    [
        "algo.learning_rate=0.00011",
        "asset.costs.commission_bps=5",
        "universe.max_symbols=3",
        "env.window=2",
        "data.start=2015-01-01",
        "split.test_share=0.3",
        "features.clip=4",
        "train.env_steps=12345",
        "model.hidden=[32]",
        "compute.envs=8",
    ],
)
def test_what_changes_the_result_changes_the_hash(override: str) -> None:
    assert config_hash(variant(override)) != config_hash(variant())


@pytest.mark.parametrize("key", ["momentum_bars", "lookback_bars", "rebalance_bars"])
def test_how_a_baseline_trades_is_part_of_what_learns_from_its_record(key: str) -> None:
    """Agents that imitate twenty look-backs are twenty trials; beside an agent that plays by itself it is how it is judged."""
    offline = ["asset=crypto", "algo=bc"]
    assert config_hash(compose([*offline, f"evaluation.{key}=37"])) != config_hash(compose(offline))
    assert config_hash(compose([*offline, "evaluation.random_seeds=7"])) == config_hash(compose(offline))
    assert config_hash(variant(f"evaluation.{key}=37")) == config_hash(variant())


def test_the_hash_moves_with_the_numbers_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = config_hash(variant())
    monkeypatch.setattr(hashing, "NUMBERS", hashing.NUMBERS + 1)
    assert config_hash(variant()) != before


@pytest.mark.slow
@pytest.mark.parametrize("source", ["store", "ecb", "yahoo", "simulated", "files"])
def test_where_the_data_come_from_is_no_configuration(source: str) -> None:
    """A run before and one after task=collect are seeds of one group: the group that chooses a source sets nothing else."""
    assert config_hash(compose(["asset=forex", f"data={source}"])) == config_hash(compose(["asset=forex"]))


def test_the_hash_is_sixteen_hex_digits() -> None:
    assert int(config_hash(variant()), 16) >= 0
    assert len(config_hash(variant())) == 16


LEFT = (
    "trainer/state.pt",
    "folds/2/trainer/state.pt",
    "checkpoints/best.json",
    "finalists/1/seed-0/trainer/state.pt",
    "study.journal",
    "sweep.json",
    "metrics.jsonl",
    "equity.parquet",
)


@pytest.mark.parametrize("name", LEFT)
def test_a_folder_whose_run_json_is_gone_holds_a_run_all_the_same(tmp_path: Path, name: str) -> None:
    """To begin there would be to train over its results, and to open its test window again."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(
        ConfigError, match=r"has lost its run\.json, and .* of a run are there; put run\.json back, or begin"
    ):
        run_record(tmp_path)
    with pytest.raises(
        UsedFolderError, match=r"^here already holds a run that has lost its run\.json: .*another folder$"
    ):
        refuse_used(tmp_path, "here", name="here")


@pytest.mark.parametrize(
    "name", [".hydra/overrides.yaml", ".lock", "notes.md", "checkpoints/etf/one", "outputs/a/run.json"]
)
def test_a_folder_with_other_things_in_it_is_free(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert run_record(tmp_path) == {}
    refuse_used(tmp_path, "here", name="here")


def test_a_folder_that_holds_a_run_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "run.json").symlink_to("nowhere")
    with pytest.raises(UsedFolderError, match="here already holds a run; go on with it by resume=there"):
        refuse_used(tmp_path, "here", name="there")


@pytest.mark.parametrize("key", ["run_id", "status", "task"])
@pytest.mark.parametrize("value", [None, "", 3])
def test_a_record_without_what_every_run_writes_first_is_damaged(tmp_path: Path, key: str, value: object) -> None:
    whole = {"run_id": "a", "status": "completed", "task": "train"}
    (tmp_path / "run.json").write_text(json.dumps(whole))
    assert run_record(tmp_path) == whole
    (tmp_path / "run.json").write_text(json.dumps({**whole, key: value}))
    with pytest.raises(ConfigError, match=rf"run\.json is damaged: it has no {key}; "):
        run_record(tmp_path)


def test_a_record_of_a_newer_schema_is_not_gone_on_with(tmp_path: Path) -> None:
    whole = {"run_id": "a", "status": "completed", "task": "train"}
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": 2, **whole}))
    with pytest.raises(
        ConfigError, match=r"run\.json has schema_version 2, this program knows 1; install a newer version"
    ):
        run_record(tmp_path)


def test_what_a_resumed_run_may_change_is_there() -> None:
    keys = ["hydra", *flatten(OmegaConf.to_container(compose_raw(), resolve=False))]
    assert [name for name in MAY_CHANGE if not any(key == name or key.startswith(f"{name}.") for key in keys)] == []
