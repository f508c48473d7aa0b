"""Who starts an account at Alpaca is told which of its shares are not traded there as they are to be."""

import re

import pytest

from tests.trading.conformance import DAYS, OPEN, alpaca_broker
from tests.trading.exchange import Exchange
from tests.trading.serving import serving
from wealtharena.trading import answers
from wealtharena.trading.alpaca.words import told_of_assets, told_of_steps

PLAIN = {"status": "active", "tradable": True, "fractionable": True, "shortable": True}
SHARES = {"AAPL": 190.0, "BRK.B": 480.0, "ODD": 12.0}


@pytest.mark.parametrize(
    ("row", "whole", "shorts", "words"),
    [
        (PLAIN, False, True, []),
        (PLAIN | {"shortable": False}, False, False, []),
        (PLAIN | {"fractionable": False}, True, False, []),
        ({}, False, True, []),  # nothing is told of it
        (None, False, False, ["does not know AAA, BBB"]),
        (PLAIN | {"tradable": False}, False, False, ["does not trade AAA, BBB at present"]),
        (PLAIN | {"status": "inactive"}, True, False, ["does not trade AAA, BBB at present"]),
        (
            PLAIN | {"fractionable": False},
            False,
            False,
            ["AAA, BBB in whole shares only: .*lot_sizes={AAA: 1, BBB: 1}'"],
        ),
        (PLAIN | {"shortable": False}, False, True, ["lends no AAA, BBB"]),
        (PLAIN | {"fractionable": False, "shortable": False}, False, True, ["whole shares", "lends no AAA"]),
    ],
)
def test_what_hinders_a_share_is_one_sentence_a_reason(row, whole, shorts, words):
    told = told_of_assets({"AAA": row, "BBB": row, "CCC": PLAIN}, whole=lambda name: whole, shorts=shorts)
    assert len(told) == len(words)
    for sentence, expected in zip(told, words, strict=True):
        assert re.search(expected, sentence)
        assert "CCC" not in sentence


class Listing(Exchange):
    """An exchange that tells of its assets as Alpaca does."""

    listed = {"AAPL": PLAIN, "BRK.B": PLAIN | {"fractionable": False}}

    def handle(self, method, path, query, body, headers):
        head, _, name = path.removeprefix("/v2/").partition("/")
        if head != "assets":
            return super().handle(method, path, query, body, headers)
        known = self.listed.get(name)
        return (200, known) if known else (404, {"code": 40410000, "message": f"asset not found for {name}"})


@pytest.mark.parametrize(
    ("kind", "symbols", "words"),
    [
        (Listing, ("BRK-B", "AAPL", "ODD"), ["does not know ODD", "trades BRK-B in whole shares only"]),
        (Listing, ("AAPL",), []),
        (Exchange, ("BRK-B", "AAPL"), []),  # one that does not say
    ],
)
def test_the_server_is_asked_where_an_account_begins(tmp_path, kind, symbols, words):
    exchange = kind(SHARES, OPEN, DAYS)
    with serving(exchange) as url:
        broker = alpaca_broker(exchange, url, tmp_path, symbols)
        told = answers.warned(broker)
        broker.close()
    assert len(told) == len(words)
    assert all(expected in sentence for sentence, expected in zip(told, words, strict=True))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"min_trade_increment": "0.000000001"}, []),
        ({"min_trade_increment": None}, []),
        ({"min_trade_increment": "0.0001"}, ["BTC-USD in larger steps: .*lot_sizes={BTC-USD: 0.0001}'"]),
        ({"tradable": False}, ["does not trade BTC-USD at present"]),
        (None, []),
    ],
)
def test_of_coins_it_is_told_which_are_not_traded_and_in_which_steps(tmp_path, row, words):
    """They are asked for by their names without a stroke, which would be another address."""
    exchange = Listing({"BTC/USD": 60_000.0}, OPEN, filling=None)
    exchange.listed = {} if row is None else {"BTCUSD": PLAIN | row}
    with serving(exchange) as url:
        broker = alpaca_broker(exchange, url, tmp_path, ("BTC-USD",))
        told = answers.warned(broker)
        broker.close()
    assert len(told) == len(words)
    assert all(re.search(expected, sentence) for sentence, expected in zip(told, words, strict=True))


@pytest.mark.parametrize(
    ("lot", "step", "told"),
    [
        (0.0, "0.01", 1),
        (0.05, "0.01", 0),
        (0.3, "0.1", 0),
        (0.015, "0.01", 1),
        (1.0, "10", 1),
        (0.001, "x", 0),
        (0.0, "0", 0),
    ],
)
def test_lots_of_whole_steps_fit_and_no_others(lot, step, told):
    found = told_of_steps({"A": {"min_trade_increment": step}, "B": None}, lot=lambda name: lot, finest=1e-9)
    assert len(found) == told
