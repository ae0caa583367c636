r"""The values that pixels of a data set can take, and the bin of numbers that each stands for.

Definition: data of L levels takes the bytes

    v_k = round(255 k / (L - 1)),        k = 0 ... L - 1,                                        (1)

and level k stands for the interval between the midpoints to its neighbours,

    bin_k = [(v_{k-1} + v_k) / 2, (v_k + v_{k+1}) / 2],                                          (2)

the outer two being symmetric about their value. A density of the model over pixel values gives the
probability of an image by integrating over its bins, so bits per dimension mean nothing without L:
the handwritten digits have 17 levels, and the probability of one of 256 bins around each value is
1/16 of what the same density gives to one of 17.

The rule: L is the smallest number up to 128 whose grid (1) holds every value that occurs, and 256
where there is none. A grid finer than 128 looks like bytes that happen not to occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.codec import Codec
from undrift.errors import DataError, UsageError

MOST = 256
COARSE = 128


@dataclass(frozen=True)
class ValueGrid:
    """The L values (1) and their bins (2).

    Attributes:
        count: L, from 2 to 256.
    """

    count: int = MOST

    def __post_init__(self) -> None:
        if not 2 <= self.count <= MOST:
            raise UsageError(f"{self.count} value levels: wanted 2 to {MOST}")

    @classmethod
    def of(cls, histogram: Sequence[Sequence[int]] | NDArray[np.int64]) -> ValueGrid:
        """The smallest grid that holds every value that occurs.

        Args:
            histogram: per channel, how often each of the 256 values occurs, (C, 256).
        """
        occurring = np.flatnonzero(np.asarray(histogram).sum(axis=0))
        for count in range(max(2, len(occurring)), COARSE + 1):
            if np.isin(occurring, _values(count)).all():
                return cls(count)
        return cls(MOST)

    @property
    def values(self) -> Tensor:
        """v_k (1), (L,) float64."""
        return torch.from_numpy(_values(self.count).astype(np.float64))

    @property
    def edges(self) -> tuple[Tensor, Tensor]:
        """Lower and upper ends of the bins (2), each (L,) float64."""
        values = self.values
        middle = (values[1:] + values[:-1]) / 2
        lower = torch.cat([2 * values[:1] - middle[:1], middle])  # (2)
        upper = torch.cat([middle, 2 * values[-1:] - middle[-1:]])
        return lower, upper

    @property
    def smallest(self) -> float:
        """Smallest distance of neighbouring values, in bytes."""
        return float(self.values.diff().min())

    def index(self, pixels: Tensor) -> Tensor:
        """Level of each pixel: uint8 of any shape -> int64 of the same.

        Raises:
            DataError: for a value that is not of the grid.
        """
        table = torch.full((MOST,), -1, dtype=torch.int64, device="cpu")
        table[torch.from_numpy(_values(self.count))] = torch.arange(
            self.count, dtype=torch.int64, device="cpu"
        )
        found = table.to(pixels.device)[pixels.long()]
        if bool((found < 0).any()):
            stranger = int(pixels[found < 0][0])
            raise DataError(
                f"a pixel has the value {stranger}, which is not one of {self.count} levels from 0 "
                "to 255; score data of these levels, or give their number"
            )
        return found

    def spacing(self, codec: Codec, channels: int) -> float:
        """Smallest distance of neighbouring values in the model's space."""
        return float(self.encoded(codec, channels).diff(dim=1).min())

    def encoded(self, codec: Codec, channels: int) -> Tensor:
        """The values in the model's space, (C, L) float64."""
        device = next((buffer.device for buffer in codec.buffers()), torch.device("cpu"))
        column = self.values.to(device).reshape(-1, 1, 1, 1).expand(-1, channels, 1, 1)
        return codec.encode(column.contiguous())[:, :, 0, 0].T.contiguous()


def _values(count: int) -> NDArray[np.int64]:
    return np.round(np.arange(count) * 255 / (count - 1)).astype(np.int64)  # (1)
