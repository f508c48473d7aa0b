import copy
import errno
import gc
import json
import multiprocessing
import os
import pickle
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.config.specs.split import SplitSpec
from wealtharena.data.panel import Panel
from wealtharena.errors import FirewallError
from wealtharena.evaluation import firewall
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.evaluation.splits import make_folds
from wealtharena.evaluation.trials import History
from wealtharena.features.panel import FeaturePanel

HERE = Window("f" * 200, (("2022-01-01", "2022-12-31"),), ("A", "B"), "1d", simulated=False)
ME = RunIdentity(run_id="r1", config_hash="c1", agent="cryptocurrencies", purpose="train")


def folds(name="holdout", bars=120, **changes):
    values = {
        "validation_share": 0.2,
        "test_share": 0.2,
        "purge_bars": 2,
        "embargo_bars": 3,
        "folds": 4,
        "test_folds": 2,
        "window": "expanding",
    }
    return make_folds(SplitSpec(name=name, **(values | changes)), bars)


def arrays(features):
    yield features.values
    for field in fields(Panel):
        value = getattr(features.panel, field.name)
        if isinstance(value, np.ndarray):
            yield value


def test_the_bars_before_the_first_row_go_with_a_view_that_begins_there():
    features = worlds.features(140)
    late = replace(features.slice(20, 140), lead=features.panel.slice(0, 20))
    for name in ("holdout", "walk_forward", "cpcv"):
        for fold in folds(name):
            view = firewall.training_view(late, fold).features
            seen = {float(x) for x in view.with_lead().close[:, 0]}
            assert (float(features.panel.close[19, 0]) in seen) is (fold.train[0].start == 0)
            for segment in fold.test:
                assert not seen & {float(x) for x in late.panel.close[segment.start : segment.stop, 0]}


@pytest.mark.parametrize("name", ["holdout", "walk_forward", "cpcv"])
def test_the_training_view_holds_no_test_row_and_owns_its_memory(name):
    features = worlds.features(120)
    for fold in folds(name):
        view = firewall.training_view(features, fold)
        seen = {float(x) for x in view.features.panel.close[:, 0]}
        for segment in fold.test:
            assert not seen & {float(x) for x in features.panel.close[segment.start : segment.stop, 0]}
        for array in arrays(view.features):
            assert array.base is None
            assert not array.flags.writeable
        for before, after in zip((*fold.train, fold.validation), (*view.train, view.validation), strict=True):
            assert np.array_equal(
                features.values[before.start : before.stop], view.features.values[after.start : after.stop]
            )
            assert np.array_equal(
                features.panel.timestamps[before.start : before.stop],
                view.features.panel.timestamps[after.start : after.stop],
            )


def test_the_training_view_of_a_holdout_ends_where_validation_ends():
    (fold,) = folds()
    view = firewall.training_view(worlds.features(120), fold)
    assert view.features.bars == fold.validation.stop == view.validation.stop
    assert view.train == fold.train
    assert view.features.take(slice(0, view.features.bars)).bars == view.features.bars, "all of it may be taken"


def test_the_day_on_which_a_test_begins_is_none_of_those_that_chose():
    times = np.datetime64("2020-01-01T06:00", "ns") + np.arange(120) * np.timedelta64(6, "h")
    sealed = firewall.seal(worlds.features(120, timestamps=times), folds(purge_bars=0))
    assert sealed.window.dates == (("2020-01-25", "2020-01-31"),), "it begins at 6:00"
    assert sealed.selection.dates == (("2020-01-19", "2020-01-24"),)


def test_what_a_cpcv_view_lacks_counts_as_no_time():
    """Daily coins are 365 bars a year, whichever of them are held out."""
    features = worlds.features(120)
    for fold in folds("cpcv", folds=6, test_folds=2):
        view = firewall.training_view(features, fold)
        assert view.features.bars < 110
        assert view.features.panel.bars_per_year == pytest.approx(365.25)


def test_a_cpcv_view_lacks_the_rows_of_the_embargo_too():
    features = worlds.features(120)
    fold = folds("cpcv", folds=4, test_folds=1)[1]
    view = firewall.training_view(features, fold)
    (test,) = fold.test
    near = features.panel.timestamps[test.start - 2 : test.stop + 5]
    assert not np.isin(view.features.panel.timestamps, near).any()


@pytest.mark.parametrize("name", ["holdout", "walk_forward", "cpcv"])
def test_every_public_door_to_a_test_row_is_shut(name):
    features = worlds.features(120)
    sealed = firewall.seal(features, folds(name))
    for door in sorted({f.name for cls in (Panel, FeaturePanel) for f in fields(cls)} - firewall.OPEN_NAMES):
        with pytest.raises(FirewallError):
            getattr(sealed, door)
    for door in (
        lambda: sealed[-1],
        lambda: sealed[0:10],
        lambda: list(sealed),
        lambda: sealed.slice(0, 120),
        lambda: sealed.take(np.arange(120)),
        lambda: pickle.dumps(sealed),
        lambda: copy.copy(sealed),
        lambda: copy.deepcopy(sealed),
    ):
        with pytest.raises(FirewallError):
            door()
    view = sealed.training(0)
    end = view.features.bars
    for door in (
        lambda: view.features.slice(0, end + 1),
        lambda: view.features.slice(end, end + 1),
        lambda: view.features.take(np.array([0, end])),
        lambda: view.features.panel.take(np.array([end])),
        lambda: view.features.panel.slice(0, end + 1),
        lambda: view.features.slice(0, end).slice(0, end + 1),
        lambda: pickle.loads(pickle.dumps(view)).features.slice(0, end + 1),
    ):
        with pytest.raises(FirewallError, match="beyond"):
            door()
    with pytest.raises(IndexError):
        view.features.values[end]


