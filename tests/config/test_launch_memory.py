"""What a machine, or a limit, does not give: memory is one line, a home is none that is there."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wealtharena.config import machine
from wealtharena.config.machine import of_the_machine
from wealtharena.errors import ConfigError


@pytest.mark.slow
@pytest.mark.parametrize("gigabytes", [0.25, 0.3, 0.7, 1.0, 1.7])
def test_a_limit_on_memory_is_one_line(tmp_path: Path, gigabytes: float) -> None:
    """Whichever library is the first that cannot be loaded, and whatever it makes of that: OpenBLAS asked for more for ever."""
    bytes_ = round(gigabytes * 1e9)
    limited = f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, ({bytes_}, {bytes_})); sys.argv[0] = sys.argv[1]; del sys.argv[1]; runpy.run_path(sys.argv[0], run_name='__main__')"
    run = Path(__file__).parents[2] / "run.py"
    done = subprocess.run(
        [sys.executable, "-c", limited, str(run), "asset=forex", "data=simulated", "tracking=quiet"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert str(run.parent / "wealtharena") not in done.stderr  # no traceback passes through us
    if done.returncode == -signal.SIGSEGV:  # a library that was loaded in part has fallen, which nobody can catch
        return
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"error: not enough memory: this process may have [\d.]+ GB .*ulimit -v unlimited.*", last)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_want_of_memory_is_known_by_whatever_it_is_called(error: Exception) -> None:
    outer = RuntimeError("something failed")
    outer.__cause__ = error
    for one in (error, outer):
        told = of_the_machine(one)
        assert told is not None
        assert "memory" in str(told)
    assert of_the_machine(RuntimeError("a bug")) is None
    no_thread = of_the_machine(RuntimeError("can't start new thread"))
    assert no_thread is not None
    assert "ulimit -u" in no_thread.hint


@pytest.mark.parametrize("path", ["x" * 300, "~nobody_of_that_name/x"])
def test_a_path_that_no_machine_has_is_one_line(path: str) -> None:
    """`resume=`, `experiment=` and `data.path=` of such ended in a traceback."""
    with pytest.raises((OSError, RuntimeError)) as raised:
        Path(path).expanduser().stat()
    told = of_the_machine(raised.value)
    assert isinstance(told, ConfigError)
    assert told.hint


def test_a_user_of_whom_the_machine_knows_no_home_has_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray looks for it when it is imported: no search began for a service's or a container's user without HOME."""
    monkeypatch.setenv("HOME", "/somewhere")
    machine.name_a_home()
    assert os.environ["HOME"] == "/somewhere"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(machine, "home", lambda: None)
    machine.name_a_home()
    assert os.environ["HOME"] == "/nonexistent"


def test_ray_is_no_client_of_a_server_that_nobody_has_started(tmp_path: Path) -> None:
    """RAY_CLIENT_MODE=1 ended each training in a traceback of Ray's, since its import calls Ray."""
    code = "from wealtharena.config import machine; machine.be_no_client(); import ray.rllib"
    own = {**os.environ, "RAY_CLIENT_MODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
