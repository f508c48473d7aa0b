"""The local store as a source: bars that task=collect has fetched and judged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import provider
from wealtharena.data.bars import Bars
from wealtharena.data.store import Store
from wealtharena.errors import DataError, ProviderError


class Provider(provider.Provider):
    """Processed bars of the store in `data.root`; nothing is fetched and nothing judged again."""

    name = "store"
    title = "local store"
    collected = False
    intervals = None

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = provider.now) -> None:
        super().__init__(spec, asset, clock=clock)
        self._store = Store(spec.root)
        self._origins: dict[str, str] = {}  # of each symbol: the source, and when it was asked
        self._caveats: dict[str, None] = {}

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> Bars:
        """Return the stored bars from `start` to `end`.

        Raises:
            ProviderError: the store lacks the symbol, or has no bars of it in the window.
        """
        try:
            whole = self._store.read(self._asset.name, symbol, interval)
        except DataError as error:
            raise ProviderError(self.name, symbol, error.message, hint=error.hint) from error
        kept = whole.between(start, end)
        if kept.table.empty:
            raise ProviderError(
                self.name,
                symbol,
                f"has no bars between {start} and {end}",
                hint="collect them, or change data.start and data.end",
            )
        self._origins[symbol] = f"{whole.provider}, fetched {whole.fetched_at:%Y-%m-%d}"
        origin = provider.found(whole.provider)
        self._caveats |= dict.fromkeys(origin.caveats if origin else ())
        return kept

    def notes(self) -> tuple[str, ...]:
        """Return which provider the bars came from and when, and that provider's own caveats."""
        origins = "; ".join(dict.fromkeys(self._origins.values()))
        return (f"bars come from the local store ({origins})", *self._caveats)