def reachable(thing, depth=6):
    """Yield the arrays that an object's attributes and closures lead to."""
    if type(thing) is np.ndarray:
        yield thing
    elif depth:
        inside = [cell.cell_contents for cell in getattr(thing, "__closure__", None) or ()]
        inside += list(vars(thing).values()) if hasattr(thing, "__dict__") else []
        inside += list(thing) if type(thing) in (list, tuple) else []
        for part in inside:
            yield from reachable(part, depth - 1)


def test_the_search_for_arrays_would_find_one():
    features = worlds.features(120)
    keeper = firewall.SealedPanel(folds(), lambda item: features, market=HERE, timestamps=features.panel.timestamps)
    assert any(array is features.panel.close for array in reachable(keeper))


@pytest.mark.slow
def test_sealing_leaves_no_test_row_in_memory():
    features = worlds.features(120)
    alive = [weakref.ref(features.values), weakref.ref(features.panel.close)]
    sealed = firewall.seal(features, folds())
    secret = float(features.panel.close[-1, 0])
    del features
    gc.collect()
    assert [ref() for ref in alive] == [None, None]
    held = [array for array in reachable(sealed) if array.dtype == np.float64 and (array == secret).any()]
    assert held == []
    assert sealed.training(0).features.bars == folds()[0].validation.stop


def test_threads_that_read_at_once_each_get_what_they_asked_for():
    """A fork reads by the same descriptor as its parent, too: a position that is shared is moved by the other."""
    sealed = firewall.seal(worlds.features(2000), folds("walk_forward", bars=2000))
    ends = [sealed.training(fold).features.bars for fold in range(4)]

    def read(fold):
        return [sealed.training(fold).features.bars for _ in range(25)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(read, range(4), timeout=60))
    finally:
        sys.setswitchinterval(before)
    assert found == [[end] * 25 for end in ends]


def all_arrays():
    """Yield the float arrays of this process; the collector stops tracking a dict that holds nothing but arrays."""
    seen = set()
    for keeper in gc.get_objects():
        for found in gc.get_referents(keeper):
            inside = gc.get_referents(found) if type(found) in (dict, tuple) and not gc.is_tracked(found) else [found]
            for array in inside:
                if type(array) is np.ndarray and array.dtype == np.float64 and array.size and id(array) not in seen:
                    seen.add(id(array))
                    yield array


