"""The trading view: what it shows of accounts, to whom, and its kill switch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deployment.conftest import HOSTILE
from tests.deployment.rooms import Client, client
from tests.registry.shelf import stocked
from tests.trading.desks import a_world, account, go
from wealtharena.deployment import board as board_module
from wealtharena.deployment import keys, page
from wealtharena.deployment.board import Board
from wealtharena.deployment.script import SCRIPT, SCRIPT_HASH
from wealtharena.deployment.watching_accounts import Accounts, changed
from wealtharena.trading import reading
from wealtharena.trading.guard import Intervention
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.reading import HEALTH
from wealtharena.trading.switch import FILE as KILL


@pytest.mark.slow
def test_the_page_says_what_is_traded_and_that_it_is_paper(service: Client, paper: Path) -> None:
    page = service.get("/trading").text
    found = account(paper / "cryptocurrencies" / "default")
    for text in (
        "Cryptocurrencies", "Paper", "no real money is at stake", "1 trading, 1 halted", "Positions", "Orders",
        f"{found['closes'][-1]['equity']:,.2f}", "symbol weight: shrink", "Halted", "role=status", "lang=en",
    ):  # fmt: skip
        assert text in page
    assert HOSTILE not in page
    assert page.count("<script") == 1
    assert "src=" not in page


@pytest.mark.slow
def test_an_account_that_trades_simulated_prices_is_marked(paper: Path, tmp_path: Path) -> None:
    assert "SIMULATED" not in Board(paper).page(keyed=False)
    go(paper / "etf" / "made_up", a_world(seed=3), source="simulated")
    assert "market simulator" in Board(paper).parts()["account-etf--made_up"]
    assert Board(paper).page(keyed=False).count("<span class='badge simulated'>SIMULATED</span>") == 1


def test_an_account_says_when_its_process_wrote_last(paper: Path) -> None:
    """Nobody is there to say that it has ended."""
    place = paper / "etf" / "second" / HEALTH
    assert "written" not in Board(paper).parts()["account-etf--second"]
    for told, shown in ((1_700_000_000.5, True), ("soon", False), (float("nan"), False), (1e300, False)):
        place.write_text(json.dumps({"written_at": told}))
        part = Board(paper).parts()["account-etf--second"]
        assert ("written <span class=whole>" in part) is shown
    place.write_text(json.dumps({"written_at": 1_700_000_000.5}))
    assert "2023-11-14 22:13 UTC" in Board(paper).parts()["account-etf--second"]


def test_orders_and_interventions_of_bars_within_the_day_tell_their_time(paper: Path) -> None:
    """Those of one day of an hourly account all bore its date."""
    part = Board(paper).parts()["account-cryptocurrencies--default"]
    days = len(re.findall(r"<td>\d{4}-\d\d-\d\d</td>", part))
    assert days
    with contextlib.closing(sqlite3.connect(paper / "cryptocurrencies" / "default" / FILE)) as ledger, ledger:
        for table in ("intents", "interventions"):
            ledger.execute(f"UPDATE {table} SET bar = replace(bar, 'T00:00', 'T14:30')")
    part = Board(paper).parts()["account-cryptocurrencies--default"]
    assert len(re.findall(r"<td>\d{4}-\d\d-\d\d 14:30</td>", part)) == days


def test_alerts_that_failed_or_were_dropped_are_told(service: Client, paper: Path) -> None:
    (paper / "etf" / "second" / HEALTH).write_text(json.dumps({"alerts_failed": 3, "alerts_lost": 7}))
    told, page = service.get("/metrics").text, service.get("/trading").text
    for name, words, count in (("failed", "could not be sent", 3), ("lost", "were dropped", 7)):
        assert f'account_alerts_{name}{{agent="etf",account="second"}} {count}\n' in told
        assert f"<td>Alerts that {words}</td><td>{count}</td>" in page


def test_its_policy_lets_in_one_script_and_the_other_pages_none(service: Client) -> None:
    policy = service.get("/trading").headers["content-security-policy"]
    assert f"script-src '{SCRIPT_HASH}'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert SCRIPT in service.get("/trading").text
    for path in ("/", "/docs", "/trading/accounts", "/nothing"):
        assert "script-src" not in service.get(path).headers["content-security-policy"]


def test_accounts_are_told_as_their_ledgers_have_them(service: Client, paper: Path) -> None:
    told = {one["agent"]: one for one in service.get("/trading/accounts").json()["accounts"]}
    assert set(told) == {"cryptocurrencies", "etf"}
    found = account(paper / "cryptocurrencies" / "default")
    one = told["cryptocurrencies"]
    assert one["equity"] == found["closes"][-1]["equity"]
    assert one["bars"] == len(found["closes"])
    assert {row["symbol"]: row["units"] for row in one["positions"]} == found["positions"]
    assert one["orders"][0]["status"] == found["intents"][-1].status
    assert (one["live"], one["state"], told["etf"]["state"]) == (False, "trading", "halted")


def test_the_line_of_equity_ends_at_the_last_close_however_long_it_is(paper: Path) -> None:
    (_, _, folder), _ = reading.accounts(paper)
    shown = reading.view("a", "b", folder)
    assert shown is not None
    closes = account(folder)["closes"]
    assert [value for _, value in shown.line] == [row["equity"] for row in closes]
    db = sqlite3.connect(folder / FILE)
    for n in range(1000):
        db.execute(
            "INSERT INTO closes SELECT epoch, ?, equity + ?, cash, traded, costs, financing, dividends, positions, marks, "
                "flow, scale, told "
            "FROM closes WHERE bar = ?", (f"2021-{n:04d}", float(n), closes[-1]["bar"]),
        )  # fmt: skip
    db.commit()
    db.close()
    longer = reading.view("a", "b", folder)
    assert longer is not None
    assert 100 < len(longer.line) <= 240
    assert longer.line[-1] == ("2021-0999", closes[-1]["equity"] + 999.0)


def test_reading_changes_nothing_and_works_where_nothing_may_be_written(paper: Path) -> None:
    (_, _, folder), _ = reading.accounts(paper)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert reading.view("a", "b", folder) is not None
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert reading.view("a", "b", folder) is not None
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_reader_does_not_block_the_one_who_trades(paper: Path) -> None:
    """Case 23."""
    (_, _, folder), _ = reading.accounts(paper)
    ledger = Ledger(folder)
    with reading._reading(folder / FILE) as db:
        db.execute("SELECT count(*) FROM closes").fetchone()
        ledger.set_state("halted", "while somebody reads")
        assert ledger.state()[0] == "halted"
    shown = reading.view("a", "b", folder)
    assert shown is not None
    assert shown.state == "halted"
    ledger.close()


def test_without_accounts_it_says_how_to_get_one(tmp_path: Path) -> None:
    stocked(tmp_path)
    for folder in (None, tmp_path / "nowhere"):
        page = client(tmp_path, paper=folder).get("/trading").text
        assert "No account yet" in page
        assert "task=paper" in page


def test_a_kill_switch_needs_a_key_and_the_right_one(paper: Path, tmp_path: Path) -> None:
    stocked(tmp_path)
    path, body = "/trading/cryptocurrencies/default/kill", {"command": "flatten"}
    open_to_all = client(tmp_path, paper=paper)
    refused = open_to_all.request("POST", path, json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "API key" in refused.json()["message"]
    assert "serve.action=create_key" in open_to_all.get("/trading").text
    secret = keys.create_key(tmp_path / "keys.json", "alice")
    service = client(tmp_path, paper=paper)
    assert service.request("POST", path, json=body).status_code == 401
    assert service.get("/trading").status_code == 401
    switch = paper / "cryptocurrencies" / "default" / KILL
    assert not switch.exists()
    service.headers = {"x-api-key": secret}
    thrown = service.request("POST", path, json=body)
    assert (thrown.status_code, thrown.json()["command"]) == (202, "flatten")
    assert switch.read_text().strip() == "flatten"
    assert "The kill switch is thrown" in service.get("/trading").text
    assert secret not in service.get("/trading").text
    assert "type=password" in service.get("/trading").text
    assert service.audit[-4]["command"] == "flatten"


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/trading/cryptocurrencies/other/kill", {"json": {"command": "freeze"}}, 404),
        ("/trading/nobody/default/kill", {"json": {"command": "freeze"}}, 404),
        ("/trading/%2e%2e/default/kill", {"json": {"command": "freeze"}}, 422),
        ("/trading/cryptocurrencies/default/kill", {"json": {"command": "sell"}}, 422),
        ("/trading/cryptocurrencies/default/kill", {"json": {}}, 422),
        ("/trading/cryptocurrencies/default/kill", {"content": "command=freeze"}, 415),
        (
            "/trading/cryptocurrencies/default/kill",
            {"content": "{", "headers": {"content-type": "application/json"}},
            422,
        ),
        (
            "/trading/cryptocurrencies/default/kill",
            {
                "content": '{"command": "freeze", "\\u0063ommand": "flatten"}',
                "headers": {"content-type": "application/json"},
            },
            422,
        ),
    ],
)
def test_what_is_no_order_to_an_account_throws_nothing(
    paper: Path, tmp_path: Path, path: str, given: dict[str, Any], status: int
) -> None:
    stocked(tmp_path)
    secret = keys.create_key(tmp_path / "keys.json", "alice")
    service = client(tmp_path, paper=paper)
    service.headers = {"x-api-key": secret}
    assert service.request("POST", path, **given).status_code == status
    assert list(paper.rglob(KILL)) == []


@pytest.mark.slow
def test_an_account_that_cannot_be_read_has_its_switch(paper: Path, tmp_path: Path) -> None:
    stocked(tmp_path)
    (paper / "etf" / "second" / FILE).write_bytes(b"no database" * 100)
    secret = keys.create_key(tmp_path / "keys.json", "alice")
    service = client(tmp_path, paper=paper)
    service.headers = {"x-api-key": secret}
    page = service.get("/trading").text
    (path,) = re.findall("data-path='(/trading/etf/second/kill)'", page)
    assert "how it stands is not known" in page
    assert service.request("POST", path, json={"command": "freeze"}).status_code == 202
    assert (paper / "etf" / "second" / KILL).read_text().strip() == "freeze"


@pytest.mark.slow
def test_a_thrown_switch_is_obeyed(tmp_path: Path) -> None:
    world, folder = a_world(), tmp_path / "cryptocurrencies" / "default"
    board, seen = Board(tmp_path), []

    def told(close: Any) -> None:
        seen.append(close.bar)
        if len(seen) == 20:
            assert board.throw("cryptocurrencies", "default", "freeze")

    go(folder, world, told=told)
    found = account(folder)
    assert found["state"] == ("halted", "kill switch: freeze")
    assert max(one.bar for one in found["intents"]) == seen[19]


def told(event: bytes) -> dict[str, str]:
    """Return the parts that an event sends."""
    (data,) = (line for line in event.splitlines() if line.startswith(b"data: "))
    found: dict[str, str] = json.loads(data.removeprefix(b"data: "))
    return found


def test_events_tell_what_has_changed_and_no_more(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wealtharena.deployment.watching_accounts.EVERY_SECONDS", 0.01)
    monkeypatch.setattr("wealtharena.deployment.watching_accounts.STREAM_SECONDS", 20.0)
    view = Accounts(Board(paper), lambda: False)

    async def listen() -> list[bytes]:
        heard: list[bytes] = []
        async for event in view._events():
            heard.append(event)
            if len(heard) == 3:
                ledger = Ledger(paper / "cryptocurrencies" / "default")
                ledger.set_state("halted", "looked odd")
                ledger.close()
            if b"looked odd" in event:
                return heard
        return heard

    heard = asyncio.run(listen())
    assert heard[0].startswith(b"retry:")
    first, last = (told(one) for one in (heard[1], heard[-1]))
    assert set(first) == {"totals", "account-cryptocurrencies--default", "account-etf--second"}
    assert set(last) == {"totals", "account-cryptocurrencies--default"}
    assert set(heard[2:-1]) <= {b"event: still\ndata: 0\n\n"}


def test_a_stream_ends_by_itself_so_that_a_server_can_stop(
    paper: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("wealtharena.deployment.watching_accounts.STREAM_SECONDS", 0.0)
    stocked(tmp_path)
    answer = client(tmp_path, paper=paper).get("/trading/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.count("data: {") == 1


def test_a_browser_that_asks_anew_is_sent_what_has_changed_since(
    paper: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("wealtharena.deployment.watching_accounts.STREAM_SECONDS", 0.0)
    stocked(tmp_path)
    service = client(tmp_path, paper=paper)

    def ask(last: str) -> tuple[str, str]:
        answer = service.get("/trading/stream", headers={"last-event-id": last}).text
        return answer, "".join(re.findall(r"^id: (.*)$", answer, re.MULTILINE))

    whole, name = ask("")
    assert "event: still" in ask(name)[0]
    assert "data: {" not in ask(name)[0]
    assert ask("of another server")[0] == whole
    ledger = Ledger(paper / "etf" / "second")
    ledger.intervene("2026-01-02T00:00:00", [Intervention("disk", "missed", (), {})])
    ledger.close()
    answer, newer = ask(name)
    assert set(told(answer.encode())) == {"account-etf--second"}
    assert "event: still" in ask(newer)[0]
    monkeypatch.setattr("wealtharena.deployment.watching_accounts.MAX_NAME", 10)
    assert ask("")[1] == ""


def test_an_account_is_read_and_drawn_once_for_all_who_look_and_again_when_it_changes(
    paper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        shutil.copytree(paper / "etf" / "second", paper / "etf" / f"copy{number}")
    made: list[tuple[str, str]] = []

    def counted(name: str) -> None:
        real = getattr(board_module, name)
        monkeypatch.setattr(board_module, name, lambda view: made.append((name, view.key)) or real(view))

    counted("_account")
    read = reading.view
    monkeypatch.setattr(reading, "view", lambda *place: made.append(("view", "/".join(place[:2]))) or read(*place))
    board = Board(paper)
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(lambda _: board.parts(), range(4)))
    assert all(look == looks[0] for look in looks)
    assert len(looks[0]) == 1 + 6
    assert len(made) == len(set(made)) == 2 * 6
    board.page(keyed=True)
    board.views()
    assert len(made) == 2 * 6
    (paper / "etf" / "copy2" / KILL).write_text("freeze")
    assert changed(looks[0], board.parts()).keys() == {"account-etf--copy2"}
    assert made[2 * 6 :] == [("view", "etf/copy2"), ("_account", "etf/copy2")]


def test_parts_that_are_as_they_were_are_not_sent_again() -> None:
    assert changed({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {"b": "3", "c": "4"}


@given(middle=st.floats(0.2, 5.0), share=st.floats(1e-6, 0.9))
def test_the_marks_of_an_account_that_hardly_moved_can_be_told_apart(middle: float, share: float) -> None:
    drawn = page.chart(["2026-01-01", "2026-01-02"], {"account": [middle * (1 - share), middle * (1 + share)]})
    marks = re.findall(r"text-anchor=end>([\d.-]+)</text>", drawn)[:-1]  # the last one is a date
    assert len(set(marks)) == len(marks) >= 3
