"""The attacks of one client against another client's latency, and against the service's memory.

python -m benchmarks.attacks.service [--seconds 6] [--only PART_OF_A_NAME]
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.attacks.clients import ATTACKS, Target, under

LIMIT_SECONDS = 0.25
LIMIT_MB = 400
_WARM = 1.0  # the attacker's process starts


@dataclass(frozen=True)
class Outcome:
    """What another client saw while an attack ran."""

    attack: str
    health: float  # p99, seconds
    predict: float
    failed: int
    asked: int
    peak_mb: float

    @property
    def held(self) -> bool:
        return not self.failed and max(self.health, self.predict) <= LIMIT_SECONDS and self.peak_mb <= LIMIT_MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--only", default="")
    wish = parser.parse_args()
    print(f"{'attack':<44}{'/health p99':>13}{'predict p99':>13}{'failed':>9}{'peak MB':>9}")
    for name in ("nothing", *(name for name in ATTACKS if wish.only in name)):
        found = measure(name, seconds=wish.seconds)
        print(
            f"{name:<44}{found.health * 1e3:>10.0f} ms{found.predict * 1e3:>10.0f} ms{found.failed:>5}/{found.asked}{found.peak_mb:>9.0f}"
            f"{'' if found.held else '  TOO MUCH'}",
            flush=True,
        )


def measure(name: str, *, seconds: float) -> Outcome:
    """Return what a second client sees for some seconds of an attack on a service of one worker."""
    with served() as (host, port, pid, keys):
        target = Target(host, port, keys["attacker"], time.monotonic() + seconds + _WARM + 0.5)
        if name == "nothing":
            return _ask(name, host, port, pid, keys["victim"], seconds)
        with under(name, target):
            time.sleep(_WARM)
            return _ask(name, host, port, pid, keys["victim"], seconds)


@contextmanager
def served() -> Iterator[tuple[str, int, int, dict[str, str]]]:
    """Yield host, port, process id and keys of a service of one worker."""
    from tests.deployment.rooms import live
    from tests.registry.shelf import stocked
    from wealtharena.deployment.keys import create_key

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        stocked(root)
        keys = {name: create_key(root / "keys.json", name) for name in ("attacker", "victim")}
        with live(root, overrides=("serve.rate_per_minute=600",)) as (address, process):
            host, port = address.removeprefix("http://").split(":")
            yield host, int(port), process.pid, keys


def _ask(name: str, host: str, port: int, pid: int, key: str, seconds: float) -> Outcome:
    """Ask 20 times a second, half of it on connections of their own."""
    body = json.dumps({"features": np.zeros((3, 2, 2)).tolist()})
    headers = {"x-api-key": key, "content-type": "application/json"}
    took: dict[str, list[float]] = {"health": [], "predict": []}
    failed = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for kind in took:
            began = time.perf_counter()
            try:
                line = http.client.HTTPConnection(host, port, timeout=20)
                if kind == "health":
                    line.request("GET", "/health")
                else:
                    line.request("POST", "/agents/cryptocurrencies/predict", body=body, headers=headers)
                status = line.getresponse().status
                line.close()
            except (OSError, http.client.HTTPException):
                status = 0
            took[kind].append(time.perf_counter() - began)
            failed += status != 200
        time.sleep(0.1)
    peak = (
        int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024
    )  # every process has the line
    health, predict = (float(np.quantile(values, 0.99)) for values in took.values())
    return Outcome(name, health, predict, failed, sum(map(len, took.values())), peak)


if __name__ == "__main__":
    main()
