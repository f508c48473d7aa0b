"""Tables that are drawn for the eye, headers that stand twice, and rows of types: the bars of a plain table, or one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from wealtharena.data.reading import Reading, read_path
from wealtharena.data.reading.columns import role_of
from wealtharena.errors import DataError

NAMES = ["Date", "Open", "High", "Low", "Close", "Volume"]
Rows = list[list[str]]


def _rows(count: int = 40) -> Rows:
    days = pd.bdate_range("2023-01-02", periods=count).strftime("%Y-%m-%d")
    return [
        [day, f"{100 + i}", f"{103 + i}.5", f"{98 + i}", f"{101 + i}.25", f"{7000 + i}"] for i, day in enumerate(days)
    ]


def _read(text: str, folder: Path, name: str = "AAPL.csv") -> Reading:
    (folder / name).write_text(text, encoding="utf-8")
    return read_path(folder / name)


def _csv(rows: Rows) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


def _plain(folder: Path) -> pd.DataFrame:
    folder = folder / "plain"
    folder.mkdir(exist_ok=True)
    return _read(_csv([NAMES, *_rows()]), folder).tables["AAPL"]


def _same(made: Reading, folder: Path) -> None:
    assert list(made.tables) == ["AAPL"]
    pd.testing.assert_frame_equal(made.tables["AAPL"], _plain(folder))


def _padded(between: str, right: bool = False) -> Callable[[list[str]], str]:
    widths = [max(map(len, column)) for column in zip(NAMES, *_rows(), strict=True)]
    return lambda cells: between.join(
        cell.rjust(width) if right else cell.ljust(width) for cell, width in zip(cells, widths, strict=True)
    )


def _rule(between: str, sign: str = "-") -> str:
    return between.join(sign * max(map(len, column)) for column in zip(NAMES, *_rows(), strict=True))


def _markdown() -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in [NAMES, *_rows()]).replace("\n", f"\n|{'---|' * 6}\n", 1)


def _pandas_markdown() -> str:
    rows = "".join(f"| {place} | {' | '.join(row)} |\n" for place, row in enumerate(_rows()))
    return f"|    | {' | '.join(NAMES)} |\n|---:|{':----|' * 6}\n{rows}"


def _psql() -> str:
    row, rows = _padded(" | "), _rows()
    return "\n".join(
        [f" {row(NAMES)}", f"-{_rule('-+-')}-", *(f" {row(cells)}" for cells in rows), f"({len(rows)} rows)", ""]
    )


def _mysql() -> str:
    row, rule = _padded(" | "), f"+-{_rule('-+-')}-+"
    return "\n".join(
        [
            rule,
            f"| {row(NAMES)} |",
            rule,
            *(f"| {row(cells)} |" for cells in _rows()),
            rule,
            "40 rows in set (0.01 sec)",
        ]
    )


def _duckdb() -> str:
    row, types = _padded(" │ "), ["date", "double", "double", "double", "double", "int64"]
    body = [f"│ {row(cells)} │" for cells in _rows()]
    rules = [f"{left}─{_rule(f'─{cross}─', '─')}─{right}" for left, cross, right in ("┌┬┐", "├┼┤", "└┴┘")]
    return "\n".join([rules[0], f"│ {row(NAMES)} │", f"│ {row(types)} │", rules[1], *body, rules[2]])


def _listing(right: bool = False, sign: str = "-") -> str:
    row = _padded("  ", right)
    return "\n".join([row(NAMES), _rule("  ", sign), *(row(cells) for cells in _rows())])


def _with_a_blank_cell() -> str:
    return _listing().replace("7003", "    ")


@pytest.mark.parametrize("text", [
    _markdown(), _pandas_markdown(), _psql(), _mysql(), _duckdb(), _listing(), _listing(right=True), _listing(sign="="),
    _csv([NAMES, ["---"] * 6, *_rows()]),
])  # fmt: skip
def test_bars_and_rules_of_a_drawn_table_are_no_cells(tmp_path: Path, text: str) -> None:
    _same(_read(text, tmp_path), tmp_path)


def test_a_listing_with_a_blank_cell_is_cut_below_its_dashes(tmp_path: Path) -> None:
    made = _read(_with_a_blank_cell(), tmp_path).tables["AAPL"]
    assert made["volume"].isna().sum() == 1
    pd.testing.assert_frame_equal(made.drop(columns="volume"), _plain(tmp_path).drop(columns="volume"))


@pytest.mark.parametrize("types", [
    "datetime64[ns],float64,float64,float64,float64,int64", "date,float,float,float,float,bigint", "<date>,<dbl>,<dbl>,<dbl>,<dbl>,<int>",
    "str,f64,f64,f64,f64,i64", "timestamp,double precision,real,real,numeric,integer",
])  # fmt: skip
def test_a_row_of_types_below_the_header_is_passed_over(tmp_path: Path, types: str) -> None:
    made = _read(_csv([NAMES, types.split(","), *_rows()]), tmp_path)
    _same(made, tmp_path)
    assert any("datetime64" in answer or types in answer for topic, answer in made.settled[0].facts if topic == "types")


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 20])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_once_more_is_no_bar(tmp_path: Path, place: int, mark: str) -> None:
    rows = _rows()
    made = _read(mark + _csv([NAMES, *rows[:place]]) + mark + _csv([NAMES, *rows[place:]]), tmp_path)
    _same(made, tmp_path)
    assert any("1 of 41 rows left out: the header once more" in note for note in made.notes)


@pytest.mark.slow
def test_rows_below_a_header_of_another_order_are_read_by_it(tmp_path: Path) -> None:
    order = [0, 4, 3, 2, 1, 5]
    turned = [[row[place] for place in order] for row in [NAMES, *_rows()[20:]]]
    made = _read(_csv([NAMES, *_rows()[:20]]) + _csv(turned), tmp_path)
    _same(made, tmp_path)
    assert any("header of another order" in note for note in made.notes)
    others = [["Date", "First", "High", "Low", "Close", "Volume"], *_rows()[20:]]
    with pytest.raises(DataError, match="row 21 is a header of its own with other names"):
        _read(_csv([NAMES, *_rows()[:20]]) + _csv(others), tmp_path)


@pytest.mark.parametrize(
    ("column", "held", "symbol"), [("asset", "equity", "AAPL"), ("code", "AAPL", "AAPL"), ("code", "200", "200")]
)
def test_a_word_that_every_row_holds_is_a_class_or_is_said_to_be_the_symbol(
    tmp_path: Path, column: str, held: str, symbol: str
) -> None:
    made = _read(_csv([[*NAMES, column], *([*row, held] for row in _rows())]), tmp_path)
    assert list(made.tables) == [symbol]
    said = {"equity": "holds the class", "200": "its symbol is 200, which code holds in every row"}.get(held, "")
    assert not said or any(said in note for note in made.notes)


@pytest.mark.slow
def test_short_words_that_are_tickers_too_count_beside_others_of_a_bar(tmp_path: Path) -> None:
    _same(_read(_csv([["dt", "op", "hi", "lo", "cl", "vo"], *_rows()]), tmp_path), tmp_path)
    with pytest.raises(DataError, match="no column for close"):
        _read(_csv([["Date", "CL", "JPM", "MO", "VO", "MA"], *_rows()]), tmp_path)


def test_turnover_by_its_name_is_no_volume_but_pieces_of_it_are() -> None:
    assert [role_of(name) for name in ("Vaihto", "Forgalom", "Forgalom (db)", "Umsatz (Stück)")] == ["turnover"] * 2 + [
        "volume"
    ] * 2


def _of_r() -> str:
    names = " ".join(f'"{name}"' for name in NAMES)
    return f"{names}\n" + "".join(f'"{i}" "{row[0]}" {" ".join(row[1:])}\n' for i, row in enumerate(_rows(), 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "".join(" ".join(row) + "\n" for row in [NAMES, *_rows()]),
        "".join(_padded("  ", right=True)(row) + "\n" for row in [NAMES, *_rows()]),
        _of_r(),
        "".join(" ".join(row) + "\n" for row in [NAMES, *([f"{row[0]} 00:00:00", *row[1:]] for row in _rows())]),
    ],
    ids=["one blank", "aligned", "R's write.table", "dates with their time"],
)
def test_words_with_blanks_between_them_are_cells(tmp_path: Path, text: str) -> None:
    made = _read(text, tmp_path)
    _same(made, tmp_path)
    assert ("separator", "blanks") in made.settled[0].facts


def test_rows_that_do_not_fit_a_header_of_words_are_refused(tmp_path: Path) -> None:
    text = "".join(" ".join([*row, "x", "y"]) + "\n" for row in _rows())
    with pytest.raises(DataError, match="no column"):
        _read(f"{' '.join(NAMES)}\n{text}", tmp_path)
