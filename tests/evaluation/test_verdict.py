import math
from dataclasses import replace

import pytest

from wealtharena.config import compose
from wealtharena.config.specs.runs import VerdictSpec
from wealtharena.evaluation import verdict
from wealtharena.evaluation.evidence import Evidence, Unfilled, of_orders

GOOD = Evidence(
    seeds=5,
    years=3.0,
    bars=756,
    annual_return=0.2,
    sharpe=2.0,
    sharpe_spread=0.3,
    beats="buy_and_hold",
    sharpe_difference=1.4,
    sharpe_difference_low=0.4,
    sharpe_difference_high=2.4,
    years_needed=1.0,
    dsr=0.99,
    trials=3,
    configurations=3,
    pbo=0.05,
    strategies=3,
    worst_drawdown=-0.2,
    fewest_trades=100,
    liquidated=False,
    degenerate=None,
    simulated=False,
    unadjusted_rolls=False,
    audit="passed",
    openings=1,
)


@pytest.fixture
def rules(spec):
    return spec.evaluation.verdict


def judge(evidence: Evidence, rules: VerdictSpec) -> verdict.Verdict:
    """Return the verdict by `rules`, with interval and PBO as finely computed as ships."""
    return verdict.judge(evidence, compose().evaluation.model_copy(update={"verdict": rules}))


def test_evidence_that_satisfies_every_rule_is_promotable(rules):
    found = judge(GOOD, rules)
    assert found.status == "promotable"
    assert {ruling.status for ruling in found.rulings} == {"promotable"}
    assert len(found.reasons) == len(verdict.RULES)


@pytest.mark.parametrize(
    ("change", "rule", "status"),
    [
        ({"sharpe_difference_low": -0.1}, "lower_bound", "unproven"),
        (
            {"sharpe_difference": -1.0, "sharpe_difference_low": -2.0, "sharpe_difference_high": -0.1},
            "lower_bound",
            "rejected",
        ),
        ({"sharpe_difference": None}, "lower_bound", "unproven"),
        ({"dsr": 0.94}, "dsr", "unproven"),
        ({"dsr": 0.49}, "dsr", "rejected"),
        ({"dsr": None}, "dsr", "unproven"),
        ({"dsr": math.nan}, "dsr", "unproven"),
        ({"pbo": 0.3}, "pbo", "unproven"),
        ({"pbo": 0.6}, "pbo", "rejected"),
        ({"pbo": None}, "pbo", "unproven"),
        ({"pbo": None, "configurations": 2}, "pbo", "unproven"),
        ({"annual_return": -0.01}, "profit", "rejected"),
        ({"worst_drawdown": -0.36}, "drawdown", "rejected"),
        ({"liquidated": True}, "drawdown", "rejected"),
        ({"seeds": 1}, "seeds", "unproven"),
        ({"seeds": 4, "repeated": 1}, "seeds", "unproven"),
        ({"bars": 249, "years": 249 / 252}, "record", "unproven"),
        ({"bars": 5000, "years": 5000 / 98280}, "record", "unproven"),  # two weeks of minutes
        ({"bars": 119, "years": 119 / 12}, "record", "unproven"),
        ({"fewest_trades": 3}, "trades", "unproven"),
        ({"degenerate": "it never trades"}, "degenerate", "rejected"),
        ({"left_out": ("r3", "r4")}, "selection", "unproven"),
        ({"openings": 101}, "openings", "unproven"),
        ({"annual_return": 0.044, "cash_return": 0.045}, "profit", "rejected"),
        ({"exposure": 0.09, "max_gross": 1.0}, "hardly_invested", "unproven"),
        ({"exposure": 0.19, "max_gross": 2.0}, "hardly_invested", "unproven"),
        ({"simulated": True}, "simulated", "unproven"),
        ({"costless": True}, "costs", "unproven"),
        ({"cash_return": -0.26}, "costs", "unproven"),
        ({"assumed": "All shorts are paid 30.00% a year"}, "costs", "unproven"),
        ({"uncharged": "Carry is left out"}, "costs", "unproven"),
        ({"faults": ("9 rows of 1 symbols (data.quality.splits=warn)",)}, "simulated", "unproven"),
        ({"trials": 20}, "lower_bound", "unproven"),
        ({"tested": 4}, "pbo", "unproven"),
        ({"annual_return": -0.004, "cash_return": -0.005}, "profit", "rejected"),
        ({"annual_return": -0.005, "cash_return": -0.005}, "profit", "rejected"),
        ({"unadjusted_rolls": True}, "rolls", "unproven"),
        ({"hindsight": "its members are those of 2025-01-02"}, "universe", "unproven"),
        ({"searched": "study a saw bars up to 2025-01-02"}, "settings", "unproven"),
        ({"leaks": ("close of A knows the next bar",)}, "leaks", "unproven"),
        ({"sharpe": 4.01, "sharpe_difference_low": 3.9}, "plausible", "unproven"),
        ({"audit": None}, "audit", "unproven"),
        ({"audit": "failed"}, "audit", "rejected"),
    ],
)
def test_each_rule_alone_can_hold_a_result_back(rules, change, rule, status):
    found = judge(replace(GOOD, **change), rules)
    assert found.status == status
    (ruling,) = [r for r in found.rulings if r.status != "promotable"]
    assert ruling.rule == rule
    assert found.reasons == (ruling.reason,)


