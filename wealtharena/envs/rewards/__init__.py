"""Rewards by name: one small compiled function a file, found by the file's name.

A new reward is `<name>.py` here, with a function of that name, and `conf/reward/<name>.yaml`. The function is called
once a bar, after costs, as `<name>(ratio, before, after, first, second, rules)` and returns `(value, first, second)`:
`ratio` is V' / V, at least 1e-6; `before` and `after` are V / peak - 1 at the two closes, never positive; `first` and
`second` are two numbers of its own, kept over an episode and 0 at its begin; `rules` is the kernel's vector, of which
`rules[PARAMETER]` is `reward.parameter`, free for a reward that needs a number.
"""

from __future__ import annotations

from typing import Any, Final

from wealtharena.config import plugins
from wealtharena.config.paths import reward_names

NAMES: Final = reward_names()
CHOICES: Final[tuple[tuple[int, Any], ...]] = tuple(  # place in NAMES, function
    (place, getattr(plugins.load("envs.rewards", name), name)) for place, name in enumerate(NAMES)
)
