"""The report's pictures: samples, grids over time, nearest pairs, denoising, training images.

Each function returns what its section of the template shows; where there is nothing to show, its
lists are empty and its pictures None.
"""

from __future__ import annotations

import math

import numpy as np

from undrift.data.scatter import on_plane
from undrift.pipelines.diffusion.one_step import NOISE
from undrift.report.material import ReportMaterial
from undrift.report.pictures import (
    Picture,
    as_drawn,
    by_class,
    gap_of,
    strip,
    thumbnail,
)
from undrift.report.plane import cloud, coverage_sentence
from undrift.report.record import Grid, RunRecord
from undrift.wording import plural

_WIDTH = 868  # CSS pixels of the content column
_MOST_CLASSES = 24
_MOST_STOPS = 10
_MOST_FRAMES = 11
_CLOUD, _FRAME = 523, 131  # CSS pixels of toy 2-D data, all at once and at one noise level


def sample_gallery(record: RunRecord, material: ReportMaterial) -> dict[str, object]:
    """Rows of samples by class, one sheet without classes, the last grid without samples."""
    images, labels = material.samples, material.labels
    how = f" {material.sampler}." if material.sampler else ""
    if images is None or len(images) == 0:
        grids = [grid for grid in record.grids if grid.weights != "raw"] or list(record.grids)
        if not grids:
            return {"note": "", "classes": [], "sheet": None}
        note = f"The last grid drawn in training, after {plural(grids[-1].step, 'step')}."
        sheet = thumbnail(grids[-1].path, "Sample grid", side=_WIDTH - 200)
        return {"note": note, "classes": [], "sheet": sheet}
    if on_plane(images.shape[1:]):
        sheet = cloud(images, "Samples over training data", side=_CLOUD, behind=material.examples)
        note = f"{plural(len(images), 'sample')}, over training data in grey.{how}"
        note += coverage_sentence(record.data.text("source"), images)
        return {"note": note, "classes": [], "sheet": sheet}
    tile = _tile(images.shape[1:3])
    if labels is None or len(np.unique(labels)) < 2:
        columns = max(1, int(_WIDTH // (tile + gap_of(images.shape[1:3], tile))))
        shown = images[: columns * 8]
        note = f"The first {len(shown)} of {plural(len(images), 'sample')}, none picked.{how}"
        sheet = strip(shown, "Samples", tile=tile, columns=columns)
        return {"note": note, "classes": [], "sheet": sheet}
    tile = min(tile, 72)
    # what the longest name and the gaps leave: 7.5 CSS pixels a letter, names wrap at 150
    names = 16 + min(150, max(7.5 * len(name) for name in material.class_names or ("00",)))
    per_class = max(4, int((_WIDTH - names) // (tile + gap_of(images.shape[1:3], tile))))
    rows = by_class(images, labels, material.class_names, per_class=per_class, most=_MOST_CLASSES)
    classes = [(name, strip(part, f"Samples of {name}", tile=tile)) for name, part in rows]
    total = len(np.unique(labels))
    which = (
        "class" if total <= _MOST_CLASSES else f"of {_MOST_CLASSES} among {plural(total, 'class')}"
    )
    note = f"The first samples of each {which}, out of {len(images):,}; none picked.{how}"
    return {"note": note, "classes": classes, "sheet": None}


def _tile(size: tuple[int, ...]) -> int:
    """CSS pixels per image: small images get a whole factor, large ones are shown smaller."""
    largest = max(size)
    return 48 if largest <= 16 else 56 if largest <= 32 else 96


def timeline(record: RunRecord) -> dict[str, object]:
    """Thumbnails of at most ten sample grids, by step, those of averaged weights above."""
    steps = sorted({grid.step for grid in record.grids})
    if not steps:
        return {"note": "", "stops": []}
    chosen = _evenly(steps, _MOST_STOPS)
    by_place: dict[tuple[int, str], Grid] = {(g.step, g.weights): g for g in record.grids}
    kinds = [w for w in ("ema", "raw", "") if any(g.weights == w for g in record.grids)]
    kinds += sorted({g.weights for g in record.grids} - set(kinds))
    side = 196 if len(chosen) <= 4 else 158
    stops = [
        {
            "step": f"{step:,}",
            "images": [
                thumbnail(by_place[step, w].path, f"Samples at step {step}, {w} weights", side=side)
                for w in kinds
                if (step, w) in by_place
            ],
        }
        for step in chosen
    ]
    note = "Same seeds and classes every time."
    if "ema" in kinds and "raw" in kinds:
        note += " Above with averaged weights (EMA), below with raw ones."
    if len(chosen) < len(steps):
        note += f" {len(chosen)} of {len(steps)} grids; all are in samples/."
    return {"note": note, "stops": stops}


def _evenly(steps: list[int], most: int) -> list[int]:
    """At most ``most`` of ``steps``, first and last among them, dense early: change is fast."""
    if len(steps) <= most:
        return steps
    places = np.unique(np.geomspace(1, len(steps), most).round().astype(int)) - 1
    spare = [p for p in np.linspace(0, len(steps) - 1, 4 * most).round().astype(int).tolist()]
    chosen = set(places.tolist())
    for place in reversed(spare):  # geometric places collide at the start: fill up from the end
        if len(chosen) >= most:
            break
        chosen.add(int(place))
    return [steps[place] for place in sorted(chosen)]


def one_step_sheet(record: RunRecord) -> dict[str, object]:
    """The last picture of held-out images denoised in one step, and how to read it."""
    if not record.one_steps:
        return {"sheet": None, "note": ""}
    latest = record.one_steps[-1]
    levels = ", ".join(f"{noise:g}" for noise in NOISE)
    note = (
        f"Held-out images, after {plural(latest.step, 'step')}. Each row: the image, then what the "
        f"network makes of it in one step from noise of {levels} standard deviations of the data; "
        "magnified, of large images the middle. Texture and edges should be those of the image. "
        "Blurred: they are not learned yet. Speckled, or with noise left in: samples will have "
        "static in their surfaces, whatever the mean of the loss says."
    )
    label = f"Held-out images denoised in one step, after step {latest.step}"
    return {"sheet": as_drawn(latest.path, label), "note": note}


def nearest_pairs(material: ReportMaterial) -> list[dict[str, object]]:
    """Samples and their nearest training images: the closest ones, then random ones."""
    if material.queries is None or material.neighbours is None or material.distances is None:
        return []
    tile = min(_tile(material.queries.shape[1:3]) + 8, 84)
    pairs = [
        {
            "sample": strip(material.queries[i : i + 1], "Sample", tile=tile),
            "neighbour": strip(material.neighbours[i : i + 1], "Nearest training image", tile=tile),
            "distance": f"{material.distances[i]:.1f}",
        }
        for i in range(len(material.queries))
    ]
    half, row = (len(pairs) + 1) // 2, max(4, _WIDTH // (tile + 14))
    searched = f" of {material.searched}" if material.searched else ""
    groups = [
        {
            "title": f"The closest{searched} to their nearest training image",
            "pairs": pairs[:half][:row],
        },
        {"title": "Drawn at random", "pairs": pairs[half:][:row]},
    ]
    return [group for group in groups if group["pairs"]]


def denoising_frames(material: ReportMaterial) -> list[dict[str, object]]:
    """Views of one sample's trajectory from noise, each with its noise over signal."""
    if material.strip is None or len(material.strip) == 0:
        return []
    count = len(material.strip)
    plane = on_plane(material.strip.shape[-3:])
    tile = max(32, min(_tile(material.strip.shape[1:3]) + 16, _WIDTH // _MOST_FRAMES - 14))
    levels = list(material.strip_levels) + [math.nan] * (count - len(material.strip_levels))
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int))
    return [
        {
            "image": cloud(material.strip[i], f"Denoising, frame {i + 1}", side=_FRAME)
            if plane
            else strip(material.strip[i : i + 1], f"Denoising, frame {i + 1}", tile=tile),
            "level": _level(levels[i]),
        }
        for i in chosen.tolist()
    ]


def _level(noise: float) -> str:
    if math.isnan(noise):
        return ""
    return "∞" if math.isinf(noise) else "0" if noise == 0 else f"{noise:.2g}"


def contact_sheet(material: ReportMaterial) -> dict[str, object]:
    """Training images on one sheet, and its title."""
    examples = material.examples
    if examples is None or len(examples) == 0:
        return {"sheet": None, "title": ""}
    if on_plane(examples.shape[1:]):
        title = f"{plural(len(examples), 'training point')}, drawn at random"
        return {"sheet": cloud(examples, "Training data", side=_CLOUD), "title": title}
    tile = min(_tile(examples.shape[1:3]), 64)
    columns = max(1, int(_WIDTH // (tile + gap_of(examples.shape[1:3], tile))))
    sheet: Picture = strip(examples, "Training images", tile=tile, columns=columns)
    balanced = ", balanced over classes" if material.example_labels is not None else ""
    title = f"{plural(len(examples), 'training image')}, drawn at random{balanced}"
    return {"sheet": sheet, "title": title}
