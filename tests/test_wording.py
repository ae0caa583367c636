"""Counts with their nouns, lengths of time and sizes, as people write them."""

from __future__ import annotations

import pytest

from undrift.wording import clock, dimensions, images_of, plural


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "image", "2 images"),
        (1024, "image", "1,024 images"),
        (2, "class", "2 classes"),
        (2, "copy", "2 copies"),
        (2, "day", "2 days"),
        (1, "network pass", "1 network pass"),
        (2, "network pass", "2 network passes"),
        (2, "patch", "2 patches"),
        (2, "pixel", "2 pixels"),
    ],
)
def test_a_count_and_its_noun_agree(count, noun, text):
    assert plural(count, noun) == text


def test_an_irregular_noun_says_its_plural():
    assert [plural(n, "axis", "axes") for n in (1, 3)] == ["1 axis", "3 axes"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (9.6, "0:10"),
        (59.7, "1:00"),
        (61, "1:01"),
        (3599.6, "1:00:00"),
        (7322, "2:02:02"),
    ],
)
def test_a_length_of_time_carries_into_minutes_and_hours(seconds, text):
    assert clock(seconds) == text


def test_images_of_no_split_are_just_images():
    assert [images_of(split, 12) for split in ("test", "all")] == ["12 test images", "12 images"]


def test_a_size_is_width_first():
    assert dimensions(48, 64) == "64x48"
