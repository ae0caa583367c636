"""The samples that come nearest to a training image, each above that image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from undrift.metrics import Comparison
from undrift.pipelines.grid import image_grid


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
    buffer = io.BytesIO()
    image_grid(np.concatenate([samples, training]), columns=len(pairs)).save(buffer, format="PNG")
    return buffer.getvalue()
