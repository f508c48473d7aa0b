"""Words behind a column's name: each is understood, named in a note, or refused; none is dropped in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.reading.test_cases import shares
from tests.data.specs import compose, with_data
from wealtharena.data import load
from wealtharena.data.panel import Panel
from wealtharena.data.reading import words
from wealtharena.data.reading.columns import parts_of, role_of
from wealtharena.data.reading.files import read_path
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # hundreds of files are written and read

_PRICES = ("open", "high", "low", "close")


def _one() -> pd.DataFrame:
    return shares("AAA", bars=60).drop(columns="symbol")


def _load(content: str | pd.DataFrame, path: Path, *overrides: str, **changes: Any) -> Panel:
    path.write_text(content if isinstance(content, str) else content.to_csv(index=False))
    spec = with_data(compose(["data=files", *(overrides or ("asset=etf",))]), path=str(path), **changes)
    return load(spec.asset, spec.data, seed=0)


def _said(panel: Panel, text: str) -> bool:
    return any(text in note for note in panel.notes)


def _all_prices(form: str) -> pd.DataFrame:
    return _one().rename(columns={name: form.format(name) for name in _PRICES})


def _worth(panel: Panel) -> float:
    return float((panel.close * panel.to_account)[-1, 0] / _one()["close"].iloc[-1])


_MONEY = [("EUR", "EUR", 1), ("€", "EUR", 1), ("£", "GBP", 1), ("p", "GBX", 0.01), ("pence", "GBX", 0.01), ("US cents", "USX", 0.01),
          ("₹", "INR", 1), ("Rs.", "INR", 1), ("HK$", "HKD", 1), ("元", "CNY", 1), ("円", "JPY", 1), ("R$", "BRL", 1), ("A$", "AUD", 1),
          ("EUR/MWh", "EUR", 1), ("EUR per unit", "EUR", 1), ("Euro", "EUR", 1), ("cents", words.HUNDREDTHS, 0.01)]  # fmt: skip


@pytest.mark.parametrize(("word", "code", "scale"), _MONEY)
@pytest.mark.parametrize("form", ["{0} ({1})", "{0} [{1}]", "{0}\uff08{1}\uff09"])
def test_money_in_brackets_is_what_prices_are_in(tmp_path: Path, word: str, code: str, scale: float, form: str) -> None:
    panel = _load(_all_prices(form.format("{0}", word)), tmp_path / "AAA.csv")
    stated = _load(
        _one().assign(currency={"USX": "USD", words.HUNDREDTHS: "USD", "GBX": "GBP"}.get(code, code)),
        tmp_path / "AAA.csv",
    )
    assert _worth(panel) == pytest.approx(scale * _worth(stated))
    assert _said(panel, "as the file states")


@pytest.mark.parametrize(
    "name", ["Close EUR", "Close, EUR", "close_eur", "closeEUR", "Close €", "price_eur", "Last Price-EUR"]
)
def test_money_behind_a_name_is_understood_whatever_separates_it(tmp_path: Path, name: str) -> None:
    panel = _load(_one().rename(columns={"close": name}), tmp_path / "AAA.csv")
    assert _worth(panel) != 1.0
    assert _said(panel, "prices are in EUR")
    beside = _load(_one().assign(**{name: 1.0}), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(beside.close[:, 0], _one()["close"])
    assert _worth(beside) == 1.0


@pytest.mark.parametrize(("symbol", "money"), [("7203.T", "JPY"), ("600519.SS", "CNY"), ("AAA", "")])
def test_a_sign_of_several_currencies_is_the_one_that_the_symbol_tells(tmp_path: Path, symbol: str, money: str) -> None:
    path = tmp_path / f"{symbol}.csv"
    if not money:
        with pytest.raises(DataError, match=r"is in JPY or CNY.*currencies\.AAA"):
            _load(_all_prices("{} (¥)"), path)
        return
    np.testing.assert_array_equal(_load(_all_prices("{} (¥)"), path).to_account, _load(_one(), path).to_account)


def test_a_dollar_sign_is_the_dollar_of_the_symbol_and_else_the_american(tmp_path: Path) -> None:
    for symbol in ("AAA", "BHP.AX", "0700.HK"):
        path = tmp_path / f"{symbol}.csv"
        np.testing.assert_array_equal(_load(_all_prices("{} ($)"), path).to_account, _load(_one(), path).to_account)
    london = _load(_all_prices("{} ($)"), tmp_path / "SHEL.L.csv")
    assert _worth(london) == 1.0
    assert _said(london, "prices are in USD, as the file states")


_SCALES = [("000s", 1e3), ("in thousands", 1e3), ("thousands of shares", 1e3), ("K shares", 1e3), ("Tsd.", 1e3), ("Mio.", 1e6),
           ("lakhs", 1e5), ("Crores", 1e7), ("万股", 1e4), ("hundreds", 1e2), ("x100", 1e2), ("手", 1e2), ("hands", 1e2), ("MM", 1e6),
           ("in 1000", 1e3), ("shares", 1.0), ("株", 1.0)]  # fmt: skip


@pytest.mark.parametrize(("word", "scale"), _SCALES)
def test_a_volume_counts_what_its_bracket_says(tmp_path: Path, word: str, scale: float) -> None:
    panel = _load(_one().rename(columns={"volume": f"Volume ({word})"}), tmp_path / "AAA.csv")
    assert panel.volume is not None
    np.testing.assert_allclose(panel.volume[:, 0], _one()["volume"] * scale)
    assert _said(panel, "multiplied by") == (scale != 1.0)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("volume_thousands", 1e3),
        ("vol_hand", 1e2),
        ("Volume 000s", 1e3),
        ("VolumeInMillions", 1e6),
        ("Volume_lots", 1.0),
    ],
)
def test_a_volume_counts_what_stands_behind_its_name(tmp_path: Path, name: str, scale: float) -> None:
    panel = _load(_one().rename(columns={"volume": name}), tmp_path / "AAA.csv")
    assert panel.volume is not None
    np.testing.assert_allclose(panel.volume[:, 0], _one()["volume"] * scale)
    assert _said(panel, "multiplied by") or _said(panel, "counts lots")


@pytest.mark.parametrize(
    "name", ["Volume (USD)", "Volume ($)", "Volume (turnover)", "volume_usd", "Volume, USD", "Volume (USD millions)"]
)
def test_a_volume_in_money_is_money(tmp_path: Path, name: str) -> None:
    frame = _one().assign(volume=lambda f: f["volume"] * f["close"] / (1e6 if "millions" in name else 1.0))
    panel = _load(frame.rename(columns={"volume": name}), tmp_path / "AAA.csv")
    assert panel.volume is not None
    assert panel.volume_unit == "account"
    np.testing.assert_allclose(panel.volume[:, 0], _one()["volume"] * _one()["close"])


def test_a_scale_of_prices_counts_and_a_letter_is_none(tmp_path: Path) -> None:
    panel = _load(_all_prices("{} (in thousands)"), tmp_path / "AAA.csv")
    np.testing.assert_allclose(panel.close[:, 0], _one()["close"] * 1000)
    assert _said(panel, "multiplied by 1,000")
    letter = _load(_all_prices("{} (M)"), tmp_path / "AAA.csv")
    np.testing.assert_allclose(letter.close[:, 0], _one()["close"])
    assert _said(letter, "'M' is not understood")
    paid = read_path(_written(_one().assign(**{"Dividend (M)": [0.0] * 59 + [1.0]}), tmp_path)).tables["AAA"]
    assert paid["dividend"].sum() == 1.0


def test_words_that_are_not_known_are_named(tmp_path: Path) -> None:
    panel = _load(_one().rename(columns={"close": "Close (xyz)", "volume": "Volume (foo)"}), tmp_path / "AAA.csv")
    assert _said(panel, "of Close (xyz), 'xyz' is not understood")
    assert _said(panel, "of Volume (foo), 'foo' is not understood")
    paid = _one().assign(**{"Dividend (fils)": [0.0] * 59 + [1.0]})
    assert _said(_load(paid, tmp_path / "AAA.csv"), "of Dividend (fils), 'fils' is not understood")
    known = _load(_one().rename(columns={"close": "Close (last)", "volume": "Volume (shares)"}), tmp_path / "AAA.csv")
    assert not _said(known, "not understood")


def test_prices_are_of_one_side_of_the_market(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="different sides"):
        _load(_one().rename(columns={"open": "Open (bid)", "close": "Close (ask)"}), tmp_path / "AAA.csv")
    assert _said(_load(_all_prices("{}_bid"), tmp_path / "AAA.csv"), "one side of the market")


def test_a_volume_in_other_money_than_the_prices_is_refused(tmp_path: Path) -> None:
    frame = _all_prices("{} (EUR)").rename(columns={"volume": "Volume (GBP)"})
    with pytest.raises(DataError, match="is in GBP, and prices are in EUR"):
        _load(frame, tmp_path / "AAA.csv")
    alone = _load(_one().rename(columns={"volume": "Volume (EUR)"}), tmp_path / "AAA.csv")
    assert _said(alone, "Volume (EUR) names EUR, and prices do not")
    coin = _one().rename(columns={"volume": "Volume EUR"})
    assert not _said(_load(coin, tmp_path / "BTC-EUR.csv", "asset=crypto"), "prices do not")


@pytest.mark.parametrize(
    ("prices", "dividend", "factor"),
    [("{} (USD)", "Dividend (cents)", 0.01), ("{} (GBP)", "Dividend (GBX)", 0.01), ("{} (GBp)", "Dividend (£)", 100.0),
     ("{} (USD)", "Dividend (c)", 0.01), ("{} (USD)", "Dividend cps", 0.01), ("{} (USD)", "Dividend, c", 0.01),
     ("{} (USD)", "Div c/share", 0.01), ("{} (USD)", "dividend_cents", 0.01), ("{} (GBP)", "Dividend pence per share", 0.01),
     ("{} (AUD)", "Dividend (AUD c)", 0.01), ("{} (AUD)", "Dividend (AUD cents)", 0.01), ("{} (AUD)", "Dividend AUD", 1.0),
     ("{} (NOK)", "Dividend (øre)", 0.01), ("{} (INR)", "Dividend paise", 0.01), ("{} (ILS)", "Dividend (agorot)", 0.01),
     ("{} (GBX)", "Dividend (p)", 1.0), ("{} (cents)", "Dividend (USc)", 1.0), ("{} (USD)", "Dividend (USD)", 1.0)],
)  # fmt: skip
def test_dividends_in_cents_beside_prices_in_whole_money_count_as_cents(
    tmp_path: Path, prices: str, dividend: str, factor: float
) -> None:
    """They were paid a hundredfold."""
    paid = np.zeros(60)
    paid[20] = 0.5
    frame = _all_prices(prices).assign(**{dividend: paid})
    table = read_path(_written(frame, tmp_path)).tables["AAA"]
    assert table["dividend"].to_numpy() == pytest.approx(paid * factor)


@pytest.mark.parametrize(
    ("prices", "dividend", "words"),
    [("{} (AUD)", "Dividend (USc)", "other money than AUD"), ("{} (USD)", "Dividend (AUD cents)", "other money than USD"),
     ("{} (GBP)", "Dividend (USD)", "other money than GBP"), ("{} (GBX)", "Dividend (€)", "other money than GBX"),
     ("{} (AUD cents)", "Dividend (c)", r"open \(AUD cents\) counts cents of AUD; divide prices by 100")],
)  # fmt: skip
def test_another_money_or_cents_of_one_whose_cents_have_no_code_are_refused(
    tmp_path: Path, prices: str, dividend: str, words: str
) -> None:
    """Cents were taken for whole money, and dollars for pounds."""
    with pytest.raises(DataError, match=words):
        read_path(_written(_all_prices(prices).assign(**{dividend: [0.0] * 59 + [1.0]}), tmp_path))


@pytest.mark.parametrize(("name", "money"), [("Dividend (C$)", "CAD"), ("Dividend (AUD cents)", "AUD")])
def test_the_money_of_dividends_tells_which_a_sign_of_prices_means(tmp_path: Path, name: str, money: str) -> None:
    """Canadian dividends counted as American ones: a lone $ is taken for the American."""
    frame = _all_prices("{} ($)").assign(**{name: [0.0] * 59 + [1.0]})
    assert read_path(_written(frame, tmp_path)).currencies == {"AAA": money}


@pytest.mark.parametrize(
    "name", ["Dividend (per cent)", "dividend_pct", "Dividend percent", "Dividend (Prozent)", "close_pct"]
)
def test_a_share_of_something_is_no_cash_and_no_price(tmp_path: Path, name: str) -> None:
    """Per cents were taken for cents, of which a hundred are one."""
    frame = _all_prices("{} (EUR)").assign(**{name: [0.0] * 59 + [2.0]})
    assert "dividend" not in read_path(_written(frame, tmp_path)).tables["AAA"]


def test_dividends_of_one_money_beside_prices_in_several_are_refused(tmp_path: Path) -> None:
    """They counted in the money of each symbol's prices."""
    paid = [0.0] * 59 + [1.0]
    both = pd.concat([_one().assign(symbol=symbol, currency=money, **{"Dividend (USD)": paid})
                      for symbol, money in (("AAA", "USD"), ("BBB", "EUR"))])  # fmt: skip
    with pytest.raises(DataError, match=r"Dividend \(USD\) is in one money, and prices are in EUR and in USD; write"):
        read_path(_written(both, tmp_path))
    assert len(read_path(_written(both.replace({"currency": {"EUR": "$"}}), tmp_path)).tables) == 2, (
        "one money, in two words"
    )
    tables = read_path(_written(both.rename(columns={"Dividend (USD)": "Dividend"}), tmp_path)).tables
    assert [tables[name]["dividend"].sum() for name in ("AAA", "BBB")] == [1.0, 1.0]


