"""A version of the registry in a backtest: asked with what the service and the loop show it, answering by the same graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wealtharena.envs.observation import ANCHOR_COLUMNS
from wealtharena.evaluation.backtest import Piece
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import Scaler
from wealtharena.trading.minds import Float32Array, Served, States


class Unscaled(Scaler):
    """Shows features as they are, NaN where there is none: for a policy that scales them itself."""

    def transform(self, values: Float32Array) -> Float32Array:
        """Return the same features; an anchor's columns have 0 for NaN, since the market itself reads them there."""
        shown = np.array(values, dtype=np.float32)
        if self.names[-2:] == ANCHOR_COLUMNS:
            shown[..., -2:] = np.nan_to_num(shown[..., -2:], nan=0.0)
        return shown


@dataclass(eq=False)
class GraphPolicy:
    """The graph of a version as the policy of a backtest whose market shows features as they are."""

    mind: Served
    _states: States = field(default=None, init=False)

    @property
    def name(self) -> str:
        return self.mind.policy.metadata.algo

    def reset(self, batch: int = 1) -> None:
        """Forget what was seen."""
        self._states = None

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return target weights [N, A] for observations [N, D]; memory moves on by one bar."""
        shape = self.mind.policy.feature_shape
        features, account = np.split(observation, [int(np.prod(shape))], axis=1)
        found = self.mind.decisions(
            np.ascontiguousarray(features).reshape(-1, *shape), np.ascontiguousarray(account), self._states
        )
        self._states = found.states
        return np.asarray(found.weights, dtype=np.float64)


def piece_of(mind: Served, window: Segment) -> Piece:
    """Return the window as the version plays it."""
    scaler = mind.scaler
    return Piece(GraphPolicy(mind), Unscaled(scaler.names, scaler.mean, scaler.std, scaler.clip), window)
