"""An answer: weights by symbol, and everything one must know before acting on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Origin:
    """Where an answer comes from, the same for all rows of a batch.

    `flat_portfolio_assumed` says that no portfolio was given and an empty one was taken; `as_of` is the bar decided on.
    """

    agent: str
    version: str
    stage: str
    verdict: str
    simulated: bool
    symbols: tuple[str, ...]
    flat_portfolio_assumed: bool
    as_of: str | None


@dataclass(frozen=True, eq=False, slots=True)
class Prediction(Mapping[str, float]):
    """Target weights by symbol, as shares of equity: `answer["BTC-USD"]`, `dict(answer)`.

    All of it comes from one version. `state` is what a policy with memory wants back with the next bar; `spread` is how
    far an ensemble's members are apart, in weight. The facts of its origin are at hand by their own names.
    """

    origin: Origin
    weights: npt.NDArray[np.float32]  # [A]
    state: Mapping[str, npt.NDArray[np.float32]]
    spread: float | None = None

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

    @property
    def flat_portfolio_assumed(self) -> bool:
        return self.origin.flat_portfolio_assumed

    @property
    def as_of(self) -> str | None:
        return self.origin.as_of

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

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON types."""
        return {
            "agent": self.agent,
            "version": self.version,
            "stage": self.stage,
            "verdict": self.verdict,
            "simulated": self.simulated,
            "flat_portfolio_assumed": self.flat_portfolio_assumed,
            "as_of": self.as_of,
            "weights": dict(zip(self.symbols, self.weights.tolist(), strict=True)),
            "cash": self.cash,
            "spread": self.spread,
            "state": {name: value.tolist() for name, value in self.state.items()},
        }
