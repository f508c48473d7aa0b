from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.registry.shelf import SYMBOLS, stocked
from wealtharena.data import calendars
from wealtharena.prediction import bars as room
from wealtharena.prediction.answers import Prediction
from wealtharena.prediction.bars import observe
from wealtharena.prediction.inputs import InputError
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry.metadata import Metadata


@pytest.fixture
def manager(tmp_path: Path) -> ProductionModelManager:
    return ProductionModelManager(stocked(tmp_path).root)


def frame(bars: int = 40, symbols: tuple[str, ...] = SYMBOLS, end: str = "2026-03-01") -> pd.DataFrame:
    rng = np.random.default_rng(1)
    days = pd.date_range(end=end, periods=bars, tz="UTC")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (bars, len(symbols))), axis=0))
    parts = [pd.DataFrame({"timestamp": days, "symbol": name, "close": close[:, i]}) for i, name in enumerate(symbols)]
    return pd.concat(parts, ignore_index=True)


def test_bars_become_the_newest_features(manager: ProductionModelManager) -> None:
    bars = frame()
    answer = manager.get_model_prediction("crypto", bars)
    assert isinstance(answer, Prediction)
    last = np.log(bars[bars.symbol == "ETH-USD"].close.to_numpy())
    assert answer["ETH-USD"] == pytest.approx(0.2 + 0.05 * (last[-1] - last[-2]), abs=1e-6)
    assert answer.as_of == "2026-03-01T00:00:00"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda f: f.drop(columns="close"), "bars.close"),
        (lambda f: f.assign(timestamp="yesterday-ish"), "bars.timestamp"),
        (lambda f: f.assign(close="dear"), "bars.close"),
        (lambda f: f.assign(close=np.inf), "bars.close"),
        (lambda f: f.assign(close=True), "bars.close"),
        (lambda f: f.assign(volume=True), "bars.volume"),
        (lambda f: f.assign(volume=10**400), "bars.volume"),
        (lambda f: f.assign(close=f.close + 1j), "bars.close"),
        (lambda f: f.assign(close=f.timestamp), "bars.close"),
        (lambda f: f.assign(close=pd.Timedelta("1D")), "bars.close"),
        (lambda f: f.assign(timestamp=f.timestamp.where(f.index != 3)), "bars.timestamp"),
        (lambda f: f.assign(symbol=f.symbol.where(f.index != 3)), "bars.symbol"),
        (lambda f: f.assign(symbol=f.symbol.astype(object).where(f.index != 3, None)), "bars.symbol"),
        (lambda f: SimpleNamespace(columns=list(f.columns)), "bars"),
        (lambda f: pd.concat([f, f[["timestamp"]]], axis=1), "bars.timestamp"),
        (lambda f: pd.concat([f, f[["symbol"]]], axis=1), "bars.symbol"),
        (lambda f: pd.concat([f, f[["close"]]], axis=1), "bars.close"),
        (lambda f: f[f.symbol != "SOL-USD"], "bars.SOL-USD"),
        (lambda f: pd.concat([f, f.assign(symbol="DOGE")]), "bars.DOGE"),
        (lambda f: pd.concat([f, f.iloc[[3]]]), "bars.BTC-USD"),
        (lambda f: f.groupby("symbol").tail(29), "bars.BTC-USD"),
        (lambda f: f.assign(close=f.close.where(f.symbol != "ETH-USD", -1.0)), "bars.ETH-USD"),
    ],
)
def test_bars_that_cannot_be_used_are_refused_by_their_name(
    manager: ProductionModelManager, change: object, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        manager.get_model_prediction("crypto", change(frame()))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "indexed",
    [
        lambda f: f.set_index(["timestamp", "symbol"]),
        lambda f: f.set_index("timestamp"),
        lambda f: f.set_index("timestamp").rename_axis("Date"),
        lambda f: f.set_index("timestamp").rename_axis(None),
        lambda f: f.assign(timestamp=f.timestamp.dt.strftime("%Y-%m-%d")).set_index("timestamp"),
        lambda f: f.set_index("symbol"),
        lambda f: f.set_index("timestamp", drop=False),
    ],
)
def test_times_and_symbols_may_be_the_index(manager: ProductionModelManager, indexed: object) -> None:
    answer, again = (manager.get_model_prediction("crypto", bars) for bars in (frame(), indexed(frame())))
    assert (again.as_of, dict(again)) == (answer.as_of, dict(answer))


