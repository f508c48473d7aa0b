"""Sixty ways to hand over a checkpoint folder that is none: for each, what it does to a good one.

Whoever hands it over can write a fitting manifest and a fitting record of the stage too, so both are made to fit.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Mutation = Callable[[Path], None]
MANIFEST = "manifest.json"


def _cut(name: str, share: float) -> Mutation:
    def mutate(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return mutate


def _put(name: str, content: bytes) -> Mutation:
    return lambda folder: _write(folder / name, content)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _json(name: str, **changes: Any) -> Mutation:
    def mutate(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        for key, value in changes.items():
            content[key] = value
        (folder / name).write_text(json.dumps(content))

    return mutate


def _text(name: str, old: str, new: str) -> Mutation:
    def mutate(folder: Path) -> None:
        text = (folder / name).read_text()
        if old not in text:
            raise AssertionError(f"{name} has no {old}")
        (folder / name).write_text(text.replace(old, new, 1))

    return mutate


def _pipe(name: str) -> Mutation:
    def mutate(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return mutate


def _link(name: str) -> Mutation:
    def mutate(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("/etc/hostname")

    return mutate


def _sparse(name: str, size: int) -> Mutation:
    def mutate(folder: Path) -> None:
        with (folder / name).open("wb") as handle:
            handle.truncate(size)

    return mutate


def _folder(name: str) -> Mutation:
    def mutate(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return mutate


def _zip(name: str, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Mutation:
    def mutate(folder: Path) -> None:
        with zipfile.ZipFile(folder / name, "w", method) as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)

    return mutate


def _probe(**changes: Any) -> Mutation:
    def mutate(folder: Path) -> None:
        with np.load(folder / "probe.npz") as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        for name, value in changes.items():
            arrays[name] = value(arrays[name]) if callable(value) else value
        np.savez_compressed(folder / "probe.npz", **arrays)

    return mutate


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.system, ("true",)


def _of_each(kind: str, make: Callable[[str], Mutation], names: str) -> dict[str, tuple[str, Mutation]]:
    return {f"{kind}: {name}": (name, make(name)) for name in names.split()}


_FILES = "policy.onnx weights.pt metadata.json scaler.json config.yaml probe.npz"
_READ = "policy.onnx weights.pt metadata.json scaler.json probe.npz"  # config.yaml is read by training only
_BIG = "9" * 400
# name of the mutation -> the file that has to be named, and the mutation
MUTATIONS: dict[str, tuple[str, Mutation]] = {
    **_of_each("a pipe", _pipe, f"{_FILES} {MANIFEST}"),
    **_of_each("a link", _link, f"{_FILES} {MANIFEST}"),
    **_of_each("a folder", _folder, _FILES),
    **_of_each("cut in the middle", lambda name: _cut(name, 0.5), _READ),
    **_of_each("noise", lambda name: _put(name, bytes(range(256)) * 20), _READ),
    **_of_each("nothing in it", lambda name: _put(name, b""), _READ),
    **_of_each("sparse and huge", lambda name: _sparse(name, 1 << 34), _FILES),
    "an extra program": (MANIFEST, _put("sitecustomize.py", b"raise SystemExit")),
    "deep metadata": ("metadata.json", _put("metadata.json", b"[" * 500_000)),
    "a number of 400 digits": ("metadata.json", _text("metadata.json", '"sharpe": 1.25', f'"sharpe": {_BIG}')),
    "infinity": ("metadata.json", _text("metadata.json", '"sharpe": 1.25', '"sharpe": 1e999')),
    "NaN": ("metadata.json", _text("metadata.json", '"sharpe": 1.25', '"sharpe": NaN')),
    "half a surrogate": ("metadata.json", _text("metadata.json", '"algo": "ppo"', '"algo": "\\ud800"')),
    "a symbol of two lines": ("metadata.json", _text("metadata.json", '"BTC-USD"', '"BTC\\nUSD"')),
    "a symbol twice": ("metadata.json", _text("metadata.json", '"BTC-USD"', '"ETH-USD"')),
    "a window of a billion": ("metadata.json", _json("metadata.json", window=10**9)),
    "a giant state": ("metadata.json", _json("metadata.json", states={"h": [10**6, 10**6]})),
    "a state below zero": ("metadata.json", _json("metadata.json", states={"h": [-1, -1]})),
    "another agent": ("metadata.json", _json("metadata.json", agent="etf")),
    "limits that are none": ("metadata.json", _json("metadata.json", recipe={"env": {"limits": {"max_gross": "x"}}})),
    "a scaler without a mean": ("scaler.json", _put("scaler.json", b"{}")),
    "a scaler of zeros": ("scaler.json", _json("scaler.json", std=[0.0, 0.0])),
    "a scaler of texts": ("scaler.json", _json("scaler.json", mean=["a", "b"])),
    "a scaler of other features": ("scaler.json", _json("scaler.json", names=["a", "b"])),
    "a pickle as weights": ("weights.pt", _put("weights.pt", pickle.dumps(_Bomb()))),
    "a pickle in the weights": ("weights.pt", _zip("weights.pt", {"a/data.pkl": pickle.dumps(_Bomb(), protocol=2)})),
    "packed weights": ("weights.pt", _zip("weights.pt", {"a/data.pkl": b"\0" * 10**7}, zipfile.ZIP_DEFLATED)),
    "a probe that unpacks to a gigabyte": (
        "probe.npz",
        _zip("probe.npz", {"features.npy": bytes(1 << 29)}, zipfile.ZIP_DEFLATED),
    ),
    "a probe of objects": ("probe.npz", _probe(features=np.array([_Bomb()], dtype=object))),
    "a probe of other shapes": ("probe.npz", _probe(features=lambda a: a[:, :, :1])),
    "a probe of infinities": ("probe.npz", _probe(features=lambda a: a * np.inf)),
    "a probe that another policy answered": ("weights", _probe(weights=lambda a: a + 0.1)),
}


def spoil(folder: Path, name: str) -> str:
    """Do a mutation to a version's folder, make its manifest fit, and return the file that has to be named."""
    named, mutate = MUTATIONS[name]
    before = json.loads((folder / MANIFEST).read_text())
    mutate(folder)
    if (folder / MANIFEST).is_symlink() or not (folder / MANIFEST).is_file():
        return named
    from wealtharena.registry.integrity import sha256

    for file in before["files"]:
        path = folder / file
        if path.is_symlink() or not path.is_file():
            continue
        size = path.stat().st_size
        content = path.read_bytes() if size < 1 << 30 else b""
        before["files"][file] = {"sha256": sha256(content), "bytes": size}
    if (folder / "sitecustomize.py").exists():
        content = (folder / "sitecustomize.py").read_bytes()
        before["files"]["sitecustomize.py"] = {"sha256": sha256(content), "bytes": len(content)}
    (folder / MANIFEST).write_text(json.dumps(before))
    return named


def hand_over(root: Path, agent: str, version: str) -> None:
    """Put a spoilt version into production as one who may write everything would: record and history fit it."""
    from dataclasses import asdict, replace

    from wealtharena.registry import history
    from wealtharena.registry.integrity import sha256

    manifest = root / agent / version / MANIFEST
    pinned = sha256(manifest.read_bytes()) if manifest.is_file() and not manifest.is_symlink() else "0" * 64
    before = history.read_pointer(root, agent, "production")
    if before is None:
        raise AssertionError(f"{agent} has nothing in production")
    pointer = replace(before, version=version, manifest_sha256=pinned)
    facts = {"agent": agent, "version": version, "verdict": "promotable", "simulated": False}
    with history.locked(root):
        history.append(root, {"event": "save", **facts, "manifest_sha256": pinned})
        history.place(root, {"event": "promote", **asdict(pointer), "reasons": []}, pointer)
