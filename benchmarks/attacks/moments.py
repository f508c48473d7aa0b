"""Jobs that are killed, or that find no room, at a chosen moment of their work on the disk.

A moment is an entry into the kernel that changes the run's folder: a file opened for writing, a rename, a removal, a flush.
Between two of them nothing on disk changes but the bytes of an open file, so the moments are all the ends that kill -9 has
to tell apart. A job runs in a fork of a process that has imported everything, so that each costs seconds.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import select
import signal
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = (
    "asset=forex",
    "data=simulated",
    "data.simulator.bars=500",
    "universe.max_symbols=3",
    "train.env_steps=2048",
    "train.evaluations=2",
    "algo.rollout_steps=1024",
    "algo.minibatch=512",
    "model.hidden=[8]",
    "compute.envs=16",
    "compute.torch_threads=1",
    "evaluation.bootstrap_draws=100",
    "tracking=quiet",
)
_CHANGES = frozenset({"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Played:
    """How a job ended: its exit code, or the negative number of the signal that killed it; what it said; its moments."""

    code: int
    said: str
    moments: int


# what a whole job imports, and what its export and picture load when they come to it
MODULES = (
    "wealtharena.cli",
    "wealtharena.tasks.train",
    "wealtharena.tasks.backtest",
    "wealtharena.tasks.judging",
    "wealtharena.tasks.deploy",
    "wealtharena.tasks.keeping",
    "wealtharena.registry.publish",
    "wealtharena.agents.algorithms.ppo",
    "wealtharena.agents.on_policy.engine",
    "ray.rllib.algorithms.ppo.ppo_catalog",
    "ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module",
    "wealtharena.data.loading",
    "wealtharena.tracking.tracker",
    "wealtharena.reporting.plots",
    "wealtharena.tasks.collect",
    "wealtharena.tasks.sweep",
    "torch.onnx",
    "onnx",
    "onnxruntime",
    "matplotlib.figure",
)


def ready() -> None:
    """Import what the jobs need, once for all forks."""
    import importlib

    for name in MODULES:
        importlib.import_module(name)


@dataclass(frozen=True)
class Trouble:
    """What happens to a job: it is killed before a moment, its disk is full from one on, no file may outgrow `room` bytes."""

    kill_at: int | None = None
    full_at: int | None = None
    left: int = 0  # bytes of a full disk that stay free
    room: int | None = None


NO_TROUBLE = Trouble()
FILLER = ".filler"  # what takes a full disk's room


def play(folder: Path, words: Sequence[str], trouble: Trouble = NO_TROUBLE) -> Played:
    """Run `python run.py <words>` in a folder of its own, and let the trouble happen to it."""
    folder.mkdir(parents=True, exist_ok=True)
    count = mmap.mmap(-1, 8)
    reader, writer = os.pipe()  # a file would have no more room than the job's own
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            code = _job(folder, words, count, trouble)
        finally:
            os._exit(code)
    os.close(writer)
    status, said = _end_of_child(child, reader)
    (moments,) = struct.unpack("q", count[:8])
    return Played(os.waitstatus_to_exitcode(status), said, moments)


def _end_of_child(child: int, reader: int) -> tuple[int, str]:
    """Return how a job ended and what it said; processes of its own that outlive it may hold the pipe open."""
    said = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], 0.1)
            piece = pipe.read(1 << 16) if ready else b""
            said += piece
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended or (ready and not piece):
                break
        if not ended:
            _, status = os.waitpid(child, 0)
        while select.select([pipe], [], [], 0)[0] and (piece := pipe.read(1 << 16)):
            said += piece
    return status, said.decode(errors="replace")


def _job(folder: Path, words: Sequence[str], count: mmap.mmap, trouble: Trouble) -> int:
    os.chdir(folder)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    _count_moments(count, str(folder), trouble)
    if trouble.room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (trouble.room, trouble.room))
    from wealtharena.cli import main

    sys.argv = ["run.py", *words]
    code = int(main())
    sys.stdout.flush()
    return code


def _count_moments(count: mmap.mmap, folder: str, trouble: Trouble) -> None:
    own = f"{folder}/{FILLER}"

    def moment() -> None:
        (seen,) = struct.unpack("q", count[:8])
        if seen == trouble.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        count[:8] = struct.pack("q", seen + 1)
        if seen == trouble.full_at:
            _fill(own, trouble.left)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if arguments and arguments[0] == own:
            return
        opens = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
        named = isinstance(arguments[0], str | Path) if opens or event in _CHANGES else False
        if named and str(Path(arguments[0]).absolute()).startswith(folder):
            moment()

    flush = os.fsync

    def fsync(descriptor: int) -> None:
        moment()
        flush(descriptor)
        moment()

    sys.addaudithook(hook)
    os.fsync = fsync


def _fill(path: str, left: int) -> None:
    """Write a file until the disk is full, and give `left` bytes back."""
    with Path(path).open("wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while filler.write(bytes(size)):
                    pass
        filler.truncate(max(0, filler.tell() - left))


def finish(folder: Path, words: Sequence[str]) -> Played:
    """Go on with the newest run of a folder, as its owner would: by resume=, or by the command again where nothing began."""
    found = folder.glob("outputs/*/*/.hydra/overrides.yaml")  # names of runs begun in one second order nothing
    runs = sorted(found, key=lambda path: path.stat().st_mtime_ns)
    begun = runs[-1].parent.parent if runs and (runs[-1].parent.parent / "run.json").exists() else None
    return play(folder, words if begun is None else [f"resume={begun}"])


def kept(folder: Path) -> dict[str, list[bytes]]:
    """Return the whole lines of the logs that nothing may be lost from: the ledger and the registry's history."""
    from wealtharena.files import read_log, whole_lines

    logs = {"ledger": folder / "results" / "ledger.jsonl", "history": folder / "checkpoints" / "registry.jsonl"}
    return {name: whole_lines(read_log(path)) for name, path in logs.items()}