@pytest.mark.parametrize(
    "written",
    [
        lambda days: days.dt.tz_localize("Asia/Tokyo"),
        lambda days: days.dt.tz_localize("Europe/Berlin"),
        lambda days: days.dt.tz_localize("UTC").dt.tz_convert("America/New_York"),  # 19:00 of the day before
        lambda days: days.dt.strftime("%Y-%m-%dT00:00:00+09:00"),
        lambda days: days.dt.strftime("%Y%m%d").astype(int),
        lambda days: days.astype("datetime64[s]").astype("int64"),
        lambda days: days.astype("datetime64[ms]").astype("int64"),
        lambda days: days.dt.to_period("D"),
        lambda days: days.dt.date,
    ],
)
def test_a_bar_of_a_day_is_of_the_date_that_is_written(manager: ProductionModelManager, written: object) -> None:
    bars = frame(end="2026-02-28")
    answer = manager.get_model_prediction("crypto", bars)
    other = bars.assign(timestamp=written(bars.timestamp.dt.tz_localize(None)))
    again = manager.get_model_prediction("crypto", other)
    assert (again.as_of, again.notes) == ("2026-02-28T00:00:00", answer.notes)
    assert again.weights == pytest.approx(answer.weights)


@pytest.mark.parametrize(
    ("hour", "place", "shown"),
    [(0, "Australia/Sydney", "UTC"), (16, "Australia/Sydney", "America/New_York"), (0, "UTC", "America/New_York")],
)
def test_a_day_of_a_share_is_of_the_date_at_its_venue_as_in_a_file(
    manager: ProductionModelManager, hour: int, place: str, shown: str
) -> None:
    meta = manager.load_agent_model("crypto").metadata
    recipe = meta.recipe.model_copy(update={"asset": {"universe": {"calendar": "XASX"}}})
    meta = meta.model_copy(update={"asset": "stocks", "recipe": recipe})
    bars = frame(bars=90, end="2026-02-27")
    bars = bars[bars.timestamp.dt.day_of_week < 5].assign(timestamp=lambda f: f.timestamp.dt.tz_localize(None))
    there = (bars.timestamp + pd.Timedelta(hours=hour)).dt.tz_localize(place).dt.tz_convert(shown)
    plain, elsewhere = observe(meta, bars), observe(meta, bars.assign(timestamp=there))
    assert elsewhere[1:] == plain[1:]
    assert plain[1] == "2026-02-27T00:00:00"


def test_a_day_of_a_coin_that_may_be_of_two_dates_is_refused_as_in_a_file(manager: ProductionModelManager) -> None:
    bars = frame().assign(timestamp=lambda f: f.timestamp - pd.Timedelta("9h"))  # midnight in Tokyo, as UTC
    with pytest.raises(InputError, match=r"bars\.BTC-USD: daily bars stamped 15:00 UTC may belong to that date or the"):
        manager.get_model_prediction("crypto", bars)
    hours = frame().assign(
        timestamp=lambda f: (
            pd.Timestamp("2026-02-01T00:30", tz="UTC") + f.groupby("symbol").cumcount() * pd.Timedelta("1h")
        )
    )
    with pytest.raises(InputError, match="60 minutes apart, not 1d"):
        manager.get_model_prediction("crypto", hours)


@pytest.mark.parametrize("last", ["3599s", "3599.999s"])
def test_a_bar_that_is_stamped_by_its_last_moment_stands_at_its_beginning_as_in_a_file(
    manager: ProductionModelManager, last: str
) -> None:
    meta = manager.load_agent_model("crypto").metadata.model_copy(update={"frequency": "1h"})
    bars = frame()
    first = pd.Timestamp("2026-02-28T08:00", tz="UTC")
    bars = bars.assign(timestamp=first + bars.groupby("symbol").cumcount() * pd.Timedelta("1h"))
    now = (bars.timestamp.max() + pd.Timedelta("61min")).to_pydatetime()  # the newest has just ended
    begun = observe(meta, bars, now=now)
    ended = observe(meta, bars.assign(timestamp=bars.timestamp + pd.Timedelta(last)), now=now)
    assert begun[1] == ended[1] == "2026-03-01T23:00:00"
    assert ended[2] == ("bars: its times are the last moments of bars, which stand at their beginnings", *begun[2])
    np.testing.assert_array_equal(ended[0], begun[0])


