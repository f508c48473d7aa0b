"""Run folders as they lie on disk: what a person named, copied or edited."""

import json
from pathlib import Path
from typing import Any

import pytest

from wealtharena.errors import ConfigError
from wealtharena.evaluation import records

RECORD = {"status": "completed", "run_id": "r0", "metrics": {"test": {"sharpe": 1.0}}}


def read(folder: Path, content: dict[str, Any]) -> records.RunResult:
    (folder / "run.json").write_text(json.dumps(content))
    return records.read(folder)


def test_a_file_in_place_of_a_run_directory_is_refused_with_its_folder(tmp_path: Path) -> None:
    read(tmp_path, RECORD)
    with pytest.raises(ConfigError, match=r"run\.json is a file") as refused:
        records.find([tmp_path / "run.json"])
    assert refused.value.hint == f"name the run directory: {tmp_path}"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(ConfigError, match=r"notes\.txt is a file") as refused:
        records.find([tmp_path / "other" / "notes.txt"])
    assert refused.value.hint == "name run directories or multirun folders"


@pytest.mark.parametrize(
    ("name", "value"),
    [("data.symbols", 3), ("data.frequency", [1]), ("comparison.anchor", "x"), ("verdict.reasons", 3),
     ("verdict.rules", ["x"]), ("verdict.evidence.max_gross", "x"), ("verdict.evidence.unfilled", [1]),
     ("verdict.evidence.leaks", 3), ("verdict.evidence.invested", [1])],
)  # fmt: skip
def test_a_record_of_another_shape_is_a_failed_run_that_says_where(tmp_path: Path, name: str, value: Any) -> None:
    assert read(tmp_path, RECORD).status == "completed"
    for part in reversed(name.split(".")):
        value = {part: value}
    found = read(tmp_path, {**RECORD, **value})
    assert found.status == "failed"
    assert found.content["error"]["message"].startswith(f"run.json: {name} is not ")


@pytest.mark.parametrize("sharpe", ["1" + "0" * 400, "-1" + "0" * 400, "[" * 100_000])
def test_a_record_with_what_no_figure_can_be_is_a_failed_run(tmp_path: Path, sharpe: str) -> None:
    content = json.dumps({**RECORD, "metrics": {"test": {"sharpe": "X"}}}).replace('"X"', sharpe)
    (tmp_path / "run.json").write_text(content)
    found = records.read(tmp_path)
    assert found.status == "failed"
    assert found.content["error"]["message"].startswith("run.json cannot be read: ")


def test_a_record_that_lacks_such_a_part_is_read(tmp_path: Path) -> None:
    lacking = {"data": {"symbols": None}, "comparison": None, "verdict": {"evidence": {}}}
    assert read(tmp_path, {**RECORD, **lacking}).status == "completed"


@pytest.mark.parametrize("version", [2, "1", None, True])
def test_a_record_of_another_schema_is_refused_with_a_way_out_and_one_without_is_older(
    tmp_path: Path, version: object
) -> None:
    """What a later release wrote is not read by what its fields meant before."""
    row = read(tmp_path, {**RECORD, "schema_version": version})
    assert row.status == "failed"
    said = f"has schema_version {version}, this program knows 1; install a newer version"
    assert row.content["error"]["message"] == f"run.json {said}"
    with pytest.raises(ConfigError, match=said):
        records.known(tmp_path)
    for old in ({"schema_version": 1}, {}):
        assert read(tmp_path, {**RECORD, **old}).status == "completed"
        assert records.known(tmp_path).run_id == "r0"


def test_a_job_that_ended_before_its_record_says_why(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    for said, message in (('{"message": "nothing is in production", "hint": "promote"}', "nothing is in production"),
                          ('{"message": 3', "the job left no run.json")):  # fmt: skip
        (tmp_path / ".hydra" / "error.json").write_text(said)
        assert records.read(tmp_path).content["error"]["message"] == message
