"""What benchmarks and examples call of the package takes what they give it: most of them are run by hand, months apart."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def imported(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield each name that a script imports from the package, with what it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "wealtharena":
            for alias in node.names:
                room = importlib.import_module(str(node.module))
                if not hasattr(room, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                yield alias.asname or alias.name, getattr(room, alias.name)


def misfits(source: str) -> Iterator[str]:
    """Yield the line and the fault of each call that does not fit what is called."""
    tree = ast.parse(source)
    names = dict(imported(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, *path = ast.unparse(node.func).split(".")
        plain = all(part.isidentifier() for part in path)  # what a call returns is nobody's name
        spread = any(isinstance(given, ast.Starred) for given in node.args) or any(
            not word.arg for word in node.keywords
        )
        if first not in names or spread or not plain:
            continue
        called = names[first]
        for part in path:
            called = getattr(called, part)
        try:
            signature = inspect.signature(called, follow_wrapped=False)
        except ValueError:  # compiled: it says so itself, where it is called
            continue
        try:
            signature.bind(*node.args, **{str(word.arg): word.value for word in node.keywords})
        except TypeError as error:
            yield f"{node.lineno}: {ast.unparse(node.func)}: {error}"


@pytest.mark.slow
def test_scripts_call_the_package_as_it_is() -> None:
    """`sweep_overhead.py` called a search without two of its arguments for as long as nobody ran it."""
    scripts = [path for folder in ("benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(scripts) > 40
    found = [f"{path.relative_to(ROOT)}:{fault}" for path in scripts for fault in misfits(path.read_text("utf-8"))]
    assert found == []


def test_a_call_that_does_not_fit_is_found() -> None:
    before = "from wealtharena.errors import ConfigError, require_kind\n"
    assert list(misfits(before + "require_kind('a', 1, int, hint='b')\nConfigError('c', hint='d')")) == []
    (fault,) = misfits(before + "require_kind('a', 1, int)")
    assert fault.startswith("2: require_kind: missing a required ")  # each Python words it in its own way
    assert fault.endswith(" argument: 'hint'")
