"""Two fetches of one history: where they are the same, what joins them, and what would be lost by taking the newer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.bars import PRICE_COLUMNS, RawBars
from wealtharena.errors import ProviderError

SAME: Final = 1e-5  # relative difference of prices up to which history counts as unchanged
KEPT_SHARE: Final = 0.9  # of what is stored, that what is fetched anew must still have
FloatArray = npt.NDArray[np.float64]
_MOVED: Final = pd.Timedelta(days=7)  # by which the date of a dividend or split may be corrected
_LEAST_RETURNS: Final = 60
_SAME_RETURNS: Final = 0.5  # rank correlation of one instrument's returns in two answers
_UNITS: Final = (100.0, 1000.0)  # pence for pounds, fils for dinars
_SAME_UNIT: Final = 0.01  # relative distance from them of the ratio of two answers' closes


def overlap_start(old: RawBars, bars: int) -> pd.Timestamp:
    """Return the start of the day of the last but `bars` stored bar."""
    stamps = old.table["timestamp"].sort_values()
    start: pd.Timestamp = stamps.iloc[max(len(stamps) - bars, 0)].normalize()
    return start


def last_told(raw: RawBars) -> pd.Timestamp:
    """Return the time of the last bar that has a close: a source may send one without, and fill it in later."""
    stamps = raw.table["timestamp"]
    told = stamps[raw.table["close"].notna()]
    last: pd.Timestamp = (told if len(told) else stamps).max()
    return last


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


def behind_older(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame | None:
    """Return a macro series behind the stored values of dates before its first, which its source no longer sends.

    None where there are no such values, or where the newer ones are not those that are stored: a series on another basis
    has none before it.
    """
    first = new["date"].min()
    older, kept = old[old["date"] < first], old[old["date"] >= first]
    if not len(older):
        return None
    keys = ["date", "realtime_start"]
    shared = kept.merge(new, on=keys, how="left", indicator=True, suffixes=("", "_now"))
    known = shared[shared["_merge"] == "both"]
    same = np.isclose(known["value"], known["value_now"], rtol=SAME, atol=0, equal_nan=True)
    if not len(known) or len(known) < KEPT_SHARE * len(shared) or not same.all():
        return None
    whole: pd.DataFrame = pd.concat([older, new], ignore_index=True)
    return whole


@dataclass(frozen=True)
class Loss:
    """How many of the stored things of one kind a new history lacks; `usual` many are no reason to refuse it."""

    kind: str
    lacking: int
    total: int
    usual: int

    @property
    def grave(self) -> bool:
        return self.lacking > self.usual

    def __str__(self) -> str:
        return f"{self.lacking} of the {self.total} {self.kind} that were stored are not in the history fetched anew"


def losses(old: RawBars, new: RawBars) -> tuple[Loss, ...]:
    """Return what of the stored history the new one lacks: bars, and of those that it has opens, volumes and events.

    An event that is now a few days from where it was is the same one.
    """
    a, b = (raw.table.drop_duplicates("timestamp").set_index("timestamp") for raw in (old, new))
    found = [_loss("bars", len(a) - int(a.index.isin(b.index).sum()), len(a))]
    both = a.index.intersection(b.index)
    for name, kind in (("open", "opens"), ("volume", "volumes")):
        had = (a.loc[both, name] > 0).to_numpy()
        found.append(_loss(kind, int((had & ~(b.loc[both, name] > 0).to_numpy()).sum()), int(had.sum())))
    for name, kind in (("dividend", "dividends"), ("split", "splits")):
        dates, now = (pd.DatetimeIndex(table.index[table[name] > 0]).as_unit("ns").asi8 for table in (a, b))
        gone = [bool((np.abs(now - date) > _MOVED.value).all()) for date in dates]
        found.append(_loss(kind, sum(gone), len(gone), least=1))
    return tuple(loss for loss in found if loss.lacking)


def _loss(kind: str, lacking: int, total: int, *, least: int = 0) -> Loss:
    return Loss(kind, lacking, total, max(least, int((1 - KEPT_SHARE) * total + 1e-9)))


def told_changes(old: RawBars, new: RawBars) -> str:
    """Return in words what a history fetched anew lacks or has otherwise; nothing where it has all that was stored."""
    told = [str(loss) for loss in losses(old, new)]
    if old.currency != new.currency:
        told.append(f"prices are in {new.currency} now, and were in {old.currency}")
    a, b = _closes(old, new)
    ratios = b / a
    apart = np.abs(ratios - 1) > SAME
    if apart.any():
        some = f"{apart.sum()} of {len(ratios)} closes that were stored"
        low, high = float(ratios[apart].min()), float(ratios[apart].max())
        size = f"{low:.4g} times" if high - low < SAME * high * 10 else f"{low:.4g} to {high:.4g} times"
        told.append(f"{some} are {size} what they were")
    return "; ".join(told)


def _closes(old: RawBars, new: RawBars) -> tuple[FloatArray, FloatArray]:
    """Return the positive closes of the bars that both have, in order of time."""
    a, b = (raw.table.drop_duplicates("timestamp").set_index("timestamp")["close"] for raw in (old, new))
    both = pd.concat([a, b], axis=1, join="inner").sort_index().to_numpy(dtype=np.float64)
    kept = both[(both > 0).all(axis=1)]
    return kept[:, 0], kept[:, 1]


def check_not_poorer(old: RawBars, new: RawBars, *, columns: bool = True, named: str | None = None) -> None:
    """Raise ProviderError where a new history has lost more than a tenth of something, or is of something else.

    `columns` asks also for opens, volumes, dividends and splits, and whether returns are those of the same instrument,
    which two sources, or two names at one, may have of their own. `named` is what the old one was asked for as, where that
    was another name.
    """
    if columns and _is_other(old, new):
        raise ProviderError(
            new.provider,
            new.symbol,
            "the history fetched anew moves otherwise on the same dates: the name may be another instrument's now",
            hint="the stored bars stay as they are; collect.refresh=true takes the new ones",
        )
    if columns and (times := _other_unit(old, new)):
        raise ProviderError(
            new.provider,
            new.symbol,
            f"the history fetched anew is {times:g} times what is stored, on all dates and without a split of that size:"
            " it may be quoted in another unit, or its currency told wrongly",
            hint="the stored bars stay as they are; run it again later, or take the new ones by collect.refresh=true",
        )
    for loss in losses(old, new):
        if loss.grave and (columns or loss.kind == "bars"):
            whose = f", which were asked for as {named}" if named else ""
            whose = whose if old.provider == new.provider else f", which came from {old.provider}"
            way = f"data.provider_symbols goes on with them as {named}; " if named else ""
            raise ProviderError(
                new.provider,
                new.symbol,
                f"the history fetched anew has only {loss.total - loss.lacking} of the {loss.total} {loss.kind} that are stored{whose}",
                hint=f"the stored bars stay as they are; {way}collect.refresh=true takes the new ones",
            )


def _is_other(old: RawBars, new: RawBars) -> bool:
    """Return whether returns of the bars that both have are ranked otherwise, which no revision and no split makes."""
    a, b = (np.diff(np.log(closes)) for closes in _closes(old, new))
    if len(a) < _LEAST_RETURNS or not (a != a[0]).any() or not (b != b[0]).any():
        return False
    return bool(pd.Series(a).rank().corr(pd.Series(b).rank()) < _SAME_RETURNS)


def _other_unit(old: RawBars, new: RawBars) -> float:
    """Return 100, 1000 or one divided by them where all closes that both have are so many times as high; 0 where not."""
    a, b = _closes(old, new)
    if old.currency != new.currency or not len(a):
        return 0.0
    for times in (*_UNITS, *(1 / unit for unit in _UNITS)):
        if (np.abs(b / a / times - 1) < _SAME_UNIT).all():
            splits = new.table["split"][new.table["split"] > 0]
            return 0.0 if (np.abs(splits * times - 1) < _SAME_UNIT).any() else times
    return 0.0


def check_has_opens(old: RawBars, new: RawBars) -> None:
    """Raise ProviderError where another source has closes only in place of whole bars."""
    if old.table["open"].notna().any() and not new.table["open"].notna().any():
        raise ProviderError(
            new.provider,
            new.symbol,
            f"has closes only, while the bars that are stored, from {old.provider}, have opens",
            hint=f"the stored bars stay as they are; data={new.provider} takes the new ones",
        )
