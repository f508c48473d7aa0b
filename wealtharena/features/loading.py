"""From a request straight to features, with what the store keeps of unchanged requests."""

from __future__ import annotations

from pathlib import Path

from wealtharena import data as market_data
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.features.computing import compute
from wealtharena.features.panel import FeaturePanel


def load(asset: AssetSpec, data: DataSpec, spec: FeaturesSpec, *, seed: int) -> FeaturePanel:
    """Return the features of the panel that `data` asks for; those of the local store are kept beside it.

    The same as `compute(data.load(asset, data, seed=seed), spec)`, and raises what these raise.
    """
    panel = market_data.load(asset, data, seed=seed)
    return compute(panel, spec, folder=Path(data.root) / "cache" if panel.source == "store" else None)
