"""What the gate says of a version's own words: pure functions, without a registry."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registry.shelf import AGENT, metadata
from wealtharena.registry import gate
from wealtharena.registry.metadata import Metadata


def described(**changes: Any) -> Metadata:
    return Metadata.model_validate({"agent": AGENT, "version": "v2", **metadata(**changes)})


@pytest.mark.parametrize(
    ("verdict", "counts"), [("promotable", "unproven"), ("unproven", "unproven"), ("rejected", "rejected")]
)
def test_a_doubt_makes_nothing_better(verdict: str, counts: str) -> None:
    """A rejected version that was adopted unknown would have become one that may be forced."""
    found = gate.held(described(verdict=verdict), "adopted")
    assert found.verdict.status == counts
    assert gate.decide(found, force_reason="I insist").stage == ("paper" if verdict == "rejected" else "production")


@pytest.mark.parametrize(
    ("incumbent", "stage"), [(None, "production"), ("v1", "production"), ("v2", "production"), ("v3", "paper")]
)
def test_a_retraining_replaces_whom_it_beat_itself_or_nobody(incumbent: str | None, stage: str) -> None:
    beat = described(verdict="promotable", challenge={"incumbent": "v1", "beats": True})
    assert gate.decide(beat, incumbent=incumbent).stage == stage
    assert gate.decide(described(verdict="promotable"), incumbent=incumbent).stage == "production"


@pytest.mark.parametrize("beats", [False, None, "absent"])
def test_a_challenge_that_does_not_say_that_it_beats_bars(beats: object) -> None:
    said = {"incumbent": "v1"} if beats == "absent" else {"incumbent": "v1", "beats": beats}
    assert "does not beat the incumbent v1" in gate.barriers(described(verdict="promotable", challenge=said))[0]


@pytest.mark.parametrize(
    ("audit", "failed"),
    [
        ("failed", True),
        ("fail", True),
        (False, True),
        ({"passed": False}, True),
        ({"status": "fail"}, True),
        ("passed", False),
        (None, False),
        ({"passed": True}, False),
    ],
)
def test_an_audit_that_failed_is_known_in_whatever_words(audit: object, failed: bool) -> None:
    assert gate.audit_failed({"audit": audit}) is failed


def test_of_equals_the_newer_stands_first_and_what_does_not_say_it_is_real_counts_as_simulated() -> None:
    def row(version: str, **said: Any) -> dict[str, Any]:
        return {"version": version, "verdict": "unproven", "simulated": False, "created_at": "2026-01-02", **said}

    rows = [
        row("broken", error="x"),
        row("older"),
        row("newer", created_at="2026-02-01"),
        row("unsaid", verdict="promotable", simulated=None),
        row("made up and rejected", verdict="rejected", simulated=True),
        row("rejected", verdict="rejected", created_at="2026-03-01"),
        row("sure", evidence={"sharpe_difference_low": 0.1, "dsr": 0.1}),
    ]
    del rows[3]["simulated"]
    order = ["sure", "newer", "older", "unsaid", "rejected", "made up and rejected"]
    assert [one["version"] for one in gate.best_first(rows)] == order
