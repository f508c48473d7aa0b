"""What the pages tell a reader to type besides `python run.py key=value`: each is tried as far as it costs nothing, or has a reason here."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import io
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig

from tests.test_docs import BY_HAND, PAGES, ROOT, blocks, filled, typed
from tests.test_project import make
from wealtharena import cli

PROGRAMS = r"(?:make|python|wealtharena|docker|pip|ray|wandb|npm|eval|curl|git|source|cd)"
EARLIER = ROOT / "docs" / "howto" / "earlier-guide.md"  # its left column names what is no more
ELSEWHERE = {  # command: who runs it
    "pip install ./examples/plugin": "tests/test_plugins.py",
    "python -c import torch; print(torch.version.cuda)": "asks torch, and nothing of ours",
    "npm pack axe-core && tar xzf axe-core-*.tgz": "axe-core's own place",
}


def others() -> list[str]:
    """Return each command of the pages that is no run of ours with keys alone, once, without its comment."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if page == EARLIER:
            text = "\n".join(row.split("|", 2)[-1] for row in text.splitlines())
        for kind, block in blocks(page):
            found |= {command for command, _ in typed(block)} if kind == "console" else set()
        found |= set(re.findall(rf"`({PROGRAMS} [^`\n]+)`", text))
    told = {filled(re.sub(r"<folder[\w ]*>", "FOLDER", command)) for command in found}
    plain = re.compile(r"python run\.py(?!.*--)")
    return sorted(command for command in told - {""} if not plain.match(command) and not command.startswith(BY_HAND))


class _ReadError(Exception):
    """A script has read its arguments; nothing further is wanted of it."""


