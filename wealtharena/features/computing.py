"""Features of a panel: computed on each symbol's own bars, placed on the panel's axis."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data import cache
from wealtharena.data.panel import FloatArray, Panel
from wealtharena.errors import ConfigError, DataError, require_kind
from wealtharena.features import context, cross_section, indicators
from wealtharena.features.panel import FeaturePanel, Float32Array
from wealtharena.features.registry import FEATURES, Feature, SymbolBars

logger = logging.getLogger(__name__)
_NONE: Final = np.empty(0)


def compute(panel: Panel, spec: FeaturesSpec, *, folder: Path | None = None) -> FeaturePanel:
    """Return the panel's features; row t uses nothing after the close of bar t.

    Each symbol's indicators see its own bars only, one after the other: holes, halts and non-positive prices are left
    out before and are NaN after, so that they poison no later value. A symbol's rows are NaN until its own warm-up is
    over; rows on which no symbol is warm are dropped from panel and features. Features whose inputs the source lacks
    are absent; nothing is back-filled. With `folder`, features made before of the same content by the same code are read from
    there.

    Raises:
        ConfigError: a name is unknown or repeats, or an argument is of another kind.
        DataError: no symbol has as many bars as the warm-up needs, or no feature is left.
    """
    require_kind("panel", panel, Panel, hint='load_panel(table, asset="etf") makes one of a table')
    require_kind("spec", spec, FeaturesSpec, hint="pass compose([...]).features")
    names = names_available(panel, spec)
    lacking = [name for name in spec.names if name not in names]
    if not names:
        raise DataError(
            f"the source has the inputs of none of the features {', '.join(spec.names)}",
            hint="use features of closes only, such as log_return_1",
        )
    if lacking:
        logger.info("features: %s absent, since the source lacks their inputs", ", ".join(lacking))
    place = _place(folder, panel, names) if folder else None
    stored = cache.load_arrays(place) if place else None
    if stored is not None:
        return _feature_panel(panel, stored[0]["values"], names, int(stored[1]["first"]))
    values, first = _values(panel, names)
    if place:
        cache.save_arrays(place, {"values": values}, {"first": first})
    return _feature_panel(panel, values, names, first)


def _place(folder: Path, panel: Panel, names: Sequence[str]) -> Path | None:
    """Return where the features of a panel are kept, by a digest of what makes them too; None where a maker has no file.

    One that was edited makes others under the old name: what is trained on and what the audit computes anew would differ.
    """
    own = (FEATURES[name].function for name in names if name in FEATURES)
    sources = {*Path(__file__).parent.glob("*.py"), *(Path(inspect.unwrap(one).__code__.co_filename) for one in own)}
    if not all(source.is_file() for source in sources):  # written in a notebook's cell
        return None
    code = hashlib.sha256()
    for source in sorted(sources):
        code.update(source.read_bytes())
    identity = [code.hexdigest(), panel.fingerprint, panel.symbols, names]  # the fingerprint knows no order of symbols
    return folder / f"{cache.key_of(identity)}.features.npz"


def _feature_panel(panel: Panel, values: Float32Array, names: tuple[str, ...], first: int) -> FeaturePanel:
    values.flags.writeable = False
    if not first:
        return FeaturePanel(panel=panel, values=values, names=names, warmup_bars=0)
    kept, lead = panel.slice(first, panel.bars), panel.slice(0, first)
    return FeaturePanel(panel=kept, values=values, names=names, warmup_bars=first, lead=lead)


def _values(panel: Panel, names: tuple[str, ...]) -> tuple[Float32Array, int]:
    """Return the features [T - first, A, F] and the first warm row."""
    own = [indicators.find(name) for name in names if not (context.is_context(name) or cross_section.is_rank(name))]
    values = np.full((panel.bars, len(panel.symbols), len(names)), np.nan, dtype=np.float32)
    for column in range(len(panel.symbols)):
        _fill_symbol(values[:, column], panel, column, own, [names.index(item.name) for item in own])
    for position, name in enumerate(names):
        if context.is_context(name):
            values[:, :, position] = context.compute(name, panel)[:, None]
        elif cross_section.is_rank(name):
            values[:, :, position] = cross_section.ranks(_of_symbols(panel, cross_section.ranked(name)))
    warm = warm_rows(panel, warmup_bars(names))
    values[~warm] = np.nan
    values[~np.isfinite(values)] = np.nan
    rows = np.flatnonzero(warm.any(axis=1))
    if not len(rows):
        longest = int(_present(panel).sum(axis=0).max(initial=0))
        raise DataError(
            f"{longest} bars are fewer than the {warmup_bars(names) + 1} that the slowest feature needs",
            hint="widen data.start and data.end, or take features with a shorter lookback",
        )
    first = int(rows[0])
    return values[first:].copy(), first


def names_available(panel: Panel, spec: FeaturesSpec) -> tuple[str, ...]:
    """Return the features of the spec whose inputs the panel has, in the spec's order.

    Raises:
        ConfigError: a name is unknown or repeats.
    """
    repeated = sorted({name for name in spec.names if spec.names.count(name) > 1})
    if repeated:
        raise ConfigError(f"features.names repeats {', '.join(repeated)}", hint="name every feature once")
    return tuple(name for name in spec.names if _is_available(name, panel))


def min_history_bars(names: Sequence[str]) -> int:
    """Return how many bars give the same last feature row, to 1e-6, as a history of any length."""
    return max((_memory(name) for name in names), default=1)


def warmup_bars(names: Sequence[str]) -> int:
    """Return how many of a symbol's bars pass before the slowest of the features has a value."""
    return max((_lookback(name) for name in names), default=0)


