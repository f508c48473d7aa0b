"""Rewards by name: one small compiled function a file, found by the file's name.

A new reward is `<name>.py` here, with a function of that name, and `conf/reward/<name>.yaml`. The function is called
once a bar, after costs, as `<name>(ratio, before, after, first, second, rules)` and returns `(value, first, second)`:
`ratio` is V' / V, at least 1e-6; `before` and `after` are V / peak - 1 at the two closes, never positive; `first` and
`second` are two numbers of its own, kept over an episode and 0 at its begin; `rules` is the kernel's vector, of which
`rules[PARAMETER]` is `reward.parameter`, free for a reward that needs a number.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from wealtharena.config import plugins
from wealtharena.config.paths import reward_names
from wealtharena.envs.compiled import Float64
from wealtharena.envs.logarithm import log
from wealtharena.envs.vector import RULES
from wealtharena.errors import ConfigError

_ROOM: Final = "envs.rewards"
_USUAL: Final = (1.01, 1.0, 0.99, 1.0, 1.03, 0.9)  # equity over equity before: gains, losses, rest, at a peak and below


def _function(name: str) -> Any:
    """Return the compiled function of a reward; ConfigError where a package's is none, or is no reward."""
    module = plugins.load(_ROOM, name)
    if not module.__name__.startswith(f"wealtharena.{_ROOM}."):
        _try(getattr(module, name, None), name)
    return getattr(module, name)


def _try(function: Any, name: str) -> None:
    """Raise ConfigError where the function cannot be called as a reward is: the kernel's own words name none."""
    if not (hasattr(function, "py_func") or (callable(function) and not hasattr(log, "py_func"))):
        lacks = f"has no function {name}" if function is None else f"has {name} without @compiled above it"
        raise ConfigError(f"{plugins.title(_ROOM, name)} {lacks}", hint=plugins.HINT)
    rules = np.ones(RULES)
    rules.flags.writeable = False  # as the kernel's are: a reward that writes there would change what trading costs
    try:
        value, first, second = function(1.01, -0.01, 0.0, 0.0, 0.0, rules)
        float(value), float(first), float(second)
    except Exception as error:  # of a package it may be any: it is named as the cause
        cause = str(error).strip().splitlines()[-1] if str(error) else ""
        raise ConfigError(
            f"{plugins.title(_ROOM, name)}: {name}(ratio, before, after, first, second, rules) does not give three numbers:"
            f" {type(error).__name__}: {cause}",
            hint=plugins.HINT,
        ) from error


def check_finite(name: str, rules: Float64) -> None:
    """Raise WealthArenaError where a package's reward is no number at some usual bar, by these rules of the kernel.

    A training would end in a loss that is not finite, which names neither the reward nor the bar.
    """
    if not plugins.of_package(_ROOM, name):
        return
    function = getattr(plugins.load(_ROOM, name), name)
    first, second, equity, peak, before = 0.0, 0.0, 1.0, 1.0, 0.0
    for ratio in _USUAL:
        equity *= ratio
        peak = max(peak, equity)
        after = equity / peak - 1.0
        given = f"ratio={ratio:g}, before={before:.3g}, after={after:.3g}, first={first:.3g}, second={second:.3g}"
        value, first, second = function(ratio, before, after, first, second, rules)
        if not all(map(math.isfinite, (value, first, second))):
            raise plugins.misused(_ROOM, name, f"{name} returns {value:g}, {first:g}, {second:g} at {given}")
        before = after


NAMES: Final = reward_names()
CHOICES: Final[tuple[tuple[int, Any], ...]] = tuple(  # place in NAMES, function
    (place, _function(name)) for place, name in enumerate(NAMES)
)
