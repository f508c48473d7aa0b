"""What an engine answered, looked through before the loop goes on by it: one of a package may be anything."""

from __future__ import annotations

import io
from collections.abc import Mapping
from numbers import Real
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final

from wealtharena.config import plugins
from wealtharena.training.job import Figure

if TYPE_CHECKING:
    from wealtharena.agents.networks import Network

_ROOM: Final = "agents.algorithms"
STILL: Final = 100  # iterations without a step, after which there will be none


def steps_of(name: str, engine: Any) -> int:
    """Return the steps that an engine counts; WealthArenaError, which names the algorithm, where that is no whole number."""
    steps = engine.env_steps
    if type(steps) is not int or steps < 0:
        raise plugins.misused(_ROOM, name, f"its engine's env_steps is {steps!r}, and no whole number of steps")
    return steps


def figures_of(name: str, answer: object) -> dict[str, Figure]:
    """Return the figures of an iteration, numpy's numbers as Python's; WealthArenaError where some are none."""
    if not isinstance(answer, Mapping):
        raise plugins.misused(_ROOM, name, f"iterate returned a {type(answer).__name__} and no dict of figures")
    wrong = next((key for key, value in answer.items() if not (isinstance(key, str) and isinstance(value, Real))), None)
    if wrong is not None:
        raise plugins.misused(
            _ROOM, name, f"iterate returned a {type(answer[wrong]).__name__} as {wrong!r}, and no number"
        )
    return {key: value if isinstance(value, int | float) else float(value) for key, value in answer.items()}


def network_of(name: str, answer: object) -> Network:
    """Return the network of an engine; WealthArenaError where it is none that is kept, exported and served."""
    from wealtharena.agents.networks import Network

    if not isinstance(answer, Network):
        told = f"network returned a {type(answer).__name__}, and no Network of the bench's network_factory()"
        raise plugins.misused(_ROOM, name, told)
    return answer


def state_of(name: str, answer: object, *, tried: bool) -> dict[str, Any]:
    """Return the state of an engine; WealthArenaError where no training could go on from it.

    One of a package is loaded again as it will be then, unless that was `tried` before.
    """
    import torch

    if not (isinstance(answer, dict) and "env_steps" in answer):
        raise plugins.misused(_ROOM, name, f"get_state returned a {type(answer).__name__} and no dict with env_steps")
    if tried or not plugins.of_package(_ROOM, name):
        return answer
    try:
        kept = io.BytesIO()
        torch.save(answer, kept)
        kept.seek(0)
        torch.load(kept, weights_only=True, map_location="cpu")
    except (UnpicklingError, TypeError, AttributeError, RuntimeError) as error:
        told = "get_state returned what cannot be loaded again: it may hold tensors, numbers, texts, lists and dicts"
        raise plugins.misused(_ROOM, name, told) from error
    return answer