def _memory(name: str) -> int:
    if cross_section.is_rank(name):
        return _memory(cross_section.ranked(name))
    return context.memory(name) if context.is_context(name) else indicators.find(name).memory


def _lookback(name: str) -> int:
    if cross_section.is_rank(name):
        return _lookback(cross_section.ranked(name))
    return context.lookback(name) if context.is_context(name) else indicators.find(name).lookback


def _of_symbols(panel: Panel, name: str) -> FloatArray:
    """Return one feature of every symbol on its own bars, [T, A]."""
    made = np.full((panel.bars, len(panel.symbols), 1), np.nan, dtype=np.float32)
    for column in range(len(panel.symbols)):
        _fill_symbol(made[:, column], panel, column, [indicators.find(name)], [0])
    return made[:, :, 0].astype(np.float64)


def warm_rows(panel: Panel, lookback: int) -> npt.NDArray[np.bool_]:
    """Return where a symbol has a bar and more than `lookback` of them up to it, [T, A]."""
    present = _present(panel)
    return present & (present.cumsum(axis=0) > lookback)


def _is_available(name: str, panel: Panel) -> bool:
    if context.is_context(name):
        return context.is_available(name, panel)
    if cross_section.is_rank(name):
        return len(panel.symbols) > 1 and _is_available(cross_section.ranked(name), panel)
    return all(getattr(panel, item) is not None for item in indicators.find(name).inputs)


def _present(panel: Panel) -> npt.NDArray[np.bool_]:
    return panel.close > 0  # NaN compares False


def _fill_symbol(
    out: Float32Array, panel: Panel, column: int, features: Sequence[Feature], positions: Sequence[int]
) -> None:
    """Write one symbol's features into `out` [T, F]."""
    bars: dict[tuple[str, ...], tuple[npt.NDArray[np.intp], SymbolBars]] = {}
    for item, position in zip(features, positions, strict=True):
        if item.inputs not in bars:
            bars[item.inputs] = _own_bars(panel, column, item.inputs)
        rows, observed = bars[item.inputs]
        if len(rows) > item.lookback:
            out[rows, position] = item.function(observed)


def _own_bars(panel: Panel, column: int, inputs: Sequence[str]) -> tuple[npt.NDArray[np.intp], SymbolBars]:
    """Return the rows on which the symbol has a bar and every input, and those bars."""
    usable = panel.close[:, column] > 0
    columns: dict[str, FloatArray] = {}
    for name in inputs:
        values = getattr(panel, name)[:, column]
        usable = usable & (np.isfinite(values) if name == "volume" else values > 0)
        columns[name] = values
    rows = np.flatnonzero(usable)
    arrays = {
        name: np.ascontiguousarray(columns[name][rows]) if name in columns else _NONE
        for name in ("open", "high", "low", "close", "volume")
    }
    return rows, SymbolBars(**arrays)
