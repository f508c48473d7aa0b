import pytest

from tests.config.variants import variant
from wealtharena.config import compose, config_hash, hashing


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


def test_the_hash_moves_with_the_numbers_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = config_hash(variant())
    monkeypatch.setattr(hashing, "NUMBERS", hashing.NUMBERS + 1)
    assert config_hash(variant()) != before


@pytest.mark.parametrize("source", ["store", "ecb", "yahoo", "simulated", "files"])
def test_where_the_data_come_from_is_no_configuration(source: str) -> None:
    """A run before and one after task=collect are seeds of one group: the group that chooses a source sets nothing else."""
    assert config_hash(compose(["asset=forex", f"data={source}"])) == config_hash(compose(["asset=forex"]))


def test_the_hash_is_sixteen_hex_digits() -> None:
    assert int(config_hash(variant()), 16) >= 0
    assert len(config_hash(variant())) == 16
