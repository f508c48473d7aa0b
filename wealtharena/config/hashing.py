"""The identity of a configuration: two runs with one hash over the same data differ in their seed at most."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from wealtharena.config import plugins
from wealtharena.config.specs.env import OF_TILTS
from wealtharena.config.specs.experiment import ExperimentSpec

# Raise it when the same configuration over the same data gives other figures (features, scaling, kernel, rewards), and
# only then: tests/config/test_numbers.py asks for it.
NUMBERS: Final = 2
OF_SEAMS: Final = 2  # as NUMBERS, for `split=cpcv` alone: behind a seam quotes begin anew since 2

# What cannot change the trained policy or its test backtest: where things are written, how they are watched and
# judged, what other tasks do. Where the data come from is left out too: their fingerprint says what they are, so that a
# run before and one after `task=collect` are one configuration.
_LEFT_OUT: dict[str, Any] = {
    "task": True,
    "seed": True,
    "resume": True,
    "returns": True,
    "returns_unit": True,
    "log": True,
    "quiet": True,
    "zoo": True,
    "paths": True,
    "tracking": True,
    "risk": True,
    "evaluation": True,
    "sweep": True,
    "collect": True,
    "backtest": True,
    "compare": True,
    "deploy": True,
    "serve": True,
    "audit": True,
    "paper": True,
    "broker": True,
    "compute": {"torch_threads", "address", "num_cpus"},
    "data": {
        "source": True,
        "path": True,
        "root": True,
        "volume_unit": True,
        "adjusted": True,
        "max_repaired_share": True,
        "store_features": True,
        "probe_timeout_seconds": True,
        "manners": True,
        "rates": True,
        "macro": {"manners"},
        # what these do to bars is in the data's fingerprint, and groups made before them stay whole
        "quality": {
            "leak_floor",
            "leak_ceiling",
            "end_stamps",
            "off_grid",
            "invented_bars",
            "bad_volume",
            "bad_dividends",
            "outside_sessions",
        },
    },
    "train": {"checkpoint_seconds", "retrain", "collect", "test", "publish", "callbacks"},
}
# Read where a baseline is recorded to be learned from: they say how it trades.
OF_RECORDINGS: Final = ("momentum_bars", "lookback_bars", "rebalance_bars")


def config_hash(spec: ExperimentSpec) -> str:
    """Return the first 16 hex digits of the sha256 of what determines the result, seed and data source left out.

    Risk rules are part of it where there are any, and the code of packages that offer what is named.
    """
    left_out = _LEFT_OUT if _tilts(spec) else {**_LEFT_OUT, "env": set(OF_TILTS)}
    content = {"numbers": NUMBERS, **spec.model_dump(mode="json", exclude=left_out)}
    named = {*spec.asset.universe.symbols, *(spec.data.symbols or ())}
    for room in ("asset", "env"):  # sizes of what is not traded change nothing; those of a file are in its fingerprint
        instrument = content[room]["instrument"]
        instrument["multipliers"] = {name: size for name, size in instrument["multipliers"].items() if name in named}
    if spec.risk.rules:
        content["risk"] = {name: rule.model_dump(mode="json") for name, rule in spec.risk.rules.items()}
    if spec.algo.recorded() is not None:
        content["evaluation"] = {name: getattr(spec.evaluation, name) for name in OF_RECORDINGS}
    if spec.split.name == "cpcv":
        content["numbers_of_seams"] = OF_SEAMS
    if code := code_of(spec):
        content["code"] = code
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def code_of(spec: ExperimentSpec) -> dict[str, str]:
    """Return digests of the packages' code that trains, rewards, anchors, is learned from or guards; of ours `NUMBERS` tells."""
    used = [("agents.algorithms", spec.algo.name), ("envs.rewards", spec.env.reward.name)]
    used += [("trading.risk", name) for name in spec.risk.rules]
    if _tilts(spec):
        used += [(room, str(spec.env.anchor)) for room in ("envs.anchors", "envs.baselines")]
    if (record := spec.algo.recorded()) is not None:
        used.append(("envs.baselines", record))
    found = {f"{room}.{name}": plugins.source_of(room, name) for room, name in used}
    return {name: digest for name, digest in found.items() if digest}


def begun_with(own: str, weights: str) -> str:
    """Return the hash of a configuration whose training begins with `weights`: a version, or a configuration's hash."""
    return hashlib.sha256(f"{own} begun with {weights}".encode()).hexdigest()[:16]


def _tilts(spec: ExperimentSpec) -> bool:
    """Return whether actions are tilts, be it by the algorithm's own choice."""
    if spec.env.action != "auto":
        return spec.env.action == "tilt"
    preferred: str = plugins.load("agents.algorithms", spec.algo.name).ACTIONS[0]
    return preferred == "tilt"
