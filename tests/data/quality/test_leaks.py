"""The leak test names what knows a tradable return, and leaves honest markets alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.data.quality import planted
from wealtharena.config import compose
from wealtharena.data.panel import Panel
from wealtharena.data.quality import foresight, leaks
from wealtharena.data.quality.foresight import LEAST, Ranked, Sighting, Windows, correlations, surprise
from wealtharena.errors import DataError

QUALITY = compose([]).data.quality


@pytest.fixture(scope="module")
def daily() -> Panel:
    return planted.market(bars=1600)


@pytest.fixture(scope="module")
def hourly() -> Panel:
    return planted.market(bars=4000, interval="1h")


def named(panel: Panel, **more: object) -> tuple[Sighting, ...]:
    return leaks.panel_sightings(panel, QUALITY, **more)


@pytest.mark.slow
def test_ten_kinds_of_leak_are_each_named_or_refused(daily: Panel, hourly: Panel) -> None:
    found = planted.every_kind(daily, hourly, QUALITY, share=1.0)
    assert len(found) == 10
    assert all(found.values()), {name: len(seen) for name, seen in found.items()}
    refused = [name for name, seen in found.items() if seen[0].sure > QUALITY.leak_ceiling]
    assert len(refused) >= 8, refused


@pytest.mark.slow
def test_at_half_the_strength_seven_of_ten_are_still_named(daily: Panel, hourly: Panel) -> None:
    found = planted.every_kind(daily, hourly, QUALITY, share=0.5)
    assert sum(bool(seen) for seen in found.values()) >= 7, {name: len(seen) for name, seen in found.items()}


@pytest.mark.parametrize("bars", [5, 10, 20])
def test_a_label_over_many_bars_is_refused(daily: Panel, bars: int) -> None:
    """It tells hardly any one bar's return, and all that an agent needs to know."""
    seen = named(planted.label(daily, 1.0, bars=bars))
    assert {item.number.name for item in seen} == {"change of volume"}
    assert len(seen) > len(daily.symbols) / 2
    assert seen[0].sure > QUALITY.leak_ceiling
    assert seen[0].step > 1
    assert 0 <= seen[0].start < seen[0].stop <= daily.bars
    assert f"over {seen[0].step} bars" in seen[0].text(daily.timestamps)
    assert not named(daily)


def test_a_fund_of_bills_whose_returns_go_on_is_no_leak(daily: Panel) -> None:
    """Each month of it tells the next, and so does whatever moves with its rate."""
    rate = 0.03 + 0.02 * np.sin(np.arange(daily.bars) / 200.0)
    noise = np.random.default_rng(3).normal(0.0, 2e-4, daily.bars)
    bills = np.repeat((np.exp(np.cumsum(rate / 252)) * np.exp(noise))[:, None], len(daily.symbols), axis=1)
    panel = replace(daily, open=bills, high=bills * 1.0001, low=bills * 0.9999, close=bills)
    assert not [item for item in named(panel) if item.step > 1]


@pytest.mark.slow
def test_what_is_named_is_what_was_planted(daily: Panel) -> None:
    assert {str(item.number) for item in named(planted.volume(daily, 1.0))} == {
        f"change of volume of {symbol}" for symbol in daily.symbols
    }
    (macro,) = named(planted.early_macro(daily, 1.0))
    assert (str(macro.number), macro.fill, macro.lag) == ("NEWS", "open", 1)
    assert {item.number.symbol for item in named(planted.one_symbol(daily, 1.0))} == {"S4"}
    late = named(planted.late_closes(daily, 1.0))[0]
    assert late.stop == daily.bars
    assert late.start >= daily.bars // 2
    assert {item.number.name for item in named(daily, more=planted.centred(daily, 1.0))} == {"centred"}
    assert {str(item.number) for item in named(planted.early_index(daily, 1.0))} == {"NEWS"}


@pytest.mark.slow
@pytest.mark.parametrize("asset", ["stocks", "forex", "crypto", "etf", "commodities"])
def test_honest_markets_of_every_class_are_left_alone(asset: str) -> None:
    for seed in range(3):
        panel = planted.market(asset, seed=seed, bars=900)
        assert leaks.checked(panel, QUALITY).leaks == ()


@pytest.mark.slow
def test_a_weak_signal_that_can_be_learnt_is_no_leak() -> None:
    assert named(planted.market(bars=1500, predictability=0.02)) == ()


