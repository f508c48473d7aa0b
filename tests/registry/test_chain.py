from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.registry.shelf import AGENT, rewrite, save
from wealtharena import files
from wealtharena.errors import CheckpointError, PromotionError, WealthArenaError
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry import ModelCheckpoint, chain, history, promote, retrain, rollback, withdraw
from wealtharena.registry.mending import mend
from wealtharena.registry.verifying import Adoption, adopt, verify

SECRET = "3f" * 32


@pytest.fixture(autouse=True)
def unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (chain.KEY, chain.KEY_FILE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    """Return a registry with v1, then v2 in production."""
    return filled(tmp_path / "checkpoints")


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCheckpoint:
    monkeypatch.setenv(chain.KEY, SECRET)
    return filled(tmp_path / "checkpoints")


def filled(root: Path) -> ModelCheckpoint:
    store = ModelCheckpoint(root)
    for version in ("v1", "v2"):
        save(store, version, verdict="promotable")
        promote(store, AGENT, version)
    save(store, "made-up", verdict="promotable", simulated=True)
    return store


def lines(store: ModelCheckpoint) -> list[bytes]:
    return (store.root / history.HISTORY).read_bytes().split(b"\n")[:-1]


def put(store: ModelCheckpoint, wanted: list[bytes]) -> None:
    (store.root / history.HISTORY).write_bytes(b"".join(line + b"\n" for line in wanted))


def without_chain(raw: bytes, *, hashes: bool = True) -> bytes:
    """Return a line as it was written before there were chains; without `hashes` as saves were."""
    content = json.loads(raw)
    dropped = {"previous", "anchor", "hmac", "from_version"} | (set() if hashes else {"manifest_sha256"})
    return json.dumps({key: value for key, value in content.items() if key not in dropped}).encode()


def forge(store: ModelCheckpoint, version: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite folder, manifest, every stage record and the history, chain and all, as one who may write everything."""
    folder = store.root / AGENT / version
    before, after = history.saved(history.read_history(store.root), version), rewrite(folder, change)
    assert before is not None
    for stage in history.STAGES:
        path = store.root / AGENT / f"{stage}.json"
        if path.exists():
            path.write_text(path.read_text().replace(before, after))
    standing = b""
    for raw in lines(store):
        event = json.loads(without_chain(raw.replace(before.encode(), after.encode())))
        standing += chain.link(standing, event, key=None) + b"\n"
    (store.root / history.HISTORY).write_bytes(standing)


def served(store: ModelCheckpoint) -> str | None:
    """Return the version that a service would begin to serve."""
    manager = ProductionModelManager(store.root)
    manager.refresh()
    found = manager.serving(AGENT)
    return found.pointer.version if found is not None else None


def refused_everywhere(store: ModelCheckpoint, version: str, why: str) -> None:
    """Assert that no door leads to a version."""
    assert served(store) is None
    for door in (
        lambda: store.load_checkpoint(AGENT, version),
        lambda: promote(store, AGENT, version),
        lambda: retrain.incumbent(store, AGENT),
    ):
        with pytest.raises(WealthArenaError, match=why):
            door()
    assert verify(store).problems != ()


def test_what_nobody_touched_is_verified(store: ModelCheckpoint) -> None:
    found = verify(store)
    assert (found.problems, found.gone, found.versions, found.signed) == ((), (), 3, False)
    assert served(store) == "v2"


@pytest.mark.parametrize("name", ["metadata.json", "policy.onnx", "weights.pt", "manifest.json", "extra"])
def test_a_promoted_version_of_which_a_byte_was_changed_is_refused_by_the_files_name(
    store: ModelCheckpoint, name: str
) -> None:
    path = store.root / AGENT / "v2" / name
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b" ")
    refused_everywhere(store, "v2", rf"v2/{name}")


def test_a_folder_cannot_give_itself_another_verdict(store: ModelCheckpoint) -> None:
    """Simulated made real and promotable, the manifest fitted to it, as an edit of the folder can."""

    def lie(described: dict[str, Any]) -> None:
        described["simulated"] = described["data"]["simulated"] = False

    rewrite(store.root / AGENT / "made-up", lie)
    with pytest.raises(CheckpointError, match=r"manifest\.json: is not the one that was saved"):
        promote(store, AGENT, "made-up")
    (row,) = [row for row in store.list_checkpoints(AGENT) if row["version"] == "made-up"]
    assert "is not the one that was saved" in row["error"]
    assert served(store) == "v2"


def test_a_rollback_does_not_bring_back_what_was_changed_meanwhile(store: ModelCheckpoint) -> None:
    rewrite(store.root / AGENT / "v1", lambda described: described.update(seed=7))
    with pytest.raises(CheckpointError, match=r"v1/manifest\.json"):
        rollback(store, AGENT)
    assert served(store) == "v2"


def test_a_stage_record_fitted_to_a_changed_folder_is_not_what_the_history_says(store: ModelCheckpoint) -> None:
    after = rewrite(store.root / AGENT / "v2", lambda described: described.update(seed=7))
    path = store.root / AGENT / "production.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"manifest_sha256": after}))
    refused_everywhere(store, "v2", "is not what the history says|is not the one that was saved")


@settings(max_examples=60)
@given(data=st.data())
def test_no_line_of_the_history_is_changed_moved_or_dropped_unseen(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever happens to a line but the last; that one is held by the stage record it explains."""
    root = tmp_path_factory.mktemp("registry")
    for number in range(5):
        history.append(root, {"event": "save", "agent": AGENT, "version": f"v{number}", "reason": "a\u2028b"})
    path = root / history.HISTORY
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 2))
    kind = data.draw(st.sampled_from(["flip", "drop", "insert"]))
    byte = bytes([whole[place] ^ data.draw(st.integers(1, 255))]) if kind == "flip" else b""
    changed = whole[:place] + (b"x" if kind == "insert" else byte) + whole[place + (kind != "insert") :]
    path.write_bytes(changed)
    last = whole.rstrip(b"\n").rfind(b"\n")
    if place <= last:
        with pytest.raises(CheckpointError, match=r"registry\.jsonl: line \d"):
            history.read_history(root)


