"""A start of task=paper that is refused leaves nothing behind, neither of a new account nor in one that is there."""

import contextlib
import json
import shutil
import sqlite3

import pytest

from tests.tasks.test_backtest import checkpoint
from tests.tasks.test_paper import ACCOUNT, here, records, run, trade  # noqa: F401 - a fixture is found by its name
from wealtharena.errors import CheckpointError, ConfigError, WealthArenaError
from wealtharena.trading import minds
from wealtharena.trading.ledger import Ledger

pytestmark = pytest.mark.slow
DAYS = ("paper.start=2024-10-01", "paper.end=2024-10-10", "paper.monitor=false")
REFUSED = {
    "nothing is promoted": ((), CheckpointError),
    "no such checkpoint": (("paper.checkpoints=[nowhere]",), ConfigError),
    "damaged": (("paper.checkpoints=[damaged]",), CheckpointError),
    "of another agent": (("paper.checkpoints=[other]",), ConfigError),
    "no bar of today": (("paper.checkpoints=[mine]", "paper.feed=live"), ConfigError),
    "no dates": (("paper.checkpoints=[mine]", "paper.start=2031-01-01"), ConfigError),
    "the past at a broker outside": (("paper.checkpoints=[mine]", "broker=webhook"), ConfigError),
    "no such file": (("paper.checkpoints=[mine]", "data=files", "data.path=nothing.csv"), ConfigError),
    "no opens": (("paper.checkpoints=[mine]", "data=files", "data.path=closes.csv", "env.fill=next_open"), WealthArenaError),
}  # fmt: skip


@pytest.fixture
def places(here):  # noqa: F811 - the fixture
    for name in ("damaged", "other"):
        shutil.copytree(here / "mine", here / name)
    (here / "damaged" / "weights.pt").write_bytes(b"nothing")
    (here / "other" / "metadata.json").write_text(json.dumps({"agent": "etf", "asset": "etf"}))
    (here / "closes.csv").write_text("timestamp,symbol,close\n2024-10-01,BTC-USD,1\n2024-10-02,BTC-USD,2\n")
    return here


def content():
    """All rows of all tables of the account's files."""
    found = {}
    for path in sorted(ACCOUNT.glob("*.sqlite")):
        with contextlib.closing(sqlite3.connect(path)) as db:
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            found[path.name] = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    return found, sorted(path.name for path in ACCOUNT.iterdir() if not path.name.endswith(("-shm", "-wal")))


@pytest.mark.parametrize("why", REFUSED)
def test_no_account_is_begun(places, why):
    overrides, error = REFUSED[why]
    with pytest.raises(error) as refused:
        run(*overrides)
    assert refused.value.hint
    assert not ACCOUNT.exists()
    assert trade(*DAYS) == 0  # and what was wrong once stands in nobody's way


def test_an_account_that_is_there_stays_as_it_was_and_goes_on(places):
    trade(*DAYS)
    stood = content()
    for why, (overrides, error) in REFUSED.items():
        for action in ("run", "restart"):
            with pytest.raises(error):
                run(*overrides, f"paper.action={action}")
            assert content() == stood, (why, action)
    assert trade("paper.end=2024-10-20", DAYS[0], DAYS[2]) == 0
    found = records("paper")[-1]["paper"]
    assert (found["epoch"], found["bars"]) == (1, 20)
    assert found["largest_deviation"] < 1e-9


def test_what_fails_after_a_decision_is_kept(here, monkeypatch):  # noqa: F811 - the fixture
    real, bars = minds.Checkpoint.decide, []

    def decide(self, seen, memory):
        bars.append(seen.bar)
        if len(bars) == 5:
            raise WealthArenaError("it broke")
        return real(self, seen, memory)

    monkeypatch.setattr(minds.Checkpoint, "decide", decide)
    with pytest.raises(WealthArenaError, match="it broke"):
        trade(*DAYS)
    with contextlib.closing(Ledger(ACCOUNT)) as ledger:
        assert len(ledger.closes()) == 4
    assert trade(*DAYS) == 0
    with contextlib.closing(Ledger(ACCOUNT)) as ledger:
        assert (len(ledger.closes()), ledger.epoch) == (10, 1)


def test_a_folder_that_holds_something_else_keeps_it(places):
    ACCOUNT.mkdir(parents=True)
    (ACCOUNT / "notes.txt").write_text("mine")
    (ACCOUNT / "KILL").touch()
    with pytest.raises(ConfigError):
        trade("paper.feed=live")
    assert sorted(path.name for path in ACCOUNT.iterdir()) == ["KILL", "notes.txt"]
    checkpoint(places / "again")


@pytest.mark.parametrize("words", [(), ("paper.reason=",), ("paper.reason=' '",), ("paper.reason=seen",)])
def test_a_release_of_nothing_makes_no_folder_and_no_lock(here, words):  # noqa: F811 - the fixture
    before = sorted(here.rglob("*"))
    with pytest.raises(ConfigError) as refused:
        run("paper.action=release", *words)
    assert refused.value.hint
    assert sorted(here.rglob("*")) == before
