"""The gate between a checkpoint and a stage, and the order in which candidates stand before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from wealtharena.evaluation import since
from wealtharena.evaluation.ledger import Ledger
from wealtharena.evaluation.strictness import looser_reason
from wealtharena.registry.history import Stage
from wealtharena.registry.metadata import Metadata

_VERDICTS = {"promotable": 3, "unproven": 2, "rejected": 0}
_SIMULATED = 1  # whatever its verdict: above a rejected one, below any other on real data


@dataclass(frozen=True)
class Clearance:
    """Where a checkpoint may go: a stage, and every reason against the higher one."""

    stage: Stage
    reasons: tuple[str, ...]
    forced: bool = False


def decide(metadata: Metadata, *, force_reason: str | None = None, incumbent: str | None = None) -> Clearance:
    """Return the stage that a checkpoint may take: production for `promotable`, paper for anything else.

    One that was judged by looser rules than those that ship is unproven here. `force_reason` puts an unproven one into
    production, and a retraining that was compared with another version than the `incumbent`, which stands there. It does
    not move what must not be moved: a rejected verdict, simulated data, a failed audit, a retraining that does not beat
    its incumbent.
    """
    metadata = by_shipped_rules(metadata)
    barred = barriers(metadata)
    if barred:
        return Clearance("paper", barred)
    reasons = _beat_another(metadata, incumbent)
    if metadata.verdict.status != "promotable":
        reasons = (f"verdict is {metadata.verdict.status}", *metadata.verdict.reasons, *reasons)
    if not reasons:
        return Clearance("production", ())
    if force_reason is not None and force_reason.strip():
        return Clearance("production", reasons, forced=True)
    return Clearance("paper", reasons)


def held(metadata: Metadata, doubt: str | None) -> Metadata:
    """Return metadata as it counts where a `doubt` stands against its verdict: unproven at most."""
    if doubt is None or metadata.verdict.status == "rejected":
        return metadata
    reasons = (doubt, *(reason for reason in metadata.verdict.reasons if reason != doubt))
    return metadata.model_copy(
        update={"verdict": metadata.verdict.model_copy(update={"status": "unproven", "reasons": reasons})}
    )


def by_shipped_rules(metadata: Metadata, config: bytes = b"") -> Metadata:
    """Return metadata as it counts by the rules that ship: unproven at most, and why, where it was judged by looser ones.

    A version from before its verdict held its limits has those of its `config`.yaml, if any, the rules of its own run.
    """
    return _demoted(metadata, _loosened(metadata, config))


def by_ledger(metadata: Metadata, ledger: Ledger | None) -> Metadata:
    """Return metadata as it counts by what a ledger knows now: unproven at most where its verdict knew of fewer trials."""
    if ledger is None or metadata.verdict.status != "promotable":
        return metadata
    told = since.outdated(
        metadata.verdict.evidence,
        ledger,
        agent=metadata.agent,
        config_hash=metadata.config_hash,
        run_ids=(metadata.model_extra or {}).get("judged_with", (metadata.version,)),
    )
    return _demoted(metadata, told)


def _demoted(metadata: Metadata, told: str | None) -> Metadata:
    if told is None or metadata.verdict.status != "promotable":
        return held(metadata, told)
    alone = metadata.verdict.model_copy(update={"reasons": ()})  # what speaks for it is no reason against it
    return held(metadata.model_copy(update={"verdict": alone}), told)


def _loosened(metadata: Metadata, config: bytes) -> str | None:
    limits = (metadata.verdict.model_extra or {}).get("limits")
    if limits is None and config:
        limits = _limits_of(config)
    return looser_reason(limits) if isinstance(limits, Mapping) else None


def _limits_of(config: bytes) -> object:
    """Return `evaluation.verdict` of a config.yaml, None where it has none that can be read."""
    try:
        found = yaml.safe_load(config)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    for name in ("evaluation", "verdict"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def barriers(metadata: Metadata) -> tuple[str, ...]:
    """Return what keeps a checkpoint out of production whatever anyone says; empty where nothing does."""
    found = []
    if metadata.simulated:
        found.append("SIMULATED: trained on simulated data")
    if audit_failed(metadata.verdict.evidence):
        found.append("the leak audit failed")
    if metadata.verdict.status == "rejected":
        found.append("verdict is rejected")
    if metadata.challenge is not None and not metadata.challenge.get("beats"):
        found.append(
            f"it does not beat the incumbent {metadata.challenge.get('incumbent')} on data that neither has seen"
        )
    return tuple(found)


def _beat_another(metadata: Metadata, incumbent: str | None) -> tuple[str, ...]:
    """Return the reason against a retraining that beat another version than the one that it would replace."""
    beaten = (metadata.challenge or {}).get("incumbent")
    if beaten is None or incumbent in (None, beaten, metadata.version):
        return ()
    return (f"it was compared with {beaten}, and {incumbent} is in production now: retrain again",)


def audit_failed(evidence: Mapping[str, Any]) -> bool:
    """Return whether the evidence holds an audit that was made and not passed."""
    audit = evidence.get("audit")
    if isinstance(audit, Mapping):
        audit = audit.get("passed", audit.get("status"))
    return audit is False or audit in ("failed", "fail")


def best_first(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return listed checkpoints, best first: by verdict, one on simulated data after those on real data.

    Among equals the lower bound of the Sharpe difference decides, then deflated Sharpe, then age (newer first): a test
    window's own return is no reason to choose, since choosing by it would spend the window.
    """
    usable = [row for row in rows if "error" not in row]
    newest_first = sorted(usable, key=lambda row: str(row["created_at"]), reverse=True)
    return sorted(newest_first, key=_rank, reverse=True)


def _rank(row: Mapping[str, Any]) -> tuple[int, float, float]:
    evidence = row.get("evidence") or {}
    verdict = _VERDICTS.get(str(row.get("verdict")), -1)
    if row.get("simulated", True):
        verdict = min(verdict, _SIMULATED)
    return verdict, _number(evidence.get("sharpe_difference_low")), _number(evidence.get("dsr"))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("-inf")
