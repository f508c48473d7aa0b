from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.registry.shelf import AGENT, constant_onnx, metadata, policy_folder, probe, rewrite, save, seal
from wealtharena.errors import CheckpointError
from wealtharena.files import write_json
from wealtharena.registry import ModelCheckpoint, Probe, checkpoints, history
from wealtharena.registry.integrity import REQUIRED, read_verified, sha256
from wealtharena.registry.metadata import parse_metadata
from wealtharena.registry.verifying import verify


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return ModelCheckpoint(tmp_path / "checkpoints")


@pytest.mark.slow
def test_a_saved_folder_stands_alone_and_answers(store: ModelCheckpoint) -> None:
    folder = save(store, "run-1", weights=(0.5, 0.2, 0.1), slope=0.01)
    assert {path.name for path in folder.iterdir()} == {*REQUIRED, "manifest.json"}
    loaded = store.load_checkpoint("crypto", "run-1")
    assert loaded.metadata.agent == AGENT
    assert loaded.policy.check_probe() < 1e-6
    weights, states, _ = loaded.policy.act(loaded.policy.probe.features, loaded.policy.probe.portfolio)
    np.testing.assert_allclose(weights, loaded.policy.probe.weights, atol=1e-6)
    assert states == {}


def test_the_manifest_lists_every_other_file(store: ModelCheckpoint) -> None:
    folder = save(store, "run-1")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert set(files) == set(REQUIRED)
    for name, entry in files.items():
        content = (folder / name).read_bytes()
        assert entry == {"sha256": sha256(content), "bytes": len(content)}


def test_a_graph_that_differs_from_the_probe_is_never_saved(store: ModelCheckpoint) -> None:
    with pytest.raises(CheckpointError, match="differ from the recorded"):
        store.save_checkpoint(
            AGENT,
            "run-1",
            policy_folder=policy_folder(store.root / ".policy"),
            onnx=constant_onnx((0.5, 0.25, 0.00002)),
            probe=probe((0.5, 0.25, 0.0)),
            metadata=metadata(),
            config="",
        )
    assert list((store.root / AGENT).iterdir()) == []
    assert store.list_checkpoints(AGENT) == []


