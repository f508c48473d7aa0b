"""What users of live-trading systems suffered from, played again at an exchange on loopback: cases 11 to 30."""

import dataclasses
import datetime as dt

import pytest

from tests.trading.days import days
from tests.trading.outside import day_of
from wealtharena.envs.market import Market
from wealtharena.tasks import console, paper
from wealtharena.trading import loop
from wealtharena.trading.broker import Order, RefusedError
from wealtharena.trading.desk import Close


def statuses(day):
    return [(one.leg, one.attempt, one.status) for one in day.intents()]


@pytest.mark.parametrize("strangers", ["halt", "adopt"])
def test_case_11_a_position_that_was_closed_by_hand_is_adopted_or_halts(tmp_path, strangers):
    with days(tmp_path, [[0.5], [0.5], [0.5]], strangers=strangers) as day:
        day.run(2)
        day.close()
        day.exchange.by_hand("AAPL", -500.0)
        day.open()
        day.run(1)
        assert day.fits()
        assert day.told("strangers")[0]["numbers"] == {"AAPL": -500.0}
        assert day.ledger.state()[0] == ("halted" if strangers == "halt" else "trading")
        day.run(1)
        assert day.fits()
        assert bool(day.ledger.positions()) == (strangers == "adopt")


def test_case_11_what_no_execution_explains_is_believed_at_the_second_bar(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.exchange.held["AAPL"] += 7.0
        day.run(1)
        assert day.ledger.decision().weights is None
        assert day.ledger.state()[0] == "trading"
        assert day.told("positions")[0]["numbers"] == {"AAPL": 7.0}
        day.run(1)
        assert day.ledger.state()[0] == "halted"
        assert day.fits()


def test_case_12_through_zero_goes_in_two_legs_the_second_after_the_first(tmp_path):
    with days(tmp_path, [[0.5], [-0.5]]) as day:
        day.run(2)
        second = day.intents()[1:]
        assert [(one.leg, one.status) for one in second] == [(1, "open"), (2, "new")]
        day.run(1)
        assert [(one.leg, one.status) for one in day.intents()[1:]] == [(1, "filled"), (2, "filled")]
        assert day.exchange.held["AAPL"] < 0
        assert day.fits()


def test_case_12_the_second_leg_of_a_first_that_is_not_filled_is_never_sent(tmp_path):
    with days(tmp_path, [[0.5], [-0.5], [0.0]]) as day:
        day.run(2)
        day.exchange.filling = 0.5
        day.run(1)
        first, second = day.intents()[1:3]
        assert (first.status, second.status) == ("partly", "expired")
        assert len([one for one in day.exchange.orders.values() if one["client_order_id"] == second.client_id]) == 0
        assert day.fits()


@pytest.mark.parametrize("fill_wins", [False, True])
def test_case_13_what_is_taken_back_has_ended_before_anything_is_sold(tmp_path, fill_wins):
    with days(tmp_path, [[0.5], [0.0]], symbols=("BTC-USD",), coins=True) as day:
        day.exchange.filling = 0.5
        day.run(1)  # half of it is filled at once, half stays open
        day.exchange.filling, day.exchange.cancels = None, False
        waits = []

        def wait(seconds):
            waits.append(seconds)
            order = next(iter(day.exchange.orders.values()))
            if fill_wins and order["status"] == "pending_cancel":
                day.exchange.fill(order, day.exchange.left(order))
            day.exchange.settle()

        object.__setattr__(day.trader, "wait", wait)
        day.run(1)
        day.exchange.filling = 1.0
        assert waits
        day.run(1)
        assert day.exchange.held == {}
        assert day.intents()[0].status == ("filled" if fill_wins else "partly")
        assert day.fits()


def test_case_13_while_a_cancel_is_pending_nothing_is_decided(tmp_path):
    with days(tmp_path, [[0.5], [0.0]], symbols=("BTC-USD",), coins=True) as day:
        day.exchange.filling, day.exchange.cancels = None, False
        day.run(2)
        assert day.ledger.decision().weights is None
        assert len(day.exchange.orders) == 1


def test_case_14_an_order_in_btc_usd_and_a_position_in_btcusd_are_one(tmp_path):
    with days(tmp_path, [[0.5]], symbols=("BTC-USD",), coins=True) as day:
        day.run(2)
        assert set(day.ledger.positions()) == set(day.broker.positions()) == {"BTC-USD"}
        assert day.ledger.state()[0] == "trading"


def test_case_14_a_class_of_shares_has_a_dot(tmp_path):
    with days(tmp_path, [[0.5]], symbols=("BRK-B",)) as day:
        day.run(2)
        assert set(day.exchange.held) == {"BRK.B"}
        assert set(day.ledger.positions()) == {"BRK-B"}


def test_case_15_a_fee_in_coins_is_booked_and_everything_can_be_sold(tmp_path):
    with days(tmp_path, [[0.5], [0.5], [0.0]], symbols=("BTC-USD",), coins=True, fee=0.0025) as day:
        day.run(3)
        bought = sum(one.units for one in day.ledger.fills() if one.units > 0)
        fees = day.ledger.events()
        assert {one["kind"] for one in fees} == {"fee"}
        assert sum(one["units"] for one in fees) == pytest.approx(-0.0025 * bought, rel=1e-6)
        assert day.ledger.state()[0] == "trading"
        day.run(1)
        assert day.exchange.held == {}
        assert day.fits()
        assert day.ledger.closes()[1]["costs"] == pytest.approx(-fees[0]["units"] * 100.0)


def test_case_15_more_than_a_fee_is_no_fee(tmp_path):
    with days(tmp_path, [[0.5]], symbols=("BTC-USD",), coins=True, fee=0.02) as day:
        day.run(3)
        assert day.ledger.events() == []
        assert day.ledger.state()[0] == "halted"


@pytest.mark.parametrize("booked", [True, False])
def test_case_16_a_split_rescales_what_is_held_and_equity_goes_on(tmp_path, booked):
    jump = {"price_jump": {"max_move": 0.3, "action": "halt"}}
    with days(tmp_path, [[0.5]], rules=jump) as day:
        day.run(3)
        before, held = day.ledger.closes()[-1]["equity"], day.ledger.positions()["AAPL"]
        day.exchange.split("AAPL", 1.5, booked=booked)
        rescale(day, 1.5)
        day.run(2)
        assert day.ledger.positions()["AAPL"] == int(held * 1.5)
        assert day.fits()
        assert day.ledger.state()[0] == "trading"
        assert day.ledger.closes()[-1]["equity"] == pytest.approx(before)
        assert day.ledger.events()[0]["kind"] == "split"


def rescale(day, ratio):
    """Show the days to come as a source does after a split: the prices of before are divided too."""

    def rescaled(close):
        panel = close.features.panel
        changed = dataclasses.replace(panel, open=panel.open / ratio, close=panel.close / ratio)
        features = dataclasses.replace(close.features, panel=changed)
        return Close(features, Market.build(features, day.world.env, day.world.mind.scaler))

    day.closes[day.day :] = [rescaled(close) for close in day.closes[day.day :]]


def test_case_17_what_the_money_is_not_enough_for_is_made_smaller_once(tmp_path):
    with days(tmp_path, [[1.0]], symbols=("BTC-USD",), coins=True, resize=0.05) as day:
        day.exchange.fail("refuse", method="POST", answer=(403, 40310000, "insufficient buying power"))
        day.run(1)
        assert statuses(day)[0] == (1, 1, "rejected")
        day.run(1)
        first, second = day.intents()[:2]
        assert (second.attempt, second.status) == (2, "filled")
        assert second.units == pytest.approx(0.95 * first.units)
        day.morning()
        assert day.fits()


def test_case_17_a_refusal_of_another_kind_is_not_tried_again(tmp_path):
    with days(tmp_path, [[1.0], [0.0]], symbols=("BTC-USD",), coins=True, resize=0.05) as day:
        day.exchange.fail("refuse", method="POST", answer=(403, 40310000, "account is restricted"))
        day.run(2)
        assert statuses(day) == [(1, 1, "rejected")]


def test_case_17_a_share_that_opens_higher_and_is_refused_at_the_open(tmp_path):
    with days(tmp_path, [[1.0]], opens={1: 104.0}, margin=1.0, resize=0.05) as day:
        day.run(1)
        day.morning()
        assert statuses(day)[0] == (1, 1, "rejected")
        assert statuses(day)[1][:2] == (1, 2)
        loop.tend(day.trader, day.switch)
        day.evening()
        assert statuses(day)[1] == (1, 2, "filled")
        assert day.fits()


def test_case_19_what_closes_passes_every_limit_on_its_way_out(tmp_path):
    tight = {
        "order_rate": {"max_orders": 1, "action": "skip"},
        "gross": {"max_gross": 0.01, "max_net": 0.01, "action": "skip"},
    }
    with days(tmp_path, [[0.005], [0.5], [0.0]], rules=tight) as day:
        day.run(4)
        assert day.exchange.held == {}
        assert day.told("gross")
        assert [one.status for one in day.intents()] == ["filled", "filled"]


def test_case_26_what_the_broker_liquidates_is_booked_as_its_own_and_halts(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.exchange.by_hand("AAPL", -500.0)
        day.morning()
        assert day.ledger.state()[0] == "halted"
        foreign = day.ledger.fills()[-1]
        assert foreign.units == -500.0
        assert not day.ledger.is_ours(foreign.client_id)


def test_case_26_with_adopt_a_liquidation_is_traded_on_from_as_a_persons_hand_is_and_told(tmp_path):
    """A broker outside does not say who closed a position; what stops the agent then are the rules of loss."""
    with days(tmp_path, [[0.5]], strangers="adopt") as day:
        day.run(2)
        day.exchange.by_hand("AAPL", -500.0)
        day.morning()
        assert day.ledger.state()[0] == "trading"
        assert day.ledger.positions() == {}
        (told,) = day.told("strangers")
        assert (told["action"], told["numbers"]) == ("adopt", {"AAPL": -500.0})
        day.run(2)
        assert day.fits()


def test_case_26_an_open_order_that_is_none_of_ours_halts(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.exchange.book("AAPL", 5, "buy", "somebody", "gtc")
        day.exchange.book("AAPL", 7, "buy", "somebody else", "gtc")
        day.evening()
        assert day.ledger.state()[0] == "halted"
        assert day.told("strangers")[0]["numbers"] == {"AAPL": 12.0}


def test_case_28_after_a_partial_fill_the_position_is_what_executions_say(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.exchange.filling = 0.5
        day.morning()
        assert day.ledger.positions() == {"AAPL": 250.0}
        day.exchange.fail("stale", times=2, path="/v2/positions")
        day.evening()
        assert day.ledger.positions() == {"AAPL": 250.0}
        assert day.ledger.state()[0] == "trading"


def test_case_30_an_order_waits_for_its_window_and_the_auction_takes_whole_shares(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.morning()
        close = day.closes[0]
        _, closes = day_of(close.bar)
        day.exchange.go(closes + dt.timedelta(minutes=5))
        loop.on_close(day.trader, close, day.switch)
        day.day = 1
        assert day.exchange.orders == {}
        assert "19:00" in day.intents()[0].note
        day.exchange.go(closes + dt.timedelta(hours=4))
        loop.tend(day.trader, day.switch)
        assert [(one["time_in_force"], day.intents()[0].note) for one in day.exchange.orders.values()] == [("opg", "")]
        day.run(1)
        assert day.intents()[0].status == "filled"


def test_case_30_an_order_whose_window_never_opened_expires_with_its_bar(tmp_path):
    with days(tmp_path, [[0.5]], fill="next_close") as day:
        noon = day.closes[0]
        day.exchange.go(day.exchange.now.replace(hour=15, minute=55) + dt.timedelta(days=1))
        loop.on_close(day.trader, noon, day.switch)
        assert day.exchange.orders == {}
        day.day = 1
        day.morning(tend=False)
        day.evening()
        assert day.intents()[0].status == "expired"
        assert day.intents()[0].note == "older than its bar when it could have been sent"


@pytest.mark.parametrize("restart", [False, True])
def test_what_happened_within_the_hour_before_the_opening_belongs_to_nobody(tmp_path, restart):
    with days(tmp_path, [[0.0], [0.5]] if restart else [[0.5]]) as day:
        if restart:
            day.run(1)
            day.ledger.open("agent", "test", {"of": "a new epoch"})
        day.morning(tend=False)
        _, closes = day_of(day.closes[day.day].bar)
        day.exchange.go(closes + dt.timedelta(hours=3, minutes=40))
        for units in (10.0, -10.0):
            day.exchange.by_hand("AAPL", units)
        day.exchange.pay("DIV", "AAPL", 25.0)
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert day.told("strangers") == day.told("event") == []
        assert day.fits()


def test_a_stranger_that_is_adopted_and_cannot_be_traded_halts_with_its_name_and_a_way_out(tmp_path, capsys):
    with days(tmp_path, [[0.5]], strangers="adopt") as day:
        day.run(2)
        day.exchange.prices["TSLA"] = 100.0
        day.exchange.by_hand("TSLA", 5.0)
        day.run(3)
        state, reason = day.ledger.state()
        assert state == "halted"
        assert "TSLA is held, which this agent does not trade" in reason
        console.paper_status(paper._standing(day.ledger, tmp_path), agent="aapl")
        assert "TSLA  5 units, of a price that is not known" in capsys.readouterr().out
        assert "then release" in reason
        assert [one.text for one in day.ledger.untold()] == [reason]
        assert len(day.told("account")) == 1
        day.exchange.by_hand("TSLA", -5.0)
        day.ledger.release("sold")
        day.run(2)
        assert day.ledger.state()[0] == "trading"


def test_case_27_the_keys_of_another_account_go_on_with_nothing(tmp_path):
    with days(tmp_path, [[0.5], [-0.5]]) as day:
        day.run(2)
        sent = len(day.exchange.orders)
        day.exchange.number = "PA3STUB00002"
        with pytest.raises(RefusedError, match="0002"):
            day.run(1)
        assert len(day.exchange.orders) == sent
        assert "PA3STUB" not in (day.folder / "ledger.sqlite").read_bytes().decode("latin-1")


def test_dividends_and_fees_are_booked_as_the_broker_tells_them_and_equity_is_its_own(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.exchange.pay("DIV", "AAPL", 25.0)
        day.exchange.pay("DIVNRA", "AAPL", -3.75)
        day.exchange.pay("FEE", "", -0.02)
        day.exchange.pay("INT", "", -1.5)
        day.run(2)
        booked = {(one["kind"], one["cash"]) for one in day.ledger.events()}
        assert booked == {("dividend", 25.0), ("dividend", -3.75), ("fee", -0.02), ("interest", -1.5)}
        before, after, last = day.ledger.closes()[-3:]
        assert after["equity"] == pytest.approx(before["equity"] + 25.0 - 3.75 - 0.02 - 1.5)
        assert (after["dividends"], after["costs"], after["financing"]) == pytest.approx((21.25, 0.02, 1.5))
        assert (last["dividends"], last["costs"], last["financing"]) == (0.0, 0.0, 0.0)
        assert day.ledger.state()[0] == "trading"
        assert day.fits()


def test_shares_that_come_by_a_transfer_are_booked_and_told(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.exchange.hold("AAPL", 4.0)
        day.exchange.act({"activity_type": "ACATS", "symbol": "AAPL", "qty": "4", "net_amount": "0"})
        day.run(1)
        assert day.told("event")[0]["numbers"] == {"units": 4.0, "cash": 0.0}
        assert day.fits()
        assert day.ledger.state()[0] == "trading"


def test_slippage_is_kept_beside_what_the_backtest_would_have_paid(tmp_path):
    with days(tmp_path, [[0.5], [-0.5]], opens={2: 101.0}) as day:
        day.run(3)
        first, second, third = day.ledger.slippage()
        assert (first["price"], first["reference"]) == (100.0, 100.0)
        assert (second["reference"], third["reference"]) == (101.0, 101.0)


def test_the_clock_that_counts_is_the_servers(tmp_path):
    """This machine is years away from the exchange's 9:28, at which its auction has been shut for half a minute."""
    with days(tmp_path, [[0.5]]) as day:
        day.exchange.go(day.exchange.now.replace(hour=9, minute=27, second=30) + dt.timedelta(days=1))
        assert day.broker._broker._instruction(Order("a", "AAPL", 5.0)).time_in_force == "opg"
        day.exchange.go(day.exchange.now.replace(minute=28, second=30))
        assert day.broker._broker._instruction(Order("a", "AAPL", 5.0)).time_in_force == "day"


def test_keys_that_are_taken_away_halt_the_agent_at_last(tmp_path, caplog, capsys):
    with days(tmp_path, [[0.5]], rules={"unknown_account": {"max_bars": 2, "action": "halt"}}) as day:
        day.run(2)
        console.PaperProgress(day.ledger, every="bar").show(day.ledger.last_close()["bar"])
        assert "equity 1" in capsys.readouterr().out
        day.exchange.fail("401", times=1000)
        day.run(4)
        assert day.ledger.state()[0] == "halted"
        assert [one["action"] for one in day.told("unknown_account")] == [
            "skip",
            "skip",
            "halt",
        ]  # and once halted no more
        assert "nothing is known of the account at" in caplog.text
        assert "keys are not accepted" in caplog.text
        console.PaperProgress(day.ledger, every="bar").show(day.ledger.decision().bar)
        assert capsys.readouterr().out.split("equity")[1].strip() == "unknown"
