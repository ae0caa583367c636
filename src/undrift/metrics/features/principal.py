"""Principal components of rows of numbers, unwhitened, in a fixed unit and with fixed signs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError

_NEGLIGIBLE = 1e-10  # of the largest eigenvalue: what rounding leaves of a direction without spread


def principal_directions(rows: Tensor, most: int) -> tuple[Tensor, Tensor]:
    r"""Mean m of ``rows`` and its principal directions u_j / s, by falling variance lambda_j.

    With s^2 the mean of lambda_1 ... lambda_D, the components (x - m) . u_j / s keep their own
    variances, and these are 1 on average.

    Args:
        rows: (n, P) float64, n at least 2.
        most: largest D.

    Returns:
        (P,) and (P, D), D <= ``most``; D is 0 where all rows are the same.
    """
    mean = rows.mean(dim=0)
    rows = rows - mean
    count, values = rows.shape
    # of the covariance and the Gram matrix, which share eigenvalues, the smaller one
    if values <= count:
        spread, vectors = torch.linalg.eigh(rows.T @ rows / (count - 1))
    else:
        spread, vectors = torch.linalg.eigh(rows @ rows.T / (count - 1))
    kept = int((spread > _NEGLIGIBLE * spread[-1]).sum()) if spread[-1] > 0 else 0
    kept = min(kept, most)
    if kept == 0:
        return mean, rows.new_zeros((values, 0))
    spread, vectors = spread[-kept:].flip(0), vectors[:, -kept:].flip(1)
    if values > count:
        vectors = rows.T @ vectors
        vectors /= vectors.norm(dim=0)
    # an eigenvector is known up to its sign: the largest entry is made positive
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return mean, vectors * largest.sign() / spread.mean().sqrt()


class PrincipalFeatures(ABC):
    """At most 64 principal components of numbers that are computed of each image.

    Args:
        mean: (P,) float64, m.
        directions: (P, D) float64, the columns u_j / s.
        image_shape: (H, W, C) of the images.
        content: hex hash of what the space was fitted on. It is not that of mean and directions,
            whose last bits depend on the machine: the same space has the same name everywhere.
    """

    kind: ClassVar[str]
    description: ClassVar[str]

    def __init__(
        self, mean: Tensor, directions: Tensor, image_shape: tuple[int, int, int], content: str
    ) -> None:
        self.mean = mean
        self.directions = directions
        self.image_shape = image_shape
        self._content = content

    @property
    def name(self) -> str:
        """The kind, ``@`` and eight hex digits that name the images it was fitted on."""
        return f"{self.kind}@{self._content[:8]}"

    @property
    def dimension(self) -> int:
        """D <= 64."""
        return self.directions.shape[1]

    @property
    def standard_fid(self) -> bool:
        """False: a distance here is no FID."""
        return False

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (n, D), float64, of ``images`` (n, H, W, C) uint8, largest variance first.

        Raises:
            UsageError: images of another size or channel count than those fitted on.
        """
        if images.ndim != 4 or images.shape[1:] != self.image_shape or images.dtype != np.uint8:
            raise UsageError(
                f"images {images.dtype} {images.shape}: {self.kind} features were fitted on uint8 "
                f"(n, {', '.join(map(str, self.image_shape))})"
            )
        return self._components(images).numpy()

    @abstractmethod
    def _components(self, images: NDArray[np.uint8]) -> Tensor:
        """(n, D) float64."""
