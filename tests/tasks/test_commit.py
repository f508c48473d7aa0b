"""The commit that run.json names is that of the code which ran, and says where it is not all of it."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import wealtharena
import wealtharena.version
from wealtharena.tasks.record import git_sha, versions

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="asks git")


def commit(folder: Path) -> str:
    """Make a checkout of one file of the package and one of the pages; return its commit."""
    for name in ("wealtharena/code.py", "docs/page.md"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(f"{folder.name}\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, timeout=60)
    said = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return said.stdout.strip()


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        (None, ""),
        ("bars.csv", ""),
        ("wealtharena/code.py", "+"),
        ("docs/page.md", "+"),
        ("wealtharena/agents/algorithms/mine.py", "+"),
        ("conf/algo/mine.yaml", "+"),
    ],
)
def test_a_commit_that_is_not_all_that_ran_is_marked(tmp_path: Path, name: str | None, mark: str) -> None:
    """An algorithm that was never added ran under the bare name of a commit which does not have it."""
    sha = commit(tmp_path)
    if name is not None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine\n")
    assert git_sha(tmp_path) == sha + mark


def test_a_hook_of_another_repository_lends_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = commit(tmp_path / "ours"), commit(tmp_path / "other")
    assert ours != other
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert git_sha(tmp_path / "ours") == ours


def test_what_is_installed_without_a_checkout_has_no_commit(tmp_path: Path) -> None:
    assert git_sha(tmp_path) is None


def test_the_version_of_a_record_is_that_of_the_code_and_not_of_what_was_installed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A checkout that was updated without `make venv` wrote the version of before into each run.json."""
    installed = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.0.1" if name == "wealtharena" else installed(name)
    )
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert versions()["wealtharena"] == wealtharena.__version__ == project["version"]
    monkeypatch.setattr(wealtharena.version, "__file__", "/nowhere/wealtharena/version.py")
    assert wealtharena.__version__ == "0.0.1", "without a checkout the installed one counts"