def _of(manager: ProductionModelManager, traded: dict[str, Any], **more: Any) -> Metadata:
    """Return what the shelf's version says of itself, of another market."""
    meta = manager.load_agent_model("crypto").metadata
    return meta.model_copy(update={"recipe": meta.recipe.model_copy(update={"asset": traded}), **more})


@pytest.mark.slow
def test_hours_by_the_exchanges_clock_are_read_as_a_files_are(manager: ProductionModelManager) -> None:
    meta = _of(manager, {"universe": {"calendar": "XASX"}}, asset="stocks", frequency="1h")
    hours = calendars.opening_hours("XASX", date(2026, 2, 9), date(2026, 2, 27))
    begins = [
        pd.date_range(a, b, freq="h", inclusive="left") for a, b in zip(hours["open"], hours["close"], strict=True)
    ]
    stamps = pd.DatetimeIndex(np.concatenate(begins), tz="UTC")
    bars = frame(bars=len(stamps)).assign(timestamp=np.tile(stamps, len(SYMBOLS)))
    now = (stamps[-1] + pd.Timedelta("61min")).to_pydatetime()
    plain = observe(meta, bars, now=now)
    local = observe(
        meta, bars.assign(timestamp=bars.timestamp.dt.tz_convert("Australia/Sydney").dt.tz_localize(None)), now=now
    )
    assert local[1] == plain[1] == "2026-02-27T04:00:00"
    np.testing.assert_array_equal(local[0], plain[0])
    assert all(
        any(f"times of {name} have no zone and are taken as Australia/Sydney's" in note for note in local[2])
        for name in SYMBOLS
    )
    utc = observe(meta, bars.assign(timestamp=bars.timestamp.dt.tz_localize(None)), now=now)
    assert utc[1:] == plain[1:]


def test_stale_bars_are_refused_where_a_limit_is_given(manager: ProductionModelManager) -> None:
    meta = _of(manager, {"universe": {"calendar": "24/7"}})
    now = pd.Timestamp("2026-03-04T12:00", tz="UTC").to_pydatetime()
    observe(meta, frame(), max_stale_bars=3, now=now)
    with pytest.raises(InputError, match=r"bars\.BTC-USD: is stale: its last bar is of 2026-03-01"):
        observe(meta, frame(), max_stale_bars=2, now=now)
    with pytest.raises(InputError, match="lies in the future"):
        observe(meta, frame(end="2026-03-06"), max_stale_bars=3, now=now)


@pytest.mark.parametrize(
    ("calendar", "interval", "last", "now", "come"),
    [
        ("XNYS", "1h", "2026-11-19T20:30", "2026-11-20T14:35", 0),  # before the first hour of the next day has ended
        ("XNYS", "1h", "2026-11-20T20:30", "2026-11-23T14:35", 0),  # over a weekend
        ("XNYS", "1h", "2026-11-20T20:30", "2026-11-23T20:59", 6),
        ("XNYS", "5m", "2026-11-25T20:55", "2026-11-27T14:41", 3),  # over Thanksgiving
        ("weekday24", "1h", "2026-11-20T21:00", "2026-11-22T22:30", 1),  # Friday's last and Sunday's first half hour
        ("24/7", "1h", "2026-11-29T08:00", "2026-11-29T11:30", 3),
        ("XTKS", "1d", "2019-04-26", "2019-05-07", 1),  # ten days without a session
        ("XNYS", "1d", "2026-11-27", "2026-11-30", 1),
        ("24/7", "1d", "2026-11-25", "2026-11-29", 4),
        ("XNYS", "1d", "2026-11-27", "2026-11-27", 0),
        ("XNYS", "1w", "2026-11-09", "2026-11-30", 2),
        ("24/7", "1w", "2026-11-09", "2026-11-30", 3),  # of seven days each
        ("XSHG", "1h", "2199-01-04T01:00", "2199-01-05T01:00", 24),  # nobody knows its sessions then
    ],
)
def test_bars_that_could_have_come_are_those_of_the_calendar(calendar, interval, last, now, come) -> None:
    """An agent of hours was refused bars as stale on every morning, though none was missing."""
    assert room._bars_between(calendar, interval, np.datetime64(last, "ns"), np.datetime64(now, "ns")) == come


