"""Standard normal numbers by counter: each is a function of its name alone, on every device.

A 64-bit word is the output of SplitMix64 after ``counter`` steps from a key,

    word = mix(key + (counter + 1) G)                                                     (1)

and each half of a word, a sign and 31 bits a, becomes a normal number by inverting the
distribution function Phi:

    z = +-Q(p),    p = (a + 1/2) / 2^32 in (0, 1/2],    Q(p) = -Phi^{-1}(p) >= 0          (2)

Q is laid out as straight segments, 512 to each octave of p. Reading a segment takes shifts, one
product and one sum, which IEEE arithmetic rounds in one way only: unlike logarithms and cosines,
they give the same bits on a CPU and a GPU, in a vector's body and at its end. A segment strays from
Q by less than 1e-6; the largest number is 6.3.

Reference: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", for (1).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15 - 2**64  # as signed 64-bit integers, which wrap around
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64

_SIGN = -(2**31)

_SEGMENTS = 9  # log2 of the segments in an octave
_REST = 23 - _SEGMENTS  # bits of a float32's fraction that say where in a segment it lies
_LOWEST = -1  # octave of the smallest a + 1/2
_OCTAVES = 33  # up to a + 1/2 = 2^31, p = 1/2


def words(keys: Tensor, count: int) -> Tensor:
    """Return the first ``count`` words (1) of each key: (*keys.shape, count) int64.

    Args:
        keys: int64, any shape.
        count: at least 1.
    """
    counters = torch.arange(1, count + 1, device=keys.device, dtype=torch.int64)
    return _mixed(keys[..., None] + counters * _GAMMA)


def keys_of(keys: Tensor, counters: Tensor) -> Tensor:
    """Return a new key for every counter of every key: (len(counters), *keys.shape) int64.

    Args:
        keys: int64, any shape.
        counters: int64, (N,), at least 0.
    """
    steps = (counters + 1) * _GAMMA
    return _mixed(keys + steps.reshape(-1, *[1] * keys.ndim))


def normals(keys: Tensor, count: int) -> Tensor:
    """Return ``count`` independent standard normal numbers (2) per key.

    Args:
        keys: int64, any shape.
        count: at least 1.

    Returns:
        (*keys.shape, count) float32 on the device of ``keys``, the same bits on every device.
    """
    halves = words(keys, (count + 1) // 2).view(torch.int32)[..., :count]
    bits = (halves & 0x7FFFFFFF).to(torch.float32).add_(0.5).view(torch.int32)  # of a + 1/2
    segment = (bits >> _REST).sub_((127 + _LOWEST) << _SEGMENTS).flatten()
    along = bits.bitwise_and_((1 << _REST) - 1).to(torch.float32)
    start, slope = _quantiles(str(keys.device))
    size = slope.index_select(0, segment).reshape(along.shape).mul_(along)
    size.add_(start.index_select(0, segment).reshape(along.shape))
    size.view(torch.int32).bitwise_or_(halves & _SIGN)  # (2)
    return size


def _mixed(z: Tensor) -> Tensor:
    """Scramble 64 bits, in place.

    Torch shifts signed numbers, so the copies of the sign are masked off.
    """
    z.bitwise_xor_((z >> 30).bitwise_and_(0x3_FFFF_FFFF)).mul_(_FIRST)
    z.bitwise_xor_((z >> 27).bitwise_and_(0x1F_FFFF_FFFF)).mul_(_SECOND)
    return z.bitwise_xor_((z >> 31).bitwise_and_(0x1_FFFF_FFFF))


@lru_cache(maxsize=8)
def _quantiles(device: str) -> tuple[Tensor, Tensor]:
    """Q at the start of each segment and its slope per unit of ``along``, float32."""
    octave = torch.arange(_LOWEST, _LOWEST + _OCTAVES, dtype=torch.float64, device="cpu")
    fraction = torch.arange(1 << _SEGMENTS, dtype=torch.float64, device="cpu") / (1 << _SEGMENTS)
    knots = (torch.exp2(octave)[:, None] * (1 + fraction)).flatten() / 2**32
    values = -torch.special.ndtri(knots.clamp(max=0.5))
    slope = torch.cat([values.diff(), values.new_zeros(1)]) / (1 << _REST)
    return values.to(device, torch.float32), slope.to(device, torch.float32)
