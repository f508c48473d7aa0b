"""What cash earns where a series says it: causal, on the bars' axis, refused where it would be made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import Panel, cash, load_panel, loading
from wealtharena.data.store import Store
from wealtharena.errors import DataError


class Known:
    """A store of one series."""

    def __init__(self, *rows: tuple[str, str | None, float]) -> None:
        frame = pd.DataFrame(rows, columns=["date", "realtime_start", "value"])
        dates = {name: pd.to_datetime(frame[name]) for name in ("date", "realtime_start")}
        self.frame = frame.assign(series="DFF", **dates)

    def read_macro(self, series: str) -> pd.DataFrame:
        assert series == "DFF"
        return self.frame


RATES = Known(("2020-01-02", "2020-01-03", 1.5), ("2020-02-10", "2020-02-11", 4.0))


def asset(rate: str = "DFF") -> AssetSpec:
    return compose(["asset=crypto", f"asset.costs.cash_bps_per_year={rate}"]).asset


def data() -> DataSpec:
    return compose(["data=files"]).data


@pytest.fixture(scope="module")
def panel() -> Panel:
    days = pd.date_range("2020-02-01", "2020-02-20", tz="UTC")
    return load_panel(
        pd.DataFrame({"timestamp": days, "symbol": "A", "close": 100.0 + np.arange(len(days))}), asset="crypto"
    )


def test_a_rate_counts_from_the_day_after_its_release(panel: Panel) -> None:
    found = cash.join(panel, asset(), data(), source=RATES)
    days = found.timestamps.astype("datetime64[D]").astype(str)
    assert found.cash is not None
    known = dict(zip(days, found.cash, strict=True))
    assert known["2020-02-01"] == known["2020-02-11"] == 0.015  # the hour of the release is not known
    assert known["2020-02-12"] == known["2020-02-20"] == 0.04
    assert any("cash earns DFF, 1.50 to 4.00 % a year (joined by release vintages)" in note for note in found.notes)


def test_a_number_leaves_the_bars_as_they_are(panel: Panel) -> None:
    assert cash.join(panel, asset("450"), data()) is panel


def test_without_vintages_the_table_of_lags_says_when_a_rate_was_known(panel: Panel) -> None:
    plain = Known(("2019-12-01", None, 1.5), ("2020-02-01", None, 4.0))
    found = cash.join(panel, asset(), data(), source=plain)
    assert found.cash is not None
    lag = data().macro.lag_days["DFF"]
    assert int((found.cash == 0.015).sum()) == lag + 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Known(("2020-02-04", "2020-02-05", 1.0)), "is known from 2020-02-06 on, and the bars begin on 2020-02-01"),
        (Known(("2020-03-04", "2020-03-05", 1.0)), "is known at no bar"),
        (Known(("2020-01-02", "2020-01-03", 21_000.0)), "has 21000, which is no rate in percent a year"),
        (Known(("2018-01-02", "2018-01-03", 1.0)), "ends on 2018-01-02, and the bars on 2020-02-20"),
        (Known(("2019-02-10", "2019-02-11", 1.0)), "ends on 2019-02-10, and the bars on 2020-02-20"),
    ],
)
def test_what_would_be_made_up_is_refused(panel: Panel, source: Known, said: str) -> None:
    with pytest.raises(DataError, match=said):
        cash.join(panel, asset(), data(), source=source)


def test_a_series_that_the_store_lacks_is_refused_with_the_command_that_collects_it(
    panel: Panel, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="the store has no macro series DFF") as raised:
        cash.join(panel, asset(), data().model_copy(update={"root": str(tmp_path)}))
    assert "task=collect data.macro.series=[DFF]" in str(raised.value.hint)


def test_other_rates_are_another_panel(panel: Panel) -> None:
    found = cash.join(panel, asset(), data(), source=RATES)
    assert found.cash is not None
    moved = replace(found, cash=found.cash + np.where(np.arange(20) == 19, 1e-4, 0.0))
    assert len({panel.fingerprint, found.fingerprint, moved.fingerprint}) == 3


def test_the_kept_panel_of_a_request_is_not_that_of_another_rate(tmp_path: Path) -> None:
    """The cache goes by what the store holds: new values of the series are another entry."""
    spec = data().model_copy(update={"root": str(tmp_path)})
    store = Store(tmp_path)
    when = pd.Timestamp("2020-03-01", tz="UTC").to_pydatetime()
    places = [loading.cache_path("store", asset(), spec)]
    for value in (1.5, 1.6):
        store.write_macro("DFF", RATES.frame.assign(value=value), fetched_at=when)
        places.append(loading.cache_path("store", asset(), spec))
    assert len(set(places)) == 3


@pytest.mark.parametrize("wrong", ["dff", "200000", "true", "[1]", "null", "nan"])
def test_what_is_neither_a_rate_nor_a_series_is_refused_in_one_line(wrong: str) -> None:
    from wealtharena.config import compose as fresh
    from wealtharena.errors import ConfigError

    with pytest.raises(
        ConfigError, match=r"asset\.costs\.cash_bps_per_year=.*must be between -10000 and 100000"
    ) as raised:
        fresh(["asset=crypto", f"asset.costs.cash_bps_per_year={wrong}"])
    assert "\n" not in str(raised.value)
