"""What is stored of a macro series stays where its source sends less of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wealtharena.data.collecting import Collector

NOW = datetime(2024, 7, 17, 9, tzinfo=UTC)


@pytest.mark.parametrize("how", ["same", "otherwise", "refresh"])
def test_values_that_a_macro_series_no_longer_reaches_back_to_stay_before_it(make_spec, stub, monkeypatch, how):
    spec = make_spec("stocks", "yahoo")
    assert Collector(spec.asset, spec.data, spec.collect, clock=lambda: NOW).collect_series("CPI").status == "new"
    rows = stub.stub.macro.rows["CPI"]
    later = rows[rows["date"] >= "2023-07-01"].copy()
    later["value"] += how == "otherwise"
    monkeypatch.setitem(stub.stub.macro.rows, "CPI", later)
    options = spec.collect.model_copy(update={"refresh": how == "refresh"})
    made = Collector(spec.asset, spec.data, options, clock=lambda: NOW + timedelta(days=1))
    outcome = made.collect_series("CPI")
    assert outcome.status == ("failed" if how == "otherwise" else "updated")
    assert len(made.store.read_macro("CPI")) == (12 if how == "refresh" else 24)
    assert ("begins on 2023-07-01" in outcome.note) == (how == "same")
