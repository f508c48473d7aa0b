"""The run directory's own account of itself: run.json, written from the first second and also when a run fails."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import os
import platform
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from wealtharena import files
from wealtharena.config import config_hash
from wealtharena.config.composition import job_overrides
from wealtharena.config.folders import handed_over, held_by_another
from wealtharena.config.hashing import NUMBERS
from wealtharena.config.identity import SCHEMA_VERSION, refuse_used, run_record
from wealtharena.config.signals import Stop, sigterm_as_ctrl_c
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import command_line
from wealtharena.errors import ConfigError, Interrupted, WealthArenaError
from wealtharena.shown import without_places
from wealtharena.version import version

_STAYS = ("parent", "begun_with", "retrains", "opened", "data")  # of a run that goes on, until it is written anew
_REMAINS = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")  # as `files.atomic_path` names what it writes
_CHECKOUT = Path(__file__).resolve().parents[2]
_RUNS = ("wealtharena", "conf", "sweeps")  # the folders of a checkout whose files a run may read
_PACKAGES = ("torch", "ray", "numpy", "pandas", "numba", "gymnasium", "hydra-core", "TA-Lib")


@dataclass(frozen=True)
class RunContext:
    """Where a job runs and how it was asked for."""

    folder: Path
    overrides: tuple[str, ...]
    resumed: bool = False

    @classmethod
    def current(cls) -> RunContext:
        """Return the context of the Hydra job under way; outside Hydra, a fresh folder under outputs/."""
        from hydra.core.hydra_config import HydraConfig

        if HydraConfig.initialized():
            hydra = HydraConfig.get()
            folder = Path(hydra.runtime.output_dir)
            typed = job_overrides()
            asked = any(item.startswith("resume=") and item != "resume=null" for item in typed)
            return cls(folder, typed, resumed=asked and (folder / "run.json").exists())
        now = dt.datetime.now()
        folder = Path("outputs", now.strftime("%Y-%m-%d"), f"{now:%H-%M-%S}-{secrets.token_hex(3)}").resolve()
        return cls(folder, ())


def git_sha(root: Path = _CHECKOUT) -> str | None:
    """Return the commit of the checkout the package runs from; None outside one.

    `+` stands behind it for local changes: a file of the commit that is another here, or one of the code and configuration
    that the commit has not.
    """
    if not (root / ".git").exists():
        return None
    try:
        sha = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "-uno")
        added = _git(root, "ls-files", "--others", "--exclude-standard", "--", *_RUNS)
    except (OSError, subprocess.SubprocessError):
        return None
    return sha + ("+" if changed or added else "")


def _git(root: Path, *words: str) -> str:
    """Return what git says of the checkout at `root`, also within a hook of another, which names that one in variables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    said = subprocess.run(["git", *words], cwd=root, env=own, capture_output=True, text=True, timeout=5, check=True)
    return said.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of what determines a result."""
    found = {"python": platform.python_version(), "wealtharena": version()}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def new_run_id(started: dt.datetime) -> str:
    """Return a run's name: when it was begun, in UTC, and six digits that part it from others of that second."""
    return f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


@dataclass
class RunRecord:
    """run.json under construction; every `update` is on disk when it returns."""

    path: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, spec: ExperimentSpec, context: RunContext) -> RunRecord:
        """Write the first record: `interrupted`, which is what it is if the process dies before the end."""
        path = context.folder / "run.json"
        old = run_record(context.folder)
        started = dt.datetime.now(dt.UTC)
        record = cls(path)
        record.update(
            **{key: old[key] for key in _STAYS if key in old},
            schema_version=SCHEMA_VERSION,
            run_id=old.get("run_id") or new_run_id(started),
            status="interrupted",
            task=spec.task,
            agent=spec.asset.agent,
            asset=spec.asset.name,
            algo=spec.algo.name,
            seed=spec.seed,
            command=command_line(context.overrides),
            config_hash=config_hash(spec),
            numbers=NUMBERS,
            git_sha=git_sha(),
            versions=versions(),
            started_at=old.get("started_at") or started.isoformat(timespec="seconds"),
        )
        return record

    @property
    def run_id(self) -> str:
        """Return the run's name: the same after a resume."""
        return str(self.content["run_id"])

    def update(self, **values: Any) -> None:
        """Merge `values` and write the whole record."""
        self.content.update({key: files.jsonable(value) for key, value in values.items()})
        files.write_json(self.path, self.content)

    def fail(self, error: BaseException) -> None:
        """Record what ended the run."""
        stopped = isinstance(error, KeyboardInterrupt | Interrupted)
        hint = error.hint if isinstance(error, WealthArenaError) else ""
        message = error.message if isinstance(error, WealthArenaError) else str(error)
        self.update(
            status="interrupted" if stopped else "failed",
            error={
                "type": type(error).__name__,
                "message": without_places(message),
                "hint": without_places(hint),
            },
        )


@contextlib.contextmanager
def recorded(spec: ExperimentSpec, context: RunContext, *, stop: Stop | None = None) -> Iterator[RunRecord]:
    """Yield the run's record; whatever ends the block is written to it, and SIGTERM ends it as Ctrl-C does.

    With `stop`, the caller listens to SIGTERM for all the records that it keeps. ConfigError where another process is at
    work in the same folder, or where it holds a run that is not to go on.
    """
    with alone(context.folder, held_by_another(context.folder)):
        if not context.resumed:
            name = without_places(str(context.folder))
            refuse_used(context.folder, name, name=name)
        else:
            _remove_remains(context.folder)
        record = RunRecord.begin(spec, context)
        record.content.pop("error", None)
        with sigterm_as_ctrl_c() if stop is None else contextlib.nullcontext(stop) as heard:
            try:
                yield record
            except BaseException as error:
                ended_by(record, KeyboardInterrupt() if heard.told or isinstance(error, GeneratorExit) else error)
                raise


def _remove_remains(folder: Path) -> None:
    """Remove files that a killed process was writing in a folder that this one holds: nobody comes back for them."""
    for path in folder.rglob(".*.tmp"):
        if _REMAINS.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def ended_by(record: RunRecord, error: BaseException) -> None:
    """Record what ended the run; where even that has no room, run.json goes on saying `interrupted`, as from its beginning."""
    try:
        record.fail(error)
    except OSError as full:
        if full.errno not in files.NO_ROOM:
            raise


def unusable(folder: Path, error: OSError) -> Exception:
    """Return the error for a folder that cannot be made or written to; a full disk stays what it is."""
    if error.errno in files.NO_ROOM:
        return error
    what = f"{without_places(str(error.filename or folder))}: {error.strerror}"
    return ConfigError(
        f"{without_places(str(folder))} cannot be used: {what}",
        hint="name another folder, or move away what stands there",
    )


@contextlib.contextmanager
def alone(folder: Path, refusal: ConfigError) -> Iterator[None]:
    """Hold a folder for this process, or raise `refusal`; the hold ends with the process, however that ends.

    ConfigError where the folder cannot be made or written to.
    """
    lock = handed_over(folder) or filelock.FileLock(folder / ".lock")
    try:
        files.make_folder(folder)
        if not lock.is_locked:
            lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise refusal from error
    except OSError as error:
        raise unusable(folder, files.lockless(error, folder / ".lock")) from error
    try:
        yield
    finally:
        lock.release()
