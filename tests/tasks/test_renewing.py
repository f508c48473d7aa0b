"""Retraining beside the trading: when it is due, one at a time, the gate after it, and who is told."""

import datetime as dt
import sys
import time

import pytest

from wealtharena.config import compose
from wealtharena.tasks.renewing import FILE, Renewing

BEGIN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def make(tmp_path):
    made = []

    def _make(*overrides, codes=(0, 0), at=BEGIN):
        spec = compose(["task=paper", "asset=crypto", *overrides])
        told, clock = [], [at]
        run = iter(codes)
        one = Renewing(
            spec,
            tmp_path,
            lambda: clock[0],
            lambda title, text: told.append(title),
            command=lambda step: [sys.executable, "-c", f"print('{step}'); raise SystemExit({next(run)})"],
        )
        made.append(one)
        return one, told, clock

    yield _make
    for one in made:
        one.close()


def finish(one):
    until = time.monotonic() + 60
    while one._process is not None and time.monotonic() < until:
        one.look(drifted=False)
        time.sleep(0.02)
    assert one._process is None


def test_by_the_calendar_the_first_is_due_so_many_days_after_the_account_was_opened(make, tmp_path):
    one, told, clock = make("paper.retrain=calendar", "paper.retrain_days=30")
    one.look(drifted=True)
    clock[0] += dt.timedelta(days=29)
    one.look(drifted=True)
    assert told == []
    clock[0] += dt.timedelta(days=1)
    one.look(drifted=False)
    assert told == ["retraining begins"]
    finish(one)
    assert told == ["retraining begins", "retrained"]
    assert (tmp_path / "retrain-train.log").read_text() == "train\n"
    assert (tmp_path / "retrain-deploy.log").read_text() == "deploy\n"
    one.look(drifted=False)
    assert len(told) == 2
    again, more, _ = make("paper.retrain=calendar", "paper.retrain_days=30", at=clock[0] + dt.timedelta(days=1))
    again.look(drifted=False)
    assert more == []


def test_on_drift_once_in_so_many_days(make):
    one, told, clock = make("paper.retrain=drift", "paper.retrain_days=30", codes=(0, 0, 0, 0))
    one.look(drifted=False)
    assert told == []
    one.look(drifted=True)
    finish(one)
    one.look(drifted=True)
    assert told == ["retraining begins", "retrained"]
    clock[0] += dt.timedelta(days=31)
    one.look(drifted=True)
    assert told[2:] == ["retraining begins"]


@pytest.mark.parametrize(
    ("codes", "said"), [((1,), "the retraining failed"), ((0, 2), "the gate kept the retrained version back")]
)
def test_what_fails_or_is_kept_back_is_told(make, codes, said):
    one, told, _ = make("paper.retrain=drift", codes=codes)
    one.look(drifted=True)
    finish(one)
    assert told == ["retraining begins", said]


def test_by_default_nothing_is_trained(make, tmp_path):
    one, told, _ = make()
    one.look(drifted=True)
    assert told == []
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("step", ["train", "deploy"])
def test_its_commands_can_be_composed_and_go_through_the_gate(make, step):
    one, _, _ = make("paper.retrain=drift", "paths.checkpoints=/somewhere/a b")
    command = one._command(step)
    spec = compose(command[3:])
    assert spec.task == step
    assert spec.paths.checkpoints == "/somewhere/a b"
    assert spec.deploy.force_reason is None
    if step == "train":
        assert spec.train.retrain == "cryptocurrencies"
