"""A graph tried out in a process of its own, which alone is harmed where it hangs, crashes or eats memory.

This file is also a program: it imports numpy and onnxruntime once, nothing of ours, reads from standard input what to try
and forks for each graph. Shapes follow from the size of the batch alone, so that the largest piece ever asked shows the
worst.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

CPU_SECONDS = 4
WALL_SECONDS = 60  # on a machine that is busy with others; a graph has no way to wait
MEMORY_BYTES = 1 << 30  # beyond what the runtime takes itself
_LONGEST = 200  # letters of what is said of a graph


def without_reports() -> None:
    """Tell onnxruntime, before it is loaded, to send nothing to its makers: else it keeps a number of this machine for that."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class _Trier:
    """The program at the other end; it starts with the first graph and ends with `close`, or when this process does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, order: Mapping[str, Any], content: bytes) -> str | None:
        """Return what is wrong with a graph, None where nothing is."""
        process = self._process = self._process or _started()
        assert process.stdin is not None
        assert process.stdout is not None
        head = json.dumps({**order, "bytes": len(content)}).encode() + b"\n"
        try:
            process.stdin.write(head)
            process.stdin.write(content)
            process.stdin.flush()
            without_reports()
            import onnxruntime  # noqa: F401 - it is needed next, and both processes import it at the same time

            if not select.select([process.stdout], [], [], WALL_SECONDS)[0]:
                self.close()
                return f"it did not answer within {WALL_SECONDS} seconds"
            found = json.loads(process.stdout.readline())
            return _judged(found["code"], found["said"])
        except (OSError, ValueError, LookupError):  # it is gone
            self.close()
            return "the process that tried it failed"

    def close(self) -> None:
        """End the program, and what it is at."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=WALL_SECONDS)


def _started() -> subprocess.Popen[bytes]:
    without_reports()
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # it forks
    # packages of a user's own (pip install --user) or of PYTHONPATH are none of an isolated Python's
    found = [place for place in sys.path if Path(place).is_absolute()]
    command = [sys.executable, "-I", str(Path(__file__).resolve()), *found]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **threads},
        start_new_session=True,
    )


def _judged(code: int, said: str) -> str | None:
    if code < 0:
        return f"the process that tried it was ended by signal {-code}, out of time or memory"
    if code > 0:
        return "the process that tried it failed"
    return said or None


_trier: ContextVar[_Trier | None] = ContextVar("trier", default=None)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Let the graphs of the block be tried by one program, which starts once; each still has a process of its own."""
    trier = _Trier()
    token = _trier.set(trier)
    try:
        yield
    finally:
        _trier.reset(token)
        trier.close()


_passed: set[str] = set()  # graphs that answered well in this process's lifetime, by hash


def try_out(content: bytes, shapes: Mapping[str, Sequence[int]], rows: int) -> str | None:
    """Return what is wrong with a graph that is asked 1 and `rows` observations, None where nothing is.

    `shapes` are those of its inputs without the batch. What went well is not tried again by this process.
    """
    order = {"shapes": {name: list(shape) for name, shape in shapes.items()}, "rows": rows}
    known = hashlib.sha256(json.dumps(order, sort_keys=True).encode() + b"\n" + content).hexdigest()
    if known in _passed:
        return None
    with contextlib.nullcontext() if _trier.get() is not None else together():
        trier = _trier.get()
        assert trier is not None
        problem = trier.ask(order, content)
    if problem is None:
        _passed.add(known)
    return problem


def main() -> None:
    """Try the graphs on standard input, each in a fork, and print a line about each.

    Arguments are the folders where the packages of the one who asks were found.
    """
    sys.path += [place for place in sys.argv[1:] if place not in sys.path]
    import numpy  # noqa: F401 - for its effect: the forks have it
    import onnxruntime  # noqa: F401 - as above

    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        content = sys.stdin.buffer.read(order["bytes"])
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(os.open(os.devnull, os.O_RDWR), 0)
                os.dup2(0, 1)
                os.write(writer, _problem(order, content)[:_LONGEST].encode("utf-8", "replace"))
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read().decode("utf-8", "replace")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(json.dumps({"code": code, "said": said}) + "\n")
        sys.stdout.flush()


def _problem(order: Mapping[str, Any], content: bytes) -> str:
    """Return what is wrong with a graph, nothing where nothing is; this process is bounded from here on."""
    import numpy as np
    import onnxruntime

    _bound(len(content))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(0)
        for rows in (1, order["rows"]):
            feed = {
                name: rng.standard_normal((rows, *shape)).astype(np.float32) for name, shape in order["shapes"].items()
            }
            for given, value in zip(session.get_outputs(), session.run(None, feed), strict=True):
                if value.shape[:1] != (rows,) or not np.isfinite(value).all():
                    return f"{given.name} is not finite, or not one answer a row"
    except Exception as error:  # noqa: BLE001 - the runtime's errors share no base below Exception
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"
    return ""


def _bound(size: int) -> None:
    """Set the limits of this process on time, memory and files, for a graph of `size` bytes."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, limit in (
        (resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS),
        (resource.RLIMIT_AS, pages + MEMORY_BYTES + 4 * size),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        most = resource.getrlimit(what)[1]
        allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (allowed, most))


if __name__ == "__main__":
    main()
