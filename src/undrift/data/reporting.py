"""Make the :class:`DataReport`: count, compare, and say what is likely to hurt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from undrift.data.building import ImageFacts, counted
from undrift.data.cache import Decoded
from undrift.data.captions import count_captions
from undrift.data.report import DataReport, Duplicates
from undrift.data.scatter import on_plane
from undrift.data.sources.source import SetAside
from undrift.data.splits import Splits, straddling
from undrift.json_types import JsonObject
from undrift.wording import dimensions, plural

FEW_IMAGES = 200
FEW_OF_A_CLASS = 10
FEW_LEVELS = 64
DARK = 64
BAD_LIMIT = 0.05
"""Default of the share of unusable images that training accepts."""

EXAMPLES = 10
SIZES = 3


MOST_NAMES = 5000
"""Images up to which the report holds their names."""


@dataclass(frozen=True)
class Found:
    """Everything that the report is made from."""

    source: str
    kind: str
    decoded: Decoded[ImageFacts]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...] | None
    names: tuple[str, ...]
    splits: Splits
    set_aside: tuple[SetAside, ...]
    ignored: dict[str, int]
    source_notes: tuple[str, ...]
    source_warnings: tuple[str, ...]
    settings: JsonObject
    fingerprint: str
    listed: bool
    numeric: dict[str, tuple[float, float]]
    numbers: tuple[str, ...]


def make_report(found: Found) -> DataReport:
    """Return the report on ``found``."""
    facts = found.decoded.facts
    count, height, width, channels = found.decoded.images.shape
    histogram = np.array(facts.histogram, np.int64)
    mean, std = moments(histogram)
    colours = histogram[:3] if channels == 4 else histogram
    background = facts.background
    report = DataReport(
        source=found.source,
        kind=found.kind,
        count=count,
        size=(height, width),
        channels=channels,
        sizes=facts.sizes,
        modes=facts.modes,
        value_levels=int((colours.sum(axis=0) > 0).sum()),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        histogram=facts.histogram,
        classes=class_counts(found),
        captioned=sum(bool(texts) for texts in found.captions or ()),
        captions=count_captions(found.captions),
        numeric=found.numeric,
        numbers=found.numbers,
        splits={name: len(rows) for name, rows in found.splits.items()},
        duplicates=Duplicates(0, 0, 0, ())
        if on_plane(found.decoded.images.shape[1:])
        else find_duplicates(found.decoded.hashes, found.names, found.splits),
        set_aside=found.set_aside,
        ignored=sum(found.ignored.values()),
        ignored_kinds=counted(found.ignored),
        colourful=facts.colourful,
        transparent=facts.transparent,
        constant=facts.constant,
        animated=facts.animated,
        rotated=facts.rotated,
        profiled=facts.profiled,
        remarks=facts.remarks,
        enlarged=facts.enlarged,
        padded=facts.padded,
        background=background
        if background is not None and (facts.transparent or facts.padded)
        else None,
        scales={
            {"F": "float", "I": "32-bit"}[mode]: (low, high)
            for mode, (low, high) in facts.scales.items()
        },
        settings=found.settings,
        notes=(),
        warnings=(),
        fingerprint=found.fingerprint,
        names=found.names if found.listed and count <= MOST_NAMES else (),
    )
    return replace(
        report,
        notes=(*found.source_notes, *notes(report)),
        warnings=(*found.source_warnings, *warnings(report)),
    )


def notes(report: DataReport) -> list[str]:
    """Say which choices were made from the data."""
    lines: list[str] = []
    height, width = report.size
    if on_plane((height, width, report.channels)):
        lines.append("toy 2-D points: equal ones are chance, and not counted as duplicates")
    shape = dimensions(height, width)
    kept = report.sizes.get(shape, 0)
    if kept < report.count:
        how = "cropped" if report.settings["fit"] == "crop" else "padded"
        chosen = "" if report.settings["size"] else ", a size chosen from the data"
        others = [f"{n:,} of {size}" for size, n in report.sizes.items() if size != shape]
        found = ", ".join(others[:SIZES]) + (", and others" if len(others) > SIZES else "")
        lines.append(
            f"{plural(report.count - kept, 'image')} resized and {how} to {shape}{chosen}: {found}"
        )
    if report.padded:
        lines.append(f"{plural(report.padded, 'image')} padded with bars of {bars(report)}")
    if report.colourful == 0 and report.channels == 1 and not grey_modes(report):
        lines.append("all colours are grey: one channel is used")
    if report.background is not None and report.transparent:
        lines.append(
            f"{plural(report.transparent, 'transparent image')} composited on "
            f"{hexadecimal(report.background)}"
        )
    for kind, (low, high) in report.scales.items():
        lines.append(f"{kind} images scaled so that {low:g} becomes 0 and {high:g} becomes 255")
    if report.animated:
        lines.append(f"{plural(report.animated, 'animated image')}: the first frame is used")
    if report.rotated:
        lines.append(f"{plural(report.rotated, 'image')} turned upright by their EXIF orientation")
    if report.profiled:
        lines.append(f"{plural(report.profiled, 'image')} converted from a colour profile to sRGB")
    lines += [f"{plural(n, 'image')} with {remark}" for remark, n in report.remarks.items()]
    return lines + ([] if report.captions is None else report.captions.notes)


def bars(report: DataReport) -> str:
    """Say what bars of padding are filled with."""
    if report.channels == 4:
        return "full transparency"
    return "black" if report.background is None else hexadecimal(report.background)


def hexadecimal(colour: tuple[int, int, int]) -> str:
    """Write a colour as ``#rrggbb``."""
    return "#" + bytes(colour).hex()


