"""How far a request is, and what its images look like by now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Progress:
    """Told to ``on_progress`` after every step of every batch.

    Attributes:
        done: steps made, over all batches.
        total: steps in all, over all batches.
        finished: images that are finished.
        n: images in all.
        rows: numbers of the images of the batch at hand, those of `preview`.
        look: makes `preview`; costs nothing until it is asked for.
    """

    done: int
    total: int
    finished: int
    n: int
    rows: range
    look: Callable[[], np.ndarray] = field(repr=False)

    @cached_property
    def preview(self) -> np.ndarray:
        """What the batch's images are expected to become, uint8 (len(rows), H, W, C).

        The model's present estimate of the clean images, E[x_0 | x_t]; after the last step of a
        batch these are its images.
        """
        return self.look()


OnProgress = Callable[[Progress], None]
"""``on_progress(progress)``, after every step; raising from it cancels the request."""
