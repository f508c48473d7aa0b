"""An answer: weights by symbol, and everything one must know before acting on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Prediction(Mapping[str, float]):
    """Target weights by symbol, as shares of equity: `answer["BTC-USD"]`, `dict(answer)`.

    All of it comes from one version. `state` is what a policy with memory wants back with the next bar;
    `flat_portfolio_assumed` says that no portfolio was given and an empty one was taken; `as_of` is the bar decided on.
    """

    agent: str
    version: str
    stage: str
    verdict: str
    simulated: bool
    symbols: tuple[str, ...]
    weights: npt.NDArray[np.float32]  # [A]
    flat_portfolio_assumed: bool
    state: Mapping[str, npt.NDArray[np.float32]]
    as_of: str | None = None

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
            "state": {name: value.tolist() for name, value in self.state.items()},
        }
