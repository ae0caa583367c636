"""The order in which images are seen: a function of (count, seed, batch, step) and of nothing else.

A stream of positions p = 0, 1, 2, ... runs through one permutation of all images after another;
step k takes positions k B to (k + 1) B, so batches straddle epochs and no image is dropped. Any
step is computed directly, which makes a resume exact and free; ranks take slices of one batch.

Permutations sort the counter hashes of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), since NumPy
and torch keep no promise that a seeded shuffle stays the same across versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.randomness import key


@dataclass(frozen=True)
class Order:
    """Which images a run sees at which step.

    Attributes:
        seed: the run's seed.
        batch: global batch.
        balance: see every class equally often, where there are classes.
    """

    seed: int
    batch: int
    balance: bool = False


class Stream(Protocol):
    """A global batch of indices for every step."""

    batch: int

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the int64 (batch,) indices of step ``step``, counted from 0."""
        ...


def permutation(count: int, seed: int) -> NDArray[np.int64]:
    """Return a permutation of ``range(count)``, int64, the same on every machine for ever."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    # SplitMix64 is a bijection of the counter: there are no ties to break.
    return np.argsort(z).astype(np.int64)


class EpochStream:
    """Every image once per epoch.

    Args:
        count: images.
        seed: the run's seed.
        batch: global batch; may exceed ``count``.

    Raises:
        UsageError: no images, or a batch below 1.
    """

    def __init__(self, count: int, seed: int, batch: int) -> None:
        if count < 1 or batch < 1:
            raise UsageError(f"an order needs images and a batch, not {count} and {batch}")
        self.count = count
        self.seed = seed
        self.batch = batch
        # One entry: a run reads the same epoch many times, then never again.
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the int64 (batch,) indices of step ``step``, counted from 0."""
        taken: list[NDArray[np.int64]] = []
        position, stop = step * self.batch, (step + 1) * self.batch
        while position < stop:
            epoch, offset = divmod(position, self.count)
            part = self._permutation(epoch)[offset : offset + stop - position]
            taken.append(part)
            position += len(part)
        return np.concatenate(taken)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._order = permutation(self.count, key(self.seed, "order", epoch))
            self._epoch = epoch
        return self._order


class BalancedStream:
    """Every class equally often, and within a class every image once per pass.

    Positions run through permutations of the classes; the n-th turn of a class takes the n-th image
    of that class's own stream. Classes without images get no turn.

    Args:
        labels: int64 (N,), the class of each image.
        seed: the run's seed.
        batch: global batch.

    Raises:
        UsageError: no images, or a batch below 1.
    """

    def __init__(self, labels: NDArray[np.int64], seed: int, batch: int) -> None:
        if len(labels) < 1 or batch < 1:
            raise UsageError(f"an order needs images and a batch, not {len(labels)} and {batch}")
        self.count = len(labels)
        self.seed = seed
        self.batch = batch
        present = np.unique(labels)
        self._members = [np.flatnonzero(labels == label).astype(np.int64) for label in present]
        self._turns = EpochStream(len(present), key(seed, "classes"), batch)
        self._within = [
            EpochStream(len(members), key(seed, "class", int(label)), 1)
            for label, members in zip(present, self._members, strict=True)
        ]

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the int64 (batch,) indices of step ``step``, counted from 0."""
        first = step * self.batch
        chosen = np.empty(self.batch, np.int64)
        for i, which in enumerate(self._turns.indices(step)):
            # Each class has one turn in each run through the classes.
            turn = (first + i) // len(self._members)
            chosen[i] = self._members[which][self._within[which].indices(turn)[0]]
        return chosen


def stream(order: Order, count: int, labels: NDArray[np.int64] | None) -> Stream:
    """The stream of ``order`` over ``count`` images.

    Args:
        order: which is wanted.
        count: images.
        labels: int64 (count,), their classes; None without.

    Raises:
        UsageError: no images, or a batch below 1.
    """
    if order.balance and labels is not None:
        return BalancedStream(labels, order.seed, order.batch)
    return EpochStream(count, order.seed, order.batch)
