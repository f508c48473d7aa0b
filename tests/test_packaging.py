"""What leaves the repository: the archive of sources, what a package says of itself, and the order in which pages show the rooms."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_archive_of_sources_has_every_file(tmp_path: Path) -> None:
    """Its tests read CONTRIBUTING.md, the Dockerfile and the workflow, and `make lock` runs .ci/lock.py."""
    pytest.importorskip("hatchling", reason="comes with the extra `dev`: pip install -e '.[dev]'")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if listed.returncode:
        pytest.skip("no checkout")
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in listed.stdout.splitlines() if (ROOT / name).exists()} - held == set()


@pytest.mark.slow
def test_a_system_that_it_cannot_run_on_is_told_at_the_import_and_beforehand() -> None:
    code = "import gymnasium, sys; sys.platform = 'win32'; import wealtharena"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr.splitlines()[-1].startswith("ImportError: WealthArena locks files")
    systems = [name for name in PROJECT["project"]["classifiers"] if name.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]
    for page in ("README.md", "docs/tutorial.md"):
        assert re.search(r"On Linux.*WSL", (ROOT / page).read_text(encoding="utf-8")), page


def test_the_rooms_of_the_index_stand_below_those_that_they_know() -> None:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    place = {
        name.strip().removeprefix("wealtharena."): number
        for number, layer in enumerate(reversed(layers))
        for name in layer.split("|")
    }
    table = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").split("## Room by room")[1]
    rows = [re.findall(r"`(\w+)/`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")]
    shown = [place[name] for row in rows for name in row]
    assert len(shown) > 14
    assert shown == sorted(shown)
