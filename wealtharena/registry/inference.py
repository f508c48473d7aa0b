"""policy.onnx at work: raw features and a portfolio in, weights out. Knows neither torch nor ray."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from wealtharena.envs.observation import account_width
from wealtharena.errors import CheckpointError
from wealtharena.registry.integrity import VerifiedFiles
from wealtharena.registry.metadata import Metadata, parse_metadata
from wealtharena.registry.onnx_format import check_onnx
from wealtharena.registry.onnx_trial import try_out, without_reports
from wealtharena.registry.probe import Probe
from wealtharena.registry.scaling import Scaling

if TYPE_CHECKING:
    import onnxruntime

Float32Array = npt.NDArray[np.float32]
TOLERANCE = 1e-5
STATE_IN = "state_"
STATE_OUT = "next_"
SPREAD = "spread"  # output of an ensemble: the L1 norm of its members' standard deviation, in weight
PIECE = 64  # rows of a large batch that one thread takes at a time


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """Return the threads that share large batches; sessions are single-threaded, so that small ones never wait."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="policy")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork has no threads but its own: work would wait for good


def open_session(content: bytes, *, where: str) -> onnxruntime.InferenceSession:
    """Return a single-threaded CPU session; CheckpointError where `content` is no ONNX model."""
    without_reports()
    import onnxruntime  # here, and not before a graph was tried: the process that tries it imports it meanwhile

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base below Exception
        raise CheckpointError(
            f"{where}/policy.onnx: cannot be read by onnxruntime", hint="save the checkpoint again"
        ) from error


class Decisions(NamedTuple):
    """What a policy decides for N observations."""

    weights: Float32Array  # [N, A]
    states: dict[str, Float32Array]  # what the next bar takes, [N, ...] by name
    spread: Float32Array | None  # [N], of an ensemble only


@dataclass(frozen=True, eq=False)
class OnnxPolicy:
    """One verified checkpoint, ready to answer; immutable and safe to share between threads."""

    metadata: Metadata
    manifest_sha256: str
    session: onnxruntime.InferenceSession
    probe: Probe
    scaling: Scaling
    state_names: tuple[str, ...]
    outputs: list[str]  # of the graph, in this order: weights, an ensemble's spread, next states

    @classmethod
    def from_files(cls, files: VerifiedFiles, *, made_here: bool = False) -> OnnxPolicy:
        """Return the policy of a verified folder; CheckpointError where graph, metadata and probe disagree.

        A graph is data from outside: it is looked at, then tried in a process of its own, before this one opens it. One
        that this process has just exported (`made_here`) is looked at only.
        """
        where = files.folder.name
        metadata = parse_metadata(files.json("metadata.json"), where=f"{where}/metadata.json")
        graph = files.content["policy.onnx"]
        check_onnx(graph, where=f"{where}/policy.onnx")
        problem = None if made_here else try_out(graph, _input_shapes(metadata), 2 * PIECE - 1)
        if problem is not None:
            raise CheckpointError(f"{where}/policy.onnx: {problem}", hint="do not serve it; find out who wrote it")
        session = open_session(graph, where=where)
        states = tuple(sorted(metadata.states))
        _check_graph(session, metadata, where)
        return cls(
            metadata=metadata,
            manifest_sha256=files.manifest_sha256,
            session=session,
            probe=_probe(files, metadata, where),
            scaling=Scaling.of(files.json("scaler.json"), metadata.feature_names, where=f"{where}/scaler.json"),
            state_names=states,
            outputs=[*_decided(metadata), *(STATE_OUT + name for name in states)],
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise CheckpointError(
            "a policy is not copied or sent to another process",
            hint="load it there: load_checkpoint, or a ProductionModelManager, with the same root",
        )

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """Return [A, window, F] of one observation's features."""
        meta = self.metadata
        return len(meta.symbols), meta.window, len(meta.feature_names)

    def start_states(self, rows: int) -> dict[str, Float32Array]:
        """Return the zero state that an episode begins with, for `rows` observations."""
        return {name: np.zeros((rows, *shape), dtype=np.float32) for name, shape in self.metadata.states.items()}

    def act(
        self, features: Float32Array, portfolio: Float32Array, states: Mapping[str, Float32Array] | None = None
    ) -> Decisions:
        """Return the decisions on raw features [N, A, window, F] and portfolio [N, A + 3]."""
        carried = states if states is not None else self.start_states(len(features))
        feed = {"features": features, "portfolio": portfolio}
        feed.update({STATE_IN + name: carried[name] for name in self.state_names})
        if len(features) < 2 * PIECE:
            found = self._run(feed)
        else:
            pieces = [slice(at, at + PIECE) for at in range(0, len(features), PIECE)]
            parts = _pool().map(lambda piece: self._run({name: rows[piece] for name, rows in feed.items()}), pieces)
            found = [np.concatenate(column) for column in zip(*parts, strict=True)]
        spread = found.pop(1) if self.metadata.members else None
        return Decisions(found[0], dict(zip(self.state_names, found[1:], strict=True)), spread)

    def _run(self, feed: dict[str, Float32Array]) -> list[Float32Array]:
        """Return the graph's outputs for some rows."""
        found: list[Float32Array] = self.session.run(self.outputs, feed)
        return found

    def check_probe(self) -> float:
        """Return the largest difference to the recorded weights; CheckpointError where it exceeds 1e-5."""
        weights = self.act(self.probe.features, self.probe.portfolio, self.probe.states).weights
        worst = float(np.max(np.abs(weights - self.probe.weights)))
        if not worst <= TOLERANCE:
            raise CheckpointError(
                f"{self.metadata.model_path}: answers differ from the recorded ones by {worst:.2g}",
                hint="this machine's onnxruntime does not reproduce the policy; save the checkpoint again",
            )
        return worst


def _probe(files: VerifiedFiles, metadata: Metadata, where: str) -> Probe:
    probe = Probe.from_bytes(files.content["probe.npz"])
    shapes = {"features": probe.features.shape[1:], "portfolio": probe.portfolio.shape[1:]}
    shapes.update({STATE_IN + name: state.shape[1:] for name, state in probe.states.items()})
    if {name: list(shape) for name, shape in shapes.items()} != _input_shapes(metadata):
        raise CheckpointError(f"{where}/probe.npz: is not of the agent's shapes", hint="save the checkpoint again")
    return probe


def _decided(metadata: Metadata) -> list[str]:
    """Return the names of the graph's outputs before the states."""
    return ["weights", SPREAD] if metadata.members else ["weights"]


def _input_shapes(metadata: Metadata) -> dict[str, list[int]]:
    """Return the shapes of the graph's inputs, without the batch."""
    assets, window, features = len(metadata.symbols), metadata.window, len(metadata.feature_names)
    shapes = {"features": [assets, window, features], "portfolio": [account_width(assets)]}
    return {**shapes, **{STATE_IN + name: list(shape) for name, shape in metadata.states.items()}}


def _check_graph(session: onnxruntime.InferenceSession, metadata: Metadata, where: str) -> None:
    expected = _input_shapes(metadata)
    inputs = {entry.name: entry.shape[1:] for entry in session.get_inputs()}
    outputs = {entry.name for entry in session.get_outputs()}
    if inputs != expected or outputs != {*_decided(metadata), *(STATE_OUT + name for name in metadata.states)}:
        raise CheckpointError(
            f"{where}/policy.onnx: inputs {inputs} are not the metadata's {expected}", hint="save the checkpoint again"
        )
