"""Files of one folder that come from several sources: each is taken at its own word, or they are not joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.reading import honest
from tests.data.reading.test_cases import shares
from wealtharena.config import compose
from wealtharena.data import Panel, load, load_panel
from wealtharena.errors import DataError

OHLC = ("open", "high", "low", "close")


def _of(folder: Path, *overrides: str) -> Panel:
    spec = compose(["data=files", f"data.path='{folder}'", *(overrides or ("asset=etf",))])
    return load(spec.asset, spec.data, seed=0)


def _said(panel: Panel, words: str) -> bool:
    return any(words in note for note in panel.notes)


def _paying(symbol: str, share: float, *, falls: bool) -> pd.DataFrame:
    frame = shares(symbol, bars=520, seed=len(symbol)).drop(columns="symbol")
    ex = np.arange(520) % 40 == 39
    before = np.r_[100.0, frame["close"].to_numpy()[:-1]]
    if falls:
        left = np.cumprod(np.where(ex, 1 - share, 1.0))
        frame[[*OHLC]] = frame[[*OHLC]].mul(left, axis=0)
        before = np.r_[100.0, frame["close"].to_numpy()[:-1]]
    return frame.assign(dividend=np.where(ex, share * before, 0.0))


@pytest.mark.slow
def test_dividends_are_paid_where_the_file_of_a_symbol_says_so(tmp_path: Path) -> None:
    falls = _paying("QQQ", 0.02, falls=True)
    whole = np.prod(1 - 0.02 * (np.arange(520) % 40 == 39))
    falls.assign(**{"adj close": falls["close"] * whole}).to_csv(tmp_path / "QQQ.csv", index=False)
    _paying("SPY", 0.02, falls=False).to_csv(tmp_path / "SPY.csv", index=False)
    panel = _of(tmp_path, "asset=etf", "data.symbols=[QQQ,SPY]")
    paid = dict(zip(panel.symbols, np.nansum(panel.dividends, axis=0), strict=True))
    assert paid["QQQ"] > 10
    assert paid["SPY"] == 0
    assert _said(
        panel, "SPY: prices do not fall on 13 ex-dates; set data.adjusted=splits if these dates are those of payment"
    )
    assert _said(panel, "SPY: prices contain the dividends, which are not paid again")


def _parts(folder: Path, first: dict[str, Any], second: dict[str, Any], bars: pd.DataFrame, symbol: str) -> None:
    half = len(bars) // 2
    for name, part, names in (("2021-06-04", bars[:half], first), ("2021-12-01", bars[half:], second)):
        part.rename(columns=names).to_csv(folder / f"{symbol}_{name}.csv", index=False)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"volume": "Volume USD"}, "counts volume in money"),
        ({name: f"adj_{name}" for name in OHLC}, "has prices that contain dividends"),
    ],
)
def test_parts_that_say_other_things_of_their_figures_are_not_joined(
    tmp_path: Path, names: dict[str, str], words: str, turned: bool
) -> None:
    bars = shares("SPY").drop(columns="symbol")
    _parts(tmp_path, *(({}, names) if turned else (names, {})), bars, "SPY")
    with pytest.raises(DataError, match=f"SPY has parts that do not go together: .*{words}"):
        _of(tmp_path)


@pytest.mark.slow
def test_a_part_without_volume_joins_whatever_the_others_count(tmp_path: Path) -> None:
    bars = shares("SPY").drop(columns="symbol")
    bars[:130].to_csv(tmp_path / "SPY_2021-06-04.csv", index=False)
    bars[130:].drop(columns="volume").to_csv(tmp_path / "SPY_2021-12-03.csv", index=False)
    assert len(_of(tmp_path).timestamps) == 260


@pytest.mark.slow
def test_rows_that_stand_alike_in_two_parts_count_once_and_others_are_asked_for(tmp_path: Path) -> None:
    bars = shares("SPY").drop(columns="symbol")
    bars[:150].to_csv(tmp_path / "SPY_2021.csv", index=False)
    bars[140:].to_csv(tmp_path / "SPY_2022.csv", index=False)
    panel = _of(tmp_path)
    assert panel.fingerprint == load_panel(bars.assign(symbol="SPY"), asset="etf").fingerprint
    assert _said(panel, "10 rows of SPY stand alike in two files, and count once")
    other = bars[140:].copy()
    other.iloc[3, 4] += 0.01
    other.to_csv(tmp_path / "SPY_2022.csv", index=False)
    with pytest.raises(DataError, match=r"SPY stands in SPY_2021.csv and in SPY_2022.csv"):
        _of(tmp_path)


def _coins(folder: Path, **factors: str) -> Panel:
    """Write a file for each coin, whose volume is `units`, `money`, or more than any market's, and load them."""
    bars = honest.honest_bars(bars=60)
    for symbol, unit in factors.items():
        part = bars[bars["symbol"] == ("BTC-USD" if symbol == "BTC" else "ETH-USD")].drop(columns="symbol")
        factor = {"units": 1.0, "money": part["close"], "much": part["close"] * 100}[unit]
        part.assign(volume=part["volume"] * factor).to_csv(folder / f"{symbol}-USD.csv", index=False)
    return _of(folder, "asset=crypto", f"data.symbols=[{','.join(f'{symbol}-USD' for symbol in factors)}]")


