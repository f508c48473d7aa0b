from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena import features
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data import Panel, load, load_panel
from wealtharena.errors import ConfigError, DataError
from wealtharena.features import FeaturePanel, Scaler, context

SPEC = compose(["asset=crypto", "data=simulated", "data.simulator.bars=400"])
DEFAULT = SPEC.features


@pytest.fixture(scope="module")
def panel() -> Panel:
    return load(SPEC.asset, SPEC.data, seed=0)


@pytest.fixture(scope="module")
def made(panel: Panel) -> FeaturePanel:
    return features.compute(panel, DEFAULT)


def _names(*names: str) -> FeaturesSpec:
    return DEFAULT.model_copy(update={"names": names})


def test_about_twenty_features_a_symbol_without_a_hole_after_warm_up(made: FeaturePanel) -> None:
    assert made.values.shape == (340, 10, 22)
    assert made.values.dtype == np.float32
    assert np.isfinite(made.values).all()
    assert made.warmup_bars == 60
    assert made.names == DEFAULT.names


def test_warm_up_rows_are_dropped_from_bars_and_features_alike(panel: Panel, made: FeaturePanel) -> None:
    np.testing.assert_array_equal(made.panel.timestamps, panel.timestamps[60:])
    expected = np.log(panel.close[60:] / panel.close[59:-1])
    np.testing.assert_allclose(made.values[:, :, made.names.index("log_return_1")], expected, rtol=1e-5, atol=1e-7)


def test_the_bars_of_the_warm_up_go_with_the_first_row_and_with_no_other(panel: Panel, made: FeaturePanel) -> None:
    first = made.warmup_bars
    assert made.with_lead().fingerprint == panel.fingerprint
    assert made.slice(0, 50).with_lead().fingerprint == panel.slice(0, first + 50).fingerprint
    assert made.slice(1, 50).with_lead().fingerprint == panel.slice(first + 1, first + 50).fingerprint
    gap = np.r_[0:20, 40:50]
    holed = made.take(gap).with_lead()
    assert holed.seams == (first + 20,)
    np.testing.assert_array_equal(holed.timestamps, panel.timestamps[np.r_[0 : first + 20, first + 40 : first + 50]])


def test_no_row_changes_when_the_future_is_cut_off_or_replaced(panel: Panel, made: FeaturePanel) -> None:
    for cut in (100, 250, 399):
        early = features.compute(panel.slice(0, cut), DEFAULT)
        np.testing.assert_array_equal(early.values, made.values[: cut - 60])
        names = ("open", "high", "low", "close", "volume")
        other = replace(
            panel, **{n: np.concatenate([getattr(panel, n)[:cut], 3 * getattr(panel, n)[cut:][::-1]]) for n in names}
        )
        np.testing.assert_array_equal(features.compute(other, DEFAULT).values[: cut - 60], made.values[: cut - 60])


@pytest.mark.slow
def test_features_whose_inputs_are_lacking_are_absent() -> None:
    spec = compose(["asset=forex", "data=ecb"])
    rates = load(spec.asset, spec.data, seed=0).slice(0, 300)
    names = features.names_available(rates, DEFAULT)
    assert len(names) == 13
    assert not {
        "atr_14",
        "adx_14",
        "stochastic_k",
        "mfi_14",
        "obv_z_20",
        "volume_z_20",
        "gap_1",
        "close_position",
    } & set(names)
    assert features.compute(rates, DEFAULT).names == names
    with pytest.raises(DataError, match="inputs of none"):
        features.compute(rates, _names("atr_14"))


def _young(panel: Panel, start: int) -> Panel:
    changes = {}
    for name in ("open", "high", "low", "close", "volume"):
        values = getattr(panel, name).copy()
        values[:start, 3] = np.nan
        changes[name] = values
    tradable = panel.tradable.copy()
    tradable[:start, 3] = False
    return replace(panel, tradable=tradable, **changes)


def test_a_young_symbol_is_nan_until_its_own_warm_up_is_done(panel: Panel) -> None:
    made = features.compute(_young(panel, 150), DEFAULT)
    assert made.warmup_bars == 60
    assert np.isnan(made.values[: 150 + 60 - 60, 3]).all()
    assert np.isfinite(made.values[150 + 60 - 60 :, 3]).all()
    others = [i for i in range(10) if i != 3]
    assert np.isfinite(made.values[:, others]).all()


def test_holes_and_negative_prices_poison_no_later_value(panel: Panel, made: FeaturePanel) -> None:
    close, opens = panel.close.copy(), panel.open.copy()
    high, low, volume = panel.high.copy(), panel.low.copy(), panel.volume.copy()
    for values in (close, opens, high, low, volume):
        values[100:103, 0] = np.nan
    close[200, 1] = -37.63
    broken = replace(panel, close=close, open=opens, high=high, low=low, volume=volume)
    result = features.compute(broken, DEFAULT)
    assert np.isnan(result.values[40:43, 0]).all()
    assert np.isnan(result.values[140, 1]).all()
    assert np.isfinite(result.values[43:, 0]).all()
    assert np.isfinite(result.values[141:, 1]).all()
    np.testing.assert_array_equal(result.values[:, 2:], made.values[:, 2:])
    # a window that lies wholly after the hole is what it would have been without it
    position = made.names.index("bollinger_b")
    np.testing.assert_array_equal(result.values[43 + 20 :, 0, position], made.values[43 + 20 :, 0, position])


