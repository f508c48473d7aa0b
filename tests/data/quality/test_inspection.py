import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.sample import walk
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import inspect
from wealtharena.errors import ProviderError

ACTIONS = ("repair", "drop", "warn", "refuse")


def scaled(table, rows, factor, *, volume=1.0):
    out = table.copy()
    columns = ["open", "high", "low", "close"]
    out.loc[rows, columns] = out.loc[rows, columns] * factor
    out.loc[rows, "volume"] = out.loc[rows, "volume"] * volume
    return out


def test_good_bars_pass_unchanged(judge, good):
    bars, findings = judge(good)
    assert findings == {}
    np.testing.assert_array_equal(bars.table["close"], good["close"])
    assert bars.table["tradable"].all()


def test_the_raw_bars_are_not_touched(judge, good, specs):
    bad = scaled(good, good.index[:100], 100)
    table = raw_table(bad)
    raw = RawBars("files", "T", "1d", table, "USD", "units", "splits", datetime(2026, 1, 1, tzinfo=UTC))
    inspect(raw, specs["stocks"].asset, specs["stocks"].data.quality)
    pd.testing.assert_frame_equal(table, raw_table(bad))


def test_rows_without_a_close_go_and_rows_with_a_gap_are_not_traded(judge, good):
    bad = good.copy()
    bad.loc[10:12, ["open", "high", "low", "close"]] = np.nan
    bad.loc[20, "open"] = np.nan
    bars, findings = judge(bad)
    assert len(bars.table) == 297
    assert findings["missing_values"].rows == 4
    assert (~bars.table["tradable"]).sum() == 1


@pytest.mark.parametrize("action", ["repair", "drop"])
def test_cash_of_a_row_that_goes_is_paid_on_the_next(judge, good, action):
    bad = good.copy()
    bad.loc[[10, 11, 200], "dividend"] = 0.5, 0.25, 1.0
    bad.loc[[10, 11], ["open", "high", "low", "close"]] = np.nan
    bad.loc[200, "close"] = -1.0
    shuffled = bad.sample(frac=1.0, random_state=1)
    bars, _ = judge(shuffled, missing_values=action, non_positive=action)
    paid = bars.table.set_index("timestamp")["dividend"]
    days = good["timestamp"].dt.tz_localize("UTC") if good["timestamp"].dt.tz is None else good["timestamp"]
    assert paid[paid > 0].to_dict() == {days[12]: 0.75, days[201]: 1.0}


def test_closes_only_are_no_fault(judge, good):
    bars, findings = judge(good[["timestamp", "symbol", "close"]])
    assert findings == {}
    assert bars.table["tradable"].all()


def test_shuffled_rows_are_sorted(judge, good):
    bars, findings = judge(good.sample(frac=1.0, random_state=1))
    assert "out_of_order" in findings
    np.testing.assert_array_equal(bars.table["close"], good["close"])


def test_repeated_rows_go_and_disagreement_is_not_traded(judge, good):
    same, other = good.iloc[[5]], good.iloc[[9]].assign(close=good["close"][9] * 1.01)
    bars, findings = judge(pd.concat([good, same, other]).sort_values("timestamp", kind="stable"))
    assert findings["duplicates"].rows == 2
    assert len(bars.table) == 300
    assert bars.table.index[~bars.table["tradable"]].tolist() == [9]


def test_a_bar_that_was_not_over_when_it_was_fetched_goes(judge, good):
    last = good["timestamp"].iloc[-1]
    running, over = (judge(good, fetched_at=(last + pd.Timedelta(hours=h)).to_pydatetime())[0] for h in (2, 30))
    assert len(running.table) == 299
    assert len(over.table) == 300


@pytest.mark.parametrize(("market", "left", "tradable"), [("stocks", 299, 299), ("commodities", 300, 299)])
def test_only_a_future_may_trade_below_zero_and_then_it_is_a_mark(judge, good, market, left, tradable):
    bad = good.copy()
    bad.loc[150, ["open", "high", "low", "close"]] = [17.7, 17.9, -40.3, -37.6]
    bars, findings = judge(bad, market)
    assert "non_positive" in findings
    assert (len(bars.table), bars.table["tradable"].sum()) == (left, tradable)


def test_a_negative_close_outside_its_own_range_is_a_fault_for_a_future_too(judge, good):
    bad = good.copy()
    bad.loc[150, ["close", "low"]] = -bad.loc[150, ["close", "low"]]
    bars, _ = judge(bad, "commodities")
    assert len(bars.table) == 299


