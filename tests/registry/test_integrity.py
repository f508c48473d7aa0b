"""A folder by its manifest alone: what is listed, what is said of it, and which numbers are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wealtharena.errors import CheckpointError
from wealtharena.registry import integrity
from wealtharena.registry.integrity import MANIFEST, REQUIRED, read_described, read_verified, sha256, write_manifest

SAID = b'{"verdict": "rejected__", "sharpe": 1.5}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of all that a version has, of which nothing but metadata.json is what it says."""
    made = tmp_path / "v1"
    made.mkdir()
    for name in REQUIRED:
        (made / name).write_bytes(SAID if name == "metadata.json" else b"none")
    write_manifest(made)
    return made


def test_what_a_version_says_is_read_where_it_is_what_was_recorded(folder: Path) -> None:
    known = sha256((folder / MANIFEST).read_bytes())
    for recorded in (known, None):
        assert read_described(folder, recorded=recorded) == {"verdict": "rejected__", "sharpe": 1.5}
    with pytest.raises(CheckpointError, match=r"v1/manifest\.json: is not the one that was saved"):
        read_described(folder, recorded=sha256(b"another"))
    with pytest.raises(CheckpointError, match=r"v1/manifest\.json: is in no line of the history"):
        read_described(folder, recorded="")


def test_a_verdict_of_as_many_letters_is_seen_in_a_list_too(folder: Path) -> None:
    (folder / "metadata.json").write_bytes(SAID.replace(b"rejected__", b"promotable"))
    with pytest.raises(CheckpointError, match=r"v1/metadata\.json: content differs from the manifest"):
        read_described(folder, recorded=None)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_manifest_that_lacks_a_file_which_every_version_has_is_refused(folder: Path, name: str) -> None:
    """Without one of them the folder would be whole by a manifest that was written for it."""
    (folder / name).unlink()
    write_manifest(folder)
    with pytest.raises(CheckpointError, match=rf"does not list {name}"):
        read_verified(folder)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 21])
def test_a_number_that_is_none_or_without_an_end_is_no_json_here(folder: Path, number: str) -> None:
    (folder / "metadata.json").write_bytes(SAID.replace(b"1.5", number.encode()))
    write_manifest(folder)
    with pytest.raises(CheckpointError, match=r"v1/metadata\.json: is not JSON"):
        read_described(folder, recorded=None)


def test_a_manifest_of_a_file_larger_than_any_of_its_name_is_refused(folder: Path) -> None:
    listed = json.loads((folder / MANIFEST).read_text())
    listed["files"]["config.yaml"]["bytes"] = integrity.MAX_BYTES["config.yaml"] + 1
    (folder / MANIFEST).write_text(json.dumps(listed))
    with pytest.raises(CheckpointError, match=r"v1/manifest\.json: bad entry 'config\.yaml'"):
        read_described(folder, recorded=None)
