import math
import socketserver
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from wealtharena.config import compose
from wealtharena.data import manners
from wealtharena.data.manners import Manners, number, redact, retry_after
from wealtharena.data.provider import BusyError, RefusalError, UnreachableError
from wealtharena.errors import ProviderError


@pytest.fixture(scope="module")
def spec():
    manners = compose(["data=yahoo"]).data.manners
    return manners.model_copy(update={"requests_per_second": 1000.0, "backoff_seconds": 1.0, "attempts": 4})


class Failing:
    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "bars"


def busy(wait=None):
    return BusyError("yahoo", "X", "busy", retry_after=wait)


def test_waits_double_and_follow_what_the_provider_asks(spec):
    waits = []
    attempt = Failing(busy(), busy(), busy(30.0))
    assert Manners("yahoo", spec, sleep=waits.append).call(attempt) == "bars"
    assert waits == [1.0, 2.0, 30.0]


def test_attempts_end(spec):
    attempt = Failing(*[busy() for _ in range(9)])
    with pytest.raises(BusyError):
        Manners("yahoo", spec, sleep=lambda _: None).call(attempt)
    assert attempt.calls == 4


def test_a_certificate_that_is_not_trusted_is_told_with_a_way_out(spec, monkeypatch):
    def refuse(*_):
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")

    monkeypatch.setattr(manners, "_whole", refuse)
    with pytest.raises(UnreachableError, match="certificate is not one that this machine trusts") as raised:
        Manners("fred", spec).get("CPI", "https://127.0.0.1:9/", params={})
    assert "SSL_CERT_FILE" in raised.value.hint


def away():
    return UnreachableError("yahoo", "X", "the connection failed (ConnectError)")


def test_a_provider_that_cannot_be_reached_at_all_is_tried_once_more_and_soon(spec):
    slow = spec.model_copy(update={"backoff_seconds": 10.0})
    waits, attempt = [], Failing(*[away() for _ in range(9)])
    with pytest.raises(UnreachableError):
        Manners("yahoo", slow, sleep=waits.append).call(attempt)
    assert (attempt.calls, waits) == (2, [1.0])
    waits, attempt = [], Failing(*[away() for _ in range(9)])
    manners = Manners("yahoo", slow, sleep=waits.append)
    manners.answers = 1  # it has answered before: the network is there, and comes back
    with pytest.raises(UnreachableError):
        manners.call(attempt)
    assert (attempt.calls, waits) == (4, [10.0, 20.0, 40.0])


@pytest.mark.parametrize(
    "error", [RefusalError("yahoo", "X", "bad key"), ProviderError("yahoo", "X", "premium"), busy(1000.0)]
)
def test_a_refusal_and_a_long_pause_are_not_tried_again(spec, error):
    attempt = Failing(error)
    with pytest.raises(type(error)):
        Manners("yahoo", spec, sleep=pytest.fail).call(attempt)
    assert attempt.calls == 1


def test_the_budget_is_a_refusal_with_a_way_out(spec):
    manners = Manners("yahoo", spec.model_copy(update={"requests_per_run": 2}))
    manners.admit("X")
    manners.admit("X")
    with pytest.raises(RefusalError, match="budget of 2") as raised:
        manners.admit("X")
    assert "requests_per_run" in raised.value.hint


def test_requests_are_paced(spec):
    import time

    manners = Manners("yahoo", spec.model_copy(update={"requests_per_second": 20.0}))
    start = time.monotonic()
    for _ in range(4):
        manners.admit("X")
    assert time.monotonic() - start >= 0.14


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("soon", None),
        (None, None),
        ("nan", None),
        ("inf", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),  # without a zone, as Python reads it
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds(value, seconds):
    assert retry_after({} if value is None else {"Retry-After": value}) == seconds


def test_retry_after_is_read_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < retry_after({"retry-after": later}) <= 60


@pytest.mark.parametrize(
    "text",
    [
        "GET https://x/query?apikey=SECRET42&symbol=IBM",
        "api_key=SECRET42",
        "x_cg_demo_api_key=SECRET42",
        "crumb=SECRET42 and more",
        "Set-Cookie: SECRET42; Path=/",
        "detected your API key as SECRET42 and",
    ],
)
def test_nothing_like_a_key_is_left_in_a_message(text):
    assert "SECRET42" not in redact(text, ["SECRET42"])
    if "detected" not in text:
        assert "SECRET42" not in redact(text)


