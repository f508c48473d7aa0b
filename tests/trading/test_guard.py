"""Each rule alone, by a situation that it alone stops; without the rule the order would go out."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.desks import risk_of
from wealtharena.config import compose
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.trading.guard import ORDER, check, unknown
from wealtharena.trading.situation import Situation

PLAIN = Situation(
    symbols=("A", "B"), units=np.array([100.0, -50.0]), orders=np.array([200.0, 25.0]), lots=np.zeros(2),
    marks=np.array([10.0, 20.0]), moves=np.zeros(2), age=np.zeros(2, dtype=np.int64), volume=np.full(2, np.inf),
    equity=10_000.0, peak=10_000.0, opening=10_000.0, sent=0,
)  # fmt: skip
TIGHT = compose(["risk=default", "risk.gross.max_gross=0.2", "risk.symbol_weight.max_weight=0.1"]).risk
CASES = {  # rule -> its block, the situation, and the orders that are left of (+200, +25); the second reduces
    "gross": ({"max_gross": 0.25, "max_net": 9.0}, {}, (100.0, 25.0)),
    "symbol_weight": ({"max_weight": 0.25}, {}, (150.0, 25.0)),
    "order_volume": ({"max_share": 0.1}, {"volume": np.array([500.0, 10.0])}, (50.0, 25.0)),
    "daily_loss": ({"max_loss": 0.05, "action": "skip"}, {"opening": 11_000.0}, (0.0, 25.0)),
    "drawdown": ({"max_drawdown": 0.05, "action": "skip"}, {"peak": 11_000.0}, (0.0, 25.0)),
    "stale_data": ({"max_bars": 2, "action": "skip"}, {"age": np.array([3, 3])}, (0.0, 25.0)),
    "price_jump": ({"max_move": 0.4, "action": "skip"}, {"moves": np.array([-0.5, 0.5])}, (0.0, 25.0)),
    "order_rate": ({"max_orders": 5, "action": "skip"}, {"sent": 4}, (0.0, 25.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_alone_stops_what_it_is_for_and_nothing_else_does(name):
    block, changes, left = CASES[name]
    now = dataclasses.replace(PLAIN, **changes)
    ruling = check(now, risk_of(**{name: {"action": "shrink", **block}}), "trading")
    assert ruling.orders.tolist() == pytest.approx(left)
    (told,) = ruling.interventions
    assert told.rule == name
    assert told.numbers["passed"] == 1.0
    others = {other: {"action": "shrink", **CASES[other][0]} for other in CASES if other != name}
    generous = {
        "gross": {"max_gross": 9.0, "max_net": 9.0, "action": "shrink"},
        "symbol_weight": {"max_weight": 9.0, "action": "shrink"},
    }
    rest = check(now, risk_of(**{**others, **{k: v for k, v in generous.items() if k != name}}), "trading")
    assert rest.orders.tolist() == [200.0, 25.0]
    assert (
        check(
            PLAIN if name not in ("gross", "symbol_weight") else dataclasses.replace(now, orders=np.array([10.0, 0.0])),
            risk_of(**{name: {"action": "shrink", **block}}),
            "trading",
        ).interventions
        == ()
    )


def test_every_rule_has_its_case_and_its_place():
    assert set(ORDER) == set(CASES)
    assert set(RiskSpec.model_fields) == {*CASES, "unknown_account", "allow_live", "own"}
    assert compose(["risk=default"]).risk.rules.keys() == {*CASES, "unknown_account"}
    assert not compose(["risk=none"]).risk.rules


def test_the_net_limit_holds_where_gross_does_not():
    now = dataclasses.replace(PLAIN, units=np.zeros(2), orders=np.array([300.0, -50.0]))
    ruling = check(now, risk_of(gross={"max_gross": 9.0, "max_net": 0.1, "action": "shrink"}), "trading")
    assert ruling.orders.tolist() == pytest.approx([200.0, -50.0])


def test_a_rule_behind_the_net_limit_cannot_leave_one_side_alone():
    """The second order, which balances the first, is one too many."""
    now = dataclasses.replace(PLAIN, units=np.zeros(2), orders=np.array([300.0, -150.0]))
    gross = {"max_gross": 9.0, "max_net": 0.1, "action": "shrink"}
    ruling = check(now, risk_of(gross=gross, order_rate={"max_orders": 1, "action": "skip"}), "trading")
    assert ruling.orders.tolist() == pytest.approx([100.0, 0.0])
    assert [one.rule for one in ruling.interventions] == ["order_rate", "gross"]
    halting = risk_of(gross={**gross, "action": "halt"}, order_rate={"max_orders": 1, "action": "skip"})
    assert check(now, halting, "trading").state == "halted"


@pytest.mark.slow
@given(
    units=st.lists(st.integers(-20, 20), min_size=3, max_size=3),
    orders=st.lists(st.integers(-60, 60), min_size=3, max_size=3),
    lots=st.lists(st.sampled_from([0.0, 1.0, 5.0, 20.0]), min_size=3, max_size=3),
    most=st.integers(1, 4),
    limits=st.tuples(st.floats(0.02, 1.0), st.floats(0.02, 1.0)),
)
def test_gross_and_net_hold_for_what_is_sent_whatever_lots_and_other_rules_cut(units, orders, lots, most, limits):
    lot, marks = np.array(lots), np.array([10.0, 20.0, 50.0])
    held, wanted = np.array(units) * np.maximum(lot, 1.0), np.array(orders) * np.maximum(lot, 1.0)
    now = Situation(
        symbols=("A", "B", "C"), units=held, orders=wanted, lots=lot, marks=marks, moves=np.zeros(3),
        age=np.zeros(3, dtype=np.int64), volume=np.full(3, np.inf), equity=10_000.0, peak=1e4, opening=1e4, sent=0,
    )  # fmt: skip
    gross, net = limits
    risk = risk_of(
        gross={"max_gross": gross, "max_net": net, "action": "shrink"},
        order_rate={"max_orders": most, "action": "skip"},
    )
    after, kept = (held + check(now, risk, "trading").orders) * marks, (held + now.reducing) * marks
    assert np.abs(after).sum() <= max(gross * 1e4, np.abs(kept).sum()) * (1 + 1e-6)
    assert abs(after.sum()) <= max(net * 1e4, abs(kept.sum())) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("name", "changes"), [("symbol_weight", {}), ("order_volume", {"volume": np.array([2_500.0, np.inf])})]
)
def test_a_short_is_capped_like_a_long_position(name, changes):
    now = dataclasses.replace(PLAIN, units=np.zeros(2), orders=np.array([-300.0, 25.0]), **changes)
    ruling = check(now, risk_of(**{name: {**CASES[name][0], "action": "shrink"}}), "trading")
    assert ruling.orders.tolist() == pytest.approx([-250.0, 25.0])


def test_of_a_days_orders_the_first_ones_pass_up_to_the_number_allowed():
    now = dataclasses.replace(PLAIN, units=np.zeros(2), sent=4)
    ruling = check(now, risk_of(order_rate={"max_orders": 5, "action": "skip"}), "trading")
    assert ruling.orders.tolist() == [200.0, 0.0]


def test_orders_that_are_rounding_pass_and_take_no_place_among_a_days_orders():
    """A tilt at rest asks for the weights that it sees, in single precision: an order a symbol and bar, of next to nothing."""
    orders = np.array([1e-4, 25.0, 1e-4, 40.0])  # of 1e-3 in 10,000; one that reduces; two that open
    now = dataclasses.replace(
        PLAIN, symbols=("A", "B", "C", "D"), units=np.array([9.0, -50.0, 0.0, 0.0]), orders=orders, lots=np.zeros(4),
        marks=np.full(4, 10.0), moves=np.zeros(4), age=np.zeros(4, dtype=np.int64), volume=np.full(4, np.inf), sent=3,
    )  # fmt: skip
    rule = {"max_orders": 5, "action": "skip"}
    assert check(now, risk_of(order_rate=rule), "trading").interventions == ()
    ruling = check(dataclasses.replace(now, sent=4), risk_of(order_rate=rule), "trading")
    assert ruling.orders.tolist() == [1e-4, 25.0, 1e-4, 0.0]
    (told,) = ruling.interventions
    assert (told.symbols, told.numbers["orders"]) == (("D",), 6.0)


def test_an_order_through_zero_beyond_the_days_number_closes_and_opens_nothing():
    now = dataclasses.replace(PLAIN, orders=np.array([-150.0, 25.0]), sent=5)
    ruling = check(now, risk_of(order_rate={"max_orders": 5, "action": "skip"}), "trading")
    assert ruling.orders.tolist() == [-100.0, 25.0]
    assert ruling.interventions[0].symbols == ("A",)
    fits = dataclasses.replace(now, sent=3)
    assert check(fits, risk_of(order_rate={"max_orders": 5, "action": "skip"}), "trading").orders.tolist() == [-150, 25]


@pytest.mark.parametrize(("rule", "base"), [("daily_loss", "opening"), ("drawdown", "peak")])
def test_an_account_that_had_nothing_has_lost_nothing_by_being_paid_into_and_all_where_nothing_came(rule, base):
    risk = risk_of(**{rule: {**CASES[rule][0], "action": "halt"}})
    empty = dataclasses.replace(PLAIN, **{base: 0.0})
    assert check(empty, risk, "trading").state == "trading"
    assert check(dataclasses.replace(empty, equity=0.0), risk, "trading").state == "halted"


def test_a_price_as_old_as_allowed_is_traded_on():
    now = dataclasses.replace(PLAIN, age=np.array([2, 2]))
    assert check(now, risk_of(stale_data={"max_bars": 2, "action": "skip"}), "trading").interventions == ()


@pytest.mark.parametrize("action", ["flatten", "halt"])
def test_flatten_closes_everything_and_is_latched_halt_sends_nothing(action):
    risk = risk_of(drawdown={"max_drawdown": 0.05, "action": action})
    ruling = check(dataclasses.replace(PLAIN, peak=11_000.0), risk, "trading")
    assert ruling.orders.tolist() == ([-100.0, 50.0] if action == "flatten" else [0.0, 0.0])
    assert ruling.state == ("reducing" if action == "flatten" else "halted")
    again = check(PLAIN, risk, ruling.state)  # the loss is made good
    assert again.orders.tolist() == ruling.orders.tolist()
    assert check(dataclasses.replace(PLAIN, units=np.zeros(2)), risk, "reducing").state == "halted"
    assert not check(PLAIN, risk, "halted").orders.any()


def test_an_account_that_stays_unknown_is_halted():
    risk = risk_of(unknown_account={"max_bars": 2, "action": "halt"})
    assert [unknown(bars, risk, "trading").state for bars in (1, 2, 3)] == ["trading", "trading", "halted"]
    assert unknown(99, risk_of(), "trading").state == "trading"


@given(
    units=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2),
    orders=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2),
    lot=st.sampled_from([0.0, 5.0]),
)
def test_what_reduces_passes_and_nothing_grows_beyond_what_was_asked_for(units, orders, lot):
    """Case 19."""
    now = dataclasses.replace(PLAIN, units=np.round(units), orders=np.round(orders), lots=np.full(2, lot))
    sent = check(now, TIGHT, "trading").orders
    after, asked = now.units + sent, now.units + now.orders
    low, high = np.minimum(now.units + now.reducing, asked), np.maximum(now.units + now.reducing, asked)
    assert (after >= low - max(lot, 1e-9)).all()
    assert (after <= high + max(lot, 1e-9)).all()
    grown = np.abs(after * now.marks).sum()
    assert grown <= max(0.2 * now.equity, np.abs((now.units + now.reducing) * now.marks).sum()) * (1 + 1e-9) + lot * 30


@pytest.mark.slow
@given(
    units=st.lists(st.floats(-300.0, 300.0), min_size=2, max_size=2),
    lots_wanted=st.lists(st.integers(-60, 60), min_size=2, max_size=2),
    action=st.sampled_from(["skip", "shrink"]),
)
def test_what_a_rule_cuts_never_trades_the_other_way_nor_more_than_was_asked_for(units, lots_wanted, action):
    """Positions may be odd, after a split or a transfer; the kernel's targets are whole lots."""
    held, lot = np.array(units), 5.0
    now = dataclasses.replace(PLAIN, units=held, orders=lot * np.array(lots_wanted) - held, lots=np.full(2, lot))
    risk = risk_of(gross={"max_gross": 0.2, "max_net": 9.0, "action": action})
    sent = check(now, risk, "trading").orders
    assert (sent * now.orders >= 0.0).all()
    assert (np.abs(sent) <= np.abs(now.orders) + 1e-9).all()
    opened = sent - now.reducing
    ends = np.where(np.abs(opened) > 1e-9, (held + sent) / lot, 0.0)
    assert np.allclose(ends, np.round(ends))