def beyond(value, way):
    """Return the number next to a value: a whole one of a whole one."""
    return value + way if isinstance(value, int) else math.nextafter(value, way * math.inf)


@pytest.mark.parametrize(
    ("name", "at", "way", "better", "worse"),
    [
        ("sharpe_difference_low", 0.0, 1, "unproven", "promotable"),
        ("dsr", 0.95, -1, "promotable", "unproven"),
        ("dsr", 0.5, -1, "unproven", "rejected"),
        ("pbo", 0.2, 1, "promotable", "unproven"),
        ("pbo", 0.5, 1, "unproven", "rejected"),
        ("worst_drawdown", -0.35, -1, "promotable", "rejected"),
        ("seeds", 3, -1, "promotable", "unproven"),
        ("years", 0.99, -1, "promotable", "unproven"),
        ("bars", 120, -1, "promotable", "unproven"),
        ("openings", 100, 1, "promotable", "unproven"),
        ("fewest_trades", 30, -1, "promotable", "unproven"),
        ("sharpe", 4.0, 1, "promotable", "unproven"),
        ("cash_return", -0.01, -1, "promotable", "unproven"),
    ],
)
def test_what_stands_at_a_limit_keeps_it_and_what_is_next_to_it_does_not(rules, name, at, way, better, worse):
    good = replace(GOOD, trials=1)  # of several a bound just above 0 may be by luck
    assert judge(replace(good, **{name: at}), rules).status == better
    assert judge(replace(good, **{name: beyond(at, way)}), rules).status == worse


def test_of_many_that_are_no_better_the_one_above_the_baseline_proves_nothing(rules):
    """A deflated Sharpe ratio of what was earned above cash is no question of it: in a good market all have a high one."""
    lucky = replace(
        GOOD, sharpe_difference=0.5, sharpe_difference_low=0.1, sharpe_difference_high=0.9, dsr=1.0, pbo=0.0
    )
    assert judge(replace(lucky, trials=1, configurations=1), rules).status == "promotable"
    found = judge(replace(lucky, trials=30, configurations=30), rules)
    assert found.status == "unproven"
    assert [r.rule for r in found.rulings if r.status != "promotable"] == ["lower_bound"]
    assert "above it, but with 30 configurations tried one may be by luck" in found.reasons[0]
    assert "a probability of 0.65, 0.95 is asked" in found.reasons[0]


def test_an_interval_that_ends_at_zero_is_not_below_it_and_shares_that_are_allowed_are(rules):
    interval = {"sharpe_difference": -1.0, "sharpe_difference_low": -2.0}
    assert judge(replace(GOOD, **interval, sharpe_difference_high=0.0), rules).status == "unproven"
    assert judge(replace(GOOD, **interval, sharpe_difference_high=beyond(0.0, -1)), rules).status == "rejected"
    lapsed = (Unfilled("the agent", 0.1, "volume"),)
    assert judge(replace(GOOD, unfilled=lapsed, invested={"buy_and_hold": 0.9}), rules).status == "promotable"


def test_of_several_baselines_that_are_bought_once_the_one_that_bought_least_counts(rules):
    both = rules.model_copy(update={"beats": ("buy_and_hold", "benchmark")})
    found = judge(replace(GOOD, invested={"buy_and_hold": 0.95, "benchmark": 0.5, "another": 0.1}), both)
    assert found.status == "unproven"
    assert found.reasons[0].startswith("benchmark held 50%")


