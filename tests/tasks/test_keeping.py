"""What a task will have to keep is tried before its first step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry.shelf import save
from wealtharena.config import compose
from wealtharena.errors import CheckpointError
from wealtharena.registry import ModelCheckpoint, chain
from wealtharena.tasks import keeping


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a signed registry, whose key is not at hand any more."""
    monkeypatch.delenv(chain.KEY_FILE, raising=False)
    monkeypatch.setenv(chain.KEY, "3f" * 32)
    save(ModelCheckpoint(tmp_path / "checkpoints"), "v1")
    monkeypatch.delenv(chain.KEY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", ["", "sweep=ppo", "task=compare compare.open=true", "task=deploy"])
def test_without_the_key_of_a_signed_registry_nothing_is_trained_for_it(signed: Path, line: str) -> None:
    """A training came to its end, and its test window was opened, before it was told that it could not be published."""
    with pytest.raises(CheckpointError, match="signed, and there is no key"):
        keeping.check(compose(line.split()))


@pytest.mark.parametrize(
    "line", ["train.test=false", "train.publish=false", "task=compare", "task=deploy deploy.action=list"]
)
def test_what_adds_nothing_to_a_signed_registry_needs_no_key(signed: Path, line: str) -> None:
    keeping.check(compose(line.split()))
