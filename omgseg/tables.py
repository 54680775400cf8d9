"""Text tables for terminals and Markdown. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def markdown_table(
    header: Sequence[object], rows: Sequence[Sequence[object]], right: Collection[int] = ()
) -> str:
    """A Markdown table whose columns are padded to equal width, so that it is readable as plain text.

    Args:
        header: names of the columns.
        rows: each as long as the header; None is an empty cell, other values are shown with ``str``.
        right: indices of the columns that are aligned to the right (numbers).

    Returns:
        Lines joined by newlines, without one at the end.

    Raises:
        ValueError: a row is longer or shorter than the header.
    """
    cells = [[_cell(value).replace("|", "\\|") for value in row] for row in (header, *rows)]
    widths = [max(3, width) for width in _widths(cells)]
    rule = [
        "-" * (width - 1) + ":" if column in right else "-" * width for column, width in enumerate(widths)
    ]
    return "\n".join(f"| {' | '.join(_padded(row, widths, right))} |" for row in (cells[0], rule, *cells[1:]))


def text_table(rows: Sequence[Sequence[object]], right: Collection[int] = (), gap: str = "  ") -> str:
    """A table for terminals: aligned columns without lines.

    Args:
        rows: all of one length, the header among them if there is one; None is an empty cell.
        right: indices of the columns that are aligned to the right.
        gap: text between two columns.

    Returns:
        Lines joined by newlines, without spaces at their ends; empty for no rows.

    Raises:
        ValueError: rows differ in length.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = _widths(cells)
    return "\n".join(gap.join(_padded(row, widths, right)).rstrip() for row in cells)


def _cell(value: object) -> str:
    return "" if value is None else " ".join(str(value).split("\n"))


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    for row in cells:
        if len(row) != len(cells[0]):
            raise ValueError(
                f"a row of the table has {len(row)} cells, the first one {len(cells[0])}: {list(row)}"
            )
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _padded(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> list[str]:
    return [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
