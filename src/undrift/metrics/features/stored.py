"""Features of a set of images on disk, so that a reference is not pushed through a network twice.

An entry is found by the space and a key that the caller gives to the set. It holds the hash of the
images themselves: features of other images under the same key are never used.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.metrics.features import cache
from undrift.metrics.features.extractor import FeatureExtractor

_log = logging.getLogger("undrift")
_BLOCK = 1024


def cached_features(
    extractor: FeatureExtractor,
    images: NDArray[np.uint8],
    *,
    directory: Path | None = None,
    key: str,
) -> NDArray[np.floating]:
    """Features (n, D) of ``images`` (n, H, W, C) uint8, from disk or computed and stored.

    Args:
        extractor: the space.
        images: what the features are of; their content is hashed at every call.
        directory: default the ``features`` folder of ``$UNDRIFT_CACHE``.
        key: what the set is called, such as a data fingerprint with split and count.

    Returns:
        Exactly what ``extractor.features(images)`` gives. A damaged entry, or one of other images,
        is named in a warning and replaced.
    """
    folder = cache.features_directory() if directory is None else directory
    entry = _entry(extractor.name, key)
    content = _fingerprint(images)
    stored = cache.read(folder, entry)
    if stored is not None:
        # the fingerprint lies in the same file as the features: what is checked is what is used
        found = bytes(stored["images"].numpy()).decode() if "images" in stored else ""
        rows = stored.get("features")
        if (
            found == content
            and rows is not None
            and rows.shape == (len(images), extractor.dimension)
        ):
            return rows.numpy()
        _log.warning(
            "cached features %s are of other images (%s, wanted %s): making them again",
            folder / f"{entry}.json",
            found[:8] or "unknown",
            content[:8],
        )
    features = np.ascontiguousarray(extractor.features(images))
    tensors = {
        "features": torch.from_numpy(features),
        "images": torch.tensor(list(content.encode()), dtype=torch.uint8),
    }
    notes = {"space": extractor.name, "of": key, "images": content, "count": len(images)}
    cache.write(folder, entry, tensors, notes)
    return features


def _entry(space: str, key: str) -> str:
    """File name: readable where it can be, unique by its hash."""
    digest = hashlib.sha256(f"{space}\x1f{key}".encode()).hexdigest()[:24]
    return f"features-{re.sub(r'[^A-Za-z0-9-]+', '-', space)[:48]}-{digest}"


def _fingerprint(images: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(f"{images.dtype}|{images.shape}|".encode())
    for start in range(0, len(images), _BLOCK):
        digest.update(np.ascontiguousarray(images[start : start + _BLOCK]).tobytes())
    return digest.hexdigest()
