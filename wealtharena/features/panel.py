"""Features as frozen arrays beside the bars that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.data.panel import Panel, ReadOnly, Rows
from wealtharena.errors import require_kind

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FeaturePanel(ReadOnly):
    """A panel and its features, row by row: `values[t]` uses nothing after the close of bar t.

    Warm-up rows are dropped from both, so the two share one time axis. NaN stands where a symbol has no value
    (not listed yet); the scaler maps it to 0.
    """

    panel: Panel
    values: Float32Array  # [T, A, F]
    names: tuple[str, ...]  # [F]
    warmup_bars: int  # rows dropped before the first
    lead: Panel | None = None  # their bars, where the first row is the one behind them

    def __repr__(self) -> str:
        """Return what it is in one line."""
        return f"{type(self).__name__}({self.panel!r}, {len(self.names)} features)"

    @property
    def bars(self) -> int:
        """Return T."""
        return int(self.values.shape[0])

    def take(self, rows: Rows) -> FeaturePanel:
        """Return the given rows, in that order, copied."""
        values = self.values[rows].copy()
        values.flags.writeable = False
        first = np.arange(self.bars)[rows][:1]
        lead = self.lead if first.size and first[0] == 0 else None
        return replace(self, panel=self.panel.take(rows), values=values, lead=lead)

    def with_lead(self) -> Panel:
        """Return the bars with those before them that the features were warmed up with, as far as they are known."""
        return self.panel if self.lead is None else self.lead.joined(self.panel)

    def slice(self, start: int, stop: int) -> FeaturePanel:
        """Return rows [start, stop), copied."""
        return self.take(slice(start, stop))


@dataclass(frozen=True, eq=False)
class Scaler:
    """Standardise and clip; fitted on the training window only, then frozen.

    `transform(x) = clip((x - mean) / std, -clip, clip)`, NaN -> 0. One mean and std a feature, pooled over symbols, so
    that a policy treats symbols alike.
    """

    names: tuple[str, ...]
    mean: npt.NDArray[np.float64]  # [F]
    std: npt.NDArray[np.float64]  # [F], never 0
    clip: float

    @classmethod
    def fit(cls, features: FeaturePanel, *, clip: float, rows: slice | None = None) -> Scaler:
        """Return the scaler of the given rows (default all)."""
        require_kind("features", features, FeaturePanel, hint="pass compute(panel, compose([...]).features)")
        values = features.values[rows] if rows is not None else features.values
        flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
        with np.errstate(all="ignore"):
            count = np.isfinite(flat).sum(axis=0)
            mean = np.where(count > 0, np.nansum(flat, axis=0) / np.maximum(count, 1), 0.0)
            variance = np.nansum((flat - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
        std = np.sqrt(variance)
        std[~(std > 1e-12)] = 1.0
        return cls(names=features.names, mean=mean, std=std, clip=float(clip))

    def transform(self, values: Float32Array) -> Float32Array:
        """Return scaled features of the same shape [..., F]."""
        scaled = np.clip((values - self.mean) / self.std, -self.clip, self.clip)
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON; `from_dict` gives the same scaler back, to the last digit."""
        return {"names": list(self.names), "mean": self.mean.tolist(), "std": self.std.tolist(), "clip": self.clip}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Scaler:
        """Return the scaler that `to_dict` wrote."""
        mean, std = (np.asarray(content[name], dtype=np.float64) for name in ("mean", "std"))
        return cls(names=tuple(content["names"]), mean=mean, std=std, clip=float(content["clip"]))
