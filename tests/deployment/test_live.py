"""The service as a process: promotions under load, several workers, shutdown, fuzzing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from uvicorn.supervisors.multiprocess import Process

from benchmarks.serve_fuzz import cases, fuzz
from tests.deployment.rooms import FEATURES, REPOSITORY, live
from tests.registry.shelf import AGENT, save, stocked
from wealtharena.deployment import server
from wealtharena.registry import promote, rollback

pytestmark = pytest.mark.slow

WEIGHTS = {"v1": 0.5, "v2": 0.9}


FREE = "serve.port=0"  # the system chooses a port, and the service tells it: `live` asks there for its health


def test_promotions_drop_no_request_and_mix_no_versions_at_a_free_port(tmp_path: Path) -> None:
    store = stocked(tmp_path)
    save(store, "v2", verdict="promotable", weights=(WEIGHTS["v2"], 0.0, 0.0))
    seen: list[tuple[int, str, float]] = []
    stop = threading.Event()

    def ask(address: str) -> None:
        with httpx.Client(base_url=address, timeout=120) as client:
            while not stop.is_set():
                reply = client.post(f"/agents/{AGENT}/predict", json={"features": FEATURES})
                answer = reply.json()
                seen.append((reply.status_code, answer["version"], answer["predictions"][0]["weights"]["BTC-USD"]))

    with live(tmp_path, workers=2, overrides=(FREE,)) as (address, process):
        askers = [threading.Thread(target=ask, args=(address,)) for _ in range(3)]
        for asker in askers:
            asker.start()
        for _ in range(2):
            promote(store, AGENT, "v2")
            _until(lambda: seen[-1][1] == "v2")
            rollback(store, AGENT)
            _until(lambda: seen[-1][1] == "v1")
        stop.set()
        for asker in askers:
            asker.join()
        total = _metric(address, f'wealtharena_predictions_total{{agent="{AGENT}"')
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert {status for status, _, _ in seen} == {200}
    assert {version for _, version, _ in seen} == {"v1", "v2"}
    for _, version, weight in seen:
        assert weight == pytest.approx(WEIGHTS[version], abs=1e-6)
    assert total == len(seen), "the counters of both workers meet on one page"


def _until(true: object, *, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if true():
                return
        except IndexError:
            pass
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def _metric(address: str, prefix: str) -> float:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(prefix))


def test_a_request_under_way_is_answered_before_the_server_at_a_free_port_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    with live(tmp_path, overrides=(FREE,)) as (address, process):
        host, port = address.removeprefix("http://").split(":")
        body = json.dumps({"features": FEATURES}).encode()
        head = f"POST /agents/{AGENT}/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nexpect: 100-continue\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=120) as line:
            line.sendall(head.encode())
            assert line.recv(65_536).startswith(b"HTTP/1.1 100"), "it is under way"
            line.sendall(body[:10])
            process.send_signal(signal.SIGTERM)
            _until(lambda: _refuses(host, int(port)))  # the server stops: it takes no new connection
            line.sendall(body[10:])
            assert line.recv(65_536).startswith(b"HTTP/1.1 200")
        assert process.wait(120) == 0
    assert not list((tmp_path / "temporary").glob("wealtharena-*")), (
        "a service that was told to stop leaves nothing behind"
    )


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    stocked(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, str(REPOSITORY / "run.py"), "task=serve", f"serve.port={taken.getsockname()[1]}"]
        done = subprocess.run(
            [*command, f"paths.checkpoints={tmp_path / 'checkpoints'}"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "cannot be listened on: Address already in use; choose another serve.port" in done.stderr.replace("\n", " ")
    assert done.stderr.count("error: ") == 1
    assert not list(tmp_path.glob("outputs/*/*"))


def _refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_service_holds_its_openapi_document_under_fuzzing(tmp_path: Path) -> None:
    stocked(tmp_path)
    with live(tmp_path) as (address, _):
        code, printed = fuzz(address, examples=20, seed=1, phases="examples,fuzzing")
    assert code == 0, printed
    assert cases(printed) >= 40


def test_ctrl_c_while_workers_are_imported_is_a_quiet_end(tmp_path: Path) -> None:
    """A terminal sends it to every process: each worker told where in its imports it was."""
    stocked(tmp_path)
    command = [sys.executable, str(REPOSITORY / "run.py"), "task=serve", "serve.port=0", "serve.workers=2"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        _until(lambda: len(_workers(process.pid)) == 2)
        time.sleep(0.1)  # they import for longer
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=120)
    assert (process.returncode, told) == (0, "")


def _workers(server: int) -> list[str]:
    """Return the numbers of the processes that a server has begun to answer."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [child for child in children if b"spawn_main" in Path("/proc", child, "cmdline").read_bytes()]


def test_a_worker_begins_deaf_to_ctrl_c_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []
    monkeypatch.setattr(Process, "start", lambda _: heard.append(signal.getsignal(signal.SIGINT)))
    before = signal.getsignal(signal.SIGINT)
    with server.deaf_until_they_serve():
        Process.start(object())
        assert signal.getsignal(signal.SIGINT) is before
    assert heard == [signal.SIG_IGN]
