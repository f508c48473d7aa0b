"""data=auto: the local store, else the asset's own real sources, else, without any network, the simulator."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import provider
from wealtharena.data.manners import BAD_PROXY, PROXY_HINT, open_client
from wealtharena.data.store import Store
from wealtharena.errors import DataError

logger = logging.getLogger(__name__)

CONTROL: Final = "https://www.ecb.europa.eu"  # tells a provider that is down from a machine without a network

Reachable = Callable[[Sequence[str], float], frozenset[str]]


@dataclass(frozen=True)
class Resolution:
    """The source that data=auto came to, and why, in words for the log and the report."""

    source: str
    reason: str


def resolve(asset: AssetSpec, data: DataSpec, *, probe: Reachable | None = None) -> Resolution:
    """Return the source for the request: the store if it covers it, else the first of the chain that can be reached.

    The network is probed only where the chain needs it, once, for at most `data.probe_timeout_seconds`. The simulator
    is the answer only when neither a provider nor anything else answers; a provider that refuses is not asked here, and
    its refusal later is an error.

    Raises:
        DataError: there is a network, but none of the chain's providers answers on it.
        ConfigError: the chain names an unknown source, or none that has bars of this interval.
    """
    symbols = data.symbols or asset.universe.symbols[: asset.universe.max_symbols]
    window, names = (data.start, data.end), data.provider_symbols
    lacking = Store(data.root).missing(asset.name, symbols, data.interval, *window, names=names)
    if not lacking:
        return _log(Resolution("store", "the local store covers the request"))
    stored = f"the local store lacks {len(lacking)} of {len(symbols)} symbols"
    sources = [provider.find(name, key="asset.chain") for name in provider.serving(asset, data.interval)]
    hosts = {source.name: data.manners.base_url or source.host for source in sources if source.host}
    answered: frozenset[str] | None = None
    for source in sources:
        if source.name not in hosts:
            return _log(Resolution(source.name, f"{stored}; {source.name} needs no network"))
        if answered is None:
            answered = (reachable if probe is None else probe)([*hosts.values(), CONTROL], data.probe_timeout_seconds)
        if hosts[source.name] in answered:
            return _log(Resolution(source.name, f"{stored}; {source.name} answers"))
    if answered:
        raise DataError(
            f"there is a network, but {', '.join(hosts)} did not answer within {data.probe_timeout_seconds:g} s",
            hint="try again later, name another source (data=...), or use data=simulated on purpose",
        )
    return _log(Resolution("simulated", f"{stored}, and no network is reachable ({', '.join(hosts)}): SIMULATED data"))


def reachable(urls: Sequence[str], timeout_seconds: float) -> frozenset[str]:
    """Return the URLs at which something answers HTTP, whatever it says, within `timeout_seconds` altogether.

    Every URL is tried in a thread of its own that is given up, not waited for: a name server that never answers can
    hold the lookup for longer than any time-out of the connection.

    Raises:
        DataError: the environment names a proxy that cannot be used, so that nothing tells what can be reached.
    """
    answered: set[str] = set()
    unusable: set[str] = set()
    threads = [
        threading.Thread(target=_try, args=(url, timeout_seconds, answered, unusable), daemon=True)
        for url in dict.fromkeys(urls)
    ]
    deadline = time.monotonic() + timeout_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    if unusable:
        raise DataError(BAD_PROXY, hint=f"{PROXY_HINT}; or name a source: data=yahoo, data=store, data=simulated")
    return frozenset(answered)


def _try(url: str, timeout_seconds: float, answered: set[str], unusable: set[str]) -> None:
    import httpx

    client = open_client(timeout_seconds)
    if client is None:
        unusable.add(url)
        return
    try:
        with client:
            client.head(url)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return
    answered.add(url)


def _log(resolution: Resolution) -> Resolution:
    level = logging.WARNING if resolution.source == "simulated" else logging.INFO
    logger.log(level, "data=auto: %s, since %s", resolution.source, resolution.reason)
    return resolution
