"""Securities that no column of symbols tells apart: by a nameless one, or by one that the reader has to choose or to know of."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.reading.columns import PRICES, is_nameless, plain, role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import IntArray, Stamps
from wealtharena.errors import DataError

BoolArray = npt.NDArray[np.bool_]
_SHARE: Final = 0.05  # of rows: fewer copies are repaired
_CLOCK: Final = frozenset(
    {"hour", "hours", "hr", "hh", "minute", "minutes", "min", "stunde"}
)  # what they hold is a part of the time
_STRETCHES: Final = 50  # values of a column that may name securities one behind the other
_OF_A_DATE: Final = r"(?i)\d*[\W_]*(?:fy|[qhst]\d|w\d+|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[\W_]*\d*"
_TAKING: Final = frozenset(("buy", "bought", "sell", "sold", "bot", "sld", "kauf", "verkauf", "achat", "vente", "compra", "venta", "acquisto",
                            "vendita", "买入", "卖出", "買", "売", "purchase"))  # fmt: skip
_SIDES: Final = _TAKING | {"b", "s", "long", "short", "bid", "ask", "buyer", "seller", "sell short", "buy to cover", "market buy",
                           "market sell", "limit buy", "limit sell", "true", "false"}  # fmt: skip
_BETWEEN: Final = frozenset(
    {"dividend", "deposit", "withdrawal", "fee", "interest", "transfer", "split", "reinvestment"}
)  # of an account; a table of closes may name dividends and splits alone
_SIDE_NAMES: Final = frozenset({"side", "action", "bs", "buysell", "direction", "takerside", "aggressorside", "isbuyermaker",
                                "tradetype", "transactiontype", "transaction"})  # fmt: skip
_SIZES: Final = frozenset(
    {"size", "shares", "amount", "units", "contracts", "filled", "filledqty", "execqty"}
)  # of trades
_STRANGERS: Final = 0.2  # of rows: fewer that differ at one time are faults of one security's
_KINDS: Final = 0.34  # of rows: a column with more values than that holds figures


def with_symbols(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return the table with its outer index called symbol: words without a name before another column of time, or level_0.

    So pandas writes tables that `concat` put together under their keys.

    Raises:
        DataError: the table is a list of trades, whose symbols have no bars.
    """
    roles = [role_of(name) for name in frame.columns]
    _check_no_trades(frame, roles, ledger)
    if "timestamp" not in roles[1:] or "symbol" in roles or "name" in roles:
        return frame
    for place, name in enumerate(frame.columns):
        if (place == 0 and is_nameless(name) and plain(name) != "index") or plain(name) == "level0":
            cells = frame.iloc[:, place].astype("string").str.strip()
            if _are_words(cells) and 2 * cells.nunique() <= len(cells):
                shown = f"{', '.join(cells.unique()[:4])}{' ...' if cells.nunique() > 4 else ''}"
                ledger.note(f"its index holds words ({shown}), which are taken for symbols")
                return frame.set_axis(["symbol" if i == place else old for i, old in enumerate(frame.columns)], axis=1)
    return frame


def _are_words(cells: pd.Series) -> bool:
    return bool(cells.notna().all() and cells.str.contains(r"[^\W\d_]", regex=True).all())


def _check_no_trades(frame: pd.DataFrame, roles: list[str | None], ledger: Ledger) -> None:
    """Refuse a list of trades: no opens, highs and lows, and a column that says in words which side each row is of.

    Raises:
        DataError: naming the column and its words.
    """
    if {"open", "high", "low"} & set(roles):
        return
    counted = "quantity" in roles or bool(_SIZES & set(map(plain, frame.columns)))
    for place, name in enumerate(frame.columns):
        if pd.api.types.is_numeric_dtype(frame.iloc[:, place]) and plain(name) not in _SIDE_NAMES:
            continue
        words = set(frame.iloc[:, place].astype("string").str.strip().str.lower().dropna().unique()) - {""}
        if (
            words <= _SIDES | _BETWEEN
            and words & _SIDES
            and (plain(name) in _SIDE_NAMES or (counted and words & _TAKING))
        ):
            shown = ", ".join(sorted(words)[:4])
            raise DataError(
                f"{ledger.name} holds trades, one a row, and no bars: {name} says {shown}",
                hint="make bars of the prices of a market, all of one interval; an account's own trades are none",
            )


