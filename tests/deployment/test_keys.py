"""Who may come in: keys, and this machine alone where there are none."""

from __future__ import annotations

import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deployment.rooms import FEATURES, Client, client
from tests.registry.shelf import AGENT, stocked
from wealtharena.deployment import keys
from wealtharena.deployment.guard import check_audit
from wealtharena.errors import ConfigError


@pytest.fixture
def service(tmp_path: Path) -> Client:
    stocked(tmp_path)
    return client(tmp_path)


@pytest.mark.slow
def test_with_keys_only_a_key_comes_in(tmp_path: Path) -> None:
    stocked(tmp_path)
    secret = keys.create_key(tmp_path / "keys.json", "alice")
    service = client(tmp_path)
    service.base = "http://example.org"
    service.client = ("192.0.2.7", 5000)
    for path in ("/", "/agents", "/metrics", "/docs", "/openapi.json", f"/agents/{AGENT}"):
        assert service.get(path).status_code == 401, path
        for headers in ({"authorization": f"Bearer {secret}"}, {"x-api-key": secret}):
            assert service.get(path, headers=headers).status_code == 200, path
        assert service.get(path, auth=("anyone", secret)).status_code == 200, path
        for wrong in (secret[:-1], secret + "x", "", "é"):
            assert service.get(path, headers={"x-api-key": wrong.encode()}).status_code == 401
    assert service.get("/health").status_code == service.get("/ready").status_code == 200
    assert service.predict(features=FEATURES).status_code == 401


def test_a_key_is_kept_as_a_hash_only_and_dies_when_revoked(tmp_path: Path) -> None:
    stocked(tmp_path)
    path = tmp_path / "keys.json"
    secret = keys.create_key(path, "alice")
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    service = client(tmp_path)
    service.headers = {"x-api-key": secret}
    assert service.get("/agents").status_code == 200
    keys.revoke_key(path, "alice")
    service.guard.keys.refresh()
    assert service.get("/agents").status_code == 401, "the last key is gone: shut, not open"
    path.unlink()
    service.guard.keys.refresh()
    assert service.get("/agents").status_code == 401
    renewed = keys.create_key(path, "bob")
    service.guard.keys.refresh()
    assert service.get("/agents", headers={"x-api-key": renewed}).status_code == 200


def test_of_keys_that_are_made_and_revoked_at_once_none_is_lost_and_none_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old = [keys.create_key(path, f"old{n}") for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        gone = [pool.submit(keys.revoke_key, path, f"old{n}") for n in range(4)]
        new = list(pool.map(lambda n: keys.create_key(path, f"new{n}"), range(4)))
        assert [one.result() for one in gone] == [None] * 4
    ring = keys.read_keys(path)
    assert [ring.owner(secret) is not None for secret in (*old, *new)] == [False] * 4 + [True] * 4


def test_without_keys_only_this_machine_is_answered(service: Client) -> None:
    assert service.get("/agents").status_code == 200
    service.base = "http://evil.example"  # a page elsewhere that had its name point here
    assert service.get("/agents").status_code == 421
    service.base, service.client = "http://localhost", ("192.0.2.7", 5000)
    assert service.get("/agents").status_code == 403


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.2", "127.0.0.2", 200),
        ("::1", "[::1]:8000", 200),
        ("::ffff:127.0.0.1", "localhost", 200),
        ("127.0.0.1", "testserver", 421),
        ("127.0.0.1", "localhost.evil.example", 421),
        ("127.0.0.1", "", 421),
        ("testclient", "localhost", 403),
        ("::ffff:192.0.2.7", "localhost", 403),
        ("", "localhost", 403),
    ],
)
def test_this_machine_is_told_by_its_addresses(service: Client, address: str, host: str, status: int) -> None:
    service.client = (address, 5000)
    assert service.get("/agents", headers={"host": host}).status_code == status