def test_a_version_is_never_overwritten(store: ModelCheckpoint) -> None:
    folder = save(store, "run-1")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for changes in ({"config_hash": "another"}, {"data": {**metadata()["data"], "fingerprint": "other bars"}}):
        with pytest.raises(CheckpointError, match="exists already"):
            save(store, "run-1", described=changes)
    with pytest.raises(CheckpointError, match="exists already"):
        save(store, "run-1", scale=2.0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_the_same_again_keeps_what_was_judged_first(store: ModelCheckpoint) -> None:
    """A run that was killed between its publishing and its end comes this way again."""
    folder = save(store, "run-1")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert save(store, "run-1", described={"created_at": "2026-02-02T00:00:00.000000Z"}) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [event["event"] for event in history.read_history(store.root)] == ["save"]


@pytest.mark.parametrize("moment", ["append", "rename", "sync"])
def test_a_save_that_was_killed_at_any_moment_is_done_again(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """As kill -9 leaves it: nothing after the moment is carried out, no cleaning up either."""

    class Killed(BaseException):
        pass

    def dies(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.shutil, "rmtree", lambda *_, **__: None)
        if moment == "append":
            patch.setattr(history, "append", dies)
        elif moment == "rename":
            patch.setattr(Path, "rename", dies)
        else:
            real = checkpoints.sync
            patch.setattr(checkpoints, "sync", lambda folder: dies() if folder.name == AGENT else real(folder))
        with pytest.raises(Killed):
            save(store, "run-1")
    save(store, "run-1")
    assert store.load_checkpoint(AGENT, "run-1").metadata.version == "run-1"
    assert [path.name for path in (store.root / AGENT).iterdir()] == ["run-1"]
    assert verify(store).problems == ()


def test_a_folder_that_an_interrupted_run_left_and_somebody_changed_is_not_taken_for_its_own(
    store: ModelCheckpoint,
) -> None:
    folder = save(store, "run-1")
    rewrite(folder, lambda described: described["verdict"].update(status="promotable"))
    with pytest.raises(CheckpointError, match=r"manifest\.json: is not the one that was saved"):
        save(store, "run-1")


@pytest.mark.parametrize("name", ["../escape", "", ".hidden", "a/b", "a\n", "x" * 200])
def test_a_version_that_is_no_folder_name_is_refused(store: ModelCheckpoint, name: str) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint version"):
        save(store, name)


def test_the_list_is_newest_first_and_carries_model_path(store: ModelCheckpoint) -> None:
    for day, version in (("02", "b"), ("04", "a"), ("03", "c")):
        save(store, version, described={"created_at": f"2026-01-{day}T00:00:00.000000Z"})
    rows = store.list_checkpoints("asset=crypto")
    assert [row["version"] for row in rows] == ["a", "c", "b"]
    assert all(Path(row["model_path"]).is_dir() for row in rows)
    assert torch.load(rows[0]["weights_path"], weights_only=True), "the weights have a path of their own"
    assert rows[0]["verdict"] == "unproven"
    assert store.load_checkpoint(AGENT).metadata.version == "a"


def test_an_unreadable_checkpoint_is_listed_last_with_its_error(store: ModelCheckpoint) -> None:
    save(store, "good")
    broken = save(store, "broken")
    (broken / "metadata.json").write_text("{")
    rows = store.list_checkpoints(AGENT)
    assert [row["version"] for row in rows] == ["good", "broken"]
    assert "metadata.json" in rows[1]["error"]


@pytest.mark.parametrize("name", [*REQUIRED, "manifest.json"])
@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_flipped_byte_anywhere_is_refused_by_the_files_name(store: ModelCheckpoint, name: str, place: float) -> None:
    path = save(store, "run-1") / name
    pinned = sha256((path.parent / "manifest.json").read_bytes())
    store.load_checkpoint(AGENT, "run-1", manifest_sha256=pinned)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        store.load_checkpoint(AGENT, "run-1", manifest_sha256=pinned)


@pytest.mark.parametrize("name", [*REQUIRED, "manifest.json"])
def test_a_missing_file_is_refused_by_its_name(store: ModelCheckpoint, name: str) -> None:
    (save(store, "run-1") / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: is missing"):
        store.load_checkpoint(AGENT, "run-1")


@pytest.mark.parametrize("name", [*REQUIRED, "manifest.json"])
def test_a_link_is_refused_even_to_the_same_bytes(store: ModelCheckpoint, tmp_path: Path, name: str) -> None:
    path = save(store, "run-1") / name
    outside = tmp_path / "outside"
    shutil.move(path, outside)
    path.symlink_to(outside)
    with pytest.raises(CheckpointError, match=rf"{name}: is a link"):
        store.load_checkpoint(AGENT, "run-1")


def test_a_folder_that_is_a_link_is_refused(store: ModelCheckpoint, tmp_path: Path) -> None:
    folder = save(store, "run-1")
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="links are refused"):
        store.load_checkpoint(AGENT, "run-1")


def test_a_pipe_in_place_of_a_file_does_not_hang(store: ModelCheckpoint) -> None:
    path = save(store, "run-1") / "scaler.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"scaler\.json: is not a regular file"):
        store.load_checkpoint(AGENT, "run-1")


def test_an_extra_file_is_refused(store: ModelCheckpoint) -> None:
    (save(store, "run-1") / "extra.py").write_text("")
    with pytest.raises(CheckpointError, match=r"extra\.py: is not in the manifest"):
        store.load_checkpoint(AGENT, "run-1")


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_in_place_of_weights_is_refused_unread_even_with_a_fitting_manifest(
    store: ModelCheckpoint, tmp_path: Path, protocol: int
) -> None:
    import torch

    folder = save(store, "run-1")
    torch.save(_Bomb(tmp_path / "ran"), folder / "weights.pt", pickle_protocol=protocol)
    seal(folder)
    with pytest.raises(CheckpointError, match=r"weights\.pt: names .*so it is not plain tensors"):
        store.load_checkpoint(AGENT, "run-1")
    (folder / "weights.pt").write_bytes(pickle.dumps(_Bomb(tmp_path / "ran")))
    seal(folder)
    with pytest.raises(CheckpointError, match=r"weights\.pt: is not a file of tensors"):
        store.load_checkpoint(AGENT, "run-1")
    assert not (tmp_path / "ran").exists()


def test_a_truncated_onnx_is_refused_even_with_a_fitting_manifest(store: ModelCheckpoint) -> None:
    folder = save(store, "run-1")
    path = folder / "policy.onnx"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=r"policy\.onnx: content differs"):
        store.load_checkpoint(AGENT, "run-1")
    seal(folder)
    with pytest.raises(CheckpointError, match=r"policy\.onnx"):
        store.load_checkpoint(AGENT, "run-1")


@pytest.mark.parametrize("name", ["../weights.pt", "/etc/passwd", "manifest.json", ""])
def test_a_manifest_that_names_a_path_is_refused(store: ModelCheckpoint, name: str) -> None:
    path = save(store, "run-1") / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    path.write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"manifest\.json: bad entry"):
        read_verified(path.parent)