def test_a_line_in_other_hands_order_is_refused(store: ModelCheckpoint) -> None:
    known = lines(store)
    for wanted in (known[1:], [known[1], known[0], *known[2:]], known[:2] + known[3:], [*known, known[-1]]):
        put(store, wanted)
        with pytest.raises(CheckpointError, match=r"line \d does not follow from what stands before it"):
            history.read_history(store.root)
        assert served(store) is None


def test_dropping_the_last_lines_does_not_bring_an_older_state_back(store: ModelCheckpoint) -> None:
    put(store, lines(store)[:2])  # as when v1 was promoted; production.json says v2
    assert served(store) is None


def test_a_reason_with_any_separator_of_unicode_stays_one_line(store: ModelCheckpoint) -> None:
    save(store, "maybe")
    promote(store, AGENT, "maybe", force_reason="first\u2028second\x85third\x1c")
    promote(store, AGENT, "v1")
    promote(store, AGENT, "v2")
    assert store.prune(AGENT, keep=0) == ["made-up"]
    assert "maybe" in history.once_in_production(store.root, AGENT)


def test_a_damaged_history_deletes_nothing(store: ModelCheckpoint) -> None:
    known = lines(store)
    put(store, [known[0], known[1].replace(b"production", b"prodoction"), *known[2:]])
    with pytest.raises(CheckpointError, match=r"registry\.jsonl: line 3"):
        store.prune(AGENT, keep=0)
    assert {path.name for path in store.folders(AGENT)} == {"v1", "v2", "made-up"}
    with pytest.raises(CheckpointError, match=r"registry\.jsonl: line 3"):
        store.check()


def test_a_promotion_that_a_crash_kept_back_leaves_what_stood(store: ModelCheckpoint) -> None:
    save(store, "v3", verdict="promotable")
    before = (store.root / AGENT / "production.json").read_bytes()
    promote(store, AGENT, "v3")
    (store.root / AGENT / "production.json").write_bytes(before)
    assert served(store) == "v2"
    assert promote(store, AGENT, "v3")[0].version == "v3"
    assert served(store) == "v3"


@pytest.mark.parametrize("end", [rollback, withdraw])
def test_what_was_ended_does_not_come_back_with_its_record(
    store: ModelCheckpoint, end: Callable[[ModelCheckpoint, str], object]
) -> None:
    path = store.root / AGENT / "production.json"
    before = path.read_bytes()
    end(store, AGENT)
    path.write_bytes(before)
    assert served(store) is None
    mend(store, AGENT)
    assert served(store) == ("v1" if end is rollback else None)


def test_with_a_key_a_registry_rewritten_as_a_whole_is_refused(signed: ModelCheckpoint) -> None:
    assert (served(signed), verify(signed).signed) == ("v2", True)
    forge(signed, "v2", lambda described: described.update(seed=7))
    refused_everywhere(signed, "v2", r"registry\.jsonl: line \d+ is not signed")


def _byte(store: ModelCheckpoint) -> None:
    path = store.root / AGENT / "v2" / "weights.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _manifest(store: ModelCheckpoint) -> None:
    rewrite(store.root / AGENT / "v2", lambda described: described.update(seed=7))


def _line(store: ModelCheckpoint) -> None:
    known = lines(store)
    put(store, [known[0].replace(b"promotable", b"rejected__"), *known[1:]])


def _all_three(store: ModelCheckpoint) -> None:
    forge(store, "v2", lambda described: described.update(seed=7))


@pytest.mark.parametrize("key", [None, SECRET], ids=["unsigned", "signed"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_byte, r"v2/weights\.pt: content differs"),
        (_manifest, r"v2/manifest\.json: is not the one that was saved"),
        (_line, r"registry\.jsonl: line \d"),
        (_all_three, r"registry\.jsonl: line \d+ is not signed"),
    ],
    ids=["a byte", "the manifest", "a history line", "all three"],
)
def test_verify_finds_what_was_changed_and_it_is_never_served(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    change: Callable[[ModelCheckpoint], None],
    told: str,
) -> None:
    """All three together, by one who may write everything, is what the key is for: without one that alone passes."""
    if key is not None:
        monkeypatch.setenv(chain.KEY, key)
    store = filled(tmp_path / "checkpoints")
    assert verify(store).signed is (key is not None)
    change(store)
    passes = change is _all_three and key is None
    assert served(store) == ("v2" if passes else None)
    found = " ".join(verify(store).problems)
    assert (found == "") if passes else re.search(told, found), found