def reads(path: Path, module: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that a script takes these arguments: it is run until it has read them; one that reads none is given none."""
    if "add_argument" not in path.read_text(encoding="utf-8"):
        assert words == [], f"{path.name} reads no arguments"
        return
    for name in ("parse_args", "parse_intermixed_args"):
        read = getattr(argparse.ArgumentParser, name)

        def stop(parser: argparse.ArgumentParser, *given: Any, read: Any = read, **more: Any) -> None:
            read(parser, *given, **more)
            raise _ReadError

        monkeypatch.setattr(argparse.ArgumentParser, name, stop)
    monkeypatch.setattr(sys, "argv", ["script", *words])
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, module, raising=False)  # another test may have imported it
    with pytest.raises(_ReadError):
        _ = runpy.run_module(module, run_name="__main__") if module else runpy.run_path(str(path), run_name="__main__")


def by_make(words: list[str], _: pytest.MonkeyPatch) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in (word.partition("=")[0] for word in words if "=" in word):
        assert f"$({name})" in recipe or f"$(or $({name})" in recipe or f"$(if $({name})" in recipe, name
    done = make("-n", *words)
    assert done.returncode == 0, done.stderr


def by_python(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[0] == "run.py":
        by_cli(words[1:], monkeypatch)
    elif words[0] == "-m":
        reads(ROOT / f"{words[1].replace('.', '/')}.py", words[1], words[2:], monkeypatch)
    elif words[0].startswith("examples/"):
        assert f'script("{Path(words[0]).stem}")' in (ROOT / "tests" / "test_examples.py").read_text(encoding="utf-8")
    else:
        reads(ROOT / words[0], "", words[1:], monkeypatch)


def by_cli(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if "--config-dir" in words:
        return  # `asset=bonds` of a folder of one's own: tests/test_plugins.py
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    known = HydraConfig.instance()
    monkeypatch.setattr(known, "cfg", known.cfg)  # `--cfg` leaves its job there, whose folder what runs next would take
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        code = cli.main()
    assert not code
    assert len(out.getvalue()) > 30


def by_pip(words: list[str], _: pytest.MonkeyPatch) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    wanted = re.search(r"\[(\w+)\]", words[-1])
    assert words[0] == "install"
    assert words[-1] == "." or (wanted and wanted[1] in extras), words


def by_docker(words: list[str], _: pytest.MonkeyPatch) -> None:
    files = [words[k + 1] for k, word in enumerate(words) if word == "-f"] or ["compose.yaml"]
    services = {name for file in files for name in yaml.safe_load((ROOT / file).read_text())["services"]}
    asked = words[words.index("up") + 1 :]
    assert {word for word in asked if not word.startswith("-")} <= services


def by_ray(words: list[str], _: pytest.MonkeyPatch) -> None:
    scripts = importlib.import_module("ray.scripts.scripts")
    known = {name for option in scripts.cli.commands[words[0]].params for name in option.opts}
    assert {word.partition("=")[0] for word in words[1:]} <= known


def by_wandb(words: list[str], _: pytest.MonkeyPatch) -> None:
    assert words[0] in importlib.import_module("wandb.cli.cli").cli.commands


def by_shell(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (inner,) = re.findall(r"^\$\(python run\.py (.*)\)$", words[0])
    by_cli(shlex.split(inner), monkeypatch)


CHECKS: dict[str, Callable[[list[str], pytest.MonkeyPatch], None]] = {
    "make": by_make, "python": by_python, "pip": by_pip, "docker": by_docker, "ray": by_ray, "wandb": by_wandb, "eval": by_shell,
}  # fmt: skip


@pytest.mark.parametrize("command", others())
def test_every_other_command_of_the_pages_is_one(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    if " ".join(shlex.split(command)) in ELSEWHERE:
        return
    program, *words = shlex.split(command)
    assert program in CHECKS, f"the pages say {command!r}, which nobody tries"
    CHECKS[program](words, monkeypatch)


def test_a_folder_whose_name_has_spaces_parts_no_recipe() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = [line for line in text.splitlines() if line.startswith("\t")]
    assert not [line for line in recipes if re.search(r'(?<!")\$\(CURDIR\)', line)]
    assert "PIP_CONSTRAINT=$(CURDIR)" not in text, "pip parts it at spaces too"


def test_every_task_is_a_make_target() -> None:
    """As the README says."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):[^\n]*## ", text, flags=re.MULTILINE))
    tasks = {path.stem for path in (ROOT / "conf" / "task").glob("*.yaml")}
    assert len(tasks) > 8
    assert tasks <= targets


def snippets() -> list[tuple[str, str]]:
    pages = [page for page in PAGES if page.name != "tutorial.md"]  # that is run
    return [
        (page.relative_to(ROOT).as_posix(), code) for page in pages for kind, code in blocks(page) if kind == "python"
    ]


def resolved(node: ast.expr, names: dict[str, Any]) -> Any:
    """Return what a dotted name of a block is, by its imports; None where it is a value of the reader's own."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = resolved(node.value, names)
        if owner is not None and (inspect.ismodule(owner) or inspect.isclass(owner)):
            return getattr(owner, node.attr)  # AttributeError: the page names what is not there
    return None


@pytest.mark.parametrize(("page", "code"), snippets(), ids=lambda value: value if value.endswith(".md") else "")
def test_python_on_a_page_names_what_there_is_and_calls_it_as_it_is_called(page: str, code: str) -> None:
    tree = ast.parse(code)
    names: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), page, "exec"), names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and callable(called := resolved(node.func, names)):
            known = inspect.signature(called).parameters
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
                assert {word.arg for word in node.keywords} - {None} <= known.keys(), ast.unparse(node)
        elif isinstance(node, ast.Attribute):
            resolved(node, names)


def test_what_pages_show_of_yaml_and_toml_can_be_read() -> None:
    readers = {"yaml": yaml.safe_load, "toml": tomllib.loads}
    shown = [(kind, code) for page in PAGES for kind, code in blocks(page) if kind in readers]
    assert len(shown) > 5
    for kind, code in shown:
        assert readers[kind](code)
