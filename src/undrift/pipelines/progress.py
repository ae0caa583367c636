"""Progress of a request, with a preview of its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from torch import Tensor

from undrift.errors import UsageError
from undrift.sampling import OnStep, StepDone


@dataclass(frozen=True, eq=False)
class Progress:
    """Passed to ``on_progress`` after every step of every batch.

    Attributes:
        done: steps made, over all batches.
        total: steps in all, over all batches.
        finished: images that are finished.
        n: images in all.
        rows: numbers of the images of the batch at hand, those of `preview`.
        decode: makes `preview` when that is first read.
    """

    done: int
    total: int
    finished: int
    n: int
    rows: range
    decode: Callable[[], np.ndarray] = field(repr=False)

    @cached_property
    def preview(self) -> np.ndarray:
        """What the batch's images are expected to become, uint8 (len(rows), H, W, C).

        The model's present estimate of the clean images, E[x_0 | x_t]; after the last step of a
        batch these are its images.
        """
        return self.decode()


OnProgress = Callable[[Progress], None]
"""``on_progress(progress)``, after every step; raising from it cancels the request."""


def report_batch(
    on_progress: OnProgress, batches: Sequence[range], k: int, images: np.ndarray
) -> None:
    """Report that batch ``k`` is finished, of a model whose batches are one step each.

    Args:
        on_progress: called with the progress.
        batches: numbers of the images of every batch.
        k: the batch that was drawn.
        images: its images, uint8 (B, H, W, C).
    """
    first = batches[0].start
    on_progress(
        Progress(
            done=k + 1,
            total=len(batches),
            finished=batches[k].stop - first,
            n=batches[-1].stop - first,
            rows=batches[k],
            decode=lambda: images,
        )
    )


def step_progress(
    on_progress: OnProgress,
    batches: Sequence[range],
    k: int,
    decode: Callable[[Tensor], np.ndarray],
) -> OnStep:
    """A callback that reports the steps of one batch as part of the whole request's.

    Args:
        on_progress: called with the progress.
        batches: numbers of the images of every batch.
        k: the batch that is drawn.
        decode: from the model's space (B, ...) to images, uint8 (B, H, W, C).
    """
    rows, first, end = batches[k], batches[0].start, batches[-1].stop

    def step_done(step: StepDone) -> None:
        def preview() -> np.ndarray:
            if step.x0 is None:
                raise UsageError("no preview: the sampler has not evaluated the model yet")
            return decode(step.x0)

        on_progress(
            Progress(
                done=k * step.total + step.done,
                total=len(batches) * step.total,
                finished=(rows.stop if step.done == step.total else rows.start) - first,
                n=end - first,
                rows=rows,
                decode=preview,
            )
        )

    return step_done