UNFIT = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:30]),
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "no keys": lambda path: path.write_text('{"schema_version": 1, "keys": []}'),
    "not hex": lambda path: path.write_text(path.read_text().replace('"sha256": "', '"sha256": "\u00e9')),
    "a path as id": lambda path: path.write_text(path.read_text().replace('"id": "', '"id": "../')),
    "deep": lambda path: path.write_text("[" * 200_000),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "link": lambda path: (path.rename(path.with_name("k")), path.symlink_to("k")),
}


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("how", UNFIT)
def test_a_key_file_that_is_lost_or_damaged_shuts_every_worker_old_and_new(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    stocked(tmp_path)
    path = tmp_path / "keys.json"
    old = client(tmp_path)
    assert old.get("/agents").status_code == 200, "no key yet: open to this machine"
    secret = keys.create_key(path, "alice")
    old.guard.keys.refresh()
    assert old.get("/agents").status_code == 401
    assert old.get("/agents", headers={"x-api-key": secret}).status_code == 200
    UNFIT[how](path)
    old.guard.keys.refresh()
    new = client(tmp_path)  # a worker that takes a killed one's place
    for worker in (old, new):
        assert worker.get("/agents").status_code == 401
        assert worker.get("/agents", headers={"x-api-key": secret}).status_code == 401
        assert worker.get("/health").status_code == 200
        assert worker.get("/ready").status_code == (200 if how == "no keys" else 503)
    told = caplog.text.count("nobody is answered")
    assert told == (0 if how == "no keys" else 2), "by each worker, but where a person has revoked them all"


def test_a_service_that_began_with_keys_stays_shut_without_them(tmp_path: Path) -> None:
    stocked(tmp_path)
    assert client(tmp_path, keyed=True).get("/agents").status_code == 401


def test_all_keys_revoked_is_not_the_same_as_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert not keys.read_keys(path).keyed
    keys.create_key(path, "alice")
    keys.revoke_key(path, "alice")
    assert keys.read_keys(path).keyed
    assert len(keys.read_keys(path)) == 0
    path.write_text(json.dumps({"schema_version": 1, "keys": "all"}))
    with pytest.raises(ConfigError, match="is not a file of keys"):
        keys.read_keys(path)


def open_below(folder: Path) -> list[Path]:
    """Return what this process has open below a folder; what other tests left is closed at any time."""
    found = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(number.readlink())
    return [place for place in found if place.is_relative_to(folder)]


@pytest.mark.parametrize("kind", ["folder", "table", "link", "below a file"])
def test_what_is_no_file_of_keys_is_named_and_not_to_be_deleted(kind: str, tmp_path: Path) -> None:
    (tmp_path / "table").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("table")
    path = tmp_path / ("table/keys.json" if kind == "below a file" else kind)
    before = sorted(tmp_path.iterdir())
    for asked in (keys.read_keys, lambda place: keys.create_key(place, "alice")):
        with pytest.raises(ConfigError) as refused:
            asked(path)
        assert refused.value.message.startswith(f"serve.keys_file={path} ")
        assert "Errno" not in refused.value.message
        assert "delete" not in refused.value.hint
    assert sorted(tmp_path.iterdir()) == before
    assert open_below(tmp_path) == []


def test_a_file_of_keys_that_cannot_be_locked_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".keys.json.lock").mkdir()
    with pytest.raises(ConfigError, match=r"keys\.json cannot be written: Is a directory"):
        keys.create_key(tmp_path / "keys.json", "alice")


def test_a_service_does_not_begin_without_its_audit(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "table").touch()
    for fit in ("pipe", "table", "deep/audit.jsonl"):
        check_audit(tmp_path / fit)
    for unfit in (tmp_path, tmp_path / "table" / "audit.jsonl"):
        with pytest.raises(ConfigError, match=f"serve.audit_file={unfit} cannot be written: "):
            check_audit(unfit)


def test_ready_names_agents_to_those_alone_who_may_ask_them(tmp_path: Path) -> None:
    stocked(tmp_path)
    (tmp_path / "checkpoints" / AGENT / "paper.json").write_text("{")
    open_service = client(tmp_path)
    assert set(open_service.get("/ready").json()["agents"]) == {AGENT, "etf"}
    open_service.base = "http://evil.example"
    assert open_service.get("/ready").json()["agents"] is None
    secret = keys.create_key(tmp_path / "keys.json", "alice")
    service = client(tmp_path)
    told = service.get("/ready")
    assert told.status_code == 200
    assert AGENT not in told.text
    assert AGENT in service.get("/ready", headers={"x-api-key": secret}).text
