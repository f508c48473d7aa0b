from typing import Any

from wealtharena.tasks import console


def told(**changes: Any) -> list[str]:
    found = {"interventions": {}, "stopped_at": None, "total_return": 0.541, "total_return_without": 5.488}
    return console.risk_lines(found | changes)


def test_what_risk_rules_did_to_a_return_is_no_difference_in_per_cent() -> None:
    """Fifty per cent beside five hundred and fifty stood as -494.7% against none, and nobody loses that."""
    assert told() == ["Return with risk rules +54.1%, without them +548.8%."]


def test_rules_that_never_stepped_in_cost_nothing() -> None:
    assert told(total_return=-0.0, total_return_without=0.0) == ["Return with risk rules +0.0%, without them +0.0%."]


def test_one_intervention_is_one_time() -> None:
    first, second, *_ = told(interventions={"daily_loss: flatten": 1, "gross: cap": 3})
    assert (first, second) == ("Risk rules: daily_loss: flatten, 1 time", "Risk rules: gross: cap, 3 times")
