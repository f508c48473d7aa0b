"""What is said where the state of a training cannot be written."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from wealtharena.training.checkpoints import unwritable

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "said"), [(65_536, "No space left on device"), (1 << 30, "unexpected pos")])
def test_a_full_disk_is_named_where_torch_names_none(
    free: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 32, 0, free))
    error = unwritable(tmp_path / "state.pt", RuntimeError("[enforce fail] . unexpected pos 41792 vs 41680\nmore"))
    assert said in error.message
    assert "more" not in error.message
