"""What stands beside figures in somebody's file and is no gain or loss: money from outside, splits, dividends, another's rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.data.reading.columns import plain as letters_of
from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError
from wealtharena.evaluation.cells import Column, holds_numbers, holds_words, text_of
from wealtharena.evaluation.figures import Figures
from wealtharena.evaluation.naming import plain

FLOWS: Final = (
    r"deposit|withdraw|contribution|cash_?flow|(?:net|external)_?flow|subscription|redemption|einzahlung|auszahlung"
)


MOVED: Final = (
    rf"(?:\w+ ){{0,1}}(?:{FLOWS.replace('_?', '[ _]?')})"  # a cell that says of what its row is: Cash deposit
)
WHOSE: Final = ("fund", "account", "accountid", "clientaccountid", "portfolio", "strategy")
SHOWN: Final = 3  # names


def require_one_owner(columns: Sequence[Column], where: str) -> None:
    """Raise DataError where a column of names or currencies holds several in words: rows of one behind those of another."""
    for name, cells in columns:
        if role_of(name) not in ("symbol", "name", "currency") and letters_of(name) not in WHOSE:
            continue
        found = [] if holds_numbers(cells) else [str(one) for one in text_of(cells).unique() if one]
        if len(found) > 1:
            shown = f"{', '.join(found[:SHOWN])}{' ...' if len(found) > SHOWN else ''}"
            raise DataError(
                f"{where}: {name} holds {len(found)} ({shown}), and a record is of one",
                hint="keep the rows of one of them, or leave that column out if they are one",
            )


def require_no_flows(columns: Sequence[Column], order: npt.NDArray[np.intp], level: str, where: str) -> None:
    """Raise DataError where a column beside a level holds money from outside after the first of the rows, `order` being that of time.

    One word in all rows is a sum that never changes. So it is where a column of words calls such a row a deposit.
    """
    for name, cells in columns:
        told = text_of(cells.iloc[order[1:]]) if holds_words(cells) else None
        moved = [] if told is None else told[told.str.match(MOVED, case=False)].tolist()
        if moved:
            raise DataError(
                f"{where}: {name} tells of money from outside ({moved[0]}), which {level} would count as earned or lost",
                hint="give a column `return`, or a level of which such money is no part, and leave this column out",
            )
        if re.search(FLOWS, plain(name)) is None:
            continue
        text = text_of(cells).iloc[order]
        if text.iloc[1:].str.contains("[1-9]").any() and text.nunique() > 1:
            raise DataError(
                f"{where}: {name} holds money from outside, which {level} would count as earned or lost",
                hint="give a column `return`, or a level of which such money is no part, and leave this column out",
            )


def require_no_splits(columns: Sequence[Column], order: npt.NDArray[np.intp], level: Figures, ledger: Ledger) -> None:
    """Say that dividends beside a price are not added to it, and raise DataError where it jumps on the dates of splits.

    `order` is that of time, in which rows of the file stand, and those of `level` too, [n].
    """
    import pandas as pd

    with np.errstate(invalid="ignore", divide="ignore"):
        moves = np.diff(np.log(level.values[order]))
    for name, cells in columns:
        if (role := role_of(name)) not in ("dividend", "split"):
            continue
        told = pd.to_numeric(text_of(cells), errors="coerce").fillna(0.0).to_numpy(dtype=np.float64)[order]
        if role == "dividend" and (told > 0).any():
            ledger.note(f"{level.name} counts as it stands: what {name} holds is not added to it")
        with np.errstate(divide="ignore", invalid="ignore"):
            split = np.log(told[1:])
            jumps = np.isfinite(split) & (split != 0.0) & (np.abs(moves + split) < 0.5 * np.abs(split))
        if role == "split" and jumps.any():
            raise DataError(
                f"{ledger.name}: {level.name} jumps on {int(jumps.sum())} dates of {name}, which is no gain or loss",
                hint="give a price that has its splits, or returns",
            )
