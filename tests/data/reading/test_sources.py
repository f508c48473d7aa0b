"""Names, orders and signs of single sources, read as what they mean there and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load, _refused, _said
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, load
from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.venues import suffix_of

FIELDS = ("open", "high", "low", "close", "volume")


def _one(bars: int = 60, start: str = "2023-01-02") -> pd.DataFrame:
    return shares(bars=bars, start=start).drop(columns="symbol").round(2)


def _same(panel: Panel, frame: pd.DataFrame) -> None:
    for name in FIELDS:
        np.testing.assert_allclose(getattr(panel, name)[:, 0], frame[name], rtol=1e-6)


def _named(frame: pd.DataFrame, names: str) -> pd.DataFrame:
    return frame[["date", *FIELDS]].set_axis(names.split("|"), axis=1)


@pytest.mark.parametrize("names", [
    "window_start|open|high|low|close|volume", "ts_event|open|high|low|close|volume", "t|o|h|l|c|v",
    "MTS|OPEN|HIGH|LOW|CLOSE|VOLUME", "start_at|open|high|low|close|volume", "snapped_at|open|high|low|price|volume",
    "Date|PX_OPEN|PX_HIGH|PX_LOW|PX_LAST|PX_VOLUME", "Date|Price Open|Price High|Price Low|Price Close|Volume",
    "date|OPENPRC|ASKHI|BIDLO|PRC|VOL", "DlyCalDt|DlyOpen|DlyHigh|DlyLow|DlyClose|DlyVol",
    "BizDt|OpnPric|HghPric|LwPric|ClsPric|TtlTradgVol", "Data|Kurs otwarcia|Kurs max|Kurs min|Kurs zamknięcia|Wolumen",
    "startedAt|open|high|low|close|baseTokenVolume", "start|open|high|low|close|volume", "FromDate|Open|Day High|Day Low|Latest|Volume",
    "time|open|high|low|close|real_volume", "datadate|prcod|prchd|prcld|prccd|cshtrd",
    "candle_date_time_utc|opening_price|high_price|low_price|trade_price|candle_acc_trade_volume",
    "日期|开盘|最高|最低|收盘|成交量", "Datum|Eröffn.|Hoch|Tief|Zuletzt|Vol.", "Datum|Erster|Hoch|Tief|Schlusskurs|Stuecke",
])  # fmt: skip
def test_the_names_of_a_source_are_known(tmp_path: Path, names: str) -> None:
    frame = _one()
    _same(_load(_named(frame, names), tmp_path / "AAA.csv"), frame)


def test_polygons_epochs_and_glued_dates_are_times(tmp_path: Path) -> None:
    frame = _one()
    midnight = pd.DatetimeIndex(frame["date"]).tz_localize("America/New_York").as_unit("ns").asi8
    _same(_load(frame.assign(date=midnight).rename(columns={"date": "window_start"}), tmp_path / "AAA.csv"), frame)
    glued = frame.assign(date=frame["date"].str.replace("-", "")).rename(columns={"date": "<DTYYYYMMDD>"})
    _same(_load(glued, tmp_path / "AAA.csv"), frame)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["%Y-%m", "%Y/%m", "%b %Y", "%B %Y", "%b-%Y", "%YM%m"])
def test_a_month_may_be_written_without_its_day(tmp_path: Path, form: str) -> None:
    frame = _one(bars=24)
    months = pd.date_range("2021-01-01", periods=24, freq="MS")
    whole = _load(frame.assign(date=months), tmp_path / "AAA.csv", "asset=etf", "data.interval=1mo")
    short = _load(frame.assign(date=months.strftime(form)), tmp_path / "AAA.csv", "asset=etf", "data.interval=1mo")
    assert list(short.timestamps) == list(whole.timestamps)
    _refused(
        frame.assign(date=[f"2021-{number}" for number in range(13, 37)]), tmp_path / "AAA.csv", "not on the calendar"
    )


def test_a_ticker_t_is_no_time(tmp_path: Path) -> None:
    frame = _one()
    wide = pd.DataFrame({"date": frame["date"], "close": frame["close"], "T": frame["close"] * 2})
    np.testing.assert_allclose(_load(wide, tmp_path / "AAA.csv").close[:, 0], frame["close"])
    assert role_of("T") == "timestamp"


@pytest.mark.slow
def test_a_minus_before_a_price_of_crsp_marks_a_mean_of_quotes(tmp_path: Path) -> None:
    frame = _one()
    marked = frame.assign(close=frame["close"].where(frame.index != 20, -frame["close"]))
    panel = _load(_named(marked, "date|OPENPRC|ASKHI|BIDLO|PRC|VOL"), tmp_path / "AAA.csv")
    _same(panel, frame)
    assert _said(panel, "1 closes are means of bid and ask, which PRC marks by a minus")
    assert _load(marked, tmp_path / "AAA.csv").bars == 59  # a minus of any other source is none


@pytest.mark.parametrize("name", ["CFACPR", "ajexdi"])
def test_a_factor_that_divides_proves_a_split(tmp_path: Path, name: str) -> None:
    frame = _one()
    raw = frame.assign(**{name: np.where(frame.index < 30, 4.0, 1.0)})
    raw.loc[:29, list(FIELDS[:4])] *= 4
    panel = _load(raw, tmp_path / "AAA.csv")
    np.testing.assert_allclose(panel.close[:, 0], frame["close"])
    assert _said(panel, f"{name} shows splits, or payouts as large, that no column names: AAA 4:1 on ")


@pytest.mark.slow
def test_databentos_whole_numbers_are_prices_and_its_decimals_are_none(tmp_path: Path) -> None:
    frame = _one()
    prices = list(FIELDS[:4])
    whole = frame.rename(columns={"date": "ts_event"}).assign(rtype=35, publisher_id=1)
    whole[prices] = (frame[prices] * 1e9).round().astype("int64")
    whole.loc[5, "open"] = np.iinfo(np.int64).max
    panel = _load(whole, tmp_path / "AAA.csv")
    np.testing.assert_allclose(panel.close[:, 0], frame["close"])
    assert np.isnan(panel.open[5, 0])
    assert _said(panel, "whole numbers, as Databento writes them")
    plain = _load(frame.rename(columns={"date": "ts_event"}).assign(rtype=35, publisher_id=1), tmp_path / "AAA.csv")
    _same(plain, frame)


def test_lots_that_the_turnover_shows_are_counted_in_shares(tmp_path: Path) -> None:
    frame = _one().assign(volume=lambda f: (f["volume"] // 100 + 1) * 100)
    lots = frame.assign(volume=frame["volume"] // 100, 成交额=frame["volume"] * frame["close"])
    panel = _load(lots.rename(columns={"volume": "成交量"}), tmp_path / "AAA.csv")
    _same(panel, frame)
    assert _said(panel, "成交量 is multiplied by 100")


def _headless(order: str) -> Callable[[pd.DataFrame], str]:
    def write(frame: pd.DataFrame) -> str:
        table = frame.assign(
            time=pd.DatetimeIndex(frame["date"]).as_unit("s").asi8, money=frame["close"] * frame["volume"]
        )
        return table[order.split()].to_csv(index=False, header=False)

    return write


@pytest.mark.parametrize(("order", "source"), [
    ("time open close high low volume", "Bitfinex"), ("time low high open close volume", "Coinbase"),
    ("time open close high low volume money", "KuCoin"),
])  # fmt: skip
@pytest.mark.parametrize("backwards", [False, True])
def test_another_order_without_a_header_is_taken_where_the_numbers_prove_it(
    tmp_path: Path, order: str, source: str, backwards: bool
) -> None:
    frame = _one()
    panel = _load(_headless(order)(frame[::-1] if backwards else frame), tmp_path / "AAA.csv")
    _same(panel, frame)
    assert _said(panel, f"in the order of {source}")


@pytest.mark.parametrize("order", ["time close open high low volume", "time close open high low volume money",
                                   "time high low open close volume", "time low high close open volume"])  # fmt: skip
def test_an_order_that_the_numbers_contradict_is_refused(tmp_path: Path, order: str) -> None:
    _refused(_headless(order)(_one()), tmp_path / "AAA.csv", "not in the order of an exporter")


def test_coin_margined_klines_count_coins_beside_contracts(tmp_path: Path) -> None:
    frame = _one()
    for price, size in ((300.0, 100), (0.01, 10)):
        bars = frame.assign(**{name: frame[name] * price for name in FIELDS[:4]})
        table = bars.assign(
            opened=pd.DatetimeIndex(frame["date"]).as_unit("ms").asi8, shut=0, n=9, one=1, two=1, ignore=0,
            contracts=bars["volume"] * bars["close"] / size,
        )  # fmt: skip
        order = ["opened", *FIELDS[:4], "contracts", "shut", "volume", "n", "one", "two", "ignore"]
        panel = _load(table[order].to_csv(index=False, header=False), tmp_path / "BTCUSD.csv", "asset=crypto")
        _same(panel, bars)
        assert panel.volume_unit == "units"
        assert _said(panel, "in contracts and coins")


@pytest.mark.parametrize(("name", "suffix"), [
    ("AAPL.O", "US"), ("AAPL.OQ", "US"), ("IBM.N", "US"), ("600519.XSHG", "SS"), ("000001.XSHE", "SZ"), ("SHEL.XLON", "L"),
    ("BRK.B", None), ("600519.SS", "SS"), ("SHEL.LSE", "L"), ("NPN.JSE", "JO"), ("BHP.ASX", "AX"), ("7203.TSE", "T"),
    ("SHOP.TSE", "TSE"), ("SHEL:LSE", "L"), ("NYSE:SIX", "US"), ("RELIANCE.BSE", "BO"), ("ABC.XABC", "XABC"),
])  # fmt: skip
def test_the_suffix_of_a_ric_or_of_joinquant_tells_the_venue(name: str, suffix: str | None) -> None:
    assert suffix_of(name) == suffix


@pytest.mark.slow
def test_tables_of_other_endings_in_a_folder_are_read_and_notes_are_not(tmp_path: Path) -> None:
    frame = _one()
    folder = tmp_path / "bars"
    folder.mkdir()
    frame.to_csv(folder / "AAA.csv", index=False)
    frame.to_csv(folder / "BBB.tsv", index=False, sep="\t")
    frame.to_csv(folder / "CCC.txt", index=False)
    (folder / "README.txt").write_text("Closes of the day, open and high too.\nNo warranty.\n", encoding="utf-8")
    panel = _load_folder(folder)
    assert panel.symbols == ("AAA", "BBB", "CCC")
    assert _said(panel, "1 of its entries is not read: README.txt")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["%Y-%m-%d 16:00", "%Y-%m-%dT16:00:00-05:00", "epoch"])
def test_days_of_one_file_each_carry_their_dates_as_in_one_file(tmp_path: Path, form: str) -> None:
    frame = _one(bars=12)
    midnight = (pd.DatetimeIndex(frame["date"])).tz_localize("America/New_York")
    frame["date"] = midnight.as_unit("ns").asi8 if form == "epoch" else midnight.strftime(form)
    table = frame.assign(symbol="AAPL")
    whole = _load(table, tmp_path / "all.csv")
    folder = tmp_path / "days"
    folder.mkdir()
    for place in range(len(table)):
        table.iloc[[place]].to_csv(folder / f"day{place:02d}.csv", index=False)
    panel = _load_folder(folder)
    assert list(panel.timestamps) == list(whole.timestamps)
    np.testing.assert_array_equal(panel.close, whole.close)


def _load_folder(folder: Path) -> Panel:
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(folder))
    return load(spec.asset, spec.data, seed=0)
