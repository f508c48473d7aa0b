"""The monitors of an account by hand: when they look, what they share, what they say once, and when a sum alarms."""

import json
import logging

import numpy as np
import pytest

from wealtharena.trading.monitor import drift, sequential, watch
from wealtharena.trading.monitor.drift import BINS, Reference
from wealtharena.trading.monitor.sequential import Limit, Promise, Sum
from wealtharena.trading.monitor.watch import Baseline, Monitors, Window

PROMISE, CALM = Promise(sharpe=1.0, deviation=0.01, bars_per_year=100.0), Limit(0.2, 0.05, 2.0)


def halves(limit: float = 0.5) -> Reference:
    """Return a training window of which half lay below zero; three sessions are compared with it."""
    shares = np.zeros((1, BINS))
    shares[0, :2] = 0.5
    return Reference(("f",), (np.array([0.0]),), shares, np.ones(1), limit, sessions=3, false_alarms=0.05)


def told(window: Window, *values: float) -> list[bool]:
    return [window.tell(np.full((2, 1), value)) for value in values]


def test_a_window_is_looked_at_when_it_is_full_and_each_session_counts_in_one():
    window = Window(halves())
    assert told(window, 1.0, 1.0, 1.0) == [False, False, True]
    assert window.worst == "f"
    assert told(window, 1.0, -1.0, 1.0) == [False, False, False]  # as in training, but for one
    assert window.index == pytest.approx((2 / 3 - 0.5) * np.log(4 / 3) + (1 / 3 - 0.5) * np.log(2 / 3))


def test_a_window_alarms_above_its_limit_and_not_at_it():
    index = halves().index(np.ones((3, 2, 1)))[0]
    assert [told(Window(halves(limit)), 1.0, 1.0, 1.0)[-1] for limit in (index * 0.999, index, index * 1.001)] == [
        True, False, False,
    ]  # fmt: skip


def test_a_value_on_the_edge_of_two_bins_lies_in_the_upper_as_it_did_in_training():
    """Weights are nothing most of the time, and that is an edge."""
    assert halves().counts(np.zeros((1, 2, 1)))[0, :2].tolist() == [0.0, 2.0]


def test_a_window_goes_on_where_it_stood_and_that_of_other_features_begins_anew():
    first, second = Window(halves()), Window(halves())
    told(first, 1.0, 1.0)
    second.load(json.loads(json.dumps(first.save())))
    assert told(second, 1.0) == [True]
    assert second.save() == {
        **first.save(),
        "sessions": 0,
        "counts": [[0.0] * BINS],
        "index": second.index,
        "worst": "f",
    }
    third = Window(halves())
    third.load({**first.save(), "counts": [[0.0] * BINS] * 2})
    assert told(third, 1.0) == [False]


def test_monitors_share_the_false_alarms_and_each_is_of_what_it_is_called(monkeypatch):
    asked = []

    def reference(training, names, *, bars_per_year, false_alarms, rng):
        asked.append((names, training.tolist(), false_alarms))

    def limit_of(excess, promise, *, false_alarms, rng):
        asked.append(("record", promise.sharpe, false_alarms))
        return CALM

    monkeypatch.setattr(drift, "reference", reference)
    monkeypatch.setattr(sequential, "limit_of", limit_of)
    about = {"bars_per_year": 252.0, "rng": np.random.default_rng(0), "false_alarms": 0.06}
    excess, features, actions = np.array([0.01, -0.02, 0.03]), np.ones((3, 2, 1)), np.full((3, 2), 0.5)
    Baseline.of(excess=excess, promised_sharpe=0.7, features=features, names=("f",), actions=actions, **about)
    each = pytest.approx(0.06 * 0.5 / 3)  # half of it is left to limits that are estimates
    assert asked == [
        ("record", 0.7, each),
        (("f",), features.tolist(), each),
        (("weight",), [[[0.5], [0.5]]] * 3, each),
    ]


