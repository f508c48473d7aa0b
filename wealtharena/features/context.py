"""Features that are the same for every symbol: the calendar, and macro series as they were known at each bar."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from wealtharena.data.panel import FloatArray, Panel

_MACRO: Final = "macro_"
_MACRO_BARS: Final = 252
_CYCLES: Final = {"day_of_week_sin": ("week", np.sin), "day_of_week_cos": ("week", np.cos),
                  "hour_sin": ("day", np.sin), "hour_cos": ("day", np.cos)}  # fmt: skip


def is_context(name: str) -> bool:
    """Return whether a feature is of the whole market's: `macro_<series>` or one of the calendar's."""
    return name.startswith(_MACRO) or name in _CYCLES


def is_available(name: str, panel: Panel) -> bool:
    """Return whether the panel has what the feature needs."""
    return name in _CYCLES or name.removeprefix(_MACRO) in panel.macro_names


def lookback(name: str) -> int:
    """Return the bars before the first value."""
    return 0 if name in _CYCLES else _MACRO_BARS - 1


def memory(name: str) -> int:
    """Return the bars that the last value depends on."""
    return lookback(name) + 1


def compute(name: str, panel: Panel) -> FloatArray:
    """Return the feature, [T].

    `macro_<series>` is the series' value known at the bar, by its mean and deviation over the last 252 bars (0 where it
    did not change); the others are the sine and cosine of the bar's place in its week or day.
    """
    if name in _CYCLES:
        cycle, function = _CYCLES[name]
        hours = panel.timestamps.astype("datetime64[ns]").astype(np.int64) / 3.6e12
        period, phase = (168.0, 96.0) if cycle == "week" else (24.0, 0.0)  # 1970-01-01 was a Thursday
        result: FloatArray = function(2 * np.pi * ((hours + phase - 24.0 * (cycle == "week")) % period) / period)
        return result
    assert panel.macro is not None  # is_available has looked
    values = panel.macro[:, panel.macro_names.index(name.removeprefix(_MACRO))]
    made = np.full(len(values), np.nan)
    if len(values) >= _MACRO_BARS:
        windows = sliding_window_view(values, _MACRO_BARS)
        mean, deviation = windows.mean(axis=1), windows.std(axis=1)
        flat = deviation <= 1e-12 * np.abs(mean)
        made[_MACRO_BARS - 1 :] = np.where(flat, 0.0, (windows[:, -1] - mean) / np.where(flat, 1.0, deviation))
    return made
