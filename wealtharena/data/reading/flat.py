"""Columns named by a field and a ticker in one word: Close_AAPL, `JPM Close`, ('Close', 'JPM'); and those by a ticker alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import PRICES, is_nameless, parts_of, plain, role_of, strangers
from wealtharena.data.reading.layouts import wide_to_long
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import parse
from wealtharena.data.reading.words import meaning_of
from wealtharena.errors import DataError

Pair = tuple[str, str]  # field, ticker
_FIELDS: Final = frozenset({*PRICES, "volume", "quote_volume", "dividend", "split", "gains"})
_CUT: Final = re.compile(r"[\s_|:/.-]+")
_KEYS: Final = frozenset({"timestamp", "symbol", "name", "currency", "zone"})  # roles of what names a bar
_VALUES: Final = frozenset({"value", "values", "val", "obsvalue", "amount", "number", "0"})  # 0 is of pandas' stack
_MOST_LEVELS: Final = 3  # of an index: time, symbol, field
_LEVEL: Final = re.compile("level_[0-9]")
_MOST_FIELDS: Final = 40
_TUPLE: Final = re.compile(r"""\(['"](.*)['"], ?['"](.*)['"]\)""")
_MOST_WORDS: Final = 2  # of a field: Adj Close, Stock Splits
_OF_ITS_OWN: Final = frozenset({"prev", "previous", "avg", "average", "mean", "first", "last", "next", "current", "typical", "weighted",
                               "base", "target", "entry", "exit", "stop", "limit", "strike", "day", "pre", "after", "upper", "lower"})  # fmt: skip
_LEAST: Final = 2  # columns beside the time
_FEW: Final = 4  # of so many tickers one is a word that is known


def apart(names: Sequence[str]) -> dict[int, Pair] | None:
    """Return field and ticker of the columns by their places; None where names are not made of both throughout.

    The field stands first in all of them or last in all of them, each ticker has a close, and no name is a field alone.
    Columns that are no field of a ticker may stand beside whole bars of each: quantmod's `AAPL.Open` to `AAPL.Close`, `mavg`.
    """
    rest = _beside_time(names)
    if len(rest) < _LEAST or any(_is_known(names[place]) for place in rest):
        return None
    for read in (partial(_in_tuple, field=0), partial(_in_tuple, field=1), _field_first, _field_last):
        pairs = {place: pair for place in rest if (pair := read(str(names[place])))}
        found = set(pairs.values())
        throughout = len(pairs) == len(rest) or (bool(pairs) and _are_bars(found))
        if throughout and len(pairs) == len(found) and _whole(found):
            return pairs
    return None


def _are_bars(pairs: set[Pair]) -> bool:
    """Return whether each ticker has an open, a high, a low and a close."""
    roles = {(role_of(field), ticker) for field, ticker in pairs}
    return all((role, ticker) in roles for _, ticker in pairs for role in ("open", "high", "low", "close"))


def _is_known(name: str) -> bool:
    """Return whether a name says by itself what its column holds; Volume BTC and Dividend_C may be of a ticker."""
    role = role_of(name)
    return role not in (None, "base_volume") and not (role == "dividend" and parts_of(name)[0] != name)


def _times(names: Sequence[str]) -> list[int]:
    """Return the places of columns of time; the first one where none is and it has no name."""
    found = [place for place, name in enumerate(names) if role_of(name) == "timestamp"]
    return found or ([0] if names and is_nameless(names[0]) else [])


def _beside_time(names: Sequence[str]) -> list[int]:
    """Return the places of the other columns, but for the count of rows that R or pandas writes first."""
    return [
        place
        for place, name in enumerate(names)
        if place not in _times(names) and (place or not (is_nameless(name) or plain(name) == "rownames"))
    ]


def _whole(pairs: set[Pair]) -> bool:
    """Return whether each ticker has a close, and not all of them are words that say something about a column: bid, ask."""
    tickers = {ticker for _, ticker in pairs}
    closes = {ticker for field, ticker in pairs if role_of(field) in ("close", "adjclose")}
    return closes == tickers and any(meaning_of(ticker).unknown for ticker in tickers)


def _in_tuple(name: str, *, field: int) -> Pair | None:
    """Return field and ticker of a name that pandas wrote for two rows of names: `('Close', 'JPM')`."""
    found = _TUPLE.fullmatch(name)
    parts = [part.strip() for part in found.groups()] if found else ["", ""]
    return (parts[field], parts[1 - field]) if _is_field(parts[field]) and _is_ticker(parts[1 - field]) else None


def _field_first(name: str) -> Pair | None:
    for cut in _cuts(name):
        field, ticker = name[: cut.start()], name[cut.end() :]
        if _is_field(field) and _is_ticker(ticker):
            return field, ticker
    return None


def _field_last(name: str) -> Pair | None:
    for cut in _cuts(name)[::-1]:
        ticker, field = name[: cut.start()], name[cut.end() :]
        if _is_field(field) and _is_ticker(ticker):
            return field, ticker
    return None


def _cuts(name: str) -> list[re.Match[str]]:
    """Return where a name may be cut, the places that leave the longest field first to begin with."""
    return list(_CUT.finditer(name))[::-1]


def _is_field(text: str) -> bool:
    return len(text) > 1 and len(_CUT.split(text)) <= _MOST_WORDS and role_of(text) in _FIELDS


def _is_ticker(text: str) -> bool:
    return bool(text) and not re.fullmatch(r"[0-9]{1,3}|.*[()'\"].*", text)


def are_closes(frame: pd.DataFrame, where: str) -> bool:
    """Return whether columns beside one of time are named as nothing that is known, as tickers in a table of closes are.

    A few of them may be words that are tickers too: LOW, MAX.
    """
    names = [str(column) for column in frame.columns]
    strange = strangers(frame, where)  # V and C
    rest = [names[place] for place in _beside_time(names)]
    unknown = [name for name in rest if role_of(name) is None or name in strange]
    if any(_field_first(name) or _field_last(name) for name in unknown):
        return False  # bid_open
    return bool(_times(names)) and len(rest) >= _LEAST and _FEW * (len(rest) - len(unknown)) <= len(unknown)


def may_hold_tickers(names: Sequence[str]) -> bool:
    """Return whether a row of names is the header of a table with columns a ticker, and not of one row a bar."""
    return bool(_times(names)) and (apart(names) is not None or are_closes(pd.DataFrame(columns=list(names)), ""))


def to_long_form(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return long form of a table with a column a field and ticker in one name, or a row a field; any other table as it is.

    Raises:
        DataError: a column a ticker holds positive numbers, and nothing says whether they are closes.
    """
    frame = _unstacked(_named(frame, ledger), ledger)
    names = [str(column) for column in frame.columns]
    times = _times(names)
    pairs = apart(names) if times else None
    if pairs is None:
        counts = {
            place for place, name in enumerate(names) if role_of(name) is None and _counts_rows(frame.iloc[:, place])
        }
        rest = [place for place in _beside_time(names) if place not in counts]
        closes = frame.iloc[:, sorted({*times, *rest})]
        if are_closes(closes, ledger.name) and _positive(frame.iloc[:, rest]):
            _refuse_closes([names[place] for place in rest], ledger.name)
        _say_others(names, ledger)
        return frame
    if len(times) > 1:
        return frame
    kept = [times[0], *pairs]
    if others := [names[place] for place in _beside_time(names) if place not in pairs]:
        ledger.note(f"columns that are no field of a symbol are passed over: {', '.join(others)}")
    rows = [["Price", *(field for field, _ in pairs.values())], ["", *(ticker for _, ticker in pairs.values())]]
    body = frame.iloc[:, kept].set_axis(range(len(kept)), axis=1)
    tickers = list(dict.fromkeys(ticker for _, ticker in pairs.values()))
    shown = f"{', '.join(tickers[:8])}{' ...' if len(tickers) > 8 else ''}"
    ledger.note(f"columns such as {names[kept[1]]} are read as a field of a symbol: {shown}")
    return wide_to_long(rows, body, ledger)


def _named(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table whose first columns have no names, as levels of an index that pandas wrote, with names by what they hold."""
    names = [str(name) for name in frame.columns]
    levels = [place for place, name in enumerate(names[:_MOST_LEVELS]) if is_nameless(name) or _LEVEL.fullmatch(name)]
    if not levels or levels == [0]:  # one level, which is a time or a symbol
        return frame
    made = list(names)
    for place in levels:
        cells = frame.iloc[:, place].astype("string").str.strip()
        times = _are_times(cells)
        if times and "timestamp" not in map(role_of, made):
            made[place] = "timestamp"
        elif _holds_fields(cells):
            made[place] = "field"
        elif "symbol" not in map(role_of, made) and cells.nunique() * 2 <= len(cells) and not times:
            made[place] = "symbol"
        else:
            return frame
    ledger.note(f"columns without names at its beginning hold: {', '.join(made[place] for place in levels)}")
    return frame.set_axis(made, axis=1)


def _are_times(cells: pd.Series) -> bool:
    try:
        parse(cells, "")
    except DataError:
        return False
    return True


def _unstacked(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return one row a bar of a table with one row a bar and field (date, symbol, field, value); any other as it is.

    Raises:
        DataError: a bar has two values of one field.
    """
    once = [name for name, twice in zip(frame.columns, frame.columns.duplicated(keep=False), strict=True) if not twice]
    values = [name for name in once if plain(name) in _VALUES]
    may = (
        name for name in once if role_of(name) not in _KEYS - {"symbol"}
    )  # as words of a level of an index are called
    fields = next((name for name in may if _holds_fields(frame[name])), None) if len(values) < _LEAST else None
    if fields is None:
        return frame
    if not values:
        return _melted(frame, once, fields, ledger)
    keys = [name for name in once if name not in (fields, values[0]) and role_of(name) in _KEYS]
    rows = frame[[*keys, fields, values[0]]]
    twice = rows.duplicated(subset=[*keys, fields]).to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise DataError(
            f"{ledger.name}: row {row + 1} holds {frame[fields].iloc[row]} of a bar that has one already",
            hint="leave one row a bar and field",
        )
    ledger.settle("layout", f"one row a bar and field, by columns {fields} and {values[0]}")
    return rows.set_index([*keys, fields])[values[0]].unstack(fields).reset_index().rename_axis(columns=None)


def _melted(frame: pd.DataFrame, once: Sequence[str], fields: str, ledger: Ledger) -> pd.DataFrame:
    """Return one row a bar of a table with a row a time and field and a column a ticker, as pandas' stack leaves it; any other as it is."""
    times = [name for name in once if role_of(name) == "timestamp"]
    tickers = [name for name in frame.columns if name not in (fields, *times)]
    numeric = all(
        pd.api.types.is_numeric_dtype(frame[name]) and role_of(name) is None for name in tickers if name in once
    )
    if len(times) != 1 or not tickers or not numeric or len(once) != frame.shape[1]:
        return frame
    named = frame.rename(columns={fields: "field"})
    long = named.melt([times[0], "field"], tickers, var_name="symbol", value_name="value")
    return _unstacked(long.dropna(subset="value"), ledger)


def _holds_fields(cells: pd.Series) -> bool:
    """Return whether most cells of a column are names of a bar's numbers, a close among them; C and V are tickers too."""
    if pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
        return False
    found = cells.unique()
    words = [cell for cell in found if isinstance(cell, str) and len(cell.strip()) > 1]
    roles = [role for cell in words if (role := role_of(cell)) in _FIELDS] if len(found) <= _MOST_FIELDS else []
    return "close" in roles and len(set(roles)) == len(roles) > 1 and 2 * len(roles) >= len(found)


def _say_others(names: list[str], ledger: Ledger) -> None:
    """Say of a table with a close of its own that closes of other symbols, by their names, are passed over."""
    if not any(role_of(name) == "close" for name in names):
        return
    read = (_field_last(name) or _field_first(name) for name in names if role_of(name) is None)
    closes = {pair[1] for pair in read if pair and role_of(pair[0]) == "close" and meaning_of(pair[1]).unknown}
    closes = {ticker for ticker in closes if plain(ticker) not in _OF_ITS_OWN and ticker != ticker.lower()}
    if len(closes) > _LEAST:
        shown = f"{', '.join(sorted(closes)[:5])}{' ...' if len(closes) > 5 else ''}"
        ledger.note(
            f"columns of {shown} may be closes of other symbols and are passed over; to read them, call its own close by a symbol, too"
        )


def _counts_rows(cells: pd.Series) -> bool:
    """Return whether a column counts the rows, as R and pandas write it: 0, 1, 2 or 1, 2, 3 and so on."""
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    return len(numbers) > 1 and numbers[0] in (0.0, 1.0) and bool((np.diff(numbers) == 1.0).all())


def _positive(frame: pd.DataFrame) -> bool:
    """Return whether all columns hold numbers above zero wherever they hold something, and each does, whichever mark is decimal."""
    cells = frame.replace("", np.nan).replace(",", "", regex=True)
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    return bool(cells.notna().any().all()) and bool(((numbers > 0) | cells.isna()).all(axis=None))


def _refuse_closes(names: list[str], where: str) -> None:
    sides = [{word for word in ("bid", "ask") if word in name.lower()} for name in names]
    if all(len(side) == 1 for side in sides) and len(set.union(*sides)) == 2:
        raise DataError(
            f"{where} has prices of both sides of the market ({names[0]} ... {names[-1]})",
            hint="keep the columns of one side, or the means of both, and call them open, high, low and close",
        )
    shown = f"{', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
    raise DataError(
        f"{where} has no column for close, but one a name ({shown}), and does not say what they hold: closes, returns or holdings",
        hint=f"if they are closes, call them Close_{names[0]}, Close_{names[1]} and so on, or write one row a bar and symbol",
    )
