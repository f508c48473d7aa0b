"""What is said to be kept survives a power cut: a file is flushed before it takes its name, and its folder after."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.conftest import SMALL, record
from wealtharena.config import compose
from wealtharena.tasks import continuing, dispatch

pytestmark = pytest.mark.slow


class Disk:
    """What was flushed, by inode with the time of its last change, and what took a name without."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root, self.renamed = root, 0
        self.flushed: dict[int, int] = {}
        self.early: list[str] = []
        self.named: dict[int, Path] = {}  # folders with a new name, by inode, that were not flushed since
        sync, rename, replace, mkdir = os.fsync, os.rename, os.replace, os.mkdir

        def fsync(descriptor: int) -> None:
            sync(descriptor)
            known = os.fstat(descriptor)
            self.flushed[known.st_ino] = known.st_mtime_ns
            self.named.pop(known.st_ino, None)

        def watched(move: Callable[..., None]) -> Callable[..., None]:
            def moved(source: str | Path, target: str | Path) -> None:
                if Path(target).absolute().is_relative_to(self.root):  # compiled code is kept elsewhere
                    self.early += self.unflushed(Path(source))
                    self.renamed += 1
                move(source, target)
                self.name(target)

            return moved

        def made(path: str | Path, *more: Any, **also: Any) -> None:
            mkdir(path, *more, **also)
            self.name(path)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "rename", watched(rename))
        monkeypatch.setattr(os, "replace", watched(replace))
        monkeypatch.setattr(os, "mkdir", made)

    def name(self, path: str | Path) -> None:
        folder = Path(path).absolute().parent
        self.named[folder.stat().st_ino] = folder

    def entered(self) -> list[str]:
        """Return the folders that got a name and were not flushed since, of those that are still there."""
        return [str(one) for one in self.named.values() if one.exists() and one.is_relative_to(self.root)]

    def unflushed(self, place: Path) -> list[str]:
        """Return the files at or below a place that were changed since they were flushed, or never were."""
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        return [str(one) for one in files if self.flushed.get(one.stat().st_ino) != one.stat().st_mtime_ns]


def test_what_tasks_keep_is_on_disk_under_its_name(
    small: Callable[..., tuple[int, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a run that training goes on from took its name while its files were in memory alone."""
    disk = Disk(monkeypatch, Path.cwd())
    short = ("train.env_steps=1024", "train.evaluations=1")
    code, folder = small(*short, "tracking.report=true")
    run, typed = record(folder), (*SMALL, *short, "train.env_steps=2048")
    longer = continuing.run(compose([*typed, f"resume={folder}"]), folder, run)
    promoted = dispatch(compose(["task=deploy", "asset=forex", "deploy.agents=[forex]", "tracking=quiet"]))
    assert (code, longer, promoted) == (0, 0, 0)
    assert disk.renamed > 40
    assert disk.early == []
    assert disk.entered() == []
    written = disk.unflushed(Path.cwd())
    assert [one for one in written if not one.endswith("/.lock")] == []  # what is locked holds nothing