def test_exchanged_high_and_low_are_put_right(judge, good):
    bad = good.copy()
    bad.loc[7, "high"], bad.loc[7, "low"] = good["low"][7], good["high"][7]
    bars, findings = judge(bad)
    np.testing.assert_allclose(bars.table[["high", "low"]], good[["high", "low"]])
    assert findings["ohlc_breaks"].rows == 1


def test_an_open_slightly_outside_the_range_stays_as_auctions_report_it(judge, good):
    bad = good.copy()
    bad.loc[7, "open"] = bad.loc[7, "high"] * 1.005
    bars, findings = judge(bad)
    assert findings == {}
    assert bars.table["open"][7] == bad["open"][7]


def test_a_frozen_price_is_not_traded_from_the_limit_on(judge, good):
    bad = good.copy()
    bad.loc[100:130, ["open", "high", "low", "close"]] = bad["close"][100]
    bars, findings = judge(bad)
    assert findings["stale"].rows == 21
    assert bars.table.index[~bars.table["tradable"]].tolist() == list(range(110, 131))


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_pence_for_pounds_are_put_right_whether_a_bar_or_half_the_history(judge, good, factor):
    for rows in (good.index[:150], good.index[100:101], good.index[297:], good.index[299:]):
        bad = scaled(good, rows, factor)
        bars, findings = judge(bad)
        assert "unit_errors" in findings
        level = bars.table["close"] / good["close"]
        assert level.round(9).nunique() == 1  # one unit throughout; which one, the newest run of three decides
        if len(rows) != 3:
            np.testing.assert_allclose(bars.table["close"], good["close"])


def test_a_single_price_in_another_unit_is_put_right(judge, good):
    bad = good.copy()
    bad.loc[40, "low"] /= 100
    bars, _ = judge(bad)
    np.testing.assert_allclose(bars.table["low"], good["low"])


@pytest.mark.parametrize(("ratio", "when"), [(2, 120), (15, 200), (5, 60), (4, 250), (0.1, 150), (0.5, 90)])
def test_a_split_that_nobody_recorded_is_found(judge, good, ratio, when):
    bad = scaled(good, good.index[:when], ratio, volume=1 / ratio)
    bars, findings = judge(bad)
    assert f"{ratio:g}:1" in findings["splits"].detail
    np.testing.assert_allclose(bars.table["close"], good["close"], rtol=1e-12)
    np.testing.assert_allclose(bars.table["volume"], good["volume"], rtol=1e-12)
    assert bars.notes


def crash(table, place, share, *, overnight, rush):
    """Return the table with a fall by `share` at `place` that stays, at the open or during the day."""
    bad = scaled(table, table.index[place:], 1 - share)
    if not overnight:
        bad.loc[place, "open"] = bad["close"][place - 1] * 0.995
        bad.loc[place, "high"] = bad["close"][place - 1]
    bad.loc[place, "volume"] *= rush
    return bad


@pytest.mark.parametrize(
    ("market", "share", "overnight", "rush"),
    [
        ("crypto", 0.37, False, 3),  # BTC-USD on 2020-03-12
        ("stocks", 1 / 3, False, 4),  # APT.AX on 2020-03-18
        ("stocks", 0.5, False, 2),  # halves during the day
        ("stocks", 0.5, True, 20),  # halves overnight on news, and everybody trades
        ("crypto", 0.5, True, 1),
    ],
)
def test_a_real_crash_is_no_split_and_stays(judge, good, market, share, overnight, rush):
    bad = crash(good, 150, share, overnight=overnight, rush=rush)
    bars, findings = judge(bad, market)
    assert "splits" not in findings
    if not (market == "stocks" and overnight) and not (overnight and share >= 0.5):
        assert findings == {}
        np.testing.assert_array_equal(bars.table["close"], bad["close"])


@pytest.mark.parametrize("ratio", [3.0, 1.5])
def test_a_recorded_split_that_part_of_the_history_missed_is_applied(judge, good, ratio):
    bad = scaled(good, good.index[:140], ratio)
    bad.loc[145, "split"] = ratio
    bars, findings = judge(bad)
    np.testing.assert_allclose(bars.table["close"], good["close"], rtol=1e-12)
    assert "not applied throughout" in findings["splits"].detail


def test_a_recorded_split_that_is_applied_changes_nothing(judge, good):
    fine = good.copy()
    fine.loc[145, "split"] = 3.0
    bars, findings = judge(fine)
    assert findings == {}
    np.testing.assert_array_equal(bars.table["close"], good["close"])


