"""Whether what is judged together are seeds of one another, or copies of one."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.config import compose
from wealtharena.evaluation import evaluate, seeds
from wealtharena.evaluation.trials import Trials


def path(number, *, rounding=0.0):
    returns = np.random.default_rng(number).normal(0.001, 0.01, 300)
    return worlds.trajectory(returns + rounding * np.random.default_rng(7).standard_normal(300), trades=100)


@pytest.mark.parametrize(
    ("agents", "stayed", "count", "copies"),
    [
        ([path(0), path(1), path(2)], (False,) * 3, None, 0),
        ([path(0)] * 3, (False,) * 3, None, 2),
        ([path(0), path(0, rounding=1e-10), path(1)], (False,) * 3, None, 1),
        ([path(0), path(0, rounding=1e-5), path(1)], (False,) * 3, None, 0),
        ([path(0), path(0), path(1)], (True, True, False), None, 0),
        ([path(0), path(0)], (False,) * 2, 1, 0),
        ([path(0), path(1), path(0), path(1)], (False,) * 4, 2, 1),
        ([path(0), path(1), path(0), path(2)], (False,) * 4, 2, 0),
        ([path(0), path(1), path(0), path(1)], (True, False, True, False), 2, 1),
    ],
)  # fmt: skip
def test_a_path_is_one_seed_however_often_it_is_passed(agents, stayed, count, copies):
    """Who stayed at its anchor copied nobody, and paths of one training are no seeds."""
    assert seeds.repeated(agents, stayed, count) == copies


def test_what_a_record_says_of_paths_that_are_not_at_hand_counts_where_it_is_worse():
    at_hand = [{"max_drawdown": -0.1, "trades": 50, "exposure": 0.5}]
    calm = {"worst_drawdown": -0.1, "fewest_trades": 50, "exposure": 0.5, "liquidated": False}
    assert seeds.worst([path(0)], at_hand, []) == calm
    apart = {"worst_drawdown": -0.4, "fewest_trades": 3, "exposure": None, "liquidated": True}
    assert seeds.worst([path(0)], at_hand, [calm, apart]) == apart | {"exposure": 0.5}


def test_the_largest_share_that_was_kept_is_known_where_each_seed_says_it():
    assert seeds.largest([0.2, 0.4, 0.0]) == 0.4
    assert seeds.largest([0.2, None]) is None, "one was not shrunk"
    assert seeds.largest([]) is None


def judged(agents, **changes):
    facts = evaluate.Facts(simulated=False, unadjusted_rolls=False, trials=Trials(1), openings=1, audit="passed")
    rules = compose(["evaluation.bootstrap_draws=100"]).evaluation
    beside = {"buy_and_hold": worlds.trajectory(np.random.default_rng(9).normal(0, 0.01, 300))}
    found = evaluate.judge(
        agents, beside, evaluation=rules, facts=replace(facts, **changes), rng=np.random.default_rng(0)
    )  # fmt: skip
    return next(ruling for ruling in found.verdict.rulings if ruling.rule == "seeds"), found


def test_one_policy_passed_three_times_is_one_seed_and_copies_weigh_for_nobody():
    ruling, _ = judged([path(0), path(1), path(2)])
    assert ruling.status == "promotable"
    ruling, found = judged([path(0)] * 3, seeds=3)
    assert ruling.status == "unproven"
    assert ruling.reason.startswith("1 seed, for of 3 runs 2 had the path of another")
    assert (found.verdict.evidence.seeds, found.verdict.evidence.repeated) == (1, 2)
    ruling, _ = judged([*[path(0)] * 5, path(1), path(2)])
    assert ruling.status == "unproven", "three seeds, of which five copies of one outweigh the others"


def test_what_two_seeds_differ_by_is_told_and_how_long_a_record_would_show_more():
    _, found = judged([path(0), path(1)])
    evidence, shown = found.verdict.evidence, [values["sharpe"] for values in found.agent_metrics]
    assert evidence.sharpe_spread == pytest.approx(max(shown) - min(shown))
    assert evidence.years_needed == found.comparisons["buy_and_hold"].years_needed
    _, monthly = judged([replace(path(0), bars_per_year=12.0)])
    assert monthly.verdict.evidence.years == 300 / 12


def test_a_seed_that_never_moved_counts_as_nothing_in_the_interval_of_all():
    still = worlds.trajectory(np.zeros(300))
    _, found = judged([path(0), path(1), still])
    shown = [values["sharpe"] for values in found.agent_metrics]
    assert np.isnan(shown[2])
    assert found.sharpe.value == pytest.approx((shown[0] + shown[1]) / 3)
    assert found.sharpe.low <= found.sharpe.value <= found.sharpe.high


def test_of_several_paths_a_seed_shows_its_median():
    assert seeds.ratios([3.0, 1.0, 2.0, 0.0, -1.0, 5.0], 2) == (2.0, 0.0)
    assert seeds.ratios([3.0, 1.0], None) == (3.0, 1.0)
    assert seeds.median_index([3.0, 1.0, 2.0, 0.0]) == 1, "of an even number the lower of the two in the middle"
    assert seeds.median_index([5.0, np.nan, 1.0]) == 2


def test_what_a_group_may_have_been_chosen_from_is_asked_by_what_each_seed_showed():
    asked = []

    def counted(sharpe, ratios):
        asked.append((sharpe, ratios))
        return Trials(1, 0.5, ("other",))

    facts = evaluate.Facts(simulated=False, unadjusted_rolls=False, trials=Trials(1), openings=1)
    rules = compose(["evaluation.bootstrap_draws=100"]).evaluation
    agents = [path(i) for i in range(3)]
    found = evaluate.judge(
        agents, {"buy_and_hold": path(9)}, evaluation=rules, facts=facts, rng=np.random.default_rng(0), counted=counted
    )
    assert asked == [(found.metrics["sharpe"], tuple(values["sharpe"] for values in found.agent_metrics))]
    assert found.ratios == asked[0][1]
    assert found.verdict.evidence.left_out == ("other",)


def test_the_order_in_which_policies_are_passed_draws_no_other_interval():
    """Each order of a notebook's policies drew the lower bound anew, until one was above 0."""
    agents = [path(number) for number in range(4)]
    one, *others = (judged([agents[at] for at in order], ordered=False) for order in ((0, 1, 2, 3), (3, 1, 0, 2)))
    assert [found.comparisons for _, found in others] == [one[1].comparisons]
    assert [found.sharpe for _, found in others] == [one[1].sharpe]
    shown = [values["sharpe"] for values in others[0][1].agent_metrics]
    assert shown == [one[1].agent_metrics[at]["sharpe"] for at in (3, 1, 0, 2)], "as they were passed"
