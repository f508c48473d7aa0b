"""What is adopted is believed as far as the ledger bears it out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.registry.shelf import AGENT, rewrite, save
from tests.registry.test_chain import filled, lines, put, without_chain
from wealtharena.errors import CheckpointError, PromotionError
from wealtharena.evaluation.ledger import Digests, Ledger, RunIdentity, Window
from wealtharena.registry import ModelCheckpoint, chain, history, promote, rollback
from wealtharena.registry.integrity import MANIFEST, sha256
from wealtharena.registry.verifying import Adoption, adopt, has_begun


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCheckpoint:
    """Return a registry with v1, then v2 in production, and no key."""
    for name in (chain.KEY, chain.KEY_FILE):
        monkeypatch.delenv(name, raising=False)
    return filled(tmp_path / "checkpoints")


def copied(store: ModelCheckpoint, version: str, new: str, **verdict: Any) -> Path:
    """Copy a version under a new name, give it another verdict and fit its manifest, as a thief of verdicts would."""
    folder = store.root / AGENT / new
    shutil.copytree(store.root / AGENT / version, folder)
    rewrite(folder, lambda described: described.update(version=new, verdict={**described["verdict"], **verdict}))
    return folder


def pinned(store: ModelCheckpoint, version: str, *, verdict: str, manifest: str | None) -> Ledger:
    """Return a ledger that knows how the run of a version ended."""
    ledger, window = Ledger(store.root.parent / "ledger.jsonl"), Window("f", (), (), "1d", simulated=False)
    who = RunIdentity(version, "hash", AGENT, "train")
    ledger.record_pin(who, window=window, digests=Digests("figures", None, verdict, manifest))
    return ledger


def test_a_copy_with_a_better_verdict_is_adopted_with_a_reason_and_unproven_at_most(store: ModelCheckpoint) -> None:
    save(store, "bad", verdict="rejected")
    folder = copied(store, "bad", "good", status="promotable", reasons=[])
    with pytest.raises(CheckpointError, match=r"good: adopted, and the ledger does not know the verdict of its run"):
        adopt(store, AGENT)
    assert adopt(store, AGENT, how=Adoption(reason="brought along")) == ["good"]
    (row,) = [row for row in store.list_checkpoints(AGENT) if row["version"] == "good"]
    assert row["verdict"] == "unproven"
    pointer, clearance = promote(store, AGENT, "good")
    assert (pointer.stage, pointer.verdict) == ("paper", "unproven")
    assert "does not know the verdict" in " ".join(clearance.reasons)
    with pytest.raises(PromotionError, match="not for production"):
        promote(store, AGENT, "good", stage="production")
    pointer, clearance = promote(store, AGENT, "good", force_reason="I know it")
    assert (pointer.stage, pointer.verdict, pointer.forced_reason) == ("production", "unproven", "I know it")
    promote(store, AGENT, "v1")
    assert rollback(store, AGENT).verdict == "unproven"
    rewrite(folder, lambda described: described.update(seed=9))
    adopt(store, AGENT, versions=["good"], how=Adoption(reason="again"))
    assert promote(store, AGENT, "good")[0].verdict == "unproven"


def test_a_version_whose_run_the_ledger_knows_under_another_verdict_is_not_adopted(store: ModelCheckpoint) -> None:
    copied(store, "v1", "run-7", status="promotable")
    ledger = pinned(store, "run-7", verdict="rejected", manifest=None)
    with pytest.raises(CheckpointError, match=r"run-7 says promotable, and the ledger says rejected of its run"):
        adopt(store, AGENT, how=Adoption(ledger, reason="why not"))
    assert "run-7" not in {event.get("version") for event in history.read_history(store.root)}


def test_a_version_that_is_what_its_run_left_is_adopted_as_it_was_judged(store: ModelCheckpoint) -> None:
    folder = copied(store, "v1", "run-7", status="promotable")
    manifest = sha256((folder / MANIFEST).read_bytes())
    other = pinned(store, "run-7", verdict="promotable", manifest="0" * 64)
    with pytest.raises(CheckpointError, match="not what its run left"):
        adopt(store, AGENT, how=Adoption(other))
    other.path.unlink()
    ledger = pinned(store, "run-7", verdict="promotable", manifest=manifest)
    assert adopt(store, AGENT, how=Adoption(ledger)) == ["run-7"]
    assert promote(store, AGENT, "run-7")[0].stage == "production"


def test_the_first_adoption_of_a_registry_from_before_needs_no_reason_for_any_of_its_agents(
    store: ModelCheckpoint,
) -> None:
    save(store, "other", agent="etf", verdict="promotable")
    put(store, [without_chain(raw, hashes=False) for raw in lines(store) if b'"promote"' not in raw])
    begun = has_begun(store)
    assert not begun
    for agent in (AGENT, "etf"):
        assert adopt(store, agent, how=Adoption(begun=begun))
    assert promote(store, "etf", "other")[0].verdict == "unproven"
