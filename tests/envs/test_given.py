"""What Python hands to the environments and the simulator beside plain arrays: it is read as it is labelled, or refused."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import wealtharena  # noqa: F401  # it registers the environment
from tests.envs.markets import market_of, random_panel, spec_of
from wealtharena.envs.market import Market
from wealtharena.envs.portfolio_env import PortfolioEnv
from wealtharena.envs.simulate import equity_paths, simulate, simulate_many
from wealtharena.envs.vector_env import PortfolioVectorEnv
from wealtharena.envs.walker import Walker
from wealtharena.errors import ConfigError, MarketError
from wealtharena.features.panel import Scaler

PANEL = random_panel(np.random.default_rng(7), bars=60, assets=3)
SPEC = spec_of(episode_bars=9, random_start=True)
MARKET = market_of(PANEL, SPEC)
SYMBOLS, STAMPS = list(PANEL.symbols), pd.DatetimeIndex(MARKET.timestamps)
TARGETS = np.full((MARKET.length, 3), 0.2)


def test_labelled_weights_are_those_of_the_symbols_or_refused_by_a_step() -> None:
    """They were taken by their places: a Series that was sorted held one symbol's weight of another."""
    single, several = PortfolioEnv(MARKET, SPEC), PortfolioVectorEnv(MARKET, SPEC, num_envs=2)
    wanted = pd.Series([0.5, 0.1, 0.2], index=SYMBOLS)
    table = pd.DataFrame([wanted, wanted])
    paid = []
    for given in (wanted, wanted.to_numpy(), wanted.tolist()):
        single.reset(seed=3)
        paid.append(single.step(given)[1])
    assert len(set(paid)) == 1
    several.reset(seed=3)
    several.step(table)
    for env, given in ((single, wanted[::-1]), (several, table[SYMBOLS[::-1]])):
        with pytest.raises(MarketError, match=r"weights are labelled .*, and the market's symbols are"):
            env.step(given)


def test_a_seed_of_numpys_begins_what_pythons_begins() -> None:
    """Gymnasium takes Python's alone, and the environment of many took both."""
    env = PortfolioEnv(MARKET, SPEC)
    first = env.reset(seed=5)[0]
    assert np.array_equal(env.reset(seed=np.random.default_rng(0).integers(5, 6))[0], first)
    assert np.array_equal(env.reset(seed=np.uint8(5))[0], first)


@pytest.mark.parametrize(
    "index", [STAMPS.to_period("D"), STAMPS.date, STAMPS.strftime("%Y-%m-%d"), STAMPS.tz_localize("UTC")]
)
def test_dates_of_any_form_say_of_which_bars_targets_are(index: Any) -> None:
    """Periods, dates and words were passed over, so that a table newest first was followed from its end."""
    table = pd.DataFrame(TARGETS, index=pd.Index(index), columns=SYMBOLS)
    assert simulate(MARKET, table, spec=SPEC).equity[-1] == simulate(MARKET, TARGETS, spec=SPEC).equity[-1]
    with pytest.raises(MarketError, match=r"targets are for \d+ bars, .* in row 0, and the market has"):
        simulate(MARKET, table[::-1], spec=SPEC)


def test_an_index_that_tells_no_dates_says_nothing() -> None:
    for index in (range(MARKET.length), [f"row {n}" for n in range(MARKET.length)]):
        assert simulate(MARKET, pd.DataFrame(TARGETS, index=index, columns=SYMBOLS), spec=SPEC).equity[-1] > 0.0


def test_a_bar_is_held_or_not() -> None:
    """A cell without a value held, and flags of other bars were taken by their places."""
    rests = np.arange(MARKET.length) % 2 == 0
    held = simulate(MARKET, TARGETS, spec=SPEC, hold=rests).equity
    for given in (rests.astype(float), pd.Series(rests, index=STAMPS), rests.tolist()):
        assert (simulate(MARKET, TARGETS, spec=SPEC, hold=given).equity == held).all()
    with pytest.raises(MarketError, match="hold is neither True nor False"):
        simulate(MARKET, TARGETS, spec=SPEC, hold=np.where(rests, np.nan, 0.0))
    with pytest.raises(MarketError, match="hold are for"):
        simulate(MARKET, TARGETS, spec=SPEC, hold=pd.Series(rests, index=STAMPS)[::-1])


