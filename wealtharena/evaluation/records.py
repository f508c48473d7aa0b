"""Finished runs as they lie on disk, read with patience: what a run.json lacks is None, not an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from wealtharena.config.ending import WHY
from wealtharena.config.identity import SCHEMA_VERSION
from wealtharena.errors import ConfigError
from wealtharena.files import NEWER, newer

RUN_FILE = "run.json"
JUDGED_TASKS = ("train", "sweep", "backtest")
_LISTS: Final = "a list"
_OBJECTS: Final = "a list of objects"
_SHAPES: Final = {
    "data.symbols": _LISTS,
    "data.frequency": "text",
    "comparison.anchor": "an object",
    "verdict.reasons": _LISTS,
    "verdict.rules": _OBJECTS,
    "verdict.evidence.max_gross": "a number",
    "verdict.evidence.leaks": _LISTS,
    "verdict.evidence.faults": _LISTS,
    "verdict.evidence.unfilled": _OBJECTS,
    "verdict.evidence.invested": "an object",
}  # of a run.json, where a judgement reads more than a figure or a word
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    _LISTS: list,
    _OBJECTS: list,
    "text": str,
    "an object": dict,
    "a number": (int, float),
}


@dataclass(frozen=True)
class RunResult:
    """One run directory's record."""

    folder: Path
    content: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.content.get("run_id") or self.folder.name)

    @property
    def agent(self) -> str:
        return str(self.content.get("agent") or "unknown")

    @property
    def seed(self) -> int | None:
        value = self.content.get("seed")
        return value if isinstance(value, int) else None

    @property
    def config_hash(self) -> str:
        return str(self.content.get("config_hash") or self.run_id)

    @property
    def fingerprint(self) -> str:
        return str(self.block("data").get("fingerprint") or "")

    @property
    def status(self) -> str:
        """Return completed, failed, interrupted or closed; a completed run without test measures counts as failed.

        Closed is a run that was trained and never tested, on purpose.
        """
        status = str(self.content.get("status") or "failed")
        if status == "completed" and self.content.get("test_window") == "closed":
            return "closed"
        return "failed" if status == "completed" and not self.test else status

    @property
    def test(self) -> Mapping[str, Any]:
        """Return the measures of the test window."""
        found = self.block("metrics").get("test")
        return found if isinstance(found, Mapping) else {}

    @property
    def verdict(self) -> Mapping[str, Any]:
        return self.block("verdict")

    @property
    def evidence(self) -> Mapping[str, Any]:
        found = self.verdict.get("evidence")
        return found if isinstance(found, Mapping) else {}

    @property
    def simulated(self) -> bool:
        """Return whether the data was simulated; a record that does not say so is not trusted to be real."""
        return bool(self.block("data").get("simulated", True))

    @property
    def played(self) -> bool:
        """Return whether this is a backtest: figures of any window, and of a training that has its own record."""
        return self.content.get("task") == "backtest"

    @property
    def searched(self) -> bool:
        """Return whether this is one record of several seeds, as a search leaves it."""
        return len(self.seed_tests) > 1

    @property
    def seed_tests(self) -> tuple[Mapping[str, Any], ...]:
        """Return the test measures of each seed that one record holds; none in the record of one seed."""
        found = self.block("seeds").get("metrics")
        return tuple(found) if isinstance(found, list) and all(isinstance(one, Mapping) for one in found) else ()

    @property
    def seed_numbers(self) -> tuple[int | None, ...]:
        """Return the seeds behind `seed_tests`; None for each where the record does not name them."""
        found = self.block("seeds").get("numbers")
        count = len(self.seed_tests)
        return tuple(found) if isinstance(found, list) and len(found) == count else (None,) * count

    @property
    def window(self) -> tuple[str, str] | None:
        """Return first and last date of the test window."""
        dates = _flat(self.block("split").get("test") or ())
        return (dates[0], dates[-1]) if dates else None

    def block(self, name: str) -> Mapping[str, Any]:
        """Return a block of the record, empty where there is none."""
        found = self.content.get(name)
        return found if isinstance(found, Mapping) else {}


