import os
import subprocess
import sys

import pytest

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


def test_a_second_process_finds_the_compiled_kernel():
    """The code of this process is on disk, so another one compiles nothing."""
    script = (
        "from tests.envs.markets import *; import numpy as np\n"
        "from wealtharena.envs.simulate import simulate; from wealtharena.envs import kernel\n"
        "s = spec_of(); m = market_of(panel_of([1.0, 2.0, 3.0]), s)\n"
        "simulate(m, np.ones((3, 1)), spec=s)\n"
        "print(sum(kernel.walk.stats.cache_misses.values()), sum(kernel.walk.stats.cache_hits.values()))\n"
    )
    run = [sys.executable, "-c", script]
    for _ in range(2):  # the first may be the one that compiles
        done = subprocess.run(run, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": "."})
    assert done.stdout.split() == ["0", "1"]
    assert "compiling" not in done.stderr
    assert compiled.is_kept(kernel.walk)
