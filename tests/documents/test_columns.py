"""Columns and tables of a page, from where lines and their pieces stand."""

from mplus_cli.documents.columns import in_reading_order
from mplus_cli.documents.pdf_tables import with_rows
from mplus_cli.documents.placed import PlacedLine, TextRun

TITLE = PlacedLine("A title that runs over both of the columns", 50, 500, 700, 10)


def line(side: str, row: int) -> PlacedLine:
    x0 = 50 if side == "left" else 300
    return PlacedLine(f"the {side} column, row {row}", x0, x0 + 180, 600 - 12 * row, 10)


LEFT = [line("left", row) for row in range(6)]
RIGHT = [line("right", row) for row in range(6)]


def cells(y: float, *texts: str) -> PlacedLine:
    pieces = tuple(
        TextRun(text, 100.0 * n, 100.0 * n + 5 * len(text)) for n, text in enumerate(texts)
    )
    return PlacedLine(" ".join(texts), pieces[0].x0, pieces[-1].x1, y, 10, pieces)


def test_the_order_of_the_file_stays_where_it_reads() -> None:
    foot = PlacedLine("a foot that is drawn before all else", 50, 250, 20, 10)
    for page in ([TITLE, *LEFT, *RIGHT], [*LEFT], [foot, *LEFT], [*LEFT[::-1]]):
        assert in_reading_order(page) == page


def test_columns_that_are_drawn_in_turns_or_the_right_one_first() -> None:
    turns = [one for pair in zip(LEFT, RIGHT, strict=True) for one in pair]
    for page in ([TITLE, *turns], [*RIGHT, *LEFT, TITLE]):
        assert in_reading_order(page) == [TITLE, *LEFT, *RIGHT]


def test_a_line_that_runs_over_both_columns_divides_them() -> None:
    lower = [PlacedLine(one.text, one.x0, one.x1, one.y - 300, 10) for one in (*LEFT, *RIGHT)]
    middle = PlacedLine("A line that runs over both of the columns", 50, 500, 450, 10)
    page = [*RIGHT, *LEFT, middle, *lower[6:], *lower[:6]]
    assert in_reading_order(page) == [*LEFT, *RIGHT, middle, *lower]


def test_names_beside_speeches_are_no_columns() -> None:
    rows = [cells(600 - 12 * n, "ANN", "and what she says to them all") for n in range(6)]
    assert in_reading_order(rows) == rows
    assert with_rows(rows) == rows


def test_rows_of_a_table() -> None:
    rows = [cells(600 - 12 * n, "port", str(n), f"{n} m") for n in range(4)]
    assert [one.text for one in with_rows(rows)] == [f"port | {n} | {n} m" for n in range(4)]
    assert all(one.row for one in with_rows(rows))
    contents = [cells(600 - 12 * n, "A chapter", f"{n} 17") for n in range(3)]
    assert [one.row for one in with_rows([TITLE, *contents, TITLE])] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert with_rows(rows[:2]) == rows[:2]
