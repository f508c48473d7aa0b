"""The local store as a source: bars that task=collect has fetched and judged."""

from __future__ import annotations

from datetime import date
from typing import Final

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data.bars import Bars
from wealtharena.data.store import Store
from wealtharena.errors import DataError, ProviderError

OFFLINE: Final = True


class Provider:
    """Processed bars of the store in `data.root`; nothing is fetched and nothing judged again."""

    name = "store"

    def __init__(self, spec: DataSpec, asset: AssetSpec) -> None:
        self._spec = spec
        self._asset = asset
        self._store = Store(spec.root)
        self._origins: dict[str, str] = {}

    def bars(self, symbol: str, start: date | None, end: date | None, interval: str) -> Bars:
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
        return kept

    def notes(self) -> tuple[str, ...]:
        """Return which provider the bars came from, and when."""
        return (f"bars come from the local store ({'; '.join(dict.fromkeys(self._origins.values()))})",)