def test_an_unadjusted_source_is_adjusted_by_its_records(judge, good):
    bad = scaled(good, good.index[:145], 3.0, volume=1 / 3)
    bad.loc[145, "split"], bad.loc[[50, 145], "dividend"] = 3.0, 0.9
    bars, _ = judge(bad, adjusted="none")
    np.testing.assert_allclose(bars.table["close"], good["close"], rtol=1e-12)
    assert bars.table["dividend"][[50, 145]].tolist() == pytest.approx(
        [0.3, 0.9]
    )  # its own date's is of shares after it
    assert bars.adjusted == "splits"


@pytest.mark.parametrize("factor", [7.0, 4.0, 1 / 7, 1 / 4, 0.5, 2.0])
def test_a_spike_goes_and_drags_no_history_with_it(judge, good, factor):
    bars, findings = judge(scaled(good, good.index[200:201], factor))
    assert "splits" not in findings
    assert findings["spikes"].rows == 1
    np.testing.assert_array_equal(bars.table["close"], good["close"].drop(200))


def test_a_jump_that_stays_costs_one_bar_and_no_more(judge, good):
    bars, findings = judge(scaled(good, good.index[200:], 1.8, volume=5))
    assert findings["spikes"].rows == 1
    assert len(bars.table) == 299
    (told,) = (note for note in bars.notes if "jumped and stayed" in note)
    assert told.startswith("T: "), "of many symbols nobody knew which"
    assert "by 1." in told


@pytest.mark.slow
def test_spikes_are_judged_by_what_came_before(judge, good):
    """The verdict on a bar is the same whether or not the rest of the history is known."""
    rng = np.random.default_rng(5)
    bad = good.copy()
    for place in rng.choice(np.arange(30, 290), 12, replace=False):
        bad = scaled(bad, bad.index[place : place + 1], float(rng.choice([0.3, 0.6, 1.7, 3.3])))
    whole, _ = judge(bad, "crypto")
    kept = set(whole.table["timestamp"])
    for length in range(40, 300, 7):
        part, _ = judge(bad.iloc[:length], "crypto")
        expected = [stamp for stamp in bad["timestamp"].iloc[:length] if stamp in kept]
        assert part.table["timestamp"].tolist() == expected
        np.testing.assert_array_equal(part.table["close"], whole.table["close"].iloc[: len(part.table)])


def test_a_wick_beyond_reason_is_cut_back(judge, good):
    bad = good.copy()
    bad.loc[77, "high"] *= 9
    bars, findings = judge(bad)
    assert bars.table["high"][77] == max(good["open"][77], good["close"][77])
    assert findings["spikes"].rows == 1


def test_stray_bars_long_before_the_listing_go(judge, good):
    stray = good.iloc[:2].assign(timestamp=good["timestamp"].iloc[:2] - pd.Timedelta(days=120))
    bars, findings = judge(pd.concat([stray, good]))
    assert findings["ticker_reuse"].rows == 2
    assert len(bars.table) == 300


def test_a_halt_of_two_months_is_the_same_company(judge, good):
    bars, findings = judge(good.drop(range(100, 145)))
    assert findings == {}
    assert len(bars.table) == 255


def test_another_company_behind_the_ticker_is_cut_off(judge, good):
    old = good.assign(timestamp=good["timestamp"] - pd.Timedelta(days=2000))
    bars, _ = judge(pd.concat([old, scaled(good, good.index, 900.0)]))
    assert len(bars.table) == 300
    assert bars.table["close"].min() > 10_000


def test_bars_without_volume_are_not_traded_where_the_source_has_volume(judge, good):
    idle = good.copy()
    idle.loc[30, "volume"] = 0
    assert judge(idle)[0].table["tradable"].sum() == 299
    assert judge(good.assign(volume=0.0))[0].table["tradable"].all()
    assert judge(idle, "forex")[0].table["tradable"].all()


def test_a_coin_that_moved_within_the_bar_was_traded_whatever_its_volume_says(judge, good):
    idle = good.copy()
    idle.loc[30:90, "volume"] = 0
    idle.loc[80, ["open", "high", "low"]] = idle.loc[80, "close"]
    assert judge(idle, "crypto")[0].table["tradable"].sum() == 299


def leaking(table):
    """Return bars whose close is nearly their own open, while high and low span the day after it."""
    return table.assign(close=table["open"] * 1.0001)


def test_leaking_bars_are_refused_by_default_with_a_way_out(judge, good):
    with pytest.raises(ProviderError, match=r"leaking_bars.*correlates 0\.\d\d") as raised:
        judge(leaking(good), "forex")
    assert "data=ecb" in raised.value.hint
    assert raised.value.message.startswith("files: T: ")


