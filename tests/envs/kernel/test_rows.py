from wealtharena.envs import vector
from wealtharena.envs.kernel import rows
from wealtharena.envs.tiles import TILE


def test_a_record_fills_the_rows_of_a_cell_from_mark_now_on():
    """`lay` copies FIELDS numbers of a record to the rows from mark_now on, so their orders are one."""
    names = rows.CellRows._fields[rows.CellRows._fields.index("mark_now") :]
    assert len(rows.RECORD) == rows.FIELDS == TILE == len(names)
    of_bars = {rows.BAR.mark: "mark", rows.BAR.inverse: "inverse", rows.BAR.fill: "price", rows.BAR.income: "income",
               rows.BAR.volume: "volume", rows.BAR.sizing_impact: "impact", rows.BAR.fill_impact: "impact"}  # fmt: skip
    for (row, at), name in zip(rows.RECORD, names, strict=True):
        stem, _, when = name.partition("_")
        assert of_bars[row] == stem
        assert (when or "then") == ("now", "then")[at]


def test_rows_do_not_overlap_and_the_desk_begins_with_the_account():
    assert [*rows.DESK, *rows.WORK] == list(range(0, rows.DESK_SIZE, rows.LANES))
    assert list(rows.CELL) == list(range(0, rows.CELL_SIZE, rows.LANES))
    assert [place * rows.LANES for place in rows.ACCOUNT] == list(rows.DESK)
    for plain in (rows.BAR, rows.ACCOUNT, rows.CLOCK, rows.START, vector.RULE):
        assert list(plain) == list(range(len(plain)))


def test_no_two_numbers_of_a_fill_share_a_row_while_both_are_needed():
    assert len({rows.GOAL, rows.MOST, rows.FILLED, rows.FEE}) == 4
    read_later = {rows.CELL.units, rows.CELL.wish, rows.CELL.price, rows.CELL.mark_then}
    assert not read_later & {rows.GOAL, rows.MOST, rows.FILLED, rows.FEE}
