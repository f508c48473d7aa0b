"""Promoted agents at work: the manager, the REST service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wealtharena.deployment.manager import ProductionModelManager
    from wealtharena.deployment.prediction import Prediction

__all__ = ["Prediction", "ProductionModelManager"]


def __getattr__(name: str) -> Any:
    if name == "ProductionModelManager":
        from wealtharena.deployment.manager import ProductionModelManager

        return ProductionModelManager
    if name == "Prediction":
        from wealtharena.deployment.prediction import Prediction

        return Prediction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
