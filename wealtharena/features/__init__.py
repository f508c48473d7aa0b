"""What an agent sees: causal indicators beside the bars they belong to, and their scaling.

Names are resolved on first use, so that importing the room costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wealtharena.features.computing import compute, min_history_bars, names_available
    from wealtharena.features.loading import load
    from wealtharena.features.panel import FeaturePanel, Scaler

_HOMES = {
    "compute": "computing",
    "min_history_bars": "computing",
    "names_available": "computing",
    "load": "loading",
    "FeaturePanel": "panel",
    "Scaler": "panel",
}

__all__ = ["FeaturePanel", "Scaler", "compute", "load", "min_history_bars", "names_available"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
