"""Answers: weights by symbol, and everything one must know before acting on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Origin:
    """Where an answer comes from, the same for all rows of a batch."""

    agent: str
    version: str
    stage: str
    verdict: str
    simulated: bool
    symbols: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Prediction(Mapping[str, float]):
    """Target weights by symbol, as shares of equity: `answer["BTC-USD"]`, `dict(answer)`.

    All of it comes from one version. `state` is what a policy with memory wants back with the next bar; `spread` is how
    far an ensemble's members are apart, in weight. `flat_portfolio_assumed` says that no portfolio was given and an
    empty one was taken; `as_of` is the bar decided on, `notes` what a backtest too would have repaired or left out. The facts of its origin are at hand by their own names.
    """

    origin: Origin
    weights: Float32Array  # [A]
    state: Mapping[str, Float32Array]
    spread: float | None
    flat_portfolio_assumed: bool
    as_of: str | None
    notes: tuple[str, ...] = ()

    @property
    def agent(self) -> str:
        return self.origin.agent

    @property
    def version(self) -> str:
        return self.origin.version

    @property
    def stage(self) -> str:
        return self.origin.stage

    @property
    def verdict(self) -> str:
        return self.origin.verdict

    @property
    def simulated(self) -> bool:
        return self.origin.simulated

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.origin.symbols

    def __getitem__(self, symbol: str) -> float:
        try:
            return float(self.weights[self.symbols.index(symbol)])
        except ValueError:
            raise KeyError(symbol) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def cash(self) -> float:
        """Return the share of equity that the weights leave in cash."""
        return 1.0 - float(self.weights.sum())


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[Prediction]):
    """The answers to N observations, all of one version, in the order of the observations."""

    origin: Origin
    weights: Float32Array  # [N, A]
    states: Mapping[str, Float32Array]  # [N, ...] by name
    spread: Float32Array | None  # [N], of an ensemble only
    flat_portfolio_assumed: Sequence[bool]
    as_of: Sequence[str | None]
    notes: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.weights)

    @overload
    def __getitem__(self, row: int) -> Prediction: ...
    @overload
    def __getitem__(self, row: slice) -> list[Prediction]: ...
    def __getitem__(self, row: int | slice) -> Prediction | list[Prediction]:
        if isinstance(row, slice):
            return [self[n] for n in range(*row.indices(len(self)))]
        return Prediction(
            self.origin,
            self.weights[row],
            {name: value[row] for name, value in self.states.items()},
            None if self.spread is None else float(self.spread[row]),
            self.flat_portfolio_assumed[row],
            self.as_of[row],
            self.notes[row],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the answers as JSON types; a state is its numbers in a row."""
        origin, rows = self.origin, len(self)
        cash = (1.0 - self.weights.sum(axis=1)).tolist()
        carried = {name: value.reshape(rows, -1).tolist() for name, value in self.states.items()}
        spread = [None] * rows if self.spread is None else self.spread.tolist()
        return {
            "agent": origin.agent,
            "version": origin.version,
            "stage": origin.stage,
            "verdict": origin.verdict,
            "simulated": origin.simulated,
            "predictions": [
                {
                    "weights": dict(zip(origin.symbols, row, strict=True)),
                    "cash": cash[i],
                    "spread": spread[i],
                    "flat_portfolio_assumed": self.flat_portfolio_assumed[i],
                    "as_of": self.as_of[i],
                    "notes": list(self.notes[i]),
                    "state": {name: value[i] for name, value in carried.items()},
                }
                for i, row in enumerate(self.weights.tolist())
            ],
        }
