"""Features written beside the store's clean bars, one Parquet a symbol, for those who read them elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from wealtharena import files
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data.store import Store
from wealtharena.features.loading import load
from wealtharena.features.panel import FeaturePanel


def keep(asset: AssetSpec, data: DataSpec, spec: FeaturesSpec, *, symbols: tuple[str, ...]) -> tuple[Path, ...]:
    """Write the features of stored symbols, as a training on the store would see them; return the files.

    Each has `timestamp` and a column a feature, in the bars' own order. A row uses nothing after its bar's close; rows
    before a symbol's warm-up are absent. They are a copy to read: training computes its own from the bars.

    Raises:
        DataError: the store lacks a symbol or macro series, or no symbol has as many bars as the warm-up needs.
    """
    request = data.model_copy(update={"source": "store", "symbols": symbols})
    features = load(asset, request, spec, seed=0)
    written = []
    for column, symbol in enumerate(features.panel.symbols):
        path = features_path(Store(data.root), asset.name, symbol, data.interval)
        with files.atomic_path(path) as temporary:
            _table(features, column).to_parquet(temporary, index=False)
        written.append(path)
    return tuple(written)


def features_path(store: Store, asset_class: str, symbol: str, interval: str) -> Path:
    """Return where a symbol's features stand: in a folder of their own, beside the clean bars."""
    bars = store.processed_path(asset_class, symbol, interval)
    return bars.parent / "features" / bars.name


def _table(features: FeaturePanel, column: int) -> pd.DataFrame:
    values = features.values[:, column]
    warm = np.isfinite(values).any(axis=1)
    table = pd.DataFrame(values[warm], columns=list(features.names))
    table.insert(0, "timestamp", pd.DatetimeIndex(features.panel.timestamps[warm]).tz_localize("UTC"))
    return table
