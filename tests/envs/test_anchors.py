from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.envs.markets import features_of, market_of, panel_of, spec_of
from wealtharena.config import plugins
from wealtharena.config.specs.tilt import TiltSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.anchors import RULES, anchored, columns, history_bars
from wealtharena.envs.baselines import Baseline
from wealtharena.envs.quotes import SIGMA_UNKNOWN
from wealtharena.errors import ConfigError, MarketError, WealthArenaError
from wealtharena.features.panel import Scaler

LONG = {"long_only": True, "max_weight": 0.3}


def holey(*, bars: int = 90, assets: int = 4, seed: int = 0) -> Panel:
    """Return walks with halts, a late listing, a delisting, and bars on which nothing trades."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, [0.001, 0.01, 0.03, 0.02][:assets], (bars, assets)), axis=0))
    close[rng.random((bars, assets)) < 0.1] = np.nan
    close[:30, 1] = np.nan
    close[60:, 2] = np.nan
    close[rng.random(bars) < 0.05] = np.nan
    return panel_of(close)


def marked(*, bars: int = 90, seed: int = 1) -> Panel:
    """Return walks that have prices at which nobody trades: single ones, all of a bar, and a symbol's for good."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, [0.001, 0.01, 0.03, 0.02], (bars, 4)), axis=0))
    tradable = rng.random((bars, 4)) > 0.1
    tradable[rng.random(bars) < 0.1] = False
    close[40:, 0], tradable[40:, 0] = 5.0, False
    return panel_of(close, tradable=tradable, volume=np.ones((bars, 4)), volume_unit="units")


@pytest.mark.parametrize("panel", [holey(), marked()], ids=["holey", "marked"])
@pytest.mark.parametrize("limits", [LONG, {"long_only": False}])
@pytest.mark.parametrize("name", sorted(RULES))
def test_every_row_is_the_baseline_of_that_row_over_the_bars_that_have_a_price(
    name: str, limits: dict[str, object], panel: Panel
) -> None:
    tilt = spec_of(action="tilt", anchor=name, limits=limits).tilted
    found = columns(panel, tilt)
    rows = np.flatnonzero(np.isfinite(panel.close).any(axis=1))
    traded, rule = replace(panel.take(rows), seams=()), Baseline(tilt.anchor)  # passed over is not taken out
    for position, row in enumerate(rows):
        np.testing.assert_allclose(found[row, :, 0], rule.weights(traded, position), atol=1e-7, err_msg=f"row {row}")
    for row in range(int(rows[0]) + 1, panel.bars):
        if row not in rows:
            np.testing.assert_array_equal(found[row, :, 0], found[row - 1, :, 0])
    if name != "cash":
        assert (np.abs(found[..., 0]).sum(axis=1) > 0).mean() > 0.6


@pytest.mark.parametrize("name", sorted(RULES))
def test_recent_bars_give_the_row_that_all_bars_give_whatever_only_a_backtest_knows(name: str) -> None:
    tilt = spec_of(action="tilt", anchor=name, limits=LONG).tilted
    full = holey(bars=120)
    known = replace(
        full,
        dividends=np.full(full.close.shape, 0.5),
        to_account=np.exp(np.cumsum(np.full(full.close.shape, 0.02), axis=0)),
        multipliers=np.array([1.0, 5.0, 50.0, 1000.0]),
    )
    wanted = columns(known, tilt)
    for row in range(history_bars(tilt) + 20, 120):
        recent = full.slice(row + 1 - history_bars(tilt) - 15, row + 1)  # some bars trade nothing
        np.testing.assert_array_equal(columns(recent, tilt)[-1], wanted[row])


@pytest.mark.parametrize("name", sorted(RULES))
def test_recent_bars_at_which_nobody_trades_count_as_bars_of_the_history(name: str) -> None:
    tilt = spec_of(action="tilt", anchor=name, limits=LONG).tilted
    full = marked(bars=120)
    wanted = columns(full, tilt)
    for row in range(history_bars(tilt) - 1, 120):
        recent = full.slice(row + 1 - history_bars(tilt), row + 1)
        np.testing.assert_array_equal(columns(recent, tilt)[-1], wanted[row])


