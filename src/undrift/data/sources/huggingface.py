"""Hugging Face ``datasets``: a folder that ``save_to_disk`` wrote, or ``hf:NAME`` from the hub.

Only ``hf:NAME`` uses the network, since it names data that are not on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from undrift.data.sources.layout import SPLITS
from undrift.data.sources.metadata import checked_number, clean_captions
from undrift.data.sources.source import DEFAULT, LARGEST_FILE, Columns, Entry, Files, MapFile
from undrift.errors import DataError, UsageError, one_line
from undrift.files.reading import regular_bytes
from undrift.wording import plural

LABEL_COLUMNS = ("label", "labels", "fine_label")
CAPTION_COLUMNS = ("text", "caption")


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote this folder."""
    if (folder / "dataset_dict.json").is_file():
        return True
    return (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()


def huggingface(source: str | Path, columns: Columns = DEFAULT) -> Files:
    """Read a saved folder (a Path) or a data set of the hub (its name).

    Args:
        source: the data set.
        columns: which columns to read; not named, labels are in the first of ``label``, ``labels``
            and ``fine_label`` that is there, captions in the first of ``text`` and ``caption``.

    Raises:
        UsageError: the ``datasets`` package is not installed.
        DataError: it cannot be loaded, or has no column of images.
    """
    try:
        # An extra: nobody pays for it who does not use it.
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(
            f"{source} needs the datasets package: pip install 'undrift[data]'"
        ) from error
    try:
        return read_parts(datasets, source, columns)
    except DataError:
        raise
    # The package raises its own, its server's and its file formats' exceptions alike.
    except Exception as error:
        raise DataError(f"{source} cannot be loaded by datasets: {one_line(error)}") from error


def read_parts(datasets: Any, source: str | Path, columns: Columns) -> Files:
    """Load all splits and list their rows."""
    if isinstance(source, Path):
        loaded: Any = datasets.load_from_disk(str(source))
    else:
        loaded = datasets.load_dataset(source)
    parts: dict[str, Any] = dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
    entries: list[Entry] = []
    names: tuple[str, ...] | None = None
    for part, rows in parts.items():
        found, names = part_entries(datasets, part, rows, str(source), columns)
        entries += found
    return Files(kind="Hugging Face", entries=tuple(entries), class_names=names)


def part_entries(
    datasets: Any, part: str, rows: Any, where: str, columns: Columns
) -> tuple[list[Entry], tuple[str, ...] | None]:
    """Return the entries of one split, and the class names its label column declares."""
    features: dict[str, Any] = dict(rows.features)
    maps = [request.name for request in columns.maps]
    pictures = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    images = [name for name in pictures if name not in maps]
    if not images:
        raise DataError(f"{where}, {part} has no column of images: it has {', '.join(features)}")
    labelling = [columns.label] if columns.label else []
    for column in (*labelling, *(columns.captions or ()), *columns.numbers, *maps):
        if column not in features:
            raise DataError(
                f"{where}, {part} has no column {column!r}: it has {', '.join(features)}"
            )
    for name in maps:
        if name not in pictures:
            raise DataError(f"{where}, {part}: column {name!r} holds no images, and is no map")
    label = columns.label or next((name for name in LABEL_COLUMNS if name in features), None)
    present = [name for name in CAPTION_COLUMNS if name in features]
    captions = [list(rows[name]) for name in columns.captions or present[:1]]
    numbers = [
        [
            checked_number(value, f"{where}, {part}, row {row}: {name}")
            for row, value in enumerate(rows[name])
        ]
        for name in columns.numbers
    ]
    declared: list[str] | None = getattr(features.get(label or ""), "names", None)
    # Bytes, not decoded images: decoding is ours, so that every source gives the same pixels.
    encoded = rows.cast_column(images[0], datasets.Image(decode=False))
    encoded_maps = {name: rows.cast_column(name, datasets.Image(decode=False)) for name in maps}
    labels: list[Any] = list(rows[label]) if label else [None] * len(rows)
    missing = [row for row, value in enumerate(labels) if label and (value is None or value == -1)]
    if missing:
        raise DataError(
            f"{where}, {part}: {plural(len(missing), 'row')} have no label (row {missing[0]})"
        )
    split = SPLITS.get(part.lower(), "train")
    entries = [
        Entry(
            name=f"{part}/{row}",
            read=row_reader(encoded, images[0], row),
            label=None if labels[row] is None else class_name(labels[row], declared),
            captions=clean_captions(texts([column[row] for column in captions]))[0],
            # One lone part is all there is: the holdout rule splits it.
            split=split if part.lower() in SPLITS else None,
            numbers=tuple(column[row] for column in numbers),
            maps=tuple(
                MapFile(f"{part}/{row}: {name}", row_reader(rows_of_map, name, row))
                for name, rows_of_map in encoded_maps.items()
            ),
        )
        for row in range(len(rows))
    ]
    return entries, None if declared is None else tuple(declared)


def texts(values: list[Any]) -> list[str]:
    """Return the texts among some values, and in the lists among them."""
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in flat if isinstance(item, str)]


def class_name(value: Any, declared: list[str] | None) -> str:
    """Return the label's name."""
    return str(value) if declared is None else declared[int(value)]


def row_reader(rows: Any, column: str, row: int) -> Callable[[], bytes]:
    """Return a function that reads one row's encoded image."""

    def read() -> bytes:
        value = rows[row][column]
        if value is None:
            raise ValueError("no image in this row")
        if value["bytes"] is not None:
            return bytes(value["bytes"])
        return regular_bytes(value["path"], LARGEST_FILE)

    return read