def test_a_dividend_of_the_ticker_c_is_no_cent(tmp_path: Path) -> None:
    frame = pd.DataFrame({"date": _one()["date"]})
    for ticker in ("C", "CPS"):
        frame = frame.assign(**{f"Close_{ticker}": 100.0 + np.arange(60), f"Dividend_{ticker}": [0.0] * 59 + [0.5]})
    tables = read_path(_written(frame, tmp_path)).tables
    assert {name: table["dividend"].sum() for name, table in tables.items()} == {"C": 0.5, "CPS": 0.5}


@pytest.mark.parametrize("changed", [{"volume": "Volume (GBX)"}, {"volume": "Volume (cents)"}, {"split": "Dividend (cents)"},
                                     {"split": "Dividend (p)"}, {"split": "DPS (c)"}])  # fmt: skip
def test_hundredths_beside_prices_that_name_no_money_are_asked_about(tmp_path: Path, changed: dict[str, str]) -> None:
    frame = _one().assign(split=0.0).rename(columns=changed)
    with pytest.raises(
        DataError, match=r"counts hundredths, and prices do not say .*; name the money of the prices too"
    ):
        read_path(_written(frame.drop(columns="split", errors="ignore"), tmp_path))
    stated = frame.assign(currency="GBX" if "GBX" in str(changed) or "(p)" in str(changed) else "cents")
    read_path(_written(stated.drop(columns="split", errors="ignore"), tmp_path))


