from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.likelihood.worlds import standardised

import undrift.data
from undrift.errors import DataError, UsageError
from undrift.likelihood.values import ValueGrid


def histogram(values) -> np.ndarray:
    counts = np.zeros((1, 256), np.int64)
    counts[0, np.asarray(values)] = 5
    return counts


def test_digits_have_seventeen_levels_and_bytes_256():
    report = undrift.data.load("digits").report
    assert ValueGrid.of(report.histogram).count == 17
    assert ValueGrid.of(histogram(range(256))).count == 256
    assert ValueGrid.of(histogram([0, 255])).count == 2


def test_a_dark_or_gappy_photo_still_has_bytes():
    assert ValueGrid.of(histogram(range(60))).count == 256
    assert ValueGrid.of(histogram([0, 1, 7, 200, 255])).count == 256


@pytest.mark.parametrize("count", [2, 4, 6, 17, 52, 64, 128, 256])
def test_a_whole_grid_is_recognised(count):
    values = ValueGrid(count).values.long()
    assert ValueGrid.of(histogram(values)).count == count


@pytest.mark.parametrize("count", [2, 17, 100, 256])
def test_bins_touch_and_hold_their_value(count):
    grid = ValueGrid(count)
    lower, upper = grid.edges
    assert torch.equal(lower[1:], upper[:-1])
    assert bool(((lower < grid.values) & (grid.values < upper)).all())
    assert float(lower[0]) == -float(upper[0])
    assert float(upper[-1] - 255) == float(255 - lower[-1])
    if count == 256:
        assert bool((upper - lower == 1).all())


def test_every_pixel_finds_its_level_and_strangers_are_refused():
    grid = ValueGrid(17)
    pixels = grid.values.to(torch.uint8).reshape(1, 1, 1, 17)
    assert torch.equal(grid.index(pixels).flatten(), torch.arange(17))
    with pytest.raises(DataError, match="the value 5, which is not one of 17 levels"):
        grid.index(torch.tensor([[[[0, 5]]]], dtype=torch.uint8))


def test_spacing_is_that_of_the_model_space():
    assert ValueGrid(256).spacing(standardised(50.0), 1) == pytest.approx(1 / 50)
    assert ValueGrid(17).spacing(standardised(50.0), 1) == pytest.approx(15 / 50)


@pytest.mark.parametrize("count", [1, 257])
def test_impossible_counts_are_refused(count):
    with pytest.raises(UsageError, match="2 to 256"):
        ValueGrid(count)
