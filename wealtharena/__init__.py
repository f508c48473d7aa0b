"""Reinforcement-learning trading agents: trained, tested once on held-out data, judged honestly."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wealtharena.deployment import ProductionModelManager
    from wealtharena.registry import ModelCheckpoint

__all__ = ["ModelCheckpoint", "ProductionModelManager", "register_envs"]

_LATE = {"ModelCheckpoint": "wealtharena.registry", "ProductionModelManager": "wealtharena.deployment"}
_ENV_ID = "wealtharena/Portfolio-v0"


def __getattr__(name: str) -> Any:
    """Import the public classes on first use, so that `import wealtharena` costs nothing."""
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})


def register_envs() -> None:
    """Register wealtharena/Portfolio-v0 with Gymnasium; repeating it does nothing.

    Gymnasium calls this itself when it is imported (entry point `gymnasium.envs`), and no environment code is loaded
    before one is made.
    """
    from gymnasium.envs.registration import register, registry

    if _ENV_ID not in registry:
        register(
            _ENV_ID,
            entry_point="wealtharena.envs.portfolio_env:PortfolioEnv",
            vector_entry_point="wealtharena.envs.vector_env:PortfolioVectorEnv",
        )


def _gymnasium_finds_us() -> bool:
    try:
        distribution = importlib.metadata.distribution(__name__)
    except importlib.metadata.PackageNotFoundError:
        return False
    return any(point.group == "gymnasium.envs" for point in distribution.entry_points)


if "gymnasium" in sys.modules or not _gymnasium_finds_us():
    register_envs()
