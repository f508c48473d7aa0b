import json
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.bars import Bars, RawBars, raw_table
from wealtharena.data.store import Healing, Store, Window
from wealtharena.errors import DataError

ROOT = Path(__file__).parents[2]
THEN = datetime(2024, 6, 1, tzinfo=UTC)


def raw_bars(symbol="BTC-USD", *, price=100.0, days=50, interval="1d", provider="yahoo", fetched_at=THEN):
    closes = price * np.exp(np.linspace(0, 0.2, days))
    frame = {
        "timestamp": pd.date_range("2024-01-01", periods=days, tz="UTC"),
        "open": closes,
        "close": closes,
        "volume": 5.0,
    }
    table = raw_table(pd.DataFrame({**frame, "high": closes * 1.01, "low": closes * 0.99}))
    return RawBars(provider, symbol, interval, table, "USD", "account", "splits", fetched_at)


def put(store, raw, *, asked=Window(None, None), asset="crypto"):  # noqa: B008 - a window is frozen
    return store.write(asset, Bars.from_raw(raw), raw=raw, asked=asked, quality={"findings": []})


def test_bars_come_back_as_they_were_written(tmp_path):
    store, raw = Store(tmp_path), raw_bars()
    put(store, raw)
    bars = store.read("crypto", "BTC-USD", "1d")
    pd.testing.assert_frame_equal(bars.table, Bars.from_raw(raw).table)
    assert (bars.provider, bars.currency, bars.volume_unit, bars.fetched_at) == ("yahoo", "USD", "account", THEN)
    pd.testing.assert_frame_equal(store.read_raw("crypto", "yahoo", "BTC-USD", "1d").table, raw.table)


@pytest.mark.parametrize("symbol", ["GC=F", "^AXJO", "BRK/B", "BHP.AX", "..", "a b", "CON.1h"])
def test_any_symbol_is_a_file_below_the_store(tmp_path, symbol):
    store = Store(tmp_path / "store")
    if symbol == "..":
        with pytest.raises(DataError):
            put(store, raw_bars(symbol))
        return
    put(store, raw_bars(symbol))
    assert store.read("crypto", symbol, "1d").symbol == symbol
    assert store.processed_path("crypto", symbol, "1d").resolve().is_relative_to(tmp_path / "store")


def test_intervals_of_a_symbol_stand_beside_each_other(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars(price=1.0))
    put(store, raw_bars(price=2.0, interval="1h"))
    assert store.read("crypto", "BTC-USD", "1d").table["close"].iloc[0] == 1.0
    assert store.read("crypto", "BTC-USD", "1h").table["close"].iloc[0] == 2.0


def test_the_catalog_says_what_is_stored(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars(), asked=Window(date(2024, 1, 1), None))
    entry = json.loads((tmp_path / "catalog.json").read_text())["bars"]["crypto/BTC-USD/1d"]
    assert (entry["provider"], entry["symbol"], entry["interval"], entry["rows"]) == ("yahoo", "BTC-USD", "1d", 50)
    assert (entry["start"][:10], entry["end"][:10]) == ("2024-01-01", "2024-02-19")
    assert entry["quality"] == {"findings": []}
    assert entry["fetched_at"] == THEN.isoformat()
    assert len(entry["sha256"]) == 64
    assert (tmp_path / entry["path"]).exists()
    assert (tmp_path / entry["raw_path"]).exists()


@pytest.mark.parametrize(
    ("asked", "start", "end", "covered"),
    [
        (Window(None, None), None, None, True),
        (Window(None, None), date(2000, 1, 1), None, True),
        (Window(None, None), None, date(2024, 5, 31), True),
        (Window(None, None), None, date(2024, 7, 1), False),  # after it was fetched
        (Window(date(2020, 1, 1), None), date(2020, 1, 1), None, True),
        (Window(date(2020, 1, 1), None), date(2019, 12, 31), None, False),
        (Window(date(2020, 1, 1), None), None, None, False),
        (Window(None, date(2024, 2, 1)), None, date(2024, 2, 2), False),
    ],
)
def test_it_covers_what_was_asked_for_not_merely_what_came(tmp_path, asked, start, end, covered):
    store = Store(tmp_path)
    put(store, raw_bars(), asked=asked)
    assert (store.missing("crypto", ["BTC-USD"], "1d", start, end) == ()) is covered


def test_one_lacking_symbol_is_not_covered_and_is_named(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars())
    assert store.missing("crypto", ["BTC-USD", "ETH-USD"], "1d", None, None) == ("ETH-USD",)
    store.processed_path("crypto", "BTC-USD", "1d").unlink()
    assert store.missing("crypto", ["BTC-USD"], "1d", None, None) == ("BTC-USD",)


