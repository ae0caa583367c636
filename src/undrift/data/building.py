"""Decode a source once into the cache: choose size and channels, convert, note what was found."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from PIL import Image

from undrift.data.channels import WHITE, Colour, choose_channels, narrowed, widened
from undrift.data.decode import (
    Header,
    RejectedError,
    common_scales,
    decode,
    examine,
    strict_warnings,
)
from undrift.data.geometry import MODES, Fit, default_size, fitted, inner
from undrift.data.parallel import in_order
from undrift.data.sources.source import Entry, Rows
from undrift.errors import DataError
from undrift.wording import dimensions, plural

Progress = Callable[[int, int], None]
VERSION = 2
"""Raise it whenever the same content and settings would give other pixels or facts."""

CHUNK_BYTES = 2**24
EVERY = 64
"""Images between two calls of the progress function."""


@dataclass(frozen=True)
class Settings:
    """What decides the pixels, beside the content. None leaves the choice to the data."""

    size: tuple[int, int] | None
    fit: Fit
    channels: int | None
    background: Colour | None


@dataclass(frozen=True)
class PixelFacts:
    """What the pixels hold; counts are of images.

    Attributes:
        colourful: whose colours differ anywhere.
        transparent: with transparency of their own.
        constant: of one colour.
        background: colour under transparency and in bars of padding; None: bars are black.
        histogram: count of each value, 256 for each channel.
    """

    colourful: int
    transparent: int
    constant: int
    background: Colour | None
    histogram: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ImageFacts(PixelFacts):
    """What decoding found; counts are of images.

    Attributes:
        kept: rows of the source's candidates that are used; None: all.
        rejected: rows of the others, each with the reason.
        sizes: by width and height before resizing.
        modes: by pixel format.
        animated: of which one frame is used.
        rotated: as their EXIF orientation says.
        profiled: converted to sRGB.
        remarks: by what is wrong beside the pixels.
        enlarged: smaller than the data set's size.
        padded: with bars.
        scales: pixel format -> values that became 0 and 255.
    """

    kept: tuple[int, ...] | None
    rejected: tuple[tuple[int, str], ...]
    sizes: dict[str, int]
    modes: dict[str, int]
    animated: int
    rotated: int
    profiled: int
    remarks: dict[str, int]
    enlarged: int
    padded: int
    scales: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Candidate:
    """An entry whose bytes could be read, and their digest."""

    entry: Entry
    digest: bytes

    def read(self) -> bytes:
        """Return the bytes that were digested, or reject what has changed since."""
        data = read_bytes(self.entry)
        if digest(data) != self.digest:
            raise RejectedError("changed while it was being read")
        return data


def candidates(entries: Sequence[Entry]) -> Iterator[Candidate | RejectedError]:
    """Read and digest every entry, in order; what cannot be read comes back as the reason."""

    def candidate(entry: Entry) -> Candidate | RejectedError:
        try:
            return Candidate(entry, digest(read_bytes(entry)))
        except RejectedError as rejected:
            return rejected

    return in_order(candidate, entries)


def read_bytes(entry: Entry) -> bytes:
    """Read an entry, its failures turned into reasons."""
    try:
        return entry.read()
    except OSError as error:
        raise RejectedError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise RejectedError(str(error)) from error


def digest(data: bytes) -> bytes:
    """Return what names this content."""
    return hashlib.blake2b(data, digest_size=16).digest()


def content_key(digests: Sequence[bytes], settings: Settings) -> str:
    """Return the cache key of these contents, in this order, under these settings."""
    named = hashlib.blake2b(json.dumps([VERSION, asdict(settings)]).encode(), digest_size=16)
    for item in digests:
        named.update(item)
    return named.hexdigest()


def build_files(
    items: Sequence[Candidate], settings: Settings, progress: Progress | None, folder: Path
) -> ImageFacts:
    """Decode encoded images into ``folder``; returns the facts."""
    with strict_warnings():
        headers = list(in_order(header_of, items))
        sound = [header for header in headers if isinstance(header, Header)]
        if not sound:
            raise none_usable(len(items), headers[0])
        size = settings.size or default_size(Counter(header.size for header in sound))
        width = storage(max(header.channels for header in sound), settings)
        scales = common_scales(sound)

        def pixels(i: int) -> Placed | RejectedError:
            header = headers[i]
            if isinstance(header, RejectedError):
                return header
            try:
                return placed(decode(items[i].read(), scales), size, settings.fit, width)
            except RejectedError as rejected:
                return rejected

        rejected: list[tuple[int, str]] = []
        kept: list[int] = []
        transparent = 0
        with (folder / "wide.raw").open("wb") as file:
            for i, result in enumerate(in_order(pixels, range(len(items)))):
                if isinstance(result, RejectedError):
                    rejected.append((i, str(result)))
                else:
                    file.write(result.pixels.tobytes())
                    transparent += result.transparent
                    kept.append(i)
                report_progress(progress, i + 1, len(items))
    if not kept:
        raise none_usable(len(items), RejectedError(rejected[0][1]))
    shape = (len(kept), *size, width)
    wide = np.memmap(folder / "wide.raw", np.uint8, "r", shape=shape)
    facts = write_images(folder, wide, settings, transparent)
    del wide
    (folder / "wide.raw").unlink()
    used = [header for i in kept if isinstance(header := headers[i], Header)]
    return ImageFacts(
        **vars(facts),
        kept=tuple(kept),
        rejected=tuple(rejected),
        sizes=counted(dimensions(*header.size) for header in used),
        modes=counted(header.mode for header in used),
        animated=sum(header.animated for header in used),
        rotated=sum(header.rotated for header in used),
        profiled=sum(header.profiled for header in used),
        remarks=counted(remark for header in used for remark in header.remarks),
        enlarged=sum(enlarged(header.size, size, settings.fit) for header in used),
        padded=sum(barred(header.size, size, settings.fit) for header in used),
        scales={mode: (scale.low, scale.high) for mode, scale in scales.items()},
    )


def build_rows(
    rows: Rows, settings: Settings, progress: Progress | None, folder: Path
) -> ImageFacts:
    """Bring rows of pixels to size and channels in ``folder``; returns the facts."""
    count, height, width, channels = rows.images.shape
    size = settings.size or default_size({(height, width): count})
    wide = rows.images
    transparent = 0
    if size != (height, width) or channels == 2:
        wide = np.empty((count, *size, storage(channels, settings)), np.uint8)
        for i, row in enumerate(rows.images):
            made = placed(row, size, settings.fit, wide.shape[-1])
            wide[i], transparent = made.pixels, transparent + made.transparent
            report_progress(progress, i + 1, count)
    elif channels == 4:
        transparent = sum(int((c[..., 3] < 255).any((1, 2)).sum()) for _, c in chunks(wide))
    return ImageFacts(
        **vars(write_images(folder, wide, settings, transparent)),
        kept=None,
        rejected=(),
        sizes={dimensions(height, width): count},
        modes={MODES[channels]: count},
        animated=0,
        rotated=0,
        profiled=0,
        remarks={},
        enlarged=count * enlarged((height, width), size, settings.fit),
        padded=count * barred((height, width), size, settings.fit),
        scales={},
    )


@dataclass(frozen=True)
class Placed:
    """One image at the data set's size.

    Attributes:
        pixels: uint8 (H, W, C); the bars of padding are transparent where C is 4, else black.
        transparent: whether it has transparency of its own, beside such bars.
    """

    pixels: NDArray[np.uint8]
    transparent: bool


def storage(channels: int, settings: Settings) -> int:
    """Return the channels to store before the choice: 1, 3, or 4 where anything may be transparent.

    Bars of padding are, where they show a background or alpha is requested.
    """
    bars = settings.fit == "pad" and (settings.background is not None or settings.channels == 4)
    return 4 if bars or channels == 2 else channels


def placed(pixels: NDArray[np.uint8], size: tuple[int, int], fit: Fit, channels: int) -> Placed:
    """Bring one image, uint8 (H, W, C), to size and to ``channels``."""
    made = widened(fitted(pixels, size, fit), channels)
    own = pixels.shape[-1] in (2, 4)
    if fit == "crop":
        return Placed(made, own and bool((made[..., 3] < 255).any()))
    if channels == 4 and not own and pixels.shape[:2] != size:
        rows, columns = inner(pixels.shape[:2], size)
        alpha = np.zeros(size, np.uint8)
        alpha[rows, columns] = 255
        made[..., 3] = alpha
    return Placed(made, own and bool((pixels[..., -1] < 255).any()))


def write_images(
    folder: Path, wide: NDArray[np.uint8], settings: Settings, transparent: int
) -> PixelFacts:
    """Choose the channels, write ``images.npy`` and ``hashes.npy``, and count what the pixels hold.

    Args:
        folder: where they go.
        wide: uint8 (N, H, W, C) with as many channels as any image may need.
        settings: the wishes.
        transparent: images with transparency of their own.
    """
    colourful = 0
    for _, chunk in chunks(wide):
        if chunk.shape[-1] >= 3:
            first = chunk[..., :1]
            colourful += int((chunk[..., 1:3] != first).any(axis=(1, 2, 3)).sum())
    channels = settings.channels or choose_channels(
        len(wide), colourful, transparent, settings.background
    )
    background = settings.background or WHITE
    hashes = np.empty(len(wide), np.uint64)
    histogram = np.zeros((channels, 256), np.int64)
    constant = 0
    # Written, not mapped: on a full disk a write raises an error, a map kills the process.
    with (folder / "images.npy").open("wb") as file:
        shape = (*wide.shape[:3], channels)
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for start, chunk in chunks(wide):
            made = widened(narrowed(chunk, channels, background), channels)
            file.write(np.ascontiguousarray(made).data)
            hashes[start : start + len(made)] = [pixel_hash(image) for image in made]
            histogram += histogram_of(made)
            flat = made.reshape(len(made), -1, channels)
            constant += int((flat == flat[:, :1]).all(axis=(1, 2)).sum())
    np.save(folder / "hashes.npy", hashes)
    return PixelFacts(
        colourful=colourful,
        transparent=transparent,
        constant=constant,
        # Stored transparent, bars show the background; else they are black.
        background=background if wide.shape[-1] == 4 and channels < 4 else None,
        histogram=tuple(map(tuple, histogram.tolist())),
    )


def chunks(images: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Cut (N, H, W, C) into runs of about 16 MiB, each with its first row."""
    step = max(1, CHUNK_BYTES // images[0].size)
    for start in range(0, len(images), step):
        yield start, images[start : start + step]


def histogram_of(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the values of (N, H, W, C) per channel: int64 (C, 256)."""
    count, height, width, channels = images.shape
    flat = images.reshape(count * height, width, channels)
    # Pillow counts bytes several times faster than bincount, which widens them to int64 first.
    image = Image.fromarray(flat[..., 0] if channels == 1 else flat, MODES[channels])
    return np.array(image.histogram(), np.int64).reshape(channels, 256)


def pixel_hash(image: NDArray[np.uint8]) -> int:
    """Return 64 bits that are equal for equal pixels."""
    return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "little")


def header_of(item: Candidate) -> Header | RejectedError:
    """Examine one candidate; its failure comes back as the reason."""
    try:
        return examine(item.read())
    except RejectedError as rejected:
        return rejected


def enlarged(have: tuple[int, int], size: tuple[int, int], fit: Fit) -> bool:
    """Whether reaching ``size`` invents pixels."""
    ratios = size[0] / have[0], size[1] / have[1]
    return (max(ratios) if fit == "crop" else min(ratios)) > 1


def barred(have: tuple[int, int], size: tuple[int, int], fit: Fit) -> bool:
    """Whether bars are put around the image."""
    return fit == "pad" and inner(have, size) != inner(size, size)


def counted(items: Iterable[str] | Mapping[str, int]) -> dict[str, int]:
    """Count items, or take their counts: the most frequent first."""
    return dict(sorted(Counter(items).items(), key=lambda item: (-item[1], item[0])))


def report_progress(progress: Progress | None, done: int, total: int) -> None:
    """Report progress now and then."""
    if progress is not None and (done % EVERY == 0 or done == total):
        progress(done, total)


def none_usable(count: int, first: Header | RejectedError) -> DataError:
    """The error for data of which nothing is left."""
    return DataError(f"none of {plural(count, 'image')} can be used; the first: {first}")
