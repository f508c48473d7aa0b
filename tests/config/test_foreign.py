"""Files that others wrote set values; they run nothing and read nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from wealtharena.config.foreign import check_foreign, check_overrides
from wealtharena.config.preset_files import with_preset_files
from wealtharena.config.resume import resumed_argv
from wealtharena.errors import ConfigError


@pytest.mark.parametrize(
    "content",
    [
        {"seed": "${oc.env:HOME}"},
        {"seed": "${asset.name}"},
        {"train": {"_target_": "os.system"}},
        {"hydra": {"callbacks": {}}},
        {"hydra/launcher": "joblib"},
        {"train": ["a", {"x": ["${oc.env:WANDB_API_KEY,x}"]}]},
        {"${oc.env:HOME}": 1},
    ],
)
def test_a_foreign_configuration_that_would_act_here_is_refused(content: object) -> None:
    with pytest.raises(ConfigError, match=r"^config\.yaml: "):
        check_foreign(content, where="config.yaml")


def test_a_small_file_that_would_be_a_large_one_is_refused() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for one, before in zip("bcdefghi", "abcdefgh", strict=True):
        text += f"{one}: &{one} [{', '.join(['*' + before] * 9)}]\n"
    with pytest.raises(ConfigError, match="more than 100000 parts"):
        check_foreign(yaml.safe_load(text), where="config.yaml")


@pytest.mark.parametrize(
    "item",
    [
        "hydra.callbacks.x._target_=os.system",
        "+hydra.callbacks.x={_target_:os.system}",
        "~hydra.run",
        "hydra/launcher=joblib",
        "hydra/callbacks@x=y",
        "--config-dir=/somewhere",
        "-m",
        "+x._target_=os.system",
        "data.source=${oc.env:HOME}",
        {"asset": "forex"},
        7,
    ],
)
def test_a_run_record_that_does_more_than_set_keys_is_not_resumed(tmp_path: Path, item: object) -> None:
    with pytest.raises(ConfigError):
        check_overrides(["asset=forex", item], where="overrides.yaml")
    record = tmp_path / ".hydra" / "overrides.yaml"
    record.parent.mkdir()
    record.write_text(yaml.safe_dump(["asset=forex", item]))
    with pytest.raises(ConfigError, match=r"before you have read it"):
        resumed_argv([f"resume={tmp_path}"])
    record.write_text(yaml.safe_dump(["asset=forex", "+data.x=1", "~features.y", "algo=ppo"]))
    assert resumed_argv([f"resume={tmp_path}"])[:4] == ["asset=forex", "+data.x=1", "~features.y", "algo=ppo"]


@pytest.mark.parametrize(
    "text",
    [
        "hydra:\n  callbacks:\n    x:\n      _target_: os.system\n",
        "defaults:\n  - override hydra/launcher: joblib\n",
        "defaults:\n  - override /hydra/launcher: joblib\n",
        "defaults:\n  - /hydra/callbacks: x\n",
        "train:\n  _target_: os.system\n",
        "data:\n  source: ${oc.env:HOME}\n",
    ],
)
def test_a_preset_file_that_would_run_code_is_refused(tmp_path: Path, text: str) -> None:
    preset = tmp_path / "preset.yaml"
    preset.write_text(text)
    with pytest.raises(ConfigError, match=r"preset\.yaml: "):
        with_preset_files([f"experiment={preset}"])
    preset.write_text("defaults:\n  - override /asset: forex\nseed: 3\ntrain:\n  env_steps: ${seed}\n")
    assert with_preset_files([f"experiment={preset}"])
