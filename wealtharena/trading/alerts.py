"""Words to people who are not looking: to the console, a webhook, or whatever apprise reaches. Trading never waits for them.

An alert that cannot be sent is tried again, counted and logged; nothing that goes wrong here comes back to who told it.
One that stands in the outbox of a ledger is crossed out there, address by address, once it was sent.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from wealtharena.data.manners import Deadline
from wealtharena.errors import ConfigError
from wealtharena.trading.addresses import is_web
from wealtharena.trading.outbox import Outbox

logger = logging.getLogger(__name__)
ATTEMPTS: Final = 3
TIMEOUT_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 2.0  # before a second attempt, doubled before each further one
AGAIN_SECONDS: Final = 600.0  # after which what could not be sent is tried again, if no other alert comes before
MOST_WAITING: Final = 100  # alerts a channel that stand in no outbox; what comes beyond is counted as lost
_DISCORD: Final = ("discord.com", "discordapp.com")
_LONGEST: Final = 1900  # letters; Discord takes 2000


@dataclass(frozen=True)
class Alert:
    """What somebody should know; `post` is its number in the outbox, and `had` are the addresses that know it."""

    title: str
    text: str
    post: int | None = None
    had: frozenset[str] = frozenset()


class Channel(Protocol):
    """A way to tell people; `send` raises whatever goes wrong, and `address` tells it apart without a secret."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str: ...

    def send(self, alert: Alert) -> None: ...


@dataclass(frozen=True)
class ConsoleChannel:
    """The terminal or log of the process."""

    say: Callable[[str], None]
    name: str = "console"
    address: str = "console"

    def send(self, alert: Alert) -> None:
        """Say it."""
        self.say(f"{alert.title}: {alert.text}")


@dataclass(frozen=True)
class WebhookChannel:
    """A URL that takes JSON as Slack does, or as Discord does where it is Discord's. The URL is a secret and told to nobody."""

    url: str
    name: str = "webhook"

    @property
    def address(self) -> str:
        """Return what stands for the URL where it must not be read."""
        return _address(self.url)

    def send(self, alert: Alert) -> None:
        """POST the alert; RuntimeError, without the URL, where it is not taken."""
        import httpx

        host = urlsplit(self.url).hostname or ""
        key = "content" if host.endswith(_DISCORD) and not self.url.rstrip("/").endswith("/slack") else "text"
        words = f"{alert.title}\n{alert.text}"[:_LONGEST]
        deadline = Deadline(TIMEOUT_SECONDS)  # httpx's own time-out is that of each byte
        try:
            with (
                deadline.held(),
                httpx.Client(timeout=TIMEOUT_SECONDS) as client,
                client.stream("POST", self.url, json={key: words}, extensions={"trace": deadline.trace}) as answer,
            ):
                status, taken = answer.status_code, answer.is_success  # what it says besides may have no end
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RuntimeError(deadline.told if deadline.over else type(error).__name__) from None
        if not taken:
            moved = ", another address, which is not followed: name that one" if 300 <= status < 400 else ""
            raise RuntimeError(f"HTTP {status}{moved}")


@dataclass(frozen=True, eq=False)
class AppriseChannel:
    """Whatever a URL of the library apprise reaches: mail, a telephone, a chat. The URL is a secret."""

    sender: Any
    address: str
    name: str = "apprise"

    @classmethod
    def each(cls, urls: Sequence[str]) -> list[AppriseChannel]:
        """Return a channel a URL, so that one that is down has no other told twice.

        ConfigError where apprise is not installed or does not know one.
        """
        try:
            library = importlib.import_module("apprise")
        except ImportError as error:
            raise ConfigError(
                "alerts through apprise need the library", hint="pip install 'wealtharena[alerts]'"
            ) from error
        found = []
        for number, url in enumerate(urls, start=1):
            sender = library.Apprise()
            if not sender.add(url):
                raise ConfigError(f"apprise does not know its URL number {number}", hint="see its documentation")
            found.append(cls(sender, _address(url)))
        return found

    def send(self, alert: Alert) -> None:
        """Notify; RuntimeError where the URL did not take it."""
        if not self.sender.notify(title=alert.title, body=alert.text):
            raise RuntimeError("it was not taken")