def test_what_is_not_there_is_said_with_the_command_that_fetches_it(tmp_path):
    with pytest.raises(DataError, match="no 1d bars of BTC-USD") as raised:
        Store(tmp_path).read("crypto", "BTC-USD", "1d")
    assert raised.value.hint == "python run.py task=collect asset=crypto"


def test_a_flipped_byte_is_seen(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars())
    path = store.processed_path("crypto", "BTC-USD", "1d")
    other = Store(tmp_path / "other")
    put(other, raw_bars(price=101.0))
    path.write_bytes(other.processed_path("crypto", "BTC-USD", "1d").read_bytes())
    with pytest.raises(DataError, match="checksum"):
        store.read("crypto", "BTC-USD", "1d")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        store.read("crypto", "BTC-USD", "1d")


def test_a_crash_between_file_and_catalog_loses_nothing(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars())
    before = (tmp_path / "catalog.json").read_bytes()
    put(store, raw_bars(price=200.0, fetched_at=THEN + timedelta(hours=1)))
    (tmp_path / "catalog.json").write_bytes(before)  # as if the process had died before the last rename
    (tmp_path / "raw" / ".left.parquet.1-ab.tmp").write_bytes(b"half a file")
    fresh = Store(tmp_path)
    assert fresh.read("crypto", "BTC-USD", "1d").table["close"].iloc[0] == 200.0
    assert fresh.heal().changed == ("crypto/BTC-USD/1d",)
    assert fresh.heal() == Healing()
    assert fresh.read_raw("crypto", "yahoo", "BTC-USD", "1d").table["close"].iloc[0] == 200.0
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_crash_between_raw_and_processed_is_seen_by_who_continues_the_history(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars())
    other = Store(tmp_path / "other")
    put(other, raw_bars(price=300.0))
    raw = store.raw_path("crypto", "yahoo", "BTC-USD", "1d")
    raw.write_bytes(other.raw_path("crypto", "yahoo", "BTC-USD", "1d").read_bytes())
    assert store.read_raw("crypto", "yahoo", "BTC-USD", "1d") is None
    assert store.read("crypto", "BTC-USD", "1d").table["close"].iloc[0] == 100.0


def test_a_lost_catalog_is_rebuilt_from_the_files(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars())
    entry = store.catalog()["bars"]["crypto/BTC-USD/1d"]
    (tmp_path / "catalog.json").write_text("{ not json")
    assert Store(tmp_path).heal().changed == ("crypto/BTC-USD/1d",)
    assert Store(tmp_path).catalog()["bars"]["crypto/BTC-USD/1d"] == entry


def test_a_refusal_is_noted_and_forgotten_with_the_next_success(tmp_path):
    store = Store(tmp_path)
    store.refuse("crypto", "BTC-USD", "1d", provider="yahoo", reason="leaks", at=THEN)
    assert store.catalog()["refused"]["crypto/BTC-USD/1d"]["reason"] == "leaks"
    put(store, raw_bars())
    assert store.catalog()["refused"] == {}


def test_macro_series_keep_their_vintages(tmp_path):
    store = Store(tmp_path)
    days = pd.to_datetime(["2020-01-01", "2020-01-01"])
    outs = pd.to_datetime(["2020-02-10", "2020-03-10"])
    frame = pd.DataFrame({"series": "CPI", "date": days, "realtime_start": outs, "value": [1.0, 1.1]})
    store.write_macro("CPI", frame, fetched_at=THEN)
    found = store.read_macro("CPI")
    assert found["value"].tolist() == [1.0, 1.1]
    assert found["realtime_start"].tolist() == outs.tolist()
    assert store.macro_path("CPI") == tmp_path / "raw" / "macro" / "fred" / "CPI.parquet"
    with pytest.raises(DataError, match="no macro series GDP"):
        store.read_macro("GDP")


def test_healing_removes_the_stores_own_temporary_files_only(tmp_path):
    store = Store(tmp_path)
    put(store, raw_bars())
    own = [
        ".catalog.json.12-ab.tmp",
        "raw/crypto/yahoo/.BTC-USD.parquet.12-ab.tmp",
        "raw/macro/fred/.CPI.parquet.12-ab.tmp",
        "processed/crypto/.BTC-USD.1h.parquet.12-ab.tmp",
        "processed/crypto/.BTC-USD.changes.csv.12-ab.tmp",
    ]
    foreign = [
        "results/run1/.checkpoint.zip.tmp",
        "results/run1/.bars.parquet.12-ab.tmp",
        "raw/crypto/yahoo/.mine.tmp",
        "processed/crypto/features/.BTC-USD.parquet.12-ab.tmp",
        ".notes.json.12-ab.tmp",
    ]
    for name in own + foreign:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    store.heal()
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob(".*.tmp")) == sorted(foreign)


