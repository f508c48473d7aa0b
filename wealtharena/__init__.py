"""Reinforcement-learning trading agents: trained, tested once on held-out data, judged honestly.

Importing the package registers the environment with Gymnasium by name; torch, ray and the environment's own code are
loaded when they are first used.
"""

from __future__ import annotations

import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any


def _is_the_command() -> bool:
    """Return whether the process is `wealtharena` or `python -m wealtharena`, and no program that imports the package."""
    started = sys.orig_argv[1:3]
    return started == ["-m", "wealtharena"] or any(word.endswith("/wealtharena") for word in started[:1])


if _is_the_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as run.py does; what follows is most of what is imported

from gymnasium.envs.registration import register, registry  # noqa: E402  # after Ctrl-C is seen to

if TYPE_CHECKING:
    from wealtharena.prediction import ProductionModelManager
    from wealtharena.registry import ModelCheckpoint
    from wealtharena.study import Study

if sys.platform == "win32":
    raise ImportError("WealthArena locks files and bounds processes as Linux does; on Windows, install it in WSL")

__all__ = ["ModelCheckpoint", "ProductionModelManager", "Study"]

_LATE = {
    "ModelCheckpoint": "wealtharena.registry",
    "ProductionModelManager": "wealtharena.prediction",
    "Study": "wealtharena.study",
}
_ENV_ID = "wealtharena/Portfolio-v0"

if _ENV_ID not in registry:
    register(
        _ENV_ID,
        entry_point="wealtharena.envs.portfolio_env:PortfolioEnv",
        vector_entry_point="wealtharena.envs.vector_env:PortfolioVectorEnv",
    )


def __getattr__(name: str) -> Any:
    """Import a public class on first use, or return the version of this code as `__version__`."""
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    if name == "__version__":
        return importlib.import_module("wealtharena.version").version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE, "__version__"})
