"""Alerts reach those they can; trading never waits for one and never fails by one."""

import contextlib
import json
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.trading.desks import a_world, account, go
from tests.trading.serving import endless, listening
from wealtharena.errors import ConfigError
from wealtharena.trading import alerts
from wealtharena.trading.alerts import Alert, Alerts, AppriseChannel, ConsoleChannel, WebhookChannel, channels_of


class Recorder:
    name = "recorder"

    def __init__(self, failures=0):
        self.heard, self.failures = [], failures

    def send(self, alert):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        self.heard.append(alert)


@pytest.fixture
def receiver():
    heard, status = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard, status
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_what_slack_takes(receiver):
    address, heard, _ = receiver
    WebhookChannel(f"{address}/services/T0/B0/secret").send(Alert("etf is halted", "drawdown"))
    assert heard == [("/services/T0/B0/secret", {"text": "etf is halted\ndrawdown"})]


def test_a_webhook_that_is_at_another_address_says_so(receiver):
    address, _, status = receiver
    status[0] = 301
    with pytest.raises(RuntimeError, match="HTTP 301, another address, which is not followed: name that one"):
        WebhookChannel(f"{address}/secret").send(Alert("etf is halted", "drawdown"))


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://discord.com/api/webhooks/1/x", "content"),
        ("https://discord.com/api/webhooks/1/x/slack", "text"),
        ("https://hooks.slack.com/services/x", "text"),
        ("https://notdiscord.example/x", "text"),
    ],
)
def test_discord_gets_its_own_word(monkeypatch, url, key):
    sent = {}

    def stream(client, method, address, *, json, extensions):
        sent.update(json)
        return contextlib.nullcontext(types.SimpleNamespace(status_code=200, is_success=True))

    monkeypatch.setattr("httpx.Client.stream", stream)
    WebhookChannel(url).send(Alert("a", "b" * 5000))
    assert list(sent) == [key]
    assert len(sent[key]) < 2000


def test_an_answer_without_an_end_keeps_no_alert_back():
    with endless() as url:
        began = time.monotonic()
        WebhookChannel(url).send(Alert("a", "b"))
        assert time.monotonic() - began < 5.0


@pytest.mark.slow
def test_an_answer_whose_head_drips_is_given_up_and_keeps_no_other_channel_waiting(monkeypatch):
    monkeypatch.setattr(alerts, "TIMEOUT_SECONDS", 0.5)
    heard, over = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            with contextlib.suppress(OSError):
                while not over.wait(0.02):
                    self.wfile.write(b"a")

        def log_message(self, *_):
            pass

    with listening(Handler) as url:
        try:
            with pytest.raises(RuntimeError, match=r"no answer within 0\.5 s"):
                WebhookChannel(url).send(Alert("a", "b"))
            out = Alerts([WebhookChannel(url), ConsoleChannel(lambda _: heard.set())])
            out.tell("a", "b")
            assert heard.wait(0.4)
            out.close(seconds=0.0)
        finally:
            over.set()


@pytest.mark.slow
def test_a_channel_that_hangs_has_no_other_told_less():
    release, good = threading.Event(), Recorder()
    hanging = Recorder()
    hanging.send = lambda alert: release.wait(60)
    out = Alerts([hanging, good])
    for n in range(3 * alerts.MOST_WAITING):
        out.tell(f"number {n}", "text")
        while len(good.heard) <= n:
            time.sleep(0.0005)
    assert out.lost > alerts.MOST_WAITING
    release.set()
    out.close()


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_failure_names_no_url(receiver, status):
    address, _, answers = receiver
    answers[0] = status
    with pytest.raises(RuntimeError) as failed:
        WebhookChannel(f"{address}/secret").send(Alert("a", "b"))
    assert "secret" not in str(failed.value)
    with pytest.raises(RuntimeError) as failed:
        WebhookChannel("http://127.0.0.1:9/secret").send(Alert("a", "b"))
    assert "secret" not in str(failed.value)


def test_what_fails_is_tried_again_counted_and_keeps_nobody_back():
    """Case 24."""
    late, dead, good = Recorder(failures=2), Recorder(failures=10**6), Recorder()
    out = Alerts([late, dead, good], pause=0.001)
    for n in range(3):
        out.tell(f"number {n}", "text")
    out.close()
    assert (
        [one.title for one in late.heard] == [one.title for one in good.heard] == ["number 0", "number 1", "number 2"]
    )
    assert dead.heard == []
    assert (out.sent, out.failed, out.lost) == (6, 3, 0)


@pytest.mark.slow
def test_trading_goes_on_while_the_channel_hangs(tmp_path):
    """Case 24: a channel that never answers."""
    release = threading.Event()

    class Hanging:
        name = "hanging"

        def send(self, alert):
            assert release.wait(60)

    out, world = Alerts([Hanging()]), a_world()
    took = []

    def told(close):
        began = time.perf_counter()
        for _ in range(3):
            out.tell(close.bar, "a close")
        took.append(time.perf_counter() - began)

    go(tmp_path / "told", world, told=told)
    go(tmp_path / "plain", world)
    release.set()
    out.close()
    assert account(tmp_path / "told") == account(tmp_path / "plain")
    assert out.lost == 3 * len(took) + 1 - alerts.MOST_WAITING - 1 or out.lost > 50


def test_channels_come_from_the_environment_and_keep_secrets_out_of_errors():
    said = []
    environ = {"HOOKS": "https://hooks.slack.com/a https://discord.com/b", "BAD": "file:///etc/secret"}
    found = channels_of(webhook_env="HOOKS", apprise_env="NONE", say=said.append, environ=environ)
    assert [one.name for one in found] == ["console", "webhook", "webhook"]
    found[0].send(Alert("a", "b"))
    assert said == ["a: b"]
    with pytest.raises(ConfigError) as refused:
        channels_of(webhook_env="BAD", apprise_env=None, say=said.append, environ=environ)
    assert "secret" not in str(refused.value)
    assert [one.name for one in channels_of(webhook_env=None, apprise_env=None, say=said.append, environ={})] == [
        "console"
    ]
    assert isinstance(found[0], ConsoleChannel)


def test_apprise_is_asked_where_it_is_there_and_named_where_it_is_not(monkeypatch):
    class Apprise:
        def __init__(self):
            self.urls = []

        def add(self, url):
            self.urls.append(url)
            return url != "odd://"

        def notify(self, *, title, body):
            return title != "refused"

    monkeypatch.setitem(__import__("sys").modules, "apprise", types.SimpleNamespace(Apprise=Apprise))
    (channel,) = AppriseChannel.each(["mailto://a"])
    channel.send(Alert("a", "b"))
    with pytest.raises(RuntimeError):
        channel.send(Alert("refused", "b"))
    with pytest.raises(ConfigError, match="number 2"):
        AppriseChannel.each(["mailto://a", "odd://"])
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(ConfigError, match="apprise") as refused:
        AppriseChannel.each(["mailto://a"])
    assert "wealtharena[alerts]" in refused.value.hint