def test_each_monitor_alarms_once_and_the_others_still_may(tmp_path):
    monitors = Monitors(
        Baseline((PROMISE, CALM), halves(), halves()), agent="etf", folder=tmp_path, alarmed=["features"]
    )
    seen = []
    for _ in range(6):
        found = monitors.tell(excess=-0.05, features=np.ones((2, 1)), weights=np.ones(2))
        seen.append([one.monitor for one in found])
    assert seen == [["record"], [], ["actions"], [], [], []]
    assert monitors.health()["alarms"] == ["actions", "features", "record"]


def test_a_sum_grows_by_what_a_return_lacks_of_the_promise_less_half_of_the_loss_that_is_looked_for():
    """A Sharpe ratio of 1 over 100 bars a year is 0.1 of a deviation a bar, and so is the loss."""
    total = Sum(PROMISE, Limit(0.2, 0.05, None))
    assert [(total.tell(excess), round(total.height, 9)) for excess in (0.0, 0.0, -0.001, 0.0, 0.02)] == [
        (False, 0.05), (False, 0.1), (True, 0.25), (True, 0.3), (False, 0.0),
    ]  # fmt: skip


def test_the_limit_is_passed_in_that_share_of_years_and_a_loss_found_after_its_median(monkeypatch):
    drifts = []

    def heights(standard, drift, *, bars, block, rng, draws=sequential.DRAWS):
        drifts.append((drift, bars))
        if drift < 0.0:  # of a promise that is kept: the highest of each path are 0, 1, 2, ...
            return np.stack([np.zeros(1001), np.arange(1001.0)])
        found = np.zeros((bars, 4))
        for path, bar in enumerate((199, 399, 499, 3999)):
            found[bar:, path] = 2000.0
        return found

    monkeypatch.setattr(sequential, "_heights", heights)
    excess = np.random.default_rng(0).normal(0, 0.01, 300)
    limit = sequential.limit_of(excess, PROMISE, false_alarms=0.1, rng=np.random.default_rng(1))
    assert limit.height == pytest.approx(1000 * 0.9**4)  # four years without an alarm
    assert limit.median_years == pytest.approx((400 + 500) / 2 / 100)
    assert drifts == [(pytest.approx(-0.05), 400), (pytest.approx(0.05), 4000)]


def test_numbers_are_written_once_a_second_and_a_folder_that_takes_none_is_said_once(tmp_path, caplog):
    now = [100.0]
    monitors = Monitors(Baseline(None, None, None), agent="etf", folder=tmp_path)

    def written(count: int, **how: bool) -> int:
        monitors.write({"count": count}, clock=lambda: now[0], **how)
        return json.loads((tmp_path / watch.HEALTH).read_text())["count"]

    assert [written(1), written(2), written(3, now=True)] == [1, 1, 3]
    now[0] += 1.0
    assert written(4) == 4
    monitors = Monitors(Baseline(None, None, None), agent="etf", folder=tmp_path / "taken")
    (tmp_path / "taken" / watch.HEALTH).mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            monitors.write({}, now=True)
    assert len([one for one in caplog.records if "cannot be written" in one.getMessage()]) == 1


def test_a_reference_is_of_windows_as_long_as_those_that_are_compared_and_seldom_passed_at_a_look(monkeypatch):
    sizes = []

    def psi(counts, shares):
        sizes.append(counts.sum())
        return np.array([[float(len(sizes))]])

    monkeypatch.setattr(drift, "_psi", psi)
    monkeypatch.setattr(drift, "DRAWS", 1001)
    rng = np.random.default_rng(0)
    training = rng.normal(size=(70, 3, 1))
    found = drift.reference(training, ("f",), bars_per_year=40.0, false_alarms=1 - 0.9**4, rng=rng)
    assert found is not None
    assert (found.sessions, set(sizes)) == (10, {30.0})  # of three symbols
    assert found.scale[0] == pytest.approx(1 + 1000 * 0.9)  # four looks a year
    assert found.limit == pytest.approx(1.0)
