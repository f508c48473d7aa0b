from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose, with_data
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import auto, load, repeat_overrides
from wealtharena.data.bars import Bars, RawBars, raw_table
from wealtharena.data.provider import find
from wealtharena.data.store import Store, Window
from wealtharena.errors import ConfigError, DataError

yahoo, coingecko = find("yahoo"), find("coingecko")


class _Asked(list[Sequence[str]]):
    """A probe that answers for the given hosts and remembers being asked."""

    def __init__(self, *answering: str | None) -> None:
        super().__init__()
        self._answering = answering

    def __call__(self, urls: Sequence[str], timeout_seconds: float) -> frozenset[str]:
        self.append(urls)
        return frozenset(url for url in urls if url in self._answering)


def _spec(asset: str, root: Path, *overrides: str) -> ExperimentSpec:
    return with_data(compose([f"asset={asset}", "data=auto", *overrides]), root=str(root))


def _fill(spec: ExperimentSpec, *symbols: str, provider: str = "yahoo", named: str | None = None) -> None:
    days = pd.date_range("2023-01-01", periods=200, freq="D", tz="UTC")
    rng = np.random.default_rng(0)
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 200)))
        table = raw_table(pd.DataFrame({"timestamp": days, "close": close, "volume": 1e6}))
        raw = RawBars(provider, symbol, "1d", table, "USD", "account", "splits", datetime(2024, 1, 1, tzinfo=UTC))
        about: dict[str, Any] = {"asked": Window(None, None), "quality": {}, "request": {"source_symbol": named}}
        Store(spec.data.root).write(spec.asset.name, Bars.from_raw(raw), raw=raw, **about)


def test_the_chain_of_forex_needs_no_network_and_asks_none(tmp_path: Path) -> None:
    spec, probe = _spec("forex", tmp_path), _Asked()
    assert auto.resolve(spec.asset, spec.data, probe=probe).source == "ecb"
    assert probe == []


@pytest.mark.slow
def test_a_store_that_covers_the_request_comes_first_and_asks_no_network(tmp_path: Path) -> None:
    spec, probe = _spec("crypto", tmp_path), _Asked(yahoo.host)
    _fill(spec, *spec.asset.universe.symbols)
    assert auto.resolve(spec.asset, spec.data, probe=probe).source == "store"
    assert probe == []
    panel = load(spec.asset, spec.data, seed=0)
    assert panel.source == "store"
    assert not panel.simulated
    assert any("yahoo, fetched 2024-01-01" in note for note in panel.notes)
    repeated = compose(["asset=crypto", *repeat_overrides(panel, spec.data).split()])
    assert load(repeated.asset, repeated.data, seed=0).fingerprint == panel.fingerprint


def test_bars_that_were_asked_for_by_another_name_do_not_cover_the_request(tmp_path: Path) -> None:
    spec = _spec("crypto", tmp_path, "data.symbols=[XYZ-USD]", "+data.provider_symbols={XYZ-USD: xyz}")
    _fill(spec, "XYZ-USD")
    assert auto.resolve(spec.asset, spec.data, probe=_Asked(yahoo.host)).source == "store", "it does not say its name"
    _fill(spec, "XYZ-USD", named="other")
    assert auto.resolve(spec.asset, spec.data, probe=_Asked(yahoo.host)).source == "yahoo"
    store = with_data(spec, source="store")
    with pytest.raises(DataError, match="were asked for as other, not as xyz"):
        load(store.asset, store.data, seed=0)
    _fill(spec, "XYZ-USD", named="xyz")
    assert auto.resolve(spec.asset, spec.data, probe=_Asked(yahoo.host)).source == "store"
    assert load(store.asset, store.data, seed=0).symbols == ("XYZ-USD",)


@pytest.mark.slow
def test_a_store_that_lacks_a_symbol_does_not_cover_the_request(tmp_path: Path) -> None:
    spec = _spec("crypto", tmp_path)
    _fill(spec, *spec.asset.universe.symbols[1:])
    resolution = auto.resolve(spec.asset, spec.data, probe=_Asked(yahoo.host))
    assert resolution.source == "yahoo"
    assert "lacks 1 of 10" in resolution.reason


def test_without_any_network_the_simulator_stands_in_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = _spec("crypto", tmp_path)
    with caplog.at_level(logging.WARNING):
        assert auto.resolve(spec.asset, spec.data, probe=_Asked()).source == "simulated"
    assert "no network is reachable" in caplog.text
    assert "SIMULATED" in caplog.text


def test_a_provider_that_is_down_on_a_working_network_is_an_error_not_a_simulation(tmp_path: Path) -> None:
    spec = _spec("crypto", tmp_path)
    with pytest.raises(DataError, match="there is a network, but yahoo did not answer"):
        auto.resolve(spec.asset, spec.data, probe=_Asked(auto.CONTROL))


def test_the_chain_is_asked_in_its_order(tmp_path: Path) -> None:
    spec = _spec("crypto", tmp_path, "asset.chain=[coingecko,yahoo]")
    both = _Asked(yahoo.host, coingecko.host)
    assert auto.resolve(spec.asset, spec.data, probe=both).source == "coingecko"
    assert auto.resolve(spec.asset, spec.data, probe=_Asked(yahoo.host)).source == "yahoo"
    assert len(both) == 1


def test_an_unknown_source_in_the_chain_is_named(tmp_path: Path) -> None:
    spec = _spec("crypto", tmp_path)
    asset = spec.asset.model_copy(update={"chain": ("bloomberg",)})
    with pytest.raises(ConfigError, match="bloomberg"):
        auto.resolve(asset, spec.data, probe=_Asked())


class _Refusing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(429)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.socket() as listener:  # takes connections and never answers
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_refusal_is_an_answer_so_that_it_never_leads_to_simulated_data(refusing: str) -> None:
    assert auto.reachable([refusing], 5.0) == {refusing}


def test_a_proxy_that_the_probe_cannot_use_never_leads_to_simulated_data(
    refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(DataError, match="proxy") as raised:
        auto.reachable([refusing], 5.0)
    assert "data=yahoo" in raised.value.hint


@pytest.mark.slow
def test_the_probe_gives_up_in_time_whatever_does_not_answer(silent: str, refusing: str) -> None:
    start = time.monotonic()
    assert auto.reachable([silent, refusing, "http://127.0.0.1:9"], 3.0) == {refusing}
    assert time.monotonic() - start < 60


@pytest.mark.slow
def test_the_probe_does_not_wait_for_a_name_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*arguments: object, **names: object) -> None:
        release.wait(240)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    assert auto.reachable(["https://query2.finance.yahoo.com"], 0.3) == frozenset()
    assert time.monotonic() - start < 60
    release.set()


def test_crypto_without_a_network_is_simulated_within_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_offline: Callable[[], None]
) -> None:
    make_offline()
    spec = _spec("crypto", tmp_path)
    start = time.monotonic()
    assert auto.resolve(spec.asset, spec.data).source == "simulated"
    assert spec.data.probe_timeout_seconds < 5
    assert time.monotonic() - start < 60  # of a busy machine; the limit above holds on a quiet one
    panel = load(spec.asset, spec.data, seed=0)
    assert panel.simulated
    assert panel.source == "simulated"
    assert repeat_overrides(panel, spec.data) == "data=simulated"


@pytest.fixture
def make_offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def make() -> None:
        def refuse(*arguments: object, **names: object) -> None:
            raise socket.gaierror("no network in this test")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    return make