def lost(before: dict[str, list[bytes]], folder: Path) -> list[str]:
    """Return the logs that no longer begin with the lines that they held before."""
    after = kept(folder)
    return [name for name, lines in before.items() if after[name][: len(lines)] != lines]


def end_of_store(folder: Path) -> dict[str, Any]:
    """Return what must be the same however often a collection was interrupted: every bar, the catalog, nothing left over."""
    from wealtharena.data.store import Healing, Store

    store = Store(folder / "data")
    entries = store.catalog()["bars"]
    tables = {key: store.read(*key.split("/")).table for key in entries}
    return {
        "bars": {key: (len(table), table.to_csv()) for key, table in tables.items()},
        "entries": {key: (entry["rows"], entry["start"], entry["end"]) for key, entry in entries.items()},
        "left over": [path.name for path in (folder / "data").rglob(".*.tmp")],
        "to be healed": store.heal() != Healing(),
    }


def end_of_search(folder: Path) -> dict[str, Any]:
    """Return what must be the same however often a search was interrupted.

    A trial that was killed is drawn and trained again; the sampler knows other trials then, so figures may differ.
    """
    end = end_of(folder)
    searches = [json.loads(path.read_text()) for path in sorted(folder.glob("outputs/*/*/sweep.json"))]
    counted = {"looks": sorted(end["looks"]), "searches": [(one["status"], len(one["trials"])) for one in searches]}
    return {key: value for key, value in end.items() if key not in ("metrics", "verdict")} | counted


def end_of(folder: Path) -> dict[str, Any]:
    """Return what must be the same however often a job was interrupted: figures, verdict, versions, looks, stages."""
    from wealtharena.evaluation.ledger import Ledger
    from wealtharena.registry import ModelCheckpoint, history
    from wealtharena.registry.verifying import verify

    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("outputs/*/*/run.json"))]
    done = [run for run in runs if run["status"] == "completed" and run["task"] == "train"]
    store = ModelCheckpoint(folder / "checkpoints")
    found = verify(store)
    left = [path.name for agent in store.agents() for path in (store.root / agent).iterdir() if path.is_dir()]
    return {
        "metrics": [run["metrics"] for run in done],
        "verdict": [(run["verdict"]["status"], run["verdict"]["reasons"]) for run in done],
        "statuses": [run["status"] for run in runs],
        "registered": [run["registry"].split("/")[1] == run["run_id"] for run in done],
        "versions": (found.versions, len(left)),
        "problems": found.problems,
        "gone": len(found.gone),
        "looks": [entry["kind"] for entry in Ledger(folder / "results" / "ledger.jsonl").entries()],
        "stages": [
            (stage, history.standing(store.root, agent, stage) is not None)
            for agent in store.agents()
            for stage in history.STAGES
        ],
    }


@contextlib.contextmanager
def quiet_environment() -> Iterator[None]:
    """Keep the jobs of the block offline and on one numerical thread."""
    wanted = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
