"""Shares of exchanges whose records begin late, and of money whose rates do."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, load
from wealtharena.errors import DataError


def _load(frame: pd.DataFrame, path: Path, *overrides: str) -> Panel:
    frame.to_csv(path, index=False)
    spec = with_data(compose(["data=files", *overrides]), path=str(path))
    return load(spec.asset, spec.data, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("symbol", "calendar", "start", "way"), [
    ("7203.T", "XTKS", "1997-01-06", "data.start=1999-01-05"), ("RELI.NS", "XBOM", "1995-01-02", "data.start=2009-"),
    ("2222.SR", "XSAU", "2018-01-02", "asset.account_currency=SAR"), ("600000.SS", "XSHG", "1998-01-05", "data.start="),
])  # fmt: skip
def test_shares_from_beyond_a_calendars_records_load_and_what_they_are_worth_is_asked_where_nobody_knows(
    tmp_path: Path, symbol: str, calendar: str, start: str, way: str
) -> None:
    """The years that a calendar does not know are no fault; those without a rate of exchange are one line, with ways out."""
    frame = shares(symbol, bars=800, start=start)
    settings = ("asset=etf", f"universe.calendar={calendar}")
    at_home = _load(
        frame.assign(symbol="AAA"), tmp_path / "bars.csv", *settings
    )  # a name that tells no currency: dollars
    assert (at_home.bars, at_home.tradable.all()) == (800, True)
    with pytest.raises(DataError, match=r"reference rate|rate is known|fixed no") as refused:
        _load(frame, tmp_path / "bars.csv", *settings)
    assert "\n" not in str(refused.value)
    assert way in refused.value.hint
    own = re.search(r"asset\.account_currency=\w+", refused.value.hint)
    assert own is not None
    assert _load(frame, tmp_path / "bars.csv", *settings, own[0]).bars == 800
    begin = re.search(r"data\.start=\S+\d", refused.value.hint)
    if begin is not None and pd.Timestamp(begin[0][11:]) < pd.Timestamp(frame["date"].iloc[-20]):
        assert _load(frame, tmp_path / "bars.csv", *settings, begin[0]).bars < 800


def test_a_simulated_market_may_end_after_a_calendars_records() -> None:
    spec = compose(["asset=stocks", "data=simulated", "universe.calendar=XSHG", "data.simulator.end=2026-12-28"])
    panel = load(
        spec.asset, with_data(spec, simulator=spec.data.simulator.model_copy(update={"bars": 60})).data, seed=0
    )
    assert str(panel.timestamps[-1])[:10] == "2026-12-28"
