"""Bars of the past, one after the other, as fast as they are taken or by the clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np

from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.envs.anchors import anchored
from wealtharena.envs.market import Market
from wealtharena.errors import ConfigError
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel, Scaler
from wealtharena.trading.clock import Due
from wealtharena.trading.desk import Close
from wealtharena.trading.feeds.history import computed, least_bars
from wealtharena.trading.ledger import Decision


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
    ) -> None:
        self._window, self._env, self._scaler = window, env, scaler
        self._features = features if env.tilt is None else anchored(features, env.tilt)
        self._depth, self._least = depth, least
        self._market = Market.build(self._features, env, scaler) if least is None else None

    def closes(self, last: Decision | None) -> Iterator[Close]:
        """Yield the closes that are left after the last decision, with its own where not all of it was sent.

        A broker that fills by these bars may stand one further than the decision, but only once all of it was sent.
        """
        return (one for one in self.steps(last) if isinstance(one, Close))

    def steps(self, last: Decision | None) -> Iterator[Due | Close]:
        """Yield the same closes, the time of each before it."""
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
        for row in range(first, self._window.stop):
            yield Due(stamps[row].astype("datetime64[us]").item().replace(tzinfo=dt.UTC))
            yield self._close(row)

    def _close(self, row: int) -> Close:
        stop = row + 1
        features, first = self._features, max(0, stop - self._depth)
        if self._market is not None:
            return Close(features.slice(first, stop), self._market.part(first, stop))
        assert self._least is not None, "what has no market of all bars computes each close anew"
        bars = least_bars(self._least, self._env) + self._depth
        made = computed(features.panel.slice(max(0, stop - bars), stop), self._least, self._env)
        first = max(0, made.bars - self._depth)
        market = Market.build(made, self._env, self._scaler)  # of all bars: a price may be carried on into the last
        return Close(made.slice(first, made.bars), market.part(first, made.bars))