def test_the_deflated_sharpe_ratio_says_what_it_is_deflated_by(rules):
    found = judge(replace(GOOD, dsr=0.94, configurations=2, left_out=("r3",), lacking=17), rules)
    told = next(ruling.reason for ruling in found.rulings if ruling.rule == "dsr")
    assert "with 2 configurations tried and 1 run left out and 17 seeds of others that it lacks;" in told


@pytest.mark.parametrize(("bars", "a_year"), [(120, 12), (120, 52), (250, 252), (1750, 1764), (365, 365)])
def test_a_record_of_a_year_is_long_enough_at_any_interval_if_it_has_bars_enough(rules, bars: int, a_year: int) -> None:
    assert judge(replace(GOOD, bars=bars, years=bars / a_year), rules).status == "promotable"


def test_a_tilt_that_is_its_anchor_is_no_better_than_unproven_and_not_rejected_for_being_equal(rules):
    equal = {
        "sharpe_difference": -0.01,
        "sharpe_difference_low": -0.03,
        "sharpe_difference_high": -0.001,
        "dsr": 0.2,
        "pbo": 1.0,
    }
    assert judge(replace(GOOD, **equal), rules).status == "rejected"
    found = judge(replace(GOOD, **equal, own_anchor=True), rules)
    assert found.status == "unproven"
    assert {ruling.rule for ruling in found.rulings if ruling.status != "promotable"} == {
        "lower_bound",
        "dsr",
        "pbo",
        "anchor",
    }
    assert not any("Luck" in reason for reason in found.reasons)
    assert "It is its anchor" in found.reasons[1], "what explains the others stands among the first"
    assert judge(replace(GOOD, **equal, own_anchor=True, annual_return=-0.05), rules).status == "rejected"


@pytest.mark.parametrize(
    ("own_anchor", "exposure", "status"),
    [(True, 0.001, "unproven"), (True, 0.9, "rejected"), (False, 0.001, "rejected"), (True, None, "rejected")],
)
def test_an_agent_that_is_its_anchor_of_cash_has_lost_nothing(rules, own_anchor, exposure, status):
    """A few trades of a thousandth of the equity cost it -0.0004 % a year: no loss to reject it for."""
    found = judge(replace(GOOD, own_anchor=own_anchor, exposure=exposure, max_gross=1.0, annual_return=-4e-6), rules)
    (ruling,) = [one for one in found.rulings if one.rule == "profit"]
    assert ruling.status == status


@pytest.mark.parametrize("cash", [0.0, 0.04613812647439892])
def test_cash_is_not_worse_than_cash_by_rounding(rules, cash):
    """The baseline cash itself earned +4.6 % a year, and was told that holding cash was better: 2e-14 were missing."""
    found = judge(replace(GOOD, annual_return=cash - 2e-14, cash_return=cash), rules)
    (ruling,) = [one for one in found.rulings if one.rule == "profit"]
    assert ruling.status == "promotable"
    assert ruling.reason == f"Annual return {cash:+.1%} on the test window, as cash earned."


def test_a_hurdle_that_somebody_set_is_not_told_as_what_cash_earned(rules):
    """Cash itself, at 1 % a year, stood under a hurdle of 3 % and was told "cash +3.1%: holding cash was better"."""
    asked = replace(GOOD, annual_return=0.01, cash_return=0.0305, hurdle_raised=True)
    (told,) = [one for one in judge(asked, rules).rulings if one.rule == "profit"]
    assert told.status == "rejected"
    assert told.reason.endswith("on the test window, the hurdle +3.0%: less than asset.risk_free_bps_per_year asks.")
    above = judge(replace(asked, annual_return=0.04), rules)
    assert "Annual return +4.0% on the test window, the hurdle +3.0%." in above.reasons


def test_the_worst_rule_decides_and_its_reason_comes_first(rules):
    found = judge(replace(GOOD, seeds=1, annual_return=-0.44), rules)
    assert found.status == "rejected"
    assert "holding cash was better" in found.reasons[0]
    assert "1 seed;" in found.reasons[1]


def test_the_rules_take_their_limits_from_the_configuration(rules):
    assert judge(replace(GOOD, seeds=1), rules.model_copy(update={"min_seeds": 1})).status == "promotable"
    assert (
        judge(replace(GOOD, simulated=True), rules.model_copy(update={"allow_simulated": True})).status == "promotable"
    )
    assert judge(replace(GOOD, audit=None), rules.model_copy(update={"require_audit": False})).status == "promotable"


