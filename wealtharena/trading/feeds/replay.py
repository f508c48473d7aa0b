"""Bars of the past, one after the other, as fast as they are taken or by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.envs.anchors import anchored
from wealtharena.envs.market import Market
from wealtharena.errors import ConfigError
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel, Scaler
from wealtharena.trading.desk import Close
from wealtharena.trading.feeds.history import computed, least_bars
from wealtharena.trading.ledger import Decision

Wait = Callable[[float], None]


class Replay:
    """The closes of a window of bars; none shows a later one.

    With `least`, features are computed anew at each close from no more bars than they need, as with a young feed.
    """

    def __init__(
        self,
        features: FeaturePanel,
        window: Segment,
        env: EnvSpec,
        scaler: Scaler,
        *,
        depth: int,
        least: FeaturesSpec | None = None,
        speed: float | None = None,
    ) -> None:
        self._window, self._env, self._scaler = window, env, scaler
        self._features = features if env.tilt is None else anchored(features, env.tilt)
        self._depth, self._least, self._speed = depth, least, speed

    def closes(self, last: Decision | None, *, wait: Wait = time.sleep) -> Iterator[Close]:
        """Yield the closes that are left after the last decision, with its own where not all of it was sent.

        A broker that fills by these bars may stand one further than the decision, but only once all of it was sent.
        `wait` is given seconds to pass.

        Each is due at its own time after the first, divided by the speed: waiting does not add up.
        """
        stamps = self._features.panel.timestamps
        first = self._window.start
        if last is not None:
            first = int(np.searchsorted(stamps, np.datetime64(last.bar, "ns")))
            if not self._window.start <= first < self._window.stop:
                raise ConfigError(
                    f"the account stands at {last.bar}, outside the window",
                    hint="another paper.end, or paper.action=restart",
                )
            first += last.sent
        began = time.monotonic()
        for row in range(first, self._window.stop):
            if self._speed is not None:
                age = float((stamps[row] - stamps[first]) / np.timedelta64(1, "ns")) / 1e9
                wait(max(0.0, began + age / self._speed - time.monotonic()))
            yield self._close(row)

    def _close(self, row: int) -> Close:
        stop = row + 1
        features = self._features
        if self._least is not None:
            bars = least_bars(self._least, self._env) + self._depth
            made = computed(features.panel.slice(max(0, stop - bars), stop), self._least, self._env)
            shown = made.slice(max(0, made.bars - self._depth), made.bars)
        else:
            shown = features.slice(max(0, stop - self._depth), stop)
        return Close(shown, Market.build(shown, self._env, self._scaler))
