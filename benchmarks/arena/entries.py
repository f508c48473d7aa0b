"""Who plays: algorithms as they ship, and policies that somebody else made.

A policy of one's own is an ONNX graph, a class in a Python file, or a model of Stable-Baselines3:

    --entry mine=policy.onnx            one input [N, D], first output the target weights [N, A]
    --entry mine=policies.py:Momentum   `act(observation [1, D]) -> weights [1, A]`, and, if it has it, `fit(make_env, seed)`
    --entry mine=model.zip:PPO          a saved model, by the name of its algorithm

`make_env(n)` makes n environments over the training rows, with Gymnasium's vector face; a class that has no `fit` is played
as it is. A graph or a model reads observations of one size, and plays the courses that have that size.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.config.paths import conf_dir
from wealtharena.envs.actions import actions_of
from wealtharena.envs.market import Market
from wealtharena.envs.vector_env import PortfolioVectorEnv

Decide = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
MakeEnv = Callable[[int], PortfolioVectorEnv]
STEPS = {  # environment steps of a training: what each learns of in about the same time
    "sac": 60_000, "tqc": 40_000, "dqn": 120_000, "appo": 120_000, "impala": 120_000,
    "bc": 200_000, "marwil": 200_000, "cql": 60_000, "iql": 100_000,
}  # fmt: skip
MOST_STEPS = 300_000


class DoesNotFitError(Exception):
    """A policy that reads observations of another size than a course has."""


@dataclass(frozen=True)
class Entrant:
    """Somebody who plays; the overrides say how it is trained, or under which kind of action it acts."""

    name: str
    words: str
    overrides: tuple[str, ...] = ()
    own: OwnPolicy | None = None  # none: trained by this platform
    settings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def identity(self) -> str:
        """Return what two results must have in common to be of one entrant."""
        return "\n".join((self.name, *self.overrides, *((self.own.part, self.own.digest) if self.own else ())))


@dataclass(frozen=True)
class OwnPolicy:
    """A policy from a file: `ready(market, action, make_env, seed)` returns what decides in that market."""

    path: Path
    part: str  # class of a Python file, algorithm of a saved model

    @property
    def digest(self) -> str:
        """Return the sha256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def ready(self, market: Market, action: str, make_env: MakeEnv, seed: int) -> Decide:
        """Return what decides; DoesNotFitError where it reads observations of another size."""
        size = market.layout.size
        if self.path.suffix == ".onnx":
            return _graph(self.path, size)
        if self.path.suffix == ".zip":
            return _model(self.path, self.part, make_env, action, market)
        made = _class(self.path, self.part)()
        if hasattr(made, "fit"):
            made.fit(make_env, seed)
        if hasattr(made, "reset"):
            made.reset()
        return partial(_weights, made.act)


def _weights(act: Callable[[Any], Any], observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.asarray(act(observation), dtype=np.float64)


def _graph(path: Path, size: int) -> Decide:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise DoesNotFitError(f"{path.name} has {len(inputs)} inputs; a graph with memory is not played")
    wanted = inputs[0].shape[-1]
    if isinstance(wanted, int) and wanted != size:
        raise DoesNotFitError(f"{path.name} reads {wanted} numbers, this market shows {size}")
    return partial(_weights, lambda seen: session.run(None, {inputs[0].name: seen})[0])


def _model(path: Path, algorithm: str, make_env: MakeEnv, action: str, market: Market) -> Decide:
    import stable_baselines3

    model = getattr(stable_baselines3, algorithm or "PPO").load(path, device="cpu")
    wanted = model.observation_space.shape[-1]
    if wanted != market.layout.size:
        raise DoesNotFitError(f"{path.name} reads {wanted} numbers, this market shows {market.layout.size}")
    kind = actions_of(action, len(market.symbols), make_env(1).env_spec.limits, market.layout)

    def decide(seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        asked = np.asarray(model.predict(seen, deterministic=True)[0], dtype=kind.empty(1).dtype)
        return kind.weights(asked, seen, np.zeros((len(seen), len(market.symbols)), np.float32)).astype(np.float64)

    return decide


def _class(path: Path, name: str) -> Callable[[], Any]:
    spec = importlib.util.spec_from_file_location(f"arena_entry_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callable[[], Any] = getattr(module, name)
    return made


def shipped() -> tuple[Entrant, ...]:
    """Return every algorithm that ships, as it ships, and two of those that tilt an anchor with plain weights instead."""
    names = sorted(path.stem for path in (conf_dir() / "algo").glob("*.yaml"))
    plain = [Entrant(name, "as it ships", (f"algo={name}", _steps(name))) for name in names]
    others = [
        Entrant(f"{name}+weights", "without an anchor", (f"algo={name}", _steps(name), "env.action=weights"))
        for name in ("ppo", "sac")
    ]
    return (*plain, *others)


def _steps(algo: str) -> str:
    return f"train.env_steps={STEPS.get(algo, MOST_STEPS)}"


def own(text: str, *, action: str = "weights") -> Entrant:
    """Return the entrant that `name=path` or `name=path:part` describes; ValueError says what is wrong with it."""
    name, _, place = text.partition("=")
    path, _, part = place.partition(":")
    file = Path(path)
    if not name or not file.is_file() or file.suffix not in (".onnx", ".py", ".zip"):
        raise ValueError(f"--entry {text}: give name=policy.onnx, name=file.py:Class or name=model.zip:PPO")
    if file.suffix == ".py" and not part:
        raise ValueError(f"--entry {text}: name the class, as in {name}={path}:Policy")
    return Entrant(name, f"{file.name}{':' + part if part else ''}", (f"env.action={action}",), OwnPolicy(file, part))
