r"""Toy 2-D data as images of 1 x 2 pixels, on which GANs drop modes.

K Gaussians about the modes m_k, all alike frequent, and the map between the plane and images:

    x = m_k + s e,   e ~ N(0, I)                                                                 (1)
    v = round(255 (x + b) / 2b)      first coordinate in the left pixel, second in the right     (2)
    x = 2b v / 255 - b                                                                           (3)

(2) takes the box [-b, b]^2 onto 0..255. It reaches 5 s beyond the outermost modes, and what lies
further out, less than one coordinate in a million, is moved to its edge. Rounding adds a variance
of 1/12 level^2 to s^2, which is 8.0 level^2; with an s much smaller, bytes could not show it.

========  =======================================  =====  =====  ============  ===================
name      modes                                    s      b      s in levels   next mode, in s
========  =======================================  =====  =====  ============  ===================
ring8     8 on the circle of radius 2              0.05   2.25   2.8           31
grid25    5 x 5, spacing 2                         0.1    4.5    2.8           20
========  =======================================  =====  =====  ============  ===================

Every split has equally many points of each mode. They come by Box and Muller's transform from raw
bits of a counter keyed by the name, so that they are the same on every machine and version.

References: Metz et al., "Unrolled generative adversarial networks" (2017), for the ring (there with
s of 0.02); Srivastava et al., "VEEGAN: reducing mode collapse in GANs using implicit variational
learning" (2017), for the grid (0.05).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undrift.data.sources.source import Rows

COUNTS = {"train": 10_000, "validation": 2_000, "test": 2_000}
"""Points of each split; each number is a multiple of both numbers of modes."""


@dataclass(frozen=True, eq=False)
class PointMixture:
    """A mixture of Gaussians of the plane, and its map to images.

    Attributes:
        name: what DATA is called.
        modes: (K, 2) float64, m_k.
        std: s.
        half: b, half the side of the box.
    """

    name: str
    modes: NDArray[np.float64]
    std: float
    half: float

    def images_of(self, points: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Equation (2): points (n, 2) to uint8 (n, 1, 2, 1)."""
        levels = np.round(255 * (points + self.half) / (2 * self.half))  # (2)
        return np.clip(levels, 0, 255).astype(np.uint8).reshape(-1, 1, 2, 1)

    def points_of(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Equation (3): uint8 (n, 1, 2, 1) to points (n, 2)."""
        return 2 * self.half * images.reshape(-1, 2) / 255 - self.half  # (3)

    def rows(self) -> Rows:
        """All splits, one behind the other; the labels are the modes, which take turns."""
        count = sum(COUNTS.values())
        labels = np.arange(count) % len(self.modes)
        points = self.modes[labels] + self.std * _normal(self.name, count)  # (1)
        return Rows(
            kind=f"{len(self.modes)} Gaussians of the plane",
            images=self.images_of(points),
            labels=labels.astype(np.int64),
            class_names=tuple(str(mode) for mode in range(len(self.modes))),
            splits=tuple(name for name, number in COUNTS.items() for _ in range(number)),
        )


def _normal(name: str, count: int) -> NDArray[np.float64]:
    """Standard normal numbers (count, 2)."""
    named = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "little")
    bits = np.random.Philox(key=named).random_raw(2 * count).reshape(count, 2)
    uniform = ((bits >> np.uint64(11)) + 0.5) / 2.0**53
    radius, angle = np.sqrt(-2 * np.log(uniform[:, 0])), 2 * np.pi * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _ring(count: int, radius: float) -> NDArray[np.float64]:
    angle = 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _grid(side: int, spacing: float) -> NDArray[np.float64]:
    places = spacing * (np.arange(side, dtype=np.float64) - (side - 1) / 2)
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)


RING8 = PointMixture("ring8", _ring(8, 2.0), std=0.05, half=2.25)
GRID25 = PointMixture("grid25", _grid(5, 2.0), std=0.1, half=4.5)

MIXTURES = {mixture.name: mixture for mixture in (RING8, GRID25)}
"""The mixtures by the names of DATA."""