@pytest.mark.slow
def test_a_coin_that_no_market_turns_over_so_is_counted_unlike_the_others(tmp_path: Path) -> None:
    panel = _coins(tmp_path, BTC="units", ETH="units", SOL="much")
    turnover = np.nanmedian(panel.volume, axis=0)
    assert ((turnover > 1e8) & (turnover < 1e12)).all(), turnover
    assert _said(panel, "SOL-USD's volume is")
    assert _said(panel, "it is taken as money, unlike the others'")


@pytest.mark.slow
def test_a_coin_that_would_hardly_trade_is_named(tmp_path: Path) -> None:
    panel = _coins(tmp_path, BTC="units", ETH="money", LTC="money")
    assert _said(panel, "BTC-USD's volume is "), [n for n in panel.notes if "volume" in n]
    assert not _said(panel, "ETH-USD's volume is")


def test_years_behind_a_name_are_parts_of_it_and_what_is_not_used_is_named(tmp_path: Path) -> None:
    bars = shares("SPY").drop(columns="symbol")
    bars[:150].to_csv(tmp_path / "SPY.csv", index=False)
    bars[150:].to_csv(tmp_path / "SPY_2022.csv", index=False)
    bars.to_csv(tmp_path / "SPY_adj.csv", index=False)
    panel = _of(tmp_path)
    assert len(panel.timestamps) == 260
    assert _said(panel, "of it are not used: SPY_adj")


@pytest.mark.slow
@pytest.mark.parametrize("second", ["JPM.N", "JPM US Equity", "JPM_old"])
def test_two_names_whose_bars_follow_each_other_are_asked_for(tmp_path: Path, second: str) -> None:
    bars = shares("JPM", "V")
    late = (bars["symbol"] == "JPM") & (bars["date"] >= "2021-12-01")
    bars.loc[late, "symbol"] = second
    bars.to_csv(tmp_path / "bars.csv", index=False)
    with pytest.raises(DataError, match=f"the bars of JPM and {second} follow each other"):
        _of(tmp_path)


