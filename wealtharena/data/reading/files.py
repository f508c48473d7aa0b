"""From a path to settled tables: read, name the columns, then times, identifiers and numbers, one symbol at a time."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import numpy as np
import pandas as pd

from wealtharena.data import intervals
from wealtharena.data.reading import payouts
from wealtharena.data.reading.basis import bring_together
from wealtharena.data.reading.columns import PRICES, columns_by_role, is_adjusted, scale_of
from wealtharena.data.reading.flat import to_long_form
from wealtharena.data.reading.hundredths import in_money_of_prices
from wealtharena.data.reading.identifiers import check_continued, symbol_of_file, symbols_of
from wealtharena.data.reading.kinds import ARROW, PARQUET, columnar
from wealtharena.data.reading.labels import check_labels
from wealtharena.data.reading.layouts import with_dates
from wealtharena.data.reading.moments import bar_times, from_beginnings, from_ends, time_of_rows, without_quotes
from wealtharena.data.reading.numbers import to_numbers
from wealtharena.data.reading.parquet import flattened, read_columns
from wealtharena.data.reading.parts import joined
from wealtharena.data.reading.published import as_closes
from wealtharena.data.reading.settled import Ledger, Reading, Settled
from wealtharena.data.reading.several import check_one_row_a_bar, with_symbols
from wealtharena.data.reading.shape import check_shape
from wealtharena.data.reading.sources import as_written_by_source, to_prices
from wealtharena.data.reading.spare import without_copies, without_empty
from wealtharena.data.reading.splits import join_copies, leave_out_rates, write_proven
from wealtharena.data.reading.stamps import IntArray, Stamps
from wealtharena.data.reading.textfile import is_table, read_text
from wealtharena.data.reading.turnover import agree, scale_volume
from wealtharena.data.reading.words import agreed, money_of, shown
from wealtharena.errors import DataError, UnknownFileError
from wealtharena.shown import without_home

logger = logging.getLogger(__name__)
_TELL_SECONDS: Final = 10.0
_SUFFIXES: Final = (*PARQUET, *ARROW, ".csv", ".csv.gz")
_PACKED: Final = (".csv.bz2", ".csv.xz", ".zip")
_MAYBE: Final = (".txt", ".tsv", *_PACKED)  # of a folder: read where they hold a table
_NUMERIC: Final = ("open", "high", "low", "close", "adjclose", "volume", "quote_volume", "base_volume", "dividend",
                   "split", "factor", "gains")  # fmt: skip
_PARTITION: Final = re.compile(r"(?:symbol|ticker|code)=(.+)", re.IGNORECASE)  # a folder of a partitioned data set
Venue = Callable[[str], tuple[str, bool]]  # symbol -> time zone of its dates, whether it keeps weekends


def utc(symbol: str) -> tuple[str, bool]:
    """Return the venue of a market that never closes."""
    return "UTC", False


def read_path(
    path: Path, *, venue: Venue = utc, only_symbol: str | None = None, max_dropped_share: float = 0.05
) -> Reading:
    """Return one table a symbol of a Parquet, Arrow or CSV file, or of all such files of a folder; hidden ones are passed over.

    A file without symbols is one symbol's: `only_symbol`, or the file's stem. Files of one symbol whose times do not
    overlap are joined.

    Raises:
        DataError: naming the file, what is wrong with it and a way out; or more than `max_dropped_share` of a file's
            rows had to be left out; or no symbol has two bars, so that how far apart they are cannot be seen.
    """
    made = _read(path, venue, only_symbol, max_dropped_share)
    check_continued(made.tables, where=path.name)
    if all(table["timestamp"].nunique() < 2 for table in made.tables.values()):
        raise DataError(
            f"{path.name} has a single bar a symbol, so that the interval of its bars cannot be seen",
            hint="point data.path to a file with the bars before it",
        )
    return made


def _read(path: Path, venue: Venue, only_symbol: str | None, max_dropped_share: float) -> Reading:
    if not path.exists():
        raise UnknownFileError(
            f"{without_home(str(path))} does not exist",
            hint="set data.path to a Parquet or CSV file, or a folder of them",
        )
    if path.is_file():
        return _read_file(path, venue, only_symbol, max_dropped_share)
    if not path.is_dir():
        raise UnknownFileError(
            f"{without_home(str(path))} is neither a file nor a folder",
            hint="set data.path to a Parquet or CSV file, or a folder of them",
        )
    items = sorted(item for item in path.iterdir() if not item.name.startswith((".", "_", "~")))
    files = [item for item in items if item.is_file()]
    members = [
        item for item in files
        if item.name.lower().endswith(_SUFFIXES) or (item.name.lower().endswith(_MAYBE) and is_table(item))
    ]  # fmt: skip
    members += [item for folder in items if folder.is_dir() and "=" in folder.name for item in _of_partition(folder)]
    others = [
        f"{item.name}/" if item.is_dir() else item.name
        for item in items if item not in members and not any(item in member.parents for member in members)
    ]  # fmt: skip
    shown = f"{', '.join(others[:5])}{' ...' if len(others) > 5 else ''}"
    if not members:
        raise DataError(
            f"{path.name or path} holds no Parquet, Arrow or CSV file{f'; it has {shown}' if others else ''}",
            hint=f"files end in {', '.join((*_SUFFIXES, *_PACKED))}, and stand in the folder itself",
        )
    parts: list[tuple[str, Reading]] = []
    told = time.monotonic()
    for item in members:
        parts.append((str(item.relative_to(path)), _read_file(item, venue, None, max_dropped_share)))
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            logger.warning("data: %s of %s files of %s are read", f"{len(parts):,}", f"{len(members):,}", path.name)
    made = joined(parts, path.name, venue)
    for name, table in made.tables.items():
        check_labels(table["timestamp"], f"{path.name}: {name}")
    if not others:
        return made
    note = f"{path.name}: {len(others)} of its entries {'is' if len(others) == 1 else 'are'} not read: {shown}"
    return replace(made, settled=(*made.settled, Settled(path.name, 0, (("not read", shown),), (note,), ())))


def _of_partition(folder: Path) -> list[Path]:
    """Return the Parquet, Arrow and CSV files below a folder of a partitioned data set, such as symbol=AAPL/year=2024."""
    found = (item for item in sorted(folder.rglob("*")) if item.name.lower().endswith(_SUFFIXES))
    return [item for item in found if item.is_file() and not item.name.startswith((".", "_", "~"))]


def split_symbols(
    frame: pd.DataFrame,
    *,
    where: str,
    venue: Venue = utc,
    only_symbol: str | None = None,
    ledger: Ledger | None = None,
    max_dropped_share: float = 0.05,
) -> Reading:
    """Return one table a symbol of a frame, its columns under any of their usual names.

    Raises:
        DataError: a column is missing or ambiguous, or a cell is no number or no date; or more than `max_dropped_share` of
            the rows had to be left out.
    """
    if ledger is None:
        ledger = Ledger(where, rows=len(frame))
        frame = flattened(frame, ledger)
    frame = _one_row_a_bar(frame, ledger)
    found = columns_by_role(frame, ledger)
    symbols = symbols_of(found["symbol"][0][1], ledger) if "symbol" in found else None
    keep = symbols.notna().to_numpy() if symbols is not None else np.ones(len(frame), dtype=bool)
    ledger.drop("no symbol", int((~keep).sum()))
    times = [(name, values[keep].reset_index(drop=True)) for name, values in found["timestamp"]]
    numeric = {role: columns[0][1][keep].reset_index(drop=True) for role, columns in found.items() if role in _NUMERIC}
    names = symbols[keep].reset_index(drop=True) if symbols is not None else None
    zone = next(((name, cells[keep].reset_index(drop=True)) for name, cells in found.get("zone", ())), None)
    read = from_ends(time_of_rows(times, ledger, symbols=names, zone=zone), frame, ledger)
    numbers = pd.DataFrame(to_numbers(numeric, ledger))
    as_written_by_source(numbers, found, ledger)
    to_prices(numbers, frame.columns, times[0][1], ledger)
    bring_together(numbers, found, ledger)
    check_shape(numbers, ledger)
    _scaled(numbers, found, ledger)
    scale_volume(numbers, found, keep, ledger)
    _gains(numbers, ledger)
    kinds = _volumes(numbers, found, ledger)
    groups = _groups(names, only_symbol or "UNNAMED", len(numbers), ledger)
    used = {name for role, columns in found.items() if role not in ("period", "zone") for name, _ in columns}
    check_one_row_a_bar(frame[keep], used, groups, read, ledger)
    groups = without_copies(without_quotes(groups, read, ledger), numbers, read, ledger)
    leave_out_rates(numbers, groups, read, found, ledger)
    join_copies(numbers, groups, read, ledger)
    unapplied = write_proven(numbers, groups, read, found, ledger)
    told = _adjusted(numbers, found, ledger)
    if "split" in numbers:
        numbers["split"] = numbers["split"].where(numbers["split"] != 1.0, 0.0)
    tables, unzoned = _tables(numbers, read, groups, venue, ledger)
    ledger.check_dropped(max_dropped_share)
    currencies = _currencies(found["currency"][0][1][keep] if "currency" in found else None, groups, ledger)
    return Reading(
        tables,
        (ledger.close(),),
        {name: kinds for name in tables if kinds},
        {name: adjusted for name in tables if (adjusted := "none" if unapplied else told)},
        read.zoned,
        currencies,
        payouts.stated(frame, keep, found.get("dividend", []), numbers, groups, ledger.name),
        unzoned,
    )


def _one_row_a_bar(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    frame = with_dates(without_empty(frame, ledger), ledger)
    return with_symbols(to_long_form(as_closes(frame, ledger), ledger), ledger)


def _read_file(path: Path, venue: Venue, only_symbol: str | None, max_dropped_share: float) -> Reading:
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty", hint="download it again, or point data.path to another file")
    ledger = Ledger(path.name)
    kind = columnar(path)
    ledger.settle("format", kind or "CSV")
    frame = read_columns(path, kind, ledger) if kind else read_text(path, ledger)
    if frame.empty:
        raise DataError(
            f"{path.name} has a header and no rows", hint="download it again, or point data.path to another file"
        )
    stem = path.name.lower().partition(".csv")[0] if ".csv" in path.name.lower() else path.stem
    part = next(filter(None, (_PARTITION.fullmatch(folder.name) for folder in path.parents)), None)
    named = only_symbol or (unquote(part[1]) if part else symbol_of_file(path.name[: len(stem)]))
    return split_symbols(
        frame,
        where=path.name,
        venue=venue,
        only_symbol=named,
        ledger=ledger,
        max_dropped_share=max_dropped_share,
    )


def _groups(names: pd.Series | None, only: str, rows: int, ledger: Ledger) -> dict[str, IntArray]:
    if names is None:
        ledger.settle("symbol", f"{only} (the file has no column of symbols)")
        return {only: np.arange(rows)}
    found = {str(name): np.asarray(places) for name, places in names.groupby(names, sort=True).indices.items()}
    ledger.settle("symbol", f"{len(found)} as written: {', '.join(list(found)[:8])}{' ...' if len(found) > 8 else ''}")
    return found


def _tables(
    numbers: pd.DataFrame,
    read: Stamps,
    groups: dict[str, IntArray],
    venue: Venue,
    ledger: Ledger,
) -> tuple[dict[str, pd.DataFrame], frozenset[str]]:
    """Return one table a symbol, and the symbols of bars within the day behind whose times no zone is written."""
    tables: dict[str, pd.DataFrame] = {}
    votes = {name: intervals.is_dated(pd.DatetimeIndex(read.instants[rows])) for name, rows in groups.items()}
    spoken = [vote for vote in votes.values() if vote is not None]
    usual = sum(spoken) * 2 >= len(spoken) if spoken else read.whole_days
    empty, silent, unzoned = 0, list[str](), set[str]()
    for name, rows in groups.items():
        vote = votes[name]
        dated = usual if vote is None else vote
        unzoned |= set() if read.zoned or read.whole_days or dated else {name}
        zone, weekdays = venue(name)
        own = replace(read, wall=read.wall[rows], instants=read.instants[rows])
        own = own if dated else from_beginnings(own, ledger)
        table = numbers.iloc[rows].reset_index(drop=True)
        where = f"{ledger.name}: {name}"
        table.insert(0, "timestamp", bar_times(own, dated=dated, zone=zone, weekdays=weekdays, where=where))
        there = table[[c for c in ("open", "high", "low", "close") if c in table]].notna().any(axis=1)
        empty += int((~there).sum())
        cash = table[[c for c in ("dividend", "split") if c in table]].fillna(0).ne(0).any(axis=1)
        table = table[there | cash].reset_index(drop=True)
        if table.empty:
            silent.append(name)
        else:
            tables[name] = table
    if not tables:
        raise DataError(f"{ledger.name} holds no price in any row", hint="download it again")
    if silent:
        ledger.note(f"{', '.join(silent)} {'has' if len(silent) == 1 else 'have'} no price in any row")
    if empty:
        ledger.note(f"{empty} rows hold no price; they are no bars")
    shown = {(intervals.spacing(table["timestamp"]) or _NONE).interval or "?" for table in tables.values()}
    ledger.settle("interval", ", ".join(sorted(shown)))
    return tables, frozenset(unzoned & tables.keys())


_NONE: Final = intervals.Spacing("unknown: single bars", pd.Timedelta(0), 0, 0, None)


def _volumes(numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> str:
    """Leave one column `volume` and return what it counts: units, account, or nothing where it does not say.

    Units are taken where the file has them, since they are exact whatever the quote currency; which column they are is
    checked against the money column and the close.
    """
    quote = numbers.pop("quote_volume") if "quote_volume" in numbers else None
    base = numbers.pop("base_volume") if "base_volume" in numbers else None
    bare = numbers.get("volume")
    if base is not None and bare is not None and quote is not None and not agree(numbers, quote, base):
        base = None if agree(numbers, quote, bare) else base  # OKX's volCcy of a spot market is money
    if base is not None:
        if quote is not None:
            _require_product(numbers, found, quote, base, "base_volume", ledger)
        numbers["volume"] = base
        ledger.settle("volume", f"{found['base_volume'][0][0]}: units")
        return "units"
    if quote is None:
        if bare is not None:
            ledger.settle("volume", found["volume"][0][0])
        return ""
    if bare is None:
        numbers["volume"] = quote
        ledger.note(
            f"the file has no column for volume in units; {found['quote_volume'][0][0]}, in money, stands for it"
        )
        ledger.settle("volume", f"{found['quote_volume'][0][0]}: money")
        return "account"
    _require_product(numbers, found, quote, bare, "volume", ledger)
    ledger.settle("volume", f"{found['volume'][0][0]}: units, as {found['quote_volume'][0][0]} shows")
    return "units"


def _require_product(
    numbers: pd.DataFrame,
    found: dict[str, list[tuple[str, pd.Series]]],
    money: pd.Series,
    units: pd.Series,
    role: str,
    ledger: Ledger,
) -> None:
    """Raise DataError where the volume in money is not the one in units at the price."""
    if not agree(numbers, money, units):
        raise DataError(
            f"{ledger.name}: {found['quote_volume'][0][0]} is not {found[role][0][0]} times the price",
            hint="remove one of the two columns, and set data.volume_unit",
        )


def _scaled(numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Count volumes and prices in ones where their column's name says thousands or millions, and dividends in money of prices."""
    for role in (role for role in ("volume", "quote_volume", "base_volume", *PRICES, "dividend") if role in numbers):
        scale, why = scale_of(found[role][0][0])
        if scale != 1.0:
            numbers[role] = numbers[role] * scale
            ledger.note(f"{found[role][0][0]} is multiplied by {scale:,.0f}, {why}")
    in_money_of_prices(numbers, found, ledger)