@pytest.mark.slow
def test_the_process_that_trains_holds_no_test_price(monkeypatch, tmp_path):
    """After a task has prepared its data no array anywhere in the process holds the prices of the test window."""
    from wealtharena.config import compose
    from wealtharena.tasks.pipeline import prepare

    monkeypatch.chdir(tmp_path)
    sealed = prepare(compose(["asset=crypto", "data=simulated", "data.simulator.bars=400", "seed=7321"])).sealed
    gc.collect()
    alive = list(all_arrays())
    opened = sealed.open_test(0, ledger=Ledger(tmp_path / "l.jsonl"), identity=ME)
    secrets = opened.features.panel.close[opened.test[0].start :].ravel()
    assert secrets.size > 100
    assert [array.shape for array in alive if np.isin(secrets, array).sum() > secrets.size // 2] == []


def test_opening_the_test_window_gives_its_rows_and_writes_a_line_first(tmp_path):
    features = worlds.features(120)
    (fold,) = folds()
    sealed = firewall.seal(features, (fold,))
    ledger = Ledger(tmp_path / "deep" / "ledger.jsonl")
    opened = sealed.open_test(0, ledger=ledger, identity=ME)
    assert np.array_equal(opened.features.values, features.values[: fold.test[0].stop])
    (line,) = (tmp_path / "deep" / "ledger.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["run_id"] == "r1"
    assert entry["config_hash"] == "c1"
    assert entry["agent"] == "cryptocurrencies"
    assert entry["fingerprint"] == features.panel.fingerprint
    assert entry["kind"] == "open"
    assert entry["time"].endswith("+00:00")
    assert entry["window"] == [["2020-04-06", "2020-04-29"]]


def test_a_fold_that_is_opened_shows_no_bar_of_the_tests_behind_it(tmp_path):
    """A walk forward is judged fold by fold: whoever looks at the first has not looked at the others."""
    features, steps = worlds.features(120), folds("walk_forward")
    sealed, ledger = firewall.seal(features, steps), Ledger(tmp_path / "ledger.jsonl")
    assert sealed.open_test(0, ledger=ledger, identity=ME).features.bars == steps[0].test[0].stop < 120
    assert sealed.open_rows(steps[1].test[0], ledger=ledger, identity=ME).bars == steps[1].test[0].stop < 120


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_ledger_without_write_permission_keeps_the_window_shut(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FirewallError, match="cannot be written"):
        firewall.seal(worlds.features(120), folds()).open_test(0, ledger=Ledger(tmp_path / "l.jsonl"), identity=ME)


def test_a_ledger_that_is_a_folder_keeps_the_window_shut(tmp_path):
    with pytest.raises(FirewallError, match="stays closed"):
        firewall.seal(worlds.features(120), folds()).open_test(0, ledger=Ledger(tmp_path), identity=ME)
    with pytest.raises(FirewallError, match=r"what it does not count is not judged(?!.*window)"):
        Ledger(tmp_path).record_trial(ME, window=HERE)


def test_a_torn_line_is_passed_over_and_the_next_one_starts_afresh(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.record_trial(ME, window=HERE)
    path.write_bytes(path.read_bytes() + b'{"kind": "open", "agent": "crypt')
    ledger.record_trial(RunIdentity("r", "c2", "cryptocurrencies", "train"), window=HERE)
    assert History.of(ledger, "cryptocurrencies", HERE).trials("c1").count == 2


def _write_many(path, worker):
    ledger = Ledger(path)
    for i in range(50):
        ledger.record_trial(RunIdentity(f"{worker}", f"{worker}-{i}", "etf", "train"), window=HERE)


@pytest.mark.slow
def test_several_processes_write_whole_lines(tmp_path):
    path = tmp_path / "ledger.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(path, w)) for w in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(path.read_text().splitlines()) == 100
    assert History.of(Ledger(path), "etf", HERE).trials("0-0").count == 100


def test_a_run_that_goes_on_after_its_opening_takes_up_that_look(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    sealed = firewall.seal(worlds.features(120), folds())
    for identity in (ME, ME, replace(ME, run_id="r2"), replace(ME, config_hash="more steps")):
        sealed.open_test(0, ledger=ledger, identity=identity)
        ledger.record_result(identity, window=sealed.window, sharpe=float("nan"))
    assert [(entry["kind"], entry["run_id"], entry["config_hash"]) for entry in ledger.entries()] == [
        (kind, run, config)
        for run, config in (("r1", "c1"), ("r2", "c1"), ("r1", "more steps"))
        for kind in ("open", "result")
    ]


OPENING = {
    "kind": "open",
    "agent": "etf",
    "config_hash": "c",
    "fingerprint": "f",
    "window": [["2022-01-01", "2022-02-01"]],
}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"\xff", "is not UTF-8"),
        (b'{"kind": "open", "agent', "is not JSON"),
        *((json.dumps({k: v for k, v in OPENING.items() if k != name}).encode(), f"has no {name}") for name in OPENING),
        (json.dumps({**OPENING, "agent": None}).encode(), "has agent that is no text"),
        (json.dumps({**OPENING, "window": [["2022-01-01"]]}).encode(), "has a window that is none"),
    ],
)
def test_a_line_that_would_go_uncounted_is_told_by_its_number_and_nothing_is_opened(tmp_path, line, problem):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(json.dumps(OPENING).encode() + b"\n" + line + b"\n" + json.dumps(OPENING).encode() + b"\n")
    before = path.read_bytes()
    for ask in (Ledger(path).check, lambda: list(Ledger(path).entries()), lambda: look(Ledger(path))):
        with pytest.raises(FirewallError, match=f"line 2 {problem}"):
            ask()
    assert path.read_bytes() == before


def look(ledger):
    firewall.seal(worlds.features(120), folds()).open_test(0, ledger=ledger, identity=ME)


def test_the_window_stays_shut_while_its_line_does_not_stand(tmp_path, monkeypatch):
    """A disk that takes a part of the line only."""
    real = os.write
    taken = []

    def full(descriptor, content):
        if taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken.append(real(descriptor, bytes(content)[:20]))
        return taken[0]

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(FirewallError, match=r"No space left.*stays closed"):
        look(Ledger(tmp_path / "ledger.jsonl"))
    monkeypatch.undo()
    assert list(Ledger(tmp_path / "ledger.jsonl").entries()) == []


def test_a_window_knows_its_bars_whatever_their_symbols_are_called():
    features = worlds.features(120)
    panel = features.panel
    renamed = replace(panel, symbols=("Z", "X", "Y"))
    turned = replace(panel, close=panel.close[:, ::-1])
    assert firewall.content_of(renamed) == firewall.content_of(turned) == firewall.content_of(panel)
    assert renamed.fingerprint != panel.fingerprint
    for other in (panel.take(slice(0, 100)), replace(panel, close=panel.close * 1.01)):
        assert firewall.content_of(other) != firewall.content_of(panel)
    sealed = firewall.seal(features, folds())
    assert sealed.window.to_json()["content"] == sealed.selection.content == firewall.content_of(panel)
