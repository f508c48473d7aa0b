"""Simulated markets with a leak of each kind, as strong as `share` says: 1 as described, 0.5 half of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from wealtharena.config import compose
from wealtharena.config.specs.data import QualitySpec
from wealtharena.data import load
from wealtharena.data.panel import FloatArray, Panel
from wealtharena.data.quality.foresight import Number, Sighting
from wealtharena.data.quality.leaks import Numbers, panel_sightings

SYMBOLS = 10


def market(
    asset: str = "crypto", *, seed: int = 0, bars: int = 2000, interval: str = "1d", **simulator: float
) -> Panel:
    """Return a simulated market that says it is none, so that it is tested."""
    names = ",".join(f"S{i}" for i in range(SYMBOLS))
    sizes = ",".join(f"S{i}:1" for i in range(SYMBOLS))
    asked = [f"data.simulator.{key}={value}" for key, value in simulator.items()]
    asked += [f"data.simulator.bars={bars}", f"data.simulator.seed={seed}", f"data.interval={interval}"]
    asked += [f"data.symbols=[{names}]", f"+asset.instrument.multipliers={{{sizes}}}"]
    spec = compose([f"asset={asset}", "data=simulated", *asked])
    return replace(load(spec.asset, spec.data, seed=seed), simulated=False)


def toward(values: FloatArray, share: float) -> FloatArray:
    """Return positive values that stand a share of the way to those of the next bar."""
    moved = values.copy()
    moved[:-1] = values[:-1] * (values[1:] / values[:-1]) ** share
    return moved


def closes(panel: Panel, share: float) -> Panel:
    """Closes a quarter of the way to tomorrow's."""
    return replace(panel, close=toward(panel.close, 0.25 * share))


def late_closes(panel: Panel, share: float) -> Panel:
    """The same, but in the last quarter of the record only."""
    begins = 3 * panel.bars // 4
    return replace(panel, close=np.vstack([panel.close[:begins], closes(panel, share).close[begins:]]))


def one_symbol(panel: Panel, share: float) -> Panel:
    """The same, but in one symbol of ten only."""
    close = panel.close.copy()
    close[:, 4] = closes(panel, share).close[:, 4]
    return replace(panel, close=close)


def ranges(panel: Panel, share: float) -> Panel:
    """Highs and lows of tomorrow."""
    assert panel.high is not None
    assert panel.low is not None
    return replace(panel, high=toward(panel.high, share), low=toward(panel.low, share))


def volume(panel: Panel, share: float) -> Panel:
    """The volume of tomorrow, in a market that sells in a hurry and buys at leisure."""
    assert panel.volume is not None
    returns = np.zeros(panel.close.shape)
    returns[1:] = np.log(panel.close[1:] / panel.close[:-1])
    hurried = panel.volume * np.exp(-0.5 * returns / returns.std(axis=0))
    return replace(panel, volume=toward(hurried, share))


def label(panel: Panel, share: float, *, bars: int = 20) -> Panel:
    """A label of learning in the column of volume: the mean return over the next `bars` bars."""
    log = np.log(panel.close)
    ahead = np.zeros_like(log)
    ahead[:-bars] = log[bars:] - log[:-bars]
    own = np.random.default_rng(7).standard_normal(log.shape)
    return replace(panel, volume=1e6 * np.exp(0.3 * (share * ahead / ahead.std() + math.sqrt(1 - share**2) * own)))


def other_symbol(panel: Panel, share: float) -> Panel:
    """One symbol's bars stamped a bar early: each holds what is known a bar later."""
    changes: dict[str, FloatArray] = {}
    for name in ("open", "high", "low", "close"):
        values = getattr(panel, name).copy()
        values[:, 3] = toward(values, share)[:, 3]
        changes[name] = values
    return replace(panel, **changes)


def with_macro(panel: Panel, values: FloatArray) -> Panel:
    """Return the panel beside one macro series [T]."""
    return replace(panel, macro=values[:, None], macro_names=("NEWS",))


def early_macro(panel: Panel, share: float) -> Panel:
    """A monthly series that moves the market on its release, joined a bar before it: the surprise is known, then paid."""
    rng = np.random.default_rng(5)
    news = np.where(np.arange(panel.bars) % 15 == 7, rng.normal(0, 1, panel.bars), 0.0)
    jump = np.exp(share * np.cumsum(news * 2 * np.diff(np.log(panel.close), axis=0).std()))
    before = np.r_[1.0, jump[:-1]]
    fields = {"open": before, "high": np.fmax(jump, before), "low": np.fmin(jump, before), "close": jump}
    moved = {name: getattr(panel, name) * scale[:, None] for name, scale in fields.items()}
    moved |= {"macro": np.cumsum(np.r_[news[1:], 0.0])[:, None]}
    return replace(panel, macro_names=("NEWS",), **moved)


def early_index(panel: Panel, share: float) -> Panel:
    """An index of the market, published after the close of its day, joined to the day before."""
    level = np.exp(np.log(panel.close).mean(axis=1))
    return with_macro(panel, toward(level, share))


def centred(panel: Panel, share: float) -> Numbers:
    """A feature computed over a window of five bars that is centred on its bar."""
    level = np.log(panel.close)
    honest = sum(np.roll(level, shift, axis=0) for shift in range(5)) / 5
    both = (1 - share) * honest + share * np.roll(honest, -2, axis=0)
    values = (level - both).astype(np.float32)
    values[:4], values[-2:] = np.nan, np.nan
    return [Number("centred", symbol) for symbol in panel.symbols], values


DAILY: Mapping[str, Callable[[Panel, float], Panel]] = {
    "closes a quarter of the way to tomorrow's": closes,
    "the same in the last quarter only": late_closes,
    "the same in one symbol of ten": one_symbol,
    "highs and lows of tomorrow": ranges,
    "volume of tomorrow": volume,
    "another symbol stamped a bar early": other_symbol,
    "macro a bar before its release": early_macro,
    "an index a day before its close": early_index,
}
HOURLY: Mapping[str, Callable[[Panel, float], Panel]] = {
    "hourly closes a quarter of the way": closes,
}


def every_kind(daily: Panel, hourly: Panel, quality: QualitySpec, *, share: float) -> dict[str, tuple[Sighting, ...]]:
    """Return what the leak test sees of each of the ten kinds, planted in these markets at a share of its strength."""
    found = {name: panel_sightings(make(daily, share), quality) for name, make in DAILY.items()}
    found |= {name: panel_sightings(make(hourly, share), quality) for name, make in HOURLY.items()}
    return {**found, "a centred window": panel_sightings(daily, quality, more=centred(daily, share))}
