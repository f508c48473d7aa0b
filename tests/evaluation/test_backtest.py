import math
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.config.specs.split import SplitSpec
from wealtharena.errors import FirewallError
from wealtharena.evaluation import backtest, firewall, metrics
from wealtharena.evaluation.splits import Segment, make_folds, track_records


class Fixed:
    """Asks for the same weights at every bar, and counts."""

    name = "fixed"

    def __init__(self, weights):
        self.weights = np.atleast_2d(np.asarray(weights, dtype=float))
        self.asked = 0

    def reset(self, batch=1):
        self.asked = 0

    def act(self, observation):
        self.asked += 1
        return self.weights


class Alternating(Fixed):
    """All in the first symbol on odd questions, in cash on even ones."""

    def act(self, observation):
        return super().act(observation) * (self.asked % 2)


@pytest.fixture
def env(spec):
    return spec.env.model_copy(update={"window": 1})


def backtest_of(features, env, *pieces, name="agent"):
    scaler = backtest.plain_scaler(features)
    return backtest.Backtest(
        name, features, env, tuple(backtest.Piece(policy, scaler, segment) for policy, segment in pieces)
    )


def test_a_fixed_policy_and_the_same_targets_make_the_same_path(env):
    features = worlds.features(120)
    played = backtest.of_policy(
        Fixed([0.5, 0.3, 0.1]), features, backtest.plain_scaler(features), env, Segment(60, 120)
    )
    assert played.equity[0] == env.initial_cash
    assert played.timestamps[0] == features.panel.timestamps[60]
    assert played.returns.size == 59
    assert metrics.trades(played) > 0


@pytest.mark.slow
def test_baselines_are_played_on_the_agents_dates_and_one_without_data_is_left_out(env, spec):
    features = worlds.features(200)
    played = backtest.of_baselines(
        features, env, Segment(100, 200), evaluation=spec.evaluation, rng=np.random.default_rng(0), benchmark="S1"
    )
    assert set(played) == set(spec.evaluation.baselines)
    agent = backtest.of_policy(Fixed([0, 1, 0]), features, backtest.plain_scaler(features), env, Segment(100, 200))
    for path in played.values():
        assert np.array_equal(path.timestamps, agent.timestamps)
    assert np.ptp(played["cash"].equity) == 0.0
    assert metrics.trades(played["buy_and_hold"]) == 3
    assert metrics.trades(played["benchmark"]) == 1
    assert metrics.trades(played["equal_weight"]) > 3
    missing = backtest.of_baselines(
        features, env, Segment(100, 200), evaluation=spec.evaluation, rng=np.random.default_rng(0), benchmark="DAX"
    )
    assert "benchmark" not in missing


def test_a_symbol_that_rests_at_the_first_bar_behind_the_warm_up_is_bought_too(env, spec):
    panel = worlds.panel(200)
    close, tradable = panel.close.copy(), panel.tradable.copy()
    close[80, 0], tradable[80, 0] = np.nan, False
    panel = replace(panel, close=close, tradable=tradable)
    features = replace(worlds.features(120), panel=panel.slice(80, 200), lead=panel.slice(0, 80))
    played = backtest.of_baselines(
        features, env, Segment(0, 120), evaluation=spec.evaluation, rng=np.random.default_rng(0), names=["buy_and_hold"]
    )
    assert metrics.trades(played["buy_and_hold"]) == 3


def test_buy_and_hold_earns_what_its_symbols_earn_less_one_commission(env, spec):
    free = env.model_copy(update={"costs": env.costs.model_copy(update={"impact_coefficient": 0.0})})
    features = worlds.features(200, opens=False)
    (path,) = backtest.of_baselines(
        features,
        free,
        Segment(100, 200),
        evaluation=spec.evaluation,
        rng=np.random.default_rng(0),
        names=["buy_and_hold"],
    ).values()
    close = features.panel.close
    gross = (close[199] / close[101]).mean()  # decided at 100, filled at the next close
    assert path.equity[-1] / path.equity[0] == pytest.approx(gross, rel=0.003)
    assert path.costs.sum() == pytest.approx(env.initial_cash * 10e-4, rel=0.02)