@pytest.mark.slow
def test_what_cannot_be_seen_in_a_name_is_no_part_of_it(tmp_path: Path) -> None:
    bars = shares("JPM", "V")
    bars.loc[bars["date"] >= "2021-12-01", "symbol"] += "\u200b"
    bars.to_csv(tmp_path / "bars.csv", index=False)
    panel = _of(tmp_path, "asset=stocks", "universe=nyse")
    assert panel.close.shape == (260, 2)
    assert np.isfinite(panel.close).all()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_partitioned_data_set_is_read_from_its_root(tmp_path: Path, suffix: str) -> None:
    bars = shares("SPY", "QQQ")
    for symbol, part in bars.groupby("symbol"):
        for year, rows in part.groupby(part["date"].str[:4]):
            place = tmp_path / f"symbol={symbol}" / f"year={year}"
            place.mkdir(parents=True)
            table, path = rows.drop(columns="symbol"), place / f"part-0.{suffix}"
            table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    assert _of(tmp_path).fingerprint == load_panel(bars, asset="etf").fingerprint


def test_a_volume_of_shares_whose_unit_changes_is_named(tmp_path: Path) -> None:
    bars = shares("SPY").drop(columns="symbol")
    bars["volume"] = bars["volume"].where(bars["date"] < "2021-12-01", bars["volume"] / 1000)
    bars.to_csv(tmp_path / "SPY.csv", index=False)
    assert _said(_of(tmp_path), "times smaller from 2021-12-01 on and stays so")
    bars.assign(volume=0.16).to_csv(tmp_path / "SPY.csv", index=False)
    assert _said(_of(tmp_path), "of which it has 0.16 a bar")


@pytest.mark.slow
def test_a_pair_that_is_far_from_what_was_fixed_is_named(tmp_path: Path) -> None:
    from wealtharena.data.currency import cross_rate

    rate = cross_rate("EUR", "USD")["2021-06-04":"2022-06-01"].rename("close")
    bars = rate.rename_axis("date").reset_index()
    for factor, words in ((1.0, ""), (1e5, "may lack their decimal point")):
        bars.assign(close=bars["close"] * factor).to_csv(tmp_path / "EURUSD.csv", index=False)
        panel = _of(tmp_path, "asset=forex")
        assert _said(panel, "the ECB's rate was like") == bool(words)
        assert _said(panel, words)
    bars.assign(close=1 / bars["close"]).to_csv(tmp_path / "EURUSD.csv", index=False)
    assert _said(_of(tmp_path, "asset=forex"), "its quotes are of USDEUR")


@pytest.mark.slow
def test_dates_of_any_arrow_type_and_zones_that_nobody_knows(tmp_path: Path) -> None:
    bars = shares("SPY")
    days = pd.to_datetime(bars["date"]).dt.date
    for kind in (pa.date32(), pa.date64()):
        frame = bars.assign(date=pd.Series(days).astype(pd.ArrowDtype(kind)))
        assert load_panel(frame, asset="etf").fingerprint == load_panel(bars, asset="etf").fingerprint
    table = pa.table({"timestamp": pa.array(np.arange(9) * 86400 * 10**6, type=pa.timestamp("us", "Mars/Phobos"))})
    pq.write_table(table.append_column("close", pa.array(np.arange(1.0, 10.0))), tmp_path / "SPY.parquet")
    with pytest.raises(DataError, match="is not a readable Parquet file: Mars/Phobos"):
        _of(tmp_path)


def test_what_a_folder_holds_besides_is_named(tmp_path: Path) -> None:
    (tmp_path / "all" / "more").mkdir(parents=True)
    shares("AAA", bars=60).drop(columns="symbol").to_csv(tmp_path / "all" / "AAA.csv", index=False)
    for name in ("BBB.csv.zip", "CCC.txt"):
        (tmp_path / "all" / name).write_text("x")
    (tmp_path / "all" / "DDD.csv").symlink_to(tmp_path / "nowhere.csv")
    (tmp_path / "all" / ".hidden").write_text("x")
    panel = _of(tmp_path / "all")
    assert panel.symbols == ("AAA",)
    assert _said(panel, "4 of its entries are not read: BBB.csv.zip, CCC.txt, DDD.csv, more/")
    (tmp_path / "all" / "AAA.csv").unlink()
    with pytest.raises(DataError, match=r"holds no Parquet, Arrow or CSV file; it has BBB\.csv\.zip"):
        _of(tmp_path / "all")
