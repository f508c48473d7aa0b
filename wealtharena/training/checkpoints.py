"""Candidates and the state for resume, on disk: whole or absent, and never lost for a newer one that failed.

```
<run>/checkpoints/<env step>/   policy.json weights.pt scaler.json metrics.json
<run>/checkpoints/best.json     names the best of them
<run>/trainer/state.pt          everything that a resumed training goes on from
```
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import pickle
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wealtharena.agents.policy import POLICY_FILE, SCALER_FILE, WEIGHTS_FILE, Trained, load_policy, save_policy
from wealtharena.errors import CheckpointError, PackageError, TrainingError, UnknownCheckpointError
from wealtharena.files import atomic_path, make_folder, write_json
from wealtharena.training.job import Candidate

log = logging.getLogger(__name__)

CHECKPOINTS, TRAINER = "checkpoints", "trainer"
METRICS_FILE = "metrics.json"  # of a candidate: what it did on validation
STATE_FORMAT = 1
_PARTS = frozenset({"engine", "scaler", "candidates", "progress", "degenerate", "job"})  # of every state
_KINDS: Mapping[str, type] = {"engine": Mapping, "job": Mapping, "candidates": list}  # of some of them
_FULL_BYTES = 1 << 20  # less free room than this is taken for none


class CandidateStore:
    """The best policies of a training so far."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.candidates: list[Candidate] = []
        self._root = folder / CHECKPOINTS
        make_folder(self._root)

    @property
    def best(self) -> Candidate | None:
        """Return the candidate with the highest score, the earlier one of equals; None before the first."""
        return self.candidates[0] if self.candidates else None

    def offer(self, policy: Trained, *, env_step: int, score: float, metrics: Mapping[str, float]) -> bool:
        """Keep the policy where it belongs to the best; return whether it is the very best.

        One that it takes the place of stays on disk until `remove_others`, since the last saved state names it.
        TrainingError where it cannot be written; the candidates that were there stay.
        """
        value = score if math.isfinite(score) else -math.inf
        ranked = sorted(self.candidates, key=lambda c: (-c.score, c.env_step))
        if len(ranked) >= self.keep and value <= ranked[self.keep - 1].score:
            return False
        candidate = Candidate(f"{CHECKPOINTS}/{env_step:09d}", env_step, value, dict(metrics))
        try:
            self._write(candidate, policy)
            ranked = sorted([*ranked, candidate], key=lambda c: (-c.score, c.env_step))
            self.candidates = ranked[: self.keep]
            self._mark_best()
        except OSError as error:
            raise unwritable(self._root, error) from error
        return self.candidates[0] is candidate

    def remove_others(self) -> None:
        """Remove the folders of policies that are no candidates any more."""
        require_folder(self._root)
        kept = {Path(c.path).name for c in self.candidates}
        for entry in self._root.iterdir():
            if entry.is_dir() and entry.name not in kept:
                shutil.rmtree(entry, ignore_errors=True)

    def _write(self, candidate: Candidate, policy: Trained) -> None:
        require_folder(self._root)
        target = self.folder / candidate.path
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        save_policy(temporary, policy)
        finite = {name: value for name, value in candidate.metrics.items() if math.isfinite(value)}
        write_json(temporary / METRICS_FILE, {"env_step": candidate.env_step, "validation": finite})
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)

    def _mark_best(self) -> None:
        best = self.candidates[0]
        score = best.score if math.isfinite(best.score) else None
        write_json(self._root / "best.json", {"path": best.path, "env_step": best.env_step, "score": score})

    def get_state(self) -> list[dict[str, Any]]:
        """Return the candidates as plain values."""
        return [asdict(candidate) for candidate in self.candidates]

    def set_state(self, state: list[dict[str, Any]]) -> None:
        """Take over candidates, forget those that are not there whole, which is told, and remove folders that are in no state."""
        known = [Candidate(**entry) for entry in state]
        for candidate in known:
            if not _is_own(candidate.path):
                raise CheckpointError(
                    f"{self.folder / TRAINER / 'state.pt'}: names {candidate.path!r}, which is no candidate of this run",
                    hint="start a new run; resume is for runs of one's own",
                )
        self.candidates = [c for c in known if _is_whole(self.folder / c.path)]
        for gone in (c for c in known if c not in self.candidates):
            log.warning("%s is not there whole: the checkpoint is chosen among the others", self.folder / gone.path)
        self.remove_others()
        if self.candidates:
            self._mark_best()
        else:
            (self._root / "best.json").unlink(missing_ok=True)


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace trainer/state.pt; TrainingError where that cannot be done, with the old file left as it was."""
    import torch

    target = folder / TRAINER / "state.pt"
    require_folder(target.parent)
    try:
        with atomic_path(target) as temporary:
            torch.save({"format": STATE_FORMAT, **state}, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise unwritable(target, error) from error


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return what `save_state` wrote, None where nothing was; CheckpointError where it, or a candidate that it names, is damaged."""
    import torch

    path = folder / TRAINER / "state.pt"
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path}: cannot be read", hint="start a new run; this one's candidates are intact"
        ) from error
    found = state.get("format") if isinstance(state, dict) else None
    if found != STATE_FORMAT:
        raise CheckpointError(f"{path}: format {found} is not {STATE_FORMAT}", hint="start a new run")
    if lacking := sorted(_PARTS - state.keys()):
        raise CheckpointError(f"{path}: lacks {lacking[0]}", hint="start a new run; this one's candidates are intact")
    odd = [name for name, kind in _KINDS.items() if not isinstance(state[name], kind)]
    if odd or "env_steps" not in state["engine"]:
        raise CheckpointError(f"{path}: its {(odd or ['engine'])[0]} is damaged", hint="start a new run")
    for entry in state["candidates"]:
        _require_readable(folder / str(entry["path"]))
    return state


