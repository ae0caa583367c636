"""Points of the plane as images: the map, the mixtures, and that they are the same everywhere."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from undrift.data import load, short_name
from undrift.data.inspection import contact_sheet, histogram, inspect_text
from undrift.data.sources.mixtures import GRID25, MIXTURES, RING8, PointMixture
from undrift.errors import DataError

BOTH = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)


@BOTH
def test_the_map_takes_the_box_onto_the_levels(mixture: PointMixture) -> None:
    b = mixture.half
    corners = np.array([[-b, -b], [b, b], [-b, b], [0.0, b / 2]])
    images = mixture.images_of(corners)
    assert images.shape == (4, 1, 2, 1) and images.dtype == np.uint8
    assert images[:, 0, :, 0].tolist() == [[0, 0], [255, 255], [0, 255], [128, 191]]
    assert mixture.images_of(np.array([[-9.0 * b, 9.0 * b]])).ravel().tolist() == [0, 255]
    # every level comes back as it went, and a point by at most half a level
    levels = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 1, 2, 1)
    points = mixture.points_of(levels.astype(np.uint8))
    np.testing.assert_array_equal(mixture.images_of(points), levels)
    inside = np.random.default_rng(0).uniform(-b, b, (500, 2))
    back = mixture.points_of(mixture.images_of(inside))
    assert np.abs(back - inside).max() <= b / 255 * (1 + 1e-9)


@BOTH
def test_points_are_the_mixture(mixture: PointMixture) -> None:
    rows = mixture.rows()
    assert rows.labels is not None
    points, modes = mixture.points_of(rows.images), mixture.modes[rows.labels]
    scaled = (points - modes) / mixture.std
    n = scaled.size
    level = 2 * mixture.half / 255 / mixture.std
    assert abs(scaled.mean()) < 4 / np.sqrt(n)
    assert scaled.var() == pytest.approx(1 + level**2 / 12, abs=4 * np.sqrt(2 / n))
    assert abs(np.corrcoef(scaled.T)[0, 1]) < 4 / np.sqrt(n / 2)
    assert ((scaled**4).mean() / scaled.var() ** 2) == pytest.approx(3, abs=4 * np.sqrt(24 / n))


@BOTH
def test_modes_are_apart_and_a_deviation_is_seen(mixture: PointMixture) -> None:
    apart = np.linalg.norm(mixture.modes[:, None] - mixture.modes, axis=2)
    assert apart[apart > 0].min() >= 10 * mixture.std
    assert 255 * mixture.std / (2 * mixture.half) > 2  # levels
    assert mixture.half - np.abs(mixture.modes).max() == pytest.approx(5 * mixture.std)


def test_the_modes_are_where_they_are_said_to_be() -> None:
    assert len(RING8.modes) == 8 and len(GRID25.modes) == 25
    np.testing.assert_allclose(np.linalg.norm(RING8.modes, axis=1), 2)
    np.testing.assert_allclose(RING8.modes[2], [0, 2], atol=1e-12)
    whole = {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}
    assert {tuple(mode) for mode in GRID25.modes.tolist()} == whole


@BOTH
def test_every_split_is_balanced_and_none_is_taken_from_another(mixture: PointMixture) -> None:
    data = load(mixture.name)
    assert {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 10_000,
        "validation": 2_000,
        "test": 2_000,
    }
    for name in data.splits:
        counts = np.array(list(data.split(name).class_counts().values()))
        assert (counts == counts[0]).all() and len(counts) == len(mixture.modes)
    assert data.shape == (1, 2, 1) and short_name(mixture.name) == mixture.name


def test_they_are_the_same_on_every_machine() -> None:
    digests = {
        name: hashlib.sha256(mixture.rows().images.tobytes()).hexdigest()[:16]
        for name, mixture in MIXTURES.items()
    }
    assert digests == {"ring8": "5eed5ed7f0434c3d", "grid25": "0f299d84a878ef31"}


def test_chance_is_not_reported_as_a_fault() -> None:
    data = load("ring8")
    assert data.report.duplicates.extra == 0 and not data.report.warnings
    assert "equal ones are chance" in inspect_text(data)


def test_a_sheet_shows_points_where_they_lie() -> None:
    sheet = contact_sheet(load("ring8"))
    assert sheet.mode == "RGB" and sheet.width == sheet.height > 500
    pixels = np.asarray(sheet).astype(int)
    centre = sheet.width // 2
    assert (pixels[centre - 60 : centre + 60, centre - 60 : centre + 60] == 255).all()
    assert (pixels[centre - 4 : centre + 4, -30:-12] < 250).any()  # the mode at (2, 0)
    assert histogram(load("ring8")).width > 500


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(DataError, match="did you mean 'ring8'"):
        load("ring9")
