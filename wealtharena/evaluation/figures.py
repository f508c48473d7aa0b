"""Which column of somebody's file holds returns or a level, and the numbers that stand in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.signs import told, with_minus
from wealtharena.data.reading.words import ABSENT
from wealtharena.errors import DataError
from wealtharena.evaluation.cells import ENDLESS, NOTHING, SPACES, Column, holds_numbers, is_typed, text_of
from wealtharena.evaluation.dates import is_date
from wealtharena.evaluation.naming import PER_CENT, is_level, is_named, is_sure, speaks_of_gains

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
GROUPED: Final = r"[+-]?[1-9]\d{0,2}\.\d{3}"  # 1.013: a decimal, or thousands
SAME_RETURN: Final = 1e-6  # that a column of returns may differ from its level's, whose own rounding it has
SHEET_ERROR: Final = r"#¡?[^\W\d_]+(?:/0)?[!?]"  # of a formula, in any language of a spreadsheet
COARSEST: Final = 5e-4  # beside that, by what it is rounded to itself


@dataclass(frozen=True, eq=False)
class Figures:
    """The numbers [n] of the column `name`; `sign` says in words what bears a %, where anything does."""

    name: str
    values: FloatArray
    is_level: bool
    sign: str


def _is_blank(cells: pd.Series) -> bool:
    return bool(cells.isna().all()) if is_typed(cells) else bool((text_of(cells) == "").all())


def figures_of(columns: Sequence[Column], ledger: Ledger) -> Figures:
    """Return the one column whose name says that it holds returns or a level.

    A level counts where the returns of it stand beside it, as in a run's equity.parquet. A name such as `pnl_pct`,
    `drawdown` or `log_return` says another thing, and one such as `0` nothing. Which mark is the
    decimal one is for all columns of numbers to show.

    Raises:
        DataError: no column is called so, or several that differ; a cell is no number, or may be two.
    """
    called = [(name, cells) for name, cells in columns if is_named(name)]
    called = [one for one in called if is_typed(one[1]) or text_of(one[1]).str.contains(r"\d").any()] or called
    sure = [one for one in called if is_sure(one[0])]
    called = sure or ([] if any(speaks_of_gains(name) for name, _ in columns) else called)
    called = _without_its_returns([one for one in called if not _is_blank(one[1])] or called)
    if not called or not _are_one(called):
        raise _unclear([name for name, _ in called], columns, ledger.name)
    name, cells = called[0]
    if len(columns) > 2:
        ledger.note(f"of its {len(columns)} columns the figures are those of {name}")
    sign = f"the name of {name} bears" if re.search(PER_CENT, name, re.IGNORECASE) else ""
    if is_typed(cells):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        text = told(text_of(cells), name, ledger)
        text = _without_money(text, ledger) if is_level(name) else _without_first_error(text)
        absent = text.str.lower().isin(ABSENT)
        marked = text.str.endswith("%")
        if marked.any() and not (marked | absent | text.str.fullmatch(NOTHING)).all():
            raise DataError(f"{ledger.name}: some cells of {name} bear a % and some none", hint="write all alike")
        sign = sign or ("its cells bear" if marked.any() else "")
        beside = [other for label, other in columns if not is_named(label) and role_of(label) != "timestamp"]
        values = _numbers(name, text, [one for one in beside if not is_typed(one) and holds_numbers(one)], ledger)
    if sign and is_level(name):
        raise DataError(f"{ledger.name}: {name} bears a %: that is no level", hint="call the column `return`")
    return Figures(name, np.asarray(values, dtype=np.float64), is_level(name), sign)


def _without_first_error(text: pd.Series) -> pd.Series:
    """Return cells [n] with nothing where a sheet could not divide by the row before its oldest: #DIV/0!, #VALUE!, #BEZUG!."""
    ends = [0, len(text) - 1] if len(text) else []
    failed = [place for place in ends if re.fullmatch(SHEET_ERROR, text.iloc[place])]
    return text.mask(np.isin(np.arange(len(text)), failed), "") if failed else text


def _numbers(name: str, text: pd.Series, beside: list[pd.Series], ledger: Ledger) -> FloatArray:
    """Return the numbers that cells stand for; where they leave the decimal mark open, columns of numbers `beside` show it."""
    endless = text.str.extract(f"^{ENDLESS}$", flags=re.IGNORECASE)[0]
    own = {name: text.str.rstrip(SPACES).mask(endless.notna(), "")}
    try:
        values = marked(own, ledger)[name]
    except DataError as error:
        others = {f"column {place}": with_minus(text_of(one)).str.rstrip(SPACES) for place, one in enumerate(beside)}
        others = {key: one.mask(one.str.fullmatch(ENDLESS, case=False), "") for key, one in others.items()}
        if not others or " may be " not in error.message:
            raise
        try:
            values = marked({**own, **others}, ledger)[name]
        except DataError:
            raise error from None
    is_endless, is_loss = endless.notna().to_numpy(dtype=bool), endless.eq("-").fillna(value=False).to_numpy(dtype=bool)
    return np.where(is_endless, np.where(is_loss, -np.inf, np.inf), values.to_numpy(dtype=np.float64))


