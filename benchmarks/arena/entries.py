"""Who plays: algorithms as they ship, and policies that somebody else made.

A policy of one's own is an ONNX graph, a class in a Python file, or a model of Stable-Baselines3:

    --entry mine=policy.onnx            one input [N, D], first output the target weights [N, A]
    --entry mine=policies.py:Momentum   `act(observation [1, D]) -> weights [1, A]`, and, if it has it, `fit(make_env, seed)`
    --entry mine=model.zip:PPO          a saved model, by the name of its algorithm
    --entry mine=model.zip:PPO:vecnormalize.pkl   one that was trained under VecNormalize, with what that saved

`make_env(n)` makes n environments over the training rows, with Gymnasium's vector face; their market ends with the fold's
validation bars. A class that has no `fit` is played as it is. A graph or a model reads observations of one size, and plays the
courses that have that size. A graph that this platform exported is not played: where it says so stands why.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.arena import sources
from wealtharena.config.paths import conf_dir
from wealtharena.config.suggest import did_you_mean
from wealtharena.envs.observation import ObservationLayout
from wealtharena.envs.vector_env import PortfolioVectorEnv
from wealtharena.registry.onnx_trial import without_reports
from wealtharena.shown import some

if TYPE_CHECKING:
    import onnxruntime

Decide = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
MakeEnv = Callable[[int], PortfolioVectorEnv]
STEPS = {  # environment steps of a training: what each learns of in about the same time
    "sac": 60_000, "tqc": 40_000, "dqn": 120_000, "appo": 120_000, "impala": 120_000,
    "bc": 200_000, "marwil": 200_000, "cql": 60_000, "iql": 100_000,
}  # fmt: skip
MOST_STEPS = 300_000


EXPORTED = {"features", "portfolio"}  # inputs of the graphs that this platform writes
_STATISTICS: Final = re.compile(r"vec_?normalize.*\.pkl$", re.IGNORECASE)  # as SB3's callbacks and rl-zoo3 name them
_NONE: Final = "-"  # in their place: the model was trained without


class DoesNotFitError(Exception):
    """A policy that reads something else than the observations that a course has."""


@dataclass(frozen=True)
class Entrant:
    """Somebody who plays; the overrides say how it is trained, or under which kind of action it acts."""

    name: str
    words: str
    overrides: tuple[str, ...] = ()
    own: OwnPolicy | None = None  # none: trained by this platform

    @property
    def identity(self) -> str:
        """Return what two results must have in common to be of one entrant."""
        return "\n".join((self.name, *self.overrides, *((self.own.part, self.own.digest) if self.own else ())))


@dataclass(frozen=True)
class OwnPolicy:
    """A policy from a file: `ready(layout, make_env, seed)` returns what decides where observations are laid out so."""

    path: Path
    part: str  # class of a Python file, algorithm of a saved model
    statistics: Path | None = None  # of observations, under which a model was trained

    @property
    def digest(self) -> str:
        """Return the sha256 of the file and of what it stands on."""
        return sources.digest(sources.stands_on(self.path) | ({self.statistics} if self.statistics else set()))

    def check(self) -> None:
        """Raise ValueError where the file holds no policy of that name that can be opened."""
        try:
            if self.path.suffix == ".onnx":
                _session(self.path)
            elif self.path.suffix == ".zip":
                _algorithm(self.part).load(self.path, device="cpu")
                _normaliser(self.statistics)
            else:
                _class(self.path, self.part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a stranger's file does, SystemExit too
            said = str(error) if isinstance(error, DoesNotFitError) else f"{type(error).__name__}: {error}"
            raise ValueError(f"{self.path}{':' + self.part if self.part else ''}: {said}") from error

    def ready(self, layout: ObservationLayout, make_env: MakeEnv, seed: int) -> Decide:
        """Return what decides; DoesNotFitError where it reads observations of another size."""
        if self.path.suffix == ".onnx":
            return _graph(self.path, layout.size)
        if self.path.suffix == ".zip":
            return _model(self.path, self.part, make_env, statistics=self.statistics)
        made = _class(self.path, self.part)()
        if hasattr(made, "fit"):
            made.fit(make_env, seed)
        if hasattr(made, "reset"):
            made.reset()
        decide: Decide = made.act
        return decide


def _graph(path: Path, size: int) -> Decide:
    session = _session(path)
    (taken,) = session.get_inputs()
    if taken.type != "tensor(float)":
        raise DoesNotFitError(f"{path.name} reads {taken.type}, and observations are float32, tensor(float)")
    _require_size(path, tuple(taken.shape[-1:]), size)
    if len(taken.shape) != 2 or (taken.shape[0] not in (1, None) and not isinstance(taken.shape[0], str)):
        raise DoesNotFitError(f"{path.name} reads {taken.shape}, and observations come one at a time, as [1, {size}]")
    return lambda seen: session.run(None, {taken.name: seen})[0]


def _require_size(path: Path, reads: tuple[Any, ...], size: int) -> None:
    """Raise DoesNotFitError where what a policy reads is known, and not as long as an observation."""
    if reads and isinstance(reads[0], int) and reads[0] != size:
        raise DoesNotFitError(f"{path.name} reads {reads[0]} numbers, this market shows {size}")


def _session(path: Path) -> onnxruntime.InferenceSession:
    """Return a graph of one input, observations; DoesNotFitError says what another one reads."""
    without_reports()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    if set(names) >= EXPORTED:
        raise DoesNotFitError(
            "an export of this platform is not played: it scales features itself, by the record that it was trained on, "
            "and that record may hold the bars on which folds are tested here; name its algorithm in --entrants, which trains "
            "it on each fold, or play the export by task=backtest backtest.checkpoints=[<its folder>]"
        )
    if len(names) != 1:
        raise DoesNotFitError(f"it reads {', '.join(names)}; a graph of one input is played, the observations [N, D]")
    return session


def _algorithm(name: str) -> Any:
    """Return the algorithm of Stable-Baselines3, or of its contributed ones where they are installed, of that name.

    DoesNotFitError where there is none, or it remembers what it saw: its memory is not handed on here.
    """
    import stable_baselines3

    known = dict(vars(stable_baselines3))
    if importlib.util.find_spec("sb3_contrib") is not None:
        known |= vars(importlib.import_module("sb3_contrib"))
    found = {word: value for word, value in known.items() if isinstance(value, type) and hasattr(value, "load")}
    if name not in found:
        raise DoesNotFitError(f"Stable-Baselines3 has no algorithm {name}; {did_you_mean(name, found)}")
    if name.startswith("Recurrent"):
        raise DoesNotFitError(f"{name} remembers what it saw; play it by a class of your own with reset() and act()")
    return found[name]


def _normaliser(statistics: Path | None) -> Any:
    """Return the VecNormalize that was saved there, None where there is no path; it goes on learning nothing here."""
    if statistics is None:
        return None
    with statistics.open("rb") as file:
        found = pickle.load(file)
    if not hasattr(found, "normalize_obs"):
        raise DoesNotFitError(f"{statistics.name} holds a {type(found).__name__}, and no VecNormalize")
    return found


def _model(path: Path, algorithm: str, make_env: MakeEnv, *, statistics: Path | None = None) -> Decide:
    model, normaliser = _algorithm(algorithm).load(path, device="cpu"), _normaliser(statistics)
    reads = getattr(model.observation_space, "shape", None) or ()  # of a choice it is (), of a dictionary None
    kind = make_env(1).actions
    assert kind.layout is not None
    if len(reads) != 1:
        told = f"{model.observation_space}"[:80]
        raise DoesNotFitError(f"{path.name} reads {told}, this market shows {kind.layout.size} numbers in a row")
    _require_size(path, reads, kind.layout.size)
    if statistics is not None:
        _require_size(statistics, tuple(normaliser.observation_space.shape or ()), kind.layout.size)
    given, asked_for = model.action_space, kind.space()
    if _size_of(given) != _size_of(asked_for):
        raise DoesNotFitError(f"{path.name} answers {given}, and actions of --action {kind.name} are {asked_for}")

    def decide(seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        read = seen if normaliser is None else normaliser.normalize_obs(seen)
        asked = np.asarray(model.predict(read, deterministic=True)[0], dtype=kind.empty(1).dtype)
        return kind.weights(asked, seen, np.zeros((len(seen), kind.assets), np.float32)).astype(np.float64)

    return decide


def _size_of(space: Any) -> tuple[str, Any]:
    """Return the kind of a space of actions, and how many numbers or choices there are."""
    return type(space).__name__, getattr(space, "n", space.shape)


def _class(path: Path, name: str) -> Callable[[], Any]:
    spec = importlib.util.spec_from_file_location(f"arena_entry_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callable[[], Any] = getattr(module, name)
    if not callable(made):
        raise TypeError(f"{name} is no class")
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
    path, _, rest = place.partition(":")
    part, _, under = rest.partition(":")
    file = Path(path)
    if not set(name).isdisjoint("/\\|\n"):
        raise ValueError(f"--entry {text}: a name is part of a file's name and of a table; leave out / \\ and |")
    if name and path and not file.is_file():
        raise ValueError(f"--entry {text}: there is no file {path}")
    if not name or file.suffix not in (".onnx", ".py", ".zip"):
        raise ValueError(f"--entry {text}: give name=policy.onnx, name=file.py:Class or name=model.zip:PPO")
    if file.suffix == ".py" and not part:
        raise ValueError(f"--entry {text}: name the class, as in {name}={path}:Policy")
    if file.suffix == ".zip" and not part:
        raise ValueError(f"--entry {text}: name the algorithm that saved it, as in {name}={path}:PPO")
    if under and file.suffix != ".zip":
        raise ValueError(
            f"--entry {text}: only a model of Stable-Baselines3 has statistics of VecNormalize; leave {under} out"
        )
    statistics = _statistics(f"{name}={path}:{part}", file, under) if file.suffix == ".zip" else None
    words = ":".join(filter(None, (file.name, part, statistics.name if statistics else "")))
    return Entrant(name, words, (f"env.action={action}",), OwnPolicy(file, part, statistics))


def _statistics(text: str, model: Path, under: str) -> Path | None:
    """Return the file of the statistics under which a model was trained, None for none.

    Without them such a model plays on what it has never seen, and nothing in it tells: statistics that lie beside it, or in a
    folder there as rl-zoo3 leaves them, are to be named or waved off.
    """
    if under and under != _NONE:
        if not Path(under).is_file():
            raise ValueError(f"--entry {text}: there is no file {under}")
        return Path(under)
    beside = sorted(
        path for path in (*model.parent.glob("*"), *model.parent.glob("*/*")) if _STATISTICS.search(path.name)
    )
    if beside and not under:
        raise ValueError(
            f"--entry {text}: statistics of VecNormalize lie beside it ({some([str(path) for path in beside], 3)}); name those that it was trained under,"
            f" as in {text}:{beside[0]}, or {text}:{_NONE} where it was trained without"
        )
    return None
