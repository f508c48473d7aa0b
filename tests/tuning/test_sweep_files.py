from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from wealtharena.config import compose
from wealtharena.config.paths import sweeps_dir
from wealtharena.errors import ConfigError
from wealtharena.tasks.sweep import trial_overrides, with_fixed
from wealtharena.tuning import space

FILES = sorted(sweeps_dir().glob("*.yaml"))
WANDB = sorted((sweeps_dir() / "wandb").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sweep_composes_from_any_folder_and_its_space_fits_its_algorithm(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = ("asset=forex", f"sweep={path.stem}", "sweep.trials=7")
    spec = compose(typed)
    assert spec.sweep.trials == 7
    typed = with_fixed(spec, typed)
    space.check(spec.sweep, trial_overrides(spec, typed), compose)
    assert compose(typed).algo.name == path.stem


def test_every_algorithm_has_a_sweep() -> None:
    algorithms = {path.stem for path in (sweeps_dir().parent / "conf" / "algo").glob("*.yaml")}
    assert {path.stem for path in FILES} >= algorithms


def test_what_is_typed_wins_over_what_a_sweep_fixes() -> None:
    spec = compose(["sweep=sac"])
    assert with_fixed(spec, ("sweep=sac", "algo=tqc")) == ("sweep=sac", "algo=tqc")
    assert with_fixed(spec, ("sweep=sac",)) == ("sweep=sac", "algo=sac")


@pytest.mark.slow
@pytest.mark.parametrize("path", WANDB, ids=lambda path: path.stem)
def test_the_command_that_a_wandb_agent_would_run_composes_at_every_end(path: Path) -> None:
    sweep: dict[str, Any] = yaml.safe_load(path.read_text())
    ends = [
        [f"{key}={value}" for value in (p.get("values") or (p["min"], p["max"]))]
        for key, p in sweep["parameters"].items()
    ]
    first, last = [item[0] for item in ends], [item[-1] for item in ends]
    for chosen in (first, last):
        command = [w for word in sweep["command"] for w in (chosen if word == "${args_no_hyphens}" else [word])]
        assert command[:3] == ["${env}", "python", "${program}"]
        assert compose(command[3:]).task == "train"
    assert sweep["metric"]["name"] == "validation/sharpe"


@pytest.mark.parametrize("name", ["../x", "..", "''", "a/b", "x" * 101])
def test_a_study_is_named_by_a_file_of_its_own_folder(name: str) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.study"):
        compose(["sweep=ppo", f"sweep.study={name}"])
    assert compose(["sweep=ppo", "sweep.study='my study.2'"]).sweep.study == "my study.2"
