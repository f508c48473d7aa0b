"""What the ledger has learned of a test window since a verdict was given on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from wealtharena.evaluation.ledger import Ledger, Window
from wealtharena.evaluation.trials import Completed, History, Trials, runs_of, tried


def outdated(
    evidence: Mapping[str, Any], ledger: Ledger, *, agent: str, config_hash: str, run_ids: Collection[str]
) -> str | None:
    """Return, in words, that the runs of a verdict may have been chosen from more than its `evidence` counts; else None.

    None too where the ledger does not know these runs, or the verdict does not say what it counted.
    """
    before, now = evidence.get("trials"), _counted(ledger, agent, config_hash, run_ids)
    if now is None or not isinstance(before, int) or now.count <= before:
        return None
    sources = tried(now.configurations, len(now.left_out), now.lacking)
    return (
        f"the verdict is older than what the ledger knows of its test window: {sources}, {now.count} in all, "
        f"of which it counted {before}; task=compare judges it anew"
    )


def _counted(ledger: Ledger, agent: str, config_hash: str, run_ids: Collection[str]) -> Trials | None:
    """Return what the runs may have been chosen from by now; None where the ledger has no look of theirs."""
    own = [e for e in ledger.entries() if e["agent"] == agent and str(e.get("run_id")) in run_ids]
    looks = [entry for entry in own if entry["kind"] == "open"]
    if not looks:
        return None
    last = looks[-1]
    window = Window(
        fingerprint=last["fingerprint"],
        dates=tuple(dict.fromkeys((first, end) for look in looks for first, end in look["window"])),
        symbols=tuple(last.get("symbols", ())),
        frequency=str(last.get("frequency", "")),
        simulated=bool(last.get("simulated", False)),
        content=str(last.get("content", "")),
    )
    results = [entry for entry in own if entry["kind"] == "result" and entry["config_hash"] == config_hash]
    group = [Completed(str(entry["run_id"]), run.seed, run.sharpe) for entry in results for run in runs_of(entry)]
    history = History.of(ledger, agent, window, run_ids=run_ids)
    left_out = history.left_out(config_hash, group)
    mean = any(entry.get("members") for entry in results)  # of policies of several seeds, none of which it lacks
    return history.trials(config_hash, left_out=left_out, group=() if mean else group)
