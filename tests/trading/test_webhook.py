"""Orders and weights to a bridge of the user's own: signed, once, and confirmed by signals where that is asked for."""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import hmac
import itertools
import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request

import pytest

from tests.trading.bridge import SECRET, Bridge, bridging
from tests.trading.conformance import paper
from tests.trading.days import until
from tests.trading.desks import a_world
from tests.trading.serving import endless
from wealtharena.config import compose
from wealtharena.config.plugins import load
from wealtharena.errors import ConfigError
from wealtharena.trading import loop
from wealtharena.trading.alerts import channels_of
from wealtharena.trading.broker import Opening, Order, RejectedError, UnreachableError
from wealtharena.trading.brokers.webhook import _object
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.pine import LONGEST, pine_of
from wealtharena.trading.signals import LARGEST, Signals
from wealtharena.trading.switch import Switch, throw
from wealtharena.trading.trader import Trader

pytestmark = pytest.mark.slow  # each goes through days at a broker's server


@pytest.fixture
def bridge():
    return Bridge()


@contextlib.contextmanager
def opened(folder, bridge, **settings):
    keys = folder / "keys"
    keys.write_text(f"WEBHOOK_SECRET={SECRET}\nWEBHOOK_SIGNAL_SECRET=signal\n")
    given = {"keys_file": str(keys), "timeout_seconds": 30.0, "listen": None, "confirm_seconds": 60.0, **settings}
    with bridging(bridge) as url, paper(folder, "webhook", url=url, **given) as stage:
        yield stage


def order_of(stage, units=3.0, number=1):
    return Order(f"a/b/1/2026/{number}", stage.symbols[0], units)


