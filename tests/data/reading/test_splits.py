"""Splits and payouts: what an adjusted close proves, what columns of any name record, and what prices hardly tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import load_written, shares
from wealtharena.data import Panel
from wealtharena.data.reading import payouts
from wealtharena.data.reading.adjustment import adjustments
from wealtharena.errors import DataError

PRICES = ["open", "high", "low", "close"]


def _one(bars: int = 120) -> pd.DataFrame:
    return shares(bars=bars).drop(columns="symbol").round(2)


def _load(frame: pd.DataFrame, tmp_path: Path) -> Panel:
    return load_written(frame, tmp_path / "AAA.csv")


def _said(panel: Panel, words: str) -> bool:
    return any(words in note for note in panel.notes)


@pytest.mark.parametrize(("ratio", "words"), [
    (1.1, "11:10"), (1.05, "21:20"), (1.2, "6:5"), (1.125, "9:8"), (1.25, "5:4"), (3.0, "3:1"), (0.1, "1:10"),
])  # fmt: skip
@pytest.mark.parametrize("decimals", [2, 6])
def test_a_split_of_any_size_that_an_adjusted_close_proves_is_applied(
    tmp_path: Path, ratio: float, words: str, decimals: int
) -> None:
    frame = _one()
    raw = frame.assign(**{"Adj Close": frame["close"].round(decimals)})
    raw.loc[:59, PRICES] *= ratio
    panel = _load(raw, tmp_path)
    np.testing.assert_allclose(panel.close[:, 0], frame["close"], rtol=1e-9)
    assert _said(panel, f"Adj Close shows splits, or payouts as large, that no column names: AAA {words} on ")
    assert not panel.dividends.any()


@pytest.mark.parametrize("decimals", [2, 4, 6])
def test_payouts_that_only_an_adjusted_close_shows_are_paid(tmp_path: Path, decimals: int) -> None:
    frame = _one()
    paid = np.zeros(120)
    paid[[30, 60, 90]] = 0.5, 1.25, 3.5
    before = frame["close"].shift(1).to_numpy()
    kept = np.where(paid > 0, 1.0 - paid / before, 1.0)
    factor = np.r_[np.cumprod(kept[::-1])[::-1][1:], 1.0]
    panel = _load(frame.assign(**{"Adj Close": (frame["close"] * factor).round(decimals)}), tmp_path)
    np.testing.assert_allclose(panel.dividends[:, 0], paid, atol=0.02 if decimals == 2 else 0.001)
    assert (panel.dividends[paid == 0] == 0).all()
    assert _said(panel, "they count as dividends")
    np.testing.assert_allclose(panel.close[:, 0], frame["close"])


def _adjusted(frame: pd.DataFrame, kind: str) -> Any:
    close, rng = frame["close"], np.random.default_rng(0)
    return {
        "the same": close,
        "one level": close * 0.9,
        "rounded": (close * 0.87).round(2),
        "by a difference": close - 7.5,
        "noise of single precision": (close.astype("float32") * np.float32(0.7)).astype("float64").round(6),
        "another series": close * np.exp(np.cumsum(rng.normal(0, 0.01, len(close)))),
        "a cell that is wrong": close.where(close.index != 50, close * 1.05),
    }[kind]


@pytest.mark.parametrize("kind", ["the same", "one level", "rounded", "by a difference", "noise of single precision",
                                  "another series", "a cell that is wrong"])  # fmt: skip
def test_an_adjusted_close_that_makes_no_steps_of_payouts_pays_none(tmp_path: Path, kind: str) -> None:
    frame = _one()
    panel = _load(frame.assign(**{"Adj Close": _adjusted(frame, kind)}), tmp_path)
    assert not panel.dividends.any()
    assert not _said(panel, "Adj Close shows")
    np.testing.assert_allclose(panel.close[:, 0], frame["close"])


@pytest.mark.slow
def test_what_recorded_dividends_explain_is_not_paid_again_and_what_they_lack_is_said(tmp_path: Path) -> None:
    frame = _one()
    kept = 1.0 - 0.5 / float(frame["close"][59])
    both = frame.assign(**{"Adj Close": frame["close"] * np.where(frame.index < 60, kept, 1.0)})
    for place, lacking in ((60, False), (62, True)):
        panel = _load(both.assign(Dividends=np.where(frame.index == place, 0.5, 0.0)), tmp_path)
        assert panel.dividends.sum() == 0.5
        assert _said(panel, "shows payouts where no dividend is recorded; they are not paid: AAA 0.5 on ") == lacking


@pytest.mark.slow
@pytest.mark.parametrize("name", ["div", "DPS", "Distribution", "distributions"])
def test_dividends_of_other_names_are_paid_and_rates_are_not(tmp_path: Path, name: str) -> None:
    frame = _one()
    falls = frame.copy()
    falls.loc[60:, PRICES] -= 3.0
    panel = _load(falls.assign(**{name: np.where(frame.index == 60, 3.0, 0.0)}), tmp_path)
    assert panel.dividends.sum() == 3.0
    yearly = _load(frame.assign(**{name: 1.8}), tmp_path)
    assert not yearly.dividends.any()
    assert _said(yearly, f"{name} holds a figure in 120 of 120 rows, too many for payouts: none is paid")


def _table(ratio: float, jump: float, seed: int, noise: float = 0.01) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, noise, 200)
    moves[100] -= np.log(jump)
    close = 100 * np.exp(np.cumsum(moves))
    split = np.where(np.arange(200) == 100, ratio, 0.0)
    return {
        "AAA": pd.DataFrame({"timestamp": pd.bdate_range("2022-01-03", periods=200), "close": close, "split": split})
    }


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ratio", [1.1, 1.5, 4.0, 0.1])
def test_prices_tell_whether_recorded_splits_are_applied(seed: int, ratio: float) -> None:
    for jump, value in ((ratio, "none"), (1.0, "splits")):
        answer = adjustments(_table(ratio, jump, seed), setting="auto", known={})["AAA"]
        assert answer.value == value
        assert "hardly tell" not in answer.words


def test_recorded_splits_that_prices_hardly_tell_are_said() -> None:
    wild = _table(1.05, 1.05, 1, noise=0.05)
    answer = adjustments(wild, setting="auto", known={})["AAA"]
    assert answer.note
    assert "the prices of 1 dates hardly tell: set data.adjusted=none to apply splits" in answer.words
    assert "hardly tell" not in adjustments(wild, setting="splits", known={})["AAA"].words


def test_a_symbol_whose_dates_are_sure_is_taken_at_its_word_and_outvotes_nobody() -> None:
    tables = {f"A{seed}": _table(1.5, 1.0, seed)["AAA"] for seed in range(3)} | _table(20.0, 20.0, 4)
    found = adjustments(tables, setting="auto", known={})
    assert {name: answer.value for name, answer in found.items()} == dict.fromkeys(("A0", "A1", "A2"), "splits") | {
        "AAA": "none"
    }


def test_a_split_that_only_the_bars_before_it_lack_says_nothing_of_the_others() -> None:
    table = _table(4.0, 1.0, 5)["AAA"]
    table.loc[90:99, "close"] *= 4.0
    assert adjustments({"AAA": table}, setting="auto", known={})["AAA"].value == "splits"


def test_a_split_that_a_file_proves_is_applied_whatever_the_days_own_move() -> None:
    against = _table(1.05, 1.0, 3, noise=0.001)
    assert adjustments(against, setting="auto", known={})["AAA"].value == "splits"
    assert adjustments(against, setting="auto", known={"AAA": "none"})["AAA"].value == "none"
    paid = {"AAA": against["AAA"].assign(dividend=0.0), "BBB": _table(1.0, 1.0, 4)["AAA"].assign(dividend=0.1)}
    found = adjustments(paid, setting="auto", known={"AAA": "none", "BBB": "splits"})
    assert (found["AAA"].value, found["BBB"].value) == ("none", "splits")


@pytest.mark.parametrize(("setting", "jump"), [("splits", 4.0), ("all", 4.0), ("none", 1.0)])
def test_a_setting_that_prices_deny_on_the_dates_of_splits_is_refused(setting: str, jump: float) -> None:
    with pytest.raises(DataError, match=f"data.adjusted={setting} says that prices"):
        adjustments(_table(4.0, jump, 1), setting=setting, known={})


def _paying(share: float, *, falls: bool, seed: int) -> pd.DataFrame:
    moves = np.random.default_rng(seed).normal(0, 0.01, 800)
    ex = np.arange(800) % 63 == 62
    close = 100 * np.exp(np.cumsum(moves - np.where(ex & falls, share, 0.0)))
    dividend = np.where(ex, share * np.r_[100, close[:-1]], 0.0)
    return pd.DataFrame({"timestamp": pd.bdate_range("2022-01-03", periods=800), "close": close, "dividend": dividend})


def test_each_symbol_of_a_folder_pays_the_dividends_that_its_own_prices_lack() -> None:
    contains, falls = _paying(0.02, falls=False, seed=1), _paying(0.02, falls=True, seed=2)
    slightly = _paying(0.004, falls=True, seed=3)
    found = adjustments({"SPY": contains, "QQQ": falls}, setting="auto", known={"QQQ": "splits"})
    assert (found["SPY"].value, found["QQQ"].value) == ("all", "splits")
    found = adjustments({"SPY": contains, "QQQ": falls}, setting="auto", known={"SPY": "all"})
    assert (found["SPY"].value, found["QQQ"].value) == ("all", "splits")
    assert (found["SPY"].note, found["QQQ"].note) == (True, False)
    found = adjustments({"SPY": contains, "QQQ": falls}, setting="auto", known={})
    assert (found["SPY"].value, found["QQQ"].value) == ("all", "splits")
    found = adjustments({"IWM": slightly, "QQQ": falls}, setting="auto", known={})
    assert {answer.value for answer in found.values()} == {"splits"}
    with pytest.raises(DataError, match="dividends of IWM, and its prices do not show"):
        adjustments({"IWM": slightly, "SPY": contains, "QQQ": falls}, setting="auto", known={})
    assert "yet prices fall on 12 ex-dates" in adjustments({"QQQ": falls}, setting="all", known={})["QQQ"].words
    for setting in ("none", "splits"):
        answer = adjustments({"SPY": contains}, setting=setting, known={})["SPY"]
        assert (answer.note, "yet prices do not fall on 12 ex-dates" in answer.words) == (True, True)


def test_prices_that_jump_on_the_date_of_a_split_and_contain_their_dividends_are_paid_none_again() -> None:
    table = _paying(0.02, falls=False, seed=1).assign(split=np.where(np.arange(800) == 400, 4.0, 0.0))
    table.loc[:399, ["close", "dividend"]] *= 4.0
    assert adjustments({"SPY": table}, setting="auto", known={})["SPY"].value == "all"
    table = _paying(0.02, falls=True, seed=1).assign(split=table["split"])
    table.loc[:399, ["close", "dividend"]] *= 4.0
    assert adjustments({"SPY": table}, setting="auto", known={})["SPY"].value == "none"


def test_of_several_splits_most_decide_and_not_the_largest() -> None:
    """A source that missed one of three has the others applied."""
    table = _table(2.0, 1.0, 1)["AAA"]
    table.loc[[50, 150], "split"] = 2.0, 20.0
    table.loc[:149, "close"] *= 20.0
    assert adjustments({"AAA": table}, setting="auto", known={})["AAA"].value == "splits"


def test_a_payout_of_more_than_half_the_price_tells_nothing_of_the_others() -> None:
    """One in pence among pounds would say that prices contain them all."""
    table = _paying(0.02, falls=True, seed=2)
    table.loc[10, "dividend"] = 90.0
    assert adjustments({"QQQ": table}, setting="auto", known={})["QQQ"].value == "splits"


def test_the_money_of_a_row_that_pays_nothing_is_that_of_no_dividend() -> None:
    """Some exports fill the column in every row with the money of the account."""
    frame = pd.DataFrame({"Dividend Currency": ["USD", "AUD", "USD"], "dividend": [0.0, 0.9, np.nan]})
    told = payouts.stated(
        frame,
        np.ones(3, dtype=bool),
        [("dividend", frame["dividend"])],
        frame[["dividend"]],
        {"BHP.AX": np.arange(3)},
        "x",
    )
    assert told == {"BHP.AX": "AUD"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Adj Close", "factor"])
@pytest.mark.parametrize("nothing", [None, 0.0])
def test_a_symbol_without_the_column_that_others_have_is_read(tmp_path: Path, name: str, nothing: float | None) -> None:
    frame = shares("AAA", "BBB", bars=60)
    of_one = np.where(frame["symbol"] == "AAA", frame["close"] if name == "Adj Close" else 1.0, nothing)
    panel = _load(frame.assign(**{name: of_one.astype(np.float64)}), tmp_path)
    np.testing.assert_array_equal(panel.close, _load(frame, tmp_path).close)


@pytest.mark.parametrize("before", [0.25, 4.0])
def test_a_factor_in_a_column_of_splits_is_not_as_many_splits(tmp_path: Path, before: float) -> None:
    frame = _one()
    raw = frame.assign(split_factor=np.where(frame.index < 60, before, 1.0))
    raw.loc[:59, PRICES] *= 4.0
    panel = _load(raw, tmp_path)
    np.testing.assert_allclose(panel.close[:, 0], frame["close"], rtol=1e-9)
    assert _said(panel, "split_factor holds a figure in 60 of 120 rows, too many for splits")


@pytest.mark.slow
@pytest.mark.parametrize("traded", [True, False])
@pytest.mark.parametrize(("place", "size"), [(59, 30.0), (60, 30.0), (59, 0.03), (60, 0.03)])
def test_a_spike_beside_a_recorded_split_does_not_tell_how_prices_are_adjusted(
    tmp_path: Path, traded: bool, place: int, size: float
) -> None:
    """A spike before the split of prices that have it looked like its jump: all prices before it were halved."""
    honest = _one()
    frame = honest.assign(split=np.where(np.arange(120) == 60, 2.0, 0.0))
    if traded:
        frame.loc[:59, PRICES] *= 2.0
    frame.loc[place, PRICES] *= size
    panel = _load(frame, tmp_path)
    kept = np.isin(honest["date"], panel.timestamps.astype("datetime64[D]").astype(str))
    assert kept.sum() == 119
    np.testing.assert_allclose(panel.close[:, 0], honest["close"][kept], rtol=1e-9)
