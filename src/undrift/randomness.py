"""Randomness as a function of what it is for.

No random state is ever carried along. A draw is named by what it is for, ``(seed, purpose, step)``
while training and ``(seed, image, purpose, step)`` while sampling, and the name alone fixes its
value; so a resumed run needs only its step, and neither workers, micro-batches nor ranks change
what is drawn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


def key(*parts: int | str) -> int:
    """Return the 63-bit seed that names ``parts``, the same on every machine and version."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator on ``device`` whose stream is named by ``parts``."""
    return torch.Generator(device).manual_seed(key(*parts))


def derangement(count: int, *parts: int | str) -> Tensor:
    """Return another row for each of ``count`` >= 2 rows, int64 (count,), each row once.

    Args:
        count: rows.
        parts: name the draw.
    """
    source = generator(*parts)
    order = torch.randperm(count, generator=source, device="cpu", dtype=torch.int64)
    other = torch.empty_like(order)
    other[order] = order.roll(1)
    return other


@dataclass(frozen=True)
class Draws:
    """The rows ``start:stop`` of everything drawn for one global batch at one step.

    Each draw is made for the whole global batch and then cut, so ranks and micro-batches see what
    one process with one batch would have seen.

    Attributes:
        seed: the run's seed.
        step: optimiser updates made so far.
        total: size of the global batch.
        start: first row of this part.
        stop: one past the last row of this part.
        device: where the numbers are drawn; CPU and CUDA streams differ.
        drawn: what was drawn for the whole batch so far, shared by its parts.
    """

    seed: int
    step: int
    total: int
    start: int
    stop: int
    device: torch.device | str = "cpu"
    drawn: dict[tuple[str, tuple[int, ...]], Tensor] = field(
        default_factory=dict, compare=False, repr=False
    )

    def part(self, start: int, stop: int) -> Draws:
        """The draws of other rows of the same batch; nothing is drawn twice for both."""
        return replace(self, start=start, stop=stop)

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers, float32, of shape ``(stop - start, *shape)``."""
        name = (purpose, shape)
        if name not in self.drawn:
            self.drawn[name] = torch.randn(
                (self.total, *shape),
                generator=self._generator(purpose),
                device=self.device,
                dtype=torch.float32,
            )
        return self.drawn[name][self.start : self.stop]

    def uniform(self, purpose: str) -> Tensor:
        """Independent uniform numbers in [0, 1), float64, of shape ``(stop - start,)``."""
        return self._uniform(purpose)[self.start : self.stop]

    def stratified(self, purpose: str) -> Tensor:
        """One uniform number in each of ``total`` equal strata of [0, 1), float64.

        Row i of the global batch falls into stratum i: every batch covers the whole range, which
        lowers the variance of a mean over rows and leaves its expectation alone.
        """
        strata = torch.arange(self.total, dtype=torch.float64, device=self.device)
        return ((strata + self._uniform(purpose)) / self.total)[self.start : self.stop]

    def _uniform(self, purpose: str) -> Tensor:
        return torch.rand(
            self.total,
            generator=self._generator(purpose),
            device=self.device,
            dtype=torch.float64,
        )

    def _generator(self, purpose: str) -> torch.Generator:
        return generator(self.seed, purpose, self.step, device=self.device)
