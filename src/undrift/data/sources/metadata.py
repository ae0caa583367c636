"""Files that say what images are, a row per image.

``metadata.jsonl`` and ``metadata.csv`` follow Hugging Face's imagefolder: ``file_name`` is relative
to the metadata's folder, ``text`` (or other columns, if they are named) is a caption or, in
jsonl, a list of captions, ``label`` (or another column) a class by name or number; columns of
numbers, and columns such as ``mask_file_name`` with the files of maps, are read where they are
named; other columns are left alone.

``dataset.json`` is StyleGAN's and EDM's: ``{"labels": [["00000/img00000000.png", 3], ...]}`` gives
every image its class, ``{"labels": null}`` says that there are none.
"""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from undrift.data.sources.source import DEFAULT, Columns, Ranges, as_number
from undrift.errors import DataError, one_line, shortened, shown
from undrift.files.reading import parse_json
from undrift.json_types import JsonObject
from undrift.names import normalised
from undrift.options.maps import COLUMN
from undrift.wording import plural

NAMES = ("metadata.jsonl", "metadata.csv")
LABEL_FILE = "dataset.json"
TABLES = (*NAMES, LABEL_FILE)
LARGEST_METADATA = 256 * 2**20
"""Bytes; a larger file is refused."""

LONGEST_CAPTION = 4096
"""Characters; the rest of a longer caption is cut off, and counted."""

LONGEST_LABEL = 255
"""Characters of the name of a class."""

FILE_NAME = "file_name"
LABEL = "label"
CAPTION = "text"
TEXT_FILE = ".txt"
"""What stands for text files beside the images in the place of a caption's column."""

REPAIR = "repair it, or take it out of the folder"


@dataclass(frozen=True, slots=True)
class Row:
    """One image's metadata; ``where`` is such as "line 3", ``cut`` counts captions cut short.

    ``maps`` are relative names, as ``file_name`` is.
    """

    where: str
    file_name: str
    label: str | None
    captions: tuple[str, ...] = ()
    cut: int = 0
    numbers: tuple[float, ...] = ()
    maps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """What such a file says.

    Attributes:
        rows: a row per image; None where it says that there are no labels.
        others: columns that are not read, as the first row has them.
        numeric: columns that hold a number in every row -> smallest and largest.
    """

    rows: list[Row] | None
    others: tuple[str, ...] = ()
    numeric: dict[str, tuple[float, float]] = field(default_factory=dict)


def is_table(name: str) -> bool:
    """Whether a file of this name says what images are."""
    return name.rpartition("/")[2] in TABLES


def read_table(data: bytes, where: str, requested: Columns = DEFAULT) -> Table | None:
    """Read a file by its name, which ``where`` ends with.

    Args:
        data: its content.
        where: its path, for messages.
        requested: which columns of ``metadata`` to read.

    Returns:
        None for a ``dataset.json`` without ``labels``, which is no file of this kind.

    Raises:
        DataError: not UTF-8, a broken row, no file_name, a column that is not there, labels for
            some rows only, or a row without one of the numbers.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error
    if where.endswith(LABEL_FILE):
        return label_table(text, where)
    parsed = list(jsonl_rows(text, where) if where.endswith(".jsonl") else csv_rows(text, where))
    column = requested.label or LABEL
    captions = [name for name in requested.captions or (CAPTION,) if name != TEXT_FILE]
    wanted = [
        *([requested.label] if requested.label else []),
        *(captions if requested.captions else []),
    ]
    map_columns = [request.name + COLUMN for request in requested.maps]
    wanted += [*requested.numbers, *map_columns]
    known = dict.fromkeys(name for _, values in parsed for name in values)
    for name in wanted if parsed else ():
        if name not in known:
            there = shortened(", ".join(known), 200)
            raise DataError(f"{where} has no column {name!r}: it has {there}")
    columns = list(parsed[0][1]) if parsed else []
    numeric = Ranges(name for name in columns if name not in (FILE_NAME, column))
    rows: list[Row] = []
    for line, values in parsed:
        row = metadata_row(line, values, where, column, captions)
        place = f"{where}, line {line}"
        numbers = [
            checked_number(values.get(name), f"{place}: {name}") for name in requested.numbers
        ]
        maps = [checked_file_name(values.get(name), f"{place}: {name}") for name in map_columns]
        rows.append(replace(row, numbers=tuple(numbers), maps=tuple(maps)))
        numeric.add(values)
    without = [row.where.removeprefix("line ") for row in rows if row.label is None]
    if without and len(without) < len(rows):
        lines = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        raise DataError(
            f"{where}: {len(without)} of {plural(len(rows), 'row')} have no {column} (lines "
            f"{lines})"
        )
    read = (FILE_NAME, column, *captions, *requested.numbers, *map_columns)
    others = tuple(name for name in columns if name not in read)
    return Table(rows, others, numeric.found)


def label_table(text: str, where: str) -> Table | None:
    """Read StyleGAN's ``dataset.json``."""
    content = parse_json(text, where, DataError, REPAIR)
    if not isinstance(content, dict) or "labels" not in content:
        return None
    pairs = content["labels"]
    if pairs is None:
        return Table(None)
    if not isinstance(pairs, list):
        raise DataError(f"{where}: labels must be pairs [name, class] or null, not {shown(pairs)}")
    rows: list[Row] = []
    for number, pair in enumerate(pairs, start=1):
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and pair[0]):
            raise DataError(f"{where}, label {number} is not a pair [name, class]")
        label = checked_label(pair[1], f"{where}, label {number}: the class")
        if label is None:
            raise DataError(f"{where}, label {number}: {shown(pair[0])} has no class")
        rows.append(Row(f"label {number}", relative(pair[0]), label))
    return Table(rows)


