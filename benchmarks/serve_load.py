"""REST under load: predictions a second and their latency with wrk, then a soak at a steady rate while agents change.

    python benchmarks/serve_load.py [--workers 2] [--seconds 20] [--soak 300] [--rate 750]

The soak promotes and rolls back every agent every 5 seconds. Each version answers with weights of its own, so that an
answer whose weights are not those of the version it names would be seen. Needs wrk (apt-get install wrk).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
AGENTS = {"crypto": "mlp", "forex": "mlp", "etf": "mlp", "stocks": "mlp", "commodities": "mlp"}
_LUA = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [==[%s]==]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--soak", type=int, default=0, help="seconds")
    parser.add_argument("--rate", type=int, default=750, help="requests a second of the soak")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shelf(root / "checkpoints")
        from tests.deployment.rooms import live

        with live(root, workers=wish.workers) as (address, _):
            load(address, root, wish)
            if wish.soak:
                asyncio.run(soak(address, root / "checkpoints", seconds=wish.soak, rate=wish.rate))


def shelf(root: Path) -> None:
    """Publish two versions of five agents that differ in every weight, and put the first on paper."""
    from tests.registry.trained import world
    from wealtharena.registry import ModelCheckpoint, promote
    from wealtharena.registry.publish import publish

    store = ModelCheckpoint(root)
    for asset, model in AGENTS.items():
        for version in ("v1", "v2"):
            made = world(asset, model, window=1)
            last = [module for module in made.policy.network.actor.modules() if hasattr(module, "weight")][-1]
            last.bias.data.fill_(0.2 if version == "v1" else 0.4)
            publish(
                store, made.policy, version=version, spec=made.spec, features=made.features, start=0,
                stop=made.features.bars, facts=made.facts,
            )  # fmt: skip
        promote(store, asset, "v1")


def request(address: str, agent: str) -> bytes:
    """Return the body of one prediction: the example of the service's own document."""
    made = httpx.get(f"{address}/openapi.json").json()
    examples = made["paths"]["/agents/{agent_id}/predict"]["post"]["requestBody"]["content"]["application/json"][
        "examples"
    ]
    return json.dumps(examples[agent]["value"]).encode()


def load(address: str, root: Path, wish: argparse.Namespace) -> None:
    """Print what wrk finds for single predictions."""
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk")
        return
    body = request(address, "cryptocurrencies")
    script = root / "post.lua"
    script.write_text(_LUA % body.decode())
    target = f"{address}/agents/cryptocurrencies/predict"
    command = ["wrk", "-t1", f"-c{wish.connections}", f"-d{wish.seconds}s", "--latency", "-s", str(script), target]
    subprocess.run([*command[:3], "-d2s", *command[4:]], capture_output=True, check=True)
    print(f"{wish.workers} workers, {wish.connections} connections, body of {len(body)} bytes")
    print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@dataclass
class Tally:
    """What the soak saw."""

    latencies: list[float] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


async def soak(address: str, root: Path, *, seconds: int, rate: int, connections: int = 16) -> None:
    """Ask at a steady rate while every agent changes hands every 5 seconds, and print what was seen."""
    host, port = address.removeprefix("http://").split(":")
    bodies = {
        agent: request(address, agent)
        for agent in ("cryptocurrencies", "currency_pairs", "etf", "asx_stocks", "commodities")
    }
    expected = {agent: answers_by_version(root, agent, body) for agent, body in bodies.items()}
    tally = Tally()
    began = time.perf_counter()
    lanes = [
        lane(
            host,
            int(port),
            bodies,
            expected,
            tally,
            began=began,
            until=began + seconds,
            every=connections / rate,
            offset=k / rate,
        )
        for k in range(connections)
    ]
    changes, *_ = await asyncio.gather(change_hands(root, until=began + seconds), *lanes)
    took = np.array(tally.latencies) * 1000
    print(f"soak: {len(took)} requests in {time.perf_counter() - began:.0f} s, {changes} promotions and rollbacks")
    print(f"latency ms: median {np.median(took):.2f}, p99 {np.quantile(took, 0.99):.2f}, worst {took.max():.1f}")
    print(f"versions {dict(tally.versions)}, errors {dict(tally.errors) or 'none'}")


def answers_by_version(root: Path, agent: str, body: bytes) -> dict[str, list[float]]:
    """Return the weights that each version gives for the request."""
    from wealtharena.prediction.inputs import Portfolio
    from wealtharena.prediction.observations import Question, from_questions
    from wealtharena.registry import ModelCheckpoint

    store, asked = ModelCheckpoint(root), json.loads(body)
    found = {}
    for version in ("v1", "v2"):
        policy = store.load_checkpoint(agent, version).policy
        given = from_questions(
            policy, [Question(features=asked["features"], portfolio=Portfolio(**asked["portfolio"]))]
        )
        found[version] = policy.act(given.features, given.portfolio).weights[0].tolist()
    assert max(abs(a - b) for a, b in zip(found["v1"], found["v2"], strict=True)) > 1e-3
    return found


async def lane(
    host: str, port: int, bodies: dict[str, bytes], expected: dict[str, dict[str, list[float]]], tally: Tally, *,
    began: float, until: float, every: float, offset: float,
) -> None:  # fmt: skip
    """Ask over one connection at a steady rate; a late answer delays nothing but its own successors."""
    reader, writer = await asyncio.open_connection(host, port)
    messages = {
        agent: f"POST /agents/{agent}/predict HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
        for agent, body in bodies.items()
    }
    agents = itertools.cycle(bodies)
    due = began + offset
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        agent = next(agents)
        at = time.perf_counter()
        try:
            writer.write(messages[agent])
            status, body = await read_answer(reader)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            tally.errors[type(error).__name__] += 1
            reader, writer = await asyncio.open_connection(host, port)
            continue
        tally.latencies.append(time.perf_counter() - at)
        due += every
        judge(status, body, expected[agent], tally)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


def judge(status: int, body: bytes, expected: dict[str, list[float]], tally: Tally) -> None:
    """Count an answer, and an error where its weights are not those of the version that it names."""
    if status != 200:
        tally.errors[f"status {status}"] += 1
        return
    answer = json.loads(body)
    tally.versions[answer["version"]] += 1
    weights = list(answer["predictions"][0]["weights"].values())
    if max(abs(a - b) for a, b in zip(weights, expected[answer["version"]], strict=True)) > 1e-6:
        tally.errors["mixed versions"] += 1


async def change_hands(root: Path, *, until: float) -> int:
    """Promote v2 and roll back to v1, all agents, every 5 seconds."""
    from wealtharena.registry import ModelCheckpoint, promote, rollback

    store = ModelCheckpoint(root)
    changes = 0
    for turn in itertools.count():
        await asyncio.sleep(5)
        if time.perf_counter() > until - 1:
            return changes
        for asset in AGENTS:
            if turn % 2 == 0:
                await asyncio.to_thread(promote, store, asset, "v2")
            else:
                await asyncio.to_thread(rollback, store, asset, stage="paper")
            changes += 1
    return changes


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    main()