@pytest.mark.parametrize("bars", [1, 2, 21, 30, 39, 40, 41, 81])
@pytest.mark.parametrize("name", sorted(RULES))
def test_an_anchor_that_looks_back_on_more_bars_than_there_are_is_its_baseline_too(name: str, bars: int) -> None:
    tilt = spec_of(action="tilt", anchor=name, anchor_bars=40, limits=LONG).tilted
    close = 50 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, (bars, 3)), axis=0))
    panel, rule = panel_of(close), Baseline(tilt.anchor)
    found = columns(panel, tilt)
    for row in range(bars):
        np.testing.assert_allclose(found[row, :, 0], rule.weights(panel, row), atol=1e-7, err_msg=f"row {row}")
    assert (columns(panel_of(np.full((bars, 3), np.nan)), tilt)[..., 0] == 0.0).all()


def test_what_cannot_be_traded_is_no_part_of_the_anchor_and_has_no_volatility() -> None:
    """A coin whose price stands still is marked stale: by its volatility of nothing it would take everything."""
    close = 50 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, (80, 3)), axis=0))
    close[:, 0] = 5.0
    tradable = np.ones((80, 3), dtype=bool)
    tradable[10:, 0] = False
    panel = panel_of(close, tradable=tradable, volume=np.full((80, 3), 1e6), volume_unit="units")
    found = columns(panel, spec_of(action="tilt", limits={"long_only": True}).tilted)
    assert (found[15:, 0, 0] == 0.0).all()
    assert np.isnan(found[10:, 0, 1]).all()
    np.testing.assert_allclose(found[15:, 1:, 0].sum(axis=1), 1.0, rtol=1e-6)


def test_the_rule_of_a_package_sees_the_bars_on_which_something_trades_and_the_prices_of_what_does(monkeypatch) -> None:
    panel = marked()
    trades = panel.tradable.any(axis=1)
    shown: list[np.ndarray] = []

    def rule(close: np.ndarray, spec: object) -> np.ndarray:
        shown.append(close)
        return np.nan_to_num(close)

    monkeypatch.setattr(plugins, "load", lambda *_: SimpleNamespace(rule=rule))
    tilt = spec_of(action="tilt").tilted
    own = tilt.model_copy(update={"anchor": tilt.anchor.model_copy(update={"name": "own"})})
    found = columns(panel, own)[..., 0]
    np.testing.assert_array_equal(shown[0], np.where(panel.tradable, panel.close, np.nan)[trades])
    made = np.concatenate([[0.0], np.nan_to_num(shown[0][:, 0])])
    np.testing.assert_array_equal(found[:, 0], made[np.cumsum(trades)].astype(np.float32))


@pytest.mark.parametrize(("looks", "refused"), [(40, False), (200, True)])
def test_a_rule_of_a_package_that_looks_at_more_than_a_server_is_given_is_refused(monkeypatch, looks, refused):
    def rule(close: np.ndarray, spec: object) -> np.ndarray:
        before = close[np.maximum(np.arange(len(close)) - looks, 0)]
        return 1.0 * (close >= before) / close.shape[1]

    monkeypatch.setattr(plugins, "load", lambda *_: SimpleNamespace(rule=rule))
    monkeypatch.setattr(plugins, "title", lambda *_: "the plugin 'own'")
    tilt = spec_of(action="tilt", anchor_bars=60).tilted
    own = tilt.model_copy(update={"anchor": tilt.anchor.model_copy(update={"name": "own"})})
    panel = panel_of(100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, (400, 3)), axis=0)))
    if not refused:
        columns(panel, own)
        return
    with pytest.raises(ConfigError, match="'own': rule has other weights from the last 71 bars") as caught:
        columns(panel, own)
    assert "env.anchor_bars" in str(caught.value.hint)
    longer = own.anchor.model_copy(update={"lookback_bars": looks})
    columns(panel, own.model_copy(update={"anchor": longer}))


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda close: pd.DataFrame(close).rank(axis=1)[[2, 1, 0]], "returned a DataFrame of shape"),
        (lambda close: pd.DataFrame(close)[::-1], "returned a DataFrame of shape"),
        (lambda close: np.full(close.shape, "0.2"), "returned a ndarray of shape"),
        (lambda close: np.full(close.shape, 0.2j), "returned a ndarray of shape"),
        (lambda close: [[0.1, 0.2], [0.1]], "returned a list with rows of several lengths"),
        (lambda close: None, "returned a NoneType of shape"),
        (lambda close: 1.0 * (close > close.mean(axis=0)), "once it is given later bars: it looks ahead"),
        (lambda close: np.append(np.diff(close, axis=0) > 0, close[-1:] > 0, axis=0), "it looks ahead"),
    ],
)
def test_what_a_rule_of_a_package_answers_wrongly_is_refused_by_its_name(monkeypatch, rule, told):
    monkeypatch.setattr(plugins, "load", lambda *_: SimpleNamespace(rule=lambda close, spec: rule(close)))
    monkeypatch.setattr(plugins, "title", lambda *_: "the plugin 'own'")
    panel = panel_of(100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, (400, 3)), axis=0)))
    with pytest.raises(WealthArenaError, match=f"'own'.*{told}"):
        columns(panel, leaning("own"))