def test_the_reason_names_the_leak_the_universe_and_the_survivors(rules):
    two = replace(
        GOOD, leaks=("close of A knows the next bar", "volume of B does"), hindsight="chosen late", survivors=0.8
    )
    reasons = judge(two, rules).reasons
    assert any("close of A knows the next bar (and 1 more)" in reason for reason in reasons)
    assert any("chosen late; 80% of its symbols trade to the end" in reason for reason in reasons)
    assert "look for a leak" in judge(replace(GOOD, sharpe=6.0), rules).reasons[0]
    assert judge(two, rules.model_copy(update={"allow_hindsight": True})).rulings[-4].status == "promotable"


def test_one_configuration_has_no_choice_to_overfit_by(rules):
    assert judge(replace(GOOD, configurations=1, pbo=None), rules).status == "promotable"


@pytest.mark.parametrize(
    ("strategies", "why"),
    [(0, "are not at hand for PBO"), (5, "are too short for PBO, have gaps, or are one and the same")],
)
def test_why_there_is_no_probability_of_overfitting_is_said(rules, strategies, why):
    found = judge(replace(GOOD, configurations=5, strategies=strategies, pbo=None), rules)
    assert found.status == "unproven"
    assert f"5 configurations were tried, and their records {why}." in found.reasons


def test_the_reason_says_how_long_a_record_it_would_take(rules):
    short = replace(GOOD, sharpe_difference_low=-0.2, years_needed=7.25)
    assert "record of 7.2 years" in judge(short, rules).reasons[0]
    behind = replace(
        GOOD, sharpe_difference=-0.5, sharpe_difference_low=-1.2, sharpe_difference_high=0.2, years_needed=math.inf
    )
    assert "No record would be long enough" in judge(behind, rules).reasons[0]
    apart = replace(short, years_needed=math.inf)
    assert "No record is long enough: its 5 seeds differ by more" in judge(apart, rules).reasons[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dsr": 0.9487}, "ratio 0.949 with"),
        ({"dsr": 0.94999}, "ratio 0.94999 with"),
        ({"dsr": 0.4999}, "ratio 0.4999 with"),
        ({"pbo": 0.2004}, "overfitting 0.2004 over"),
        ({"pbo": 0.5001}, "overfitting 0.5001 over"),
        ({"worst_drawdown": -0.35001}, "drawdown -35.001%; -35% is allowed"),
        ({"sharpe_difference_low": -0.0004}, "interval -0.0004 to"),
        ({"sharpe": 4.0004}, "of 4.0004 is above 4"),
        ({"annual_return": -0.0001}, "return -0.01% on"),
        ({"unfilled": (Unfilled("the agent", 0.1004, "volume"),)}, "10.04% of the order value"),
        ({"invested": {"buy_and_hold": 0.8999}}, "held 89.99% of what it was to hold, 90% is asked"),
    ],
)
def test_a_reason_prints_a_figure_on_the_side_of_its_limit_on_which_it_is(rules, change, words):
    found = judge(replace(GOOD, **change), rules)
    assert found.status != "promotable"
    assert words in found.reasons[0]


def test_the_block_of_run_json_holds_no_nan(rules):
    block = judge(replace(GOOD, years_needed=math.inf, dsr=math.nan), rules).to_json()
    assert block["evidence"]["years_needed"] is None
    assert block["evidence"]["dsr"] is None
    assert block["status"] == "unproven"
    assert {"rule", "status", "reason"} == set(block["rules"][0])


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        ({"unfilled": (Unfilled("the agent", 0.4, "volume"),)}, "fills", ("40%", "the agent", "env.initial_cash")),
        (
            {"unfilled": (Unfilled("momentum", 0.9, "lots"), Unfilled("the agent", 0.2, "no trading"))},
            "fills",
            ("20%", "also momentum", "data.volume_unit"),
        ),
        ({"invested": {"buy_and_hold": 0.83}}, "invested", ("buy_and_hold held 83%", "90%", "participation")),
    ],
)
def test_where_orders_did_not_go_through_nothing_is_proven(change, rule, words, rules):
    found = judge(replace(GOOD, **change), rules)
    assert found.status == "unproven"
    (ruling,) = [r for r in found.rulings if r.status != "promotable"]
    assert ruling.rule == rule
    assert all(word in ruling.reason for word in words)
    assert judge(replace(GOOD, invested={"buy_and_hold": 0.95}), rules).status == "promotable"