def test_a_message_is_signed_over_time_nonce_and_body(tmp_path, bridge):
    with opened(tmp_path, bridge) as stage, contextlib.closing(stage.open()) as broker:
        broker.submit(order_of(stage))
        broker.announce("2026-03-02", {"S0": 0.25})
    (headers, body), (others, weights) = bridge.raw
    stamp, nonce = headers["x-wealtharena-timestamp"], headers["x-wealtharena-nonce"]
    expected = hmac.new(SECRET.encode(), f"{stamp}.{nonce}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["x-wealtharena-signature"] == f"sha256={expected}"
    assert abs(int(stamp) - time.time()) < 60
    assert nonce != others["x-wealtharena-nonce"]
    assert json.loads(body) == {"version": 1, "kind": "order", "id": "a/b/1/2026/1", "symbol": "S0", "units": 3.0}
    assert json.loads(weights) == {"version": 1, "kind": "weights", "bar": "2026-03-02", "weights": {"S0": 0.25}}
    assert SECRET.encode() not in body + repr(headers).encode()


def test_an_order_whose_answer_is_lost_is_asked_for_and_not_sent_again(tmp_path, bridge):
    bridge.answers = [500]  # and it has done it
    with opened(tmp_path, bridge) as stage, contextlib.closing(stage.open()) as broker:
        order = order_of(stage)
        with pytest.raises(UnreachableError):
            broker.submit(order)
        assert broker.order_by_client_id(order.client_id).status == "open"
        broker.submit(order)
        stage.tick(broker)
        assert broker.positions() == {"S0": pytest.approx(3.0)}
    assert [one["kind"] for one in bridge.messages] == ["order", "status"]


def test_across_a_restart_an_order_without_an_answer_is_still_asked_for(tmp_path, bridge):
    bridge.answers, bridge.loses = [503], True  # and it has not done it
    with opened(tmp_path, bridge) as stage:
        order = order_of(stage)
        with contextlib.closing(stage.open()) as broker, pytest.raises(UnreachableError):
            broker.submit(order)
        with contextlib.closing(stage.open()) as broker:
            assert broker.order_by_client_id(order.client_id) is None
            bridge.loses = False
            assert broker.submit(order).status == "open"
    assert [one["kind"] for one in bridge.messages] == ["order", "status", "order"]


def test_a_bridge_that_cannot_say_leaves_the_order_unknown(tmp_path, bridge):
    bridge.answers, bridge.mute = [504], True
    with opened(tmp_path, bridge) as stage, contextlib.closing(stage.open()) as broker:
        with pytest.raises(UnreachableError):
            broker.submit(order_of(stage))
        with pytest.raises(UnreachableError, match="does not say"):
            broker.order_by_client_id("a/b/1/2026/1")


def test_a_bridge_that_is_at_another_address_says_what_to_set(tmp_path, bridge):
    bridge.answers = [308]
    with (
        opened(tmp_path, bridge) as stage,
        contextlib.closing(stage.open()) as broker,
        pytest.raises(UnreachableError, match=r"answered 308, another address.*broker\.url is to be that one"),
    ):
        broker.submit(order_of(stage))


class Silent(Bridge):
    """Says nothing of what it has done, or knows no such question."""

    def take(self, headers, body):
        status, content = super().take(headers, body)
        return (404 if self.messages[-1]["kind"] == "status" and not self.mute else status), content


@contextlib.contextmanager
def account(folder, bridge):
    """Yield who trades an account whose orders this bridge takes, its switch, and the closes of its market."""
    world, keys = a_world(risk=compose(["risk=default"]).risk), folder / "keys"
    keys.write_text(f"WEBHOOK_SECRET={SECRET}\n")
    given = {"keys_file": str(keys), "timeout_seconds": 30.0, "listen": None, "confirm_seconds": 60.0}
    ledger = Ledger(folder, synchronous="normal")
    ledger.open("noise", "test", {"of": "tests"})
    with bridging(bridge) as url, contextlib.closing(ledger):
        spec = load("trading.brokers", "webhook").Settings(name="webhook", url=url, **given)
        broker = load("trading.brokers", "webhook").open_broker(Opening(folder, world.env, 1, "normal", spec=spec))
        trader = Trader("noise", "test", world.mind, world.env, world.risk, ledger, broker)
        with contextlib.closing(broker):
            yield trader, Switch(folder), world.feed().closes(None)


@pytest.mark.parametrize("mute", [True, False])
def test_an_order_of_which_the_bridge_never_says_anything_expires_and_people_are_told_to_look(tmp_path, mute):
    bridge = Silent(answers=[200, 500, 500], mute=mute)
    with account(tmp_path, bridge) as (trader, switch, closes):
        ledger = trader.ledger
        loop.run(trader, itertools.islice(closes, 8), switch, told=lambda close: None)
        first = ledger.intents()[0]
        assert (first.status, first.filled) == ("expired", 0.0)
        assert [one["id"] for one in bridge.messages if one["kind"] == "order"].count(first.client_id) == 1
        assert ledger.state() == ("trading", "")
        (told,) = [one for one in ledger.interventions() if one["rule"] == "orders"]
        assert (told["action"], told["symbols"], told["numbers"]) == ("unknown", [first.symbol], {"units": first.units})
        (post,) = ledger.untold()
        assert "may have been carried out or not" in post.text
        assert ledger.positions() == trader.broker.positions()


class Away(Bridge):
    """Does what it is told, and its answers are lost while it is away; `hears` says whether what is said to it is too."""

    away, hears = False, True

    def take(self, headers, body):
        if self.away and not self.hears:
            return 503, {}
        status, content = super().take(headers, body)
        return (503 if self.away else status), content


def played(folder, bridge, *, away, bars=4, before=lambda bar, folder: None):
    """Return fills, interventions and messages of an account whose bridge is away at some closes."""
    folder.mkdir()
    with account(folder, bridge) as (trader, switch, closes):
        for bar, close in enumerate(itertools.islice(closes, bars)):
            bridge.away = bar in away
            before(bar, folder)
            loop.on_close(trader, close, switch)
        return trader.ledger.fills(), trader.ledger.interventions(), bridge.messages


def test_an_order_without_an_answer_that_the_bridge_has_done_is_filled_at_its_own_bar(tmp_path):
    calm, _, _ = played(tmp_path / "calm", Away(), away=())
    assert played(tmp_path / "once", Away(), away=(0,))[0] == calm
    fills, told, _ = played(tmp_path / "long", Away(), away=(0, 1))
    first = calm[0].bar
    assert [one for one in fills if one.bar == first] == [one for one in calm if one.bar == first]
    assert [one["rule"] for one in told] == ["unknown_account"]  # where it could not be asked nothing was decided


@pytest.mark.parametrize("away", [(0,), (0, 1)])
def test_a_freeze_takes_back_what_the_bridge_has_not_answered_for(tmp_path, away):
    def freeze(bar, folder):
        if bar == 1:
            throw(folder, "freeze")

    fills, told, messages = played(tmp_path / "account", Away(), away=away, before=freeze)
    orders, back = ([one["id"] for one in messages if one["kind"] == kind] for kind in ("order", "cancel"))
    assert sorted(back) == sorted(orders)
    if away == (0,):
        assert fills == []
    else:
        assert told[0]["numbers"] == {"not_taken_back": float(len(orders))}
    assert [one["kind"] for one in messages].count("weights") == 1  # a halted account asks for nothing


@pytest.mark.parametrize("word", ["freeze", "flatten"])
def test_what_a_deaf_bridge_could_not_take_back_is_asked_for_until_it_hears(tmp_path, word):
    """It was asked once, and what had been stopped was carried out hours after the bridge was back."""
    bridge = Away()
    bridge.hears = False
    with account(tmp_path, bridge) as (trader, switch, closes):
        loop.on_close(trader, next(closes), switch)
        orders = [one["id"] for one in bridge.messages if one["kind"] == "order"]
        bridge.away = True
        throw(tmp_path, word)
        loop.tend(trader, switch)
        (told,) = trader.ledger.interventions()
        assert told["numbers"] == {"not_taken_back": float(len(orders))}
        bridge.away = False
        loop.tend(trader, switch)
        loop.tend(trader, switch)
        loop.on_close(trader, next(closes), switch)
        assert sorted(one["id"] for one in bridge.messages if one["kind"] == "cancel") == sorted(orders)
        assert {one.status for one in trader.ledger.intents()} == {"cancelled"}
        assert trader.broker.positions() == {}


def test_an_account_that_closes_all_asks_for_no_weight_and_a_halted_one_for_nothing(tmp_path):
    def flatten(bar, folder):
        if bar == 2:
            throw(folder, "flatten")

    _, _, messages = played(tmp_path / "account", Away(), away=(), bars=12, before=flatten)
    told = [set(one["weights"].values()) for one in messages if one["kind"] == "weights"]
    assert 0.0 not in told[1]
    assert told[2:] == [{0.0}] * (len(told) - 2)
    assert 3 <= len(told) < 12


@pytest.mark.parametrize("passed", [False, True])
def test_an_order_that_did_not_arrive_is_sent_again_before_its_bar_has_passed_and_not_after_it(tmp_path, passed):
    bridge = Away()
    bridge.hears = False
    with account(tmp_path, bridge) as (trader, switch, closes):
        bridge.away = True
        loop.on_close(trader, next(closes), switch)
        loop.tend(trader, switch)
        assert {one.status for one in trader.ledger.intents()} == {"sending"}
        bridge.away = False
        trader = dataclasses.replace(trader, reached=lambda bar: "2030-01-01" if passed else bar)
        loop.tend(trader, switch)
        assert {one.status for one in trader.ledger.intents()} == {"expired" if passed else "open"}
        loop.tend(trader, switch)
    orders = [one["id"] for one in bridge.messages if one["kind"] == "order"]
    assert len(orders) == len(set(orders)) == (0 if passed else 3)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_of_the_bridge_is_for_good(tmp_path, bridge, status):
    bridge.answers = [status]
    with opened(tmp_path, bridge) as stage, contextlib.closing(stage.open()) as broker:
        with pytest.raises(RejectedError):
            broker.submit(order_of(stage))
        stage.tick(broker)
        assert broker.positions() == {}


def test_an_order_is_confirmed_by_a_fresh_signal_of_its_side_and_closing_needs_none(tmp_path, bridge):
    with opened(tmp_path, bridge, listen="127.0.0.1:0") as stage, contextlib.closing(stage.open()) as broker:
        signals = broker._broker._signals
        with pytest.raises(RejectedError, match="no signal"):
            broker.submit(order_of(stage))
        signals.hear(b'{"secret": "signal", "symbol": "X:S0", "side": "sell"}')
        with pytest.raises(RejectedError, match="no signal"):
            broker.submit(order_of(stage, number=2))
        signals.hear(b'{"secret": "signal", "symbol": "X:S0", "side": "buy"}')
        broker.submit(order_of(stage, number=3))
        stage.tick(broker)
        signals.hear(b'{"secret": "signal", "symbol": "X:S0", "side": "flat"}')
        broker.submit(order_of(stage, units=-3.0, number=4))
    assert [one["id"][-1] for one in bridge.messages] == ["3", "4"]


@pytest.mark.usefixtures("undisturbed")
def test_signals_come_in_over_http_and_only_with_the_secret():
    now = [0.0]
    signals = Signals("127.0.0.1", 0, "signal", seconds=60.0, now=lambda: now[0])

    def post(body):
        request = urllib.request.Request(f"http://127.0.0.1:{signals.port}/", data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    with contextlib.closing(signals):
        assert post(b'{"secret": "other", "symbol": "BTCUSD", "side": "buy"}') == 401
        assert post(b'{"symbol": "BTCUSD", "side": "buy"}') == 400
        assert post(b'{"secret": "signal", "symbol": "BTCUSD", "side": "up"}') == 400
        assert post(b" " * (LARGEST + 1)) == 413
        assert post(b"[" * LARGEST) == 400  # nested deeper than anything can be read
        assert post(b'{"secret": "\\ud800", "symbol": "BTCUSD", "side": "buy"}') == 400  # half a letter
        assert not signals.confirms("BTC-USD", 1.0)
        assert post(b'{"secret": "signal", "symbol": "BINANCE:BTCUSD", "side": "buy"}') == 200
        assert signals.confirms("BTC-USD", 1.0)
        assert not signals.confirms("BTC-USD", -1.0)
        assert not signals.confirms("ETH-USD", 1.0)
        now[0] = 60.1
        assert not signals.confirms("BTC-USD", 1.0)


@pytest.mark.parametrize("length", ["10", "\u00b2", "9" * 5000])
def test_who_hangs_up_or_tells_no_length_leaves_no_traceback_on_the_console(capfd, length):
    with contextlib.closing(Signals("127.0.0.1", 0, "signal", seconds=60.0)) as signals:
        before = set(threading.enumerate())

        def served():
            return set(threading.enumerate()) - before

        with socket.create_connection(("127.0.0.1", signals.port)) as half:
            half.sendall(f"POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n".encode("latin-1"))
            if length == "10":
                until(served, 10.0)
            else:
                assert half.recv(12) == b"HTTP/1.0 413"
            half.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )  # so that it is told of the end
        until(lambda: not served(), 10.0)
    assert capfd.readouterr() == ("", "")


def test_without_a_url_or_a_secret_it_is_refused(tmp_path, bridge, monkeypatch):
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    with opened(tmp_path, bridge, keys_file=None) as stage, pytest.raises(ConfigError, match="WEBHOOK_SECRET"):
        stage.open()
    with (
        paper(
            tmp_path, "webhook", url=None, keys_file=None, timeout_seconds=1.0, listen=None, confirm_seconds=1.0
        ) as stage,
        pytest.raises(ConfigError, match=r"broker\.url"),
    ):
        stage.open()


@pytest.mark.parametrize("url", ["http://", "https:///hook", "http://[::1", "http://host:99999/", "https://a b/"])
def test_what_is_no_url_of_the_web_is_refused_before_anything_is_decided(tmp_path, bridge, url):
    keys = tmp_path / "keys"
    keys.write_text(f"WEBHOOK_SECRET={SECRET}\n")
    given = {"keys_file": str(keys), "timeout_seconds": 1.0, "listen": None, "confirm_seconds": 1.0}
    with paper(tmp_path, "webhook", url=url, **given) as stage, pytest.raises(ConfigError, match=r"broker\.url"):
        stage.open()
    with pytest.raises(ConfigError, match="HOOK holds what is no URL"):
        channels_of(webhook_env="HOOK", apprise_env=None, say=print, environ={"HOOK": f"https://host/a {url}"})


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "192.0.2.1:0"])
def test_where_signals_cannot_be_listened_for_it_is_refused(tmp_path, bridge, listen):
    with opened(tmp_path, bridge, listen=listen) as stage, pytest.raises(ConfigError, match="cannot be had") as error:
        stage.open()
    assert listen in error.value.message