@pytest.mark.slow
def test_the_random_baseline_depends_on_its_seed_and_not_on_its_neighbours(env, spec):
    features = worlds.features(200)

    def random(seed, names):
        return backtest.of_baselines(
            features, env, Segment(100, 200), evaluation=spec.evaluation, rng=np.random.default_rng(seed), names=names
        )["random"].equity

    assert np.array_equal(random(1, ["random"]), random(1, ["cash", "equal_weight", "random"]))
    assert not np.array_equal(random(1, ["random"]), random(2, ["random"]))


def test_a_delay_of_one_bar_shifts_the_targets_by_one_bar(env):
    features = worlds.features(120)
    agent = backtest_of(features, env, (Alternating([1.0, 0, 0]), Segment(60, 120)))
    plain, late = agent.simulate(), agent.simulate(delay_bars=1)
    assert np.array_equal(late.targets[1:], plain.targets[:-1])
    assert not late.targets[0].any()


def test_a_delayed_baseline_waits_too(env, spec):
    features = worlds.features(120)
    arguments = {"evaluation": spec.evaluation, "rng": np.random.default_rng(0), "names": ["equal_weight"]}
    plain = backtest.of_baselines(features, env, Segment(60, 120), **arguments)["equal_weight"]
    late = backtest.of_baselines(features, env, Segment(60, 120), delay_bars=2, **arguments)["equal_weight"]
    assert late.trades.bar.min() == plain.trades.bar.min() + 2


def test_higher_costs_cost_more(env):
    features = worlds.features(120)
    agent = backtest_of(features, env, (Alternating([1.0, 0, 0]), Segment(60, 120)))
    plain, dear = agent.simulate(), agent.simulate(cost_factor=5.0)
    assert dear.costs.sum() > 3 * plain.costs.sum()
    assert dear.equity[-1] < plain.equity[-1]


def test_pieces_are_joined_to_one_track_record_that_conserves_money(env):
    features = worlds.features(120)
    whole = backtest_of(
        features, env, (Fixed([1, 0, 0]), Segment(40, 80)), (Fixed([0, 1, 0]), Segment(80, 120)), name="walk"
    ).simulate()
    first = backtest_of(features, env, (Fixed([1, 0, 0]), Segment(40, 80))).simulate()
    second = backtest_of(features, env, (Fixed([0, 1, 0]), Segment(79, 120))).simulate()
    assert whole.name == "walk"
    assert np.array_equal(whole.timestamps, features.panel.timestamps[40:120])
    assert np.allclose(whole.returns, np.concatenate([first.returns, second.returns]), rtol=1e-12)
    assert whole.equity[-1] == pytest.approx(first.equity[-1] * second.equity[-1] / second.equity[0])
    assert metrics.trades(whole) == metrics.trades(first) + metrics.trades(second)
    late = whole.trades.bar >= 40
    assert np.array_equal(whole.timestamps[whole.trades.bar[late]], second.timestamps[second.trades.bar])
    assert np.allclose(whole.trades.units[late], second.trades.units * first.equity[-1] / second.equity[0])
    assert np.allclose(whole.trades.value, whole.trades.units * whole.trades.price)
    assert whole.trades.cost.sum() == pytest.approx(whole.costs.sum())
    filled = features.panel.open[40:120][whole.trades.bar, whole.trades.symbol]
    assert np.allclose(whole.trades.price, filled)


@pytest.mark.parametrize("left", [-0.4, 0.0])
def test_a_record_ends_with_the_part_that_left_nothing(left):
    first, second = worlds.trajectory(np.array([0.1, left / 1.1 - 1.0])), worlds.trajectory(np.array([0.5, 0.2]))
    held = np.ones_like(second.weights)
    second = replace(
        second, timestamps=first.timestamps[-1] + (second.timestamps - second.timestamps[0]), weights=held,
        costs=np.array([5.0, 5.0]), traded_value=np.array([9.0, 9.0]),
    )  # fmt: skip
    whole = backtest.join([first, second, replace(second, timestamps=second.timestamps + np.timedelta64(2, "D"))])
    assert whole.equity[2:] / whole.equity[0] == pytest.approx([left] * 5, abs=1e-12)
    assert not whole.weights[3:].any()
    assert not whole.costs[2:].any()
    assert not whole.traded_value[2:].any()
    assert metrics.total_return(whole.returns) == pytest.approx(left - 1.0)


def test_parts_that_do_not_meet_are_not_joined():
    left = worlds.trajectory(np.zeros(10))
    with pytest.raises(ValueError, match="the part before ends"):
        backtest.join([left, left])
    assert backtest.join([left]) is left


