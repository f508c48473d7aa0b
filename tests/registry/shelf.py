"""Small checkpoints for tests: real folders, real ONNX, no training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from wealtharena.registry import ModelCheckpoint, Probe, history, promote
from wealtharena.registry.integrity import MANIFEST, sha256, write_manifest

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
FEATURES = ("log_return_1", "log_return_5")
WINDOW = 2
AGENT = "cryptocurrencies"
SPLIT = len(SYMBOLS) * WINDOW * len(FEATURES)


def constant_onnx(weights: Sequence[float], *, slope: float = 0.0) -> bytes:
    """Return a graph whose answer is `weights` plus `slope` times the newest first feature of each symbol."""
    assets, features = len(weights), len(FEATURES)
    nodes = [
        helper.make_node("Slice", ["features", "from", "to", "axes"], ["newest"]),
        helper.make_node("ReduceSum", ["newest", "last"], ["seen"], keepdims=0),
        helper.make_node("IsNaN", ["seen"], ["unseen"]),
        helper.make_node("Where", ["unseen", "zero", "seen"], ["signal"]),
        helper.make_node("Mul", ["signal", "slope"], ["tilt"]),
        helper.make_node("ReduceSum", ["portfolio", "one"], ["held"], keepdims=1),
        helper.make_node("Mul", ["held", "zero"], ["nothing"]),
        helper.make_node("Add", ["tilt", "nothing"], ["moved"]),
        helper.make_node("Add", ["moved", "base"], ["weights"]),
    ]
    constants = {
        "from": np.array([WINDOW - 1, 0]),
        "to": np.array([WINDOW, 1]),
        "axes": np.array([2, 3]),
        "last": np.array([2, 3]),
        "one": np.array([1]),
        "slope": np.float32(slope),
        "zero": np.float32(0),
        "base": np.array(weights, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "constant",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", assets, WINDOW, features]),
            helper.make_tensor_value_info("portfolio", TensorProto.FLOAT, ["batch", assets + 3]),
        ],
        [helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["batch", assets])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def probe(weights: Sequence[float], *, slope: float = 0.0, rows: int = 4, seed: int = 0) -> Probe:
    """Return recorded decisions of `constant_onnx` with the same arguments."""
    rng = np.random.default_rng(seed)
    assets = len(weights)
    features = rng.normal(size=(rows, assets, WINDOW, len(FEATURES))).astype(np.float32)
    portfolio = np.zeros((rows, assets + 3), dtype=np.float32)
    portfolio[:, assets] = 1.0
    answered = np.asarray(weights, dtype=np.float32) + np.float32(slope) * features[:, :, -1, 0]
    return Probe(features=features, portfolio=portfolio, weights=answered)


def metadata(**changes: Any) -> dict[str, Any]:
    """Return complete metadata of an unproven agent on real data."""
    simulated = bool(changes.pop("simulated", False))
    verdict = changes.pop("verdict", "unproven")
    evidence = changes.pop("evidence", {})
    symbols = changes.get("symbols", SYMBOLS)
    base: dict[str, Any] = {
        "created_at": "2026-01-02T03:04:05.000000Z",
        "asset": "crypto",
        "algo": "ppo",
        "symbols": list(symbols),
        "feature_names": list(FEATURES),
        "window": WINDOW,
        "action": "weights",
        "observation_shape": [SPLIT + len(SYMBOLS) + 3],
        "action_shape": [len(symbols)],
        "min_history_bars": 30,
        "frequency": "1d",
        "data": {"source": "simulated" if simulated else "yahoo", "simulated": simulated, "fingerprint": "f" * 64},
        "simulated": simulated,
        "config_hash": "0123456789abcdef",
        "verdict": {"status": verdict, "reasons": [f"it is {verdict}"], "evidence": evidence},
        "metrics": {"test": {"sharpe": 1.25, "total_return": 0.31, "max_drawdown": -0.12, "annual_return": 0.22}},
        "baselines": {
            "buy_and_hold": {"sharpe": 0.8, "total_return": 0.2, "max_drawdown": -0.3, "annual_return": 0.15}
        },
        "recorded_at": "2025-12-31",
        "track_record": {
            "dates": ["2025-10-01", "2025-11-01", "2025-12-01", "2025-12-31"],
            "equity": {"agent": [1.0, 1.1, 1.05, 1.31], "buy_and_hold": [1.0, 1.05, 0.97, 1.2]},
        },
    }
    return {**base, **changes}


def policy_folder(folder: Path, *, scale: float = 0.0) -> Path:
    """Write what the agents room's `save_policy` leaves: tensors and a scaler."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"layer.weight": torch.full((2, 2), scale)}, folder / "weights.pt")
    scaler = {"names": list(FEATURES), "mean": [0.0, 0.0], "std": [1.0, 1.0], "clip": 5.0}
    (folder / "scaler.json").write_text(json.dumps(scaler), encoding="utf-8")
    return folder


def save(
    store: ModelCheckpoint,
    version: str,
    *,
    agent: str = AGENT,
    weights: Sequence[float] = (0.5, 0.25, 0.0),
    slope: float = 0.0,
    scale: float = 0.0,
    described: Mapping[str, Any] | None = None,
    config: str = "seed: 0\n",
    **changes: Any,
) -> Path:
    """Save one checkpoint of a constant policy and return its folder."""
    return store.save_checkpoint(
        agent,
        version,
        policy_folder=policy_folder(store.root / ".policy", scale=scale),
        onnx=constant_onnx(weights, slope=slope),
        probe=probe(weights, slope=slope),
        metadata={**metadata(**changes), **(described or {})},
        config=config,
    )


def seal(folder: Path) -> str:
    """Write the manifest of whatever a folder holds, and let the history say so; return the manifest's hash."""
    write_manifest(folder)
    digest = sha256((folder / MANIFEST).read_bytes())
    event = {"event": "adopt", "agent": folder.parent.name, "version": folder.name, "manifest_sha256": digest}
    history.append(folder.parent.parent, event)
    return digest


def place(root: Path, pointer: history.Pointer) -> None:
    """Put a version on a stage past the gate, as a promotion writes it down."""
    history.place(root, {"event": "promote", **asdict(pointer), "from_version": None}, pointer)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """Change metadata.json as a thief of verdicts would, manifest included, and return the new manifest's hash."""
    path = folder / "metadata.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    write_manifest(folder)
    return sha256((folder / MANIFEST).read_bytes())


def stocked(folder: Path) -> ModelCheckpoint:
    """Return a registry with a production agent, a simulated one on paper and one with nothing promoted."""
    store = ModelCheckpoint(folder / "checkpoints")
    save(store, "v1", verdict="promotable", weights=(0.5, 0.2, 0.1), slope=0.05)
    promote(store, AGENT, "v1")
    save(store, "s1", agent="etf", simulated=True)
    promote(store, "etf", "s1")
    save(store, "c1", agent="commodities")
    return store