def test_a_probe_with_objects_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "probe.npz", features=np.array([_Bomb(tmp_path / "ran")], dtype=object))
    with pytest.raises(CheckpointError, match=r"probe\.npz"):
        Probe.from_bytes((tmp_path / "probe.npz").read_bytes())
    assert not (tmp_path / "ran").exists()


def test_an_unknown_agent_gets_a_suggestion(store: ModelCheckpoint) -> None:
    with pytest.raises(CheckpointError, match="did you mean cryptocurrencies"):
        store.list_checkpoints("cryptocurrency")


@pytest.mark.parametrize(
    ("alias", "agent"),
    [
        ("crypto", "cryptocurrencies"),
        ("asset=forex", "currency_pairs"),
        ("stocks", "asx_stocks"),
        ("etf", "etf"),
        ("commodities", "commodities"),
    ],
)
def test_an_asset_class_names_its_agent(store: ModelCheckpoint, alias: str, agent: str) -> None:
    assert store.resolve(alias) == agent


@pytest.mark.parametrize("name", ["run-1/metadata.json", "run-1/manifest.json", "paper.json"])
def test_a_file_of_a_newer_schema_is_a_line_with_a_way_out(store: ModelCheckpoint, name: str) -> None:
    """A stage's record was read by what its fields meant before, and a version was to be saved again."""
    folder = save(store, "run-1")
    digest = sha256((folder / "manifest.json").read_bytes())
    stands = history.Pointer(AGENT, "paper", "run-1", digest, "unproven", True, history.now())
    write_json(history.pointer_path(store.root, AGENT, "paper"), stands.to_dict())
    said = rf"{Path(name).name} has schema_version 2, this program knows 1; install a newer version"
    path = store.root / AGENT / name
    content = {**json.loads(path.read_text()), "schema_version": 2}
    path.write_text(json.dumps(content))
    read = {
        "metadata.json": lambda: parse_metadata(content, where=path.name),
        "manifest.json": lambda: read_verified(folder),
        "paper.json": lambda: history.read_pointer(store.root, AGENT, "paper"),
    }
    with pytest.raises(CheckpointError, match=said):
        read[path.name]()


@pytest.mark.parametrize(
    ("block", "figure"), [("metrics", True), ("metrics", "2024-01-01"), ("baselines", False), ("baselines", [1.0])]
)
def test_a_measure_that_is_no_number_is_refused(store: ModelCheckpoint, block: str, figure: object) -> None:
    """True was a Sharpe ratio of 1.00 on the service's page."""
    content = json.loads((save(store, "run-1") / "metadata.json").read_text())
    content[block] = {"test": {"sharpe": figure, "trades": 3, "calmar": None}}
    with pytest.raises(CheckpointError, match=rf"metadata\.json: {block}\.test\.sharpe: .* number"):
        parse_metadata(content, where="metadata.json")


def test_a_measure_stays_the_number_that_it_was(store: ModelCheckpoint) -> None:
    content = json.loads((save(store, "run-1") / "metadata.json").read_text())
    told = {"sharpe": 0.5, "trades": 3, "calmar": None}
    read = parse_metadata({**content, "metrics": {"test": told}}, where="metadata.json").model_dump(mode="json")
    assert json.dumps(read["metrics"]) == json.dumps({"test": told})
