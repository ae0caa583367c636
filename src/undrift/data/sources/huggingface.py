"""Hugging Face ``datasets``: a folder that ``save_to_disk`` wrote, or ``hf:NAME`` from the hub.

Only ``hf:NAME`` touches the network, and only because it was asked to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from undrift.data.sources.layout import SPLITS
from undrift.data.sources.metadata import clean_caption
from undrift.data.sources.source import LARGEST_FILE, Entry, Files
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


def huggingface(source: str | Path, label_column: str | None = None) -> Files:
    """Read a saved folder (a Path) or a data set of the hub (its name).

    Args:
        source: the data set.
        label_column: column of the labels; None is the first of ``label``, ``labels`` and
            ``fine_label`` that is there.

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
        return read_parts(datasets, source, label_column)
    except DataError:
        raise
    # The package raises its own, its server's and its file formats' exceptions alike.
    except Exception as error:
        raise DataError(f"{source} cannot be loaded by datasets: {one_line(error)}") from error


def read_parts(datasets: Any, source: str | Path, label_column: str | None = None) -> Files:
    """Load all splits and list their rows."""
    if isinstance(source, Path):
        loaded: Any = datasets.load_from_disk(str(source))
    else:
        loaded = datasets.load_dataset(source)
    parts: dict[str, Any] = dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
    entries: list[Entry] = []
    names: tuple[str, ...] | None = None
    for part, rows in parts.items():
        found, names = part_entries(datasets, part, rows, str(source), label_column)
        entries += found
    return Files(kind="Hugging Face", entries=tuple(entries), class_names=names)


def part_entries(
    datasets: Any, part: str, rows: Any, where: str, label_column: str | None = None
) -> tuple[list[Entry], tuple[str, ...] | None]:
    """Return the entries of one split, and the class names its label column declares."""
    features: dict[str, Any] = dict(rows.features)
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    if not images:
        raise DataError(f"{where}, {part} has no column of images: it has {', '.join(features)}")
    if label_column is not None and label_column not in features:
        raise DataError(
            f"{where}, {part} has no column {label_column!r}: it has {', '.join(features)}"
        )
    label = label_column or next((name for name in LABEL_COLUMNS if name in features), None)
    caption = next((name for name in CAPTION_COLUMNS if name in features), None)
    declared: list[str] | None = getattr(features.get(label or ""), "names", None)
    # Bytes, not decoded images: decoding is ours, so that every source gives the same pixels.
    encoded = rows.cast_column(images[0], datasets.Image(decode=False))
    labels: list[Any] = list(rows[label]) if label else [None] * len(rows)
    captions: list[Any] = list(rows[caption]) if caption else [None] * len(rows)
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
            caption=clean_caption(captions[row] if isinstance(captions[row], str) else None)[0],
            # One lone part is all there is: the holdout rule splits it.
            split=split if part.lower() in SPLITS else None,
        )
        for row in range(len(rows))
    ]
    return entries, None if declared is None else tuple(declared)


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
