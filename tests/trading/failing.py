"""The ways in which a server fails."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("429", "500", "504", "slow", "truncated", "html", "401", "stale")
BEFORE = ("429", "500", "401")  # of these, nothing was done


@dataclass
class Fault:
    kind: str
    times: float = 1
    method: str = "*"
    path: str = "*"
    answer: tuple[int, int, str] | None = None  # kind "refuse": status, code, message
