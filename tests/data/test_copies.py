"""What is said of symbols beside each other: closes that are another's, and opens that only others have."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.data.align import align
from wealtharena.data.bars import Bars, raw_table
from wealtharena.data.panel import Panel

CRYPTO = compose(["asset=crypto", "data=files"])
DAYS = pd.date_range("2024-01-01", periods=60, freq="D")


def _panel(*bars: Bars) -> Panel:
    return align(bars, CRYPTO.asset, CRYPTO.data, source="test", simulated=False)


def _listed(name: str, closes: object, **columns: object) -> Bars:
    frame = pd.DataFrame({"timestamp": DAYS.tz_localize("UTC"), "close": closes, **columns})
    table = raw_table(frame).assign(tradable=True)
    return Bars("test", name, "1d", table, "USD", "none", "splits", datetime(2024, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize(("copied", "said"), [(60, True), (35, True), (25, False), (0, False)])
def test_symbols_that_have_the_closes_of_another_are_said(copied: int, said: bool) -> None:
    one, other = 100.0 + np.random.default_rng(0).normal(size=(2, 60)).cumsum(axis=1)
    other[:copied] = one[:copied]
    panel = _panel(_listed("A", one), _listed("B", one * 2), _listed("C", other))
    words = f"A and C have the same close in {copied} of 60 bars"
    assert any(words in note for note in panel.notes) == said
    assert not any("B" in note and "same close" in note for note in panel.notes)


def test_coins_that_hold_to_the_dollar_are_no_copies() -> None:
    closes = np.where(np.arange(60) % 7 == 0, 1.001, 1.0)
    panel = _panel(_listed("A", closes), _listed("B", closes))
    assert not any("same close" in note for note in panel.notes)


def test_a_symbol_without_opens_among_others_is_said() -> None:
    closes = 100.0 + np.arange(60)
    panel = _panel(_listed("A", closes, open=closes), _listed("B", closes * 2))
    assert not panel.tradable[:, 1].any()
    assert any(note.startswith("B: no bar has an open") for note in panel.notes)
