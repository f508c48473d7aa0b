import ast
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from numba.core import caching, compiler

from tests.forks import Fork
from wealtharena import files
from wealtharena.config import plugins
from wealtharena.envs import compiled, kernel

pytestmark = pytest.mark.slow


@pytest.fixture
def folder_for(monkeypatch, tmp_path):
    def find(**variables):
        for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        return compiled.cache_folder.__wrapped__()

    return find


def test_machine_code_is_kept_where_the_user_says_else_in_the_users_cache(folder_for, tmp_path):
    assert folder_for(NUMBA_CACHE_DIR=tmp_path / "mine").parent == tmp_path / "mine"
    assert folder_for(XDG_CACHE_HOME=tmp_path / "xdg").parent == tmp_path / "xdg" / "wealtharena"
    assert folder_for().parent == tmp_path / "home" / ".cache" / "wealtharena"


def test_a_place_that_cannot_be_written_is_passed_over(folder_for, tmp_path):
    (tmp_path / "file").write_text("")
    found = folder_for(NUMBA_CACHE_DIR=tmp_path / "file", XDG_CACHE_HOME=tmp_path / "xdg")
    assert found.parent == tmp_path / "xdg" / "wealtharena"


def test_code_in_memory_shows_no_status_line(capsys):
    class Compiled:
        overloads = ("one",)

    with compiled.compile_status(Compiled()):
        pass
    assert capsys.readouterr().err == ""


def test_a_first_compile_says_so_on_standard_error_once(capsys, monkeypatch):
    def never_compiled():
        return None

    monkeypatch.setattr(compiled, "_SAID", [])
    for _ in range(2):
        with compiled.compile_status(never_compiled):
            pass
    assert capsys.readouterr().err.count("compiling the market kernel") == 1


DOUBLE = """
from wealtharena.envs.compiled import compiled

@compiled
def double(value):
    return value + value

@compiled
def fourfold(value):
    return double(double(value))
"""


def slowly(begun):
    """Note every compilation and give it time to meet another's."""
    of_numba, read = compiler.CompilerBase.compile_extra, caching.IndexDataCacheFile._load_index

    def compile_slowly(self, func):
        begun.append(func)
        time.sleep(0.5)
        return of_numba(self, func)

    def read_slowly(self):
        found = read(self)
        time.sleep(0.2)
        return found

    compiler.CompilerBase.compile_extra = compile_slowly
    caching.IndexDataCacheFile._load_index = read_slowly


def call(place, values, start, told, changes):
    """In a process of its own: wait for the others, call `double`, tell what it got and how often it compiled."""
    begun, called = [], changes.pop("called", "double")
    os.environ["NUMBA_CACHE_DIR"] = str(place / "machine_code")
    compiled.cache_folder.cache_clear()
    for name, value in changes.items():
        setattr(compiled, name, value)
    slowly(begun)
    sys.path.insert(0, str(place))
    import doubling

    function = getattr(doubling, called)
    start.wait(60)
    begun.clear()
    told.send(([function(value) for value in values], len(begun)))


@pytest.fixture
def together(tmp_path):
    """Return a function that runs processes at one time, each with its values, and returns what each got and compiled."""
    (tmp_path / "doubling.py").write_text(DOUBLE)
    forks = multiprocessing.get_context("fork")

    def run(*processes, **changes):
        start = forks.Barrier(len(processes))
        pipes = [forks.Pipe(duplex=False) for _ in processes]
        started = [
            Fork(target=call, args=(tmp_path, values, start, told, changes))
            for values, (_, told) in zip(processes, pipes, strict=True)
        ]
        for one in started:
            one.start()
        said = [answer.recv() if answer.poll(120) else None for answer, _ in pipes]
        for one in started:
            one.join(120)
        assert [one.exitcode for one in started] == [0] * len(started)
        return said

    return run


def test_of_processes_that_want_the_same_code_one_compiles_and_the_others_take_it(together):
    said = together([2], [3], [4])
    assert [got for got, _ in said] == [[4], [6], [8]]
    assert sum(times for _, times in said) == 1


class Late(compiled.Cache):
    """Finds from the second look on what another process has saved: it was saved between the two."""

    def load_overload(self, sig, target_context):
        looked = vars(self).setdefault("looked", set())
        if sig in looked:
            return super().load_overload(sig, target_context)
        looked.add(sig)
        return None


def test_code_taken_from_another_process_is_called_by_what_is_compiled_here(together):
    together([2])
    assert together([2], Cache=Late, called="fourfold") == [([8], 1)]


def test_code_that_two_processes_save_at_one_time_is_never_taken_for_the_others(together):
    together([2], [2.5])
    assert together([2, 2.5]) == [([4, 5.0], 0)]


def test_a_process_that_waits_too_long_for_another_compiles_for_itself(together, tmp_path):
    together([True])  # makes the folder
    (turn,) = tmp_path.glob("machine_code/*/.turn")
    with files.held(turn):
        said = together([2], PATIENCE_SECONDS=0.2, _WRITING_SECONDS=0.2)
    assert said == [([4], 1)]
    assert together([2])[0][1] == 1  # it had nowhere to write


