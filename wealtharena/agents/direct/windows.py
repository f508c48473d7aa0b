"""Stretches of training bars: where they may begin, and what a network sees in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wealtharena.envs.market import Market
from wealtharena.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Windows:
    """Every first bar [S] from which `steps` decisions and the bar after them lie in one training segment."""

    firsts: Tensor
    steps: int

    @classmethod
    def of(cls, segments: tuple[tuple[int, int], ...], *, steps: int, earliest: int) -> Windows:
        """Return the windows of the segments, shorter ones where none has room for `steps`; no segment is crossed.

        ConfigError where no segment has two bars from `earliest` on, the first that can be observed.
        """
        rows = [(max(start, earliest), stop) for start, stop in segments]
        longest = max((stop - start - 1 for start, stop in rows), default=0)
        if longest < 1:
            raise ConfigError("no training segment has two bars to trade between", hint="give more training bars")
        steps = min(steps, longest)
        firsts = [torch.arange(start, stop - steps) for start, stop in rows if stop - steps > start]
        return cls(torch.cat(firsts), steps)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return first bars [*shape], all equally likely."""
        return self.firsts[torch.randint(len(self.firsts), shape, generator=generator)]


def seen(market: Market) -> Tensor:
    """Return the features [T, A, window * F] that a symbol shows at the close of each bar, the oldest bar first.

    A view where the window is 1. Rows before the first that can be observed repeat it.
    """
    layout = market.layout
    assets, count, window = len(layout.symbols), len(layout.feature_names), layout.window
    flat = torch.from_numpy(market.features.copy())
    if window == 1:
        return flat.reshape(market.length, assets, count)
    views = flat.reshape(assets, market.length, count).unfold(1, window, 1)  # [A, T - window + 1, F, window]
    rows = views.permute(1, 0, 3, 2).flatten(2)
    return torch.cat([rows[:1].expand(window - 1, -1, -1), rows])
