"""Odd things in the places of task=paper: each is one line with a way out, or trading goes on, and nothing is lost."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.tasks.test_paper import ACCOUNT, here, ledger_says, records, run, trade  # noqa: F401 - a fixture is found by its name
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.tasks import accounts
from wealtharena.trading import loop
from wealtharena.trading.database import LedgerError
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.reading import HEALTH

pytestmark = pytest.mark.slow
DAYS = ("paper.start=2024-10-01", "paper.end=2024-10-10", "paper.monitor=false")


def _root_is_a_file():
    Path("paper").write_text("x")


def _account_is_a_file():
    ACCOUNT.parent.mkdir(parents=True)
    ACCOUNT.write_text("x")


def _lock_is_a_folder():
    (ACCOUNT.parent / ".lock").mkdir(parents=True)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (_root_is_a_file, "paper/cryptocurrencies cannot be used: .*Not a directory"),
        (_account_is_a_file, "default is no folder"),
        (_lock_is_a_folder, "paper/cryptocurrencies cannot be used: .*Is a directory"),
    ],
)
def test_a_place_that_no_account_can_be_in_is_refused_with_a_way_out(here, odd, said):  # noqa: F811 - the fixture
    odd()
    with pytest.raises(ConfigError, match=said) as refused:
        trade(*DAYS)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("days", "given", "of", "said"),
    [
        (10, None, "broker-1", r"has closed 2024-10-10, and broker-1\.sqlite of its broker is not there"),
        (10, 0, "broker-1", r"has closed 2024-10-10, and broker-1\.sqlite of its broker is not there"),
        (3, 3, "broker-1", r"has closed 2024-10-10, and broker-1\.sqlite of its broker stands at 2024-10-03"),
        (3, 3, "ledger", "the broker's file stands at 2024-10-10T00:00:00, and the ledger goes on at 2024-10-04"),
    ],
    ids=["gone", "emptied", "an older broker", "an older ledger"],
)
def test_a_file_without_the_other_of_its_moment_is_refused(here, days, given, of, said):  # noqa: F811 - the fixture
    kept = ACCOUNT / f"{of}.sqlite"
    trade(*DAYS[::2], f"paper.end=2024-10-{days:02d}")
    shutil.copy(kept, here / "old")
    trade(*DAYS)
    kept.unlink()
    if given is not None:
        kept.write_bytes((here / "old").read_bytes() if given else b"")
    with pytest.raises(WealthArenaError, match=said) as refused:
        trade(*DAYS[::2], "paper.end=2024-10-20")
    assert "restore both files as they were at one moment" in refused.value.hint
    assert trade(*DAYS[::2], "paper.end=2024-10-20", "paper.action=restart") == 0


def test_a_script_that_cannot_be_written_beside_the_account_says_why(here):  # noqa: F811 - the fixture
    trade(*DAYS)
    for symbol in ("BTC-USD", "ETH-USD"):
        (ACCOUNT / f"weights-{symbol}.pine").mkdir()
    with pytest.raises(ConfigError, match=r"default cannot be used: .*Is a directory"):
        run("paper.action=pine")
    assert run("paper.action=status") == 0


def test_a_ledger_that_was_taken_away_is_not_begun_anew_over_what_its_broker_keeps(here):  # noqa: F811 - the fixture
    trade(*DAYS)
    kept = ACCOUNT / "ledger.sqlite"
    shutil.move(kept, here / "away")
    for action in ("run", "restart"):
        with pytest.raises(ConfigError, match=r"no record in its ledger, and broker-1\.sqlite") as refused:
            trade("paper.end=2024-10-20", *DAYS[::2], f"paper.action={action}")
        assert "restore ledger.sqlite" in refused.value.hint
    shutil.move(here / "away", kept)
    trade(*DAYS[::2], "paper.end=2024-10-20")
    ledger = Ledger(ACCOUNT)
    assert len(ledger.closes()) == 20
    assert ledger.epoch == 1
    ledger.close()
    assert records("paper")[-1]["paper"]["largest_deviation"] < 1e-9


@pytest.mark.parametrize("file", ["ledger.sqlite", "broker-1.sqlite"])
def test_a_damaged_file_of_an_account_is_named_in_a_line(here, file):  # noqa: F811 - the fixture
    trade(*DAYS)
    path = ACCOUNT / file
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    for action in ("run", "restart", "status", "release")[: 4 if file == "ledger.sqlite" else 1]:
        with pytest.raises(LedgerError, match=rf"^{file}: .*malformed") as refused:
            trade(*DAYS[::2], "paper.end=2024-10-20", f"paper.action={action}", "paper.reason=seen")
        assert "restore the file" in refused.value.hint
    path.write_bytes(content)
    assert trade(*DAYS) == 0


def test_of_an_empty_ledger_nothing_is_said_but_that(here):  # noqa: F811 - the fixture
    trade(*DAYS)
    (ACCOUNT / "ledger.sqlite").write_bytes(b"")
    for action in ("status", "pine", "release"):
        with pytest.raises(ConfigError, match="no record in its ledger"):
            trade(*DAYS, f"paper.action={action}", "paper.reason=seen")
    (ACCOUNT / "broker-1.sqlite").unlink()
    with pytest.raises(ConfigError, match=r"there is no paper\.account=default"):
        trade(*DAYS, "paper.action=status")


def test_numbers_that_cannot_be_written_stop_no_trading(here, caplog):  # noqa: F811 - the fixture
    (ACCOUNT / HEALTH).mkdir(parents=True)
    assert trade(*DAYS) == 0
    ledger = Ledger(ACCOUNT)
    assert len(ledger.closes()) == 10
    ledger.close()
    assert caplog.text.count(f"{HEALTH} cannot be written") == 1


def test_dates_that_leave_nothing_are_named_as_they_were_written(here):  # noqa: F811 - the fixture
    with pytest.raises(ConfigError, match=r"^paper\.start=2024-11-01 and paper\.end=2024-10-01 leave 0 bars"):
        trade("paper.start=2024-11-01", "paper.end=2024-10-01")


@pytest.mark.parametrize("begun", [True, False])
def test_people_are_told_of_an_account_that_has_traded_and_stops_by_an_error(here, monkeypatch, capsys, begun):  # noqa: F811 - the fixture
    if begun:
        trade(*DAYS)

    def broken(trader, close, switch):
        raise RuntimeError("https://hooks.example/secret")

    monkeypatch.setattr(loop, "on_close", broken)
    capsys.readouterr()
    with pytest.raises(RuntimeError):
        trade("paper.end=2024-10-20", *DAYS[::2])
    said = " ".join(capsys.readouterr().out.split())
    assert ("cryptocurrencies/default: stopped by an error: RuntimeError. Nothing is decided" in said) is begun
    assert "secret" not in said


def test_an_account_that_an_older_version_opened_goes_on_and_learns_the_keys_that_came_since(here, caplog):  # noqa: F811 - the fixture
    trade(*DAYS)
    with contextlib.closing(sqlite3.connect(ACCOUNT / "ledger.sqlite", isolation_level=None)) as db:
        (facts,) = (json.loads(told) for (told,) in db.execute("SELECT facts FROM accounts"))
        now = facts["env"].pop("no_trade_band"), facts.pop("feed"), facts["risk"]["gross"].pop("max_net")
        db.execute("UPDATE accounts SET facts = ?", (json.dumps(facts | {"gone since": 1}),))
    further = (DAYS[0], "paper.end=2024-10-14", DAYS[2])
    assert trade(*further) == 0
    assert (
        "paper.account=default is older than risk.gross.max_net; env.no_trade_band; feed: as now from here on"
        in caplog.text
    )
    learnt = ledger_says(lambda ledger: ledger.facts())
    assert (learnt["env"]["no_trade_band"], learnt["feed"], learnt["risk"]["gross"]["max_net"]) == now
    assert learnt["first"] == facts["first"]
    with pytest.raises(
        ConfigError, match=r"env\.no_trade_band was [\d.]+, is 0\.77; risk\.gross was \{.*\}, is None; name"
    ):
        trade(*further, "env.no_trade_band=0.77", "risk.gross=null")


@pytest.mark.parametrize(("before", "now"), [({}, {"few": {"symbols": 1}}), ({"few": {"symbols": 1}}, {})])
def test_a_rule_of_a_package_that_is_put_on_or_taken_off_is_another_account(before, now):
    facts = [{"policy": "0" * 64, "risk": {"own": own, "allow_live": False}} for own in (before, now)]
    (found,) = accounts._otherwise(*facts)
    assert found.startswith("risk.own.few was ")
