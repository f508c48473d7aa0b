"""Who reads what: names in the source text of the package, for tests that look for what nobody reads."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from wealtharena.config import plugins
from wealtharena.config.specs.base import Spec

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wealtharena"
_PLAIN = {"property", "staticmethod", "classmethod", "cached_property", "dataclass", "cache", "lru_cache"}


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the syntax tree of each file of the package, of benchmarks and examples and of run.py."""
    users = [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "examples").rglob("*.py"), ROOT / "run.py"]
    files = [*PACKAGE.rglob("*.py"), *users]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(files)}


@cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


def sources() -> list[Path]:
    """Return every file of Python of this repository: the package, its tests, benchmarks, examples, docs and run.py."""
    folders = (PACKAGE, *(ROOT / name for name in ("tests", "benchmarks", "examples", "docs")))
    return sorted([path for folder in folders for path in folder.rglob("*.py")] + [ROOT / "run.py"])


def file_lengths() -> list[tuple[Path, int]]:
    return [(path, len(path.read_text(encoding="utf-8").splitlines())) for path in sources()]


def function_lengths() -> Iterator[tuple[str, int]]:
    """Yield the name and the lines, from `def` to the last, of every function of the package, inner ones too."""
    for path, tree in trees().items():
        for node in _nodes(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{_module(path)}.{node.name}", (node.end_lineno or 0) - node.lineno + 1


@cache
def called_by_nobody() -> frozenset[str]:
    """Return `module.name` of public functions, classes and methods that only their definition names.

    What a decorator hands on (a route, a feature) is called through it, and what a base class names, through that.
    """
    used: set[str] = set()
    for tree in trees().values():
        for node in _nodes(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.update(node.value.rpartition(":")[2].split("."))
    for path in (ROOT / "conf").rglob("*.yaml"):
        used.update(re.findall(r"_target_: \S+\.(\w+)", path.read_text(encoding="utf-8")))
    found = set()
    for path, tree in _package().items():
        module = _module(path)
        for owner, node in _definitions(tree):
            if node.name.startswith("_") or node.name in used or _is_handed_on(node):
                continue
            if owner and _names_from_a_base(module, owner, node.name):
                continue
            found.add(".".join((module.removeprefix("wealtharena."), *owner, node.name)))
    return frozenset(found)


def _definitions(node: ast.AST, owner: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield owner, child
            if isinstance(child, ast.ClassDef):
                yield from _definitions(child, (*owner, child.name))


def _is_handed_on(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    names = {ast.unparse(item).partition("(")[0].rpartition(".")[2] for item in node.decorator_list}
    return bool(names - _PLAIN)


def _names_from_a_base(module: str, owner: tuple[str, ...], name: str) -> bool:
    found: Any = importlib.import_module(module)
    for part in owner:
        found = getattr(found, part)
    return any(hasattr(base, name) for base in inspect.getmro(found)[1:])


def readers() -> dict[str, tuple[str, ...]]:
    """Return, for each `Spec.field`, the modules that read it from something that is called like that spec."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # name -> read from -> modules
    for path, tree in _package().items():
        for node in _nodes(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found[node.attr][_last(node.value)].add(_module(path).removeprefix("wealtharena."))
    return {
        f"{spec.__name__}.{name}": tuple(sorted(_readers(spec, found[name], words)))
        for spec, words in _specs().items()
        for name in spec.model_fields
    }


def _readers(spec: type[Spec], reads: dict[str, set[str]], words: set[str]) -> set[str]:
    """Return the modules that read a field; one that nobody else reads is read by its spec itself, or by its name."""
    found = set().union(*(reads[word] for word in words & reads.keys()))
    own = spec.__module__.removeprefix("wealtharena.")
    return found or {own}


def described_by_nobody() -> set[str]:
    """Return `Spec.field` of the keys that neither their spec nor one of its bases says a word about."""
    for room in ("agents.algorithms", "envs.rewards", "trading.brokers"):
        for name in plugins.available(room):
            plugins.load(room, name)
    return {
        f"{spec.__module__}.{spec.__name__}.{name}"
        for spec in _below(Spec)
        if spec.__module__.startswith("wealtharena.")
        for name, field in spec.model_fields.items()
        if not any(_is_of(kin, name) for kin in spec.mro()) and not _has_keys(field.annotation)
    }


def _is_of(kin: type, name: str) -> bool:
    field = kin.model_fields.get(name) if issubclass(kin, Spec) else None
    return field is not None and bool(field.description)


def _has_keys(annotation: Any) -> bool:
    """Return whether a field holds a spec, whose own keys are described one by one."""
    return next(iter(specs_in(annotation)), None) is not None


def read_by_nobody() -> set[str]:
    """Return `Spec.field` of the configuration's keys that no code reads from anything that is called like that spec."""
    reads: dict[str, set[str]] = defaultdict(set)  # of a name: what it is read from
    chosen: set[str] = set()  # the specs of which `getattr(x, name)` reads any field
    anything: set[str] = set()  # the words of those that have no type of their own there
    own: dict[str, set[str]] = defaultdict(set)  # of a module: what its classes read from themselves
    for path, tree in _package().items():
        for node in _nodes(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                reads[node.attr].add(_last(node.value))
                if _last(node.value) == "self":
                    own[_module(path)].add(node.attr)
            elif (
                isinstance(node, ast.Call)
                and _last(node.func) == "getattr"
                and not isinstance(node.args[1], ast.Constant)
            ):
                kinds = {_last(kind) for name, kind in _annotations(tree) if name == _last(node.args[0])}
                chosen |= kinds - {"Any"}
                if kinds == {"Any"}:
                    anything.add(_last(node.args[0]))
    return {
        f"{spec.__name__}.{name}"
        for spec, words in _specs().items()
        for name, field in spec.model_fields.items()
        if not (
            list(specs_in(field.annotation))
            or reads[name] & words
            or spec.__name__ in chosen
            or words & anything
            or name in own[spec.__module__]
        )
    }


def _specs() -> dict[type[Spec], set[str]]:
    """Return each spec of the configuration and of the plugins, and the words that it goes by in code.

    The words are the fields that hold it, the names annotated with it, and the names that such a word is handed to; a
    leading underscore counts for nothing.
    """
    for room in ("agents.algorithms", "envs.rewards"):
        for name in plugins.available(room):
            plugins.load(room, name)
    words: dict[type[Spec], set[str]] = {spec: set() for spec in _below(Spec)}
    by_name: dict[str, list[type[Spec]]] = defaultdict(list)
    for spec in words:
        by_name[spec.__name__].append(spec)
        for name, field in spec.model_fields.items():
            for inner in specs_in(field.annotation):
                words[inner].add(name)
    handed: set[tuple[str, str]] = set()
    for tree in _package().values():
        for name, annotation in _annotations(tree):
            for part in ast.walk(annotation):
                for spec in by_name.get(_last(part), ()):
                    words[spec].add(name)
        handed |= set(_handed(tree))
    for known in words.values():
        known |= {target for target, value in handed if value in known}
    family = {spec: [kin for kin in words if issubclass(kin, spec) or issubclass(spec, kin)] for spec in words}
    return {spec: set().union(*(words[kin] for kin in family[spec])) - {"", "self"} for spec in words}


def _annotations(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in _nodes(tree):
        if isinstance(node, ast.arg) and node.annotation:
            yield node.arg.lstrip("_"), node.annotation
        elif isinstance(node, ast.AnnAssign):
            yield _last(node.target), node.annotation


def _handed(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of what is given another name: `options = spec.collect`, `f(rules=spec.verdict)`."""
    for node in _nodes(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute):
            yield from ((_last(target), _last(node.value)) for target in node.targets)
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Tuple)
        ):
            yield from ((_last(a), _last(b)) for a, b in zip(node.targets[0].elts, node.value.elts, strict=False))
        elif isinstance(node, ast.keyword) and node.arg and isinstance(node.value, ast.Name | ast.Attribute):
            yield node.arg, _last(node.value)


def _last(node: ast.AST) -> str:
    """Return the last part of a dotted name, without a leading underscore; nothing for anything else."""
    found = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return found.lstrip("_")


def _below(spec: type[Spec]) -> Iterator[type[Spec]]:
    for inner in spec.__subclasses__():
        if inner.__module__.startswith("wealtharena."):
            yield inner
        yield from _below(inner)


def specs_in(annotation: Any) -> Iterator[type[Spec]]:
    if inspect.isclass(annotation) and issubclass(annotation, Spec):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from specs_in(inner)


def _package() -> dict[Path, ast.Module]:
    return {path: tree for path, tree in trees().items() if PACKAGE in path.parents}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)
