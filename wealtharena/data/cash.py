"""What cash earns where a dated series says it: at each bar the rate that was known by then."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config import speech
from wealtharena.config.specs.asset import CASH_BPS, AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import macro
from wealtharena.data.panel import FloatArray, Panel
from wealtharena.data.store import Store
from wealtharena.errors import DataError

KEY: Final = "asset.costs.cash_bps_per_year"
_OLDEST_DAYS: Final = 366  # a series that ends so long before the last bar says nothing of its rate
_BPS_OF_PERCENT: Final = 100.0


def join(panel: Panel, asset: AssetSpec, data: DataSpec, *, source: macro.Source | None = None) -> Panel:
    """Return the panel with `cash` [T], where `asset.costs.cash_bps_per_year` names a series; else as it is; see `rates`."""
    found = rates(panel.timestamps, asset, data, source=source)
    if found is None:
        return panel
    return replace(panel, cash=found[0], notes=(*panel.notes, found[1]))


def rates(
    timestamps: npt.NDArray[np.datetime64], asset: AssetSpec, data: DataSpec, *, source: macro.Source | None = None
) -> tuple[FloatArray, str] | None:
    """Return what cash earns from each moment on, a share a year, and a note on it; None where a number says it.

    A value, in percent a year, counts from the day after its release, as `data.macro` knows it; so the night after a
    bar earns what was known at its close.

    Raises:
        DataError: the source (by default the store in `data.root`) lacks the series, nothing says when its values were
            published, it is not known at the first bar or ends long before the last, or is no rate in percent.
    """
    series = asset.costs.cash_series
    if series is None:
        return None
    frame = (source or Store(data.root)).read_macro(series)
    percent, note = macro.known_values(frame, timestamps, data.macro, series)
    days = timestamps.astype("datetime64[D]")
    if not np.isfinite(percent).all():
        known = np.flatnonzero(np.isfinite(percent))
        since = f"from {days[known[0]]} on" if known.size else "at no bar"
        raise DataError(
            f"{KEY}={series} is known {since}, and the bars begin on {days[0]}",
            hint=f"data.start={days[known[0]]}, or a longer series" if known.size else "take another series",
        )
    wrong = percent[(percent * _BPS_OF_PERCENT < CASH_BPS[0]) | (percent * _BPS_OF_PERCENT > CASH_BPS[1])]
    if wrong.size:
        raise DataError(
            f"{KEY}={series} has {wrong[0]:g}, which is no rate in percent a year", hint="take DFF or TB3MS"
        )
    newest = np.datetime64(pd.to_datetime(frame.dropna(subset=["value"])["date"], utc=True).max().date(), "D")
    if days[-1] - newest > np.timedelta64(_OLDEST_DAYS, "D"):
        raise DataError(
            f"{KEY}={series} ends on {newest}, and the bars on {days[-1]}",
            hint=f"{speech.COMMAND} task=collect data.macro.series=[{series}] collect.refresh=true",
        )
    told = f"cash earns {series}, {percent.min():.2f} to {percent.max():.2f} % a year ({note.removeprefix(f'macro {series}: ')})"
    return percent / 100.0, told
