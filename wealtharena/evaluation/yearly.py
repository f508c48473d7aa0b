"""Returns in a table of years by months, as a fund's fact sheet has them: brought to one row a month, and its years checked."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wealtharena.data.reading.columns import plain as letters_of
from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.signs import with_minus
from wealtharena.data.reading.spelled import months_of
from wealtharena.data.reading.words import ABSENT
from wealtharena.errors import DataError
from wealtharena.evaluation.cells import NOTHING, SPACES, Column, is_typed, text_of
from wealtharena.evaluation.figures import Figures, marked
from wealtharena.evaluation.levels import require_one_owner
from wealtharena.evaluation.sheets import Sheet

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]
YEAR: Final = r"((?:19|20)\d{2})(?:\.0)?[\s*†]*(?:\(?ytd\)?)?"
QUARTERS: Final = {form.format(of): 3 * of for form in ("q{}", "{}q", "t{}", "quarter {}", "{}. quartal", "quartal {}") for of in (1, 2, 3, 4)} | {
    "1st quarter": 3, "2nd quarter": 6, "3rd quarter": 9, "4th quarter": 12,
}  # fmt: skip
YEAR_MONTHS: Final = 12
TOTALS: Final = frozenset((
    "ytd", "year", "total", "annual", "yr", "yearly", "fullyear", "calendaryear", "cy", "eoy", "jahr", "gesamt", "gesamtjahr", "jahres",
    "annee", "annuel", "annuelle", "an", "anno", "totale", "annuale", "ano", "anual", "jaar", "totaal", "ar", "helar", "rok", "год", "年",
    "年間", "通年", "연간",
))  # fmt: skip
FIGURE: Final = "returns?|performance|perf|rendite|rendement|rendimento|rentabilidad"  # beside the word for a year
FINEST: Final = 8  # decimals that figures are looked at for
SPARE: Final = 1.2  # times what rounding of months may add up to in a year
LEVEL: Final = 5.0  # per cents a month or a quarter, where none is negative, of no fund
SHOWN: Final = 3  # years that are named of those that do not agree


@dataclass(frozen=True, eq=False)
class Years:
    """What a table says that whole years earned: by the name of its column, their cells as text, one for each of `years`.

    `months` is the text of all its months, beside which cells are read; without totals there is nothing to compare.
    """

    years: tuple[int, ...] = ()
    totals: Mapping[str, pd.Series] = field(default_factory=dict)
    months: pd.Series | None = None

    def unit_of(self, at: Dates, found: Figures, unit: str, ledger: Ledger) -> str:
        """Return percent or share where that alone makes months compound to what most years are said to be, and say so; else `unit`.

        Raises:
            DataError: they are levels.
        """
        if self.years and found.values.min() > 0.0 and np.median(found.values) > LEVEL:
            raise DataError(
                f"{ledger.name}: its table of years holds {np.median(found.values):.6g} and the like, never less than 0: levels, not returns",
                hint="give a column of months (2024-01) and one called `nav`",
            )
        if unit != "auto" or found.sign:
            return unit
        for name, told, signed in self._read():
            rows = {
                one: [row for row in _rows(at, found.values, self.years, told, scale, 0.01 if signed else scale) if row.tells]
                for one, scale in (("share", 1.0), ("percent", 0.01))
            }  # fmt: skip
            fits = {one: sum(row.fits for row in of) for one, of in rows.items()}
            best = max(fits, key=lambda one: fits[one])
            if 2 * min(fits.values()) <= fits[best] and 2 * fits[best] > len(rows[best]):  # coarse ones fit by chance
                words = {"share": "shares", "percent": "per cents"}[best]
                ledger.note(
                    f"returns are taken as {words}: the months of {fits[best]} of {len(rows[best])} years compound to {name} so"
                )
                return best
        return unit

    def check(self, at: Dates, found: Figures, *, per_cents: bool, ledger: Ledger) -> None:
        """Say of which years the months at `at` do not make what the table says of the whole."""
        scale = 0.01 if per_cents else 1.0
        for name, told, signed in self._read():
            rows = _rows(at, found.values, self.years, told, scale, 0.01 if signed else scale)
            apart = [row for row in rows if not row.fits]
            if not apart:
                continue
            shown = "; ".join(f"{row.year}: {row.made:+.2%}, not {row.said:+.2%}" for row in apart[:SHOWN])
            summed = f", and are summed in {sums}" if (sums := sum(row.sums for row in apart)) else ""
            ledger.note(
                f"the months of {len(apart)} of {len(rows)} years do not compound to its column {name}{summed} "
                f"({shown}{'; ...' if len(apart) > SHOWN else ''}): the months are taken as they stand"
            )

    def _read(self) -> Iterator[tuple[str, FloatArray, bool]]:
        """Yield name and numbers [years] of each column of totals that holds some, and whether it bears a %."""
        for name, cells in self.totals.items():
            text = with_minus(cells).where(~cells.str.lower().isin(ABSENT), "").str.rstrip(SPACES)
            texts = {"year": text} if self.months is None else {"year": text, "month": self.months}
            try:
                numbers = marked(texts, Ledger(""))["year"].to_numpy(dtype=np.float64)
            except DataError:
                continue  # words
            yield name, numbers, "%" in name or bool(cells.str.contains("%", regex=False).any())


class _Row(NamedTuple):
    """A year: what its months make and what is said of it, as shares, whether both are one but for rounding, and whether their sum is.

    It `tells` where more than one of its months counts: one alone is its year in any unit.
    """

    year: int
    made: float
    said: float
    fits: bool
    sums: bool
    tells: bool


def _rows(
    at: Dates, months: FloatArray, years: Sequence[int], told: FloatArray, scale: float, scale_of_years: float
) -> list[_Row]:
    """Return each year of which something is said beside its months, both brought to shares by their scales."""
    of = at.astype("datetime64[Y]").astype(int) + 1970
    steps, found = (scale * _step(months), scale_of_years * _step(told)), []
    for year, said in zip(years, told * scale_of_years, strict=True):
        own = scale * months[of == year]
        if not len(own) or not np.isfinite(said):
            continue
        made = float(np.prod(1.0 + own) - 1.0)
        spare = 0.5 * (SPARE * steps[0] * len(own) * max(1.0, 1.0 + made) + steps[1]) + 1e-9
        close = [abs(one - said) <= spare for one in (made, float(own.sum()))]
        found.append(_Row(year, made, float(said), close[0], close[1], int(np.count_nonzero(own)) > 1))
    return found


def _step(values: FloatArray) -> float:
    """Return to what figures are rounded, a power of ten."""
    finite = values[np.isfinite(values)]
    return next((10.0**-places for places in range(FINEST) if np.allclose(finite, finite.round(places), rtol=0, atol=1e-9)), 0.0)  # fmt: skip


def unfolded(sheet: Sheet, ledger: Ledger) -> tuple[Sheet, Years]:
    """Return a table with a row a year and a column a month, or the other way round, as one of dates and returns; any other as it is.

    Months that are blank before the first and after the last are none; what the table says of whole years comes beside.

    Raises:
        DataError: its months do not run from January to December, it has no years or one of them twice, a row between them
            is of none, or no month holds anything.
    """
    names = [name for name, _ in sheet.columns]
    columns = sheet.columns if ends_of(names) else _turned(sheet.columns)
    months = ends_of([name for name, _ in columns])
    place = _place_of_years(columns, months)
    if not months or (place is None and any(role_of(name) == "timestamp" for name in names)):  # twelve numbered columns
        return sheet, Years()
    if place is None:
        raise DataError(
            f"{ledger.name} has a column a {_part(months)} and none of years",
            hint="give each row its year, of four digits",
        )
    places = sorted(months, key=lambda place: months[place])
    if places not in (sorted(places), sorted(places)[::-1]):
        raise DataError(
            f"{ledger.name}: its {_part(months)}s begin with {columns[min(places)][0]}, so that each year may be either of two",
            hint="give a column of months (2024-01) and one of returns",
        )
    years, rows = _years(columns[place][1], ledger)
    kept = [(name, cells.iloc[rows].reset_index(drop=True)) for name, cells in columns]
    dates, cells = _long({months[one]: kept[one][1] for one in places}, years, ledger)
    others = [kept[one] for one in range(len(kept)) if one not in (place, *places)]
    require_one_owner(others, ledger.name)
    totals = {name: text_of(cells) for name, cells in others if _is_total(name)}
    passed = [name for name, cells in others if name not in totals and not (text_of(cells) == "").all()]
    beside = f"; {', '.join(passed[:5])} {'is' if len(passed) == 1 else 'are'} passed over" if passed else ""
    ledger.note(
        f"a table of years by {_part(months)}s holds the returns of {len(cells)} {_part(months)}s, "
        f"{dates.iloc[0]} to {dates.iloc[-1]}{beside}"
    )
    told = Years(tuple(years), totals, with_minus(text_of(cells)).str.rstrip(SPACES))
    name = "return (%)" if any("%" in columns[one][0] for one in (place, *places)) else "return"
    return replace(sheet, columns=[("date", dates), (name, cells)]), told


def ends_of(names: Sequence[str]) -> dict[int, int]:
    """Return in which month the period of a column ends, by its place, where names are all months of a year, or else all quarters."""
    words = [re.sub(r"[ (]*%[)]?$", "", name.strip()).lower() for name in names]
    quarters = {place: QUARTERS[word] for place, word in enumerate(words) if word in QUARTERS}
    return months_of(names) or (quarters if sorted(quarters.values()) == [3, 6, 9, 12] else {})


def _part(ends: Sized) -> str:
    return "month" if len(ends) == YEAR_MONTHS else "quarter"


def _is_total(name: str) -> bool:
    """Return whether a column is called as one of whole years is: YTD, `Annual return (%)`, Jahr."""
    return re.sub(FIGURE, "", letters_of(name.replace("%", ""))) in TOTALS


def _turned(columns: list[Column]) -> list[Column]:
    """Return a table with a row a month and a column a year the other way round, as text; nothing of any other."""
    import pandas as pd

    if not columns or not any(re.fullmatch(YEAR, name.strip(), re.IGNORECASE) for name, _ in columns[1:]):
        return []
    (corner, first), *others = ((name, text_of(cells)) for name, cells in columns)
    if not ends_of(list(first)):
        return []
    rows = zip(first, *(cells for _, cells in others), strict=True)
    turned = [(corner, [name for name, _ in others]), *((name, cells) for name, *cells in rows)]
    return [(name, pd.Series(cells, dtype="string")) for name, cells in turned]


def _place_of_years(columns: list[Column], months: Container[int]) -> int | None:
    """Return the place of the column that holds most years beside those of months; None where none holds any."""
    found = {
        place: int(_years_in(cells).notna().sum()) for place, (_, cells) in enumerate(columns) if place not in months
    }
    place = max(found, key=lambda one: found[one], default=None)
    return place if place is not None and found[place] else None


def _years_in(cells: pd.Series) -> pd.Series:
    years: pd.Series = text_of(cells).str.extract(f"^{YEAR}$", flags=re.IGNORECASE)[0].reset_index(drop=True)
    return years


def _years(cells: pd.Series, ledger: Ledger) -> tuple[list[int], list[int]]:
    """Return years in their order, and the rows that they stand in.

    Raises:
        DataError: one stands twice, or a row between them has none.
    """
    known = _years_in(cells)
    end = int(np.flatnonzero(known.notna())[-1]) + 1  # an average may stand below
    ledger.drop("no year, below the last one", len(known) - end)
    known = known.iloc[:end]
    if known.isna().any():
        row = int(known.isna().argmax())
        shown = str(text_of(cells).iloc[row])
        raise DataError(
            f"{ledger.name}: row {row + 1} is of no year ({shown!r}) in its table of years by months",
            hint="keep the rows of one fund, a row a year",
        )
    years = [int(year) for year in known]
    if len(set(years)) < len(years):
        twice = next(year for year in years if years.count(year) > 1)
        raise DataError(
            f"{ledger.name}: the year {twice} stands in two rows", hint="keep the rows of one fund, a row a year"
        )
    rows = sorted(range(end), key=lambda row: years[row])
    return [years[row] for row in rows], rows


def _long(months: Mapping[int, pd.Series], years: list[int], ledger: Ledger) -> tuple[pd.Series, pd.Series]:
    """Return months (2024-01) and their cells, from the first that holds something to the last.

    Raises:
        DataError: none does.
    """
    import pandas as pd

    typed = all(is_typed(cells) for cells in months.values())
    grid = pd.concat([cells if typed else text_of(cells) for cells in months.values()], axis=1)
    figures = grid.to_numpy(dtype=np.float64 if typed else object, na_value=np.nan).reshape(-1)
    cells = pd.Series(figures, dtype=None if typed else "string")
    dates = pd.Series([f"{year}-{month:02d}" for year in years for month in months], dtype="string")
    text = text_of(cells)
    there = np.flatnonzero(~text.str.lower().isin(ABSENT).to_numpy(dtype=bool))
    if not len(there):
        raise DataError(f"{ledger.name}: no {_part(months)} of its table holds anything", hint="download it again")
    kept = slice(int(there[0]), int(there[-1]) + 1)
    nothing = text.iloc[kept].str.rstrip(SPACES).str.fullmatch(NOTHING).to_numpy(dtype=bool)
    begins, ends = (int(np.cumprod(one).sum()) for one in (nothing, nothing[::-1]))
    if begins or ends:
        ledger.note(
            f"{begins} {_part(months)}s at the beginning of its table and {ends} at its end are 0, and count: leave those blank that were none"
        )
    return dates.iloc[kept].reset_index(drop=True), cells.iloc[kept].reset_index(drop=True)