def test_the_return_over_a_hole_is_that_between_the_bars_around_it(panel: Panel) -> None:
    close = panel.close.copy()
    close[100:103, 0] = np.nan
    holed = replace(panel, close=close, open=None, high=None, low=None, volume=None)
    result = features.compute(holed, _names("log_return_1"))
    row = 103 - result.warmup_bars
    assert result.values[row, 0, 0] == pytest.approx(np.log(close[103, 0] / close[99, 0]), rel=1e-6)


def test_too_few_bars_for_the_warm_up_is_one_clear_error(panel: Panel) -> None:
    with pytest.raises(DataError, match=r"60 bars are fewer than the 61") as caught:
        features.compute(panel.slice(0, 60), DEFAULT)
    assert "data.start" in caught.value.hint
    assert features.compute(panel.slice(0, 61), DEFAULT).bars == 1


def test_a_repeated_or_unknown_name_is_a_configuration_error(panel: Panel) -> None:
    with pytest.raises(ConfigError, match="repeats log_return_1"):
        features.compute(panel, _names("log_return_1", "log_return_1"))
    with pytest.raises(ConfigError, match="log_retrun_1"):
        features.compute(panel, _names("log_retrun_1"))


@pytest.mark.slow
def test_recent_bars_of_the_stated_history_give_the_same_last_row(panel: Panel, made: FeaturePanel) -> None:
    spec = compose(["asset=crypto", "data=simulated", "data.simulator.bars=1200"])
    long = load(spec.asset, spec.data, seed=0)
    bars = features.min_history_bars(DEFAULT.names)
    assert 400 < bars < 700
    whole = features.compute(long, DEFAULT).values[-1]
    recent = features.compute(long.slice(long.bars - bars, long.bars), DEFAULT).values[-1]
    np.testing.assert_allclose(recent, whole, atol=2e-6)
    assert features.min_history_bars(["log_return_5"]) == 6
    assert features.min_history_bars([]) == 1


def test_the_time_of_week_is_known_in_advance_and_the_same_for_all(panel: Panel) -> None:
    made = features.compute(panel, _names("day_of_week_sin", "day_of_week_cos", "log_return_1"))
    days = pd.DatetimeIndex(made.panel.timestamps)
    monday = made.values[days.day_of_week == 0]
    np.testing.assert_allclose(monday[..., 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(monday[..., 1], 1.0, atol=1e-6)
    assert np.unique(made.values[..., 0].round(5)).size == 7


def test_macro_features_use_the_values_known_at_the_bar_and_are_absent_without_them(panel: Panel) -> None:
    known = np.cumsum(np.random.default_rng(0).normal(size=(panel.bars, 1)), axis=0)
    with_macro = replace(panel, macro=known, macro_names=("VIXCLS",))
    spec = _names("log_return_1", "macro_VIXCLS")
    made = features.compute(with_macro, spec)
    assert made.warmup_bars == 251
    window = known[-252:, 0]
    assert made.values[-1, 4, 1] == pytest.approx((window[-1] - window.mean()) / window.std(), rel=1e-5)
    assert features.compute(panel, spec).names == ("log_return_1",)
    assert context.memory("macro_VIXCLS") == 252


def test_the_scaler_fits_the_rows_it_is_given_and_clips(made: FeaturePanel) -> None:
    scaler = Scaler.fit(made, clip=5.0, rows=slice(0, 200))
    scaled = scaler.transform(made.values[:200]).reshape(-1, 22)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=0.05)
    varies = np.arange(22) != made.names.index("gap_1")  # crypto never closes: its opens are the closes before them
    np.testing.assert_allclose(scaled.std(axis=0)[varies], 1, atol=0.1)
    assert np.abs(scaler.transform(1000 * made.values)).max() == 5.0
    changed = made.values.copy()
    changed[200:] *= 100
    again = Scaler.fit(replace(made, values=changed), clip=5.0, rows=slice(0, 200))
    np.testing.assert_array_equal(scaler.mean, again.mean)
    np.testing.assert_array_equal(scaler.std, again.std)


def test_nan_becomes_the_mean_after_scaling(panel: Panel) -> None:
    made = features.compute(_young(panel, 150), DEFAULT)
    scaler = Scaler.fit(made, clip=5.0)
    assert (scaler.transform(made.values)[:100, 3] == 0).all()


def test_one_symbol_alone_has_the_features_it_has_in_company(panel: Panel, made: FeaturePanel) -> None:
    frame = pd.DataFrame({"timestamp": panel.timestamps, "symbol": "ETH-USD"})
    column = panel.symbols.index("ETH-USD")
    for name in ("open", "high", "low", "close", "volume"):
        frame[name] = getattr(panel, name)[:, column]
    alone = load_panel(frame, asset="crypto", data=SPEC.data.model_copy(update={"source": "files", "symbols": None}))
    np.testing.assert_array_equal(features.compute(alone, DEFAULT).values[:, 0], made.values[:, column])
