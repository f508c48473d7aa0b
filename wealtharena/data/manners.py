"""How a network provider is talked to: slowly, within a budget, again only where it can help, and without telling keys.

Every request passes `Manners.admit`; every attempt runs inside `Manners.call`. Errors are raised outside the handlers
of the libraries' own exceptions, which carry URLs with keys: nothing of them is chained.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final, TypeVar

import tenacity
from pyrate_limiter import InMemoryBucket, Limiter, Rate
from pyrate_limiter.limiter import SingleBucketFactory

from wealtharena.config.specs.data import MannersSpec
from wealtharena.data.provider import BusyError, RefusalError, UnreachableError
from wealtharena.errors import ProviderError
from wealtharena.shown import without_home

T = TypeVar("T")

_TALKATIVE: Final = (
    "httpx",
    "httpcore",
    "yfinance",
    "curl_cffi",
    "urllib3",
    "peewee",
    "filelock",
    "charset_normalizer",
)
_PARAMETERS: Final = re.compile(
    r"(?i)\b(api_?key|x_cg_\w+_api_key|crumb|token|secret|cookie|set-cookie|a3)\s*[=:]\s*[^&\s'\"<>]+"
)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORD: Final = re.compile(r"[!-~]+")  # what a header and a query can carry as it is
BAD_PROXY: Final = "the environment names a proxy that cannot be used here: SOCKS, or no address"
PROXY_HINT: Final = "set HTTPS_PROXY and ALL_PROXY to an address such as http://host:port, or unset them"
TLS_HINT: Final = "set the clock right; behind a proxy that opens TLS let SSL_CERT_FILE name a file with its certificate and the usual ones"
_LONGEST: Final = 240
_SOON_SECONDS: Final = 1.0
_LARGEST_BYTES: Final = 64 * 2**20  # of one answer; the longest series with all its vintages has a quarter of that


class Manners:
    """One provider's limits over one run: pace, budget, retries and the key that no message may show.

    `where` is where the limits stand in the configuration, as messages name them.
    """

    def __init__(
        self,
        provider: str,
        spec: MannersSpec,
        *,
        where: str = "data.manners",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.provider = provider
        self._where = where
        self.spec = spec
        self.requests = 0
        self.answers = 0
        self._sleep = sleep
        rate = Rate(1, max(round(1000 / spec.requests_per_second), 1))
        self._limiter = Limiter(SingleBucketFactory(InMemoryBucket([rate]), schedule_leak=False), buffer_ms=1)
        silence_libraries()

    @property
    def key(self) -> str | None:
        """Return the key from the environment, without spaces or a line's end around it, if there is one."""
        return os.environ.get(self.spec.key_env, "").strip() or None if self.spec.key_env else None

    def require_key(self, symbol: str, *, where: str) -> str:
        """Return the key.

        Raises:
            RefusalError: there is none.
        """
        if self.key is None:
            name = self.spec.key_env or f"{self._where}.key_env"
            raise RefusalError(
                self.provider, symbol, "needs a key", hint=f"set the environment variable {name} ({where})"
            )
        return self.key

    def admit(self, symbol: str) -> None:
        """Wait for this request's turn and count it.

        Raises:
            RefusalError: the run's budget of requests is spent, or the key is none.
        """
        if self.key is not None and not _WORD.fullmatch(self.key):
            raise RefusalError(
                self.provider,
                symbol,
                "the key has characters that no key has: spaces, letters with accents, control characters",
                hint=f"check the environment variable {self.spec.key_env}",
            )
        if self.requests >= self.spec.requests_per_run:
            raise RefusalError(
                self.provider,
                symbol,
                f"the budget of {self.spec.requests_per_run} requests a run is spent",
                hint=f"run it again, which fetches only what is missing, or raise {self._where}.requests_per_run",
            )
        self.requests += 1
        self._limiter.try_acquire(self.provider)

    def call(self, attempt: Callable[[], T]) -> T:
        """Return what `attempt` returns; call it again while it raises `BusyError`, up to `attempts` times.

        Waits for as long as the provider asks, or `backoff_seconds` doubled each time; a provider that asks for more
        than `longest_wait_seconds` is not waited for. One that cannot be reached and never has been in this run, as
        without a network, is tried once more, soon.
        """
        retrying = tenacity.Retrying(
            retry=self._worthwhile,
            stop=tenacity.stop_after_attempt(self.spec.attempts),
            wait=self._pause,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(attempt)

    def get(self, symbol: str, url: str, *, params: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """Return the httpx response to a GET with a status below 500 other than 429.

        Raises:
            BusyError: no whole answer within `timeout_seconds`, 429 or 5xx.
            RefusalError: the budget is spent, the key is none, or the environment names a proxy that cannot be used.
            ProviderError: the answer is larger than any should be, or sends elsewhere.
        """
        import httpx

        self.admit(symbol)
        failure, response, unreachable = "", None, False
        hint = "check the network, then run it again"
        client = open_client(self.spec.timeout_seconds)
        if client is None:
            raise RefusalError(self.provider, symbol, BAD_PROXY, hint=PROXY_HINT)
        deadline = Deadline(self.spec.timeout_seconds)
        try:
            with deadline.held():
                response = _whole(client, url, params, headers, deadline)
        except httpx.TimeoutException:
            failure = deadline.told
        except httpx.TransportError as error:
            failure = deadline.told if deadline.over else f"the connection failed ({type(error).__name__})"
            unreachable = isinstance(error, httpx.ConnectError) and not deadline.over
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                failure, hint = "its certificate is not one that this machine trusts", TLS_HINT
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = f"the answer was not readable ({type(error).__name__})"
        if response is None:
            kind = UnreachableError if unreachable else BusyError
            raise kind(self.provider, symbol, failure, hint=hint)
        self.check_size(symbol, response.content)
        self.answers += 1
        raise_for_busy(self.provider, symbol, response.status_code, response.headers, where=self._where)
        if response.is_redirect:
            host = response.headers["location"].partition("://")[2].partition("/")[0].rpartition("@")[2]
            cause = f"sends elsewhere (HTTP {response.status_code}{', to ' if host else ''}{self.clean(host)})"
            raise ProviderError(
                self.provider, symbol, cause, hint="a proxy or a network's sign-in page: try from another"
            )
        return response

    def check_size(self, symbol: str, content: bytes) -> None:
        """Raise ProviderError where an answer is larger than any should be."""
        if len(content) > _LARGEST_BYTES:
            cause = f"sent more than {_LARGEST_BYTES // 2**20} MiB"
            raise ProviderError(self.provider, symbol, cause, hint=f"see what answers at {self._where}.base_url")

    def clean(self, text: str) -> str:
        """Return `text` on one line, without the key, anything that looks like one, and personal paths."""
        return redact(text, [self.key] if self.key else [])

    def _worthwhile(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, BusyError):
            return False
        if self._is_away(error) and state.attempt_number > 1:
            return False
        return error.retry_after is None or error.retry_after <= self.spec.longest_wait_seconds

    def _is_away(self, error: BaseException | None) -> bool:
        return isinstance(error, UnreachableError) and not self.answers

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if self._is_away(error):
            return min(self.spec.backoff_seconds, _SOON_SECONDS)
        asked = error.retry_after if isinstance(error, BusyError) else None
        backoff = self.spec.backoff_seconds * 2 ** (state.attempt_number - 1)
        return float(min(max(asked or 0.0, backoff), self.spec.longest_wait_seconds))


class Deadline:
    """The moment by which an answer must be whole: a library's own time-out starts again with every byte that comes."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.told = f"no answer within {seconds:g} s"
        self.over = False
        self._connection: socket.socket | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """End the connection, and with it the waiting for it, when the time is over."""
        timer = threading.Timer(self.seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join(_SOON_SECONDS)  # what it ends is a socket, which waits for nothing
            if self._connection is not None:
                self._connection.close()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the connection: httpcore's hook, called at each of its steps."""
        if event == "connection.connect_tcp.complete":
            self.ends(info["return_value"].get_extra_info("socket"))

    def ends(self, connection: socket.socket) -> None:
        """Have this connection ended when the time is over, by a handle of its own: TLS takes the other one over."""
        if self._connection is not None:
            self._connection.close()
        self._connection = connection.dup()
        if self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)


def open_client(seconds: float) -> Any:
    """Return an httpx client with that time-out; None where the environment names a proxy that it cannot use."""
    import httpx

    try:
        return httpx.Client(timeout=seconds, verify=_tls())
    except (ImportError, ValueError, httpx.InvalidURL):  # SOCKS wants a package more
        return None


def _whole(
    client: Any, url: str, params: Mapping[str, Any], headers: Mapping[str, str] | None, deadline: Deadline
) -> Any:
    """Return the response with its content, of which no more is read than shows that it is too large."""
    import httpx

    content = bytearray()
    with (
        client,
        client.stream(
            "GET", url, params=dict(params), headers=dict(headers or {}), extensions={"trace": deadline.trace}
        ) as response,
    ):
        for part in response.iter_bytes():
            content += part
            if len(content) > _LARGEST_BYTES:
                break
            if deadline.over:
                raise httpx.ReadTimeout(deadline.told)
        kept = [(name, value) for name, value in response.headers.items() if name != "content-encoding"]
        return httpx.Response(response.status_code, headers=kept, content=bytes(content))


@cache
def _tls() -> ssl.SSLContext:
    """Return the one TLS context of the process: reading the certificates takes longer than a request on loopback."""
    import httpx

    return httpx.create_ssl_context()


def raise_for_busy(
    provider: str, symbol: str, status: int, headers: Mapping[str, str], *, where: str = "data.manners"
) -> None:
    """Raise BusyError for a status that another attempt may cure: 429 and 5xx."""
    if status == 429:
        wait = retry_after(headers)
        asked = f", asks to wait {wait:.0f} s" if wait is not None else ""
        raise BusyError(
            provider,
            symbol,
            f"too many requests (HTTP 429{asked})",
            hint=f"run it again later, or lower {where}.requests_per_second",
            retry_after=wait,
        )
    if status >= 500:
        raise BusyError(provider, symbol, f"server error (HTTP {status})", hint="run it again later")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as a number or a date; None without one."""
    value = {name.lower(): text for name, text in headers.items()}.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:  # written with -0000, which is UTC too
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def number(value: object) -> float:
    """Return what an answer gives as a number, or as the text of one.

    Raises:
        ValueError: it is neither: true, 1_0, an infinity, a list.
    """
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if math.isinf(found):
        raise ValueError("not a finite number")
    return found


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` on one line of at most 240 characters, without secrets, key-like parameters and the home folder."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = _PARAMETERS.sub(lambda match: f"{match.group(1)}=***", text)
    text = " ".join(without_home(text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def silence_libraries() -> None:
    """Keep the HTTP libraries from logging URLs, headers and cookies, whatever the root logger's level is."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL)
        logger.propagate = False
