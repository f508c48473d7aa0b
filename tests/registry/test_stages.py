"""One stage beside the other, and what a version brings back to its stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.registry.shelf import AGENT, rewrite, save
from wealtharena.errors import CheckpointError, PromotionError
from wealtharena.registry import ModelCheckpoint, history, promote, promotion, rollback
from wealtharena.registry.verifying import Adoption, adopt, verify


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return ModelCheckpoint(tmp_path / "checkpoints")


def on(store: ModelCheckpoint, stage: history.Stage) -> str | None:
    pointer = history.standing(store.root, AGENT, stage)
    return pointer.version if pointer else None


def test_what_stands_in_production_may_be_put_on_paper_beside_it(store: ModelCheckpoint) -> None:
    save(store, "v1", verdict="promotable")
    promote(store, AGENT, "v1")
    promote(store, AGENT, "v1", stage="paper")
    assert (on(store, "production"), on(store, "paper")) == ("v1", "v1")
    assert history.read_history(store.root)[-1]["from_version"] is None


def test_a_rollback_brings_the_reason_back_for_which_its_version_was_forced(store: ModelCheckpoint) -> None:
    save(store, "v1")
    promote(store, AGENT, "v1", force_reason="the desk wants to see fills")
    save(store, "v2", verdict="promotable")
    promote(store, AGENT, "v2")
    assert rollback(store, AGENT).forced_reason == "the desk wants to see fills"
    found = history.standing(store.root, AGENT, "production")
    assert found is not None
    assert found.forced_reason == "the desk wants to see fills"


def test_what_could_not_be_promoted_today_returns_to_paper_alone(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
        promote(store, AGENT, version, stage="paper")
    monkeypatch.setattr(promotion, "barriers", lambda metadata: (f"{metadata.version} has a leak",))
    with pytest.raises(PromotionError, match="may not return: v1 has a leak"):
        rollback(store, AGENT)
    assert on(store, "production") == "v2"
    assert rollback(store, AGENT, stage="paper").version == "v1"


def test_a_reason_that_is_nothing_at_all_forces_nothing(store: ModelCheckpoint) -> None:
    save(store, "v1")
    with pytest.raises(PromotionError, match="can't be forced into production: the reason is empty"):
        promote(store, AGENT, "v1", force_reason="")
    assert (on(store, "production"), on(store, "paper")) == (None, None)


def test_a_version_that_is_another_since_it_was_adopted_is_promoted_anew(store: ModelCheckpoint) -> None:
    save(store, "v1", verdict="promotable")
    promote(store, AGENT, "v1")
    digest = rewrite(store.root / AGENT / "v1", lambda described: described.update(seed=7))
    with pytest.raises(CheckpointError, match="v1 is not what was saved"):
        adopt(store, AGENT, versions=["v1"], how=Adoption(reason="  "))
    adopt(store, AGENT, versions=["v1"], how=Adoption(reason="I changed the seed"))
    promote(store, AGENT, "v1", stage="paper")
    pointer, _ = promote(store, AGENT, "v1", force_reason="it is the same but for its seed")
    assert pointer.manifest_sha256 == digest
    found = history.standing(store.root, AGENT, "production")
    assert found is not None
    assert found.manifest_sha256 == digest
    save(store, "v2", verdict="promotable")
    promote(store, AGENT, "v2")
    assert rollback(store, AGENT).manifest_sha256 == digest


def test_an_older_record_that_is_put_back_stands_for_nothing(store: ModelCheckpoint) -> None:
    """Only the version that the last promotion found there may stand on, where that was not carried out."""
    place = store.root / AGENT / "production.json"
    records = {}
    for version in ("v1", "v2", "v3"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
        records[version] = place.read_bytes()
    place.write_bytes(records["v2"])
    assert on(store, "production") == "v2"
    place.write_bytes(records["v1"])
    with pytest.raises(CheckpointError, match=r"production\.json: is not what the history says"):
        on(store, "production")


def test_a_version_that_stands_on_a_stage_and_is_gone_is_a_problem_and_one_that_does_not_is_named(
    store: ModelCheckpoint,
) -> None:
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
    promote(store, AGENT, "v2")
    assert verify(store).problems == ()
    for version in ("v1", "v2"):
        shutil.rmtree(store.root / AGENT / version)
    history.append(store.root, {"event": "adopt", "agent": AGENT, "version": "v0", "manifest_sha256": "a" * 64})
    found = verify(store)
    assert found.problems == (f"{AGENT}/production.json: v2 is missing",)
    assert found.gone == (f"{AGENT}/v0", f"{AGENT}/v1", f"{AGENT}/v2")


def test_a_rollback_returns_what_stood_there_byte_for_byte_or_nothing(store: ModelCheckpoint) -> None:
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
    rewrite(store.root / AGENT / "v1", lambda described: described.update(seed=7))
    adopt(store, AGENT, versions=["v1"], how=Adoption(reason="I changed the seed"))
    with pytest.raises(CheckpointError, match=r"v1/manifest\.json: is not the one that was promoted"):
        rollback(store, AGENT)
    assert on(store, "production") == "v2"


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([("save", "a"), ("promote", "b")], "a"),  # what was saved says what a promotion may name
        ([("promote", "a"), ("rollback", "b")], "a"),  # lines from before saves said it
        ([("save", "a"), ("adopt", "b")], "b"),
        ([("save", "a"), ("delete", None)], None),
        ([("save", "a"), ("delete", None), ("save", "b")], "b"),
        ([("promote", "a"), ("delete", None), ("promote", "b")], "b"),
        ([("save", "a"), ("withdraw", "b")], "a"),
    ],
)
def test_what_a_version_holds_is_what_was_saved_or_adopted_last(
    events: list[tuple[str, str]], known: str | None
) -> None:
    told = [{"event": kind, "version": "v1", "manifest_sha256": digest} for kind, digest in events]
    other = {"event": "save", "version": "v2", "manifest_sha256": "z"}
    assert history.saved([*told, other], "v1") == known
