"""Recorded observations: what a policy saw and answered, kept beside it as the proof that it still does."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wealtharena.envs.observation import account_width
from wealtharena.errors import CheckpointError

Float32Array = npt.NDArray[np.float32]
_STATE = "state_"
MAX_BYTES = 256 * 1024 * 1024  # unpacked


@dataclass(frozen=True, eq=False)
class Probe:
    """N decisions of a policy, with everything that determines each.

    `features` are raw (unscaled), oldest bar first; `portfolio` is weights held, cash share, drawdown, leverage.
    `states` is what the network carried into each decision, by name; empty without memory.
    """

    features: Float32Array  # [N, A, window, F]
    portfolio: Float32Array  # [N, A + 3]
    weights: Float32Array  # [N, A] as answered, projected
    states: Mapping[str, Float32Array] = field(default_factory=dict)  # name -> [N, ...]

    def __post_init__(self) -> None:
        if self.features.ndim != 4:
            raise CheckpointError(f"probe.features has shape {self.features.shape}, expected [N, A, window, F]")
        rows, assets = self.features.shape[:2]
        expected = {"portfolio": (rows, account_width(assets)), "weights": (rows, assets)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise CheckpointError(f"probe.{name} has shape {getattr(self, name).shape}, expected {shape}")
        for name, state in self.states.items():
            if state.shape[:1] != (rows,):
                raise CheckpointError(f"probe.states[{name}] has {state.shape[:1]} rows, expected {rows}")
        if any(not np.isfinite(state).all() for state in self.states.values()) or np.isinf(self.features).any():
            raise CheckpointError("a probe has finite states, and features that are finite or missing")
        if rows == 0 or not np.isfinite(self.weights).all() or not np.isfinite(self.portfolio).all():
            raise CheckpointError("a probe needs at least one decision, with finite weights and portfolio")

    def __len__(self) -> int:
        return int(self.features.shape[0])

    def to_bytes(self) -> bytes:
        """Return the probe as an .npz without objects."""
        buffer = io.BytesIO()
        states = {f"{_STATE}{name}": value for name, value in self.states.items()}
        np.savez_compressed(buffer, features=self.features, portfolio=self.portfolio, weights=self.weights, **states)  # type: ignore[arg-type]  # numpy types **kwds as bool
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Probe:
        """Return what `to_bytes` wrote; reads no object arrays. CheckpointError for anything else."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                    raise ValueError("it would unpack to more than a probe is")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                loaded = {name: np.asarray(arrays[name], dtype=np.float32) for name in arrays.files}
            states = {name.removeprefix(_STATE): value for name, value in loaded.items() if name.startswith(_STATE)}
            return cls(
                features=loaded["features"], portfolio=loaded["portfolio"], weights=loaded["weights"], states=states
            )
        except CheckpointError as error:
            raise CheckpointError(f"probe.npz: {error.message}", hint="save the checkpoint again") from error
        except Exception as error:  # bytes from outside: zip, zlib and numpy fail in more ways than they name
            raise CheckpointError("probe.npz: is not a probe", hint="save the checkpoint again") from error
