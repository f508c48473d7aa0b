from __future__ import annotations

from pathlib import Path

import pytest

from wealtharena.config import compose, config_hash
from wealtharena.config.preset import preset, read_override

TYPED = {
    "nothing": (),
    "another class": ("asset=forex", "algo=sac"),
    "a preset that changes groups": ("experiment=us_tech", "data=simulated"),
    "a preset that changes costs": ("experiment=frictionless", "asset=etf"),
    "a debug preset": ("debug=fast", "asset=etf"),
    "symbols that look like other things": ("asset=stocks", "data.symbols=[ON,'NA','TRUE','1e5']"),
    "numbers without a point": ("algo.learning_rate=1e-5", "algo.gamma=0.5"),
    "a universe of its own": ("asset=stocks", "universe=nyse", "universe.max_symbols=3"),
    "a group chosen and a value in it": ("model=attention", "model.heads=2", "reward=drawdown"),
    "a dictionary": ("+data.provider_symbols={AAA: a}",),
    "another window": ("split=walk_forward", "data.start=2015-01-01", "data.end=2020-12-31"),
    "another data source": ("data=simulated", "data.simulator.bars=900", "data/simulator=etf"),
    "limits": ("asset=forex", "asset.costs.commission_bps=7", "env.fill=next_close"),
}


@pytest.mark.slow
@pytest.mark.parametrize("overrides", TYPED.values(), ids=TYPED.keys())
def test_a_preset_composes_to_what_it_was_made_from(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    path = tmp_path / "best.yaml"
    path.write_text("# @package _global_\n" + preset(overrides))
    again = compose([f"experiment={path}"])
    assert config_hash(again) == config_hash(compose(overrides))
    assert again.evaluation == compose(overrides).evaluation


def test_an_override_is_read_as_hydra_reads_it() -> None:
    assert read_override("algo.learning_rate=1e-05") == ("algo.learning_rate", 1e-05)
    assert read_override("data.symbols=[ON,AAA]") == ("data.symbols", ["ON", "AAA"])
    assert read_override("+train.note=yes") == ("train.note", "yes")
