from __future__ import annotations

from pathlib import Path

import pytest

from wealtharena.config import compose
from wealtharena.config.preset_files import preset_files, with_preset_files
from wealtharena.errors import ConfigError

PRESET = """# @package _global_
defaults:
- override /asset: forex
- override /model: attention
- _self_
train:
  env_steps: 4321
"""


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_grid_plays_several_preset_files_beside_presets_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of two searches over some seeds: the two paths were taken for one file."""
    monkeypatch.chdir(tmp_path)
    for name, steps in (("a", 10), ("b", 20), ("c,d", 30)):
        Path(f"{name}.yaml").write_text(f"train: {{env_steps: {steps}}}\n")
    assert with_preset_files(["experiment=a.yaml,none,b.yaml"]) == ["experiment=a.yaml,none,b.yaml"]
    assert [compose([f"experiment={name}.yaml"]).train.env_steps for name in "ab"] == [10, 20]
    assert preset_files("experiment=a.yaml,none, b.yaml") == [Path("a.yaml"), Path("b.yaml")]
    assert preset_files("experiment=c,d.yaml") == [Path("c,d.yaml")]
    with pytest.raises(ConfigError, match=r"experiment=e\.yaml: there is no such file"):
        with_preset_files(["experiment=a.yaml,e.yaml"])
    with pytest.raises(ConfigError, match="lists several values; for one job each: -m"):
        compose(["experiment=a.yaml,b.yaml"])
