"""Retraining beside the trading: when it is due, one at a time, the gate after it, and who is told."""

import datetime as dt
import json
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.registry.shelf import place
from tests.tasks.conftest import record
from wealtharena.config import compose
from wealtharena.data import fixings
from wealtharena.registry import ModelCheckpoint
from wealtharena.registry.history import Pointer, now
from wealtharena.tasks import renewing
from wealtharena.tasks.renewing import FILE, Renewing

BEGIN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def make(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(Renewing, "_in_production", lambda self, version: version == "good")

    def _make(*overrides, codes=(0, 0), at=BEGIN, version="good"):
        spec = compose(["task=paper", "asset=crypto", *overrides])
        told, clock = [], [at]
        run = iter(codes)
        one = Renewing(
            spec,
            tmp_path,
            lambda: clock[0],
            lambda title, text: told.append(title),
            command=lambda step, folder: [
                sys.executable,
                "-c",
                f"import pathlib; here = pathlib.Path({str(folder)!r}); here.mkdir(exist_ok=True);"
                f" (here / 'run.json').write_text('{{\"run_id\": \"{version}\"}}');"
                f" print('{step}'); raise SystemExit({next(run)})",
            ],
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


@pytest.mark.slow
def test_a_retraining_that_does_not_hear_is_ended_all_the_same(make, tmp_path, monkeypatch):
    monkeypatch.setattr(renewing, "END_SECONDS", 0.5)
    one, _, _ = make("paper.retrain=drift")
    deaf = "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path({!r}).touch(); time.sleep(600)"
    one.command = lambda step, folder: [sys.executable, "-c", deaf.format(str(tmp_path / "deaf"))]
    one.look(drifted=True)
    process, until = one._process, time.monotonic() + 60
    while not (tmp_path / "deaf").exists() and time.monotonic() < until:
        time.sleep(0.02)
    one.close()
    assert process.returncode == -signal.SIGKILL
    assert one._process is None


@pytest.mark.slow
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


@pytest.mark.slow
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
    ("codes", "version", "said"),
    [
        ((1,), "good", "the retraining failed"),
        ((0, 2), "good", "the gate kept the retrained version back"),
        ((0, 0), "unproven", "the gate kept the retrained version back"),  # on paper, where anything may go
    ],
)
def test_what_fails_or_is_kept_back_is_told(make, codes, version, said):
    one, told, _ = make("paper.retrain=drift", codes=codes, version=version)
    one.look(drifted=True)
    finish(one)
    assert told == ["retraining begins", said]


def never_ends(step, folder):
    return [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_retraining_that_is_stopped_with_its_process_is_told_and_begins_none_anew(make):
    """Of one that drift asked for nothing was heard again: an alarm is given once."""
    one, told, clock = make("paper.retrain=drift")
    one.command = never_ends
    one.look(drifted=True)
    one.close()
    assert told == ["retraining begins", "the retraining was cut off"]
    again, more, _ = make("paper.retrain=drift", at=clock[0] + dt.timedelta(hours=1))
    again.look(drifted=False)
    assert more == []


def test_a_retraining_whose_process_was_killed_is_told_at_the_next_start_once(make, tmp_path):
    one, told, clock = make("paper.retrain=calendar", "paper.retrain_days=30")
    one.look(drifted=False)
    clock[0] += dt.timedelta(days=31)
    one.command = never_ends
    one.look(drifted=False)
    assert told == ["retraining begins"]
    said = []
    for _ in range(2):  # the process is gone, and nobody has closed anything
        again, _, _ = make("paper.retrain=calendar", "paper.retrain_days=30", at=clock[0] + dt.timedelta(hours=1))
        again.tell = lambda title, text: said.append((title, text))
        again.look(drifted=False)
    ((title, text),) = said
    assert title == "the retraining was cut off"
    assert f"resume={tmp_path}/retrain-20250201-000000" in text


@pytest.mark.parametrize("codes", [(0, 0), (1,), (0, 2)])
def test_a_retraining_that_ended_is_not_said_to_be_cut_off(make, codes):
    one, _, clock = make("paper.retrain=drift", codes=codes)
    one.look(drifted=True)
    finish(one)
    again, more, _ = make("paper.retrain=drift", at=clock[0])
    again.look(drifted=False)
    assert more == []


def test_a_training_that_leaves_no_version_is_told_and_stops_nothing(make, tmp_path):
    one, told, _ = make("paper.retrain=drift", codes=(0, 0))
    one.command = lambda step, folder: [sys.executable, "-c", "pass"]
    one.look(drifted=True)
    finish(one)
    assert told == ["retraining begins", "the retraining failed"]
    one.look(drifted=False)


def test_a_retraining_that_cannot_be_noted_does_not_begin_and_stops_nothing(make, tmp_path):
    (tmp_path / FILE).mkdir()
    one, told, _ = make("paper.retrain=drift")
    for _ in range(2):
        one.look(drifted=True)
    assert told == ["no retraining can begin"]


def test_by_default_nothing_is_trained(make, tmp_path):
    one, told, _ = make()
    one.look(drifted=True)
    assert told == []
    assert not (tmp_path / FILE).exists()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["train", "deploy"])
def test_its_commands_can_be_composed_and_go_through_the_gate(make, step, tmp_path):
    one, _, _ = make("paper.retrain=drift", "paths.checkpoints=/somewhere/a b")
    (tmp_path / "run.json").write_text('{"run_id": "20260101-000000-abcdef"}')
    command = one._command(step, tmp_path)
    by_calendar, _, _ = make("paper.retrain=calendar", "paths.checkpoints=/somewhere/a b")
    assert by_calendar._command(step, tmp_path) == command  # whatever asked for it
    spec = compose([word for word in command[3:] if not word.startswith("hydra.")])
    assert spec.task == step
    assert spec.paths.checkpoints == "/somewhere/a b"
    assert spec.deploy.force_reason is None
    if step == "deploy":
        assert spec.deploy.checkpoints == ("20260101-000000-abcdef",)
    if step == "train":
        assert spec.train.retrain == "cryptocurrencies"


@pytest.mark.slow
def test_a_retraining_trains_for_real_and_its_result_goes_through_the_gate(small, tmp_path, monkeypatch):
    """The very commands, with less to do: a new version over newer data stands beside production, which the gate keeps."""
    tiny = ("train.env_steps=1024", "train.evaluations=1", "evaluation.bootstrap_draws=200", "compute.envs=16")
    nobody = ("data.rates.base_url=http://127.0.0.1:9", "data.rates.attempts=1")  # whom the retraining asks for rates
    _, first = small("data=ecb", "data.start=2016-01-01", "data.end=2022-12-30", *nobody, *tiny)
    store, agent = ModelCheckpoint("checkpoints"), "currency_pairs"
    old = store.load_checkpoint(agent, record(first)["run_id"])
    moment = now()
    pointer = Pointer(agent, "production", old.metadata.version, old.files.manifest_sha256, "promotable", False, moment)
    place(store.root, pointer)
    spec = compose(["task=paper", "asset=forex", "paper.retrain=calendar", "paper.retrain_days=30"])
    told, clock = [], [BEGIN]
    one = Renewing(spec, tmp_path / "account", lambda: clock[0], lambda title, text: told.append((title, text)))
    (tmp_path / "account").mkdir()
    plain = one._command
    one.command = lambda step, folder: [*plain(step, folder), *(tiny if step == "train" else ())]
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    one.look(drifted=False)  # the first is due so many days after this
    clock[0] += dt.timedelta(days=31)
    one.look(drifted=False)
    assert [title for title, _ in told] == ["retraining begins"]
    until = time.monotonic() + 400
    while one._process is not None and time.monotonic() < until:
        one.look(drifted=False)
        time.sleep(0.2)
    log = (tmp_path / "account" / "retrain-train.log").read_text()
    assert [title for title, _ in told[1:]] == ["the gate kept the retrained version back"], (told, log)
    assert ("the ECB's rates cannot be had" in log) is fixings.behind(dt.datetime.now(dt.UTC))
    (new,) = [row["version"] for row in store.list_checkpoints(agent) if row["version"] != old.metadata.version]
    metadata = json.loads(store.load_checkpoint(agent, new).files.content["metadata.json"])
    assert metadata["challenge"]["incumbent"] == old.metadata.version
    pointers = {
        stage: json.loads((store.root / agent / f"{stage}.json").read_text()) for stage in ("production", "paper")
    }
    assert pointers["production"]["version"] == old.metadata.version
    assert pointers["paper"]["version"] == new
    assert f"{new} is on paper" in told[1][1]