def test_what_a_baseline_could_not_buy_has_the_remedy_of_its_own_cause(rules):
    """Whole contracts are too large for the account: a smaller one would buy still less."""
    met = (Unfilled("the agent", 0.4, "volume"), Unfilled("buy_and_hold", 0.3, "lots"))
    found = judge(replace(GOOD, invested={"buy_and_hold": 0.74}, unfilled=met), rules)
    (told,) = [ruling.reason for ruling in found.rulings if ruling.rule == "invested"]
    assert "try a larger env.initial_cash, or asset.instrument.lot_size=0." in told
    assert "smaller" not in told
    little = of_orders((Unfilled("buy_and_hold", 0.0999, "lots"),), {"buy_and_hold": 0.899}, rules)
    assert "larger env.initial_cash" in "".join(judge(replace(GOOD, **little), rules).reasons)
    assert not of_orders((Unfilled("buy_and_hold", 0.0999, "lots"),), {"buy_and_hold": 0.9}, rules)["unfilled"]


def test_lots_that_are_larger_than_a_part_of_the_way_have_the_whole_way_as_a_remedy(rules):
    agent, anchor = Unfilled("the agent", 0.98, "lots"), Unfilled("anchor", 0.98, "lots")
    whole = "or env.trade_rate=1, since an order goes a part of the way."
    assert whole in "".join(judge(replace(GOOD, unfilled=(agent, anchor)), rules).reasons)
    assert whole not in "".join(judge(replace(GOOD, unfilled=(agent,)), rules).reasons), "it tilts nothing"


@pytest.mark.parametrize(
    ("rivals", "words"), [(("anchor",), "its anchor: it"), (("cash",), "its anchor, which is cash: it")]
)
def test_who_has_no_anchor_among_those_to_beat_stays_in_cash(rules, rivals, words):
    found = judge(replace(GOOD, own_anchor=True, rivals=rivals, kept_share=0.0), rules)
    assert any(reason.startswith(f"It is {words}s validation proved nothing") for reason in found.reasons)


@pytest.mark.parametrize(("own_anchor", "status"), [(True, "unproven"), (False, "rejected")])
def test_an_interval_below_zero_is_never_called_chance(rules, own_anchor, status):
    below = {"sharpe_difference": -0.002, "sharpe_difference_low": -0.004, "sharpe_difference_high": -0.0004}
    found = judge(replace(GOOD, **below, own_anchor=own_anchor), rules)
    (told,) = [ruling for ruling in found.rulings if ruling.rule == "lower_bound"]
    assert told.status == status
    assert "interval -0.004 to -0.0004: below it, and not by chance." in told.reason


def test_looser_rules_than_ship_are_told_first_and_move_no_status(rules):
    """The word is that of the rules that were asked for; the gate before production looks at the limits themselves."""
    loose = rules.model_copy(update={"min_dsr": 0.0, "min_seeds": 1})
    told = "Judged by looser rules than ship: min_dsr 0 (0.95), min_seeds 1 (3)."
    found = judge(replace(GOOD, dsr=0.6), loose)
    assert (found.status, found.reasons[0], len(found.reasons)) == ("promotable", told, 1 + len(verdict.RULES))
    block = judge(replace(GOOD, dsr=0.6, bars=10), loose).to_json()
    assert block["reasons"][0] == told
    assert (block["limits"]["min_dsr"], block["limits"]["min_seeds"]) == (0, 1)
    assert told in verdict.shown(judge(replace(GOOD, annual_return=-1.0), loose).to_json(), 1), (
        "whatever stands before it"
    )
    assert not any("looser" in reason for reason in judge(GOOD, rules.model_copy(update={"min_seeds": 5})).reasons)


def test_lapsed_orders_are_told_wherever_they_stand_and_no_reason_is_told_twice(rules):
    lapsed = (Unfilled("the agent", 0.4, "volume"),)
    block = judge(replace(GOOD, unfilled=lapsed, annual_return=-1.0, seeds=1), rules).to_json()
    told = next(rule["reason"] for rule in block["rules"] if rule["rule"] == verdict.FILLS)
    assert verdict.shown(block, 1) == [block["reasons"][0], told]
    assert verdict.shown(block, 3) == list(block["reasons"])