def test_leaking_bars_are_repaired_by_taking_the_next_open_as_the_close(judge, good):
    bad = leaking(good)
    bars, findings = judge(bad, "forex", leaking_bars="repair")
    np.testing.assert_array_equal(bars.table["close"], bad["open"].iloc[1:])
    assert bars.table["open"].isna().all()  # else an order would fill at the close that was just observed
    assert (bars.table["high"] >= bars.table["close"]).all()
    assert any("next bar's open" in note for note in bars.notes)
    assert len(findings["leaking_bars"].changes) >= 2 * 299


def test_a_leak_that_began_late_is_found(judge, good):
    long = pd.concat([good, good.assign(timestamp=good["timestamp"] + pd.Timedelta(days=420))], ignore_index=True)
    long.loc[300:, "close"] = long.loc[300:, "open"] * 1.0001
    with pytest.raises(ProviderError, match="leaking_bars"):
        judge(
            pd.concat([long, long.iloc[300:].assign(timestamp=lambda t: t["timestamp"] + pd.Timedelta(days=420))]),
            "forex",
        )


@pytest.mark.parametrize("seed", range(8))
def test_true_bars_do_not_leak(judge, seed):
    index = pd.bdate_range("2018-01-01", periods=1500)
    table = walk(np.random.default_rng(seed), "T", index, price=1.1, sigma=0.005, volume=0.0)
    assert "leaking_bars" not in judge(table, "forex")[1]


@pytest.mark.parametrize("action", ACTIONS)
def test_every_finding_is_treated_as_configured(judge, good, action):
    bad = scaled(good, good.index[200:201], 7.0)
    if action == "refuse":
        with pytest.raises(ProviderError, match=r"data\.quality\.spikes"):
            judge(bad, spikes=action)
        return
    bars, findings = judge(bad, spikes=action)
    assert findings["spikes"].action == action
    assert len(bars.table) == (300 if action == "warn" else 299)


def test_every_repair_is_recorded_with_before_and_after(judge, good):
    bad = scaled(good, good.index[100:101], 100.0)
    changes = judge(bad)[1]["unit_errors"].changes
    close = changes[changes["field"] == "close"].iloc[0]
    assert (close["before"], close["timestamp"]) == (bad["close"][100], good["timestamp"][100])
    assert close["after"] == pytest.approx(good["close"][100])
    assert set(changes["field"]) == {"open", "high", "low", "close"}


def test_a_removed_row_is_recorded_too(judge, good):
    changes = judge(scaled(good, good.index[200:201], 7.0))[1]["spikes"].changes
    assert changes["field"].tolist() == ["row"]
    assert np.isnan(changes["after"].iloc[0])


def test_the_report_is_json_and_says_it_in_a_line(specs, good):
    spec = specs["stocks"]
    raw = RawBars(
        "files",
        "T",
        "1d",
        raw_table(scaled(good, good.index[100:101], 100.0)),
        "USD",
        "units",
        "splits",
        datetime.now(UTC),
    )
    _, report = inspect(raw, spec.asset, spec.data.quality)
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    kinds = [finding["kind"] for finding in content["findings"]]
    assert "unit_errors" in kinds
    assert "1 unit_errors repaired" in report.summary()


def test_missing_sessions_are_counted_against_the_exchanges_calendar(specs):
    spec = specs["stocks"]
    index = pd.bdate_range("2024-03-01", "2024-04-30")
    table = walk(np.random.default_rng(1), "BHP.AX", index, price=45, sigma=0.01, volume=1e6).drop([10, 11])
    raw = RawBars("files", "BHP.AX", "1d", raw_table(table), "AUD", "units", "splits", datetime.now(UTC))
    _, report = inspect(raw, spec.asset, spec.data.quality)
    found = {finding.kind: finding for finding in report.findings}["missing_sessions"]
    assert found.rows == 2  # Good Friday, Easter Monday and Anzac Day are no sessions
    assert "first 2024-03-15" in found.detail


def test_nothing_usable_is_an_error(judge, good):
    with pytest.raises(ProviderError, match="no usable bar"):
        judge(good.assign(close=np.nan))


def test_bars_that_begin_after_today_are_called_so(judge, good):
    later = good["timestamp"] + pd.Timedelta(days=40 * 365)
    with pytest.raises(ProviderError, match=r"its bars begin on 20\d\d-\d\d-\d\d, after today"):
        judge(good.assign(timestamp=later))
