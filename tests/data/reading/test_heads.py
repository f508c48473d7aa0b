"""The line that is taken for the header, whoever looks for it."""

from __future__ import annotations

import pytest

from wealtharena.data.reading.heads import best_line, require_table
from wealtharena.errors import DataError

NAMED = {"date", "close", "return"}


def named(cells: list[str]) -> tuple[int, ...]:
    return (len(NAMED & {*cells}),)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a title, of mine", "", "date;close", "2024-01-02;3"], (2, ";", 2)),
        (["date,close", "1,2", "date,close"], (2, ",", 0)),  # the earliest of equals
        (["date", "1"], (1, ",", 0)),  # the first separator of equals
        (["", "nothing"], (0, ",", 0)),
    ],
)
def test_the_line_that_names_most_is_the_header(lines: list[str], expected: tuple[int, str, int]) -> None:
    grids = {separator: [line.split(separator) for line in lines] for separator in ",;"}
    (count,), separator, place = best_line(grids, named)
    assert (count, separator, place) == expected


@pytest.mark.parametrize(("text", "told"), [('{"a": 1}', "JSON"), ("[[1]]", "JSON"), ("<!DOCTYPE html>", "a web page")])
def test_what_is_no_table_is_named_with_what_a_row_is_of(text: str, told: str) -> None:
    with pytest.raises(DataError, match=f"f holds {told}, which is no table; write it as CSV, one row a date"):
        require_table(text, "f", row="a date")
    require_table("date,close\n", "f", row="a date")
