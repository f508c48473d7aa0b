"""What the trading view says where an account cannot be shown, or a switch does not do what is asked for."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.deployment.rooms import Client, client
from tests.registry.shelf import stocked
from tests.trading.test_outbox import watching
from wealtharena.deployment import keys
from wealtharena.deployment.board import Board
from wealtharena.deployment.page import chart
from wealtharena.deployment.style import STYLE
from wealtharena.trading.broker import Fill
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.reading import HEALTH
from wealtharena.trading.switch import FILE as KILL
from wealtharena.trading.switch import Switch

RULES = Path(__file__).parents[2] / "examples" / "prometheus" / "alerts.yml"


def edited(statement: str) -> Callable[[Path, Path], None]:
    """Return what makes a ledger that somebody has changed by hand out of a good one."""

    def make(good: Path, broken: Path) -> None:
        shutil.copy(good, broken)
        with contextlib.closing(sqlite3.connect(broken, isolation_level=None)) as db:
            db.execute(statement)

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda good, broken: broken.write_bytes(b""),
        lambda good, broken: broken.write_bytes(b"no database" * 100),
        edited("UPDATE accounts SET facts = '{'"),
        edited("UPDATE accounts SET facts = '[1]'"),
        edited("UPDATE closes SET equity = 'much'"),
        edited("UPDATE closes SET positions = '[]'"),
        edited("UPDATE intents SET units = 'many'"),
        edited("UPDATE interventions SET numbers = '', symbols = '3'"),
    ],
)
def test_an_account_that_cannot_be_read_is_named_and_keeps_no_other_back(
    service: Client, paper: Path, make: Callable[[Path, Path], None]
) -> None:
    broken = paper / "commodities" / "default"
    broken.mkdir(parents=True)
    make(paper / "cryptocurrencies" / "default" / FILE, broken / FILE)
    (paper / "a b").mkdir()
    (paper / "a b" / "c").mkdir()
    (paper / "a b" / "c" / FILE).touch()
    told = service.get("/trading/accounts").json()
    assert [one["agent"] for one in told["accounts"]] == ["cryptocurrencies", "etf"]
    assert told["unreadable"] == ["commodities/default"]
    page = service.get("/trading").text
    assert "of commodities/default cannot be read" in page
    (shown,) = re.findall("data-shown='([^']*)'", page)
    assert set(re.findall("<div id='(account-[^']*)'>", page)) == set(shown.split())  # no card without its place
    assert "account-commodities--default" in shown.split()
    lines = re.findall(r"wealtharena_account_unreadable\{agent=\"(.*)\",.*\} (.)", service.get("/metrics").text)
    assert lines == [("cryptocurrencies", "0"), ("etf", "0"), ("commodities", "1")]
    shutil.rmtree(paper / "cryptocurrencies")
    shutil.rmtree(paper / "etf")
    assert "No account yet" not in service.get("/trading").text
    shutil.rmtree(broken)
    assert "No account yet" in service.get("/trading").text


def test_a_large_account_is_told_to_the_cent_and_to_the_unit(service: Client, paper: Path) -> None:
    large = edited("""UPDATE closes SET equity = 501856585.95, positions = '{"X": 1234567.8}', marks = '{"X": 2.0}'""")
    ledger = paper / "cryptocurrencies" / "default" / FILE
    ledger.rename(paper / "before")
    large(paper / "before", ledger)
    assert 'account_equity{agent="cryptocurrencies",account="default"} 501856585.95\n' in service.get("/metrics").text
    page = service.get("/trading").text
    assert "501,856,585.95" in page
    assert "<td>1,234,568</td><td>2,469,135.60</td>" in page


def test_a_switch_that_is_thrown_by_whatever_cannot_be_read_is_shown_as_it_is_obeyed(paper: Path) -> None:
    board, folder = Board(paper), paper / "cryptocurrencies" / "default"

    def shown() -> list[str | None]:
        found = [view.switch for view in board.views() if view.agent == "cryptocurrencies"]
        assert found == [Switch(folder).thrown()]
        return found

    assert shown() == [None]
    (folder / KILL).symlink_to("nowhere")
    assert shown() == ["freeze"]
    (folder / KILL).unlink()
    (folder / KILL).mkdir()
    assert shown() == ["freeze"]
    (folder / KILL).rmdir()
    assert shown() == [None]
    (folder / KILL).write_text("flatten\n")
    assert shown() == ["flatten"]


def test_a_switch_that_would_do_nothing_or_cannot_be_thrown_is_not_said_to_be_thrown(
    paper: Path, tmp_path: Path
) -> None:
    stocked(tmp_path)
    secret = keys.create_key(tmp_path / "keys.json", "alice")
    service = client(tmp_path, paper=paper)
    service.headers = {"x-api-key": secret}
    halted, trading = "/trading/etf/second/kill", "/trading/cryptocurrencies/default/kill"
    answer = service.request("POST", halted, json={"command": "flatten"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "release it" in answer.json()["message"]
    assert list(paper.rglob(KILL)) == []
    assert service.request("POST", halted, json={"command": "freeze"}).status_code == 202
    switch = paper / "cryptocurrencies" / "default" / KILL
    assert service.request("POST", trading, json={"command": "freeze"}).status_code == 202
    answer = service.request("POST", trading, json={"command": "flatten"})  # whoever froze was told that it acts
    assert answer.status_code == 409
    assert "thrown already, to freeze" in answer.json()["message"]
    assert switch.read_text() == "freeze\n"
    switch.unlink()
    switch.mkdir()
    assert service.request("POST", trading, json={"command": "flatten"}).status_code == 409  # it freezes, as a folder
    answer = service.request("POST", trading, json={"command": "freeze"})
    assert answer.status_code == 503
    assert "throw it at the machine" in answer.json()["message"]
    assert str(tmp_path) not in answer.text


def test_a_number_that_is_none_is_null_and_the_answer_json(service: Client, paper: Path) -> None:
    with contextlib.closing(sqlite3.connect(paper / "etf" / "second" / FILE, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO interventions SELECT NULL, epoch, '2021-01-01', 'a', 'b', '[]', ? FROM accounts",
            ['{"x": NaN}'],
        )
    told = json.loads(service.get("/trading/accounts").text, parse_constant=pytest.fail)
    assert told["accounts"][1]["interventions"][0]["numbers"] == {"x": None}


def test_an_account_that_is_begun_anew_has_no_equity_before_its_first_close(service: Client, paper: Path) -> None:
    """It was told as an equity of 0, which is what an alert on a loss waits for."""
    gauge = 'wealtharena_account_equity{agent="etf",account="second"}'
    assert gauge in service.get("/metrics").text
    ledger = Ledger(paper / "etf" / "second")
    ledger.open("etf", "second", {"currency": "USD"})
    ledger.close()
    told, part = service.get("/metrics").text, Board(paper).parts()["account-etf--second"]
    assert gauge not in told
    assert 'wealtharena_account_drawdown{agent="etf",account="second"}' not in told
    assert 'wealtharena_account_closes{agent="etf",account="second"} 0\n' in told
    assert "no close yet" in part
    assert "<dt>Equity" not in part


def test_what_monitors_said_of_before_is_not_shown_of_an_account_that_is_traded_again(
    service: Client, paper: Path
) -> None:
    """Until its first close, a day live, another version was shown with the alarms of the one before."""
    folder, gauge = paper / "etf" / "second", 'wealtharena_account_features_index{agent="etf",account="second"}'
    (folder / HEALTH).write_text(json.dumps({"features_index": 0.9, "features_limit": 0.3, "alarms": ["features"]}))
    assert f"{gauge} 0.9" in service.get("/metrics").text
    with watching(folder):
        assert gauge not in service.get("/metrics").text
        assert 'wealtharena_account_written_at{agent="etf",account="second"}' in service.get("/metrics").text


def test_the_rules_of_prometheus_ask_for_what_is_told(service: Client, paper: Path) -> None:
    """An alert on a figure that nobody tells never fires."""
    folder = paper / "etf" / "second"
    of_health = ("written_at", "alerts_failed", "alerts_lost", "order_errors")
    of_monitors = [f"{name}_{part}" for name in ("features", "actions") for part in ("index", "limit")]
    numbers = dict.fromkeys([*of_health, *of_monitors, "record_sum", "record_limit"], 1.0)
    (folder / HEALTH).write_text(json.dumps(numbers))
    (folder / KILL).write_text("freeze\n")
    told = service.get("/metrics").text
    known = {line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")}
    groups = yaml.safe_load(RULES.read_text())["groups"]
    asked = {name for one in groups for rule in one["rules"] for name in re.findall(r"wealtharena_\w+", rule["expr"])}
    assert len(asked) > 12
    assert asked <= known
    assert 'wealtharena_account_kill_switch{agent="etf",account="second"} 1\n' in told
    assert 'wealtharena_account_kill_switch{agent="cryptocurrencies",account="default"} 0\n' in told


def test_an_account_that_is_closing_all_is_told_of(service: Client, paper: Path) -> None:
    """Neither halted nor traded: one that cannot close, for want of bars or answers, was no figure."""
    ledger = Ledger(paper / "etf" / "second")
    ledger.set_state("reducing", "drawdown")
    ledger.close()
    told = service.get("/metrics").text
    assert 'wealtharena_account_closing{agent="etf",account="second"} 1\n' in told
    assert 'wealtharena_account_closing{agent="cryptocurrencies",account="default"} 0\n' in told


def test_what_was_executed_since_the_last_close_is_told_beside_what_was_held_there(
    service: Client, paper: Path
) -> None:
    """An account that had closed all stood with all its positions until the next session, under "nothing is held any more"."""
    place = paper / "cryptocurrencies" / "default"
    assert "booked since" not in service.get("/trading").text
    ledger = Ledger(place)
    held = ledger.positions()
    sold = [
        Fill(10**6 + n, f"sold{n}", None, "", name, -units, 1.0, 1.0, 0.0)
        for n, (name, units) in enumerate(held.items())
    ]
    ledger.book(sold[1:])
    told = {one["agent"]: one for one in service.get("/trading/accounts").json()["accounts"]}["cryptocurrencies"]
    first = sold[0].symbol
    assert told["held"] == {first: held[first]}
    assert {one["symbol"]: one["units"] for one in told["positions"]} == held
    gauge = 'wealtharena_account_positions{agent="cryptocurrencies",account="default"}'
    assert f"{gauge} 1\n" in service.get("/metrics").text
    assert f"What was booked since then leaves {held[first]:,.6g} {first}." in service.get("/trading").text
    ledger.book(sold)
    ledger.close()
    assert f"{gauge} 0\n" in service.get("/metrics").text
    page = service.get("/trading").text
    assert "Positions at the last close" in page
    assert "What was booked since then leaves nothing." in page


def test_what_is_held_and_not_traded_is_worth_what_nobody_knows(service: Client, paper: Path) -> None:
    """It was worth 0.00."""
    ledger = paper / "cryptocurrencies" / "default" / FILE
    ledger.rename(paper / "before")
    edited("""UPDATE closes SET positions = '{"TSLA": 5.0}'""")(paper / "before", ledger)
    assert "<td>TSLA</td><td>5</td><td>–</td><td>–</td>" in service.get("/trading").text
    told = {one["agent"]: one for one in service.get("/trading/accounts").json()["accounts"]}["cryptocurrencies"]
    assert told["positions"] == [{"symbol": "TSLA", "units": 5.0, "value": None}]


def test_what_rounds_to_nothing_from_below_is_nothing_and_times_say_of_which_clock(
    service: Client, paper: Path
) -> None:
    ledger = paper / "cryptocurrencies" / "default" / FILE
    ledger.rename(paper / "before")
    lower = "UPDATE closes SET equity = equity - 1e-6, cash = -1e-6 WHERE bar = (SELECT max(bar) FROM closes)"
    edited("UPDATE closes SET equity = 1000.0")(paper / "before", paper / "even")
    edited(lower)(paper / "even", ledger)
    page = service.get("/trading").text
    assert "\u22120.00" not in page
    assert "<dt>Cash</dt><dd>0.00</dd>" in page
    assert "Times of the day are UTC." in page


def test_orders_that_are_rounding_hide_none_that_is_one(service: Client, paper: Path) -> None:
    """A tilt at rest orders a millionth of a share at each close, and nothing else was to be seen."""
    with contextlib.closing(sqlite3.connect(paper / "cryptocurrencies" / "default" / FILE)) as ledger, ledger:
        held = dict(ledger.execute("SELECT rowid, abs(units) FROM intents"))
        rounding = sorted(held)[-20:]
        ledger.executemany("UPDATE intents SET units = 1e-9 WHERE rowid = ?", [(row,) for row in rounding])
    told = {one["agent"]: one for one in service.get("/trading/accounts").json()["accounts"]}["cryptocurrencies"]
    assert len(told["orders"]) == 10
    assert [abs(one["units"]) for one in told["orders"]] == [held[row] for row in sorted(held)[-30:-20]][::-1]
    assert "1e\u221209" not in service.get("/trading").text


def test_how_a_halted_account_trades_again_is_told_with_it_alone(paper: Path) -> None:
    parts = Board(paper).parts()
    assert "paper.action=release" in parts["account-etf--second"]
    assert "paper.action=release" not in parts["account-cryptocurrencies--default"]


def test_why_an_order_was_refused_is_told_once_beneath_the_orders(service: Client, paper: Path) -> None:
    """The page said `rejected`, and the broker's words stood in the JSON alone."""
    with contextlib.closing(sqlite3.connect(paper / "cryptocurrencies" / "default" / FILE)) as ledger, ledger:
        (symbol,) = ledger.execute("SELECT symbol FROM intents ORDER BY rowid DESC LIMIT 1").fetchone()
        ledger.execute("UPDATE intents SET status = 'rejected', note = '<b>restricted</b>' WHERE symbol = ?", (symbol,))
        ledger.execute("UPDATE intents SET status = 'filled', note = 'made smaller' WHERE symbol <> ?", (symbol,))
    page = service.get("/trading").text
    assert page.count(f"<p class=facts>{symbol}, rejected: &lt;b&gt;restricted&lt;/b&gt;</p>") == 1
    assert "made smaller" not in page


@pytest.mark.parametrize("ends", [1.3, 1.003, 12.5, 123.0])
def test_the_marks_of_a_line_fit_beside_it_on_a_telephone(ends: float) -> None:
    """Those of three digits, of an account that had hardly moved, were cut."""
    drawn = chart(["2026-01-01", "2026-01-02"], {"equity": [1.0, ends]})
    marks = re.findall(r"<text x=([\d.]+) y=[\d.]+ text-anchor=end>([\d.]+)</text>", drawn)
    size = float(re.search(r"520px\).*\.chart text\{font-size:(\d+)px", STYLE).group(1))
    assert len(marks) >= 3
    assert all(float(x) >= 0.64 * size * (len(text) - 0.5) for x, text in marks)  # a point is half as wide as a digit
