"""``metadata.jsonl`` and ``metadata.csv``: a row per image with ``file_name``, ``text``, ``label``.

The convention is Hugging Face's imagefolder: ``file_name`` is relative to the metadata's folder,
``text`` is a caption, ``label`` a class by name or number; other columns are left alone.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import unicodedata
from dataclasses import dataclass
from typing import Any

from undrift.errors import DataError

NAMES = ("metadata.jsonl", "metadata.csv")
LONGEST_CAPTION = 4096
"""Characters; the rest of a longer caption is cut off, and counted."""


@dataclass(frozen=True)
class Row:
    """One image's metadata; ``line`` counts from 1 in the file."""

    line: int
    file_name: str
    label: str | None
    caption: str | None
    cut: bool


def read_metadata(data: bytes, where: str) -> list[Row]:
    """Read the rows of ``metadata.jsonl`` or ``metadata.csv``, whichever ``where`` ends with.

    Raises:
        DataError: not UTF-8, a broken row, no file_name, a name twice, or labels for some only.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error
    parsed = jsonl_rows(text, where) if where.endswith(".jsonl") else csv_rows(text, where)
    rows = [metadata_row(line, values, where) for line, values in parsed]
    seen: dict[str, int] = {}
    for row in rows:
        if row.file_name in seen:
            raise DataError(
                f"{where}: lines {seen[row.file_name]} and {row.line} both name {row.file_name!r}"
            )
        seen[row.file_name] = row.line
    without = [row.line for row in rows if row.label is None]
    if without and len(without) < len(rows):
        lines = ", ".join(str(line) for line in without[:5]) + (", ..." if len(without) > 5 else "")
        raise DataError(
            f"{where}: {len(without)} of {len(rows)} rows have no label (lines {lines})"
        )
    return rows


def jsonl_rows(text: str, where: str) -> list[tuple[int, dict[str, Any]]]:
    """Return (line, object) for every line that is not blank."""
    rows: list[tuple[int, dict[str, Any]]] = []
    # Not splitlines(): it also cuts at U+2028 and kin, which JSON strings may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}, line {number} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise DataError(f"{where}, line {number} is not a JSON object")
        rows.append((number, values))
    return rows


def csv_rows(text: str, where: str) -> list[tuple[int, dict[str, Any]]]:
    """Return (line, columns) for every row below the header; an empty cell counts as absent."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        for values in reader:
            if None in values or None in values.values():
                raise DataError(
                    f"{where}, line {reader.line_num} does not fit the header's columns"
                )
            rows.append((reader.line_num, {key: value or None for key, value in values.items()}))
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num} is not CSV: {error}") from error
    return rows


def metadata_row(line: int, values: dict[str, Any], where: str) -> Row:
    """Check one row.

    Raises:
        DataError: no file_name, or a label that is neither text nor an integer.
    """
    file_name = values.get("file_name")
    if not isinstance(file_name, str) or not file_name:
        raise DataError(f"{where}, line {line} has no file_name: every row needs one")
    label = values.get("label")
    if isinstance(label, bool) or not isinstance(label, str | int | None):
        raise DataError(f"{where}, line {line}: label must be text or an integer, not {label!r}")
    text = values.get("text")
    if text is not None and not isinstance(text, str):
        raise DataError(f"{where}, line {line}: text must be text, not {text!r}")
    caption, cut = clean_caption(text)
    name = posixpath.normpath(file_name.replace("\\", "/"))
    return Row(line, name, None if label is None else clean_text(str(label)), caption, cut)


def clean_caption(text: str | None) -> tuple[str | None, bool]:
    """Return the caption as valid NFC text of at most 4,096 characters, and whether it was cut."""
    if text is None:
        return None, False
    cleaned = clean_text(text).strip()
    return cleaned[:LONGEST_CAPTION] or None, len(cleaned) > LONGEST_CAPTION


def clean_text(text: str) -> str:
    """Return ``text`` in NFC, with lone surrogates replaced and NUL characters dropped."""
    valid = text.encode("utf-8", "replace").decode().replace("\0", "")
    return unicodedata.normalize("NFC", valid)
