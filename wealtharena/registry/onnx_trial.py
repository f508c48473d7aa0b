"""A graph tried out in a process of its own, which alone is harmed where it hangs, crashes or eats memory.

This file is also the program of that process: it imports numpy and onnxruntime, nothing of ours, and reads from standard
input what to try. Shapes follow from the size of the batch alone, so that the largest piece ever asked shows the worst.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

CPU_SECONDS = 4
WALL_SECONDS = 60  # on a machine that is busy with others; a graph has no way to wait
MEMORY_BYTES = 1 << 30  # beyond what the runtime takes itself
_OK = "answers"


def try_out(content: bytes, shapes: Mapping[str, Sequence[int]], rows: int) -> str | None:
    """Return what is wrong with a graph that is asked 1 and `rows` observations, None where nothing is.

    `shapes` are those of its inputs without the batch. What went well is not tried again by this process.
    """
    return _tried(content, json.dumps({name: list(shape) for name, shape in shapes.items()}), rows)


@lru_cache(maxsize=64)
def _tried(content: bytes, shapes: str, rows: int) -> str | None:
    order = json.dumps({"shapes": json.loads(shapes), "rows": rows}).encode() + b"\n"
    command = [sys.executable, "-I", str(Path(__file__).resolve())]
    try:
        done = subprocess.run(command, input=order + content, capture_output=True, timeout=WALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"it did not answer within {WALL_SECONDS} seconds"
    said = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if done.returncode == 0 and said == _OK:
        return None
    if done.returncode < 0:
        return f"the process that tried it was ended by signal {-done.returncode}, out of time or memory"
    return said[:200] or "the process that tried it failed"


def main() -> None:
    """Try the graph on standard input and print what came of it."""
    import resource

    import numpy as np
    import onnxruntime

    order = json.loads(sys.stdin.buffer.readline())
    content = sys.stdin.buffer.read()
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, limit in (
        (resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS),
        (resource.RLIMIT_AS, pages + MEMORY_BYTES + 4 * len(content)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        most = resource.getrlimit(what)[1]
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (limit, most))
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
                    sys.exit(_say(f"{given.name} is not finite, or not one answer a row"))
    except Exception as error:  # noqa: BLE001 - the runtime's errors share no base below Exception
        sys.exit(_say(f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"))
    _say(_OK)


def _say(text: str) -> int:
    sys.stdout.write(text + "\n")
    return 1


if __name__ == "__main__":
    main()
