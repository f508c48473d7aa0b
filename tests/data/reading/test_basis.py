"""Every row is of one basis: all prices as traded, or all adjusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import load_written, shares
from wealtharena.data.panel import Panel

_SIDES = ["open", "high", "low"]
_FORMS = ["adj{0}", "Adj. {0}", "{0} (adjusted)", "{0}_adj", "{0} [adj]"]


def _one() -> pd.DataFrame:
    return shares("AAA", bars=60).drop(columns="symbol")


def _adjusted(form: str, names: list[str], factor: np.ndarray) -> dict[str, pd.Series]:
    return {form.format(name.capitalize()): _one()[name] * factor for name in names}


def _said(panel: Panel, text: str) -> bool:
    return any(text in note for note in panel.notes)


@pytest.fixture
def factor() -> np.ndarray:
    return np.where(np.arange(60) < 30, 0.98, 1.0)


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("sides", [["open"], ["high", "low"], _SIDES])
def test_adjusted_prices_beside_a_close_as_traded_are_brought_to_it(
    tmp_path: Path, factor: np.ndarray, form: str, sides: list[str]
) -> None:
    made = _adjusted(form, [*sides, "close"], factor)
    panel = load_written(_one().drop(columns=sides).assign(**made), tmp_path / "AAA.csv")
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(getattr(panel, name)[:, 0], _one()[name], rtol=1e-12)
    assert _said(panel, "brought to the basis of close")


@pytest.mark.parametrize("form", _FORMS)
def test_adjusted_prices_without_an_adjusted_close_are_left_out(tmp_path: Path, factor: np.ndarray, form: str) -> None:
    made = _adjusted(form, _SIDES, factor)
    panel = load_written(_one().drop(columns=_SIDES).assign(**made), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(panel.close[:, 0], _one()["close"])
    assert (panel.open, panel.high, panel.low) == (None, None, None)
    assert _said(panel, "are adjusted and close is not: left out")


@pytest.mark.slow
@pytest.mark.parametrize("form", _FORMS)
def test_prices_of_both_bases_are_those_as_traded(tmp_path: Path, factor: np.ndarray, form: str) -> None:
    made = _adjusted(form, [*_SIDES, "close"], factor)
    frame = _one().assign(**made)
    for columns in (list(frame), [*made, *_one()]):
        panel = load_written(frame[columns], tmp_path / "AAA.csv")
        for name in ("open", "high", "low", "close"):
            np.testing.assert_array_equal(getattr(panel, name)[:, 0], _one()[name])
        assert not _said(panel, "brought to the basis")


@pytest.mark.parametrize("form", _FORMS)
def test_prices_that_are_all_adjusted_stay_adjusted(tmp_path: Path, factor: np.ndarray, form: str) -> None:
    made = _adjusted(form, [*_SIDES, "close"], factor)
    panel = load_written(_one()[["date", "volume"]].assign(**made), tmp_path / "AAA.csv")
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(getattr(panel, name)[:, 0], _one()[name] * factor, rtol=1e-12)
    assert _said(panel, "contain the dividends")
