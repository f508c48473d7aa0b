from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.registry.shelf import AGENT, save
from wealtharena import files
from wealtharena.errors import CheckpointError, FirewallError, PromotionError, UnknownCheckpointError
from wealtharena.evaluation import ledger as ledgers
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.registry import ModelCheckpoint, history, promote, rollback, withdraw
from wealtharena.registry.gate import Clearance, best_first
from wealtharena.registry.verifying import Adoption, adopt


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return ModelCheckpoint(tmp_path / "checkpoints")


def in_production(store: ModelCheckpoint) -> str | None:
    pointer = history.read_pointer(store.root, AGENT, "production")
    return pointer.version if pointer else None


def test_promotable_goes_to_production_and_the_rest_to_paper_marked(store: ModelCheckpoint) -> None:
    save(store, "good", verdict="promotable")
    save(store, "maybe", verdict="unproven")
    save(store, "made-up", verdict="promotable", simulated=True)
    assert promote(store, AGENT, "good")[1].stage == "production"
    pointer, clearance = promote(store, AGENT, "maybe")
    assert (clearance.stage, pointer.verdict, pointer.simulated) == ("paper", "unproven", False)
    pointer, clearance = promote(store, AGENT, "made-up")
    assert (clearance.stage, pointer.simulated) == ("paper", True)
    assert "SIMULATED" in clearance.reasons[0]
    assert in_production(store) == "good"


def test_forcing_an_unproven_one_needs_a_reason_and_records_it(store: ModelCheckpoint) -> None:
    save(store, "maybe")
    with pytest.raises(PromotionError, match="the reason is empty"):
        promote(store, AGENT, "maybe", force_reason="  ")
    pointer, clearance = promote(store, AGENT, "maybe", force_reason="the desk wants to see fills")
    assert clearance.forced
    assert pointer.forced_reason == "the desk wants to see fills"
    last = history.read_history(store.root)[-1]
    assert last["forced_reason"] == "the desk wants to see fills"
    assert json.loads((store.root / AGENT / "production.json").read_text())["forced_reason"] == last["forced_reason"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"simulated": True}, "SIMULATED"),
        ({"evidence": {"audit": {"passed": False}}}, "audit failed"),
        ({"evidence": {"audit": "failed"}}, "audit failed"),
        ({"verdict": "rejected"}, "rejected"),
    ],
)
def test_what_must_not_be_forced_cannot_be(store: ModelCheckpoint, changes: dict[str, object], why: str) -> None:
    save(store, "bad", **changes)
    with pytest.raises(PromotionError, match=why):
        promote(store, AGENT, "bad", force_reason="I insist")
    assert in_production(store) is None
    assert promote(store, AGENT, "bad")[1].stage == "paper"


def test_a_failed_audit_keeps_even_a_promotable_verdict_out(store: ModelCheckpoint) -> None:
    save(store, "leaky", verdict="promotable", evidence={"audit": {"passed": False}})
    assert promote(store, AGENT, "leaky")[1].stage == "paper"