@pytest.mark.parametrize("factor", [-1.0, np.nan, np.inf])
def test_a_factor_of_costs_is_a_number_from_0_on(factor: float) -> None:
    """One below 0 paid for every trade, and NaN made every equity NaN."""
    for played in (
        lambda: simulate(MARKET, TARGETS, spec=SPEC, cost_factor=factor),
        lambda: equity_paths(MARKET, TARGETS[None], spec=SPEC, cost_factors=np.array([1.0, factor])),
        lambda: Walker.open(MARKET, SPEC, bar=5, cost_factor=factor),
    ):
        with pytest.raises(MarketError, match=r"cost_factor=\S+ multiplies no costs"):
            played()


def test_what_goes_with_several_policies_is_one_of_each() -> None:
    wrong: Any = ["a", "b"]
    with pytest.raises(MarketError, match="names are 2 for 1 policies"):
        simulate_many(MARKET, [TARGETS], spec=SPEC, names=wrong)
    ends = equity_paths(MARKET, [TARGETS.tolist()], spec=SPEC)[:, -1]
    assert ends == simulate(MARKET, TARGETS, spec=SPEC).equity[-1]
    with pytest.raises(MarketError, match="do not go together"):
        equity_paths(MARKET, TARGETS, spec=SPEC)


def test_other_things_than_rows_units_and_features_are_called_by_their_name() -> None:
    day: Any = pd.Timestamp("2020-01-01")
    with pytest.raises(MarketError, match=r"start=Timestamp.* is no row; np\.searchsorted"):
        simulate(MARKET, TARGETS, spec=SPEC, start=day)
    units: Any = pd.Series({SYMBOLS[1]: 3.0})
    assert Walker.open(MARKET, SPEC, bar=5, units=units, cash=1e5).equity > 1e5
    with pytest.raises(MarketError, match="units are a ndarray; pass them by symbol"):
        Walker.open(MARKET, SPEC, bar=5, units=units.to_numpy())
    panel: Any = PANEL
    with pytest.raises(ConfigError, match="features is a Panel"):
        Scaler.fit(panel, clip=5.0)
    with pytest.raises(ConfigError, match="features is a Panel"):
        Market.build(panel, SPEC, panel)


def test_gymnasiums_statistics_are_right_where_the_next_episode_begins_a_step_later() -> None:
    """The page on other libraries says so: with the default, a step of each episode but the first is left out."""
    made = gym.make_vec("wealtharena/Portfolio-v0", num_envs=2, autoreset_mode="NextStep", market=MARKET, spec=SPEC)
    env, episodes = RecordEpisodeStatistics(made), []
    assert isinstance(made, PortfolioVectorEnv)
    env.reset(seed=1)
    earned, steps, over = np.zeros(2), 0, False
    for _ in range(40):
        _, reward, terminated, truncated, infos = env.step(np.full((2, 3), 0.2, np.float32))
        if not over:
            earned, steps = earned + reward, steps + 1
        over = bool((terminated | truncated).all())
        if over:
            episodes.append((infos["episode"]["r"].tolist(), infos["episode"]["l"].tolist()))
            np.testing.assert_allclose(episodes[-1][0], earned, rtol=1e-5)
            assert episodes[-1][1] == [steps, steps]
            earned, steps = np.zeros(2), 0
    assert len(episodes) > 2


def test_an_option_that_a_reset_does_not_read_is_refused() -> None:
    """`options={"start": 5}` began anywhere, and a misspelt reset_mask restarted all environments."""
    single, several = PortfolioEnv(MARKET, SPEC), PortfolioVectorEnv(MARKET, SPEC, num_envs=2)
    single.reset(seed=1, options={})
    several.reset(seed=1)
    several.reset(options={"reset_mask": np.array([True, False])})
    for env, options in ((single, {"start": 5}), (single, [5]), (several, {"reset_maks": [True, False]}), (several, 5)):
        with pytest.raises(MarketError, match=r"options (hold '\w+', which a reset does not read|are a (list|int))"):
            env.reset(options=options)
