from __future__ import annotations

import runpy
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose, with_data
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import inspect
from wealtharena.data.store import Store, Window
from wealtharena.errors import DataError
from wealtharena.features import keeping, load
from wealtharena.features.registry import FEATURES

SYMBOLS = ("BTC-USD", "ETH-USD")


def fill(root: Path, *, bars: int = 400) -> None:
    spec = compose(["asset=crypto", "data=store"])
    for seed, symbol in enumerate(SYMBOLS):
        rng = np.random.default_rng(seed)
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 400)))[:bars]
        first = np.r_[100.0, close[:-1]]
        columns = {"timestamp": pd.date_range("2022-01-01", periods=bars, tz="UTC"), "open": first, "close": close}
        columns |= {"high": np.maximum(first, close) * 1.01, "low": np.minimum(first, close) * 0.99, "volume": 1e7}
        raw = RawBars(
            provider="yahoo",
            symbol=symbol,
            interval="1d",
            table=raw_table(pd.DataFrame(columns)),
            currency="USD",
            volume_unit="account",
            adjusted="splits",
            fetched_at=datetime(2024, 1, 1, tzinfo=UTC),
        )
        judged, _ = inspect(raw, spec.asset, spec.data.quality)
        Store(root).write("crypto", judged, raw=raw, asked=Window(None, date(2023, 12, 31)), quality={})


def kept(root: Path) -> dict[str, pd.DataFrame]:
    spec = with_data(compose(["asset=crypto", "data=store"]), root=str(root))
    paths = keeping.keep(spec.asset, spec.data, spec.features, symbols=SYMBOLS)
    return {path.stem: pd.read_parquet(path) for path in paths}


def test_kept_features_are_those_that_a_training_on_the_store_sees(tmp_path: Path) -> None:
    fill(tmp_path)
    written = kept(tmp_path)
    spec = with_data(compose(["asset=crypto", "data=store"]), root=str(tmp_path), symbols=SYMBOLS)
    seen = load(spec.asset, spec.data, spec.features, seed=0)
    for column, symbol in enumerate(seen.panel.symbols):
        table = written[symbol]
        assert list(table.columns) == ["timestamp", *seen.names]
        assert len(table) == seen.bars
        np.testing.assert_array_equal(table["timestamp"].dt.tz_localize(None).to_numpy(), seen.panel.timestamps)
        np.testing.assert_array_equal(table[list(seen.names)].to_numpy(), seen.values[:, column])
    assert (tmp_path / "processed" / "crypto" / "features" / "BTC-USD.parquet").exists()


@pytest.mark.slow
def test_kept_features_know_nothing_of_later_bars(tmp_path: Path) -> None:
    fill(tmp_path / "whole")
    fill(tmp_path / "part", bars=330)
    whole, part = kept(tmp_path / "whole"), kept(tmp_path / "part")
    for symbol, table in part.items():
        assert len(table) < len(whole[symbol])
        pd.testing.assert_frame_equal(table, whole[symbol].iloc[: len(table)])


def test_kept_features_are_no_bars_to_the_store_and_damage_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    kept(tmp_path)
    assert Store(tmp_path).heal().damaged == ()
    assert len(Store(tmp_path).catalog()["bars"]) == len(SYMBOLS)


def test_too_few_bars_are_told(tmp_path: Path) -> None:
    fill(tmp_path, bars=20)
    with pytest.raises(DataError, match="20 bars are fewer than"):
        kept(tmp_path)


@pytest.mark.slow
def test_features_kept_for_symbols_in_one_order_are_not_given_to_them_in_another(tmp_path: Path) -> None:
    fill(tmp_path)
    found = []
    for symbols in (SYMBOLS, SYMBOLS[::-1]):
        spec = with_data(compose(["asset=crypto", "data=store"]), root=str(tmp_path), symbols=symbols)
        seen = load(spec.asset, spec.data, spec.features, seed=0)
        assert seen.panel.symbols == symbols
        found.append({name: seen.values[:, column] for column, name in enumerate(seen.panel.symbols)})
    for name in SYMBOLS:
        np.testing.assert_array_equal(found[0][name], found[1][name])


MINE = """
from wealtharena.features.registry import feature

@feature("close", lookback=1)
def mine(bars):
    return {factor} * bars.close
"""


@pytest.fixture
def without_mine() -> Iterator[None]:
    """Forget the feature that a test has registered."""
    yield
    FEATURES.pop("mine", None)


@pytest.mark.usefixtures("without_mine")
def test_a_feature_that_was_edited_is_made_anew(tmp_path: Path) -> None:
    """Else a training would go on with what it was, while the audit, which computes it anew, judges what it is."""
    fill(tmp_path)
    spec = with_data(
        compose(["asset=crypto", "data=store", "features.names=[mine]"]), root=str(tmp_path), symbols=SYMBOLS
    )
    source, found = tmp_path / "mine.py", []
    for factor in (1.0, 1.0, 3.0):
        FEATURES.pop("mine", None)
        source.write_text(MINE.format(factor=factor))
        runpy.run_path(str(source))
        found.append(load(spec.asset, spec.data, spec.features, seed=0).values)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[2], 3.0 * found[0], rtol=1e-6)
    assert len(list((tmp_path / "cache").glob("*.features.npz"))) == 2


@pytest.mark.usefixtures("without_mine")
def test_a_feature_without_a_file_is_not_kept(tmp_path: Path) -> None:
    fill(tmp_path)
    spec = with_data(
        compose(["asset=crypto", "data=store", "features.names=[mine]"]), root=str(tmp_path), symbols=SYMBOLS
    )
    exec(MINE.format(factor=1.0), {})  # as a cell of a notebook does
    assert load(spec.asset, spec.data, spec.features, seed=0).names == ("mine",)
    assert not list((tmp_path / "cache").glob("*.features.npz"))
