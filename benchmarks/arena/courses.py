"""Where is played: simulated markets with a signal that is known, and the inner folds of recorded ones.

On a recorded market nothing of the last fifth is ever read: its features end where the validation window of the default
split ends, and folds are cut anew from what is left. That window's name is kept, since every try on these rows counts
against a later look at it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.learning import FREE, FROM_CASH, WORLD
from benchmarks.real_markets import FILES, source_of
from wealtharena import data, features
from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data.providers.simulated import Provider
from wealtharena.evaluation.ledger import Window
from wealtharena.evaluation.splits import Fold, make_folds
from wealtharena.features.panel import FeaturePanel
from wealtharena.reporting.words import name_of
from wealtharena.tasks.pipeline import identity, prepare

FREELY = tuple(word for word in WORLD if not word.startswith("model."))  # entrants bring their own network
AT_ONCE = tuple(word for word in FROM_CASH if not word.startswith("env.action"))  # as the oracle does
HOURLY = {  # one symbol each: class, symbol, file
    "btc": ("crypto", "BTC-USD", "crypto_btc_hourly.parquet"),
    "spy": ("etf", "SPY", "etf_spy_hourly.parquet"),
    "eurusd": ("forex", "EURUSD", "forex_eurusd_hourly.parquet"),
}
INNER = {"name": "walk_forward", "test_share": 0.45, "validation_share": 0.15, "window": "expanding"}


@dataclass(frozen=True, eq=False)
class Ground:
    """A market to play on: rows up to the last that may be seen, and how they are cut."""

    spec: ExperimentSpec
    features: FeaturePanel
    folds: tuple[Fold, ...]
    expected: npt.NDArray[np.float64] | None = None  # [T, A] of a planted market: what an oracle is told
    window: Window | None = None  # of a recorded one: the final window that tries count against
    config: str = ""  # hash of the configuration


@dataclass(frozen=True)
class Course:
    """A market by name; `open` makes it for an entrant's overrides and a seed."""

    name: str
    words: str  # as a reader sees it
    planted: bool
    overrides: tuple[str, ...]
    open: Callable[[tuple[str, ...], int], Ground]
    inner_folds: int = 0  # of recorded bars; a market of its own for each seed has its spec's


def planted(name: str, words: str, *, r2: float, bars: int, commission_bps: float = 0.0) -> Course:
    """Return a course on a simulated market, another one for each seed; entrants of one seed meet the same."""
    overrides = (
        *FREELY,
        *FREE,
        *AT_ONCE,
        f"asset.costs.commission_bps={commission_bps:g}",
        f"data.simulator.bars={bars}",
        f"data.simulator.predictability={r2:g}",
        "data.simulator.drift=false",
    )

    def begin(more: tuple[str, ...], seed: int) -> Ground:
        spec = compose([*overrides, f"data.simulator.seed={seed}", f"seed={seed}", *more])
        computed = features.compute(data.load(spec.asset, spec.data, seed=seed), spec.features)
        market = Provider(spec.data, spec.asset, seed=seed).market()
        order = [market.symbols.index(symbol) for symbol in computed.panel.symbols]
        told = market.expected_returns[-computed.bars :, order]
        return Ground(spec, computed, make_folds(spec.split, computed.bars), told)

    return Course(name, words, True, overrides, begin)


def recorded(asset: str, market: Path, *, folds: int) -> Course:
    """Return a course on one recorded class: expanding folds inside its first four fifths."""
    words = (f"asset={asset}", *source_of(FILES[asset], market))
    return _inner(f"recorded-{asset}", f"{name_of(asset)}, recorded bars", words, folds)


def hourly(name: str, market: Path, *, folds: int) -> Course:
    """Return a course on one of `HOURLY`, cut as `recorded` cuts."""
    asset, symbol, file = HOURLY[name]
    words = (f"asset={asset}", *source_of(file, market), "data.interval=1h", f"universe.symbols=[{symbol}]")
    return _inner(f"hourly-{name}", f"{symbol}, recorded hourly bars", words, folds)


def _inner(name: str, words: str, overrides: tuple[str, ...], folds: int) -> Course:
    def begin(more: tuple[str, ...], seed: int) -> Ground:
        spec = compose([*overrides, f"seed={seed}", *more])
        prepared = prepare(spec)
        visible = prepared.sealed.training(0).features
        inner = spec.split.model_copy(update={**INNER, "folds": folds})
        cut = make_folds(inner, visible.bars)
        return Ground(spec, visible, cut, window=prepared.sealed.window, config=identity(spec, prepared))

    return Course(name, words, False, overrides, begin, folds)


def courses(market: Path | None, *, folds: int = 3) -> tuple[Course, ...]:
    """Return the planted courses, and the recorded ones where a folder of recorded bars is given."""
    known = (
        planted("strong", "a strong signal, no costs", r2=0.02, bars=12_000),
        planted("short", "a strong signal, a short record", r2=0.02, bars=5_400),
        planted("weak", "a weak signal, 5 bps a trade", r2=0.002, bars=24_000, commission_bps=5.0),
        planted("null", "no signal", r2=0.0, bars=12_000),
    )
    if market is None:
        return known
    return (*known, *(recorded(asset, market, folds=folds) for asset in FILES))
