"""What sampling, evaluation, export and serving know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.errors import UsageError
from undrift.files.durable import standing
from undrift.pipelines.call import Grid
from undrift.pipelines.labels import Labels
from undrift.pipelines.progress import OnProgress
from undrift.pipelines.samples import Samples
from undrift.pipelines.spec import SampleSpec
from undrift.wording import dimensions, plural

if TYPE_CHECKING:
    from undrift.likelihood import OnScored, Scored
    from undrift.pipelines.scoring import LikelihoodRequest


class Pipeline(ABC):
    """A trained model that draws images, whatever family it is of.

    Attributes:
        spec: shape, classes and default settings.
    """

    spec: SampleSpec

    def __repr__(self) -> str:
        channels, height, width = self.spec.shape
        classes = plural(len(self.spec.class_names), "class")
        size = dimensions(height, width)
        return (
            f"<{type(self).__name__}: images of {size}, {plural(channels, 'channel')}, {classes}>"
        )

    @abstractmethod
    def __call__(
        self,
        n: int,
        *,
        labels: Labels = None,
        seed: int = 0,
        steps: int | None = None,
        sampler: str | None = None,
        guidance: float | None = None,
        grid: Grid = None,
        batch_size: int | None = None,
        first: int = 0,
        on_progress: OnProgress | None = None,
        trajectory: int = 0,
    ) -> Samples:
        """Draw ``n`` images; image i depends on the weights, the settings, the seed and i only.

        Args:
            n: number of images, at least 1.
            labels: class names or indices, ``"all"``, or None; see `resolve_labels`.
            seed: names the noise, at least 0.
            steps: steps of the sampler, at least 1; None is the spec's default, as below.
            sampler: name of the sampler.
            guidance: guidance scale; 1 is off.
            grid: how the steps are spaced: a grid's name, or its times.
            batch_size: images drawn at once; it changes speed and memory, not what is drawn.
            first: number of the first image: images ``first`` to ``first + n - 1`` of the seed are
                drawn, so that a large set can be drawn in parts.
            on_progress: told of every step, with a look at the images so far; to cancel, raise.
            trajectory: of how many images the way from noise is returned too.

        Raises:
            UsageError: for a value that cannot be used.
        """

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """How many images are drawn at once unless told otherwise."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal; names the weights and the spec, all that images depend on but settings."""

    def likelihood(
        self,
        images: NDArray[np.uint8],
        request: LikelihoodRequest,
        labels: NDArray[np.int64] | None = None,
        *,
        numbers: Sequence[int] | None = None,
        batch_size: int | None = None,
        on_scored: OnScored | None = None,
    ) -> Scored:
        """Estimate how likely images are; an ability that not every family has.

        Args:
            images: uint8 (N, H, W, C).
            request: method, levels and what is known of the class.
            labels: (N,) class of each image, for a request that scores given the class.
            numbers: what names each image's noise; its place by default.
            batch_size: images scored at once.
            on_scored: called as ``on_scored(done, total)``; to stop, raise.

        Raises:
            UsageError: for a pipeline without a likelihood, or a request that does not fit it.
            DataError: for pixels that are not of the request's levels.
        """
        raise self.no_likelihood()

    def no_likelihood(self) -> UsageError:
        """What a family without `likelihood` answers when it is asked for one."""
        return UsageError(
            f"{type(self).__name__} has no likelihood: it draws images without a density; measure "
            "its samples with `undrift evaluate`, whose coverage and recall say what it leaves out"
        )

    def inpaint(
        self,
        images: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        *,
        variants: int = 1,
        labels: Labels = None,
        seed: int = 0,
        batch_size: int | None = None,
        first: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Samples:
        """Paint what a mask hides; an ability that not every family has.

        Fill v of image i depends on the weights, the settings, the seed, i, v and what is known of
        the image only; known pixels come back as they were.

        Args:
            images: uint8 (N, H, W, C).
            mask: bool (H, W) for all of them or (N, H, W) for each: True where paint is wanted.
            variants: fills of each image, at least 1.
            labels: class of each image, as in sampling; None leaves it open.
            seed: names the noise, at least 0.
            batch_size: fills painted at once.
            first: number of the first image, so that a large set can be painted in parts.
            on_progress: told how far it is, with a look at the images; to cancel, raise.

        Returns:
            N ``variants`` images, the fills of one image side by side, and what they cost:
            network forwards per fill and seconds.

        Raises:
            UsageError: for a family that cannot, or a value that cannot be used.
        """
        raise UsageError(
            f"{type(self).__name__} has no way to paint what a mask hides: use a diffusion model "
            "or a GAN"
        )

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Move the weights to ``device``, in place, and return the pipeline."""

    @abstractmethod
    def save_pretrained(self, directory: str | Path) -> None:
        """Write the pipeline into ``directory``, which appears whole or not at all.

        A pipeline that is there already is replaced.

        Raises:
            UsageError: if it cannot be written, or ``directory`` holds something else.
        """

    @staticmethod
    @own_settings()
    @checked
    def from_pretrained(directory: str | Path, *, network: nn.Module | None = None) -> Pipeline:
        """Load what `save_pretrained` wrote, on the CPU, after checking every byte of it.

        Args:
            directory: where it is.
            network: the user's own network, for a pipeline that was saved with one; its weights
                are overwritten.

        Raises:
            ModelFileError: if anything is missing, damaged or does not fit together.
            UsageError: for a network where none is wanted, or none where one is.
        """
        from undrift.pipelines import gan_file
        from undrift.pipelines.loading import load

        place = standing(Path(directory))
        if gan_file.is_gan(place):
            if network is not None:
                raise UsageError("this pipeline builds its own generator: leave network= out")
            return gan_file.load(place)
        return load(place, network)