def test_a_copy_of_the_package_uses_the_code_that_is_there(tmp_path, kept):
    package = Path(compiled.__file__).parents[1]
    shutil.copytree(package, tmp_path / "wealtharena", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", CALLS.replace("from tests", f"import sys; sys.path.append({str(package.parent)!r}); from tests")],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.split() == ["0", "1", str(tmp_path / "wealtharena" / "envs" / "kernel" / "__init__.py")]


def test_another_content_of_a_file_has_another_place(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "loops.py"
    found = []
    for content in ("a = 1", "a = 2", "a = 1"):
        file.write_text(content)
        found.append(compiled.ByContent.get_suitable_cache_subpath(str(file)))
    assert found[0] == found[2] != found[1]
    assert found[0].startswith("room-")


CALLS = (
    "from tests.envs.markets import *; import numpy as np\n"
    "from wealtharena.envs.simulate import simulate; from wealtharena.envs import kernel\n"
    "s = spec_of(); m = market_of(panel_of([1.0, 2.0, 3.0]), s)\n"
    "simulate(m, np.ones((3, 1)), spec=s)\n"
    "print(sum(kernel.walk.stats.cache_misses.values()), sum(kernel.walk.stats.cache_hits.values()), kernel.__file__)\n"
)


@pytest.fixture(scope="module")
def kept():
    """Let a process leave the compiled walk on disk; it may be the one that compiles."""
    subprocess.run(
        [sys.executable, "-c", CALLS], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": "."}
    )


def test_a_second_process_finds_the_compiled_kernel(kept):
    """The code of another process is on disk, so this one compiles nothing."""
    run = [sys.executable, "-c", CALLS]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": "."})
    assert done.stdout.split()[:2] == ["0", "1"]
    assert "compiling" not in done.stderr
    assert compiled.is_kept(kernel.walk)


ALONE = (
    "import numpy as np\n"
    "from wealtharena.evaluation.bootstrap import paired_bootstrap\n"
    "a, b = np.random.default_rng(1).normal(0, 0.01, (2, 60))\n"
    "print(paired_bootstrap(a, b, rng=np.random.default_rng(1), draws=4, bars_per_year=252).draws)\n"
)


def test_no_compiled_code_needs_a_folder_of_the_packages_own_or_a_home(tmp_path):
    """As a user without a home runs an installed package: numba by itself would end that with an error."""
    package = Path(compiled.__file__).parents[1]
    shutil.copytree(package, tmp_path / "wealtharena", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (tmp_path / "wealtharena").rglob("*"):
        if folder.is_dir():
            (folder / "__pycache__").write_text("where nobody may write")
    own = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=240,
        env={**own, "PYTHONPATH": str(tmp_path), "HOME": "/proc/none", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["4"]
    assert list(tmp_path.glob("wealtharena-*/kernel-*/evaluation-*/*.nbc")), "kept below the folder for temporary files"


def test_machine_code_of_a_package_is_not_taken_for_that_of_a_copy_under_another_name(
    folder_for, tmp_path, monkeypatch
):
    """It names the module that it is of: whoever copied a package and renamed it got a `No module named` of the first."""
    monkeypatch.setattr(plugins, "sources_offered", lambda room: ())  # the same, whatever they are called
    found = set()
    for module in ("theirs.calm", "mine.calm"):
        offered = {"calm": (SimpleNamespace(name="calm", value=module),)}
        monkeypatch.setattr(plugins, "_offered", lambda room, offered=offered: offered)
        found.add(folder_for(NUMBA_CACHE_DIR=tmp_path))
    assert len(found) == 2


def used_in_compiled_code(path):
    """Yield each name of another file of the package that a file's compiled functions read, with the module that it is from."""
    tree = ast.parse(path.read_text())
    of = {
        alias.asname or alias.name: part.module
        for part in tree.body
        if isinstance(part, ast.ImportFrom) and str(part.module).startswith("wealtharena.")
        for alias in part.names
    }
    makers = {name for name, module in of.items() if module == "wealtharena.envs.compiled"}
    for part in tree.body:
        marks = getattr(part, "decorator_list", ())
        if any(isinstance(one, ast.Name) and one.id in makers for mark in marks for one in ast.walk(mark)):
            yield from (
                (one.id, of[one.id]) for line in part.body for one in ast.walk(line) if getattr(one, "id", "") in of
            )


def test_compiled_code_outside_this_room_reads_nothing_that_its_name_on_disk_does_not_cover():
    """A constant of another file would stay what it was when that file changes: numba looks at a function's own file only."""
    found = [pair for path in compiled.PACKAGE.rglob("*.py") for pair in used_in_compiled_code(path)]
    assert {"ROUNDING", "RULE", "TINY"} <= {name for name, _ in found}
    covered = {".".join(path.relative_to(compiled.PACKAGE.parent).with_suffix("").parts) for path in compiled.sources()}
    read = {name if (name := f"{module}.{word}") in covered else module for word, module in found}
    assert read - {module.removesuffix(".__init__") for module in covered} == set()


def test_all_that_machine_code_is_made_from_has_its_part_in_where_it_is_kept_and_nothing_else(
    folder_for, tmp_path, monkeypatch
):
    room = compiled.PACKAGE / "envs"
    marked = {
        path
        for path in room.rglob("*.py")
        if re.search(r"^@(compiled|kept|machine)\b", path.read_text(), flags=re.MULTILINE)
    }
    assert len(marked) > 8
    assert marked <= set(compiled.sources())
    assert not set((room / "baselines").glob("*.py")) & set(compiled.sources())
    copy = shutil.copytree(room, tmp_path / "envs")
    monkeypatch.setattr(compiled, "__file__", str(copy / "compiled.py"))
    before = folder_for(NUMBA_CACHE_DIR=tmp_path)
    (copy / "baselines" / "contrary.py").write_text('"""A baseline."""')
    assert folder_for(NUMBA_CACHE_DIR=tmp_path) == before
    (copy / "rewards" / "calm.py").write_text('"""A reward."""')
    assert folder_for(NUMBA_CACHE_DIR=tmp_path) != before
