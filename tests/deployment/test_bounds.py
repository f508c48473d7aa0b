"""No client starves the others: what comes in is bounded before it costs anything."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from pydantic_core import from_json

from tests.deployment.rooms import FEATURES, Client, client, live
from tests.deployment.test_service import bars
from tests.registry.shelf import AGENT, save, stocked
from wealtharena.deployment import protocol
from wealtharena.deployment.lines import MAX_WAITING_BYTES, Lines
from wealtharena.deployment.parsing import SMALL, PartsLimit, parse_large
from wealtharena.deployment.schemas import PredictBody
from wealtharena.prediction.inputs import InputError
from wealtharena.registry import ModelCheckpoint, promote


@pytest.fixture
def service(tmp_path: Path) -> Client:
    stocked(tmp_path)
    return client(tmp_path, max_body_bytes=4_000_000)


PADDING = " " * SMALL
BODIES = {
    "features": json.dumps({"features": FEATURES}),
    "bars": json.dumps({"bars": bars()}),
    "batch": json.dumps(
        {"batch": [{"features": FEATURES, "portfolio": {"weights": {"BTC-USD": 0.5}}}, {"bars": bars()}]}
    ),
    "a wrong number": json.dumps({"features": [[[0, 0], [0, "0"]], *FEATURES[1:]]}),
    "an infinite one": '{"features": [[[0, 1e999], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}',
    "one too large": '{"features": [[[0, 1' + "0" * 400 + "], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}",
    "not a number": '{"features": [[[0, NaN], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}',
    "true": '{"features": [[[0, true], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}',
    "a wrong bar": json.dumps({"bars": [*bars()[:100], {**bars()[0], "close": "1"}, *bars()[:100]]}),
    "a wrong date": json.dumps({"batch": [{"features": FEATURES}, {"bars": [{**bars()[0], "timestamp": "no"}]}]}),
    "an unknown field": json.dumps({"features": FEATURES, "money": 1}),
    "both": json.dumps({"features": FEATURES, "bars": bars()}),
    "a list": "[]",
    "no JSON": '{"features": ',
    "a half surrogate": '{"features": [], "portfolio": {"weights": {"\\ud800": 1}}}',
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_a_large_body_is_answered_as_a_small_one(service: Client, name: str) -> None:
    small, large = service.raw(BODIES[name]), service.raw(PADDING + BODIES[name])
    assert small.status_code == large.status_code
    first, second = small.json(), large.json()
    if small.status_code == 200:
        assert first == second
    else:
        assert [problem["field"] for problem in first["problems"]] == [
            problem["field"] for problem in second["problems"]
        ]


HOSTILE = {
    "empty observations": (b'{"batch":[' + b",".join([b"{}"] * 600_000) + b"]}", "body"),
    "empty lists": (b'{"features":[' + b",".join([b"[]"] * 600_000) + b"]}", "body"),
    "too many observations": (b'{"batch":[' + b",".join([b"{}"] * 17) + b"]}" + PADDING.encode(), "batch"),
    "unknown fields": (b"{" + b",".join(b'"k%d":0' % i for i in range(100_000)) + b"}", "body"),
    "unknown fields of a bar": (b'{"bars":[{' + b",".join(b'"k%d":0' % i for i in range(100_000)) + b"}]}", "bars.0"),
    "symbols": (
        b'{"features":[],"portfolio":{"weights":{' + b",".join(b'"k%d":0' % i for i in range(100_000)) + b"}}}",
        "portfolio.weights",
    ),
    "states": (
        b'{"features":[],"state":{' + b",".join(b'"k%d":[]' % i for i in range(17)) + b"}}" + PADDING.encode(),
        "state",
    ),
    "depth": (b"[" * 1_000_000, "body"),
    "wrong numbers": (b'{"features":[[[' + b",".join([b'"x"'] * 500_000) + b"]]]}", "features.0.0.0"),
}


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_ends_at_its_first_fault(service: Client, name: str) -> None:
    body, field = HOSTILE[name]
    reply = service.raw(body)
    assert reply.status_code == 422
    assert [problem["field"] for problem in reply.json()["problems"]] == [field]


def test_parts_are_counted_before_anything_is_built() -> None:
    limit = PartsLimit.of(batch=2, assets=3, window=2, states=0)
    limit.check(json.dumps({"batch": [{"features": FEATURES}] * 2}).encode())
    with pytest.raises(InputError, match="more parts than"):
        limit.check(b"[" * 100)
    with pytest.raises(InputError, match="more parts than"):
        limit.check(b"{" * 100_000)


def test_a_piece_of_bars_names_the_bar_in_the_whole_list(service: Client) -> None:
    rows = bars(200)
    rows[577]["close"] = None
    reply = service.predict(bars=rows)
    assert [problem["field"] for problem in reply.json()["problems"]] == ["bars.577.close"]


def test_the_large_path_knows_the_same_bodies_as_the_schema() -> None:
    raw = json.dumps({"batch": [{"bars": bars(300)}, {"features": FEATURES, "state": {"h": [0.5]}}]}).encode()
    assert parse_large(raw, max_batch=2) == PredictBody.model_validate_json(raw)
    with pytest.raises(ValidationError):
        PredictBody.model_validate(from_json(b"{}"))


def test_lines_never_wait_for_their_reader_and_tell_what_was_lost() -> None:
    source, sink = os.pipe()
    lines = Lines(lambda: sink, lambda count: f"lost {count}\n".encode())
    line = b"x" * 9_999 + b"\n"
    count = 2 * MAX_WAITING_BYTES // len(line)
    began = time.monotonic()
    for _ in range(count):
        lines.put(line)
    assert time.monotonic() - began < 60.0
    assert not lines.flush(seconds=0.1)
    held: list[bytes] = []

    def read() -> None:
        while piece := os.read(source, 1 << 20):
            held.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    assert lines.flush(seconds=60)
    lines.put(b"after\n")
    assert lines.flush(seconds=60)
    os.close(sink)
    reader.join()
    os.close(source)
    found = b"".join(held).splitlines(keepends=True)
    lost = sum(int(one.split()[1]) for one in found if one.startswith(b"lost"))
    assert lost > 0
    assert sum(one == line for one in found) + lost == count
    assert b"after\n" in found


def test_lines_that_cannot_be_written_are_counted_not_raised(tmp_path: Path) -> None:
    where = tmp_path / "gone" / "audit"

    def open_it() -> int:
        return os.open(where, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    lines = Lines(open_it, lambda count: f"lost {count}\n".encode())
    lines.put(b"a\n")
    assert lines.flush(seconds=20)
    where.parent.mkdir()
    lines.put(b"b\n")
    assert lines.flush(seconds=20)
    assert where.read_text() == "b\nlost 1\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("bounds")
    stocked(folder)
    with live(folder, overrides=("serve.connections_per_address=20",)) as (found, _):
        host, port = found.removeprefix("http://").split(":")
        yield host, int(port)


def answer_to(address: tuple[str, int], sent: bytes) -> tuple[int, dict[str, object]]:
    """Return status and body of the first answer to raw bytes."""
    with socket.create_connection(address, timeout=60) as line:
        with contextlib.suppress(OSError):
            line.sendall(sent)
        got = b""
        with contextlib.suppress(OSError):
            while piece := line.recv(65_536):
                got += piece
                head, _, body = got.partition(b"\r\n\r\n")
                if body.endswith(b"}"):
                    return int(head.split()[1]), json.loads(body)
    raise AssertionError(f"no answer, but {got[:80]!r}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 100 + b"\r\n", 431),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\na: " + b"x" * 30_000 + b"\r\n\r\n", 431),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\na: " + b"x" * 30_000, 431),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 100, 431),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (
            f"POST /agents/{AGENT}/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
            + b"1\r\n \r\n" * 20_000,
            400,
        ),
    ],
)
def test_what_is_no_request_is_refused_in_the_shape_of_all_errors(
    address: tuple[str, int], sent: bytes, status: int
) -> None:
    found, body = answer_to(address, sent)
    assert found == status
    assert set(body) == {"code", "message", "request_id", "problems"}


@pytest.mark.slow
def test_silent_sockets_give_way_to_those_who_ask(address: tuple[str, int]) -> None:
    host, port = address
    silent = [socket.create_connection(address, timeout=20) for _ in range(60)]
    try:
        for _ in range(5):
            assert httpx.get(f"http://{host}:{port}/health", timeout=20).status_code == 200
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.3")
        with httpx.Client(transport=elsewhere) as other:
            assert other.get(f"http://{host}:{port}/health", timeout=20).status_code == 200
    finally:
        for one in silent:
            one.close()


class Guest:
    """As much of a connection as the lobby looks at."""

    def __init__(self, address: str, *, idle: bool = True) -> None:
        self.address, self.idle, self.closed = address, idle, False
        self.transport = self
        self.loop = self

    def close(self) -> None:
        self.closed = True

    def call_later(self, *_: object) -> object:
        return self


def test_an_address_that_is_busy_all_over_gets_no_more_and_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_OPEN", 6)
    lobby = protocol.Lobby(per_address=4)
    busy = [Guest("a", idle=False) for _ in range(4)]
    assert all(lobby.enter(guest) for guest in busy)
    assert not lobby.enter(Guest("a"))
    idle = [Guest("b"), Guest("b")]
    assert all(lobby.enter(guest) for guest in idle)
    busy[1].idle = True
    assert lobby.enter(Guest("c"))
    assert [guest.closed for guest in busy] == [False, True, False, False], "the address with the most gives way"
    for guest in busy:
        lobby.leave(guest)
    assert lobby.enter(Guest("a"))


@pytest.mark.slow
def test_who_is_too_slow_is_cut_off() -> None:
    code = (
        "import asyncio, json, sys, time\n"
        "from wealtharena.deployment import protocol\n"
        "protocol.HEAD_SECONDS = protocol.SILENT_SECONDS = 0.3\n"
        "protocol.ARRIVAL_SECONDS = 0.6\n"
        "protocol.SWEEP_SECONDS = 0.05\n"
        "import uvicorn\n"
        "async def app(scope, receive, send):\n"
        "    while (await receive()).get('more_body'): pass\n"
        "async def main():\n"
        "    server = uvicorn.Server(uvicorn.Config(app, port=0, http=protocol.BoundedProtocol, lifespan='off', log_config=None))\n"
        "    serving = asyncio.create_task(server.serve())\n"
        "    while not server.started: await asyncio.sleep(0.01)\n"
        "    port = server.servers[0].sockets[0].getsockname()[1]\n"
        "    found = {}\n"
        "    for name, sent in (('silent', b''), ('head', b'GET / HT'), ('body', b'POST / HTTP/1.1\\r\\ncontent-length: 9\\r\\n\\r\\nx')):\n"
        "        reader, writer = await asyncio.open_connection('127.0.0.1', port)\n"
        "        writer.write(sent)\n"
        "        try: found[name] = (await asyncio.wait_for(reader.read(), 30)).decode()[:12]\n"
        "        except ConnectionError: found[name] = ''\n"
        "        writer.close()\n"
        "    print(json.dumps(found))\n"
        "    server.should_exit = True\n"
        "    await serving\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout or "null") == {"silent": "", "head": "HTTP/1.1 408", "body": ""}, done.stderr


@pytest.mark.slow
def test_a_page_is_made_once_for_what_it_shows(service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from wealtharena.deployment import app

    made: list[int] = []
    whole = app.front_page
    monkeypatch.setattr(app, "front_page", lambda manager: made.append(1) or whole(manager))
    first = service.get("/").text
    assert service.get("/").text == first
    assert len(made) == 1
    (Path(service.guard.keys.path).parent / "checkpoints" / AGENT / "production.json").write_text("{")
    for cell in service.guard.app.routes:
        if getattr(cell, "path", "") == "/":
            cell.endpoint.__self__.manager.refresh()
    assert "Not taken up" in service.get("/").text
    assert len(made) == 2


@pytest.mark.slow
def test_what_answers_from_memory_alone_is_told_on_the_page_and_in_the_metrics(service: Client) -> None:
    told = f'wealtharena_agent_problem{{agent="{AGENT}"}}'
    assert f"{told} 0\n" in service.get("/metrics").text
    folder = Path(service.guard.keys.path).parent / "checkpoints" / AGENT
    (folder / "v1").rename(folder.parent / "away")
    for cell in service.guard.app.routes:
        if getattr(cell, "path", "") == "/":
            cell.endpoint.__self__.manager.refresh()
    assert f"{told} 1\n" in service.get("/metrics").text
    assert f"Goes on answering from memory: {AGENT}/v1 was saved and is not here" in service.get("/").text
    assert AGENT in service.get("/ready").json()["problems"]


@pytest.mark.slow
def test_a_damaged_stage_behind_the_one_that_answers_is_told_wherever_problems_are(service: Client) -> None:
    """Metrics and /ready said that nothing was wrong, and the page that the version answered from memory."""
    store = ModelCheckpoint(Path(service.guard.keys.path).parent / "checkpoints")
    save(store, "v2")
    promote(store, AGENT, "v2", stage="paper")
    (store.root / AGENT / "paper.json").write_text("{")
    (api,) = [cell.endpoint.__self__ for cell in service.guard.app.routes if getattr(cell, "path", "") == "/"]
    api._take_up()
    assert f'wealtharena_agent_problem{{agent="{AGENT}"}} 1\n' in service.get("/metrics").text
    ready = service.get("/ready").json()
    assert (ready["agents"][AGENT], "paper.json" in ready["problems"][AGENT]) == ("v1", True)
    page = service.get("/").text
    assert f"Answers, with nothing to rely on behind it: {AGENT}/paper.json" in page
    assert "from memory" not in page
    save(store, "v3", verdict="promotable")
    promote(store, AGENT, "v3")
    api._take_up()
    told = service.get("/metrics").text
    assert f'wealtharena_reloads_total{{agent="{AGENT}"}} 2.0\n' in told  # at the start, and now: no failure
    assert f'wealtharena_load_failures_total{{agent="{AGENT}"}} 1.0\n' in told
    assert AGENT in service.get("/ready").json()["problems"]


def test_a_compressed_body_is_refused_as_such_and_another_charset_by_its_name(service: Client) -> None:
    """Both were told that what they had sent is no JSON."""
    body, kind = BODIES["features"].encode(), {"content-type": "application/json"}
    path = f"/agents/{AGENT}/predict"
    refused = service.request("POST", path, content=gzip.compress(body), headers={**kind, "content-encoding": "gzip"})
    assert refused.status_code == 415
    assert "Content-Encoding" in refused.json()["message"]
    for sent in (body, body + PADDING.encode()):
        plain = service.request("POST", path, content=sent, headers={**kind, "content-encoding": "identity"})
        assert plain.status_code == 200
        other = service.raw(sent.decode().encode("utf-16"))
        assert other.json()["problems"] == [{"field": "body", "message": "is not JSON in UTF-8"}]


@pytest.mark.slow
def test_the_last_line_of_a_process_that_ends_at_once_is_written() -> None:
    code = (
        "import logging, sys\n"
        "from wealtharena.deployment.lines import log_without_waiting\n"
        "log_without_waiting()\n"
        "logging.getLogger('uvicorn.error').error('address already in use')\n"
        "sys.exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert done.stderr.endswith("address already in use\n")