def limit_for(report: DataReport) -> float | None:
    """The ``bad_limit`` in hundredths that training on the data takes; None is the usual one."""
    share = len(report.set_aside) / (report.count + len(report.set_aside))
    return math.ceil(100 * share) / 100 if share > BAD_LIMIT else None


def warnings(report: DataReport) -> list[str]:
    """Say what is likely to hurt."""
    lines = scarcity(report)
    share = len(report.set_aside) / (report.count + len(report.set_aside))
    if (limit := limit_for(report)) is not None:
        lines.append(
            f"{share:.0%} of the images cannot be used: remove these; with more than "
            f"{BAD_LIMIT:.0%} of them it takes undrift train --bad-limit {limit:g}"
        )
    if report.value_levels < FEW_LEVELS:
        lines.append(
            f"only {report.value_levels} distinct values: the images are coarsely quantised"
        )
    brightest = max(
        value for value in range(256) if any(row[value] for row in report.histogram[:3])
    )
    if brightest < DARK:
        lines.append(
            f"no value above {brightest} of 255: 16-bit images that use few bits need scaling"
        )
    if report.constant and not on_plane((*report.size, report.channels)):
        lines.append(f"{plural(report.constant, 'image')} of one single colour")
    if report.duplicates.extra:
        copies = plural(report.duplicates.extra, "copy")
        lines.append(f"{copies} of other images")
    if report.duplicates.straddling:
        lines.append(
            f"{plural(report.duplicates.straddling, 'held-out image')} also trained on: "
            "the source's own splits leak"
        )
    if report.enlarged:
        lines.append(f"{plural(report.enlarged, 'image')} enlarged to {dimensions(*report.size)}")
    return lines


def scarcity(report: DataReport) -> list[str]:
    """Say of which images there are too few to train on them."""
    lines: list[str] = []
    train = report.splits["train"]
    if train < FEW_IMAGES:
        lines.append(
            f"only {plural(train, 'image')} to train on: below {FEW_IMAGES} a model copies them"
        )
    small = {name: n for name, n in report.classes.items() if n < FEW_OF_A_CLASS}
    if small:
        shown = ", ".join(f"{name} {n}" for name, n in list(small.items())[:5])
        lines.append(
            f"{plural(len(small), 'class')} with fewer than {FEW_OF_A_CLASS} images: {shown}"
        )
    return lines


def grey_modes(report: DataReport) -> bool:
    """Whether the files themselves are grey."""
    return all(mode in ("1", "L", "LA", "I", "F") or mode[:2] == "I;" for mode in report.modes)


def class_counts(found: Found) -> dict[str, int]:
    """Count the images of each class, empty classes included."""
    if found.labels is None:
        return {}
    counts = np.bincount(found.labels, minlength=len(found.class_names))
    return dict(zip(found.class_names, counts.tolist(), strict=True))


def find_duplicates(
    hashes: NDArray[np.uint64], names: tuple[str, ...], splits: Splits
) -> Duplicates:
    """Find images with equal pixels."""
    _, group, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts > 1)
    examples = [
        tuple(names[int(i)] for i in np.flatnonzero(group == which)[:EXAMPLES])
        for which in several[:EXAMPLES]
    ]
    return Duplicates(
        extra=int((counts[several] - 1).sum()),
        groups=len(several),
        straddling=straddling(hashes, splits),
        examples=tuple(examples),
    )


def moments(histogram: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation per channel from counts (C, 256), in 0..255."""
    values = np.arange(256)
    total = histogram.sum(axis=1)
    mean = (histogram * values).sum(axis=1) / total
    variance = (histogram * (values - mean[:, None]) ** 2).sum(axis=1) / total
    return mean, np.sqrt(variance)
