"""A service over small checkpoints, in this process or in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.registry.shelf import AGENT
from wealtharena.deployment.app import build
from wealtharena.deployment.guard import Guard
from wealtharena.deployment.settings import Settings
from wealtharena.tasks.demo import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
FEATURES = np.zeros((3, 2, 2)).tolist()


def settings(folder: Path, **changes: Any) -> Settings:
    runtime = folder / "runtime"
    runtime.mkdir(parents=True, exist_ok=True)
    base: dict[str, Any] = {
        "checkpoints": folder / "checkpoints",
        "keys_file": folder / "keys.json",
        "keyed": False,
        "runtime": runtime,
        "rate_per_minute": 100_000,
        "connections_per_address": 256,
        "max_body_bytes": 200_000,
        "max_batch": 16,
        "max_stale_bars": 3,
        "poll_seconds": 0.05,
        "audit_file": folder / "audit.jsonl",
    }
    return Settings(**{**base, **changes})


@dataclass
class Client:
    """A synchronous client of a service in this process."""

    guard: Guard
    headers: dict[str, str]
    client: tuple[str, int] = ("127.0.0.1", 5000)
    base: str = "http://localhost"

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.guard, raise_app_exceptions=True, client=self.client)
            async with httpx.AsyncClient(transport=transport, base_url=self.base, headers=self.headers) as client:
                return await client.request(method, path, **given)

        return asyncio.run(ask())

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def predict(self, agent: str = AGENT, **body: Any) -> httpx.Response:
        return self.request("POST", f"/agents/{agent}/predict", json=body)

    def raw(self, content: str | bytes, agent: str = AGENT) -> httpx.Response:
        kind = {"content-type": "application/json"}
        return self.request("POST", f"/agents/{agent}/predict", content=content, headers=kind)

    @property
    def audit(self) -> list[dict[str, Any]]:
        path = self.guard.audit.path
        assert self.guard.audit.lines.flush(seconds=20)
        assert path is not None
        return [json.loads(line) for line in path.read_text().splitlines()]


def client(folder: Path, **changes: Any) -> Client:
    return Client(build(settings(folder, **changes)), {})


@contextlib.contextmanager
def live(
    folder: Path, *, workers: int = 1, overrides: tuple[str, ...] = ()
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the address and the process of a server started by the command line; stop it at the end."""
    port = free_port()
    log = (folder / "server.log").open("w")
    command = [
        sys.executable, str(REPOSITORY / "run.py"), "task=serve", f"serve.port={port}", f"serve.workers={workers}",
        f"paths.checkpoints={folder / 'checkpoints'}", f"serve.keys_file={folder / 'keys.json'}",
        f"serve.audit_file={folder / 'audit.jsonl'}", "serve.poll_seconds=0.05", "serve.rate_per_minute=10000000", *overrides,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        address = f"http://127.0.0.1:{_told(folder / 'server.log') if 'serve.port=0' in overrides else port}"
        _wait(address, process, folder / "server.log")
        yield address, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)
        log.close()


def _told(log: Path) -> int:
    """Return the port that a server says it has taken."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"the server names no port: {log.read_text()}")


def _wait(address: str, process: subprocess.Popen[str], log: Path) -> None:
    until = time.monotonic() + 240
    with httpx.Client(timeout=5) as client:  # one for all questions: making another costs more than the answer
        while time.monotonic() < until:
            if process.poll() is not None:
                raise AssertionError(f"the server stopped with {process.returncode}: {log.read_text()}")
            with contextlib.suppress(httpx.TransportError):
                if client.get(f"{address}/health").status_code == 200:
                    return
            time.sleep(0.05)
    raise AssertionError(f"the server does not answer: {log.read_text()}")
