"""Two fetches of one history: where they are the same, what joins them, and what would be lost by taking the newer."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.bars import PRICE_COLUMNS, RawBars
from wealtharena.errors import ProviderError

SAME: Final = 1e-5  # relative difference of prices up to which history counts as unchanged
KEPT_SHARE: Final = 0.9  # of what is stored, that what is fetched anew must still have


def overlap_start(old: RawBars, bars: int) -> pd.Timestamp:
    """Return the start of the day of the last but `bars` stored bar."""
    stamps = old.table["timestamp"].sort_values()
    start: pd.Timestamp = stamps.iloc[max(len(stamps) - bars, 0)].normalize()
    return start


def since(raw: RawBars, first: pd.Timestamp) -> RawBars:
    """Return the bars from `first` on."""
    kept = raw.table["timestamp"] >= first
    return raw if kept.all() else replace(raw, table=raw.table[kept].reset_index(drop=True))


def continues(old: RawBars, new: RawBars, first: pd.Timestamp) -> bool:
    """Return whether `new` repeats the old bars from `first` on, and no split since rescaled those before."""
    if old.currency != new.currency or old.volume_unit != new.volume_unit:
        return False
    last = old.table["timestamp"].max()
    later = new.table["timestamp"] > last
    rescaled = new.adjusted != "none" and bool((later & (new.table["split"] > 0) & (new.table["split"] != 1)).any())
    return not rescaled and _alike(_between(old, first, last), _between(new, first, last))


def begins_alike(old: RawBars, new: RawBars, bars: int) -> bool:
    """Return whether the first so many bars of `new` repeat old ones, so that older ones may stand before them."""
    if old.currency != new.currency or old.volume_unit != new.volume_unit:
        return False
    a, b = (_between(raw, new.table["timestamp"].min(), old.table["timestamp"].max()) for raw in (old, new))
    return len(b) >= bars and _alike(a[:bars], b[:bars])


def joined(old: RawBars, new: RawBars, first: pd.Timestamp) -> RawBars:
    """Return the old bars before `first`, and then the new ones."""
    kept = old.table[old.table["timestamp"] < first]
    return replace(new, table=pd.concat([kept, new.table], ignore_index=True)) if len(kept) else new


def _between(raw: RawBars, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    stamps = raw.table["timestamp"]
    return raw.table[(stamps >= first) & (stamps <= last)].sort_values("timestamp", kind="stable")


def _alike(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Return whether two tables are not empty and have the same bars, prices and events."""
    if not len(a) or len(a) != len(b) or (a["timestamp"].to_numpy() != b["timestamp"].to_numpy()).any():
        return False
    columns = [*PRICE_COLUMNS, "dividend", "split"]
    return bool(np.allclose(a[columns].to_numpy(), b[columns].to_numpy(), rtol=SAME, atol=0, equal_nan=True))


def lost(old: RawBars, new: RawBars) -> tuple[int, int]:
    """Return how many of the old bars the new history lacks, and how many they are."""
    times = set(new.table["timestamp"])
    total = set(old.table["timestamp"])
    return len(total - times), len(total)


def told_lost(old: RawBars, new: RawBars) -> str:
    """Return a sentence on the stored bars that the new history lacks; nothing where it has them all."""
    lacking, total = lost(old, new)
    return f"{lacking} of the {total} bars that were stored are not in the history fetched anew" if lacking else ""


def check_not_shrunk(old: RawBars, new: RawBars) -> None:
    """Raise ProviderError where a new history has lost more than a tenth of the old bars."""
    lacking, total = lost(old, new)
    if total - lacking < KEPT_SHARE * total:
        whose = "" if old.provider == new.provider else f", which came from {old.provider}"
        raise ProviderError(
            new.provider,
            new.symbol,
            f"the history fetched anew has only {total - lacking} of the {total} bars that are stored{whose}",
            hint="the stored bars stay as they are; collect.refresh=true takes the new ones",
        )


def check_has_opens(old: RawBars, new: RawBars) -> None:
    """Raise ProviderError where another source has closes only in place of whole bars."""
    if old.table["open"].notna().any() and not new.table["open"].notna().any():
        raise ProviderError(
            new.provider,
            new.symbol,
            f"has closes only, while the bars that are stored, from {old.provider}, have opens",
            hint=f"the stored bars stay as they are; data={new.provider} takes the new ones",
        )
