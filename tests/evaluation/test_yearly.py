"""A fund's table of years by months is read as monthly returns, whatever its words, marks and unit; its years are checked."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.spelled import months_of
from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import DataError
from wealtharena.evaluation import outside
from wealtharena.evaluation.yearly import ends_of

ENGLISH = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
HEADS = {
    "short": ENGLISH,
    "capitals": ENGLISH.upper(),
    "long": "January February March April May June July August September October November December",
    "numbers": "1 2 3 4 5 6 7 8 9 10 11 12",
    "digits": "01 02 03 04 05 06 07 08 09 10 11 12",
    "initials": "J F M A M J J A S O N D",
    "German": "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    "Austrian": "Jän. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
    "French": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "Spanish": "Ene Feb Mar Abr May Jun Jul Ago Sep Oct Nov Dic",
    "Italian": "Gen Feb Mar Apr Mag Giu Lug Ago Set Ott Nov Dic",
    "Portuguese": "Jan Fev Mar Abr Mai Jun Jul Ago Set Out Nov Dez",
    "Polish": "Sty Lut Mar Kwi Maj Cze Lip Sie Wrz Paź Lis Gru",
    "Japanese": "1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月",
}
VALUES = np.random.default_rng(5).normal(0.006, 0.03, 48).round(4)
TABLE = [["Year", *ENGLISH.split(), "YTD"]] + [
    [str(2020 + row), *(f"{100 * one:.2f}%" for one in of), f"{100 * (np.prod(1 + of) - 1):.2f}%"]
    for row, of in enumerate(VALUES.reshape(4, 12))
]


def text_of(rows: list[list[str]], separator: str = ",") -> str:
    made = io.StringIO()
    csv.writer(made, delimiter=separator, lineterminator="\n").writerows(rows)
    return made.getvalue()


def read(folder: Path, content: str, unit: str = "auto") -> tuple[Trajectory, tuple[str, ...]]:
    (folder / "fund.csv").write_text(content, encoding="utf-8")
    ledger = Ledger("fund.csv")
    path = outside.read(folder / "fund.csv", unit, ledger)
    return path, ledger.close().notes


def changed(row: int, place: int, cell: str) -> list[list[str]]:
    rows = [list(cells) for cells in TABLE]
    rows[row][place] = cell
    return rows


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_table_of_years_by_months_is_its_monthly_returns(tmp_path: Path, data: st.DataObject) -> None:
    begins, count = data.draw(st.integers(0, 11)), data.draw(st.integers(13, 60))
    values = np.array(data.draw(st.lists(st.integers(-2000, 2000).filter(bool), min_size=count, max_size=count))) / 1e4
    years = -(-(begins + count) // 12)
    cells = np.full(12 * years, np.nan)
    cells[begins : begins + count] = values
    head = HEADS[data.draw(st.sampled_from(sorted(HEADS)))].split()
    form = data.draw(st.sampled_from(["{:.2f}%", "{:.2f} %", "{:.2f}", "{:.4f}"]))
    scale, per_cent = (1, False) if form == "{:.4f}" else (100, "%" in form)
    loss = data.draw(st.sampled_from(["-{}", "({})", "\u2212{}"]))
    comma, newest_first, turned, totals = (data.draw(st.booleans()) for _ in range(4))
    separator = data.draw(st.sampled_from([";", "\t"] if comma else [",", ";", "\t", "|"]))
    blank = data.draw(st.sampled_from(["", "-", "n/a"]))

    def spelled(one: float) -> str:
        if np.isnan(one):
            return blank
        text = form.format(abs(scale * one))
        text = text.replace(".", ",") if comma else text
        return loss.format(text) if one < 0 else text

    of_years = np.nanprod(1.0 + cells.reshape(years, 12), axis=1) - 1.0
    body = [
        [str(2001 + row), *map(spelled, cells.reshape(years, 12)[row]), *([spelled(of_years[row])] if totals else [])]
        for row in range(years)
    ]
    rows = [["", *head, *(["YTD"] if totals else [])], *(body[::-1] if newest_first else body)]
    if turned:
        rows = [list(row) for row in zip(*rows, strict=True)]
    unit = "auto" if per_cent else "percent" if scale == 100 else "share"
    path, notes = read(tmp_path, text_of(rows, separator), unit)
    assert path.returns == pytest.approx(values, abs=1e-12)
    ends = pd.date_range(f"2001-{begins + 1:02}-01", periods=count, freq="ME")
    np.testing.assert_array_equal(path.timestamps[1:], ends.to_numpy().astype("datetime64[ns]"))
    assert path.timestamps[0] == (ends[0] - pd.offsets.MonthEnd(1)).to_datetime64()
    assert not any("compound" in note for note in notes)


@pytest.mark.slow
def test_years_tell_the_unit_of_months_that_nothing_else_tells(tmp_path: Path) -> None:
    bare = text_of(TABLE).replace("%", "")
    path, notes = read(tmp_path, bare)
    assert path.returns == pytest.approx(VALUES)
    assert any("taken as per cents: the months of 4 of 4 years compound to YTD so" in note for note in notes)
    coarse = [[row[0], *(f"{float(cell[:-1]):.1f}" for cell in row[1:])] for row in TABLE[1:]]
    assert read(tmp_path, text_of([TABLE[0], *coarse]))[0].returns == pytest.approx(VALUES, abs=6e-4)
    with pytest.raises(DataError, match="may be per cents or shares"):
        read(tmp_path, text_of([[cell.rstrip("%") for cell in row[:-1]] for row in TABLE]))
    late = [*([row[0], *[""] * 11, *row[12:13], row[12]] if row[0] == "2020" else row for row in TABLE)]
    path, notes = read(tmp_path, text_of(late).replace("%", ""))
    assert path.returns == pytest.approx(VALUES[11:])
    assert any("the months of 3 of 3 years compound to YTD so" in note for note in notes)
    shares = [[row[0], *(f"{float(cell[:-1]) / 100:.4f}" for cell in row[1:])] for row in TABLE[1:]]
    path, notes = read(tmp_path, text_of([TABLE[0], *shares]))
    assert path.returns == pytest.approx(VALUES)
    assert any("taken as shares" in note for note in notes)


@pytest.mark.parametrize(("rows", "said"), [
    (changed(2, 13, "55.00%"), r"months of 1 of 4 years do not compound to its column YTD \(2021: [+-][\d.]+%, not \+55.00%\)"),
    (changed(2, 5, "31.00%"), "months of 1 of 4 years do not compound to its column YTD"),
    ([TABLE[0], *([*row[:-1], f"{sum(float(cell[:-1]) for cell in row[1:-1]):.2f}%"] for row in TABLE[1:])],
     r"(\d) of 4 years do not compound to its column YTD, and are summed in \1 "),
    ([[*TABLE[0], "Index"], *([*row, "1.00%"] for row in TABLE[1:])], "2020-01 to 2023-12; Index is passed over"),
    ([*TABLE, ["Average", *["0.50%"] * 13]], "1 of 5 rows left out: no year, below the last one"),
    ([[*row[:10], *["0.00%"] * 3, row[-1]] if row[0] == "2023" else row for row in TABLE], "0 months at the beginning of its table and 3 at its end are 0, and count"),
])  # fmt: skip
def test_what_a_table_says_otherwise_or_beside_is_told(tmp_path: Path, rows: list[list[str]], said: str) -> None:
    _, notes = read(tmp_path, text_of(rows))
    assert any(re.search(said, note) for note in notes), notes


@pytest.mark.parametrize(("rows", "said"), [
    ([[row[0], *row[7:13], *row[1:7]] for row in TABLE], "its months begin with Jul, so that each year may be either of two"),
    (changed(2, 0, "2020"), "the year 2020 stands in two rows"),
    (changed(2, 0, "Index"), r"row 2 is of no year \('Index'\)"),
    (changed(2, 0, "21"), r"row 2 is of no year \('21'\)"),
    ([[f"Fund {row[0]}" if row[0] != "Year" else "Fund", *row[1:]] for row in TABLE], "has a column a month and none of years"),
    (changed(2, 5, ""), "1 of 48 rows have no finite return"),
    (changed(2, 5, "x"), "is 'x', not a number|some cells of return bear a %"),
    ([TABLE[0], *([row[0], *[""] * 13] for row in TABLE[1:])], "no month of its table holds anything"),
])  # fmt: skip
def test_a_table_that_leaves_its_months_open_is_refused(tmp_path: Path, rows: list[list[str]], said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        read(tmp_path, text_of(rows))
    assert refused.value.hint


@pytest.mark.slow
def test_a_table_is_found_below_its_title_and_between_blanks_and_in_parquet(tmp_path: Path) -> None:
    asked = read(tmp_path, text_of(TABLE))[0].equity
    titled = "My fund, class A\nMonthly returns in %, net of fees\n\n" + text_of(TABLE)
    assert read(tmp_path, titled)[0].equity == pytest.approx(asked)
    assert read(tmp_path, "\n".join(" ".join(row) for row in TABLE))[0].equity == pytest.approx(asked)
    typed = pd.DataFrame(
        VALUES.reshape(4, 12), columns=ENGLISH.upper().split(), index=pd.Index([2020, 2021, 2022, 2023], name="Year")
    )
    typed.to_parquet(tmp_path / "fund.parquet")
    assert outside.read(tmp_path / "fund.parquet", "share").equity == pytest.approx(asked)


def test_twelve_names_are_months_of_one_language_or_none() -> None:
    for head in HEADS.values():
        assert months_of(["Year", *head.split(), "YTD"]) == {place: place for place in range(1, 13)}
    for other in ("Jan Feb Mar", ENGLISH + " Jan", ENGLISH.replace("May", "Mai"), "Q1 Q2 Q3 Q4", "O H L C V"):
        assert months_of(other.split()) == {}


@pytest.mark.slow
def test_twelve_numbered_columns_beside_dates_are_no_months(tmp_path: Path) -> None:
    days = pd.bdate_range("2022-01-03", periods=48)
    rows = [["date", "return", *map(str, range(1, 13))]]
    rows += [[f"{at:%Y-%m-%d}", f"{one:.4f}", *["0.5"] * 12] for at, one in zip(days, VALUES, strict=True)]
    path, _ = read(tmp_path, text_of(rows), "share")
    assert path.returns == pytest.approx(VALUES)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "head",
    [
        "Q1,Q2,Q3,Q4",
        "1Q,2Q,3Q,4Q",
        "T1,T2,T3,T4",
        "1. Quartal,2. Quartal,3. Quartal,4. Quartal",
        "Q1 (%),Q2 (%),Q3 (%),Q4 (%)",
    ],
)
def test_a_table_of_years_by_quarters_is_its_quarterly_returns(tmp_path: Path, head: str, turned: bool) -> None:
    cells = ["", *(f"{100 * one:.2f}" + ("" if "%" in head else "%") for one in VALUES[1:20])]
    rows = [["Year", *head.split(",")], *([str(2018 + at), *cells[4 * at : 4 * at + 4]] for at in range(5))]
    path, notes = read(tmp_path, text_of([list(row) for row in zip(*rows, strict=True)] if turned else rows))
    assert path.returns == pytest.approx(VALUES[1:20])
    ends = pd.date_range("2018-06-30", periods=19, freq="QE")
    np.testing.assert_array_equal(path.timestamps[1:], ends.to_numpy().astype("datetime64[ns]"))
    assert any("by quarters holds the returns of 19 quarters" in note for note in notes)


def test_four_numbers_are_no_quarters_and_months_go_before_them() -> None:
    assert ends_of(["Year", "1", "2", "3", "4"]) == {}
    assert ends_of(["Year", *ENGLISH.split(), "Q1", "Q2", "Q3", "Q4"]) == {place: place for place in range(1, 13)}


def test_a_table_of_levels_is_no_table_of_returns(tmp_path: Path) -> None:
    level = 100 * np.cumprod(1 + VALUES)
    rows = [
        ["Year", *ENGLISH.split()],
        *([str(2020 + at), *(f"{one:.2f}" for one in level[12 * at : 12 * at + 12])] for at in range(4)),
    ]
    for unit in ("auto", "percent", "share"):
        with pytest.raises(DataError, match="never less than 0: levels, not returns"):
            read(tmp_path, text_of(rows), unit)
