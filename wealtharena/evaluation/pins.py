"""What a run said when it ended, as two digests in the ledger: a folder that was edited since is told, not judged in silence."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from wealtharena.evaluation import tables
from wealtharena.evaluation.ledger import Digests, Ledger, RunIdentity, Window
from wealtharena.evaluation.records import RUN_FILE, RunResult
from wealtharena.evaluation.trials import Completed
from wealtharena.files import relative

MANIFEST: Final = "manifest.json"  # of a version: what its manifest says, it holds

# Whatever of run.json a judgement or a row reads; the rest (versions, times, notes) may grow.
_READ: Final = (
    "run_id", "task", "agent", "asset", "algo", "seed", "config_hash", "started_at",
    "data", "split", "baselines", "comparison", "seeds", "paths", "verdict",
)  # fmt: skip


def pin(ledger: Ledger, identity: RunIdentity, *, window: Window, folder: Path, version: Path | None = None) -> None:
    """Write to the ledger what stands in a run directory, and in the `version` of it, now that its judgement is written down."""
    content = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    verdict = (content.get("verdict") or {}).get("status")
    manifest = None if version is None else hashlib.sha256((version / MANIFEST).read_bytes()).hexdigest()
    ledger.record_pin(
        identity, window=window, digests=Digests(figures_of(content), paths_of(folder), verdict, manifest)
    )


def figures_of(content: Mapping[str, Any]) -> str:
    """Return the sha256 of what a judgement reads of a run.json."""
    read = {name: content.get(name) for name in _READ}
    read["test"] = (content.get("metrics") or {}).get("test")
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def paths_of(folder: Path) -> str | None:
    """Return the sha256 of a run's paths, byte for byte; None where one of its files is gone."""
    digest = hashlib.sha256()
    for name in (tables.EQUITY_FILE, tables.TRADES_FILE):
        try:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except OSError:
            return None
    return digest.hexdigest()


def edited(runs: Iterable[RunResult], ledger: Ledger | None) -> tuple[str, ...]:
    """Return, in words, each run that is not as it ended, or of which the ledger does not know how it ended.

    A run from before there were pins, or of which the registry alone is left, is held to the Sharpe ratio that its
    window showed. Without a ledger nothing is known and nothing said.
    """
    if ledger is None:
        return ()
    known: dict[str, dict[str, Mapping[str, Any]]] = {}
    for entry in ledger.entries():
        known.setdefault(str(entry.get("run_id")), {})[str(entry["kind"])] = entry  # of each kind the newest
    runs = tuple(runs)
    count = Counter(run.run_id for run in runs)  # a copy of a folder has the id of the other
    names = (run.run_id if count[run.run_id] == 1 else f"{run.run_id} in {relative(run.folder)}" for run in runs)
    found = zip(names, (_edited(run, known.get(run.run_id, {})) for run in runs), strict=True)
    return tuple(f"{name}, {words}" for name, words in found if words is not None)


def _edited(run: RunResult, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    pinned, result = known.get("pin"), known.get("result")
    if pinned is None and result is None:
        return "of which this ledger does not know what it showed"
    if pinned is not None and (run.folder / RUN_FILE).exists():
        if figures_of(run.content) != pinned["figures"]:
            return f"whose {RUN_FILE} is not as the run left it"
        now = paths_of(run.folder)
        if now is not None and now != pinned["paths"]:
            return f"whose {tables.EQUITY_FILE} or {tables.TRADES_FILE} is not as the run left it"
        return None
    if result is None:
        return "of which this ledger does not know what it showed"
    said, shown = (_sharpe(value) for value in (run.test.get("sharpe"), result.get("sharpe_annual")))
    if Completed("", 0, said).repeats(Completed("", 0, shown)) or "sharpe_annual" not in result:
        return None
    return f"whose Sharpe ratio is {said:+.2f} and was {shown:+.2f}"


def _sharpe(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