def test_a_line_signed_with_another_key_or_none_is_refused(
    signed: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(chain.KEY, "a quite different key")
    with pytest.raises(CheckpointError, match="line 1 is not signed with this key"):
        history.read_history(signed.root)
    monkeypatch.delenv(chain.KEY)
    assert served(signed) == "v2", "the chain holds without the key"
    with pytest.raises(CheckpointError, match=f"signed, and there is no key.*{chain.KEY}"):
        promote(signed, AGENT, "v1")


def test_the_key_may_stand_in_a_file_and_is_in_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chain.KEY_FILE, str(tmp_path / "key"))
    with pytest.raises(CheckpointError, match="the key cannot be read"):
        filled(tmp_path / "checkpoints")
    (tmp_path / "key").write_text("short")
    with pytest.raises(CheckpointError, match="shorter than 16 bytes") as refused:
        filled(tmp_path / "checkpoints")
    assert "short\n" not in str(refused.value)
    (tmp_path / "key").write_text(SECRET + "\n")
    store = filled(tmp_path / "checkpoints")
    monkeypatch.setenv(chain.KEY, SECRET)
    assert verify(store).signed
    assert not any(SECRET.encode() in path.read_bytes() for path in store.root.rglob("*") if path.is_file())


def test_a_registry_from_before_serves_on_and_says_how_to_take_up_the_rest(store: ModelCheckpoint) -> None:
    put(store, [without_chain(raw, hashes=b'"promote"' in raw) for raw in lines(store)])
    assert served(store) == "v2"
    with pytest.raises(CheckpointError, match=r"does not say what was saved.*deploy\.action=adopt"):
        promote(store, AGENT, "made-up")
    assert adopt(store, AGENT) == ["made-up"]
    assert promote(store, AGENT, "made-up")[1].stage == "paper"
    assert verify(store).problems == ()
    put(store, [lines(store)[0].replace(b"v1", b"v9"), *lines(store)[1:]])
    assert served(store) is None, "old lines are pinned from the first new one on"


def test_a_history_gets_its_key_by_adopting_it(store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chain.KEY, SECRET)
    with pytest.raises(CheckpointError, match=r"is not signed.*deploy\.action=adopt"):
        promote(store, AGENT, "v1")
    assert adopt(store, AGENT) == []
    assert (served(store), verify(store).problems) == ("v2", ())
    known = lines(store)
    put(store, [known[0].replace(b"promotable", b"unproven"), *known[1:]])
    assert served(store) is None


def test_damage_is_accepted_with_a_reason_only_and_the_reason_is_kept(store: ModelCheckpoint) -> None:
    rewrite(store.root / AGENT / "made-up", lambda described: described.update(seed=7))
    assert adopt(store, AGENT) == [], "what differs is not adopted in passing"
    with pytest.raises(CheckpointError, match="made-up is not what was saved"):
        adopt(store, AGENT, versions=["made-up"])
    assert adopt(store, AGENT, versions=["made-up"], how=Adoption(reason="I changed the seed")) == ["made-up"]
    known = lines(store)
    put(store, [known[0], b"\xff", *known[2:]])
    with pytest.raises(CheckpointError, match=r"registry\.jsonl: line 2"):
        adopt(store, AGENT)
    adopt(store, AGENT, how=Adoption(reason="a bad sector"))
    assert history.read_history(store.root)[-1]["reason"] == "a bad sector"
    assert served(store) == "v2"


@pytest.mark.parametrize("room", [0, 7, 100])
def test_on_a_full_disk_no_stage_changes_hands(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    real, left = os.write, [room]

    def full(descriptor: int, content: Any) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, bytes(content)[: left[0]])
        left[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", full)
        for change in (
            lambda: promote(store, AGENT, "v1"),
            lambda: rollback(store, AGENT),
            lambda: withdraw(store, AGENT),
        ):
            left[0] = room
            with pytest.raises(CheckpointError, match=r"cannot be written: No space left"):
                change()
    assert served(store) == "v2"
    assert verify(store).problems == ()


def test_an_empty_stage_stays_empty_though_a_promotion_was_recorded(store: ModelCheckpoint) -> None:
    withdraw(store, AGENT)
    pointer = history.Pointer(AGENT, "production", "v1", "0" * 64, "promotable", False, history.now())
    history.append(store.root, {"event": "promote", **asdict(pointer), "from_version": None})
    (store.root / AGENT / ".production.json.1-00000000.tmp").write_text("prepared, and its process killed")
    assert served(store) is None
    with pytest.raises(PromotionError, match="nothing in production"):
        rollback(store, AGENT)
