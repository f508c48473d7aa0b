"""What stands where in an observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.tilt import TiltSpec
from wealtharena.errors import MarketError

ANCHOR_COLUMNS: Final = ("anchor", "sigma")  # the last two features of a layout with a tilt
SHARED: Final = 3  # numbers of the account part that are of no symbol: cash, drawdown, leverage


def account_width(assets: int) -> int:
    """Return how many numbers of an observation tell of the account: a weight a symbol, and what is of no symbol."""
    return assets + SHARED


def signals(feature_names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the features that are computed from the bars alone: all but the anchor's columns."""
    return tuple(name for name in feature_names if name not in ANCHOR_COLUMNS)


@dataclass(frozen=True)
class ObservationLayout:
    """Index ranges of an observation: float32 [D], D = A * window * F + account_width(A).

    | part | range | meaning |
    |---|---|---|
    | features | 0 .. A*window*F | scaled features, symbol by symbol, the oldest bar first: [A, window, F] flattened |
    | weights | next A | value held over equity, by symbol |
    | cash | next 1 | cash over equity |
    | drawdown | next 1 | equity over its peak, less 1; never positive |
    | leverage | next 1 | gross value over equity |

    Features lie within +- `clip`; the account part within +-100. Where actions are tilts, the last two features of
    each symbol are its weight in the anchor and the root mean square of its last returns, 0 where it has no trade at
    that bar; both stand as they are, unscaled.
    """

    symbols: tuple[str, ...]
    feature_names: tuple[str, ...]
    window: int
    tilt: TiltSpec | None = None

    @property
    def signals(self) -> tuple[str, ...]:
        """Return the names of the features that are computed from the bars alone."""
        return signals(self.feature_names)

    @cached_property
    def anchor(self) -> slice:
        """Where the anchor's weights [A] stand, at the last bar of the window; MarketError without a tilt."""
        return self.column(ANCHOR_COLUMNS[0])

    @cached_property
    def sigma(self) -> slice:
        """Where the symbols' volatilities [A] stand, 0 for one that does not trade; MarketError without a tilt."""
        return self.column(ANCHOR_COLUMNS[1])

    def column(self, name: str) -> slice:
        """Where one feature of all symbols [A] stands, at the last bar of the window; MarketError where there is none."""
        if name not in self.feature_names:
            tilted = name in ANCHOR_COLUMNS
            hint = "build the market with env.action=tilt" if tilted else f"there are {', '.join(self.feature_names)}"
            raise MarketError(f"this observation has no {name}", hint=hint)
        count = len(self.feature_names)
        first = (self.window - 1) * count + self.feature_names.index(name)
        return slice(first, int(self.features.stop), self.window * count)

    @cached_property
    def features(self) -> slice:
        return slice(0, len(self.symbols) * self.window * len(self.feature_names))

    @cached_property
    def weights(self) -> slice:
        return slice(self.features.stop, self.features.stop + len(self.symbols))

    @cached_property
    def cash(self) -> slice:
        return slice(self.weights.stop, self.weights.stop + 1)

    @cached_property
    def drawdown(self) -> slice:
        return slice(self.cash.stop, self.cash.stop + 1)

    @cached_property
    def leverage(self) -> slice:
        return slice(self.drawdown.stop, self.drawdown.stop + 1)

    @cached_property
    def shared(self) -> slice:
        """What is of no symbol: cash, drawdown and leverage."""
        return slice(self.cash.start, self.leverage.stop)

    @cached_property
    def size(self) -> int:
        """Return D."""
        return int(self.features.stop) + account_width(len(self.symbols))

    def describe(self, observation: npt.NDArray[np.float32]) -> dict[str, float]:
        """Return every number of one observation under its name, in order.

        Names read `rsi_14[BTC-USD]` (`rsi_14[BTC-USD,-2]` two bars back), `weight[BTC-USD]`, `cash`, `drawdown`,
        `leverage`. Raises MarketError where the observation has another size.
        """
        if observation.shape != (self.size,):
            raise MarketError(
                f"observation has shape {observation.shape}, the layout describes ({self.size},)",
                hint="pass one observation, not a batch",
            )
        return dict(zip(self.names(), observation.tolist(), strict=True))

    def names(self) -> tuple[str, ...]:
        """Return the name of every number of an observation, in order."""
        lags = [self.window - 1 - w for w in range(self.window)]
        features = [
            f"{name}[{symbol}]" if lag == 0 else f"{name}[{symbol},-{lag}]"
            for symbol in self.symbols
            for lag in lags
            for name in self.feature_names
        ]
        weights = [f"weight[{symbol}]" for symbol in self.symbols]
        return (*features, *weights, "cash", "drawdown", "leverage")