def test_messages_are_one_short_line_without_the_home_folder():
    told = redact(f"cannot read\n{Path.home()}/data " + "x" * 500)
    assert "\n" not in told
    assert str(Path.home()) + "/" not in told
    assert len(told) == 240


@pytest.mark.parametrize(("value", "meant"), [("1.5", 1.5), (" -2e3 ", -2000.0), (".5", 0.5), (7, 7.0), (7.5, 7.5)])
def test_a_number_is_read_from_text_too(value, meant):
    assert number(value) == meant


@pytest.mark.parametrize(
    "value", [True, None, "1_0", "Infinity", "nan", "", "１", [1], {}, math.inf, 10**400, "1e999", b"1"]
)
def test_what_only_looks_like_a_number_is_none(value):
    with pytest.raises(ValueError, match="not a"):
        number(value)


class Dripping(socketserver.BaseRequestHandler):
    """A server that sends a byte now and then: a head that never ends, or a body."""

    head = b"HTTP/1.1 200 OK\r\n"

    def handle(self):
        self.request.recv(4096)
        try:
            self.request.sendall(self.head)
            for _ in range(60):
                self.request.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            pass


@pytest.fixture
def serve():
    running = []

    def start(handler):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.slow
@pytest.mark.parametrize("head", [Dripping.head, Dripping.head + b"Content-Length: 60\r\n\r\n"], ids=["head", "body"])
def test_an_answer_that_drips_ends_with_the_time_for_it(spec, serve, head):
    url = serve(type("Handler", (Dripping,), {"head": head}))
    asked = Manners("coingecko", spec.model_copy(update={"timeout_seconds": 0.5}))
    begun = time.monotonic()
    with pytest.raises(BusyError, match=r"no answer within 0\.5 s") as raised:
        asked.get("X", url, params={})
    assert time.monotonic() - begun < 2
    assert not isinstance(raised.value, UnreachableError)


class Large(Dripping):
    def handle(self):
        self.request.recv(4096)
        try:
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            self.request.sendall(b" " * 1_000_000)
        except OSError:
            pass


def test_an_answer_without_end_is_no_answer(spec, serve, monkeypatch):
    monkeypatch.setattr(manners, "_LARGEST_BYTES", 2**16)
    with pytest.raises(ProviderError, match="sent more than") as raised:
        Manners("coingecko", spec).get("X", serve(Large), params={})
    assert not isinstance(raised.value, BusyError)


def test_a_compressed_answer_arrives_as_text(spec, serve):
    import gzip

    body = gzip.compress('{"price": "1 €"}'.encode())

    class Packed(Dripping):
        def handle(self):
            self.request.recv(4096)
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
            self.request.sendall(head.encode() + body)

    assert Manners("coingecko", spec).get("X", serve(Packed), params={}).json() == {"price": "1 €"}


class Elsewhere(Dripping):
    def handle(self):
        self.request.recv(4096)
        place = b"https://me:secret@portal.example/login?token=secret"
        self.request.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n")


def test_an_answer_that_sends_elsewhere_is_none_and_not_tried_again(spec, serve):
    asked = Manners("coingecko", spec)
    url = serve(Elsewhere)
    with pytest.raises(ProviderError, match=r"HTTP 302, to portal\.example\)") as raised:
        asked.call(lambda: asked.get("X", url, params={}))
    assert "secret" not in str(raised.value)
    assert asked.requests == 1


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9", "http://127.0.0.1:port"])
def test_a_proxy_that_cannot_be_used_is_named(spec, monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(RefusalError, match="proxy") as raised:
        Manners("coingecko", spec).get("X", "http://127.0.0.1:9", params={})
    assert "HTTPS_PROXY" in raised.value.hint


@pytest.mark.parametrize("key", ["schlüssel", "two words", "a\x00b"])
def test_what_is_no_key_is_not_sent(spec, monkeypatch, key):
    keyed = spec.model_copy(update={"key_env": "SOME_KEY"})
    monkeypatch.setattr(manners.os, "environ", {"SOME_KEY": key})
    with pytest.raises(RefusalError, match="no key has") as raised:
        Manners("coingecko", keyed).admit("X")
    assert "SOME_KEY" in raised.value.hint
    assert key not in raised.value.message


@pytest.mark.parametrize(("text", "key"), [(" abc\n", "abc"), (" \n", None), ("", None)])
def test_a_key_is_read_without_what_surrounds_it(spec, monkeypatch, text, key):
    monkeypatch.setenv("SOME_KEY", text)
    assert Manners("coingecko", spec.model_copy(update={"key_env": "SOME_KEY"})).key == key
