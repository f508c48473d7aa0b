"""What people are to be told is told, whenever the process is killed, and each address is told once."""

import contextlib
import json
import os
import signal
import time

import pytest

from tests.trading.days import until
from tests.trading.killing import elsewhere
from wealtharena.config import compose
from wealtharena.tasks.watching import UNWATCHED, Watcher
from wealtharena.trading.alerts import Alerts
from wealtharena.trading.guard import Intervention
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.outbox import Outbox
from wealtharena.trading.reading import HEALTH

BAR = "2024-05-01T00:00:00.000000000"


class Channel:
    name = "channel"

    def __init__(self, address, *, down=False, took=lambda: None):
        self.address, self.down, self.took, self.heard, self.asked = address, down, took, [], 0

    def send(self, alert):
        self.asked += 1
        if self.down:
            raise RuntimeError("down")
        self.heard.append(alert.title.partition(": ")[2])
        self.took()


@contextlib.contextmanager
def watching(folder, *channels):
    """Watch the account as a process does that trades it."""
    spec = compose(["task=paper", "asset=crypto"])
    ledger = Ledger(folder, synchronous="normal")
    if ledger.facts() is None:
        ledger.open("cryptocurrencies", "default", {})
    alerts = Alerts(channels, outbox=Outbox(folder / FILE), pause=0.001)
    with (
        contextlib.closing(ledger),
        contextlib.closing(alerts),
        contextlib.closing(Watcher(spec, ledger, folder, baseline=UNWATCHED, alerts=alerts)) as watcher,
    ):
        yield ledger, watcher


def killed(work):
    process = elsewhere(work)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def told_at_the_next_start(folder, *channels):
    with watching(folder, *channels):
        pass


@pytest.mark.slow
def test_a_halt_that_was_written_before_a_kill_is_told_at_the_next_start_and_only_there(tmp_path):
    def work():
        with watching(tmp_path, Channel("a")) as (ledger, _):
            ledger.set_state("halted", "drawdown", bar=BAR)
            die()

    killed(work)
    first, second = Channel("a"), Channel("a")
    told_at_the_next_start(tmp_path, first)
    told_at_the_next_start(tmp_path, second)
    assert first.heard == ["halted at 2024-05-01"]
    assert second.heard == []


def test_a_halt_that_no_close_follows_is_told_when_the_process_ends(tmp_path):
    channel = Channel("a")
    with watching(tmp_path, channel) as (ledger, _):
        ledger.set_state("halted", "kill switch: freeze", bar=BAR)
    assert channel.heard == ["halted at 2024-05-01"]


@pytest.mark.slow
def test_a_kill_after_the_telling_may_have_it_told_once_more_and_never_not_at_all(tmp_path):
    def work():
        with watching(tmp_path, Channel("a", took=die)) as (ledger, watcher):
            ledger.set_state("halted", "drawdown", bar=BAR)
            watcher.pass_on()

    killed(work)
    channel = Channel("a")
    told_at_the_next_start(tmp_path, channel)
    assert channel.heard == ["halted at 2024-05-01"]


def test_a_session_that_was_missed_is_told_once_however_often_the_process_starts(tmp_path):
    """Each start before the next decision comes upon it: people were told again, and the record counted it again."""
    channel = Channel("a")
    for _ in range(3):
        with watching(tmp_path, channel) as (_, watcher):
            watcher.event(BAR, Intervention("bars", "missed", ("BTC-USD",), {}))
    with watching(tmp_path, channel) as (ledger, watcher):
        watcher.event(BAR.replace("-01T", "-02T"), Intervention("bars", "missed", ("BTC-USD",), {}))
        told = [(one["bar"][:10], one["action"]) for one in ledger.interventions()]
    assert told == [("2024-05-01", "missed"), ("2024-05-02", "missed")]
    assert channel.heard == ["bars missed at 2024-05-01", "bars missed at 2024-05-02"]


def test_hours_without_bars_are_told_once_a_day_and_all_recorded(tmp_path):
    """A week without a network is seven alerts and no hundred and sixty-eight."""
    channel, hours = (
        Channel("a"),
        [f"2024-05-{day:02}T{hour:02}:00:00.000000000" for day in (1, 2) for hour in range(5, 9)],
    )
    with watching(tmp_path, channel) as (ledger, watcher):
        for bar in hours:
            watcher.event(bar, Intervention("bars", "missed", ("BTC-USD", "ETH-USD"), {}))
        watcher.event(hours[-1], Intervention("bars", "missing", ("ETH-USD",), {}))
        recorded = [one["bar"] for one in ledger.interventions() if one["action"] == "missed"]
    assert recorded == hours
    assert channel.heard == [
        "bars missed at 2024-05-01 05:00",
        "bars missed at 2024-05-02 05:00",
        "bars missing at 2024-05-02 08:00",
    ]