def _say_stretches(frame: pd.DataFrame, used: set[str], read: Stamps, ledger: Ledger) -> None:
    """Say so where a column that is not `used` holds one word for a stretch of bars, and then others.

    They may be securities of which each begins where another ends, as contracts of a future do, and are one series in a
    table without symbols. Quarters and months are parts of the date.
    """
    order = np.argsort(read.instants, kind="stable")
    days = pd.DatetimeIndex(read.wall[order])
    for place, name in enumerate(frame.columns):
        cells = frame.iloc[:, place]
        if str(name) in used or plain(name) in _CLOCK or not 2 <= cells.nunique() <= _STRETCHES:
            continue
        text = cells.astype("string").str.strip()
        words = text.iloc[order].to_numpy(dtype=object, na_value="")
        changes = np.flatnonzero(words[1:] != words[:-1]) + 1
        dated = text.str.fullmatch(_OF_A_DATE).fillna(value=False).all()
        if len(changes) == cells.nunique() - 1 and not dated and _are_words(text):
            first = int(changes[0])
            ledger.note(
                f"{name} changes from {words[first - 1]} to {words[first]} on {days[first]:%Y-%m-%d} and is passed over: all rows"
                f" are one series; call it symbol if its {cells.nunique()} words are securities"
            )


def check_one_row_a_bar(
    frame: pd.DataFrame, used: set[str], groups: dict[str, IntArray], read: Stamps, ledger: Ledger
) -> None:
    """Refuse a table in which columns that are not `used` tell several rows of one symbol and time apart; say what may.

    Raises:
        DataError: naming the columns, what they hold, and how to keep one of each; or many rows of one time that differ,
            where nothing says whose they are.
    """
    named = bool({role_of(name) for name in used} & {"symbol", "name"})
    if not named:
        _say_stretches(frame, used, read, ledger)
    owner = np.zeros(len(frame), dtype=np.int64)
    for number, rows in enumerate(groups.values()):
        owner[rows] = number
    keys = pd.DataFrame({"owner": owner, "time": read.instants})
    again = keys.duplicated(keep=False).to_numpy()
    if again.mean() <= _SHARE:
        return
    places = [
        place
        for place, name in enumerate(frame.columns)
        if str(name) not in used
        and plain(name) not in _CLOCK
        and 2 <= frame.iloc[:, place].nunique() <= max(2, _KINDS * len(frame))
    ]
    cells = {place: pd.factorize(frame.iloc[:, place].astype("string"))[0] for place in places}
    for count in (1, 2):
        for chosen in combinations(places, count):
            told = keys.assign(**{str(place): cells[place] for place in chosen})
            if not told.duplicated().any():
                raise _refusal(frame, chosen, int(np.flatnonzero(again)[0]), groups, ledger.name)
    if not named:
        _check_no_strangers(frame, used, keys, again, ledger)


def _check_no_strangers(
    frame: pd.DataFrame, used: set[str], keys: pd.DataFrame, again: BoolArray, ledger: Ledger
) -> None:
    """Refuse rows of one time that are no copies of each other, as tables of several symbols one below the other have them."""
    cells = frame[[name for name in frame.columns if str(name) in used]].astype("string").reset_index(drop=True)
    unlike = again & ~cells.set_axis(range(cells.shape[1]), axis=1).assign(at=keys["time"]).duplicated(keep=False)
    if unlike.mean() > _STRANGERS:
        raise DataError(
            f"{ledger.name} has no column of symbols, and {unlike.sum()} of its {len(frame)} rows have the time of another"
            " one and other figures",
            hint="call the column that says whose they are symbol, or keep one security in a file of its own, with one row of each time;"
            " in Python pd.concat({name: table, ...}, names=['symbol']) names them",
        )


def _refusal(
    frame: pd.DataFrame, chosen: tuple[int, ...], row: int, groups: dict[str, IntArray], where: str
) -> DataError:
    names = [str(frame.columns[place]) for place in chosen]
    values = [list(map(str, frame.iloc[:, place].dropna().unique()[:4])) for place in chosen]
    shown = " and ".join(f"{name} ({', '.join(held)})" for name, held in zip(names, values, strict=True))
    if {role_of(value) for held in values for value in held} & set(PRICES):
        return DataError(
            f"{where} has a row a field: {shown}",
            hint="write one row a bar, with a column for open, high, low and close",
        )
    symbol = next((name for name, rows in groups.items() if row in rows), "")
    wanted = " and ".join(f"{name} is {held[0]}" for name, held in zip(names, values, strict=True))
    other = f", or call {names[0]} symbol if each of them is a security of its own" if len(names) == 1 else ""
    return DataError(
        f"{where}: {symbol} has several rows of one time, which {shown} tell{'s' if len(names) == 1 else ''} apart",
        hint=f"keep the rows of one kind, as those where {wanted}, in a file of their own{other}",
    )
