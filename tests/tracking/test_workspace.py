from __future__ import annotations

import sys

import pytest

from wealtharena.errors import ConfigError
from wealtharena.tracking import workspace


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_workspace_shows_training_validation_comparison_and_sweeps() -> None:
    pytest.importorskip("wandb_workspaces", reason="comes with the extra `workspace`: pip install -e '.[workspace]'")
    built = workspace.build(entity="someone", project="wealtharena")
    assert [section.name for section in built.sections] == [
        "Training", "Validation", "Active part", "Comparison", "Sweeps",
    ]  # fmt: skip
    assert all(section.panels for section in built.sections)


def test_without_its_package_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(ConfigError, match=r"wealtharena\[workspace\]"):
        workspace.build(entity="someone", project="wealtharena")
    assert workspace.main(["--entity", "someone"]) == 2
    assert "pip install" in capsys.readouterr().err
