"""Dividends count in the money that stands before them or in a column beside them, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load, _refused, _said
from wealtharena.data.reading import read_path
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # each test loads a file

_EX = (20, 60, 100, 140, 180)
_PRICES = ["open", "high", "low", "close"]


def _paying(name: str, *, sign: str = "", **beside: str) -> pd.DataFrame:
    """Return a share that pays 0.9, a hundredth of its price, five times; `sign` stands before each, and `beside` in columns."""
    frame = shares(name, bars=200).drop(columns="symbol")
    paid = np.isin(np.arange(len(frame)), _EX)
    frame[_PRICES] = frame[_PRICES].mul(0.99 ** np.cumsum(paid), axis=0)
    frame["dividend"] = np.where(paid, f"{sign}0.9", "")
    return frame.assign(**{column: np.where(paid, code, "") for column, code in beside.items()})


@pytest.mark.parametrize("told", [{"sign": "USD "}, {"Dividend Currency": "USD"}, {"dvd_crncy": "USD"}])
def test_dividends_in_other_money_than_prices_are_refused(tmp_path: Path, told: dict[str, str]) -> None:
    """BHP declares dollars; they were paid as as many Australian ones."""
    words = "BHP.AX: dividends are in USD, and prices in AUD"
    _refused(_paying("BHP.AX", **told), tmp_path / "BHP.AX.csv", words, "asset=stocks")


@pytest.mark.parametrize(
    "told", [{"sign": "$"}, {"sign": "A$"}, {"Dividend Currency": "AUD"}, {"Dividend Type": "Final"}]
)
def test_dividends_in_the_money_of_the_prices_are_paid(tmp_path: Path, told: dict[str, str]) -> None:
    panel = _load(_paying("BHP.AX", **told), tmp_path / "BHP.AX.csv", "asset=stocks")
    assert panel.dividends[list(_EX), 0].tolist() == [0.9] * 5


@pytest.mark.parametrize("told", [{"sign": "£"}, {"Dividend Currency": "GBP"}])
def test_pounds_beside_pence_are_multiplied_by_100(tmp_path: Path, told: dict[str, str]) -> None:
    frame = _paying("SHEL.L", **told)
    frame[_PRICES] *= 100
    panel = _load(frame, tmp_path / "SHEL.L.csv", "asset=stocks")
    assert _said(panel, "SHEL.L: dividends are in GBP, and prices in GBX: they are multiplied by 100")
    np.testing.assert_allclose(panel.dividends[list(_EX), 0], 0.9)


def test_dividends_of_one_symbol_in_two_moneys_are_refused(tmp_path: Path) -> None:
    frame = _paying("BHP.AX", **{"Dividend Currency": "AUD"})
    frame.loc[_EX[0], "Dividend Currency"] = "USD"
    _refused(frame, tmp_path / "BHP.AX.csv", "dividends of BHP.AX are in AUD and in USD", "asset=stocks")


def test_each_symbol_s_dividends_may_be_in_its_own_money(tmp_path: Path) -> None:
    money = {"BHP.AX": "AUD", "SAP.DE": "EUR"}
    frame = pd.concat(_paying(name, **{"Dividend Currency": code}).assign(symbol=name) for name, code in money.items())
    panel = _load(frame, tmp_path / "both.csv", "asset=stocks", "data.symbols=[BHP.AX,SAP.DE]")
    assert panel.dividends[list(_EX)].tolist() == [[0.9, 0.9]] * 5


def test_parts_of_one_symbol_in_two_moneys_are_refused(tmp_path: Path) -> None:
    frame = _paying("BHP.AX", **{"Dividend Currency": "AUD"})
    frame[:90].to_csv(tmp_path / "BHP.AX_2021.csv", index=False)
    late = frame[90:].replace({"Dividend Currency": {"AUD": "USD"}})
    late.to_csv(tmp_path / "BHP.AX_2022.csv", index=False)
    with pytest.raises(DataError, match=r"states USD for dividends of BHP\.AX, and a file before it AUD"):
        read_path(tmp_path)
