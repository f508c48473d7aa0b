"""Words to people who are not looking: to the console, a webhook, or whatever apprise reaches. Trading never waits for them.

An alert that cannot be sent is tried again, counted and logged; nothing that goes wrong here comes back to who told it.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from wealtharena.errors import ConfigError

logger = logging.getLogger(__name__)
ATTEMPTS: Final = 3
TIMEOUT_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 2.0  # before a second attempt, doubled before each further one
MOST_WAITING: Final = 100  # alerts; what comes beyond is counted as lost
_DISCORD: Final = ("discord.com", "discordapp.com")
_LONGEST: Final = 1900  # letters; Discord takes 2000


@dataclass(frozen=True)
class Alert:
    """What somebody should know."""

    title: str
    text: str


class Channel(Protocol):
    """A way to tell people; `send` raises whatever goes wrong."""

    @property
    def name(self) -> str: ...

    def send(self, alert: Alert) -> None: ...


@dataclass(frozen=True)
class ConsoleChannel:
    """The terminal or log of the process."""

    say: Callable[[str], None]
    name: str = "console"

    def send(self, alert: Alert) -> None:
        """Say it."""
        self.say(f"{alert.title}: {alert.text}")


@dataclass(frozen=True)
class WebhookChannel:
    """A URL that takes JSON as Slack does, or as Discord does where it is Discord's. The URL is a secret and told to nobody."""

    url: str
    name: str = "webhook"

    def send(self, alert: Alert) -> None:
        """POST the alert; RuntimeError, without the URL, where it is not taken."""
        import httpx

        host = urlsplit(self.url).hostname or ""
        key = "content" if host.endswith(_DISCORD) and not self.url.rstrip("/").endswith("/slack") else "text"
        words = f"{alert.title}\n{alert.text}"[:_LONGEST]
        try:
            answer = httpx.post(self.url, json={key: words}, timeout=TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RuntimeError(type(error).__name__) from None
        if not answer.is_success:
            raise RuntimeError(f"HTTP {answer.status_code}")


@dataclass(frozen=True, eq=False)
class AppriseChannel:
    """Whatever the library apprise reaches: mail, telephones, chats. Its URLs are secrets."""

    sender: Any
    name: str = "apprise"

    @classmethod
    def of(cls, urls: Sequence[str]) -> AppriseChannel:
        """Return the channel of these URLs; ConfigError where apprise is not installed or does not know one."""
        try:
            library = importlib.import_module("apprise")
        except ImportError as error:
            raise ConfigError(
                "alerts through apprise need the library", hint="pip install 'wealtharena[alerts]'"
            ) from error
        sender = library.Apprise()
        for number, url in enumerate(urls, start=1):
            if not sender.add(url):
                raise ConfigError(f"apprise does not know its URL number {number}", hint="see its documentation")
        return cls(sender)

    def send(self, alert: Alert) -> None:
        """Notify; RuntimeError where any of the URLs did not take it."""
        if not self.sender.notify(title=alert.title, body=alert.text):
            raise RuntimeError("not every URL took it")


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
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigError(f"{webhook_env} holds what is no URL of the web", hint="it begins with https://")
        found.append(WebhookChannel(url))
    if urls := environ.get(apprise_env or "", "").split():
        found.append(AppriseChannel.of(urls))
    return found


class Alerts:
    """Tells every channel, each alert from a thread of its own that nobody waits for."""

    def __init__(self, channels: Sequence[Channel], *, pause: float = PAUSE_SECONDS) -> None:
        self._channels, self._pause = tuple(channels), pause
        self._waiting: queue.Queue[Alert | None] = queue.Queue(MOST_WAITING)
        self.sent = self.failed = self.lost = 0
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._thread.start()

    def tell(self, title: str, text: str) -> None:
        """Hand an alert over and return at once."""
        try:
            self._waiting.put(Alert(title, text), block=False)
        except queue.Full:
            self.lost += 1

    def close(self, *, seconds: float = 10.0) -> None:
        """Let what waits be sent for at most so long."""
        try:
            self._waiting.put(None, block=False)
        except queue.Full:
            self.lost += 1
        self._thread.join(seconds)

    def _work(self) -> None:
        while (alert := self._waiting.get(block=True)) is not None:
            for channel in self._channels:
                self._send(channel, alert)

    def _send(self, channel: Channel, alert: Alert) -> None:
        for attempt in range(ATTEMPTS):
            try:
                channel.send(alert)
            except Exception as error:  # noqa: BLE001 - whatever it was, trading goes on and the next alert is tried
                logger.warning("an alert could not be sent (%s): %s", channel.name, error)
                if attempt + 1 < ATTEMPTS:
                    time.sleep(self._pause * 2**attempt)
            else:
                self.sent += 1
                return
        self.failed += 1