def test_what_a_rule_of_a_package_does_to_its_closes_is_its_own_matter(monkeypatch):
    """It is asked again with the closes as they are, and not as it has left them."""

    def rule(close: np.ndarray, spec: object) -> np.ndarray:
        rises = 1.0 * (close[-1] > 100.0)
        close[:] = 0.0
        return np.tile(rises, (len(close), 1))

    monkeypatch.setattr(plugins, "load", lambda *_: SimpleNamespace(rule=rule))
    panel = panel_of(np.full((400, 3), 101.0))
    assert (columns(panel, leaning("own"))[..., 0] == 1.0).all()


def leaning(name: str) -> TiltSpec:
    """Return a tilt of the anchor of that name."""
    tilt = spec_of(action="tilt").tilted
    return tilt.model_copy(update={"anchor": tilt.anchor.model_copy(update={"name": name})})


def test_what_does_not_trade_has_no_volatility_and_what_never_moves_a_tiny_one() -> None:
    close = np.full((40, 3), 100.0)
    close[:, 1] = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, 40)))
    close[30:, 2] = np.nan
    volume = np.ones((40, 3))
    volume[35, 1] = 0.0
    panel = panel_of(close, volume=volume, volume_unit="units")
    sigma = columns(panel, spec_of(action="tilt").tilted)[..., 1]
    assert np.isnan(sigma[30:, 2]).all()
    assert np.isnan(sigma[35, 1])
    assert 0.0 < sigma[-1, 0] < 1e-5
    assert 0.005 < sigma[-1, 1] < 0.02
    assert sigma[0, 1] == np.float32(SIGMA_UNKNOWN)


def test_only_a_market_of_tilts_shows_an_anchor_and_shows_it_unscaled() -> None:
    panel = holey(bars=60)
    plain, tilted = (market_of(panel, spec_of(action=action, window=3)) for action in ("weights", "tilt"))
    assert plain.layout.tilt is None
    assert tilted.layout.size == plain.layout.size + 2 * 3 * len(panel.symbols)
    with pytest.raises(MarketError, match="has no anchor"):
        _ = plain.layout.anchor
    row, layout = 50, tilted.layout
    shown = tilted.features.reshape(4, 60, 4)[:, row - 2 : row + 1].reshape(1, -1)
    found = columns(panel, spec_of(action="tilt").tilted)[row]
    np.testing.assert_array_equal(shown[:, layout.anchor][0], found[:, 0])
    np.testing.assert_array_equal(shown[:, layout.sigma][0], np.nan_to_num(found[:, 1]))


def test_columns_are_added_once_and_a_clip_that_would_cut_them_is_refused() -> None:
    features, spec = features_of(holey(bars=60)), spec_of(action="tilt")
    once = anchored(features, spec.tilted)
    assert anchored(once, spec.tilted) is once
    from wealtharena.envs.market import Market

    with pytest.raises(MarketError, match="cuts the weights of an anchor"):
        Market.build(features, spec, Scaler.fit(features, clip=0.5))