def test_weekends_make_no_stale_bars_where_nothing_trades(manager: ProductionModelManager) -> None:
    meta = _of(manager, {"market": "forex", "universe": {"calendar": "weekday24"}})
    monday = pd.Timestamp("2026-03-02T08:00", tz="UTC").to_pydatetime()
    observe(meta, frame(end="2026-02-27"), max_stale_bars=1, now=monday)  # the last bar is Friday's


@pytest.mark.parametrize("universe", ["XNYS", "XTKS"])
def test_a_symbol_is_as_stale_as_its_own_exchange_makes_it(manager: ProductionModelManager, universe: str) -> None:
    """Shares of Tokyo beside those of New York were stale all through Golden Week, and so was the agent."""
    traded = {"market": "stocks", "universe": {"calendar": universe}}
    meta = _of(manager, traded, asset="stocks", symbols=("7203.T", "SPY.US"))
    tokyo, york = (frame(60, (name,), end) for name, end in (("7203.T", "2019-04-26"), ("SPY.US", "2019-05-06")))
    days = tokyo.timestamp.dt.day_of_week < 5
    bars = pd.concat([tokyo[days], york[york.timestamp.dt.day_of_week < 5]])
    observe(meta, bars, max_stale_bars=1, now=pd.Timestamp("2019-05-07T06:00", tz="UTC").to_pydatetime())
    with pytest.raises(InputError, match=r"7203\.T: is stale: its last bar is of 2019-04-26"):
        observe(meta, bars, max_stale_bars=3, now=pd.Timestamp("2019-05-10T12:00", tz="UTC").to_pydatetime())


def test_a_pair_among_shares_is_as_stale_as_its_own_hours_make_it(
    manager: ProductionModelManager,
) -> None:
    """By the hours of New York a pair lacked nothing over a holiday on which it was traded."""
    meta = _of(manager, {"universe": {"calendar": "XNYS"}}, asset="stocks", symbols=("EURUSD=X", "SPY.US"))
    days = frame(60, ("EURUSD=X", "SPY.US"), "2026-11-27")
    days = days[(days.timestamp.dt.day_of_week < 5) & (days.timestamp != pd.Timestamp("2026-11-26", tz="UTC"))]
    bars = days[(days.symbol == "SPY.US") | (days.timestamp < pd.Timestamp("2026-11-25", tz="UTC"))]
    friday = pd.Timestamp("2026-11-27T22:30", tz="UTC").to_pydatetime()
    with pytest.raises(InputError, match=r"EURUSD=X: is stale: its last bar is of 2026-11-24T00:00:00, 3 bars ago"):
        observe(meta, bars, max_stale_bars=2, now=friday)
    observe(meta, bars, max_stale_bars=3, now=friday)


@pytest.mark.slow
def test_a_us_share_among_australian_ones_is_over_when_new_york_is(manager: ProductionModelManager) -> None:
    """Judged by the hours of Sydney its bar was over before New York had opened: the service decided on half a day."""
    now = pd.Timestamp("2024-07-10T18:00", tz="UTC").to_pydatetime()
    bars = frame(60, ("AAPL", "BHP.AX"), "2024-07-10")
    bars = bars[bars.timestamp.dt.day_of_week < 5]
    for money, notes in (({}, 0), ({"AAPL": "USD"}, 1)):
        meta = _of(manager, {"instrument": {"currencies": money}}, asset="stocks", symbols=("AAPL", "BHP.AX"))
        told = observe(meta, bars, max_stale_bars=1, now=now)[2]
        assert sum("unfinished_bar: 1 rows" in note for note in told) == notes