def test_rollback_goes_back_one_and_then_one_more(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2", "v3"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
    assert rollback(store, AGENT).version == "v2"
    assert rollback(store, AGENT).version == "v1"
    with pytest.raises(PromotionError, match="the first"):
        rollback(store, AGENT)
    promote(store, AGENT, "v3")
    assert rollback(store, AGENT).version == "v1"
    assert in_production(store) == "v1"


def test_promoting_the_same_version_twice_is_one_promotion(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
    for version in ("v1", "v2", "v2"):
        promote(store, AGENT, version)
    assert rollback(store, AGENT).version == "v1"


def test_a_corrupted_version_is_not_promoted_and_not_rolled_back_to(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2", "v3"):
        save(store, version, verdict="promotable")
    promote(store, AGENT, "v1")
    promote(store, AGENT, "v2")
    for version in ("v1", "v3"):
        path = store.root / AGENT / version / "policy.onnx"
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(CheckpointError, match=r"policy\.onnx"):
        promote(store, AGENT, "v3")
    with pytest.raises(CheckpointError, match=r"policy\.onnx"):
        rollback(store, AGENT)
    assert in_production(store) == "v2"


def test_retention_spares_what_was_ever_in_production(store: ModelCheckpoint) -> None:
    for day, version in enumerate(("served", "old", "paper", "serving", "new"), start=1):
        save(store, version, verdict="promotable", described={"created_at": f"2026-01-0{day}T00:00:00.000000Z"})
    promote(store, AGENT, "served")
    promote(store, AGENT, "serving")
    promote(store, AGENT, "paper", stage="paper")
    assert store.prune(AGENT, keep=1) == ["old"]
    assert {row["version"] for row in store.list_checkpoints(AGENT)} == {"served", "paper", "serving", "new"}


def test_a_rollback_to_what_a_retention_deleted_says_so_and_how_it_comes_back(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version, stage="paper")
    copy = shutil.copytree(store.folder(AGENT, "v1"), store.root.parent / "copy")
    assert store.prune(AGENT, keep=0) == ["v1"]
    told = (
        rf"{AGENT}/v1 was deleted on 20\d\d-\d\d-\d\d by deploy\.keep=0; name another version; or put its folder back"
    )
    with pytest.raises(CheckpointError, match=told) as refused:
        rollback(store, AGENT, stage="paper")
    assert not isinstance(refused.value, UnknownCheckpointError)
    shutil.copytree(copy, store.root / AGENT / "v1")
    adopt(store, AGENT, how=Adoption(reason="it was deleted too early"))
    assert rollback(store, AGENT, stage="paper").version == "v1"


@pytest.mark.slow
def test_who_waits_for_another_process_is_told_to_look_for_it(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, "v1", verdict="promotable")
    ledger = Ledger(store.root / "ledger.jsonl")
    who, window = RunIdentity("r", "h", AGENT, "train"), Window("f", (), (), "1d", simulated=False)
    ledger.record_trial(who, window=window)
    monkeypatch.setattr(history, "held", partial(files.held, seconds=0.1))
    monkeypatch.setattr(ledgers, "append_line", partial(files.append_line, seconds=0.1))
    with files.held(store.root / ".lock"), files.held(ledger.path):
        with pytest.raises(
            CheckpointError, match=r"held it for 0\.1 seconds; see what holds \.lock there, wait for it"
        ):
            promote(store, AGENT, "v1")
        with pytest.raises(FirewallError, match=r"held it for 0\.1 seconds\), .*; see what holds it, wait for it"):
            ledger.record_trial(who, window=window, sharpe=1.0)


def test_deleting_refuses_what_is_on_a_stage_and_asks_twice_for_what_was(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
    with pytest.raises(CheckpointError, match="on stage production"):
        store.delete_checkpoint(AGENT, "v2", even_if_served=True)
    with pytest.raises(CheckpointError, match="was in production"):
        store.delete_checkpoint(AGENT, "v1")
    store.delete_checkpoint(AGENT, "v1", even_if_served=True)
    assert [row["version"] for row in store.list_checkpoints(AGENT)] == ["v2"]


def test_withdrawing_leaves_the_stage_empty_and_is_recorded(store: ModelCheckpoint) -> None:
    save(store, "v1", verdict="promotable")
    promote(store, AGENT, "v1")
    withdraw(store, AGENT, reason="odd fills")
    assert in_production(store) is None
    assert history.read_history(store.root)[-1]["reason"] == "odd fills"
    with pytest.raises(PromotionError, match="nothing in production"):
        rollback(store, AGENT)


def test_who_means_the_other_stage_is_told_which(store: ModelCheckpoint) -> None:
    save(store, "v1", verdict="unproven")
    promote(store, AGENT, "v1")
    for act in (withdraw, rollback):
        with pytest.raises(PromotionError, match="nothing in production") as refused:
            act(store, AGENT)
        assert refused.value.hint == "v1 is in paper: deploy.stage=paper"
    withdraw(store, AGENT, stage="paper")
    with pytest.raises(PromotionError) as refused:
        withdraw(store, AGENT, stage="paper")
    assert refused.value.hint == "there is nothing to withdraw"


def test_the_history_survives_a_line_torn_by_a_crash(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2", "v3"):
        save(store, version, verdict="promotable")
    promote(store, AGENT, "v1")
    path = store.root / "registry.jsonl"
    path.write_bytes(path.read_bytes() + b'{"event": "promote", "agent": "crypt')
    promote(store, AGENT, "v2")
    assert rollback(store, AGENT).version == "v1"


def test_a_promotion_recorded_but_not_carried_out_is_passed_over_by_rollback(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2", "v3"):
        save(store, version, verdict="promotable")
    promote(store, AGENT, "v1")
    promote(store, AGENT, "v2")
    history.append(store.root, {"event": "promote", "agent": AGENT, "stage": "production", "version": "v3"})
    assert rollback(store, AGENT).version == "v1"


@pytest.mark.slow
def test_who_reads_a_stage_while_it_changes_hands_waits_for_it(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two writes of a rollback each reader, a service too, called the record damaged and to be mended."""
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
    told, read, append = threading.Event(), threading.Event(), history.append

    def slowly(*what: Any, **how: Any) -> None:
        append(*what, **how)
        told.set()
        read.wait(0.2)

    monkeypatch.setattr(history, "append", slowly)
    writer = threading.Thread(target=rollback, args=(store, AGENT))
    writer.start()
    assert told.wait(30)
    standing = history.standing(store.root, AGENT, "production")
    read.set()
    writer.join(30)
    assert standing is not None
    assert standing.version == "v1"


@pytest.mark.parametrize("goes_on", [promote, withdraw])
def test_a_rollback_does_not_go_back_to_what_never_stood_there(store: ModelCheckpoint, goes_on: object) -> None:
    """It went to the version of a promotion that a crash had kept from being carried out."""
    for version in ("v1", "v2", "v3"):
        save(store, version, verdict="promotable")
    first, _ = promote(store, AGENT, "v1")
    unfinished = {"event": "promote", **asdict(first), "version": "v2", "from_version": "v1"}
    history.append(store.root, unfinished)
    if goes_on is withdraw:
        withdraw(store, AGENT)
    promote(store, AGENT, "v3")
    assert rollback(store, AGENT).version == "v1"


def test_where_a_record_of_a_stage_cannot_be_written_the_history_says_nothing(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history's line still found room on a full disk: of a rollback that failed nothing stood on the stage any longer."""
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
    before = history.content(store.root)

    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        for change in (lambda: promote(store, AGENT, "v1"), lambda: rollback(store, AGENT)):
            with pytest.raises(CheckpointError, match="cannot be written: No space left"):
                change()
    assert history.content(store.root) == before
    assert sorted(path.name for path in (store.root / AGENT).iterdir()) == ["production.json", "v1", "v2"]
    (store.root / AGENT / ".production.json.1-00000000.tmp").write_text("what a kill left")
    assert rollback(store, AGENT).version == "v1"
    assert sorted(path.name for path in (store.root / AGENT).iterdir()) == ["production.json", "v1", "v2"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "../../x"}', b"\xff\xfe", b"null"])
def test_a_damaged_promotion_record_is_an_error_with_its_name(store: ModelCheckpoint, content: bytes) -> None:
    save(store, "v1", verdict="promotable")
    (store.root / AGENT / "production.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cryptocurrencies/production\.json"):
        history.read_pointer(store.root, AGENT, "production")
    assert promote(store, AGENT, "v1")[0].version == "v1"
    assert in_production(store) == "v1"


def test_the_best_is_chosen_by_verdict_then_evidence_never_by_return(store: ModelCheckpoint) -> None:
    save(store, "rich", verdict="rejected", described={"metrics": {"test": {"sharpe": 9.0}}})
    save(store, "made-up", verdict="promotable", simulated=True)
    save(store, "weak", verdict="unproven", evidence={"dsr": 0.4})
    save(store, "strong", verdict="unproven", evidence={"dsr": 0.9})
    assert [row["version"] for row in best_first(store.list_checkpoints(AGENT))] == [
        "strong",
        "weak",
        "made-up",
        "rich",
    ]


LOOSE = {"min_dsr": 0.0, "min_seeds": 1, "max_openings": 10}
TOLD = "Judged by looser rules than ship: min_dsr 0 (0.95), min_seeds 1 (3)."


def judged_by(limits: dict[str, object] | None) -> dict[str, object]:
    block = {"status": "promotable", "reasons": [TOLD, "it is good"], "evidence": {}}
    return {"verdict": {**block, **({"limits": limits} if limits is not None else {})}}


def test_a_version_that_looser_rules_made_promotable_is_unproven_to_the_gate(store: ModelCheckpoint) -> None:
    save(store, "easy", described=judged_by(LOOSE))
    (row,) = store.list_checkpoints(AGENT)
    assert row["verdict"] == "unproven"
    pointer, clearance = promote(store, AGENT, "easy")
    assert (clearance.stage, pointer.verdict) == ("paper", "unproven")
    assert clearance.reasons == ("verdict is unproven", TOLD), "what speaks for it is no reason against it"
    assert in_production(store) is None
    with pytest.raises(PromotionError, match=r"min_dsr 0 \(0\.95\)"):
        promote(store, AGENT, "easy", stage="production")
    pointer, clearance = promote(store, AGENT, "easy", force_reason="a study of the rules")
    assert (clearance.forced, pointer.forced_reason) == (True, "a study of the rules")


def test_stricter_rules_than_ship_need_no_reason(store: ModelCheckpoint) -> None:
    save(store, "hard", described=judged_by({"min_dsr": 0.99, "min_seeds": 5, "beats": ["cash", "buy_and_hold"]}))
    assert promote(store, AGENT, "hard")[1] == Clearance("production", ())


@pytest.mark.parametrize(
    ("config", "stage"),
    [
        ("evaluation: {verdict: {min_dsr: 0}}", "paper"),
        ("evaluation: {verdict: {min_dsr: 0.95}}", "production"),
        ("seed: 0", "production"),
        ("[", "production"),
    ],
)
def test_a_version_from_before_verdicts_held_their_limits_has_those_of_its_configuration(
    store: ModelCheckpoint, config: str, stage: str
) -> None:
    """Where that says nothing it goes on as it was judged."""
    save(store, "old", described=judged_by(None), config=config)
    assert promote(store, AGENT, "old")[1].stage == stage
