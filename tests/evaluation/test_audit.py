"""The audit passes what is causal and catches a planted leak of every kind."""

import weakref
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.envs.markets import EVERY_COST, random_panel, spec_of
from wealtharena.config import compose
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data import loading
from wealtharena.data.bars import Bars, RawBars
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.errors import DataError
from wealtharena.evaluation import audit
from wealtharena.evaluation.audit import subject
from wealtharena.features import compute
from wealtharena.features.panel import Scaler

NAMES = FeaturesSpec(names=("log_return_1", "rsi_14", "volatility_20"), clip=5.0)
QUALITY = compose([]).data.quality.model_copy(update={"leak_correlation": 0.35})
ENV = spec_of(costs=EVERY_COST, window=2, limits={"long_only": True, "participation": 0.2})
LEAKY = Path(__file__).parents[3] / "shared" / "market" / "forex_yahoo_leaky_daily.parquet"


def panel_(seed=0):
    panel = random_panel(np.random.default_rng(seed), bars=150, assets=3)
    noise = np.random.default_rng(1).uniform(0, 0.02, (2, 150, 3))
    top, bottom = np.fmax(panel.open, panel.close), np.fmin(panel.open, panel.close)
    return replace(panel, high=top * (1 + noise[0]), low=bottom * (1 - noise[1]), simulated=False)


def ask(panel=None, *, raw=(), **subject):
    return audit.audit(
        panel or panel_(),
        NAMES,
        ENV,
        quality=QUALITY,
        points=5,
        rng=np.random.default_rng(0),
        raw=raw,
        subject=audit.Subject(**subject),
    )


def failed(report):
    return {check.name for check in report.checks if check.passed is False}


def raw_(table=None, bars=150):
    if table is None:
        close = 50 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.02, bars)))
        prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
        stamps = pd.date_range("2020-01-01", periods=bars, tz="UTC").astype("datetime64[ns, UTC]")
        table = pd.DataFrame({"timestamp": stamps, **prices, "volume": 1e6, "dividend": 0.0, "split": 0.0})
        table.loc[[30, 80, 81, 120, 121, 122], ["open", "high", "low", "close"]] = np.nan
    return RawBars("files", "X", "1d", table, "USD", "units", "splits", datetime(2024, 1, 1, tzinfo=UTC))


@pytest.mark.slow
def test_the_platforms_own_functions_pass():
    spec = compose(["asset=stocks"])
    report = ask(raw=[raw_()], repair=lambda raw: loading.clean(raw, spec.asset, spec.data)[0])
    assert report.passed, [str(finding) for finding in report.findings]
    assert [check.name for check in report.checks] == [
        "features", "market", "observation", "reward", "scaler", "fill", "repair", "bar shape", "tradable",
    ]  # fmt: skip
    assert all(check.passed for check in report.checks)
    assert report.to_json()["passed"] is True


@pytest.mark.parametrize("window", [1, 2, 7])
def test_the_fewest_bars_that_are_audited_are_those_that_are_asked_for(window):
    env = ENV.model_copy(update={"window": window})
    least = 20 + window + 5  # volatility_20 is the slowest
    told = audit.audit(panel_().slice(0, least), NAMES, env, quality=QUALITY, points=5, rng=np.random.default_rng(0))
    assert told.passed
    with pytest.raises(DataError, match=f"{least - 1} bars leave {window + 4} after the 20 that the slowest feature"):
        audit.require_bars(panel_().slice(0, least - 1), NAMES, env)


def test_a_back_filled_indicator_is_caught_with_feature_symbol_and_bar():
    def back_filled(panel, spec):
        features = compute(panel, spec)
        values = features.values.copy()
        values[40:50, 1, 2] = np.nan  # a hole,
        filled = pd.DataFrame(values[:, 1, 2]).bfill().to_numpy()[:, 0]  # filled from behind
        values[:, 1, 2] = filled
        values[:-1, 1, 2] = np.where(np.arange(len(values) - 1) % 10 == 0, values[1:, 1, 2], values[:-1, 1, 2])
        return replace(features, values=values)

    report = ask(features=back_filled)
    assert {"features", "observation"} <= failed(report)
    finding = next(item for item in report.findings if item.check == "features")
    assert (finding.what, finding.symbol) == ("volatility_20", "S1")
    assert finding.bar > 0
    assert "volatility_20 of S1, bar" in str(finding)


def test_a_centred_window_is_caught():
    def centred(panel, spec):
        features = compute(panel, spec)
        values = features.values.copy()
        values[1:-1, :, 0] = (values[:-2, :, 0] + values[2:, :, 0]) / 2
        return replace(features, values=values)

    assert "features" in failed(ask(features=centred))


def test_a_full_sample_scaler_is_caught():
    report = ask(fit=lambda features, rows: Scaler.fit(features, clip=5.0))
    assert "scaler" in failed(report)
    assert "mean of log_return_1" in str(report.findings[-1])


