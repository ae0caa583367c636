"""Mean, standard deviation and bounds of an image's results, as ``undrift edit`` writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from undrift.errors import UsageError
from undrift.wording import plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from undrift.data import ImageSet
    from undrift.pipelines import SampleFolder, Samples
    from undrift.pipelines.numbers import GivenNumbers

SPREAD = ("spread.npz", "spread.png")

CALIBRATION = 100
"""Held-out images that bounds are calibrated on, if there are, and more where these are too few.

Bounds of 90 % from n images hold 90 % to 90 % + 200 % / (n + 1) of the pixels on average, if no two
images miss the same share (Angelopoulos et al. 2024, theorem 2).
"""


def _each(edited: Samples, variants: int) -> NDArray[np.uint8]:
    """The results of each image, (N, variants, H, W, C)."""
    return edited.images.reshape(-1, variants, *edited.images.shape[1:])


def check_interval(variants: int, maps: Sequence[str]) -> None:
    """Refuse what bounds cannot be made of.

    Raises:
        UsageError: for one variant of each image, or maps.
    """
    if maps:
        raise UsageError(
            "--interval: bounds are calibrated on other images, whose maps --map does not "
            "give; leave one of them out"
        )
    if variants < 2:
        raise UsageError("--interval: bounds need 2 variants or more of each image")


def refuse_several(
    labels: Sequence[str], prompts: Sequence[str], numbers: GivenNumbers, classes: tuple[str, ...]
) -> None:
    """Refuse conditions that take turns over the images, since bounds are calibrated on others.

    Raises:
        UsageError: for more than one label, prompt or value of a number.
    """
    from undrift.pipelines.labels import parse_labels

    named = parse_labels(labels, classes)
    listed = len(named) if isinstance(named, list) else 0
    values = [len(one) for one in (numbers or {}).values() if isinstance(one, Sequence)]
    counts = {
        "labels": len(classes) if named == "all" else listed,
        "prompt": len(prompts),
        "numbers": max(values, default=0),
    }
    for name, count in counts.items():
        if count > 1:
            raise UsageError(
                f"--{name}: {count} values take turns over the images; bounds of --interval are "
                "calibrated on other images, so give one"
            )


def random_rows(count: int, seed: int) -> NDArray[np.int64]:
    """All rows of ``count`` images in random order: first those of the results, then the others."""
    import torch

    from undrift.randomness import generator

    return torch.randperm(count, generator=generator(seed, "images of bounds")).numpy()


def calibrated(
    part: ImageSet,
    others: NDArray[np.int64],
    coverage: float,
    variants: int,
    restore: Callable[[NDArray[np.int64]], Samples],
    where: NDArray[np.bool_] | None = None,
) -> tuple[float, NDArray[np.int64]]:
    """The scale of bounds, from held-out images, measured and restored as those of the results.

    Args:
        part: the held-out images.
        others: rows of it without results, in random order.
        coverage: share of pixels that the bounds are to hold.
        variants: of each image.
        restore: rows of ``part`` -> their results.
        where: (H, W), the pixels that count; None: all.

    Returns:
        The scale, and the rows that were used.

    Raises:
        UsageError: for too few images.
    """
    from undrift.metrics.conformal import fewest_images, scale_of

    fewest = fewest_images(coverage)
    rows = others[: max(CALIBRATION, fewest)]
    if len(rows) < fewest:
        raise UsageError(
            f"--interval {coverage:g}: {plural(len(rows), 'other held-out image')}, wanted at "
            f"least {fewest}; give less by -n, or another DATA"
        )
    counts = None if where is None else where[..., None]
    return scale_of(part.take(rows), _each(restore(rows), variants), coverage, counts), rows


def write_spread(
    folder: SampleFolder,
    edited: Samples,
    variants: int,
    scale: float | None,
    record: Mapping[str, NDArray[Any]],
    where: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Write `SPREAD`: the numbers, and a picture with a row for each image.

    Args:
        folder: where to.
        edited: results, those of an image side by side.
        variants: of each image, at least 2.
        scale: from `calibrated`; None writes no bounds.
        record: more arrays to write.
        where: (H, W), the pixels that have bounds; None: all. Others are known.

    Returns:
        The bounds, in pixel values, (N, H, W, C); None without.
    """
    import numpy as np

    from undrift.files.arrays import npz_bytes
    from undrift.metrics.conformal import moments, widths_of
    from undrift.pipelines import image_grid
    from undrift.pipelines.png import encode_png

    mean, std = moments(_each(edited, variants))
    arrays = {"mean": mean, "std": std}
    shown = [mean, np.clip(std / max(float(std.max()), 1e-9) * 255, 0, 255)]
    bounds = None
    if scale is not None:
        half = scale * widths_of(std)
        if where is not None:
            half = np.where(where[..., None], half, 0.0)
        bounds = np.clip(mean - half, 0, 255), np.clip(mean + half, 0, 255)
        arrays |= {"low": bounds[0], "high": bounds[1]}
        shown += list(bounds)
    small = {name: one.astype(np.float32) for name, one in arrays.items()}
    folder.write(SPREAD[0], npz_bytes({**small, **record}))
    rows = np.stack(shown, 1).round().astype(np.uint8)
    picture = image_grid(rows.reshape(-1, *mean.shape[1:]), columns=len(shown))
    folder.write(SPREAD[1], encode_png(picture, {}))
    return bounds


def covered(
    truth: NDArray[np.uint8],
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
    coverage: float,
    where: NDArray[np.bool_] | None = None,
) -> str:
    """How many pixels of images that are known lie within their bounds, in words.

    Args:
        truth: uint8 (N, H, W, C).
        bounds: of `write_spread`.
        coverage: that they were made for.
        where: (H, W), the pixels that count; None: all.
    """
    low, high = bounds
    if where is not None:
        truth, low, high = truth[:, where], low[:, where], high[:, where]
    share = ((truth >= low) & (truth <= high)).mean()
    wide = (high - low).mean()
    return (
        f"bounds of {coverage:.0%}: {share:.1%} of the pixels of {plural(len(truth), 'image')} lie "
        f"within, {wide:.1f} of 255 apart on average"
    )
