r"""Numbers as conditions: an angle, an age, a dose; any several at once.

Number :math:`k` of a sample is standardised and embedded by Fourier features,

.. math::

    z_k = (x_k - m_k) / s_k, \qquad
    e = \sum_k \begin{cases} W_k\,\gamma(z_k) & x_k \text{ given} \\ n_k & \text{not given,}
    \end{cases}
    \qquad \gamma(z) = \sqrt2\,[\cos(\omega_j z),\ \sin(\omega_j z)]_j

with :math:`m_k, s_k` mean and standard deviation in the training data, fixed frequencies
:math:`\omega_j`, and learned :math:`W_k` and null embeddings :math:`n_k`. Each term has unit
variance at the start: :math:`\lvert\gamma\rvert^2` is the number of features, whatever :math:`z`.

Reference: Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low
Dimensional Domains".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import FourierFeatures

FEATURES = 32
"""Fourier features of each number."""

SLOWEST, FASTEST = 0.25, 8.0
"""Frequencies, in radians per standard deviation. Data within 3 standard deviations of its mean
turns the slowest wave by less than a quarter, so that it orders all values; the fastest resolves
differences of 0.05 standard deviations, and does not single out values that lie closer than
that."""

NOT_GIVEN = math.nan
"""A number that is not given."""

MOST_NUMBERS = 64
"""Of one model."""


@dataclass(frozen=True)
class Number:
    """One number that images are conditioned on.

    Attributes:
        name: of the column of the metadata, or of the array, that holds it.
        mean: in the training data.
        std: standard deviation in the training data, above 0.
        low: smallest value in the training data.
        high: largest value in the training data.

    Raises:
        UsageError: for values that no data has.
    """

    name: str
    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        given = (self.mean, self.std, self.low, self.high)
        if not self.name or not all(map(math.isfinite, given)) or self.std <= 0:
            raise UsageError(
                f"number {self.name!r}: mean {self.mean}, std {self.std}, range {self.low} to "
                f"{self.high}; wanted a name, finite numbers and a std above 0"
            )
        if self.low > self.high:
            raise UsageError(f"number {self.name!r}: its range is {self.low} to {self.high}")


@dataclass(frozen=True)
class Numbers:
    """Numbers: entries are float64 (B, K), a column per number, `NOT_GIVEN` (NaN) for none.

    Attributes:
        numbers: the K numbers, in the order of the columns.
    """

    numbers: tuple[Number, ...]

    @property
    def name(self) -> str:
        """See `Kind.name`."""
        return "numbers"

    @property
    def dropout(self) -> tuple[str, ...]:
        """See `Kind.dropout`; each number is dropped by itself, whatever its column."""
        return tuple(f"number dropout: {number.name}" for number in self.numbers)

    def null(self, rows: int, device: torch.device) -> Tensor:
        """See `Kind.null`."""
        size = (rows, len(self.numbers))
        return torch.full(size, NOT_GIVEN, device=device, dtype=torch.float64)

    def check(self, entry: Tensor, rows: int) -> None:
        """See `Kind.check`."""
        wanted = (rows, len(self.numbers))
        if entry.shape != wanted:
            raise UsageError(
                f"condition: numbers has shape {tuple(entry.shape)}, wanted {wanted}: a column for "
                f"each of {', '.join(number.name for number in self.numbers)}"
            )
        if not entry.is_floating_point():
            raise UsageError(f"condition: numbers are {entry.dtype}, wanted torch.float64")
        if entry.device.type == "cpu" and entry.isinf().any():
            raise UsageError("condition: a number is infinite; wanted finite ones, NaN for none")

    def drop(self, entry: Tensor, dropped: Tensor) -> Tensor:
        """See `Kind.drop`; a dropped number is NaN."""
        return entry.masked_fill(dropped.to(entry.device), NOT_GIVEN)

    def context(self, width: int) -> ContextSpec:
        """A vector."""
        return ContextSpec(vector=width)

    def embedding(self, width: int) -> NumberEmbedding:
        """See `NumberEmbedding`."""
        return NumberEmbedding(self.numbers, width)


class NumberEmbedding(nn.Module):
    """The sum of the embeddings of K numbers, as the module's formula has it.

    Args:
        numbers: what they are standardised by.
        width: size of the vector.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, numbers: tuple[Number, ...], width: int) -> None:
        super().__init__()
        count = len(numbers)
        self.features = FourierFeatures(FEATURES, SLOWEST, FASTEST)
        # Where the caller wants parameters: on torch's meta device they are only counted.
        device, dtype = torch.get_default_device(), torch.get_default_dtype()
        size = (count, FEATURES, width)
        self.weight = nn.Parameter(torch.empty(size, device=device, dtype=dtype))
        self.null = nn.Parameter(torch.empty(count, width, device=device, dtype=dtype))
        nn.init.normal_(self.weight, std=FEATURES**-0.5)
        nn.init.normal_(self.null)
        for name in ("mean", "std"):
            values = [getattr(number, name) for number in numbers]
            self.register_buffer(
                name, torch.as_tensor(values, dtype=torch.float64), persistent=False
            )

    def forward(self, numbers: Tensor) -> Context:
        """(B, K) -> a vector per sample."""
        missing = numbers.isnan()
        z = ((numbers - self.mean) / self.std).masked_fill(missing, 0).float()
        features = self.features(z.flatten()).unflatten(0, z.shape)
        features = features.masked_fill(missing[..., None], 0).to(self.weight.dtype)
        given = torch.einsum("bkf,kfw->bw", features, self.weight)
        return Context(vector=given + missing.to(self.null.dtype) @ self.null)
