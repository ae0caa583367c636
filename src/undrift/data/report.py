"""What was found in the data: the content of ``data.json`` and of ``undrift inspect``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from undrift.data.captions import CaptionCounts
from undrift.data.sources.source import SetAside
from undrift.json_types import JsonObject


@dataclass(frozen=True)
class Duplicates:
    """Images with equal pixels.

    Attributes:
        extra: images beyond the first of their kind.
        groups: kinds that occur more than once.
        straddling: held-out images whose equal is trained on; only a source's own splits can do it.
        examples: names of the first groups.
    """

    extra: int
    groups: int
    straddling: int
    examples: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class DataReport:
    """What was found in the data, and what was done about it.

    Attributes:
        source: DATA as it was given.
        kind: kind of source.
        count: images that are used.
        size: their (height, width).
        channels: 1 grey, 3 RGB, 4 RGB and alpha.
        sizes: "WIDTHxHEIGHT" as found -> images, the most frequent first.
        modes: kind of pixels as found (Pillow's names) -> images.
        value_levels: distinct values of the colour channels; 256 for photos, 17 for digits.
        mean: per channel, in 0..255, over all images.
        std: per channel, in 0..255, over all images.
        histogram: per channel, how often each of the 256 values occurs.
        classes: class -> images in all splits, in stored order; empty without labels.
        captioned: images with a caption.
        captions: counts of the captions; None without any.
        numeric: columns that hold a number for every image -> smallest and largest.
        numbers: those of them that were requested.
        splits: "train", "validation", "test" -> images.
        duplicates: images with equal pixels.
        set_aside: images not used, and why.
        ignored: files that were no candidates, all together.
        ignored_kinds: their kinds -> how many: extensions, system folders, "hidden", "not listed
            images" (that metadata leaves out).
        colourful: images whose colours differ from grey anywhere.
        transparent: images with a pixel that is not opaque.
        constant: images of one single colour.
        animated: images with several frames, of which the first is used.
        rotated: images turned as their EXIF orientation says.
        profiled: images converted to sRGB from their colour profile.
        remarks: what is wrong beside the pixels, such as damaged metadata -> images.
        enlarged: images smaller than ``size``.
        padded: images with bars around them.
        background: colour under transparency and in bars; None where alpha is kept or there is
            none, and bars are black.
        scales: (low, high) that became 0 and 255, of "float" beyond 0..1 and of "32-bit" images.
        settings: size, fit, channels, background, holdout, label_column and caption_column as
            requested; None means chosen here.
        notes: choices made from the data, one line each.
        warnings: what is likely to hurt, one line each.
        fingerprint: names pixels, labels, captions and splits.
        names: of the images that are used, of files; () of more than 5,000.
    """

    source: str
    kind: str
    count: int
    size: tuple[int, int]
    channels: int
    sizes: dict[str, int]
    modes: dict[str, int]
    value_levels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    histogram: tuple[tuple[int, ...], ...]
    classes: dict[str, int]
    captioned: int
    splits: dict[str, int]
    duplicates: Duplicates
    set_aside: tuple[SetAside, ...]
    ignored: int
    ignored_kinds: dict[str, int]
    colourful: int
    transparent: int
    constant: int
    animated: int
    rotated: int
    profiled: int
    remarks: dict[str, int]
    enlarged: int
    padded: int
    background: tuple[int, int, int] | None
    scales: dict[str, tuple[float, float]]
    settings: JsonObject
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    fingerprint: str
    names: tuple[str, ...] = ()
    captions: CaptionCounts | None = None
    numeric: dict[str, tuple[float, float]] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the report as plain dicts, lists, numbers and text."""
        return asdict(self)