def test_a_bridge_whose_answer_has_no_end_has_not_answered(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"WEBHOOK_SECRET={SECRET}\n")
    given = {"keys_file": str(keys), "timeout_seconds": 0.2, "listen": None, "confirm_seconds": 1.0}
    with (
        endless() as url,
        paper(tmp_path, "webhook", url=url, **given) as stage,
        contextlib.closing(stage.open()) as broker,
        pytest.raises(UnreachableError, match="ReadTimeout"),
    ):
        broker.submit(order_of(stage))


@pytest.mark.usefixtures("undisturbed")
def test_an_answer_that_is_nested_without_an_end_says_nothing(tmp_path, bridge):
    assert _object(b"[" * 100_000) == {}


def test_pine_steps_through_the_newest_weights():
    first = dt.datetime(2020, 1, 1)
    weights = {(first + dt.timedelta(days=n)).isoformat(): n / 10_000 for n in range(LONGEST + 5)}
    script = pine_of('agent"; bad', "BTC-USD", weights)
    stamps, values = (line.partition("array.from(")[2].rstrip(")").split(", ") for line in script.splitlines()[2:4])
    assert len(stamps) == len(values) == LONGEST
    assert int(stamps[0]) == int((first + dt.timedelta(days=5)).replace(tzinfo=dt.UTC).timestamp() * 1000)
    assert float(values[-1]) == pytest.approx((LONGEST + 4) / 10_000)
    assert script.splitlines()[1] == 'indicator("WealthArena agent bad BTC-USD", overlay = false)'
    assert "array.new<int>()" in pine_of("a", "b", {})
