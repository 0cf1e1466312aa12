"""Rows of Markdown tables, whole or as they come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def row(cells: Iterable[str]) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cells) + " |"


def head(cells: Sequence[str]) -> str:
    """Return the two lines that a table begins with."""
    return row(cells) + "\n|" + "---|" * len(cells)


def table(titles: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a whole table."""
    return "\n".join([head(titles), *map(row, rows)])
