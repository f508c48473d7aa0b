"""Damage is never taken for bars: not by a reader, not by the catalog's healing, not by collecting again."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.specs import compose, with_data
from wealtharena.data.bars import Bars, RawBars, raw_table
from wealtharena.data.collecting import Collector, Outcome
from wealtharena.data.provider import BusyError, Provider
from wealtharena.data.store import Healing, Store, Window
from wealtharena.errors import DataError

THEN = datetime(2024, 6, 1, tzinfo=UTC)
KEY = "crypto/BTC-USD/1d"


def bars(symbol: str = "BTC-USD", *, seed: int = 1, fetched_at: datetime = THEN) -> RawBars:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, 60)))
    days = pd.date_range("2024-01-01", periods=60, tz="UTC")
    frame = {"timestamp": days, "open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 5e6}
    table = raw_table(pd.DataFrame(frame))
    table.loc[3, "open"] = np.nan
    return RawBars("yahoo", symbol, "1d", table, "USD", "account", "splits", fetched_at)


def put(store: Store, raw: RawBars) -> Path:
    store.write("crypto", Bars.from_raw(raw), raw=raw, asked=Window(None, None), quality={"findings": []})
    return store.processed_path("crypto", raw.symbol, "1d")


def flip(path: Path, at: float | None = None) -> None:
    """Change one byte; by default one of the closing prices."""
    content = bytearray(path.read_bytes())
    place = content.index(np.float64(bars().table["close"].iloc[7]).tobytes()) if at is None else int(at * len(content))
    content[place] ^= 0x01
    path.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path, bytes]:
    store = Store(tmp_path_factory.mktemp("store"))
    path = put(store, bars())
    return store, path, path.read_bytes()


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), catalog=st.booleans())
def test_after_any_flipped_bit_a_file_is_refused_or_says_what_it_said(
    whole: tuple[Store, Path, bytes], at: float, bit: int, catalog: bool
) -> None:
    store, path, content = whole
    index = store.root / "catalog.json"
    known = index.read_bytes()
    changed = bytearray(content)
    changed[int(at * len(content))] ^= 1 << bit
    try:
        path.write_bytes(bytes(changed))
        if not catalog:
            index.unlink()
        healed = Store(store.root).heal()
        fresh = Store(store.root)
        if fresh.is_whole("crypto", "BTC-USD", "1d"):  # a bit of the frame that carries nothing
            pd.testing.assert_frame_equal(fresh.read("crypto", "BTC-USD", "1d").table, Bars.from_raw(bars()).table)
        else:
            assert healed.damaged in ((KEY,), ("processed/crypto/BTC-USD.parquet",))
    finally:
        path.write_bytes(content)
        index.write_bytes(known)


def test_a_changed_price_is_not_laundered_by_healing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    flip(put(store, bars()))
    before = (tmp_path / "catalog.json").read_bytes()
    assert store.heal() == Healing((), (KEY,))
    assert (tmp_path / "catalog.json").read_bytes() == before
    with pytest.raises(DataError, match="damaged"):
        store.read("crypto", "BTC-USD", "1d")
    (tmp_path / "catalog.json").unlink()
    assert store.heal().damaged == ("processed/crypto/BTC-USD.parquet",)
    assert store.catalog()["bars"] == {}


def test_another_symbols_file_under_a_name_is_damage_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine, other = put(store, bars()), put(store, bars("ETH-USD", seed=2, fetched_at=datetime(2025, 1, 1, tzinfo=UTC)))
    mine.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match="damaged"):
        store.read("crypto", "BTC-USD", "1d")
    assert store.heal().damaged == (KEY,)
    assert store.read("crypto", "ETH-USD", "1d").symbol == "ETH-USD"


def test_a_file_from_before_there_were_digests_is_good_with_its_catalog_and_not_without(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = put(store, bars())
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"wealtharena"])
    del about["content_sha256"]
    pq.write_table(table.replace_schema_metadata({b"wealtharena": json.dumps(about).encode()}), path)
    content = json.loads((tmp_path / "catalog.json").read_text())
    assert not store.is_whole("crypto", "BTC-USD", "1d")
    content["bars"][KEY]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "catalog.json").write_text(json.dumps(content))
    assert Store(tmp_path).is_whole("crypto", "BTC-USD", "1d")
    assert Store(tmp_path).heal() == Healing()
    (tmp_path / "catalog.json").unlink()
    assert Store(tmp_path).heal().damaged == ("processed/crypto/BTC-USD.parquet",)


def _foreign(path: Path) -> dict[str, bytes]:
    table = pq.read_table(path)

    def with_metadata(metadata: dict[bytes, bytes] | None, columns: pa.Table = table) -> bytes:
        sink = pa.BufferOutputStream()
        pq.write_table(columns.replace_schema_metadata(metadata), sink)
        return bytes(sink.getvalue().to_pybytes())

    about = json.loads(table.schema.metadata[b"wealtharena"])
    key = b"wealtharena"
    return {
        "none": with_metadata(None),
        "pandas": with_metadata({b"pandas": b"{}"}),
        "no JSON": with_metadata({key: b"\xff\xfe"}),
        "a list": with_metadata({key: b"[]"}),
        "a number": with_metadata({key: b"7"}),
        "an empty object": with_metadata({key: b"{}"}),
        "deep": with_metadata({key: b"[" * 5000 + b"]" * 5000}),
        "a field less": with_metadata({key: json.dumps({k: v for k, v in about.items() if k != "currency"}).encode()}),
        "a date of another kind": with_metadata({key: json.dumps({**about, "fetched_at": 5}).encode()}),
        "a column less": with_metadata(table.schema.metadata, table.drop_columns(["close"])),
        "text for prices": with_metadata(
            table.schema.metadata, table.set_column(4, "close", pa.array(["many"] * table.num_rows))
        ),
        "no Parquet": b"PAR1 is what it says, not what it is PAR1",
        "empty": b"",
    }


@pytest.mark.slow
@pytest.mark.usefixtures("undisturbed")
def test_a_foreign_parquet_file_is_one_line_and_no_bars(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = put(store, bars())
    frame = pd.DataFrame({"series": "CPI", "date": pd.to_datetime(["2020-01-01"]), "value": [1.0]})
    store.write_macro("CPI", frame.assign(realtime_start=pd.to_datetime(["2020-02-01"])), fetched_at=THEN)
    for what, content in _foreign(path).items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"crypto/BTC-USD\.parquet of the store is damaged"):
            store.read("crypto", "BTC-USD", "1d")
        assert store.heal().damaged == (KEY,), what
        macro = store.macro_path("CPI")
        good = macro.read_bytes()
        macro.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            store.read_macro("CPI")
        assert store.heal().damaged == (KEY, "raw/macro/fred/CPI.parquet"), what
        macro.write_bytes(good)
        store.heal()
        assert store.read_macro("CPI")["value"].tolist() == [1.0]


def _paths(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(deeper for name, value in below for deeper in _paths(value, (*path, name)))]


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.slow
def test_any_damaged_catalog_is_one_line_and_made_again_from_the_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, bars())
    store.refuse("crypto", "ETH-USD", "1d", provider="yahoo", reason="leaks", at=THEN)
    index = tmp_path / "catalog.json"
    good = json.loads(index.read_text())
    texts = ["", "{", "[]", "null", "7", '"text"', "[" * 100_000, '{"schema_version": 1}']
    for path in _paths(good)[1:]:
        for value in (None, 7, "text", [], {}, -1.5):
            changed = copy.deepcopy(good)
            inner = changed
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value
            texts.append(json.dumps(changed))
    for text in [*texts, b"\xff\xfe\x00"]:
        index.write_bytes(text if isinstance(text, bytes) else text.encode())
        fresh = Store(tmp_path)
        told = ""
        try:
            fresh.missing("crypto", ["BTC-USD"], "1d", None, None)
            fresh.read("crypto", "BTC-USD", "1d")
            fresh.read_raw("crypto", "yahoo", "BTC-USD", "1d")
        except DataError as error:
            told = str(error)
        assert not told or ("task=collect" in told and "\n" not in told)
        fresh.heal()
        again = Store(tmp_path)
        assert again.read("crypto", "BTC-USD", "1d").symbol == "BTC-USD"
        assert again.catalog()["bars"][KEY] == good["bars"][KEY]


class _Exchange(Provider):
    """Gives one history, or does not answer."""

    name = "yahoo"
    title = "an exchange"

    def __init__(self, *arguments: Any, answers: bool) -> None:
        super().__init__(*arguments)
        self.answers = answers
        self.asked = 0

    def fetch(self, symbol: str, start: object, end: object, interval: str) -> RawBars:
        self.asked += 1
        if not self.answers:
            raise BusyError("yahoo", symbol, "no answer within 1 s", hint="check the network")
        return bars(symbol)


def _collect(root: Path, *, answers: bool) -> tuple[Outcome, _Exchange]:
    spec = with_data(compose(["asset=crypto", "data=yahoo", "data.end=2024-02-29"]), root=str(root))
    collector = Collector(spec.asset, spec.data, spec.collect)
    collector.store.heal()
    exchange = _Exchange(spec.data, spec.asset, answers=answers)
    collector._providers["yahoo"] = exchange
    return collector.collect("BTC-USD"), exchange


@pytest.mark.parametrize("answers", [True, False])
def test_clean_bars_that_were_damaged_are_made_again_from_the_raw_ones_without_a_request(
    tmp_path: Path, answers: bool
) -> None:
    assert _collect(tmp_path, answers=True)[0].status == "new"
    store = Store(tmp_path)
    truth = store.read("crypto", "BTC-USD", "1d").table
    flip(store.processed_path("crypto", "BTC-USD", "1d"))
    outcome, exchange = _collect(tmp_path, answers=answers)
    assert (outcome.status, exchange.asked) == ("restored", 0)
    pd.testing.assert_frame_equal(Store(tmp_path).read("crypto", "BTC-USD", "1d").table, truth)
    assert _collect(tmp_path, answers=False)[0].status == "current"


def test_where_the_raw_bars_are_damaged_too_they_are_fetched_or_it_is_said_what_is_lost(tmp_path: Path) -> None:
    _collect(tmp_path, answers=True)
    store = Store(tmp_path)
    truth = store.read("crypto", "BTC-USD", "1d").table
    flip(store.processed_path("crypto", "BTC-USD", "1d"))
    flip(store.raw_path("crypto", "yahoo", "BTC-USD", "1d"))
    outcome, exchange = _collect(tmp_path, answers=False)
    assert outcome.status == "failed"
    assert outcome.cause.endswith("its stored bars are damaged, and lost until it is fetched")
    assert not Store(tmp_path).is_whole("crypto", "BTC-USD", "1d")
    outcome, exchange = _collect(tmp_path, answers=True)
    assert (outcome.status, exchange.asked) == ("refetched", 1)
    pd.testing.assert_frame_equal(Store(tmp_path).read("crypto", "BTC-USD", "1d").table, truth)


def test_a_failure_with_whole_bars_does_not_speak_of_loss(tmp_path: Path) -> None:
    _collect(tmp_path, answers=True)
    flip(Store(tmp_path).raw_path("crypto", "yahoo", "BTC-USD", "1d"))
    outcome, _ = _collect(tmp_path, answers=False)
    assert (outcome.status, outcome.cause) == ("failed", "no answer within 1 s")
    assert Store(tmp_path).is_whole("crypto", "BTC-USD", "1d")


@pytest.mark.parametrize("lost", ["clean", "raw"])
def test_a_file_that_cannot_be_read_is_one_line_and_ends_no_collection(tmp_path: Path, lost: str) -> None:
    _collect(tmp_path, answers=True)
    store = Store(tmp_path)
    where = ("crypto", "BTC-USD", "1d")
    path = store.processed_path(*where) if lost == "clean" else store.raw_path("crypto", "yahoo", "BTC-USD", "1d")
    path.unlink()
    path.mkdir()  # what no user may read is read by root
    assert Store(tmp_path).heal().damaged == ((KEY,) if lost == "clean" else ())
    if lost == "clean":
        with pytest.raises(
            DataError, match=r"BTC-USD\.parquet of the store cannot be read \(Is a directory\)"
        ) as raised:
            Store(tmp_path).read(*where)
        assert raised.value.hint
    else:
        assert _collect(tmp_path, answers=False)[0].status == "failed"
    path.rmdir()
    assert _collect(tmp_path, answers=True)[0].status != "failed"
    assert Store(tmp_path).is_whole(*where)
