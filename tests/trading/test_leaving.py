"""An account that is begun anew leaves no order behind at a broker outside."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.envs.markets import spec_of
from tests.trading.bridge import SECRET, Bridge, bridging
from tests.trading.days import days
from wealtharena.config import compose
from wealtharena.tasks import accounts
from wealtharena.trading import answers
from wealtharena.trading.broker import Account, Opening, RefusedError, UnreachableError
from wealtharena.trading.leaving import take_leave
from wealtharena.trading.ledger import Decision, Intent, Ledger

BAR = "2026-03-02T00:00:00.000000000"


@pytest.mark.slow
def test_what_is_open_there_is_taken_back_and_the_new_epoch_is_not_halted_by_it(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        (order,) = day.intents()
        assert order.status == "open"
        take_leave(day.ledger, day.broker, wait=lambda seconds: None)
        assert [one.status for one in day.intents()] == ["cancelled"]
        day.ledger.open("agent", "test", {"of": "tests"})
        day.again()
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert day.exchange.held == {"AAPL": 500.0}  # once, and not twice
        assert day.fits()


def test_where_the_broker_does_not_answer_nothing_is_begun_anew(tmp_path, monkeypatch):
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        waited = []

        def gone(client_id):
            raise UnreachableError("alpaca: nobody answers")

        monkeypatch.setattr(day.broker, "cancel", gone)
        with pytest.raises(RefusedError, match=r"in AAPL could not be taken back: alpaca: nobody answers") as error:
            take_leave(day.ledger, day.broker, wait=waited.append)
        assert "start again" in error.value.hint
        assert len(waited) == 3
        assert [one.status for one in day.intents()] == ["open"]


@pytest.mark.slow
@pytest.mark.parametrize("mute", [False, True])
def test_a_bridge_is_asked_for_every_order_back(tmp_path, monkeypatch, mute):
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    bridge, env = Bridge(mute=mute), spec_of()
    with bridging(bridge) as url, contextlib.closing(Ledger(tmp_path, synchronous="normal")) as ledger:
        ledger.open("a", "b", {})
        opening = Opening(tmp_path, env, 1, "normal", spec=compose(["broker=webhook", f"broker.url={url}"]).broker)
        with contextlib.closing(answers.opened("webhook", opening)) as broker:
            meant = [Intent(name, BAR, name, 1, 1, 5.0, "sending") for name in ("A", "B")]
            ledger.decide(Decision(BAR, {"A": 1.0, "B": 1.0}, [0.5, 0.5], {}, 0), meant, [], state="trading")
            db = broker._broker._db
            db.execute("INSERT INTO account VALUES (1, ?)", (json.dumps({"timestamp": BAR}),))
            db.execute("INSERT INTO asked VALUES ('A', 'A', 5.0, 1, ?)", (BAR,))  # and never answered
            bridge.known.add("A")
            take_leave(ledger, broker, wait=lambda seconds: None)
        assert ledger.pending() == []
    assert [one["id"] for one in bridge.messages if one["kind"] == "cancel"] == ["A"]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("webhook", "webhook", ["5 A is held at webhook"]),
        ("alpaca", "paper", ["1 order at alpaca may be open still", "5 A is held at alpaca"]),
        ("alpaca", "alpaca", []),  # which asks what is held: paper.strangers decides
        ("paper", "alpaca", []),
    ],
)
def test_what_is_left_outside_is_told_of(tmp_path, caplog, before, now, said):
    spec = (
        compose(["task=paper", f"broker={now}"])
        if now != "alpaca"
        else compose(["asset=etf", f"broker={now}", "asset.account_currency=USD"])
    )
    with contextlib.closing(Ledger(tmp_path, synchronous="normal")) as ledger:
        ledger.open("a", "b", {"broker": before})
        meant = [Intent("A", BAR, "A", 1, 1, 5.0, "open")]
        ledger.decide(Decision(BAR, {"A": 1.0}, [0.5], {}, 0), meant, [], state="trading")
        ledger.settle(Account(5.0, 0.0, BAR), {"A": 5.0}, {"A": 1.0})
        with caplog.at_level("WARNING"):
            accounts._tell_left(spec, ledger, ledger.facts())
    assert len(caplog.messages) == len(said)
    assert all(words in line for words, line in zip(said, caplog.messages, strict=True))