def test_a_sure_leak_is_refused_with_number_symbol_lag_and_bars(daily: Panel) -> None:
    leaking = planted.closes(daily, 1.0)
    with pytest.raises(
        DataError, match=r"leaking_bars: .* of S\d correlates \+0\.\d\d .* 1 bar later .*bars 0 to 1599"
    ):
        leaks.checked(leaking, QUALITY)
    warned = leaks.checked(leaking, QUALITY.model_copy(update={"leaking_bars": "warn"}))
    assert 1 <= len(warned.leaks) <= leaks.NAMED
    assert warned.fingerprint == leaking.fingerprint


def test_a_weaker_one_is_named_and_loaded(daily: Panel) -> None:
    found = leaks.checked(planted.one_symbol(daily, 0.6), QUALITY)
    assert found.leaks
    assert all(" of S4 " in text for text in found.leaks)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.18, 0.2, 0.35])
def test_where_chance_is_not_measured_nothing_would_have_been_named(
    daily: Panel, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = planted.volume(daily, share)
    found = named(panel)
    assert bool(found) == (share > 0.15)
    monkeypatch.setattr(foresight, "_NARROWEST", -1.0)
    assert named(panel) == found


def test_simulated_markets_are_not_tested(daily: Panel) -> None:
    assert leaks.checked(replace(planted.closes(daily, 1.0), simulated=True), QUALITY).leaks == ()


def test_what_moves_too_smoothly_says_nothing(daily: Panel) -> None:
    line = np.repeat(1.0 + np.arange(daily.bars)[:, None], len(daily.symbols), axis=1)
    assert named(replace(daily, open=line, high=line, low=line, close=line)) == ()


def test_a_sparse_number_is_compared_with_the_returns_of_its_own_days() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(600, 2)).astype(np.float32)
    values[rng.random(values.shape) < 0.6] = np.nan
    returns = rng.normal(size=(600, 1)).astype(np.float32)
    returns[:, 0] *= np.where(np.isfinite(values[:, 0]), 5, 1)  # wilder on the days of the first number
    returns[::7] = np.nan
    x, y = Ranked.of(values), Ranked.of(returns)
    for position, found, pairs in correlations(x, y, Windows.over(600)):
        start, stop = Windows.over(600).spans[position]
        for n in range(2):
            both = np.isfinite(values[start:stop, n]) & np.isfinite(returns[start:stop, 0])
            exact = np.corrcoef(x.ranks[start:stop, n][both], y.ranks[start:stop, 0][both])[0, 1]
            assert pairs[n, 0] == both.sum()
            assert found[n, 0] == pytest.approx(exact if both.sum() >= LEAST else 0, abs=1e-5)


def test_equal_values_share_a_rank_and_gaps_have_none() -> None:
    ranked = Ranked.of(np.array([[1.0], [3.0], [1.0], [np.nan], [2.0]], dtype=np.float32))
    np.testing.assert_allclose(ranked.ranks[:, 0], [-0.25, 0.375, -0.25, 0.0, 0.125])
    assert ranked.patterns[:, 0].tolist() == [1, 1, 1, 0, 1]


def test_a_surprise_is_what_the_value_before_does_not_tell() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(5000, 1))
    slow = np.zeros_like(noise)
    for t in range(1, len(noise)):
        slow[t] = 0.9 * slow[t - 1] + noise[t]
    assert np.corrcoef(surprise(slow)[1:, 0], noise[1:, 0])[0, 1] > 0.99


@pytest.mark.parametrize("bars", [60, 249, 250, 777])
def test_the_shape_of_a_bar_is_judged_over_all_bars_and_each_window(bars: int) -> None:
    rng = np.random.default_rng(bars)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, bars)))
    table = pd.DataFrame(
        {
            "high": close * np.exp(rng.gamma(2, 0.01, bars)),
            "low": close * np.exp(-rng.gamma(2, 0.01, bars)),
            "close": close,
        }
    )
    table.loc[5:9, "high"], table.loc[20, "close"] = np.nan, close[19]
    expected = {}
    for name, shape in leaks.shapes(*(table[column].to_numpy() for column in ("high", "low", "close"))).items():
        following = table["close"].pct_change().shift(-1).to_numpy()
        for look in (slice(None), *(slice(i, i + 250) for i in range(0, bars - 249, 250))):
            pairs = pd.DataFrame({"a": shape[look], "b": following[look]}).dropna().query("b != 0")
            clipped = pairs.clip(pairs.quantile(0.01), pairs.quantile(0.99), axis=1)
            expected[name, look.start] = abs(clipped["a"].corr(clipped["b"]))
    strength, named = leaks.leak(table)
    assert strength == pytest.approx(max(expected.values()), rel=1e-9)
    assert named == max(expected, key=expected.__getitem__)[0]
