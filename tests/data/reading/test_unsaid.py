"""Columns whose name or cells say something that figures depend on: each counts, or is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import load_written, shares
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, load
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # dozens of files are written and read


def _one(bars: int = 120) -> pd.DataFrame:
    return shares("AAA", bars=bars).drop(columns="symbol").round(2)


def _load(frame: pd.DataFrame, path: Path, *, adjusted: str = "splits") -> Panel:
    frame.to_csv(path, index=False)
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(path), adjusted=adjusted)
    return load(spec.asset, spec.data, seed=0)


def _paid(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.assign(**{column: np.where(np.isin(frame.index, (30, 90)), 0.5, np.nan)})


@pytest.mark.parametrize("named", ["DIVAMT", "divd", "DVD", "Cash Dividends", "cash_amount", "Gross Dividend", "Distributions Per Unit",
                                   "Dividende", "Ausschüttung", "配当", "分红"])  # fmt: skip
def test_dividends_count_under_the_names_of_their_sources(tmp_path: Path, named: str) -> None:
    panel = _load(_paid(_one(), named), tmp_path / "AAA.csv")
    assert panel.dividends.sum() == pytest.approx(1.0)


def test_a_column_that_may_hold_payouts_is_named_and_a_yield_on_every_bar_is_not(tmp_path: Path) -> None:
    for named in ("Extra Dividend Declared", "Dividend %", "Dividend (%)"):
        panel = _load(_paid(_one(), named), tmp_path / "AAA.csv")
        assert not panel.dividends.any()
        assert any(f"{named} may hold payouts and is passed over" in note for note in panel.notes)
    rate = _load(_one().assign(**{"Dividend Yield": 0.02}), tmp_path / "BBB.csv")
    assert not any("may hold payouts" in note for note in rate.notes)


@pytest.mark.parametrize("named", ["curcdd", "Currency Code", "CRNCY", "Währung", "货币"])
def test_a_currency_counts_under_the_names_of_its_sources(tmp_path: Path, named: str) -> None:
    stated = load_written(_one().assign(currency="EUR"), tmp_path / "AAA.csv")
    panel = load_written(_one().assign(**{named: "EUR"}), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(panel.to_account, stated.to_account)
    assert (panel.to_account != 1.0).all()


@pytest.mark.parametrize(
    ("named", "scale"), [("Volume, ths", 1e3), ("Vol. (Mln)", 1e6), ("Объём (тыс. шт)", 1e3), ("거래량(천주)", 1e3)]
)
def test_a_scale_in_other_words_counts(tmp_path: Path, named: str, scale: float) -> None:
    frame = _one()
    panel = _load(
        frame.assign(volume=frame["volume"].astype(float) / scale).rename(columns={"volume": named}),
        tmp_path / "AAA.csv",
    )
    assert panel.volume is not None
    np.testing.assert_allclose(panel.volume[:, 0], frame["volume"])


def test_a_word_behind_the_only_volume_that_nobody_knows_is_said(tmp_path: Path) -> None:
    panel = _load(_one().rename(columns={"volume": "Volume xyz"}), tmp_path / "AAA.csv")
    assert any("'XYZ' is not understood" in note for note in panel.notes)


def test_which_of_several_closes_counts_is_said_where_they_differ(tmp_path: Path) -> None:
    frame = _one().rename(columns={"close": "Last"})
    last = frame["Last"]
    same = _load(frame.assign(Settle=last), tmp_path / "AAA.csv")
    assert not any("(not Settle)" in note for note in same.notes)
    panel = _load(frame.assign(Settle=last + 0.01), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(panel.close[:, 0], last)
    assert any("close: Last (not Settle)" in note for note in panel.notes)


def test_two_dividends_of_one_day_in_rows_of_their_own_are_never_one(tmp_path: Path) -> None:
    frame = _paid(_one(), "dividend")
    again = frame.loc[[30]]
    apart = pd.concat([frame, again.assign(dividend=3.0)]).sort_index(kind="stable")
    with pytest.raises(DataError, match=r"several rows on .* with a dividend each \(0.5, 3\)") as caught:
        _load(apart, tmp_path / "AAA.csv")
    assert "sum" in str(caught.value.hint)
    for copies in ([again, frame], [frame, again], [again.assign(dividend=np.nan), frame]):
        panel = _load(pd.concat(copies).sort_index(kind="stable"), tmp_path / "AAA.csv")
        assert panel.dividends.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("stem", ["AAA_5min", "AAA_1hour", "AAA_30mins", "AAA_1day"])
def test_the_interval_in_words_is_no_part_of_a_file_s_symbol(tmp_path: Path, stem: str) -> None:
    assert _load(_one(), tmp_path / f"{stem}.csv").symbols == ("AAA",)


@pytest.mark.parametrize("ratio", [2.0, 4.0, 0.1])
@pytest.mark.parametrize("as_traded", [True, False])
def test_a_volume_that_has_the_splits_beside_prices_that_do_not_is_said(
    tmp_path: Path, ratio: float, as_traded: bool
) -> None:
    frame = _one(200).assign(split=0.0)
    frame.loc[100, "split"] = ratio
    frame.loc[:99, ["open", "high", "low", "close"]] *= ratio
    frame["volume"] = np.random.default_rng(3).lognormal(14, 0.4, 200)
    if as_traded:
        frame.loc[:99, "volume"] /= ratio
    panel = _load(frame, tmp_path / "AAA.csv", adjusted="auto")
    assert any("volume does not rise on their dates" in note for note in panel.notes) != as_traded


def test_total_returns_without_a_column_of_payouts_are_said(tmp_path: Path) -> None:
    frame = _one()
    step = np.where(frame.index < 50, 1.0, 1.01)
    moves = frame["close"].pct_change().fillna(0).round(6)
    for said, more in [
        (True, {"trfd": step}),
        (False, {"trfd": 1.0}),
        (True, {"RET": np.where(frame.index == 50, 0.1, moves), "RETX": moves}),
        (False, {"RET": moves, "RETX": moves}),
        (False, {"trfd": step, "divd": np.where(frame.index == 50, 0.5, np.nan)}),
    ]:
        panel = _load(frame.assign(**more), tmp_path / "AAA.csv")
        assert any("contains payouts that no column names" in note for note in panel.notes) == said


@pytest.mark.parametrize("place", ["before", "after", "end"])
@pytest.mark.parametrize(("role", "cell"), [("dividend", 0.5), ("split", 4.0)])
def test_a_payout_or_split_in_a_row_without_prices_counts_on_the_bar_of_its_date(
    tmp_path: Path, place: str, role: str, cell: float
) -> None:
    frame = _one().assign(**{role: np.nan})
    if role == "split":
        frame.loc[:59, ["open", "high", "low", "close"]] *= cell
    event = frame.loc[[60]].assign(open=np.nan, high=np.nan, low=np.nan, close=np.nan, volume=np.nan, **{role: cell})
    parts = {"before": [event, frame], "after": [frame, event]}.get(place)
    table = pd.concat([frame, event]) if parts is None else pd.concat(parts).sort_index(kind="stable")
    panel = _load(table, tmp_path / "AAA.csv", adjusted="splits" if role == "dividend" else "none")
    assert panel.dividends.sum() == pytest.approx(cell if role == "dividend" else 0.0)
    np.testing.assert_allclose(panel.close[:, 0], _one()["close"])
