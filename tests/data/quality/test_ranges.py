"""Columns exchanged or shifted by a row, on series as quiet as a pair of currencies in an hour."""

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.sample import walk
from wealtharena.errors import ProviderError

PRICES = ["open", "high", "low", "close"]
QUIET = {"1d": (250, 0.0045), "1h": (840, 0.0012), "1m": (1560, 0.0006)}


def quiet(bars, sigma, seed=3):
    """Return bars of a pair to five decimals, whose opens are the closes before and a little beside them."""
    index = pd.bdate_range("2019-01-01", periods=bars)
    table = walk(np.random.default_rng(seed), "T", index, price=1.08, sigma=sigma, volume=0.0)
    opens = np.r_[1.08, table["close"].to_numpy()[:-1]] * np.exp(np.random.default_rng(1).normal(0, sigma / 20, bars))
    table = table.assign(open=opens, high=np.fmax(table["high"], opens), low=np.fmin(table["low"], opens))
    return table.assign(**{name: table[name].round(5) for name in PRICES})


def exchanged(table, a, b, rows=slice(None)):
    bad = table.copy()
    for name, other in ((a, b), (b, a)):
        bad.iloc[rows, bad.columns.get_loc(name)] = table[other].iloc[rows].to_numpy()
    return bad


def shifted(table, names, by):
    return table.assign(**{name: table[name].shift(by) for name in names}).dropna(subset=PRICES).reset_index(drop=True)


@pytest.mark.parametrize(("bars", "sigma"), QUIET.values(), ids=QUIET)
def test_quiet_bars_pass_and_any_two_columns_exchanged_do_not(judge, bars, sigma):
    table = quiet(bars, sigma)
    assert judge(table, "forex")[1] == {}
    for a, b in (("open", "high"), ("open", "low"), ("close", "high"), ("close", "low"), ("open", "close")):
        for rows in (slice(None), slice(bars // 2, None), slice(0, bars // 4)):
            with pytest.raises(ProviderError, match="exchanged"):
                judge(exchanged(table, a, b, rows), "forex")


@pytest.mark.parametrize(("bars", "sigma"), QUIET.values(), ids=QUIET)
@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize("names", [["open"], ["high"], ["low"], ["close"], ["high", "low"]], ids="-".join)
def test_a_column_that_stands_a_row_too_early_or_too_late_is_refused_or_named(judge, names, by, bars, sigma):
    bad = shifted(quiet(bars, sigma), names, by)
    if names == ["open"] and by == -1:  # which opens that somebody made up do too
        assert any("row too early?" in note for note in judge(bad, "forex")[0].notes)
        return
    with pytest.raises(ProviderError, match=r"row too (early|late)|leaking_bars"):
        judge(bad, "forex")


@pytest.mark.parametrize("market", ["stocks", "crypto"])
def test_a_shift_is_found_in_bars_of_a_share_and_a_coin_too(judge, good, market):
    with pytest.raises(ProviderError, match="in 0 with open a row later"):
        judge(shifted(good, ["open"], -1), market)
    with pytest.raises(ProviderError, match="in 0 with open and high exchanged"):
        judge(exchanged(good, "open", "high", slice(150, None)), market)


def test_a_refusal_names_the_stretch_and_a_way_out_and_gives_way_to_a_look(judge, good):
    bad = exchanged(good, "open", "close", slice(150, None))
    first, last = (f"{good['timestamp'].iloc[row]:%Y-%m-%d}" for row in (150, 299))
    with pytest.raises(ProviderError, match=rf"opens and closes are exchanged do \({first} to {last}\)") as refused:
        judge(bad)
    assert "\n" not in refused.value.message
    assert refused.value.hint == "correct the file, or set data.quality.ohlc_breaks=warn to look into it"
    bars, findings = judge(bad, ohlc_breaks="warn")
    assert findings["ohlc_breaks"].action == "warn"
    np.testing.assert_array_equal(bars.table["open"], bad["open"])


def test_single_breaks_of_a_quiet_series_are_repaired_and_many_small_ones_named(judge):
    table = quiet(250, 0.0012)
    bad = table.copy()
    bad.loc[7, "open"] = bad.loc[7, "high"] * 1.004  # three typical bars above
    bars, findings = judge(bad, "forex")
    assert findings["ohlc_breaks"].rows == 1
    assert bars.table["high"][7] == bad["open"][7]
    some = [20, 60, 100, 140, 180, 220]
    bad.loc[some, "high"] = bad.loc[some, ["open", "close"]].max(axis=1) * 0.9998
    bad.loc[7] = table.loc[7]
    bars, findings = judge(bad, "forex")
    assert (findings["ohlc_breaks"].rows, findings["ohlc_breaks"].action) == (6, "warn")
    np.testing.assert_array_equal(bars.table["high"], bad["high"])


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_a_column_of_fewer_decimals_is_no_break(judge, digits):
    table = quiet(250, 0.0045)
    _, findings = judge(table.assign(high=table["high"].round(digits), low=table["low"].round(digits)), "forex")
    assert findings == {}


def test_bars_that_are_mostly_one_price_are_not_judged_by_the_rest(judge, good):
    still = good.copy()
    still.loc[still.index % 4 != 0, ["open", "high", "low"]] = still["close"]
    assert judge(still)[1] == {}
