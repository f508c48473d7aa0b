from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import Panel, load_panel, macro
from wealtharena.errors import DataError


class _Source:
    def __init__(self, **series: pd.DataFrame) -> None:
        self._series = series

    def read_macro(self, series: str) -> pd.DataFrame:
        return self._series[series]


def _data(*series: str, **lags: int) -> DataSpec:
    data = compose(["data=files"]).data
    spec = data.macro.model_copy(update={"series": series, "lag_days": lags, "default_lag_days": 45})
    return data.model_copy(update={"macro": spec})


def _frame(*rows: tuple[str, str | None, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["date", "realtime_start", "value"])
    return frame.assign(date=pd.to_datetime(frame["date"]), realtime_start=pd.to_datetime(frame["realtime_start"]))


@pytest.fixture
def panel() -> Panel:
    days = pd.date_range("2020-04-01", "2020-09-30", tz="UTC")
    return load_panel(
        pd.DataFrame({"timestamp": days, "symbol": "A", "close": 1.0 + np.arange(len(days))}), asset="crypto"
    )


def _known(panel: Panel, day: str) -> float:
    assert panel.macro is not None
    return float(panel.macro[list(panel.timestamps.astype("datetime64[D]").astype(str)).index(day), 0])


# unemployment of April 2020: first said on 8 May, revised on 5 June; of May: said on 5 June
REVISED = _frame(
    ("2020-04-01", "2020-05-08", 14.7), ("2020-04-01", "2020-06-05", 14.4), ("2020-05-01", "2020-06-05", 13.3)
)


def test_a_value_taken_back_is_known_no_more(panel: Panel) -> None:
    taken_back = _frame(
        ("2020-03-01", "2020-04-20", 4.4),
        ("2020-04-01", "2020-05-08", 14.7),
        ("2020-04-01", "2020-06-05", np.nan),
        ("2020-02-01", "2020-06-10", 3.5),
        ("2020-03-01", "2020-07-01", np.nan),
        ("2020-02-01", "2020-07-05", np.nan),
        ("2020-04-01", "2020-08-03", 14.4),
    )
    joined = macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=taken_back))
    days = ("2020-06-05", "2020-06-06", "2020-06-11", "2020-07-02", "2020-07-06", "2020-08-04")
    np.testing.assert_equal([_known(joined, day) for day in days], [14.7, 4.4, 4.4, 3.5, np.nan, 14.4])


def test_a_value_counts_from_the_day_after_its_release_and_a_revision_from_its_own(panel: Panel) -> None:
    joined = macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=REVISED))
    assert np.isnan(_known(joined, "2020-05-08"))  # the hour of the release is not known
    assert _known(joined, "2020-05-09") == 14.7
    assert _known(joined, "2020-06-05") == 14.7  # never the later revision
    assert _known(joined, "2020-06-06") == 13.3
    assert joined.macro_names == ("UNRATE",)
    assert any("UNRATE: joined by release vintages" in note for note in joined.notes)


def test_a_late_revision_of_an_old_month_does_not_hide_the_newer_month(panel: Panel) -> None:
    late = pd.concat([REVISED, _frame(("2020-04-01", "2020-07-02", 14.8))])
    joined = macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=late))
    assert _known(joined, "2020-07-03") == 13.3


def test_without_vintages_the_configured_lag_is_used_and_said(panel: Panel) -> None:
    plain = _frame(("2020-04-01", None, 14.4), ("2020-05-01", None, 13.3))
    joined = macro.join(panel, _data("UNRATE", UNRATE=35), source=_Source(UNRATE=plain))
    assert np.isnan(_known(joined, "2020-05-06"))
    assert _known(joined, "2020-05-07") == 14.4
    assert _known(joined, "2020-06-06") == 13.3
    assert any("35 days after the date it describes; revised values" in note for note in joined.notes)
    default = macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=plain))
    assert np.isnan(_known(default, "2020-05-16"))
    assert _known(default, "2020-05-17") == 14.4


def test_without_vintages_a_series_waits_for_its_latest_release_ever(panel: Panel) -> None:
    spec = compose(["data=files"]).data
    assert spec.macro.lag_days["GDP"] >= 175  # the third quarter of 2025 came out on 23 December
    data = spec.model_copy(update={"macro": spec.macro.model_copy(update={"series": ("GDP",)})})
    joined = macro.join(panel, data, source=_Source(GDP=_frame(("2020-04-01", None, -31.2), ("2019-07-01", None, 2.6))))
    assert _known(joined, "2020-09-30") == 2.6  # the second quarter of 2020 came out on 30 July; until then nobody knew


def test_without_vintages_and_without_a_lag_a_series_is_refused(panel: Panel) -> None:
    spec = compose(["data=files"]).data
    data = spec.model_copy(update={"macro": spec.macro.model_copy(update={"series": ("OBSCURE",)})})
    plain = _frame(("2020-04-01", None, 14.4))
    with pytest.raises(DataError, match=r"OBSCURE has no release vintages") as raised:
        macro.join(panel, data, source=_Source(OBSCURE=plain))
    assert "data.macro.lag_days.OBSCURE" in str(raised.value.hint)
    vintages = _frame(("2020-04-01", "2020-05-08", 14.7))
    assert _known(macro.join(panel, data, source=_Source(OBSCURE=vintages)), "2020-05-09") == 14.7


def test_row_order_does_not_matter_and_the_future_does_not_show(panel: Panel) -> None:
    joined = macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=REVISED))
    shuffled = macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=REVISED.iloc[::-1]))
    assert joined.fingerprint == shuffled.fingerprint
    assert joined.fingerprint != panel.fingerprint
    before = REVISED[REVISED["realtime_start"] < "2020-06-01"]
    early = macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=before))
    cut = list(panel.timestamps.astype("datetime64[D]").astype(str)).index("2020-06-05")
    assert joined.macro is not None
    assert early.macro is not None
    np.testing.assert_array_equal(early.macro[: cut + 1], joined.macro[: cut + 1])


def test_a_series_that_the_store_lacks_is_named_with_the_command_that_fetches_it(panel: Panel, tmp_path: Path) -> None:
    data = _data("UNRATE").model_copy(update={"root": str(tmp_path)})
    with pytest.raises(DataError, match=r"UNRATE.*task=collect"):
        macro.join(panel, data)


@pytest.mark.parametrize(("end", "still"), [("2020-09-20", False), ("2020-08-20", False), ("2019-12-31", True)])
def test_a_series_that_has_ended_is_said_to_stand_still(panel: Panel, end: str, still: bool) -> None:
    days = pd.date_range("2018-01-01", end, freq="35D").astype(str)
    monthly = _frame(*((day, day, 1.0) for day in days))
    assert ("stands still" in macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=monthly)).notes[-1]) is still


def test_a_panel_that_ends_within_a_series_is_not_said_to_lack_it(panel: Panel) -> None:
    rows = _frame(("2019-01-01", "2019-01-02", 1.0), ("2020-10-01", "2020-10-02", 2.0))
    assert "still" not in macro.join(panel, _data("UNRATE"), source=_Source(UNRATE=rows)).notes[-1]
