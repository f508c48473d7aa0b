"""A column of money beside the volume shows what the volume counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.reading.test_cases import load_written, shares
from wealtharena.data.panel import Panel


def _one() -> pd.DataFrame:
    frame = shares("AAA", bars=60).drop(columns="symbol")
    return frame.assign(
        volume=lambda f: f["volume"] // 1000 * 1000, paid=lambda f: (f["high"] + f["low"]) / 2 * f["volume"]
    )


def _volume(panel: Panel) -> Any:
    assert panel.volume is not None
    return panel.volume[:, 0]


def _said(panel: Panel, text: str) -> bool:
    return any(text in note for note in panel.notes)


@pytest.mark.parametrize(
    ("name", "size"),
    [("amount", 100), ("turnover", 1000), ("成交额", 100), ("Traded Value", 1000), ("quote_volume", 100)],
)
def test_a_volume_in_hands_or_thousands_is_proven_by_what_was_paid(tmp_path: Path, name: str, size: int) -> None:
    frame = _one().rename(columns={"paid": name}).assign(volume=lambda f: f["volume"] / size)
    panel = load_written(frame, tmp_path / "AAA.csv")
    np.testing.assert_allclose(_volume(panel), _one()["volume"])
    assert _said(panel, f"volume is multiplied by {size:,}")


def test_tushares_volume_is_in_hands_and_its_amount_in_thousands(tmp_path: Path) -> None:
    frame = _one().assign(vol=lambda f: f["volume"] / 100, amount=lambda f: f["paid"] / 1000, ts_code="000001.SZ")
    panel = load_written(frame.drop(columns=["volume", "paid"]), tmp_path / "bars.csv")
    np.testing.assert_allclose(_volume(panel), _one()["volume"])
    assert _said(panel, "vol is multiplied by 100")


@pytest.mark.parametrize(
    ("name", "money"), [("Turnover (Lacs)", 1e5), ("turnover_thousands", 1e3), ("Turnover (Rs. Cr.)", 1e7)]
)
def test_a_turnover_whose_name_says_its_scale_leaves_a_volume_in_ones(tmp_path: Path, name: str, money: float) -> None:
    frame = _one().assign(**{name: _one()["paid"] / money}).drop(columns="paid")
    panel = load_written(frame, tmp_path / "AAA.csv")
    np.testing.assert_array_equal(_volume(panel), _one()["volume"])
    assert not _said(panel, "multiplied")
    assert not _said(panel, "counted in ones")


def test_a_turnover_in_other_units_is_said_where_nothing_tells_which_column_is_off(tmp_path: Path) -> None:
    panel = load_written(_one().assign(turnover=lambda f: f["paid"] / 100).drop(columns="paid"), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(_volume(panel), _one()["volume"])
    assert _said(panel, "one of the two is not counted in ones")


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["rate", "noise", "other money", "text", "exact", "level"]))
def test_a_column_that_proves_nothing_changes_nothing(tmp_path: Path, seed: int, kind: str) -> None:
    rng, frame = np.random.default_rng(seed), _one()
    made: dict[str, Any] = {
        "rate": rng.uniform(0.001, 0.05, 60), "noise": frame["paid"] * 10 ** rng.normal(2, 0.3, 60), "exact": frame["paid"],
        "other money": frame["paid"] * 65.0, "text": [f"{value:.3g}x" for value in frame["paid"]],
        "level": np.full(60, rng.uniform(1, 1e9)),
    }  # fmt: skip
    panel = load_written(frame.assign(value=made[kind]).drop(columns="paid"), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(_volume(panel), _one()["volume"])
    assert not _said(panel, "multiplied")


def test_a_decimal_comma_is_no_factor_of_a_hundred(tmp_path: Path) -> None:
    frame = _one().rename(columns={"paid": "amount"}).round(2)
    text = frame.to_csv(index=False, sep=";", decimal=",", float_format="%.2f")
    (tmp_path / "AAA.csv").write_text(text)
    from tests.data.specs import compose, with_data
    from wealtharena.data import load

    spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "AAA.csv"))
    assert not _said(load(spec.asset, spec.data, seed=0), "multiplied")


def test_a_turnover_in_small_change_multiplies_no_volume_of_many_shares(tmp_path: Path) -> None:
    panel = load_written(_one().assign(Turnover=lambda f: f["paid"] * 1e5).drop(columns="paid"), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(_volume(panel), _one()["volume"])  # nsepy's, in 0.00001 rupees
    assert _said(panel, "Turnover is 100,000 times volume times the price: one of the two is not counted in ones")


@pytest.mark.slow
@pytest.mark.parametrize("decimal", [".", ","])
def test_a_volume_that_a_quantity_shows_to_be_money_is_none(tmp_path: Path, decimal: str) -> None:
    frame = _one().assign(Quantidade=lambda f: f["volume"], volume=lambda f: f["paid"]).drop(columns="paid")
    text = frame.to_csv(index=False, sep=";", decimal=decimal)
    (tmp_path / "AAA.csv").write_text(text)
    from tests.data.specs import compose, with_data
    from wealtharena.data import load

    spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "AAA.csv"))
    panel = load(spec.asset, spec.data, seed=0)
    np.testing.assert_allclose(_volume(panel), _one()["volume"])
    assert _said(panel, "volume is Quantidade times the price, which is money")


def test_a_quantity_of_something_else_changes_no_volume(tmp_path: Path) -> None:
    frame = _one().assign(Quantity=lambda f: f["volume"] // 7).drop(columns="paid")
    panel = load_written(frame, tmp_path / "AAA.csv")
    np.testing.assert_array_equal(_volume(panel), _one()["volume"])
    assert not _said(panel, "which is money")
