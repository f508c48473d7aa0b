"""Files of a folder put together; parts of one symbol have to say the same of their figures before they are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pandas as pd

from wealtharena.data.reading.identifiers import check_spellings
from wealtharena.data.reading.moments import dated_together
from wealtharena.data.reading.settled import Reading, Settled
from wealtharena.data.reading.words import agreed, shown
from wealtharena.errors import DataError

Part = tuple[str, pd.DataFrame, Reading]  # the file's name, the symbol's rows in it, and all that it holds
_VOLUME = {
    "": "does not say what volume counts",
    "units": "counts volume in units",
    "account": "counts volume in money",
}
_PRICES = {
    "": "does not say how its prices are adjusted",
    "none": "has prices that jump on splits",
    "splits": "has prices that contain no dividends",
    "all": "has prices that contain dividends",
}


def joined(parts: Sequence[tuple[str, Reading]], folder: str, venue: Callable[[str], tuple[str, bool]]) -> Reading:
    """Return the symbols of several files; parts of one symbol are put together where their times do not overlap."""
    pieces: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    of = dict(parts)
    kinds: dict[str, str] = {}
    adjusted: dict[str, str] = {}
    currencies: dict[str, str] = {}
    paid: dict[str, str] = {}
    settled: list[Settled] = []
    for name, reading in parts:
        for symbol, table in reading.tables.items():
            pieces.setdefault(symbol, []).append((name, table))
        _add_stated(currencies, reading.currencies, name, "prices")
        _add_stated(paid, reading.paid, name, "dividends")
        settled += reading.settled
    check_spellings(pieces, where=folder)
    tables: dict[str, pd.DataFrame] = {}
    joined: list[str] = []
    for symbol, found in pieces.items():
        found.sort(key=lambda item: item[1]["timestamp"].min())
        repeated = _without_repetitions(symbol, found)
        tables[symbol] = pd.concat([table for _, table in found], ignore_index=True)
        if repeated:
            words = f"{folder}: {repeated} rows of {symbol} stand alike in two files, and count once"
            settled.append(Settled(folder, 0, (), (words,), ()))
        readings = [(name, table, of[name]) for name, table in found]
        if kind := _common_volume(symbol, readings):
            kinds[symbol] = kind
        if kind := _common_adjustment(symbol, readings):
            adjusted[symbol] = kind
        if len(found) > 1:
            joined.append(f"{symbol} of {len(found)} files")
    if joined:
        facts = (("joined", ", ".join(joined)),)
        settled.append(Settled(folder, 0, facts, (f"{folder}: joined in time: {', '.join(joined)}",), ()))
    zoned = all(reading.zoned for _, reading in parts)
    for symbol in (symbol for symbol, found in pieces.items() if all(len(table) == 1 for _, table in found)):
        tables[symbol] = dated_together(tables[symbol], *venue(symbol), zoned=zoned, where=f"{folder}: {symbol}")
    unzoned = [symbol for symbol, found in pieces.items() if all(symbol in of[name].unzoned for name, _ in found)]
    return Reading(tables, tuple(settled), kinds, adjusted, zoned, currencies, paid, frozenset(unzoned))


def _without_repetitions(symbol: str, found: list[tuple[str, pd.DataFrame]]) -> int:
    """Leave out, in place, rows that a part has in common with the one before it; return how many.

    Raises:
        DataError: two parts overlap, and not all of what they share is alike.
    """
    count = 0
    for place, ((before, early), (after, late)) in enumerate(pairwise(found), start=1):
        shared = late["timestamp"] <= early["timestamp"].max()
        if not shared.any():
            continue
        rows = late[shared].reset_index(drop=True)
        again = rows[["timestamp"]].merge(early.drop_duplicates("timestamp"), on="timestamp", how="left")
        alike = list(early.columns) == list(late.columns) and rows.equals(again[list(rows.columns)])
        if not alike or shared.all():
            raise DataError(
                f"{symbol} stands in {before} and in {after}",
                hint="keep each symbol in one file, or set data.path to one of them",
            )
        found[place] = (after, late[~shared].reset_index(drop=True))
        count += len(rows)
    return count


def _add_stated(currencies: dict[str, str], more: dict[str, str], where: str, what: str) -> None:
    for symbol, code in more.items():
        other = currencies.get(symbol, code)
        if not (common := agreed(other, code)):
            raise DataError(
                f"{where} states {shown(code)} for {what} of {symbol}, and a file before it {shown(other)}",
                hint=f"write its {what} in one currency",
            )
        currencies[symbol] = common


def _common_volume(symbol: str, parts: Sequence[Part]) -> str:
    """Return what the volumes of all parts count; nothing where none of them says.

    Raises:
        DataError: one counts money, and another units or says nothing.
    """
    kinds = {
        name: reading.volume_kind.get(symbol, "")
        for name, table, reading in parts
        if "volume" in table and (table["volume"] > 0).any()
    }
    found = set(kinds.values())
    if "account" in found and len(found) > 1:
        raise _unlike(symbol, kinds, _VOLUME, "write volume in units in all of them")
    return "units" if "units" in found else next(iter(found), "")


def _common_adjustment(symbol: str, parts: Sequence[Part]) -> str:
    """Return how the prices of all parts are adjusted; nothing where none of them says.

    Raises:
        DataError: some contain dividends and others do not or don't say; or some jump on splits and others, with
            splits of their own, do not.
    """
    kinds = {name: reading.adjusted.get(symbol, "") for name, _, reading in parts}
    found = set(kinds.values())
    split = any(
        kinds[name] != "none" and "split" in table and (table["split"].fillna(0) > 0).any() for name, table, _ in parts
    )
    if len(found) > 1 and ("all" in found or ("none" in found and split)):
        raise _unlike(symbol, kinds, _PRICES, "write prices on one basis in all of them")
    return next((kind for kind in ("all", "none", "splits") if kind in found), "")


def _unlike(symbol: str, kinds: dict[str, str], words: dict[str, str], hint: str) -> DataError:
    first = next(iter(kinds))
    other = next(name for name, kind in kinds.items() if kind != kinds[first])
    return DataError(
        f"{symbol} has parts that do not go together: {first} {words[kinds[first]]}, {other} {words[kinds[other]]}",
        hint=hint,
    )