def test_a_fill_at_the_close_that_was_observed_is_caught():
    def same_close(features, spec, scaler):
        market = Market.build(features, spec, scaler)
        bars = market.bars.copy()
        bars[1:, BAR.fill] = np.where(bars[1:, BAR.fill] > 0, bars[:-1, BAR.mark], 0.0)
        bars.flags.writeable = False
        return replace(market, bars=bars)

    report = ask(market=same_close)
    assert failed(report) == {"fill"}
    assert "paid" in str(report.findings[0])


def test_an_order_that_acts_before_the_next_bar_is_caught():
    def at_once(market, targets, *, spec, start):
        early = np.concatenate([targets[1:], targets[-1:]])  # row t holds what is decided at t + 1
        return simulate(market, early, spec=spec, start=start)

    report = ask(simulate=at_once)
    assert failed(report) == {"fill"}
    assert "already" in str(report.findings[0])


def test_a_market_that_peeks_at_volatility_is_caught():
    def peeking(features, spec, scaler):
        market = Market.build(features, spec, scaler)
        bars = market.bars.copy()
        bars[:-1, BAR.sizing_impact] = bars[1:, BAR.sizing_impact]
        bars.flags.writeable = False
        return replace(market, bars=bars)

    report = ask(market=peeking)
    assert "market" in failed(report)
    assert "volatility at sizing of S0" in str(report.findings[0])


def test_a_reward_of_the_bar_after_is_caught():
    def early(market, spec, actions):
        seen, paid = audit.play(market, spec, actions)
        return seen, np.concatenate([paid[1:], paid[-1:]])

    assert failed(ask(play=early)) == {"reward"}


@pytest.mark.parametrize("method", ["bfill", "interpolate"])
def test_a_repair_that_looks_ahead_is_caught(method):
    def repair(raw):
        table = raw.table.copy()
        for name in ("open", "high", "low", "close"):
            table[name] = getattr(table[name], method)()
        return Bars.from_raw(replace(raw, table=table.dropna(subset=["close"])))

    holes = raw_().table
    holes.loc[::3, ["open", "high", "low", "close"]] = np.nan
    report = ask(raw=[raw_(holes)], repair=repair)
    assert failed(report) == {"repair"}
    assert "clean close of X" in str(report.findings[0])


def test_bars_stamped_a_day_late_are_caught():
    panel = panel_()
    ahead = slice(1, None)
    high, low = panel.high.copy(), panel.low.copy()
    high[:-1] = np.fmax(panel.close[:-1], panel.high[ahead])  # the range of the day after the close
    low[:-1] = np.fmin(panel.close[:-1], panel.low[ahead])
    report = ask(replace(panel, high=high, low=low))
    assert "bar shape" in failed(report)
    assert "correlates" in str(report.findings[0])


@pytest.mark.slow
@pytest.mark.skipif(not LEAKY.exists(), reason="needs the shared market data")
def test_yahoos_currency_bars_are_caught_where_their_repair_is_switched_off():
    kinds = ("data=files", f"data.path={LEAKY}", "data.quality.leaking_bars=warn", "data.symbols=[EURUSD]")
    spec = compose(["asset=forex", *kinds, "data.start=2018-01-01"])
    panel = loading.load(spec.asset, spec.data, seed=0)
    report = audit.audit(panel, NAMES, ENV, quality=QUALITY, points=3, rng=np.random.default_rng(0))
    assert "bar shape" in failed(report)
    assert report.findings[-1].symbol == "EURUSD"


@pytest.mark.parametrize("at", [(0, 0), (3, 1), (6, 2)])
def test_the_first_place_that_moved_is_found_whatever_is_compared_at_a_time(at, monkeypatch):
    monkeypatch.setattr(subject, "COMPARED", 6)  # two rows
    one = np.full((7, 3), np.nan, np.float32)
    one[:, 1:] = np.random.default_rng(0).normal(size=(7, 2))
    other = one.copy()
    assert subject.first_moved(one, other) is None
    other[at] = 9.0
    other[6, 2] = 8.0
    assert subject.first_moved(one, other) == at
    assert subject.first_moved(one[:0], other[:0]) is None
    assert subject.first_moved(one[:, 1], other[:, 1] + 1e-9) == ((3,) if at == (3, 1) else None)


@pytest.mark.slow
def test_playing_other_futures_holds_two_plays_at_once():
    held = []

    class Seen(np.ndarray):
        pass

    def play(market, spec, actions):
        seen, paid = audit.Subject().play(market, spec, actions)
        seen = seen.view(Seen)
        held.append(weakref.ref(seen))
        most.append(sum(one() is not None for one in held))
        return seen, paid

    most: list[int] = []
    ask(play=play)
    assert max(most) == 2
