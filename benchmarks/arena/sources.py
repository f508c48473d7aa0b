"""What a cell is made of beside its settings: a policy's file with all that it stands on, and files of bars.

A hash of their content is part of a cell's key, so that what was played is never taken for what has changed since.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

OURS = ("wealtharena", "benchmarks")
_LONGEST = 255  # letters of a file's name


def digest(files: Iterable[Path]) -> str:
    """Return the sha256 of the files' names and contents, in order of path, folders by what is in them.

    One that is not there counts as such.
    """
    found, whole = hashlib.sha256(), set(files)
    for folder in [path for path in whole if path.is_dir()]:
        whole.remove(folder)
        whole |= {path for path in folder.rglob("*") if path.is_file()}
    for path in sorted(whole):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        found.update(f"{path.name} {content}\n".encode())
    return found.hexdigest()


def stands_on(path: Path) -> set[Path]:
    """Return the files that decide what a policy does: its own; of a class also modules beside it, and files it names.

    Modules are those that an import of the source finds outside the installed packages, their own imports included. A
    file is named by a text of the source that is its path, or its name in a folder of theirs; one whose name is computed
    is not found. Of a graph, the files are added that hold its weights.
    """
    if path.suffix == ".onnx":
        return {path, *_weights(path)}
    if path.suffix != ".py":
        return {path}
    found: set[Path] = set()
    new = {path.resolve()}
    while new:
        found |= new
        new = {other for source in new if source.suffix == ".py" for other in _beside(source)} - found
    return found


def _beside(source: Path) -> Iterator[Path]:
    """Yield the modules that a source imports and the files that it names."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError):
        return  # whoever runs it is told
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(alias.name, source.parent)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names] if node.level else []
            for name in [node.module] if node.module else names:
                yield from _module(name, source.parent)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    yield from _named(texts, source.parent)


def _module(name: str, folder: Path) -> Iterator[Path]:
    """Yield the files of a module that is no installed one: of a package, all its sources."""
    top = name.partition(".")[0]
    if top in OURS or top in sys.stdlib_module_names:
        return
    spec = PathFinder.find_spec(top, [str(folder), *sys.path])
    if spec is None:
        return
    places = [Path(place) for place in spec.submodule_search_locations or [spec.origin or ""]]
    homes = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    for place in places:
        if not any(place.is_relative_to(home) for home in homes):
            yield from (file.resolve() for file in ((place,) if place.is_file() else place.rglob("*.py")))


def _named(texts: Iterable[str], folder: Path) -> Iterator[Path]:
    """Yield the files that texts name by a path, or by a name in the source's folder or one that they name below it."""
    short = {text for text in texts if text.strip("./ ") and len(text) <= _LONGEST and text.isprintable()}
    homes = {folder, Path.cwd()}
    homes |= {home / text.strip("/") for home in homes for text in short if (home / text.strip("/")).is_dir()}
    for text in short:
        for place in (Path(text), *(home / part for home in homes for part in {text, Path(text).name})):
            if place.is_file():
                yield place.resolve()


def _weights(path: Path) -> Iterator[Path]:
    """Yield the files that hold the weights of a graph, where they stand outside it."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        return  # whoever opens it is told
    for tensor in model.graph.initializer:
        yield from (path.parent / entry.value for entry in tensor.external_data if entry.key == "location")
