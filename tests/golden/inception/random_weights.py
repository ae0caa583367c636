"""One random weight file and a few images, the same bits wherever numpy runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights that keep activations near 1 through all layers, each drawn by its own name."""
    found = {}
    for name, shape in shapes.items():
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        draws = np.random.Generator(np.random.PCG64(seed))
        if name.endswith("num_batches_tracked"):
            found[name] = torch.zeros((), dtype=torch.int64)
            continue
        if name.endswith(("running_var", "bn.weight")):
            values = draws.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            # uniform, whose bits need no library function
            values = draws.uniform(-1, 1, shape) * np.sqrt(6 / np.prod(shape[1:]))
        else:
            values = draws.uniform(-0.2, 0.2, shape)
        found[name] = torch.from_numpy(values.astype(np.float32))
    return found


def images() -> list[np.ndarray]:
    """Images (n, H, W, 3) uint8 of three sizes: below, above and at other aspects than 299."""
    draws = np.random.Generator(np.random.PCG64(7))
    rough = draws.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    ramp = np.linspace(0, 255, 40 * 57 * 3).reshape(1, 40, 57, 3).astype(np.uint8)
    large = np.repeat(
        np.repeat(draws.integers(0, 256, (1, 33, 31, 3), dtype=np.uint8), 10, 1), 11, 2
    )
    return [rough, ramp, large]
