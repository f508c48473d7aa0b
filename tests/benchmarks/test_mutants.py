"""The faults that `benchmarks/mutants.py` plants still have their lines; that each is seen, the script itself shows."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import mutants

ROOT = Path(__file__).parents[2]
ROOMS = ("envs/kernel/", "evaluation/metrics", "evaluation/significance", "actions", "account", "trading/risk/")


@pytest.mark.parametrize("fault", mutants.FAULTS, ids=lambda fault: f"{fault.file}: {fault.instead}")
def test_a_fault_has_its_line_once_and_leaves_a_program(fault: mutants.Fault) -> None:
    source = (ROOT / "wealtharena" / fault.file).read_text(encoding="utf-8")
    changed = mutants.planted(source, fault)
    assert changed != source
    ast.parse(changed)
    assert all((ROOT / test.partition("::")[0]).is_file() for test in fault.tests)


def test_every_room_where_figures_are_made_has_its_faults() -> None:
    assert len(set(mutants.FAULTS)) >= 40
    assert all(any(room in fault.file for fault in mutants.FAULTS) for room in ROOMS)


def test_a_line_that_is_gone_or_stands_twice_is_an_error() -> None:
    fault = replace(mutants.FAULTS[0], line="a = 1", instead="a = 2")
    assert mutants.planted("if b:\n    a = 1\n", fault) == "if b:\n    a = 2\n"
    for source in ("b = 1\n", "a = 1\na = 1\n"):
        with pytest.raises(mutants.LostError, match="one was wanted"):
            mutants.planted(source, fault)


def test_a_house_is_whole_again_after_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("a = 1\n")
    before = path.stat().st_mtime_ns
    with mutants.standing(path, "a = 2\n"):
        assert path.read_text() == "a = 2\n"
        assert path.stat().st_mtime_ns != before
    assert path.read_text() == "a = 1\n"
    assert path.stat().st_mtime_ns == before
