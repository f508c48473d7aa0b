import math

import pytest

from wealtharena.evaluation.ranking import composite

FIVE = {
    "commodities": {"annual_return": -0.4398, "sharpe": -0.647, "win_rate": 0.4928},
    "currency_pairs": {"annual_return": 0.2252, "sharpe": 1.180, "win_rate": 0.5270},
    "asx_stocks": {"annual_return": 0.2917, "sharpe": 1.088, "win_rate": 0.5311},
    "cryptocurrencies": {"annual_return": 0.6624, "sharpe": 1.266, "win_rate": 0.5188},
    "etf": {"annual_return": 0.2646, "sharpe": 1.757, "win_rate": 0.5537},
}


def test_the_five_agents_are_ranked_etf_first_and_commodities_last():
    """No agent has a profit factor, so that measure is dropped and the weights are .3, .3, .2 of .8."""
    ranked = composite(FIVE)
    assert ranked[0].name == "etf"
    assert ranked[-1].name == "commodities"
    assert [r.place for r in ranked] == [1, 2, 3, 4, 5]
    assert ranked[0].composite == pytest.approx((0.3 * 3 + 0.3 * 5 + 0.2 * 5) / 0.8, rel=1e-12)
    assert ranked[-1].composite == 1.0
    by_name = {r.name: r.composite for r in ranked}
    assert by_name["asx_stocks"] == pytest.approx((0.3 * 4 + 0.3 * 2 + 0.2 * 4) / 0.8, rel=1e-12)
    assert by_name["cryptocurrencies"] == pytest.approx((0.3 * 5 + 0.3 * 4 + 0.2 * 2) / 0.8, rel=1e-12)
    assert set(ranked[0].ranks) == {"annual_return", "sharpe", "win_rate"}


def test_a_measure_that_one_agent_lacks_is_dropped_for_all():
    agents = {name: dict(values, profit_factor=1.0 + i) for i, (name, values) in enumerate(FIVE.items())}
    agents["etf"]["profit_factor"] = math.nan
    assert all("profit_factor" not in r.ranks for r in composite(agents))


def test_equal_values_share_their_rank():
    ranked = composite({"a": {"sharpe": 1.0}, "b": {"sharpe": 1.0}, "c": {"sharpe": 0.0}})
    assert [r.composite for r in ranked] == [2.5, 2.5, 1.0]
    assert [(r.name, r.place) for r in ranked] == [("a", 1), ("b", 1), ("c", 3)]


def test_composites_that_differ_in_the_last_bit_of_a_sum_are_equal():
    """Both have the ranks 1, 1, 2, 3 but for the order of the two that weigh the same: sums of floats are no order."""
    a = {"annual_return": 2.0, "sharpe": 2.0, "win_rate": 3.0, "profit_factor": 1.0}
    b = {"annual_return": 1.0, "sharpe": 3.0, "win_rate": 1.0, "profit_factor": 3.0}
    c = {"annual_return": 3.0, "sharpe": 1.0, "win_rate": 2.0, "profit_factor": 2.0}
    ranked = composite({"a": a, "b": b, "c": c})
    assert [(r.name, r.place) for r in ranked] == [("b", 1), ("a", 1), ("c", 1)]


def test_an_agent_without_any_measure_takes_none_from_the_others():
    ranked = composite({"best": FIVE["etf"], "none": {"sharpe": math.nan}, "worst": FIVE["commodities"]})
    assert [(r.name, r.place) for r in ranked] == [("best", 1), ("worst", 2), ("none", 3)]
    assert ranked[0].composite == 2.0
    assert ranked[0].ranks == {"annual_return": 2.0, "sharpe": 2.0, "win_rate": 2.0}
    assert ranked[2].ranks == {}


def test_agents_without_any_measure_are_still_listed():
    ranked = composite({"a": {}, "b": {"sharpe": None}})
    assert {r.name for r in ranked} == {"a", "b"}
    assert all(math.isnan(r.composite) and r.place == 1 for r in ranked)
    assert composite({}) == ()
