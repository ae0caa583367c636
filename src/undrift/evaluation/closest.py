"""The samples that come nearest to a training image, each above that image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.metrics import Comparison
from undrift.pipelines.grid import image_grid
from undrift.pipelines.png import encode_png


def closest_picture(comparison: Comparison, found: dict[str, Any]) -> bytes | None:
    """A PNG of two rows, samples above their nearest training images, the closest pair first.

    Args:
        comparison: what was measured.
        found: its result; ``memorization`` names the pairs.

    Returns:
        None where memorization was not measured.
    """
    pairs = found["metrics"].get("memorization", {}).get("closest", [])
    if not pairs:
        return None
    samples = comparison.samples.images[[pair["sample"] for pair in pairs]]
    training = comparison.seen.images[[pair["training"] for pair in pairs]]
    return encode_png(image_grid(np.concatenate([samples, training]), columns=len(pairs)), {})


def number_closest(found: dict[str, Any], rows: NDArray[np.int64] | None) -> None:
    """Give the samples of the closest pairs the numbers that they have where they come from.

    Args:
        found: a result; its pairs are changed in place.
        rows: (n,) number of each sample there; None leaves the pairs as they are.
    """
    if rows is None:
        return
    for pair in found["metrics"].get("memorization", {}).get("closest", []):
        pair["sample"] = int(rows[pair["sample"]])
