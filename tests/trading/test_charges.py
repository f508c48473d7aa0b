"""Money: what a bar that nobody looked at has cost stands at the next close, whatever was missed, and every account adds up."""

import contextlib
import json
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.days import days
from tests.trading.desks import a_world, account
from wealtharena.trading import figures, loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import FILE, STEPS, open_broker
from wealtharena.trading.database import connect
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

BARS = 14
WORLD = a_world()
CLOSES = list(WORLD.feed().closes(None))[:BARS]
some_bars = st.sets(st.integers(1, BARS - 2))


class Shy:
    """Does not say what is held at some bars."""

    def __init__(self, broker, bars):
        self._broker, self._bars = broker, bars

    def __getattr__(self, name):
        return getattr(self._broker, name)

    def positions(self):
        return None if self._broker.account().bar in self._bars else self._broker.positions()


def trade(folder, closes, *, shy=()):
    ledger = Ledger(folder, synchronous="normal")
    if ledger.facts() is None:
        ledger.open("noise", "test", {})
    broker = Shy(open_broker(Opening(folder, WORLD.env, 1, "normal")), shy)
    trader = Trader("noise", "test", WORLD.mind, WORLD.env, WORLD.risk, ledger, broker)
    with contextlib.closing(ledger), contextlib.closing(broker):
        loop.run(trader, closes, Switch(folder), told=lambda close: None)


@pytest.mark.slow
@settings(max_examples=10, derandomize=True)
@given(missed=some_bars, shy=some_bars, cut=st.integers(0, BARS))
def test_an_account_adds_up_whatever_was_missed(missed, shy, cut):
    """Cash is what it was opened with less what was bought and charged; no charge is lost where two bars come at once."""
    with tempfile.TemporaryDirectory() as place:
        folder, blind = Path(place), {CLOSES[n].bar for n in shy}
        seen = [close for n, close in enumerate(CLOSES) if n not in missed]
        trade(folder, seen[:cut], shy=blind)
        trade(folder, seen[cut:], shy=blind)  # another process
        found = account(folder)
        with contextlib.closing(Ledger(folder)) as ledger:
            path = figures.path_of(ledger, WORLD.features.panel.symbols, fill="next_open", bars_per_year=252.0)
    rows, fills = found["closes"], found["fills"]
    assert path.trades.value.tolist() == [one.units * one.price for one in fills]  # those of missed bars too
    assert [path.timestamps[bar] for bar in path.trades.bar] == [
        min(stamp for stamp in path.timestamps if stamp >= np.datetime64(one.bar)) for one in fills
    ]
    total = {name: sum(row[name] for row in rows) for name in ("traded", "costs", "financing", "dividends")}
    bought = sum(one.units * one.price for one in fills)
    charged = total["costs"] + total["financing"] - total["dividends"]
    assert rows[-1]["cash"] == pytest.approx(WORLD.env.initial_cash - bought - charged, rel=1e-9)
    assert total["costs"] == pytest.approx(sum(one.cost for one in fills), rel=1e-9)
    assert total["traded"] == pytest.approx(sum(abs(one.units * one.price) for one in fills), rel=1e-9)


def test_two_bars_at_once_are_charged_for_both(tmp_path):
    trade(tmp_path / "each", CLOSES[:4])
    trade(tmp_path / "both", [*CLOSES[:2], CLOSES[3]])
    each, both = account(tmp_path / "each")["closes"], account(tmp_path / "both")["closes"]
    assert both[2]["costs"] == each[2]["costs"] > 0.0  # what was ordered at the second close was filled at the third
    assert abs(both[2]["financing"]) > abs(each[2]["financing"]) > 0.0  # of two nights, not of the last


def test_a_file_of_before_keeps_what_was_charged_at_its_bar(tmp_path):
    trade(tmp_path / "new", CLOSES[:6])
    trade(tmp_path / "old", CLOSES[:5])
    path = tmp_path / "old" / FILE.format(epoch=1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (walker,) = db.execute("SELECT walker FROM account").fetchone()
        row = db.execute("SELECT traded, costs, financing, dividends FROM charges ORDER BY bar DESC").fetchone()
        charges = json.dumps(dict(zip(("traded", "costs", "financing", "dividends"), row, strict=True)))
        rows = db.execute("SELECT * FROM orders").fetchall(), db.execute("SELECT * FROM fills").fetchall()
    path.unlink()
    with contextlib.closing(connect(path, STEPS[:2])) as db:  # as it was two versions ago
        db.execute("INSERT INTO account VALUES (1, ?, ?)", (walker, charges))
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", rows[0])
        db.executemany("INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows[1])
    with contextlib.closing(open_broker(Opening(tmp_path / "old", WORLD.env, 1, "normal"))) as broker:
        told = broker.charges(CLOSES[3].bar)
    last = account(tmp_path / "old")["closes"][-1]
    assert told == {name: last[name] for name in ("traded", "costs", "financing", "dividends")}
    trade(tmp_path / "old", CLOSES[5:6])
    assert account(tmp_path / "old") == account(tmp_path / "new")


@pytest.mark.slow
def test_what_was_executed_at_a_bar_that_was_missed_is_no_slippage_of_a_later_one(tmp_path):
    """A rise of half from one open to the next was a price that was paid too little by a third."""
    with days(tmp_path, [[0.5]], closes=[100.0, 100.0, 150.0]) as day:
        day.run(1)
        day.morning()
        day.day += 1  # the process sleeps through its close
        day.run(1)
        assert [one["reference"] for one in day.ledger.slippage()] == []
        (fill,) = day.ledger.fills()
        assert (fill.bar, fill.price) == (day.ledger.last_close()["bar"], 100.0)
        day.run(1)
        assert [one["reference"] for one in day.ledger.slippage()] == [150.0]
