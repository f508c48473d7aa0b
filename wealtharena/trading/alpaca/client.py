"""Requests to Alpaca: the package's own session, our time-outs and our repeats.

Nothing that changes something is ever repeated here: the package would send an order again after a 504 that had been
booked. What is asked again is what may be asked at will.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests import PreparedRequest, ReadTimeout, RequestException, Response
from requests.adapters import HTTPAdapter

from wealtharena.data.manners import Deadline
from wealtharena.trading.broker import UnreachableError
from wealtharena.trading.locks import Keys

T = TypeVar("T")
_NEVER: Final = [0]  # statuses at which the package repeats: none that exists
_AGAIN: Final = (408, 425, 429)  # and all from 500 on
_LONGEST_WAIT: Final = 60.0
UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)  # by what reads an answer


class StatusError(Exception):
    """An answer of Alpaca's own that refuses: its HTTP status, its code and its words."""

    def __init__(self, status: int, code: int | None, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after


class RedirectedError(RequestException):
    """The server names another address, which is not followed: keys go to no host that was not meant."""


class _Adapter(HTTPAdapter):
    """A transport that has an answer whole within its time, or none, and repeats nothing by itself."""

    def __init__(self, seconds: float) -> None:
        super().__init__(max_retries=0)
        self._seconds = seconds
        self._deadline = Deadline(seconds)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        deadline = self._deadline = Deadline(self._seconds)
        with deadline.held():
            response = super().send(request, *args, **{**kwargs, "timeout": self._seconds})
            _ = response.content  # read here, where its time is kept
        if 300 <= response.status_code < 400:
            raise RedirectedError
        if deadline.over:  # an answer whose length is not told looks whole where it was cut
            raise ReadTimeout(deadline.told)
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if "ConnectionCls" not in vars(pool):
            pool.ConnectionCls = _kept(pool.ConnectionCls, lambda: self._deadline)
        return pool


def _kept(kind: Any, deadline: Callable[[], Deadline]) -> Any:
    """Return a kind of connection that is ended with the time of each request that it carries."""

    class Kept(kind):  # type: ignore[misc]  # the pool says which, with TLS or without
        _raw: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            found: socket.socket = super()._new_conn()
            self._raw = found.dup()  # TLS takes the other one over
            deadline().ends(self._raw)
            return found

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self._raw is not None:
                deadline().ends(self._raw)
            super().request(*args, **kwargs)

        def close(self) -> None:
            if self._raw is not None:
                self._raw.close()
                self._raw = None
            super().close()

    return Kept


class _Session(RESTClient):
    """The package's client with a time-out and without its repeats."""

    def __init__(self, keys: Keys, url: str, *, seconds: float) -> None:
        super().__init__(
            base_url=url, api_key=keys.key, secret_key=keys.secret, raw_data=True, retry_exception_codes=_NEVER
        )
        self._session.mount("https://", _Adapter(seconds))
        self._session.mount("http://", _Adapter(seconds))

    def ask(self, method: str, path: str, data: Any) -> Any:
        return self._request(method, path, data)

    def close(self) -> None:
        self._session.close()


class Client:
    """Asks and sends; every failure is a StatusError of Alpaca's own, or UnreachableError. No message carries a key."""

    def __init__(
        self,
        keys: Keys,
        url: str,
        *,
        timeout_seconds: float,
        attempts: int,
        backoff_seconds: float,
        wait: Callable[[float], None],
    ) -> None:
        self._session = _Session(keys, url, seconds=timeout_seconds)
        self._attempts, self._backoff, self._wait = attempts, backoff_seconds, wait

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def get(self, path: str, read: Callable[[Any], T], params: Mapping[str, Any] | None = None) -> T:
        """Return what `read` makes of the answer, asked for again where that may help; a half answer is none."""
        failure: UnreachableError | StatusError = UnreachableError("alpaca: not asked")
        for attempt in range(self._attempts):
            if attempt:
                self._wait(self._pause(attempt, failure))
            try:
                return read(self.once("GET", path, dict(params or {})))
            except UnreachableError as error:
                failure = error
            except StatusError as error:
                if error.status not in _AGAIN and error.status < 500:
                    raise
                failure = error
            except UNREADABLE as error:
                failure = UnreachableError(f"alpaca: {path} was answered with something else ({type(error).__name__})")
        raise UnreachableError(str(failure))

    def _pause(self, attempt: int, failure: Exception) -> float:
        asked = getattr(failure, "retry_after", None)
        return min(_LONGEST_WAIT, max(self._backoff * 2.0 ** (attempt - 1), asked or 0.0))

    def once(self, method: str, path: str, data: Any) -> Any:
        """Return the answer to one request, asked once."""
        try:
            return self._session.ask(method, path, data)
        except APIError as error:
            failure: Exception = _status_of(error, path)
        except RedirectedError:
            failure = UnreachableError(
                f"alpaca: {method} {path}: another address, which is not followed: broker.url is to be that one"
            )
        except (RequestException, ValueError, OSError, RecursionError) as error:  # the last: nested without an end
            failure = UnreachableError(f"alpaca: {method} {path}: {type(error).__name__}")
        raise failure  # outside the handler: the package's own errors quote requests


def _status_of(error: APIError, path: str) -> Exception:
    """Return a refusal in Alpaca's own form; what a proxy answers in its place says nothing."""
    status, response = error.status_code or 0, error.response
    try:
        content = json.loads(str(error))
        message, code = str(content["message"]), content.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        return UnreachableError(f"alpaca: {path} was answered {status} by something that is not Alpaca")
    if status == 401:
        return UnreachableError("alpaca: the keys are not accepted (401)")
    try:
        after = float(response.headers["retry-after"])
    except (KeyError, ValueError, AttributeError):
        after = math.nan
    return StatusError(status, code if isinstance(code, int) else None, message, after if after >= 0.0 else None)


def number(value: Any) -> float:
    """Return a number that Alpaca writes as text; one of UNREADABLE for anything that is none, or not finite."""
    found = float(value)
    if not math.isfinite(found):
        raise ValueError("not finite")
    return found


def rows(value: Any) -> list[Any]:
    """Return a list; TypeError for anything else, such as an error in a list's place."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value
