"""Mean, standard deviation and bounds of an image's results, as ``undrift edit`` writes them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from undrift.wording import plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from undrift.pipelines import SampleFolder, Samples

SPREAD = ("spread.npz", "spread.png")

LEAST = 1.0
"""Pixel values that are added to a standard deviation: of few results it may be 0 by chance."""


def moments(edited: Samples, variants: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation, in pixel values, (N, H, W, C), of each image's results."""
    each = edited.images.astype("float64").reshape(-1, variants, *edited.images.shape[1:])
    return each.mean(1), each.std(1, ddof=1)


def scale_of(truth: NDArray[np.uint8], edited: Samples, variants: int, coverage: float) -> float:
    """How many widths the bounds are from the mean, from images that are known.

    Raises:
        UsageError: for too few images.
    """
    import numpy as np

    from undrift.metrics.conformal import conformal_scale

    mean, std = moments(edited, variants)
    return conformal_scale(np.abs(truth - mean), std + LEAST, coverage)


def write_spread(
    folder: SampleFolder,
    edited: Samples,
    variants: int,
    scale: float | None,
    record: Mapping[str, NDArray[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Write `SPREAD`: the numbers, and a picture with a row for each image.

    Args:
        folder: where to.
        edited: results, those of an image side by side.
        variants: of each image, at least 2.
        scale: from `scale_of`; None writes no bounds.
        record: more arrays to write.

    Returns:
        The bounds, in pixel values, (N, H, W, C); None without.
    """
    import numpy as np

    from undrift.pipelines import image_grid
    from undrift.pipelines.png import encode_png

    mean, std = moments(edited, variants)
    arrays = {"mean": mean, "std": std}
    shown = [mean, np.clip(std / max(float(std.max()), 1e-9) * 255, 0, 255)]
    bounds = None
    if scale is not None:
        half = scale * (std + LEAST)
        bounds = np.clip(mean - half, 0, 255), np.clip(mean + half, 0, 255)
        arrays |= {"low": bounds[0], "high": bounds[1]}
        shown += list(bounds)
    buffer = io.BytesIO()
    small: dict[str, Any] = {name: one.astype(np.float32) for name, one in arrays.items()} | dict(
        record
    )
    np.savez(buffer, **small)
    folder.write(SPREAD[0], buffer.getvalue())
    rows = np.stack(shown, 1).round().astype(np.uint8)
    picture = image_grid(rows.reshape(-1, *mean.shape[1:]), columns=len(shown))
    folder.write(SPREAD[1], encode_png(picture, {}))
    return bounds


def covered(
    truth: NDArray[np.uint8],
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
    coverage: float,
) -> str:
    """How many pixels of images that are known lie within their bounds, in words."""
    share = ((truth >= bounds[0]) & (truth <= bounds[1])).mean()
    wide = (bounds[1] - bounds[0]).mean()
    return (
        f"bounds of {coverage:.0%}: {share:.1%} of the pixels of {plural(len(truth), 'image')} lie "
        f"within, {wide:.1f} of 255 apart on average"
    )