def test_a_symbol_s_text_mark_is_no_part_of_it(tmp_path: Path) -> None:
    assert set(read_path(_written(_one().assign(symbol="'600519"), tmp_path)).tables) == {"600519"}


def _written(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "AAA.csv", index=False)
    return folder / "AAA.csv"


def test_a_row_of_units_says_what_brackets_would(tmp_path: Path) -> None:
    lines = _one().to_csv(index=False).splitlines()
    text = "\n".join([lines[0], ",EUR,EUR,EUR,EUR,thousands", *lines[1:]]) + "\n"
    panel = _load(text, tmp_path / "AAA.csv")
    assert panel.volume is not None
    np.testing.assert_allclose(panel.volume[:, 0], _one()["volume"] * 1000)
    assert _said(panel, "prices are in EUR")


@pytest.mark.parametrize("name", ["price_change", "close_20", "high_low", "open_interest", "Open Int", "low_k", "volume_mean", "close_daily",
                                  "max_dd", "last_trade_date", "close_std", "VolumeMA", "close_time", "open_time_usd"])  # fmt: skip
def test_a_word_that_says_nothing_of_money_makes_no_price(name: str) -> None:
    assert role_of(name) not in _PRICES
    assert not parts_of(name)[1].telling


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(word=st.from_regex(r"[a-z]{2,8}( [a-z]{2,8})?", fullmatch=True), role=st.sampled_from(["close", "volume"]))
def test_no_word_in_brackets_is_dropped_in_silence(tmp_path: Path, word: str, role: str) -> None:
    path = tmp_path / "0000.csv"
    try:
        panel = _load(_one().rename(columns={role: f"{role} ({word})"}), path)
    except DataError:
        return
    meaning = words.meaning_of(word)
    if meaning.unknown or role == "volume" or meaning.scale == 1.0:  # `mm` is a scale of volumes, and of no price
        assert _said(panel, "is not understood") == bool(meaning.unknown)
    if meaning.unknown and not meaning.currency and meaning.scale == 1.0 and not meaning.basis and not meaning.count:
        np.testing.assert_array_equal(panel.close[:, 0], _one()["close"])
