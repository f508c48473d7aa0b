"""Fixtures for tests that talk to the stub; a conftest imports them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.data.market_stub import sample
from tests.data.market_stub.server import StubServer
from wealtharena.config import ExperimentSpec, compose

KEYS = {
    "ALPHAVANTAGE_API_KEY": "AVSENTINELKEY42",
    "COINGECKO_API_KEY": "CG-sentinel-key-42",
    "FRED_API_KEY": "abcdefghij0123456789abcdefghij42",
}
FACES = {"yahoo": "yahoo", "alpha_vantage": "alphavantage", "coingecko": "coingecko", "fred": "fred"}
MakeSpec = Callable[..., ExperimentSpec]


@pytest.fixture(scope="session")
def server() -> Iterator[StubServer]:
    with StubServer(sample.bars(), sample.macro()) as running:
        yield running


@pytest.fixture
def stub(server: StubServer, monkeypatch: pytest.MonkeyPatch) -> StubServer:
    """Return the stub without faults or memory, and the keys that its services want in the environment."""
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    server.clear()
    server.stub.cfg.update(now=None, replay={}, limits={}, av_premium=False, cg_days=100_000)
    return server


@pytest.fixture
def make_spec(stub: StubServer, tmp_path: Path) -> MakeSpec:
    """Return `make(asset, provider, **overrides)`: the spec of a run against the stub, quick and in a folder of its own."""

    def make(asset: str, provider: str, **overrides: Any) -> ExperimentSpec:
        spec = _composed(
            asset, provider, tuple(sorted((key.replace("__", "."), str(v)) for key, v in overrides.items()))
        )
        base = {"base_url": stub.url(FACES[provider]), "requests_per_second": 1000.0, "backoff_seconds": 0.01}
        manners = {**base, "timeout_seconds": 1.5, "requests_per_run": 100_000, "attempts": 3}
        data = spec.data.model_copy(
            update={
                "root": str(tmp_path / "data"),
                "manners": spec.data.manners.model_copy(update=manners),
                "rates": spec.data.rates.model_copy(update={**manners, "base_url": f"{stub.url()}/ecb"}),
                "macro": spec.data.macro.model_copy(
                    update={
                        "manners": spec.data.macro.manners.model_copy(update={**manners, "base_url": stub.url("fred")})
                    }
                ),
            }
        )
        return spec.model_copy(update={"data": data})

    return make


@cache
def _composed(asset: str, provider: str, overrides: tuple[tuple[str, str], ...]) -> ExperimentSpec:
    return compose([f"asset={asset}", f"data={provider}", *(f"{key}={value}" for key, value in overrides)])