def jsonl_rows(text: str, where: str) -> Iterator[tuple[int, JsonObject]]:
    """Yield (line, object) for every line that is not blank."""
    # Not splitlines(): it also cuts at U+2028 and kin, which JSON strings may hold.
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        if not line.strip():
            continue
        values = parse_json(line, f"{where}, line {number}", DataError, REPAIR)
        if not isinstance(values, dict):
            raise DataError(f"{where}, line {number} is not a JSON object")
        yield number, values


def csv_rows(text: str, where: str) -> Iterator[tuple[int, JsonObject]]:
    """Yield (line, columns) for every row below the header; an empty cell counts as absent."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = list(reader.fieldnames or ())
        if len(set(names)) < len(names):
            raise DataError(
                f"{where} has two columns of one name: {shortened(', '.join(names), 200)}"
            )
        for values in reader:
            if None in values or None in values.values():
                raise DataError(
                    f"{where}, line {reader.line_num} does not fit the header's columns"
                )
            yield reader.line_num, {key: value or None for key, value in values.items()}
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num} is not CSV: {one_line(error)}") from error


def metadata_row(
    line: int, values: JsonObject, where: str, column: str, captions: Sequence[str]
) -> Row:
    """Check one row, its label in ``column`` and its captions in ``captions``.

    Raises:
        DataError: no file_name, a label that is neither text nor an integer, or a caption that is
            neither text nor a list of texts.
    """
    file_name = values.get(FILE_NAME)
    if not isinstance(file_name, str) or not file_name:
        raise DataError(f"{where}, line {line} has no file_name: every row needs one")
    value = values.get(column)
    if isinstance(value, bool) and column != LABEL:
        value = str(value).lower()
    label = checked_label(value, f"{where}, line {line}: {column}")
    texts: list[str] = []
    for name in captions:
        given = values.get(name)
        several = given if isinstance(given, list) else [] if given is None else [given]
        for text in several:
            if not isinstance(text, str):
                raise DataError(
                    f"{where}, line {line}: {name} must be text or a list of texts, not "
                    f"{shown(given)}"
                )
            texts.append(text)
    cleaned, cut = clean_captions(texts)
    return Row(f"line {line}", relative(file_name), label, cleaned, cut)


def relative(name: str) -> str:
    """Return a name with ``/`` between its parts, and none of them ``.`` or, but first, ``..``."""
    return posixpath.normpath(name.replace("\\", "/"))


def checked_label(value: object, where: str) -> str | None:
    """Return a label as the name of its class, None where it is absent or empty.

    Raises:
        DataError: neither text nor an integer, or too long; it starts with ``where``.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where} must be text or an integer, not {shown(value)}")
    label = clean_text(str(value))
    if len(label) > LONGEST_LABEL:
        raise DataError(f"{where} has {len(label):,} characters, at most {LONGEST_LABEL} are read")
    return label


def checked_number(value: object, where: str) -> float:
    """Return a number.

    Raises:
        DataError: it is absent, or no number; the message starts with ``where``.
    """
    if value is None or value == "":
        raise DataError(f"{where} is missing: give every image a number")
    number = as_number(value)
    if number is None:
        raise DataError(f"{where} is {shown(value)}, wanted a finite number")
    return number


def checked_file_name(value: object, where: str) -> str:
    """Return the name of a map's file.

    Raises:
        DataError: it is absent, no text, or leaves the folder; the message starts with ``where``.
    """
    if value is None or value == "":
        raise DataError(f"{where} is missing: give every image a map")
    if not isinstance(value, str):
        raise DataError(f"{where} is {shown(value)}, wanted the name of a file")
    name = relative(value)
    if name.startswith(("/", "../")):
        raise DataError(f"{where} is {shown(value)}, which leaves the folder")
    return name


def clean_captions(texts: Iterable[str]) -> tuple[tuple[str, ...], int]:
    """Return the captions that say anything, and how many of them were cut.

    They are valid NFC text of at most 4,096 characters; what comes twice is kept once.
    """
    cleaned = [clean_text(text).strip() for text in texts]
    kept = dict.fromkeys(text[:LONGEST_CAPTION] for text in cleaned if text)
    return tuple(kept), sum(len(text) > LONGEST_CAPTION for text in cleaned)


def clean_text(text: str) -> str:
    """Return ``text`` in NFC, with lone surrogates replaced and NUL characters dropped."""
    valid = text.encode("utf-8", "replace").decode().replace("\0", "")
    return normalised(valid)
