"""The effective number of dimensions against spectra that are known."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.metrics.variety import effective_dimensions


def test_orthogonal_directions_of_equal_variance_are_counted() -> None:
    """Six pixels that are each lit in two images: the centred spectrum has five equal values."""
    images = np.zeros((12, 8, 8, 1), np.uint8)
    for k in range(12):
        images[k, k % 6, 0, 0] = 200
    assert effective_dimensions(images) == pytest.approx(5.0, rel=1e-6)


def test_one_direction_and_none() -> None:
    levels = np.arange(10, dtype=np.uint8)[:, None, None, None]
    assert effective_dimensions(np.broadcast_to(levels, (10, 4, 6, 3)).copy()) == pytest.approx(1.0)
    assert effective_dimensions(np.full((5, 16, 16, 3), 7, np.uint8)) == 1.0
    assert effective_dimensions(np.full((1, 16, 16, 3), 7, np.uint8)) == 1.0
    with pytest.raises(ValueError, match="no image"):
        effective_dimensions(np.zeros((0, 8, 8, 1), np.uint8))


def test_it_does_not_depend_on_size_number_or_hidden_colours() -> None:
    draws = np.random.default_rng(0)
    basis = draws.normal(size=(8, 8 * 8 * 3))
    mixed = draws.normal(size=(2000, 8)) @ basis
    small = np.clip(128 + 12 * mixed, 0, 255).astype(np.uint8).reshape(2000, 8, 8, 3)
    found = effective_dimensions(small)
    assert 6.5 < found < 8.5
    assert effective_dimensions(small[:300]) == pytest.approx(found, rel=0.1)
    large = small.repeat(4, axis=1).repeat(4, axis=2)
    assert effective_dimensions(large) == pytest.approx(found, rel=1e-4)
    alpha = np.full((2000, 8, 8, 1), 255, np.uint8)
    alpha[:, :, 4:] = 0
    clear, hidden = np.concatenate([small, alpha], axis=3), np.concatenate([small, alpha], axis=3)
    clear[:, :, 4:, :3] = 0
    assert effective_dimensions(hidden) == pytest.approx(effective_dimensions(clear), rel=1e-6)
