"""Repairs: clean bars up to t must be what they are when the raw bars after t are others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from wealtharena.data.bars import Bars, RawBars
from wealtharena.data.quality.leaks import REPAIRED
from wealtharena.evaluation.audit.findings import Finding
from wealtharena.evaluation.audit.subject import Asking, first_moved


def repair(state: Asking, name: str, raw: Sequence[RawBars]) -> Finding | None:
    """Compare clean returns, not levels: a split adjusts all prices before it by one factor, which no return shows."""
    assert state.subject.repair is not None
    for series in raw:
        whole = state.subject.repair(series)
        clean = _returns(whole)
        for cut in _cuts(series.table, max(4, len(state.points) // len(raw)), state.rng):
            table = series.table
            known = pd.Timestamp(table["timestamp"].iloc[:cut].max())
            for how, changed in (("cut off", table.iloc[:cut]), ("changed", _noisy(table, cut, state.rng))):
                other = _returns(state.subject.repair(replace(series, table=changed.reset_index(drop=True))))
                both = clean.index.intersection(other.index)
                # A repaired leaking bar closes at the next open, by design: its row is decided on a bar later.
                both = both[both < known] if REPAIRED in whole.notes else both[both <= known]
                moved = first_moved(clean[both].to_numpy(), other[both].to_numpy())
                if moved:
                    stamp = pd.Timestamp(both[moved[0]])
                    row = int(np.searchsorted(state.panel.timestamps, stamp.tz_convert(None).to_datetime64()))
                    when = f"when the raw bars after {known.date()} are {how}"
                    detail = f"the return {clean[stamp]:.6g} becomes {other[stamp]:.6g} {when}"
                    bar = min(row, state.panel.bars - 1)
                    return Finding(name, "the clean close", series.symbol, bar, str(stamp), detail)
    return None


def _cuts(table: pd.DataFrame, count: int, rng: np.random.Generator) -> list[int]:
    """Return rows to cut at: half of them just after a bar that a repair may have touched, where there are such."""
    close = table["close"].to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        move = np.abs(np.diff(np.log(np.where(close > 0, close, np.nan)), prepend=np.nan))
    usual = np.nanmedian(move) if np.isfinite(move).any() else 0.0
    odd = ~np.isfinite(close) | ~(close > 0) | (move > 8 * usual)
    low, high = min(60, len(table) // 2), len(table) - 2
    if high <= low:
        return []
    strange = np.flatnonzero(odd[low - 1 : high - 1]) + low
    chosen = set(rng.integers(low, high, count).tolist())
    if len(strange):
        chosen |= set(rng.choice(strange, size=min(count, len(strange)), replace=False).tolist())
    return sorted(int(cut) for cut in chosen)


def _returns(bars: Bars) -> pd.Series:
    close = bars.table.set_index("timestamp")["close"]
    return (close / close.shift(1) - 1).iloc[1:]


def _noisy(table: pd.DataFrame, cut: int, rng: np.random.Generator) -> pd.DataFrame:
    changed = table.copy()
    columns = ["open", "high", "low", "close"]
    noise = np.exp(np.cumsum(rng.normal(0, 0.01, (len(table) - cut, 1)), axis=0))
    changed.loc[changed.index[cut:], columns] = changed[columns].to_numpy()[cut:] * noise
    return changed
