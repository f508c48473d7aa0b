"""Market data: providers -> quality -> store -> panel.

`load` answers a request with a `Panel`; `load_panel` makes one of a table at hand. Names are resolved on first use, so
that importing the room costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wealtharena.data.bars import Bars, RawBars
    from wealtharena.data.loading import load, load_panel, repeat_overrides
    from wealtharena.data.panel import Panel
    from wealtharena.data.provider import Provider
    from wealtharena.data.providers.simulated import SimulatedMarket, simulate_market

_HOMES = {
    "Bars": "bars",
    "Provider": "provider",
    "RawBars": "bars",
    "load": "loading",
    "load_panel": "loading",
    "repeat_overrides": "loading",
    "Panel": "panel",
    "SimulatedMarket": "providers.simulated",
    "simulate_market": "providers.simulated",
}

__all__ = [
    "Bars",
    "Panel",
    "Provider",
    "RawBars",
    "SimulatedMarket",
    "load",
    "load_panel",
    "repeat_overrides",
    "simulate_market",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