def find(places: Iterable[str | Path]) -> tuple[RunResult, ...]:
    """Return the runs in the given run directories and in folders of them, oldest first.

    A Hydra job that left no readable run.json shows as a failed run. Raises ConfigError for a place that does not exist,
    that is a file or that holds no run.
    """
    found: dict[Path, RunResult] = {}
    for place in places:
        root = Path(place)
        if not root.exists():
            raise ConfigError(f"compare.runs: {place} does not exist", hint="name run directories or multirun folders")
        if not root.is_dir():
            own = (root.parent / RUN_FILE).exists()
            hint = f"name the run directory: {root.parent}" if own else "name run directories or multirun folders"
            raise ConfigError(f"compare.runs: {place} is a file", hint=hint)
        here = list(_below(root))
        if not here:
            raise ConfigError(f"compare.runs: {place} holds no run", hint="a run directory has a run.json in it")
        found |= {run.folder.resolve(): run for run in here}
    return tuple(sorted(found.values(), key=lambda run: (str(run.content.get("started_at") or ""), str(run.folder))))


def by_id(places: Iterable[Path]) -> dict[str, RunResult]:
    """Return the runs below the given folders by their id; of two directories with one id the newer record counts."""
    found = [run for place in places if place.is_dir() for run in _below(place)]
    ordered = sorted(found, key=lambda run: (str(run.content.get("started_at") or ""), str(run.folder)))
    return {run.run_id: run for run in ordered if run.status == "completed"}


def _below(root: Path) -> Iterable[RunResult]:
    if (root / RUN_FILE).exists() or (root / ".hydra").is_dir():
        yield read(root)
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            for run in _below(path):
                if run.content.get("task", "train") in JUDGED_TASKS:
                    yield run


def read(folder: Path) -> RunResult:
    """Return the record of a run directory; one without a readable run.json is a failed run that says why."""
    try:
        content = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"), parse_int=_whole)
    except FileNotFoundError:
        return _without_record(folder, "the job left no run.json", said=_said_before(folder))
    except (OSError, ValueError, RecursionError) as error:
        return _without_record(folder, f"run.json cannot be read: {error}")
    if not isinstance(content, dict):
        return _without_record(folder, "run.json is not an object")
    if unknown := newer(content, known=SCHEMA_VERSION):
        return _without_record(folder, f"run.json {unknown}; {NEWER}")
    wrong = next((f"{name} is not {kind}" for name, kind in _SHAPES.items() if not _has(content, name, kind)), None)
    return RunResult(folder, content) if wrong is None else _without_record(folder, f"run.json: {wrong}")


def known(folder: Path) -> RunResult:
    """Return the record of a run directory whose policy is asked for; ConfigError where it is of a newer schema."""
    facts(folder / RUN_FILE, known=SCHEMA_VERSION)
    return read(folder)


def facts(path: Path, *, known: int) -> dict[str, Any]:
    """Return what a run or version says about itself, nothing where that cannot be read; ConfigError for a newer schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    if unknown := newer(content, known=known):
        raise ConfigError(f"{path} {unknown}", hint=NEWER)
    return content


def _whole(digits: str) -> int:
    """Return the number that stands in a record; ValueError for one that is beyond every measure."""
    value = int(digits)
    if abs(value) > sys.float_info.max:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return value


def _has(content: Any, name: str, kind: str) -> bool:
    """Return whether what stands at a dotted name, if anything, is of a kind of `_TYPES`."""
    for part in name.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    if content is None:
        return True
    inside = all(isinstance(one, dict) for one in content) if kind == _OBJECTS and isinstance(content, list) else True
    return inside and isinstance(content, _TYPES[kind])


def _said_before(folder: Path) -> dict[str, str]:
    """Return what ended a job that has no record, in its own words; nothing where it ended without any."""
    try:
        said = json.loads((folder / WHY).read_text(encoding="utf-8"))
        return {name: str(said[name]) for name in ("message", "hint")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _without_record(folder: Path, why: str, *, said: Mapping[str, str] | None = None) -> RunResult:
    config = _yaml(folder / ".hydra" / "config.yaml")
    asset = config.get("asset")
    known = {
        "run_id": folder.name,
        "status": "failed",
        "task": config.get("task", "train"),
        "agent": asset.get("agent") if isinstance(asset, dict) else None,
        "asset": asset.get("name") if isinstance(asset, dict) else None,
        "algo": (config.get("algo") or {}).get("name") if isinstance(config.get("algo"), dict) else None,
        "seed": config.get("seed"),
        "error": said or {"message": why, "hint": ""},
    }
    return RunResult(folder, known)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _flat(dates: Any) -> list[str]:
    if isinstance(dates, str):
        return [dates]
    return [day for item in dates for day in _flat(item)] if isinstance(dates, list | tuple) else []