@pytest.mark.parametrize("below", ["", "further"])
def test_a_root_that_is_no_folder_is_named(tmp_path, below):
    (tmp_path / "file").write_text("x")
    store = Store(tmp_path / "file" / below)
    for use in (
        store.catalog,
        store.heal,
        lambda: store.read("crypto", "BTC-USD", "1d"),
        lambda: store.read_macro("CPI"),
        lambda: store.missing("crypto", ["BTC-USD"], "1d", None, None),
        lambda: put(store, raw_bars()),
    ):
        with pytest.raises(DataError, match=r"data\.root=.*file.* is no folder that can be used") as raised:
            use()
        assert "data.root=" in raised.value.hint


def test_a_root_that_cannot_be_made_is_named():
    with pytest.raises(DataError, match=r"data\.root=/proc/none is no folder"):
        Store("/proc/none").heal()


WRITER = """
import sys, itertools, pathlib, time
sys.path.insert(0, {root!r})

def slowly(path, content):
    # a file takes a while, so that the kill falls into the writing of one
    with path.open("wb") as handle:
        for k in range(0, len(content), len(content) // 8 + 1):
            handle.write(content[k : k + len(content) // 8 + 1])
            handle.flush()
            time.sleep(0.002)

pathlib.Path.write_bytes = slowly
from datetime import UTC, datetime, timedelta
from tests.data.test_store import THEN, put, raw_bars
from wealtharena.data.store import Store
store, price, symbols = Store(sys.argv[1]), float(sys.argv[2]), sys.argv[3].split(",")
print("READY", flush=True)
sys.stdin.readline()
for symbol in itertools.cycle(symbols) if sys.argv[4] == "for ever" else symbols:
    put(store, raw_bars(symbol, price=price, days=400, fetched_at=datetime.now(UTC)))
"""


def writer(folder, price, symbols, how="once"):
    command = [sys.executable, "-c", WRITER.format(root=str(ROOT)), str(folder), str(price), ",".join(symbols), how]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def begin(process):
    """Let a writer that is ready begin."""
    if process.stdout.readline() != "READY\n":
        raise AssertionError("the writer did not start")
    process.stdin.write("\n")
    process.stdin.flush()


def assert_whole(folder, *, heal=True):
    """Every processed file reads, is from one write, and agrees with the catalog (after healing)."""
    store = Store(folder)
    assert store.catalog()["bars"]
    for path in Path(folder).rglob("[!.]*.parquet"):
        assert len(pd.read_parquet(path)) == 400
    if heal:
        store.heal()
    assert not list(Path(folder).rglob("*.tmp"))
    for entry in store.catalog()["bars"].values():
        table = store.read("crypto", entry["symbol"], "1d").table
        assert len(table) == 400
        first = table["close"].iloc[0]
        np.testing.assert_allclose(table["close"], first * np.exp(np.linspace(0, 0.2, 400)))
        raw = store.read_raw("crypto", "yahoo", entry["symbol"], "1d")
        assert raw is None or len(raw.table) == 400
    return store


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_readable_store(tmp_path):
    symbols = [f"S{k}" for k in range(5)]
    for symbol in symbols:
        put(Store(tmp_path), raw_bars(symbol, days=400))
    for pause in (0.0, 0.013, 0.031):
        process = writer(tmp_path, 200.0, symbols, "for ever")
        begin(process)
        time.sleep(0.08 + pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        assert len(assert_whole(tmp_path).catalog()["bars"]) == 5


@pytest.mark.slow
def test_two_processes_at_once_do_not_corrupt_it(tmp_path):
    ours = [[*(f"{name}{k}" for k in range(8)), "SHARED", f"{name}8", "SHARED"] for name in "AB"]
    processes = [writer(tmp_path, 100.0 * (k + 1), symbols) for k, symbols in enumerate(ours)]
    for process in processes:
        begin(process)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    store = assert_whole(tmp_path, heal=False)
    assert store.heal() == Healing()
    assert {entry["symbol"] for entry in store.catalog()["bars"].values()} == {*ours[0], *ours[1]}
    for entry in store.catalog()["bars"].values():
        assert store.read_raw("crypto", "yahoo", entry["symbol"], "1d") is not None
