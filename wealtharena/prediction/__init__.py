"""From bars to weights: features, observation, the agent's answer. The one path for Python, the service and trading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wealtharena.prediction.answers import Prediction
    from wealtharena.prediction.manager import ProductionModelManager

__all__ = ["Prediction", "ProductionModelManager"]


def __getattr__(name: str) -> Any:
    if name == "ProductionModelManager":
        from wealtharena.prediction.manager import ProductionModelManager

        return ProductionModelManager
    if name == "Prediction":
        from wealtharena.prediction.answers import Prediction

        return Prediction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
