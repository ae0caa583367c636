"""Numbers by counter: the right words, the right law, the same bits wherever they lie."""

from __future__ import annotations

import itertools

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.sampling import counter
from undrift.sampling.counter import keys_of, normals, words

COUNT = 400_000


def moments_are_normal(z):
    """Whether mean, variance and kurtosis are within 4 standard errors of a normal's."""
    z = z.double().flatten()
    n = len(z)
    return bool(
        z.mean().abs() < 4 / n**0.5
        and (z.var() - 1).abs() < 4 * (2 / n) ** 0.5
        and (z.pow(4).mean() - 3).abs() < 4 * (96 / n) ** 0.5
    )


def test_words_are_splitmix64s():
    """The first words of seed 1234567, as published with the algorithm."""
    wanted = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [word % 2**64 for word in words(torch.tensor(1234567), 5).tolist()] == wanted


def test_pieces_stray_less_than_a_millionth_from_the_normal_quantile():
    start, slope = counter._quantiles("cpu")
    along = torch.arange(0, 2**14, 512)
    pieces = torch.arange(len(start) - 512)  # the last octave is p = 1/2 alone
    bits = (((126 << 9) + pieces[:, None]) << 14) + along
    a = bits.to(torch.int32).view(torch.float32)
    made = start[pieces][:, None] + slope[pieces][:, None] * along
    wanted = -torch.special.ndtri(a.double() / 2**32)
    assert float((made.double() - wanted).abs().max()) < 1e-6
    assert float(start[512 * 32]) == 0


def test_numbers_are_standard_normal():
    z = normals(torch.tensor(5), COUNT)
    assert z.dtype == torch.float32
    assert moments_are_normal(z)
    ordered = z.double().sort().values
    rank = torch.arange(COUNT, dtype=torch.float64) / COUNT
    gap = (torch.special.ndtr(ordered) - rank).abs().max()
    assert float(gap) * COUNT**0.5 < 2.23
    new = {"halves & _SIGN": "0", "& 0x7FFFFFFF": "& 0x3FFFFFFF"}
    for broken in new:
        assert not moments_are_normal(
            mutated(counter, broken, new[broken]).normals(torch.tensor(5), COUNT)
        )


@pytest.mark.parametrize("pair", ["elements", "keys", "counters"])
def test_neighbours_are_independent(pair):
    if pair == "elements":
        z = normals(torch.tensor(3), COUNT)
        one, other = z[::2], z[1::2]
    elif pair == "keys":
        z = normals(torch.arange(2), COUNT // 2)
        one, other = z
    else:
        z = normals(keys_of(torch.tensor([9]), torch.arange(2)), COUNT // 2)[:, 0]
        one, other = z
    for f, g in itertools.product((lambda v: v, lambda v: v**2 - 1, torch.abs), repeat=2):
        a, b = f(one.double()), g(other.double())
        product = (a - a.mean()) * (b - b.mean())
        assert abs(float(product.mean())) < 4 * float(product.std()) / len(a) ** 0.5


def test_where_a_number_lies_changes_no_bit():
    keys = torch.arange(37)
    whole = normals(keys, 101)
    for row in (0, 20, 36):
        assert torch.equal(normals(keys[row : row + 1], 101)[0], whole[row])
        assert torch.equal(normals(keys[row], 55), whole[row, :55])
    assert torch.equal(normals(keys.reshape(37, 1), 101)[:, 0], whole)


def test_values_are_pinned():
    """Same seed, next year and on another machine: a change here breaks everybody's seeds."""
    made = normals(torch.tensor(0), 4)
    assert made.view(torch.int32).tolist() == [1027862427, -1097337405, -1081138677, 1043374079]
