"""Ways to divide rows into parts: only rows of one part are neighbours of each other.

One pass over the distances of all rows serves any number of ways, where each way by itself would
need a pass of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Parts:
    """C ways to divide n rows into at most G parts.

    Attributes:
        of: (C, n) int8, from 0 to G - 1: the part of each row; -1 where it is in none.
        most: G.
    """

    of: Tensor
    most: int

    def __len__(self) -> int:
        """C."""
        return len(self.of)

    def __getitem__(self, rows: slice) -> Parts:
        """The same of some rows."""
        return Parts(self.of[:, rows], self.most)

    @classmethod
    def whole(cls, count: int) -> Parts:
        """One way: all of ``count`` rows in one part."""
        return cls(torch.zeros((1, count), dtype=torch.int8), 1)

    @classmethod
    def kept(cls, count: int, rows: NDArray[np.int64]) -> Parts:
        """One way: those ``rows`` of ``count`` in one part, the others in none."""
        of = torch.full((1, count), -1, dtype=torch.int8)
        of[0, torch.from_numpy(rows)] = 0
        return cls(of, 1)

    @classmethod
    def dealt(cls, count: int, most: int, draws: torch.Generator) -> Parts:
        """One way: ``count`` rows dealt at random into ``most`` parts of equal size."""
        of = torch.empty((1, count), dtype=torch.int8)
        order = torch.randperm(count, generator=draws)
        for number, rows in enumerate(order.tensor_split(most)):
            of[0, rows] = number
        return cls(of, most)

    @classmethod
    def joined(cls, ways: list[Parts]) -> Parts:
        """All of ``ways``, which divide the same rows."""
        return cls(torch.cat([way.of for way in ways]), max(way.most for way in ways))

    @property
    def sizes(self) -> Tensor:
        """(C, G) rows in each part."""
        return self.table.sum(dim=0).view(len(self), self.most)

    @cached_property
    def table(self) -> Tensor:
        """(n, C G) float32: 1 where the row is in the part, else 0."""
        numbers = torch.arange(self.most, dtype=torch.int8)
        return (self.of.T[:, :, None] == numbers).flatten(1).float()

    def own(self, values: Tensor) -> Tensor:
        """(C, n) what ``values`` (n, C G) say of each row's own part."""
        return (values * self.table).view(-1, len(self), self.most).sum(dim=2).T

    def means(self, values: Tensor) -> Tensor:
        """(C, G) means of ``values`` (C, n) over each part, float64; 0 of parts with no rows."""
        table = self.table.double().view(-1, len(self), self.most)
        sums = torch.einsum("cn,ncg->cg", values.double(), table)
        return sums / self.sizes.double().clamp(min=1)
