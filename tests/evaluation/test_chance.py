import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.evaluation import backtest, chance, metrics
from wealtharena.evaluation.splits import Segment


@pytest.fixture
def env(spec):
    return spec.env.model_copy(update={"window": 1})


def test_the_path_of_a_drawn_baseline_is_nearest_the_mean_of_the_ratios_that_are_shown(env, spec):
    """Shown are ratios above cash; one draw was nearest their mean before cash was taken off, and another after it."""
    rate, rng = 0.05, np.random.default_rng(0)
    played = backtest.of_baselines(
        worlds.features(200), env, Segment(100, 200), evaluation=spec.evaluation, rng=rng, names=["random"],
        risk_free_per_year=rate,
    )  # fmt: skip
    draws = played.draws["random"]
    cash = metrics.risk_free(draws[0], rate)
    shown = [metrics.summary(path, risk_free=cash)["sharpe"] for path in draws]
    nearest = int(np.argmin(np.abs(np.array(shown) - np.mean(shown))))
    assert played["random"] is draws[nearest]
    assert chance.typical(draws, risk_free=0.0) is not draws[nearest], "or this shows nothing"


def test_of_draws_without_a_ratio_the_first_stands_for_all():
    still = [worlds.trajectory(np.zeros(20)) for _ in range(3)]
    assert chance.typical(still, risk_free=0.0) is still[0]


def test_a_draw_that_never_left_cash_has_no_part_in_which_draw_stands_for_all():
    """Below the hurdle by as much in every bar its ratio is minus infinity, and so was the mean: the first of the others stood for all."""
    wild, up, down = (worlds.trajectory(np.tile(two, 10)) for two in ([0.02, -0.01], [0.01, 0.0], [0.0, -0.01]))
    cash = worlds.trajectory(np.zeros(20))
    drawn = [down, cash, up, wild]
    ratios = [metrics.sharpe(path.returns, bars_per_year=path.bars_per_year, risk_free=1e-4) for path in drawn]
    assert ratios[1] == -np.inf
    finite = [ratios[0], *ratios[2:]]
    nearest = ratios.index(min(finite, key=lambda ratio: abs(ratio - np.mean(finite))))
    assert nearest != 0, "or this shows nothing"
    assert chance.typical(drawn, risk_free=1e-4) is drawn[nearest]
