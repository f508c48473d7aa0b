"""What yfinance does in a process beside asking: its session, what it remembers on disk, its warnings."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from wealtharena.data.manners import Manners

_COOKIES: Final = threading.Lock()  # yfinance has one place for them in a process


@dataclass
class Answers:
    """What Yahoo's servers sent during one attempt; the evidence behind an error message."""

    charts: list[Any] = field(default_factory=list)

    @property
    def last(self) -> Any:
        """Return the last answer of the chart service, None if there was none."""
        return self.charts[-1] if self.charts else None


def keep_cookies_in(folder: Path) -> None:
    """Have yfinance remember in a folder; left alone it stays with its first, and SQLite fails where that is gone."""
    import yfinance
    from yfinance import cache

    with _COOKIES:
        if not folder.is_dir() or cache._TzDBManager.get_location() != str(folder):
            folder.mkdir(parents=True, exist_ok=True)
            yfinance.set_tz_cache_location(str(folder))
            _remember_by(None, None, None)


def forget_cookies_after(error: Exception) -> None:
    """Let yfinance remember nothing on disk any more where that is what failed: a full disk or a broken file keeps no bars away."""
    import peewee
    from yfinance import cache

    if isinstance(error, peewee.DatabaseError):
        with _COOKIES:
            _remember_by(cache._TzCacheDummy(), cache._CookieCacheDummy(), cache._ISINCacheDummy())


def close_cookies() -> None:
    """Close what yfinance has opened to remember in this thread: it would stay open until the thread is no more."""
    from yfinance import cache

    for manager in (cache._TzDBManager, cache._CookieDBManager, cache._ISINDBManager):
        manager.close_db()


def _remember_by(zones: Any, cookies: Any, isins: Any) -> None:
    """Have yfinance remember by these from now on; None is made anew, at its place of then, when it is wanted."""
    from yfinance import cache

    cache._TzCacheManager._tz_cache = zones
    cache._CookieCacheManager._Cookie_cache = cookies
    cache._ISINCacheManager._isin_cache = isins


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence yfinance's warnings about pandas and about itself; none is about our request."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def make_session(manners: Manners, keep: Callable[[Any], None]) -> Any:
    """Return a curl_cffi session that paces and counts every request, has chart answers kept, and may use another base URL."""
    from curl_cffi import requests

    base_url = manners.spec.base_url

    class Session(requests.Session):  # type: ignore[type-arg]  # generic in its response, which stays the library's
        symbol = ""

        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
            parts = urlsplit(str(url))
            if base_url is not None and (parts.hostname or "").endswith("yahoo.com"):
                url = base_url.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")
            manners.admit(self.symbol)
            kwargs["timeout"] = manners.spec.timeout_seconds
            response = super().request(method, url, *args, **kwargs)
            manners.check_size(self.symbol, response.content)
            manners.answers += 1
            if "/finance/chart/" in parts.path:
                keep(response)
            return response

    return Session() if base_url is not None else Session(impersonate="chrome")
