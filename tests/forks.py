"""Processes that need not import everything anew: forks of this one, and calls of a script in forks of a clean one."""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing import popen_fork, util
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from tests import quicker
from wealtharena.config import compose

LIMIT_SECONDS = 240
ROOT = Path(__file__).parents[1]
UNREAD, CLOSED = "| true", ">&-"  # as a shell says them


def runs(pid: int) -> bool:
    """Return whether a process has not ended; a zombie, which nobody has asked how it ended, has."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


class _Forking(popen_fork.Popen):
    def _launch(self, process_obj: Any) -> None:
        ended, held = os.pipe()  # the child's end is closed when it ends
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                gc.freeze()
                code = process_obj._bootstrap()
            finally:
                os._exit(code)
        os.close(held)
        self.finalizer = util.Finalize(self, util.close_fds, (ended,))
        self.sentinel = ended


class Fork(ForkProcess):
    """`multiprocessing.Process` as a fork of this process that lets go of nothing that it inherits.

    Since Python 3.13 the library's own forgets first what is to be done at the end; with it goes the last hold on clients that Ray
    has left behind, and their end is a crash in any process but the one that made them.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> _Forking:
        return _Forking(process_obj)


def called(words: Sequence[str], folder: Path, *, out: str = ".out", err: str = ".err") -> tuple[int | None, str, str]:
    """Run the command line in a fork of this process, in a folder, and return its exit code and what it has printed.

    What it prints may go elsewhere, as `speak_to` has it; of that nothing is returned.
    """
    from wealtharena.cli import main

    def play() -> None:
        os.chdir(folder)
        speak_to(out, err)
        sys.argv = ["run.py", *words]
        code = main()
        flush()
        sys.exit(code)

    one = Fork(target=play)
    one.start()
    one.join(LIMIT_SECONDS)
    said = [(folder / name).read_text() if (folder / name).is_file() else "" for name in (out, err)]
    return one.exitcode, *said


class Forks:
    """A process that imports `modules` and then forks for every call; close it when done.

    What it imports it finds in the folder `root` and where `path`, a PYTHONPATH, says.
    """

    def __init__(self, *modules: str, root: Path = ROOT, path: str = "") -> None:
        command = [sys.executable, "-m", "tests.forks", *modules]
        env = os.environ | ({"PYTHONPATH": path} if path else {})
        both = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = subprocess.Popen(command, cwd=root, env=env, text=True, **both)

    def run(
        self, folder: Path, script: Path, words: Sequence[str], *, env: Mapping[str, str], out: str | None = None
    ) -> Any:
        """Run `python script words...` in a folder and environment, and return it completed, as subprocess.run does.

        What it prints may go to `out`, a file or what UNREAD and CLOSED stand for, instead.
        """
        kept, err = folder / ".stdout", folder / ".stderr"
        call = {
            "folder": str(folder),
            "argv": [str(script), *words],
            "env": dict(env),
            "out": out or str(kept),
            "err": str(err),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        guard = threading.Timer(LIMIT_SECONDS, self._server.kill)
        guard.start()
        self._server.stdin.write(json.dumps(call) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        guard.cancel()
        assert answer, f"no answer within {LIMIT_SECONDS} s: {err.read_text()}"
        code = int(answer)
        said = [path.read_text() if path.exists() else "" for path in (kept, err)]
        for path in (kept, err):
            path.unlink(missing_ok=True)
        return subprocess.CompletedProcess(call["argv"], code, *said)

    def close(self) -> None:
        """End the process."""
        self._server.kill()
        self._server.communicate(timeout=60)


def _serve() -> None:
    quicker.prepare()
    for name in sys.argv[1:]:
        import_module(name)
    compose(())  # every fork has read the files of configuration then
    if "numba" in sys.modules:
        import_module("benchmarks.arena.tables").fill()
    gc.freeze()  # what was imported is in nobody's way
    for line in sys.stdin:
        call = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _job(call)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _job(call: dict[str, Any]) -> int:
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    speak_to(call["out"], call["err"])
    sys.argv = list(call["argv"])
    sys.path[0] = str(Path(call["argv"][0]).parent)
    code: Any = 0
    try:
        runpy.run_path(call["argv"][0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - what ends a process with a traceback does so here
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # as the end of a process has it: launchers end their workers in these two
    atexit._run_exitfuncs()
    flush()
    return int(code or 0)


def flush() -> None:
    """Write out what this process has printed, where it has somewhere to print."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def speak_to(out: str, err: str) -> None:
    """Let this process print where these say: into a file, a pipe that nobody reads (UNREAD), or nowhere (CLOSED)."""
    for number, name, where in ((1, "stdout", out), (2, "stderr", err)):
        if where == CLOSED:
            os.close(number)
            setattr(sys, name, None)  # as Python finds it
            continue
        os.dup2(_opened(where), number)
        setattr(sys, name, os.fdopen(number, "w", buffering=-1 if number == 1 else 1, closefd=False))


def _opened(where: str) -> int:
    if where != UNREAD:
        return os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    reader, writer = os.pipe()
    os.close(reader)
    return writer


if __name__ == "__main__":
    _serve()
