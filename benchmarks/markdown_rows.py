"""Rows of Markdown, for the pages that benchmarks write."""

from __future__ import annotations

from collections.abc import Iterable


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table."""
    heads = list(heads)
    return [_line(heads), _line(["---"] * len(heads)), *map(_line, rows)]


def _line(words: Iterable[str]) -> str:
    return "| " + " | ".join(words) + " |"
