"""What an audit asked and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """The first thing that knew the future in one check."""

    check: str
    what: str  # the feature, price or number that moved
    symbol: str
    bar: int  # row of the panel that moved
    timestamp: str
    detail: str

    def __str__(self) -> str:
        where = (
            f"{self.symbol}, bar {self.bar} ({self.timestamp[:16]})"
            if self.symbol
            else f"bar {self.bar} ({self.timestamp[:16]})"
        )
        return f"{self.check}: {self.what} of {where}: {self.detail}"


@dataclass(frozen=True)
class Check:
    """One question that the audit asked; `passed` is None where it could not be asked, and `detail` says why."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class AuditReport:
    """What was checked, and what was found."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    suspicions: tuple[str, ...] = ()  # not proven, but to be looked at before a result is believed

    @property
    def passed(self) -> bool:
        """Return whether no check found anything."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types, for run.json."""
        return {
            "passed": self.passed,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks],
        }