def _gains(numbers: pd.DataFrame, ledger: Ledger) -> None:
    """Say that capital gains are not paid, which some sources count among the dividends and others beside them."""
    gains = numbers.pop("gains") if "gains" in numbers else None
    paid = int((gains.fillna(0) > 0).sum()) if gains is not None else 0
    if paid:
        ledger.note(f"capital gains of {paid} dates are not paid; add them to the dividends if these do not hold them")


def _currencies(written: pd.Series | None, groups: dict[str, IntArray], ledger: Ledger) -> dict[str, str]:
    """Return by symbol the currency that the file states, in a column or for all of its prices.

    Raises:
        DataError: a symbol's rows state several.
    """
    if written is None:
        return dict.fromkeys(groups, ledger.currency) if ledger.currency else {}
    text = written.astype("string").fillna("").str.strip()
    made: dict[str, str] = {}
    strange: set[str] = set()
    for name, rows in groups.items():
        words = [word for word in dict.fromkeys(text.iloc[rows]) if word]
        codes = {code for word in words if (code := money_of(word))}
        strange |= {word for word in words if not money_of(word)}
        common = reduce(agreed, codes) if codes else ""
        if codes and not common:
            raise DataError(
                f"{ledger.name}: {name} is in {' and in '.join(map(shown, sorted(codes)))}",
                hint="write its prices in one currency",
            )
        if common:
            made[name] = common
    if strange:
        some = ", ".join(sorted(strange)[:3])
        ledger.note(f"its column of currencies holds {some}, which is no code of a currency, and is not asked")
    if made:
        ledger.settle("currency", f"{', '.join(map(shown, dict.fromkeys(made.values())))}, by a column")
    return made


def _adjusted(numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> str:
    """Return how prices are adjusted where the columns say so, and remove those that only served to tell."""
    adjclose = numbers.pop("adjclose") if "adjclose" in numbers else None
    factor = numbers.pop("factor") if "factor" in numbers else None
    if factor is not None and found["factor"][0][0].startswith("$"):
        ledger.note("qlib's prices are adjusted by their factor for splits and dividends")
        return "all"
    if is_adjusted(found["close"][0][0]):
        return "all"
    paid = "dividend" in numbers and (numbers["dividend"].fillna(0) > 0).any()
    if adjclose is None or not paid:
        return ""
    same = np.isclose(adjclose, numbers["close"], rtol=1e-6, equal_nan=True).all()
    ledger.settle(
        "adjustment", "closes contain dividends" if same else "closes as traded, since an adjusted one stands beside"
    )
    return "all" if same else "splits"
