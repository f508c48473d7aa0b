"""Features of a close from as few bars as they need, the same for every feed."""

from __future__ import annotations

from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.anchors import anchored, history_bars
from wealtharena.features import compute
from wealtharena.features.computing import min_history_bars, warmup_bars
from wealtharena.features.panel import FeaturePanel


def least_bars(features: FeaturesSpec, env: EnvSpec) -> int:
    """Return how many bars give the same last row of features, anchor included, as a history of any length: to 1e-6."""
    if env.tilt is None:
        return min_history_bars(features.names)
    return max(min_history_bars(features.names), warmup_bars(features.names) + history_bars(env.tilt))


def computed(panel: Panel, features: FeaturesSpec, env: EnvSpec) -> FeaturePanel:
    """Return the features of a panel, with what a tilt is measured from beside them where actions are tilts."""
    made = compute(panel, features)
    return made if env.tilt is None else anchored(made, env.tilt)