def channels_of(
    *,
    webhook_env: str | None,
    apprise_env: str | None,
    say: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> list[Channel]:
    """Return the console and the channels whose URLs stand in the named environment variables, several parted by blanks."""
    found: list[Channel] = [ConsoleChannel(say)]
    webhooks = environ.get(webhook_env or "", "").split()
    for url in webhooks:
        if not is_web(url):
            raise ConfigError(f"{webhook_env} holds what is no URL of the web", hint="it begins with https://<a host>")
        found.append(WebhookChannel(url))
    if urls := environ.get(apprise_env or "", "").split():
        found += AppriseChannel.each(urls)
    return found


def _address(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


class _Line:
    """A channel with its own queue and thread, so that one that hangs keeps no other back."""

    def __init__(
        self, channel: Channel, record: Callable[[Alert, Channel | None], None], *, pause: float, again: float
    ) -> None:
        self._channel, self._record, self._pause, self._again = channel, record, pause, again
        self._waiting: queue.SimpleQueue[Alert | None] = queue.SimpleQueue()
        self._late: deque[Alert] = deque()
        self.sent = self.failed = self.lost = 0
        self._thread = threading.Thread(target=self._work, name=f"alerts {channel.name}", daemon=True)
        self._thread.start()

    def put(self, alert: Alert) -> None:
        """Hand an alert over and return at once; where too many wait it is lost, unless it stands in the outbox."""
        if alert.post is None and self._waiting.qsize() >= MOST_WAITING:
            self.lost += 1
        else:
            self._waiting.put(alert)

    def end(self) -> None:
        """Have the thread end once it has told what waits."""
        self._waiting.put(None)

    def join(self, seconds: float) -> None:
        """Wait at most so long for the thread's end."""
        self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            try:
                alert = self._waiting.get(timeout=self._again)
            except queue.Empty:
                self._try_late()
                continue
            if alert is None:
                return
            known = alert.post is not None and self._channel.address in alert.had
            if known or self._send(alert):
                self._record(alert, None if known else self._channel)
                self._try_late()
            elif alert.post is None and len(self._late) >= MOST_WAITING:
                self.lost += 1
            else:
                self.failed += 1
                self._late.append(alert)

    def _try_late(self) -> None:
        """Try again what could not be sent, oldest first, up to the first that cannot be sent now."""
        while self._late and self._send(self._late[0]):
            self.failed -= 1
            self._record(self._late.popleft(), self._channel)

    def _send(self, alert: Alert) -> bool:
        for attempt in range(ATTEMPTS):
            try:
                self._channel.send(alert)
            except Exception as error:  # noqa: BLE001 - whatever it was, trading goes on and the next alert is tried
                logger.warning("an alert could not be sent (%s): %s", self._channel.name, error)
                if attempt + 1 < ATTEMPTS:
                    time.sleep(self._pause * 2**attempt)
            else:
                self.sent += 1
                return True
        return False


class Alerts:
    """Tells every channel, each from a thread of its own that nobody waits for.

    What a channel does not take is tried again beside the next alert, and every ten minutes; what it has not taken by the
    end stays in the outbox, if there is one, for the next start.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        outbox: Outbox | None = None,
        pause: float = PAUSE_SECONDS,
        again: float = AGAIN_SECONDS,
    ) -> None:
        self._channels, self._outbox = tuple(channels), outbox
        self._lines = [_Line(one, self._record, pause=pause, again=again) for one in channels]

    @property
    def sent(self) -> int:
        """Return how often a channel took an alert."""
        return sum(one.sent for one in self._lines)

    @property
    def failed(self) -> int:
        """Return how many alerts wait to be tried again, a channel."""
        return sum(one.failed for one in self._lines)

    @property
    def lost(self) -> int:
        """Return how many alerts a channel will never hear of."""
        return sum(one.lost for one in self._lines)

    def tell(self, title: str, text: str, *, post: int | None = None, had: frozenset[str] = frozenset()) -> None:
        """Hand an alert over to every channel and return at once."""
        for one in self._lines:
            one.put(Alert(title, text, post, had))

    def close(self, *, seconds: float = 10.0) -> None:
        """Let what waits be sent for at most so long."""
        until = time.monotonic() + seconds
        for one in self._lines:
            one.end()
        for one in self._lines:
            one.join(max(0.0, until - time.monotonic()))

    def _record(self, alert: Alert, channel: Channel | None) -> None:
        """Record that a channel was told, and that all were where all were; what cannot be written is told once more."""
        if self._outbox is None or alert.post is None:
            return
        try:
            if channel is not None:
                self._outbox.told(alert.post, channel.address)
            self._outbox.done(alert.post, {one.address for one in self._channels})
        except sqlite3.Error as error:
            logger.warning("it could not be recorded that an alert was sent: %s", error)