def test_a_segment_beyond_the_rows_at_hand_raises_the_firewall(env):
    (fold,) = make_folds(
        SplitSpec(
            name="holdout", validation_share=0.2, test_share=0.2, purge_bars=0, embargo_bars=0, folds=1, test_folds=1,
            window="expanding",
        ),
        120,
    )  # fmt: skip
    view = firewall.training_view(worlds.features(120), fold)
    with pytest.raises(FirewallError, match="beyond"):
        backtest.of_policy(Fixed([1, 0, 0]), view.features, backtest.plain_scaler(view.features), env, fold.test[0])


@pytest.mark.parametrize(("name", "count"), [("holdout", 1), ("walk_forward", 1), ("cpcv", 3)])
def test_the_folds_of_a_split_become_one_player_a_track_record(env, name, count):
    features = worlds.features(160)
    folds = make_folds(
        SplitSpec(
            name=name, validation_share=0.1, test_share=0.4, purge_bars=1, embargo_bars=2, folds=4, test_folds=2,
            window="expanding",
        ),
        160,
    )  # fmt: skip
    backtests = [
        backtest_of(features, env, *((Fixed([0.5, 0.5, 0]), segment) for _, segment in record))
        for record in track_records(folds)
    ]
    assert len(backtests) == count
    played = [p.simulate() for p in backtests]
    assert all(np.array_equal(path.timestamps, played[0].timestamps) for path in played)
    assert len({p.window for p in backtests}) == 1


def test_a_player_plays_another_window_with_the_policy_that_owns_its_start(env):
    features = worlds.features(120)
    agent = backtest_of(features, env, (Fixed([1, 0, 0]), Segment(40, 80)), (Fixed([0, 1, 0]), Segment(80, 120)))
    assert agent.simulate(window=Segment(10, 30)).targets[0].tolist() == [1, 0, 0]
    assert agent.simulate(window=Segment(90, 110)).targets[0].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="follow each other"):
        replace(agent, pieces=agent.pieces[::-1])


def test_a_drawn_baseline_is_a_mean_with_a_band_and_one_bought_once_says_how_much_of_it_was(env, spec):
    features = worlds.features(200)
    arguments = {"evaluation": spec.evaluation, "rng": np.random.default_rng(0), "names": ["random", "buy_and_hold"]}
    played = backtest.of_baselines(features, env, Segment(100, 200), **arguments)
    assert len(played.draws["random"]) == spec.evaluation.random_seeds == 32
    figures = backtest.measures(played, risk_free=0.0)
    ratios = [metrics.summary(path)["sharpe"] for path in played.draws["random"]]
    assert len(set(ratios)) == 32
    assert figures["random"]["sharpe"] == pytest.approx(np.mean(ratios))
    assert figures["random"]["sharpe_low"] == pytest.approx(np.quantile(ratios, 0.05))
    assert figures["random"]["seeds"] == 32
    nearest = metrics.summary(played["random"])["sharpe"]
    assert abs(nearest - np.mean(ratios)) == min(abs(ratio - np.mean(ratios)) for ratio in ratios)
    assert figures["buy_and_hold"]["invested"] == pytest.approx(1.0, abs=0.01)
    assert "invested" not in figures["random"]
    lengths = np.array([metrics.summary(path)["min_track_record_length"] for path in played.draws["random"]])
    assert 0 < np.isinf(lengths).sum() < 32
    assert figures["random"]["min_track_record_length"] == math.inf, "not the mean of the draws that had one"
    assert figures["random"]["min_track_record_length_low"] == pytest.approx(np.quantile(lengths, 0.05))


@pytest.mark.parametrize("never", [False, True])
def test_a_buy_and_hold_that_could_not_buy_says_so(env, spec, never):
    features = worlds.features(200)
    volume = np.full((200, 3), 1e4)
    thin = replace(features.panel, volume=volume, volume_unit="account", tradable=np.full((200, 3), not never))
    played = backtest.of_baselines(
        replace(features, panel=thin), env, Segment(100, 200), evaluation=spec.evaluation,
        rng=np.random.default_rng(0), names=["buy_and_hold", "equal_weight"],
    )  # fmt: skip
    share = backtest.measures(played, risk_free=0.0)["buy_and_hold"]["invested"]
    assert share == 0.0 if never else 0.05 < share < 0.5
    if not never:
        assert played.shortfalls["equal_weight"].cause == "volume"
        assert played.shortfalls["equal_weight"].share > 0.5
