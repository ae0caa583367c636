"""Stacked digits: three random grey images as the channels of one, of K^3 classes that are known.

A model of stacked MNIST has 1,000 modes, which a classifier of digits counts channel by channel
(`undrift.metrics.stacked`). Here each channel's class is drawn first, all K alike frequent, then an
image of it, so that every triple is alike frequent and uniform shares are the truth. Drawing images
alike, as is usual, leaves MNIST's own imbalance in: 0.0043 nats from uniform at any number of
images. Stack a training split to train on, and a test split to compare with.

Image i depends on the digits, the seed and i alone.

Reference: Metz et al., "Unrolled generative adversarial networks" (2017), section 3.3.1.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import write_array, write_array_header_1_0
from numpy.typing import NDArray

from undrift.data.imageset import ImageSet
from undrift.data.sources.source import Rows
from undrift.errors import UsageError
from undrift.files.durable import beside
from undrift.randomness import generator
from undrift.wording import plural

CHANNELS = 3
CHUNK = 4096
"""Images that are drawn, and in memory, at once."""


def stacked(digits: ImageSet, count: int, seed: int = 0) -> Rows:
    """Stack ``count`` triples in memory: 2,352 bytes each of MNIST.

    Args:
        digits: grey images of K >= 2 classes; one split, so that nothing leaks between splits.
        count: triples, at least 1.
        seed: names them.

    Returns:
        Images (count, H, W, 3), of class 100 r + 10 g + b where there are ten digits, named
        ``r-g-b``.

    Raises:
        UsageError: images that are not grey, without labels, or with a class that has none.
    """
    _check(digits, count)
    images = np.empty((count, *digits.shape[:2], CHANNELS), np.uint8)
    labels = np.empty(count, np.int64)
    for start, part, of in _chunks(digits, count, seed):
        images[start : start + len(part)], labels[start : start + len(part)] = part, of
    return Rows("stacked digits", images, labels, class_names(digits))


def check_digits(digits: ImageSet) -> None:
    """Refuse what cannot be stacked.

    Raises:
        UsageError: images that are not grey, or without two classes.
    """
    _check(digits, 1)


def write_stacked(path: Path, digits: ImageSet, count: int, seed: int = 0) -> None:
    """Write the same to ``path`` as an ``.npz`` for DATA, a chunk at a time, by rename.

    Raises:
        UsageError: see `stacked`; or a ``path`` that cannot be written.
    """
    _check(digits, count)
    partial = beside(path)
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            labels = np.empty(count, np.int64)
            shape = (count, *digits.shape[:2], CHANNELS)
            with archive.open(zipfile.ZipInfo("images.npy"), "w", force_zip64=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                write_array_header_1_0(file, header)
                for start, part, of in _chunks(digits, count, seed):
                    file.write(part.data)
                    labels[start : start + len(part)] = of
            for name, array in (("labels", labels), ("class_names", class_names(digits))):
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                    write_array(file, np.asarray(array), allow_pickle=False)
        os.replace(partial, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def class_names(digits: ImageSet) -> tuple[str, ...]:
    """Names of the K^3 triples, in the order of their labels."""
    names = digits.class_names
    return tuple(f"{r}-{g}-{b}" for r in names for g in names for b in names)


def _chunks(
    digits: ImageSet, count: int, seed: int
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.int64]]]:
    """First row, images and labels of one chunk after the other."""
    labels = digits.labels if digits.labels is not None else np.zeros(0, np.int64)
    classes = len(digits.class_names)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels, minlength=classes)
    first = np.cumsum(sizes) - sizes
    place = classes ** np.arange(CHANNELS - 1, -1, -1)
    for start in range(0, count, CHUNK):
        rows = min(CHUNK, count - start)
        draws = generator(seed, "stacked digits", start // CHUNK)
        # a whole chunk is drawn, whatever is needed of it, so that no image depends on the count
        of = torch.randint(classes, (CHUNK, CHANNELS), generator=draws).numpy()[:rows]
        share = torch.rand(CHUNK, CHANNELS, generator=draws, dtype=torch.float64).numpy()[:rows]
        chosen = order[first[of] + (share * sizes[of]).astype(np.int64)]
        layers = [digits.take(chosen[:, channel])[..., 0] for channel in range(CHANNELS)]
        yield start, np.stack(layers, axis=-1), of @ place


def _check(digits: ImageSet, count: int) -> None:
    if digits.shape[2] != 1 or digits.labels is None or len(digits.class_names) < 2:
        raise UsageError(
            f"stacking {digits.name}: wanted grey images of two classes or more, as MNIST's are"
        )
    if count < 1:
        raise UsageError(f"stacking {plural(count, 'image')}: wanted at least 1")
    if empty := [name for name, number in digits.class_counts().items() if number == 0]:
        raise UsageError(f"stacking {digits.name}: class {empty[0]!r} has no images")