def test_what_was_recorded_is_not_read_again_for_each_hour_that_was_missed(tmp_path, monkeypatch):
    """After months away thousands of hours come at once, and each read all before it, while the newest waited."""
    one, read = Intervention("bars", "missed", ("BTC-USD",), {}), []
    with watching(tmp_path, Channel("a")) as (ledger, watcher):
        interventions = ledger.interventions
        monkeypatch.setattr(ledger, "interventions", lambda: read.append(1) or interventions())
        for hour in (5, 6, 6, 7, 5):
            watcher.event(f"2024-05-01T{hour:02}:00:00.000000000", one)
        assert not read
        assert [row["bar"][11:13] for row in interventions()] == ["05", "06", "07"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["bars", "words"])
def test_every_kind_of_word_is_written_before_it_is_told(tmp_path, what):
    def work():
        with watching(tmp_path, Channel("a", took=die)) as (_, watcher):
            if what == "bars":
                watcher.event(BAR, Intervention("bars", "missed", (), {}))
            else:
                watcher.tell("retraining begins", "drift")

    killed(work)
    channel = Channel("a")
    told_at_the_next_start(tmp_path, channel)
    assert channel.heard == ["bars missed at 2024-05-01" if what == "bars" else "retraining begins"]


def test_an_address_that_is_down_is_told_later_and_no_other_is_told_again(tmp_path):
    good, down = Channel("good"), Channel("down", down=True)
    with watching(tmp_path, good, down) as (ledger, watcher):
        ledger.set_state("halted", "drawdown", bar=BAR)
        watcher.pass_on()
    assert (good.heard, good.asked, down.heard) == (["halted at 2024-05-01"], 1, [])
    down.down = False
    told_at_the_next_start(tmp_path, good, down)
    told_at_the_next_start(tmp_path, good, down, Channel("new", down=True))
    assert (good.asked, down.heard) == (1, ["halted at 2024-05-01"])


@pytest.mark.slow
def test_what_could_not_be_told_is_shown_before_the_next_close(tmp_path):
    """Who is told of nothing may look at the page or have Prometheus do so: the next close may be days away."""
    channel = Channel("a", down=True)

    def shown():
        watcher.tended()
        return json.loads((tmp_path / HEALTH).read_text())

    with watching(tmp_path, channel) as (ledger, watcher):
        before = shown()
        ledger.set_state("halted", "drawdown", bar=BAR)
        watcher.tended()
        until(lambda: shown()["alerts_failed"] == 1, 10.0)
        assert shown() == before | {"alerts_failed": 1}
        channel.down = False
        watcher.tell("retraining begins", "text")
        until(lambda: shown()["alerts_failed"] == 0, 10.0)
        assert shown()["written_at"] == before["written_at"]


def test_an_address_that_is_new_is_not_told_what_was(tmp_path):
    with watching(tmp_path, Channel("a")) as (ledger, _):
        ledger.set_state("halted", "drawdown", bar=BAR)
    new = Channel("new")
    told_at_the_next_start(tmp_path, Channel("a"), new)
    assert new.heard == []


def test_what_an_address_did_not_take_it_is_told_beside_the_next_alert(tmp_path):
    channel = Channel("a", down=True)
    alerts = Alerts([channel], pause=0.001)
    alerts.tell("x: first", "text")
    while channel.asked < 3:
        pass
    channel.down = False
    alerts.tell("x: second", "text")
    alerts.close()
    assert channel.heard == ["second", "first"]
    assert (alerts.sent, alerts.failed) == (2, 0)


@pytest.mark.parametrize("posted", [True, False])
def test_of_what_an_address_did_not_take_nothing_in_the_outbox_is_dropped_and_nothing_uncounted(monkeypatch, posted):
    monkeypatch.setattr("wealtharena.trading.alerts.MOST_WAITING", 3)
    channel, many = Channel("a", down=True), 5
    alerts = Alerts([channel], pause=0.0)
    for n in range(many):
        alerts.tell(f"x: {n}", "text", post=n if posted else None)
        while channel.asked < 3 * (n + 1):
            time.sleep(0.0001)
    channel.down = False
    alerts.tell("x: last", "text")
    alerts.close()
    kept = many if posted else 3
    assert channel.heard == ["last", *map(str, range(kept))]
    assert (alerts.sent, alerts.failed, alerts.lost) == (kept + 1, 0, many - kept)


def test_what_an_address_did_not_take_it_is_told_after_a_while_by_itself():
    channel = Channel("a", down=True)
    alerts = Alerts([channel], pause=0.001, again=0.02)
    channel.took = lambda: taken.append(1)
    taken = []
    alerts.tell("x: first", "text")
    while channel.asked < 3:
        pass
    channel.down = False
    for _ in range(500):
        if taken:
            break
        time.sleep(0.02)
    alerts.close()
    assert channel.heard == ["first"]
