"""What people have lost figures to elsewhere, each as a small input with its right outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.reading import honest
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, calendars, intervals, load, repeat_overrides
from wealtharena.errors import DataError
from wealtharena.evaluation.splits import make_folds
from wealtharena.tasks import pipeline

pytestmark = pytest.mark.slow  # hundreds of files are written and read

Shares = Callable[..., pd.DataFrame]


def load_written(frame: pd.DataFrame, path: Path, *overrides: str, **changes: Any) -> Panel:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    spec = with_data(compose(["data=files", *(overrides or ("asset=etf",))]), path=str(path), **changes)
    return load(spec.asset, spec.data, seed=0)


def shares(*symbols: str, bars: int = 260, start: str = "2021-06-04", seed: int = 5) -> pd.DataFrame:
    """Return a walk on weekdays for each symbol."""
    rng = np.random.default_rng(seed)
    parts = []
    for symbol in symbols or ("AAA",):
        close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, bars))), 4)
        first = np.r_[100.0, close[:-1]]
        dates = pd.bdate_range(start, periods=bars).strftime("%Y-%m-%d")
        columns = {"date": dates, "symbol": symbol, "open": first, "high": np.maximum(first, close) * 1.01}
        columns |= {"low": np.minimum(first, close) * 0.99, "close": close, "volume": rng.integers(1e6, 2e6, bars)}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
def test_identifiers_are_what_is_written_whatever_they_look_like(tmp_path: Path) -> None:
    names = ("NA", "TRUE", "ON", "NULL", "1e5", "000001", "BRK.B", "INF")
    for suffix in (".csv", ".parquet"):
        panel = load_written(shares(*names, bars=40), tmp_path / f"bars{suffix}")
        assert sorted(panel.symbols) == sorted(names)
    alone = load_written(shares("TRUE", bars=40), tmp_path / "alone.csv")
    assert alone.symbols == ("TRUE",)


@pytest.mark.parametrize(("names", "words"), [(("aaa", "AAA"), "two spellings"), (("BTC/USD", "BTC-USD"), "are both")])
def test_two_spellings_of_one_symbol_are_refused(tmp_path: Path, names: tuple[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_written(shares(*names, bars=40), tmp_path / "bars.csv", "asset=crypto")


def test_a_folder_of_two_spellings_is_refused_and_one_of_months_is_joined(tmp_path: Path) -> None:
    frame = honest.honest_bars().query("symbol == 'BTC-USD'").drop(columns="symbol")
    for name, part in (("BTCUSDT-1d-2024-01.csv", frame[:17]), ("BTCUSDT-1d-2024-02.csv", frame[17:])):
        part.to_csv(tmp_path / name, index=False)
    spec = with_data(compose(["asset=crypto", "data=files"]), path=str(tmp_path))
    panel = load(spec.asset, spec.data, seed=0)
    assert (panel.symbols, panel.bars) == (("BTC-USD",), len(frame))
    assert any("joined in time" in note for note in panel.notes)
    assert any("BTCUSDT stands for BTC-USD" in note for note in panel.notes)
    frame[16:].assign(close=frame["close"] * 1.001).to_csv(tmp_path / "BTCUSDT-1d-2024-02.csv", index=False)
    with pytest.raises(DataError, match=r"stands in .*2024-01\.csv and in .*2024-02\.csv"):
        load(spec.asset, spec.data, seed=0)


def test_a_number_that_is_no_date_and_no_epoch_is_refused(tmp_path: Path) -> None:
    for first in (44_351, 1, 2021):  # a spreadsheet's day, a counter, a year
        frame = shares(bars=40).assign(date=range(first, first + 40))
        with pytest.raises(DataError, match=r"no date and no epoch|has no column for timestamp"):
            load_written(frame, tmp_path / "bars.csv")


@pytest.mark.slow
def test_the_same_instant_is_the_same_bar_of_its_venue_in_any_spelling(tmp_path: Path) -> None:
    frame = shares("BHP.AX", "CBA.AX", start="2019-01-02", bars=300)  # over both changes of the clock
    opened = pd.DatetimeIndex(frame["date"]).tz_localize("Australia/Sydney") + pd.Timedelta(hours=10)
    utc = pd.Series(opened.tz_convert("UTC"))
    spelled = {
        "plain": frame["date"],
        "text": utc.dt.strftime("%Y-%m-%d %H:%M:%S+00:00"),
        "zulu": utc.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "epoch": utc.dt.as_unit("s").astype("int64"),
        "datetime": utc,
        "venue": pd.Series(opened),
        "offset": pd.Series(opened).dt.strftime("%Y-%m-%d %H:%M:%S%z"),
        "elsewhere": utc.dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    prints = {}
    for name, stamps in spelled.items():
        for suffix in (".csv", ".parquet"):
            panel = load_written(frame.assign(date=stamps.to_numpy()), tmp_path / f"{name}{suffix}", "asset=stocks")
            assert not np.isin(panel.timestamps.astype("datetime64[D]").astype(int) % 7, (2, 3)).any(), name  # weekend
            prints[f"{name}{suffix}"] = panel.fingerprint
    assert len(set(prints.values())) == 1, prints


def test_a_day_of_a_coin_that_may_be_either_date_is_refused(tmp_path: Path) -> None:
    frame = honest.honest_bars()
    noon = frame.assign(timestamp=(frame["timestamp"] + pd.Timedelta(hours=16)).dt.as_unit("s").astype("int64"))
    with pytest.raises(DataError, match="may belong to that date or the next"):
        load_written(noon, tmp_path / "bars.csv", "asset=crypto")


def _with_dividends(*, contained: bool) -> pd.DataFrame:
    frame = shares(bars=700)
    paid = np.zeros(len(frame))
    paid[60::60] = 1.5
    fall = np.cumprod(1 - paid / 100.0)
    factor = np.ones(len(frame)) if contained else fall
    return frame.assign(
        **{name: frame[name] * factor for name in ("open", "high", "low", "close")}, Dividends=paid * fall
    )


def test_dividends_that_the_prices_contain_are_not_paid_again(tmp_path: Path) -> None:
    adjusted = load_written(_with_dividends(contained=True), tmp_path / "history.csv")
    assert not adjusted.has_dividends
    assert adjusted.dividends_in_prices
    assert any("contain the dividends" in note for note in adjusted.notes)
    traded = load_written(_with_dividends(contained=False), tmp_path / "traded.csv")
    assert traded.dividends.sum() > 10
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "history.csv"))
    assert not any("returns of shares and funds are understated" in note for note in pipeline.notes(spec, adjusted))
    said = load_written(_with_dividends(contained=True), tmp_path / "history.csv", adjusted="splits")
    assert said.dividends.sum() > 10


def test_dividends_that_nothing_tells_about_are_asked_about(tmp_path: Path) -> None:
    frame = shares(bars=60)
    frame["Dividends"] = 0.0
    frame.loc[30, ["Dividends"]] = 1.0
    frame.loc[30:, ["open", "high", "low", "close"]] -= 0.5  # half of it
    with pytest.raises(DataError, match=r"set data\.adjusted=splits"):
        load_written(frame, tmp_path / "bars.csv")
    assert load_written(frame, tmp_path / "bars.csv", adjusted="all").dividends.sum() == 0


def test_coins_and_money_are_told_apart_and_said(tmp_path: Path) -> None:
    coins = honest.honest_bars()
    money = coins.assign(volume=coins["volume"] * coins["close"])
    made = {name: load_written(f, tmp_path / f"{name}.csv", "asset=crypto") for name, f in (("c", coins), ("m", money))}
    assert (made["c"].volume_unit, made["m"].volume_unit) == ("units", "account")
    assert all(any("plausible turnover" in note for note in panel.notes) for panel in made.values())
    unsure = load_written(
        coins.assign(volume=5e7 / 24, close=20.0, open=20.5, high=21.0, low=19.0), tmp_path / "u.csv", "asset=crypto"
    )
    assert any("may be coins or money" in note for note in unsure.notes)
    assert load_written(coins, tmp_path / "c.csv", "asset=crypto", volume_unit="account").volume_unit == "account"


def test_pence_and_cents_are_converted_and_an_unknown_venue_is_said(tmp_path: Path) -> None:
    frame = shares("SHEL.L", "NPN.JO", "TEVA.TA", "SAP.DE", "BRK.B", "ABC.QQ", bars=40)
    panel = load_written(frame, tmp_path / "bars.csv")
    value = dict(zip(panel.symbols, (panel.close * panel.to_account)[-1], strict=True))
    raw = frame.groupby("symbol")["close"].last()
    assert 1.1 < value["SHEL.L"] / raw["SHEL.L"] * 100 < 1.6  # dollars for a pound
    assert 0.04 < value["NPN.JO"] / raw["NPN.JO"] * 100 < 0.1
    assert 0.2 < value["TEVA.TA"] / raw["TEVA.TA"] * 100 < 0.4
    assert value["BRK.B"] == raw["BRK.B"]
    said = " ".join(panel.notes)
    assert "SHEL.L: quotes of .L are taken as hundredths of GBP" in said
    assert "venue .QQ is not known" in said
    assert "BRK.B:" not in said
    whole = compose(["asset=etf", "data=files", "+asset.instrument.currencies={SHEL.L: GBP}"])
    again = load(whole.asset, with_data(whole, path=str(tmp_path / "bars.csv")).data, seed=0)
    assert again.close[-1, again.symbols.index("SHEL.L")] == raw["SHEL.L"]


@pytest.mark.parametrize(("calendar", "first", "last"), [
    ("XTKS", "1990-01-04", "1998-12-31"), ("XBOM", "1995-01-02", "1999-12-31"), ("XSAU", "2018-01-01", "2022-12-31"),
    ("XSHG", "2026-11-02", "2028-12-28"), ("XNYS", "1950-01-01", "1961-01-01")])  # fmt: skip
def test_sessions_beyond_what_a_calendar_knows_are_the_days_of_its_week(calendar: str, first: str, last: str) -> None:
    start, end = (pd.Timestamp(text).date() for text in (first, last))
    found = calendars.sessions(calendar, start, end)
    assert found.is_monotonic_increasing
    assert found.is_unique
    assert 0.93 < len(found) / (5 / 7 * (end - start).days) <= 1.01
    week = set(found.day_of_week)
    assert week == ({6, 0, 1, 2, 3} if calendar == "XSAU" else {0, 1, 2, 3, 4})


def test_a_bad_open_costs_the_open_and_a_bad_close_the_bar(tmp_path: Path) -> None:
    frame = shares(bars=300)
    frame.loc[:150, "open"] = 0.0
    panel = load_written(frame, tmp_path / "old.csv")
    assert panel.bars == 300
    assert panel.open is not None
    assert np.isnan(panel.open[:151, 0]).all()
    assert not panel.tradable[:151, 0].any()
    assert panel.tradable[151:, 0].all()
    np.testing.assert_array_equal(panel.close[:, 0], frame["close"])
    blank = frame.assign(open=frame["open"].replace(0.0, np.nan))
    assert load_written(blank, tmp_path / "blank.csv").fingerprint == panel.fingerprint
    frame.loc[200:203, "close"] = 0.0
    assert load_written(frame, tmp_path / "closes.csv").bars == 296


def test_too_much_to_repair_is_an_error_that_counts_by_cause(tmp_path: Path) -> None:
    frame = shares(bars=300)
    frame.loc[:40, "close"] = 0.0
    with pytest.raises(DataError, match=r"41 of 300 rows .*41 non_positive.*data\.max_repaired_share"):
        load_written(frame, tmp_path / "bars.csv")
    assert load_written(frame, tmp_path / "bars.csv", max_repaired_share=0.2).bars == 259
    text = shares(bars=100).to_csv(index=False) + "Total;\n" * 3
    (tmp_path / "footer.csv").write_text(text)
    spec = with_data(compose(["asset=etf", "data=files"]), path=str(tmp_path / "footer.csv"))
    assert any("3 of 103 rows left out" in note for note in load(spec.asset, spec.data, seed=0).notes)
    (tmp_path / "footer.csv").write_text(text + "Total;\n" * 9)
    with pytest.raises(DataError, match="12 of 112 rows had to be left out"):
        load(spec.asset, spec.data, seed=0)


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_bars_of_two_intervals_in_one_series_are_refused(tmp_path: Path, interval: str) -> None:
    daily = honest.honest_bars(bars=300).query("symbol == 'BTC-USD'")
    hourly = honest.honest_bars(bars=900, interval="1h").query("symbol == 'BTC-USD'")
    later = hourly.assign(timestamp=hourly["timestamp"] + pd.Timedelta(days=400))
    for name, frame in (("then", pd.concat([daily, later])), ("tail", pd.concat([daily, later[:60]]))):
        with pytest.raises(DataError, match="several intervals"):
            load_written(frame, tmp_path / f"{name}.csv", "asset=crypto", interval=interval)


@pytest.mark.parametrize("interval", intervals.INTERVALS)
def test_any_interval_loads_as_what_it_is_and_years_are_those_of_its_stamps(tmp_path: Path, interval: str) -> None:
    step = {"1m": "min", "1mo": "MS", "1w": "7D", "1d": "D", "1h": "h", "4h": "4h"}.get(interval, f"{interval[:-1]}min")
    frame = honest.honest_bars(bars=60).query("symbol == 'BTC-USD'")
    frame = frame.assign(timestamp=pd.date_range("2015-01-01", periods=60, freq=step, tz="UTC"))
    panel = load_written(frame, tmp_path / "bars.csv", "asset=crypto", f"data.interval={interval}")
    assert (panel.frequency, panel.bars) == (interval, 60)
    assert panel.tradable.all()
    expected = pd.Timedelta(days=365.25) / intervals.length(interval)
    assert panel.bars_per_year == pytest.approx(expected, rel=0.03)
    other = "1d" if interval != "1d" else "1h"
    with pytest.raises(DataError, match=rf"not {other}; set data\.interval={interval}"):
        load_written(frame, tmp_path / "bars.csv", "asset=crypto", f"data.interval={other}")


def test_hours_of_an_exchange_are_hours_though_nights_lie_between() -> None:
    days = pd.bdate_range("2024-01-02", periods=30, tz="America/New_York")
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=9.5 + h) for day in days for h in range(7)]).tz_convert("UTC")
    assert intervals.found_interval(pd.Series(stamps)) == "1h"
    intervals.check_interval(pd.Series(stamps), "1h", where="x")


@pytest.mark.parametrize(("text", "words"), [
    ("date,symbol,close\n04/05/2021,A,1\n05/05/2021,A,2\n", "day or month first"),
    ('date;symbol;close\n2021-06-04;A;1,234\n2021-06-07;A;1,235\n', "1,234 may be 1234 or 1.234"),
    ('date;symbol;close;open\n2021-06-04;A;1,5;1.5\n2021-06-07;A;1,2;1.7\n', "decimal point and others a decimal comma"),
    ("date,symbol,close\n2021-06-04T00:00Z,A,1\n2021-06-07,A,2\n", "some timestamps have a zone"),
    ("date,timestamp,symbol,close\n2021-06-04,2025-01-01,A,1\n2021-06-07,2025-01-01,A,2\n", "tell different times"),
    ("date,symbol,close\n04.06.21,A,1\n05.06.21,A,2\n", "may be written day first or year first"),
    ("2021-06-04,1,2,3,4,5\n2021-06-05,1,2,3,4,5\n", "no header row"),
])  # fmt: skip
def test_what_may_be_two_things_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bars.csv").write_text(text)
    spec = with_data(compose(["asset=etf", "data=files"]), path=str(tmp_path / "bars.csv"))
    with pytest.raises(DataError, match=words) as caught:
        load(spec.asset, spec.data, seed=0)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_symbols_may_be_asked_for_as_the_file_writes_them(tmp_path: Path) -> None:
    frame = honest.honest_bars()
    frame["symbol"] = frame["symbol"].replace({"BTC-USD": "BTC/USDT:USDT", "ETH-USD": "ETH/USDT"})
    for asked, given in (("BTC/USDT:USDT", "BTC-USDT:USDT"), ("ETH/USDT", "ETH-USDT"), ("ETH-USD", "ETH-USD")):
        assert load_written(frame, tmp_path / "bars.csv", "asset=crypto", symbols=(asked,)).symbols == (given,)


def test_a_coin_is_not_renamed_where_two_could_stand_for_it(tmp_path: Path) -> None:
    frame = honest.honest_bars()
    frame["symbol"] = frame["symbol"].replace({"BTC-USD": "BTCUSDT", "ETH-USD": "BTCUSDC"})
    assert load_written(frame, tmp_path / "bars.csv", "asset=crypto").symbols == ("BTCUSDC", "BTCUSDT")
    frame["symbol"] = frame["symbol"].replace({"BTCUSDC": "DOTUSD"})
    assert load_written(frame, tmp_path / "bars.csv", "asset=crypto").symbols == ("BTC-USD", "DOT-USD")


def test_splits_that_the_prices_show_are_applied(tmp_path: Path) -> None:
    frame = shares(bars=200)
    raw = frame.copy()
    raw.loc[:99, ["open", "high", "low", "close"]] *= 4
    raw["Stock Splits"] = np.where(raw.index == 100, 4.0, 0.0)
    done = frame.assign(**{"Stock Splits": raw["Stock Splits"]})
    closes = [load_written(f, tmp_path / f"{i}.csv").close[:, 0] for i, f in enumerate((raw, done))]
    np.testing.assert_allclose(closes[0], frame["close"], rtol=1e-9)
    np.testing.assert_allclose(closes[1], frame["close"], rtol=1e-9)


@pytest.mark.parametrize("ratio", [1.05, 1.1, 1.2])
@pytest.mark.parametrize("named", ["Stock Splits", "Split Ratio", "splitFactor"])
def test_a_split_below_five_for_four_is_applied_where_prices_show_it(tmp_path: Path, ratio: float, named: str) -> None:
    frame = shares(bars=200)
    raw = frame.copy()
    raw.loc[:99, ["open", "high", "low", "close"]] *= ratio
    raw[named] = np.where(raw.index == 100, ratio, 1.0)
    done = frame.assign(**{named: raw[named]})
    for table, name in ((raw, "raw"), (done, "done")):
        np.testing.assert_allclose(load_written(table, tmp_path / f"{name}.csv").close[:, 0], frame["close"], rtol=1e-9)


def test_a_symbol_that_only_the_test_window_has_is_said_to_be_untrained(tmp_path: Path) -> None:
    early, late = shares("OLD", bars=600), shares("NEW", bars=150, start="2023-04-03")
    panel = load_written(pd.concat([early, late]), tmp_path / "bars.csv")
    folds = make_folds(compose(["asset=etf"]).split, panel.bars)
    assert "never trained on NEW:" in " ".join(pipeline.untrained(panel, folds))
    assert pipeline.untrained(load_written(early, tmp_path / "early.csv"), folds) == ()


def test_times_of_day_without_a_zone_are_said_to_be_taken_as_utc(tmp_path: Path) -> None:
    frame = honest.honest_bars(interval="1h")
    said = []
    for stamps in (frame["timestamp"].dt.tz_localize(None), frame["timestamp"]):
        panel = load_written(
            frame.assign(timestamp=stamps), tmp_path / "bars.parquet", "asset=crypto", "data.interval=1h"
        )
        said.append(any("taken as UTC" in note for note in panel.notes))
    assert said == [True, False]


def test_the_repeating_command_names_what_was_said_of_the_figures(tmp_path: Path) -> None:
    frame = honest.honest_bars()
    panel = load_written(frame, tmp_path / "bars.csv", "asset=crypto", volume_unit="account")
    spec = with_data(compose(["data=files", "asset=crypto"]), path="bars.csv", volume_unit="account")
    assert "data.volume_unit=account" in repeat_overrides(panel, spec.data)


def test_a_pairs_day_that_begins_the_evening_before_is_the_date_that_most_of_it_has(tmp_path: Path) -> None:
    frame = shares("EURUSD", bars=100).assign(volume=0)
    evening = pd.DatetimeIndex(frame["date"]).tz_localize("UTC") - pd.Timedelta(hours=2)  # 22:00, Sunday to Thursday
    plain = load_written(frame, tmp_path / "plain.csv", "asset=forex")
    for stamps in (evening.as_unit("s").asi8, evening.strftime("%Y-%m-%dT%H:%M:%SZ")):
        panel = load_written(frame.assign(date=stamps), tmp_path / "evening.csv", "asset=forex")
        assert panel.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: f.assign(close=f["open"]), "open and close are the same number in every bar"),
        (lambda f: f.assign(high=f["close"]), "high and close are the same number in every bar"),
        (lambda f: f.drop(columns="open").rename(columns={"high": "open"}), "open is never below the close, as a high"),
        (lambda f: f.drop(columns="open").rename(columns={"low": "open"}), "open is never above the close, as a low"),
    ],
)
def test_a_price_under_anothers_name_is_refused_by_what_no_market_does(
    tmp_path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    with pytest.raises(DataError, match=words) as refused:
        load_written(edit(shares(bars=60)), tmp_path / "bars.csv")
    assert refused.value.hint


def test_bars_of_one_price_and_closes_alone_are_no_copies(tmp_path: Path) -> None:
    bars = shares(bars=60)
    flat = bars.assign(**dict.fromkeys(("open", "high", "low"), bars["close"]))
    alone = bars[["date", "symbol", "close"]]
    opened = bars[["date", "symbol", "open", "close"]]
    for frame in (flat, alone, opened):
        assert load_written(frame, tmp_path / "bars.csv").bars == 60


def test_a_volume_that_can_only_be_money_is_said(tmp_path: Path) -> None:
    frame = honest.honest_bars()
    frame = frame.assign(quote_asset_volume=frame["close"] * frame["volume"]).drop(columns="volume")
    panel = load_written(frame, tmp_path / "bars.csv", "asset=crypto")
    assert any("no column for volume in units; quote_asset_volume, in money" in note for note in panel.notes)


def test_a_single_bar_a_symbol_shows_no_interval(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a single bar a symbol"):
        load_written(shares("AAA", "BBB", bars=1), tmp_path / "bars.csv")
    both = pd.concat([shares("AAA", bars=40), shares("BBB", bars=1)])
    assert load_written(both, tmp_path / "bars.csv").bars == 40
    for day, part in shares("AAA", bars=5).groupby("date"):  # one file a day
        (tmp_path / "days").mkdir(exist_ok=True)
        part.to_csv(tmp_path / "days" / f"{day}.csv", index=False)
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "days"))
    assert load(spec.asset, spec.data, seed=0).bars == 5
