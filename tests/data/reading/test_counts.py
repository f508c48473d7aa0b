"""What a volume counts where its name is silent, and rows that are left out: the same by a file and by a table at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.reading.test_cases import load_written, shares
from tests.data.specs import compose, with_data
from wealtharena.data import load, load_panel
from wealtharena.errors import DataError


def _hours(days: int = 20, bars: int = 7) -> pd.DataFrame:
    frame = shares(bars=days * bars)
    stamps = [
        day + pd.Timedelta(hours=14 + i) for day in pd.bdate_range("2024-03-04", periods=days) for i in range(bars)
    ]
    return frame.assign(date=pd.Series(stamps).dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.mark.slow
def test_a_volume_that_counts_on_within_the_day_is_refused(tmp_path: Path) -> None:
    honest = _hours()
    counted = honest.assign(volume=honest.groupby(honest["date"].str[:10])["volume"].cumsum())
    with pytest.raises(DataError, match="volume falls once a day only") as refused:
        load_written(counted, tmp_path / "AAA.csv", interval="1h")
    assert "data.volume_unit=none" in str(refused.value.hint)
    assert load_written(counted, tmp_path / "AAA.csv", interval="1h", volume_unit="none").volume is None
    assert load_written(honest, tmp_path / "AAA.csv", interval="1h").volume is not None


@pytest.mark.slow
def test_a_volume_that_only_has_the_shape_of_a_day_is_read(tmp_path: Path) -> None:
    honest = _hours()
    shape = np.tile([9.0, 5.0, 3.0, 2.0, 3.0, 5.0, 9.0], 20)
    assert load_written(honest.assign(volume=(honest["volume"] * shape).round()), tmp_path / "AAA.csv", interval="1h")


@pytest.mark.parametrize(("count", "said"), [(1e6, True), (1e3, True), (1.0, False)])
def test_shares_of_which_a_bar_has_few_and_broken_ones_are_said(tmp_path: Path, count: float, said: bool) -> None:
    """FactSet counts thousands to three decimals under the bare name Volume."""
    frame = shares(bars=60)
    traded = frame["volume"] + np.arange(60)
    panel = load_written(frame.assign(volume=traded / count), tmp_path / "AAA.csv")
    assert any("shares or contracts, of which it has" in note for note in panel.notes) == said


def test_a_table_whose_rows_lack_their_symbols_is_refused_as_a_file_is(tmp_path: Path) -> None:
    frame = shares("AAA", "BBB", bars=60)
    lacking = frame.assign(symbol=frame["symbol"].where(frame["symbol"] == "AAA"))
    for made in (lambda: load_panel(lacking, asset="etf"), lambda: load_written(lacking, tmp_path / "bars.csv")):
        with pytest.raises(DataError, match="60 of 120 rows had to be left out"):
            made()


@pytest.mark.slow
def test_symbols_that_stand_as_whole_numbers_may_have_lost_their_zeros() -> None:
    frame = shares("AAA", "BBB", bars=60)
    panel = load_panel(frame.assign(symbol=frame["symbol"].map({"AAA": 600519, "BBB": 2})), asset="stocks")
    assert any("zeros at their beginning may have been lost" in note for note in panel.notes)


@pytest.mark.parametrize(("wrong", "words"), [(True, "true and false"), (1j, "complex")])
@pytest.mark.parametrize("text", [False, True])
def test_what_is_no_real_number_is_refused_beside_text_too(wrong: complex, words: str, text: bool) -> None:
    frame = shares(bars=60).assign(volume=wrong)
    frame = frame.astype({"close": str}) if text else frame
    with pytest.raises(DataError, match=f"volume holds {words}"):
        load_panel(frame, asset="etf")


def test_a_part_is_of_the_symbol_that_its_escaped_folder_names(tmp_path: Path) -> None:
    frame = shares("BRK/A", "C D", bars=60)
    pq.write_to_dataset(pa.Table.from_pandas(frame), tmp_path / "bars", partition_cols=["symbol"])
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "bars"))
    assert load(spec.asset, spec.data, seed=0).symbols == ("BRK/A", "C D")


@pytest.mark.slow
@pytest.mark.parametrize("space", ["\u2007", "\u2009", "\u00a0", "\u202f"])
def test_any_narrow_space_may_stand_between_thousands(tmp_path: Path, space: str) -> None:
    frame = shares(bars=60)
    spaced = frame.assign(volume=frame["volume"].map(lambda count: f"{count:,}".replace(",", space)))
    panel = load_written(spaced, tmp_path / "AAA.csv")
    np.testing.assert_array_equal(panel.volume[:, 0], frame["volume"])


@pytest.mark.slow
def test_prices_beside_an_only_adjusted_close_are_left_out_with_words_that_are_true(tmp_path: Path) -> None:
    frame = shares(bars=60)
    panel = load_written(frame.rename(columns={"close": "Adj Close"}), tmp_path / "AAA.csv")
    assert panel.open is None
    assert any("open, high, low do not say that they are adjusted as well" in note for note in panel.notes)
    named = frame.rename(columns={name: f"Adj {name.title()}" for name in ("open", "high", "low", "close")})
    assert load_written(named, tmp_path / "AAA.csv").open is not None