def _require_readable(candidate: Path) -> None:
    """Raise CheckpointError where a whole candidate cannot be loaded: it may be the one that is chosen in the end."""
    if not _is_whole(candidate):
        return
    try:
        load_policy(candidate)
    except PackageError:  # nothing is wrong with the folder
        raise
    except CheckpointError as error:
        raise CheckpointError(
            error.message, hint="put it back, or remove its folder: the training then goes on without it"
        ) from error


def _is_whole(candidate: Path) -> bool:
    return all((candidate / name).is_file() for name in (POLICY_FILE, WEIGHTS_FILE, SCALER_FILE))


def _is_own(path: str) -> bool:
    """Return whether a candidate's path is a folder right below the run's checkpoints."""
    parts = Path(path).parts
    return len(parts) == 2 and parts[0] == CHECKPOINTS and parts[1] not in ("..", ".")


def best_path(folder: Path) -> Path:
    """Return the folder of the best candidate of a run directory; UnknownCheckpointError where there is none."""
    marker = folder / CHECKPOINTS / "best.json"
    try:
        path = str(json.loads(marker.read_text())["path"])
        if not _is_own(path):
            raise ValueError("a path out of the run")
        return folder / path
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownCheckpointError(
            f"{marker}: names no best candidate", hint="name a run that has finished a validation"
        ) from error


def require_folder(folder: Path) -> None:
    """Raise TrainingError where a folder of this run is no longer there."""
    if not folder.is_dir():
        raise TrainingError(f"{folder} has vanished during training", hint="put it back, or start a new run")


def unwritable(path: Path, error: Exception) -> TrainingError:
    """Return the error for something that could not be written."""
    cause = getattr(error, "strerror", None) or _behind(path, error)
    return TrainingError(
        f"{path}: cannot be written: {cause}", hint="make room or permission; the last good checkpoint is kept"
    )


def _behind(path: Path, error: Exception) -> str:
    """Return why torch could not write: its writer names no system error, so that a full disk is looked for."""
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < _FULL_BYTES:
            return os.strerror(errno.ENOSPC)
    return str(error).splitlines()[0][:200]
