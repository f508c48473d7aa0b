from __future__ import annotations

from pathlib import Path

import pytest

from wealtharena.config import compose
from wealtharena.errors import ConfigError

PRESET = """# @package _global_
defaults:
- override /asset: forex
- override /model: attention
- _self_
train:
  env_steps: 4321
"""


def test_a_preset_file_anywhere_is_composed_like_one_of_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "2026-01-02" / "run"
    folder.mkdir(parents=True)
    (folder / "best.yaml").write_text(PRESET)
    monkeypatch.chdir(tmp_path)
    for path in (str(folder / "best.yaml"), "2026-01-02/run/best.yaml"):
        spec = compose([f"experiment={path}", "seed=7"])
        assert (spec.asset.name, spec.model.name, spec.train.env_steps, spec.seed) == ("forex", "attention", 4321, 7)


def test_what_is_typed_wins_over_a_preset_file(tmp_path: Path) -> None:
    (tmp_path / "best.yaml").write_text(PRESET)
    assert compose([f"experiment={tmp_path / 'best.yaml'}", "train.env_steps=5"]).train.env_steps == 5


def test_a_missing_preset_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere/best\.yaml: there is no such file"):
        compose(["experiment=nowhere/best.yaml"])