def marked(columns: dict[str, pd.Series], ledger: Ledger) -> dict[str, pd.Series]:
    """Return the numbers of columns, their marks read as bars' are.

    Raises:
        DataError: a cell is no number, or 1.013 may be thousands: where tabs separate as where semicolons do, and wherever
            whole numbers stand among nothing else, which three decimals throughout would not leave.
    """
    from wealtharena.data.reading.numbers import to_numbers

    cells = {key: one[~one.str.lower().isin(ABSENT)] for key, one in columns.items()}
    dotted = {key: one[one.str.contains(".", regex=False)] for key, one in cells.items()}
    first = next((str(one.iloc[0]) for one in dotted.values() if len(one)), "")
    grouped = all(one.str.fullmatch(GROUPED).all() for one in dotted.values())
    if first and grouped and not any(one.str.contains(",", regex=False).any() for one in cells.values()):
        whole = any(cells[key].str.fullmatch(r"[+-]?[1-9]\d*").any() for key, one in dotted.items() if len(one) > 1)
        if whole or ledger.facts.get("separator", "comma") != "comma":
            raise DataError(
                f"{ledger.name}: {first} may be {first.replace('.', '')} or {first.replace('.', ',')}",
                hint="write numbers with a decimal point and no thousands mark, and separate them by commas",
            )
    return to_numbers(columns, ledger)


def _are_one(called: Sequence[Column]) -> bool:
    """Return whether columns are one, written again: of the same name, with the same cells."""
    name, cells = called[0]
    return all(
        other.strip().lower() == name.strip().lower() and (text_of(values) == text_of(cells)).all()
        for other, values in called[1:]
    )


def _without_its_returns(called: list[Column]) -> list[Column]:
    """Return the one level alone where whatever stands beside it are its returns, but for rounding, which know nothing of before its first row."""
    levels = [one for one in called if is_level(one[0])]
    if len(levels) != 1 or len(called) == 1:
        return called
    try:
        level, *others = (_beside(cells) for _, cells in [*levels, *(one for one in called if one is not levels[0])])
    except DataError:
        return called
    own = all(
        _are_its_returns(level[0], *other) or _are_its_returns(level[0][::-1], other[0][::-1], other[1])
        for other in others
    )
    return levels if own else called


def _are_its_returns(level: FloatArray, told: FloatArray, rounding: float) -> bool:
    with np.errstate(divide="ignore", invalid="ignore"):
        earned = level[1:] / level[:-1] - 1.0
    first = np.isnan(told[:1]) | (told[:1] == 0.0)
    return bool(first.all() and (np.abs(told[1:] - earned) <= rounding + SAME_RETURN).all())


def _beside(cells: pd.Series) -> tuple[FloatArray, float]:
    """Return the numbers of a column, those with a % as shares, and by how much they are rounded.

    Raises:
        DataError: a cell is no number, or they are rounded to whole per cents.
    """
    if is_typed(cells):
        return cells.to_numpy(dtype=np.float64, na_value=np.nan), 0.0
    text = with_minus(text_of(cells))
    scale = 0.01 if text.str.endswith("%").any() else 1.0
    bare = text.str.rstrip(SPACES)
    numbers = scale * marked({"beside": bare}, Ledger(""))["beside"].to_numpy(dtype=np.float64)
    places = int(bare.str.extract(r"[.,](\d+)$")[0].fillna("").str.len().max())
    return numbers, min(0.5 * scale * 10.0**-places, COARSEST)


def _without_money(text: pd.Series, ledger: Ledger) -> pd.Series:
    """Return cells without the sign or code of a currency beside each number, and write down which it was.

    Raises:
        DataError: they are of two.
    """
    from wealtharena.data.reading.numbers import without_money

    for behind in (False, True):
        text, money = without_money(text, behind=behind)
        for sign, code in money.items():
            ledger.state_currency(code, f"the sign {sign} in its cells")
    return text


def _unclear(called: list[str], columns: Sequence[Column], where: str) -> DataError:
    numeric = [name for name, cells in columns if role_of(name) != "timestamp" and holds_numbers(cells)]
    told = "has no column of figures"
    if called:
        told = f"may mean any of {', '.join(called)}"
    elif any(is_date(name) for name, _ in columns):
        told = f"has no names above its columns; it begins with {', '.join(name for name, _ in columns)[:80]}"
    elif numeric:
        told = f"has figures called {', '.join(numeric[:5])}, which may be returns, a level or another thing"
    return DataError(f"{where} {told}", hint="call one column `return` (shares, 0.01 is one per cent) or `equity`")
