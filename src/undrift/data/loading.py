"""From the name of some data to an :class:`ImageSet`."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.advice import possible
from undrift.arguments import checked
from undrift.data.building import (
    Candidate,
    ImageFacts,
    Progress,
    Settings,
    build_files,
    build_rows,
    candidates,
    content_key,
    digest,
)
from undrift.data.cache import Decoded, cached
from undrift.data.channels import parse_colour
from undrift.data.geometry import Fit
from undrift.data.imageset import ImageSet
from undrift.data.maps import PairedMap, paired_maps, row_maps
from undrift.data.report import DataReport
from undrift.data.reporting import BAD_LIMIT, Found, make_report
from undrift.data.sources.opening import HUB, is_path, opened
from undrift.data.sources.source import (
    Columns,
    Entry,
    Files,
    Rows,
    SetAside,
    ordered_classes,
)
from undrift.data.splits import Splits, split_by_content
from undrift.errors import DataError, UsageError
from undrift.options.maps import MapRequest, map_words
from undrift.wording import plural

LARGEST_SIDE = 4096
GENERIC_NAMES = frozenset(("train", "training", "images", "imgs", "data", "dataset"))


@checked
def load(
    source: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    channels: int | None = None,
    background: str | tuple[int, int, int] | None = None,
    holdout: float = 0.05,
    bad_limit: float = BAD_LIMIT,
    label_column: str | None = None,
    caption_column: str | None = None,
    numbers: Sequence[str] = (),
    maps: Sequence[str] = (),
    progress: Progress | None = None,
) -> ImageSet:
    """Load, check, decode and split a data set; decoded images are cached on disk.

    Args:
        source: ``digits``, ``ring8``, ``grid25``, a folder (classes as subfolders, flat, with
            ``metadata.jsonl`` or ``.csv``, with StyleGAN's ``dataset.json``, with ``train`` and
            ``test`` subfolders, MNIST's idx files, or a saved Hugging Face data set), a zip of such
            folders, a ``.npz`` or ``.npy`` file, or ``hf:NAME``.
        size: side or (height, width) in pixels; None keeps the most common size where nearly all
            images have it, else takes a square no larger than most of them, 256 at most.
        fit: "crop" or "pad", for images of another shape.
        channels: 1, 3 or 4; None is 1 for grey data, 4 where most images are transparent, else 3.
        background: colour that transparency is composited on (white, ``#ffffff``); giving one
            means no alpha channel.
        holdout: share of the training images, in [0, 1), to hold out where the source has no
            splits of its own; see :func:`undrift.data.splits.split_by_content`.
        bad_limit: largest share of unusable images to accept, in [0, 1].
        label_column: column of ``metadata.jsonl``, ``metadata.csv`` or a Hugging Face data set that
            holds the labels; None is ``label``.
        caption_column: columns that hold captions, separated by commas; ``.txt`` is a text file
            beside each image, with a caption a line; None is ``text``, if it is there.
        numbers: columns of the metadata, or arrays of an ``.npz``, that hold a number for every
            image.
        maps: maps that come with every image, such as ``mask`` or ``mask:classes``: the column
            ``mask_file_name`` of the metadata, or an array ``mask`` of an ``.npz``. Those that are
            derived from images, such as ``edges``, are left aside: they need no loading.
        progress: called with (done, total) while images are decoded.

    Raises:
        DataError: missing, empty, unreadable, a folder in it that cannot be entered, or more than
            ``bad_limit`` of the images unusable.
        UsageError: an argument out of range, a column for data without columns, or a cache that
            cannot be written.
    """
    settings = checked_settings(size, fit, channels, background)
    if not 0 <= holdout < 1:
        raise UsageError(f"holdout must be at least 0 and below 1, not {holdout}")
    if not 0 <= bad_limit <= 1:
        raise UsageError(f"bad_limit must be from 0 to 1, not {bad_limit}")
    where = os.fspath(source)
    paired = paired_requests(maps)
    columns = Columns(label_column, caption_columns(caption_column), tuple(numbers), paired)
    with opened(source, columns) as found:
        if isinstance(found, Rows):
            loaded = load_rows(found, settings, progress, paired, where)
        else:
            loaded = load_files(found, settings, bad_limit, where, progress, paired)
    splits = split_by_content(loaded.decoded.hashes, loaded.given, holdout)
    fingerprint = fingerprint_of(loaded, splits, columns.numbers)
    report = make_report(
        Found(
            source=where,
            kind=found.kind,
            decoded=loaded.decoded,
            labels=loaded.labels,
            class_names=loaded.class_names,
            captions=loaded.captions,
            names=loaded.names,
            splits=splits,
            set_aside=loaded.set_aside,
            ignored={} if isinstance(found, Rows) else found.ignored,
            source_notes=(*found.notes, *(one.sentence for one in loaded.maps)),
            source_warnings=() if isinstance(found, Rows) else found.warnings,
            settings=asdict(settings)
            | {"holdout": holdout, "label_column": label_column, "caption_column": caption_column},
            fingerprint=fingerprint,
            numeric=ranges_of(loaded, columns.numbers)
            if isinstance(found, Rows)
            else found.numeric,
            numbers=columns.numbers,
            listed=not isinstance(found, Rows),
        )
    )
    made = image_set(where, loaded, splits, report, fingerprint)
    return replace(made, numbers=loaded.numbers, number_names=columns.numbers, maps=loaded.maps)


@dataclass(frozen=True)
class Loaded:
    """Decoded images and what the source said about those that are used."""

    decoded: Decoded[ImageFacts]
    names: tuple[str, ...]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...] | None
    given: Sequence[str | None]
    set_aside: tuple[SetAside, ...]
    numbers: NDArray[np.float64] | None
    maps: tuple[PairedMap, ...]


def load_rows(
    rows: Rows,
    settings: Settings,
    progress: Progress | None,
    maps: Sequence[MapRequest],
    where: str,
) -> Loaded:
    """Bring rows of pixels through the cache."""
    shape = np.array(rows.images.shape, np.int64).tobytes()
    key = content_key([shape, digest(np.ascontiguousarray(rows.images).tobytes())], settings)
    decoded = cached(key, lambda folder: build_rows(rows, settings, progress, folder), ImageFacts)
    count = len(rows.images)
    return Loaded(
        decoded=decoded,
        names=tuple(f"row {i}" for i in range(count)),
        labels=rows.labels,
        class_names=rows.class_names,
        captions=None,
        given=rows.splits or (None,) * count,
        set_aside=(),
        numbers=rows.numbers,
        maps=row_maps(maps, rows, decoded.images.shape[1:3], settings.fit, where),
    )


def load_files(
    files: Files,
    settings: Settings,
    bad_limit: float,
    where: str,
    progress: Progress | None,
    maps: Sequence[MapRequest],
) -> Loaded:
    """Bring encoded images through the cache; refuse where too many cannot be used."""
    set_aside = list(files.set_aside)
    readable: list[Candidate] = []
    for entry, result in zip(files.entries, candidates(files.entries), strict=True):
        if isinstance(result, Candidate):
            readable.append(result)
        else:
            set_aside.append(SetAside(entry.name, str(result)))
    if not readable:
        raise too_broken(set_aside, 0, bad_limit, where)
    key = content_key([item.digest for item in readable], settings)
    decoded = cached(
        key, lambda folder: build_files(readable, settings, progress, folder), ImageFacts
    )
    set_aside += [SetAside(readable[i].entry.name, reason) for i, reason in decoded.facts.rejected]
    set_aside.sort(key=lambda item: item.name)
    kept = [readable[i].entry for i in decoded.facts.kept or ()]
    if len(set_aside) > bad_limit * (len(set_aside) + len(kept)):
        raise too_broken(set_aside, len(kept), bad_limit, where)
    labels, class_names = labels_of(files, kept)
    captions = tuple(entry.captions for entry in kept)
    return Loaded(
        decoded=decoded,
        names=tuple(entry.name for entry in kept),
        labels=labels,
        class_names=class_names,
        captions=captions if any(captions) else None,
        given=[entry.split for entry in kept],
        set_aside=tuple(set_aside),
        numbers=np.array([entry.numbers for entry in kept], np.float64)
        if kept[0].numbers
        else None,
        maps=paired_maps(maps, kept, key, decoded.images.shape[1:3], settings.fit, where),
    )


def labels_of(
    files: Files, kept: Sequence[Entry]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Return the labels of the kept entries and the names of all classes, emptied ones included."""
    names = [entry.label for entry in files.entries if entry.label is not None]
    if not names:
        return None, ()
    class_names = files.class_names or ordered_classes(names)
    index = {name: i for i, name in enumerate(class_names)}
    return np.array([index[entry.label or ""] for entry in kept], np.int64), class_names


def too_broken(set_aside: Sequence[SetAside], kept: int, bad_limit: float, where: str) -> DataError:
    """The error for data with too many unusable images: the most frequent reasons, an example."""
    reasons: dict[str, list[str]] = {}
    for item in set_aside:
        reasons.setdefault(item.reason, []).append(item.name)
    ordered = sorted(reasons.items(), key=lambda item: -len(item[1]))
    shown = "; ".join(
        f"{names[0][:100]}{f' and {len(names) - 1:,} more' if names[1:] else ''}: {reason}"
        for reason, names in ordered[:3]
    )
    rest = sum(len(names) for _, names in ordered[3:])
    more = f"; and {rest:,} more" if rest else ""
    if not kept:
        counted = plural(len(set_aside), "image")
        return DataError(f"none of {counted} in {where!r} can be used ({shown}{more})")
    hint = possible("remove them or raise {bad_limit}", "remove them")
    return DataError(
        f"{len(set_aside):,} of {plural(len(set_aside) + kept, 'image')} in {where!r} cannot be "
        f"used, the limit is {100 * bad_limit:g}% ({shown}{more}): {hint}"
    )


def image_set(
    where: str, loaded: Loaded, splits: Splits, report: DataReport, fingerprint: str
) -> ImageSet:
    """Assemble the result."""
    return ImageSet(
        name=short_name(where),
        store=loaded.decoded.images,
        rows=np.arange(len(loaded.decoded.images)),
        labels=loaded.labels,
        class_names=loaded.class_names,
        captions=loaded.captions,
        names=loaded.names,
        splits=splits,
        report=report,
        fingerprint=fingerprint,
    )


def ranges_of(loaded: Loaded, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Name -> smallest and largest of the numbers that were read."""
    columns = () if loaded.numbers is None else loaded.numbers.T
    return {
        name: (float(column.min()), float(column.max()))
        for name, column in zip(names, columns, strict=True)
    }


def fingerprint_of(loaded: Loaded, splits: Splits, numbers: tuple[str, ...]) -> str:
    """Name the pixels, labels, captions, numbers, maps and splits in 32 hexadecimal digits."""
    # A single caption is hashed as itself, as when there was but one.
    captions = [texts[0] if len(texts) == 1 else texts or None for texts in loaded.captions or ()]
    described: list[Any] = [loaded.decoded.images.shape, loaded.class_names, captions or None]
    if numbers:
        described.append(numbers)
    if loaded.maps:
        described.append([[one.name, one.values] for one in loaded.maps])
    named = hashlib.blake2b(json.dumps(described).encode(), digest_size=16)
    arrays = [loaded.decoded.hashes, *(splits[name] for name in sorted(splits))]
    if loaded.labels is not None:
        arrays.append(loaded.labels)
    arrays += [one.hashes for one in loaded.maps]
    for array in arrays:
        named.update(str(array.shape).encode())
        named.update(np.ascontiguousarray(array).astype("<u8").data)
    if loaded.numbers is not None:
        named.update(np.ascontiguousarray(loaded.numbers).astype("<f8").data)
    return named.hexdigest()


def short_name(where: str) -> str:
    """Return a name for run folders: the data's own, after its parents' where it is general."""
    if not is_path(where):
        parts = [where.removeprefix(HUB)]
    else:
        path = Path(os.path.expanduser(where)).resolve()
        parts = [path.stem if path.is_file() else path.name]
        for parent in path.parents:
            if parts[0].lower() not in GENERIC_NAMES or not parent.name:
                break
            parts.insert(0, parent.name)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).strip("-.")
    return name[:60] or "data"


def paired_requests(words: Sequence[str]) -> tuple[MapRequest, ...]:
    """The maps among ``words`` that come with the images.

    Raises:
        UsageError: a word that is no map, or a name that comes twice.
    """
    requests = [MapRequest.parse(word) for word in map_words(words)]
    return tuple(request for request in requests if request.derived is None)


def caption_columns(option: str | None) -> tuple[str, ...] | None:
    """Return the columns in a list with commas.

    Raises:
        UsageError: a name is empty, or comes twice.
    """
    if option is None:
        return None
    names = tuple(name.strip() for name in option.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(f"caption_column {option!r}: wanted different names, separated by commas")
    return names


def checked_settings(
    size: int | tuple[int, int] | None,
    fit: Fit,
    channels: int | None,
    background: str | tuple[int, int, int] | None,
) -> Settings:
    """Check what decides the pixels.

    Raises:
        UsageError: a value that cannot be used.
    """
    pair = (size, size) if isinstance(size, int) else size
    if pair is not None and not all(1 <= side <= LARGEST_SIDE for side in pair):
        raise UsageError(f"size must be from 1 to {LARGEST_SIDE} pixels, not {size}")
    if channels not in (None, 1, 3, 4):
        raise UsageError(f"channels must be 1, 3 or 4, not {channels}")
    colour = parse_colour(background)
    if channels == 4 and colour is not None:
        raise UsageError("channels=4 keeps transparency, a background removes it: give one of them")
    return Settings(pair, fit, channels, colour)
