"""The Vendi score at its extremes, in both of its forms, and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.vendi import vendi, vendi_score


def cosine(rows: np.ndarray) -> np.ndarray:
    directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return directions @ directions.T


@pytest.mark.parametrize("size", [8, 50])
def test_one_image_many_times_is_one(size: int):
    rows = np.repeat(np.random.default_rng(0).normal(size=(1, size)), 30, axis=0)
    rows *= np.arange(1, 31)[:, None]  # cosine sees directions only
    assert vendi(rows).value == pytest.approx(1.0, abs=1e-9)


def test_orthogonal_images_are_all_different():
    found = vendi(np.eye(20))
    assert found.value == pytest.approx(20.0)
    assert 20 - 1e-9 < found.high <= 20.0


def test_groups_count_once_each_by_their_share():
    rows = np.eye(4)[np.repeat([0, 1, 2, 3], [40, 20, 10, 10])]
    share = np.array([0.5, 0.25, 0.125, 0.125])
    exact = np.exp(-(share * np.log(share)).sum())
    assert vendi(rows).value == pytest.approx(exact, rel=1e-9)
    assert vendi(rows, cosine).value == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("count, size", [(60, 5), (25, 40)])
def test_both_forms_agree(count: int, size: int):
    rows = 0.5 + np.random.default_rng(1).normal(size=(count, size))
    short, table = vendi(rows), vendi(rows, cosine)
    assert vendi_score(rows) == short.value
    for name in ("value", "low", "high"):
        assert getattr(short, name) == pytest.approx(getattr(table, name), rel=1e-9)


@pytest.mark.parametrize("count, size", [(60, 6), (30, 40)])
def test_interval_is_as_wide_as_redraws_spread(count: int, size: int):
    draws = np.random.default_rng(2)
    found = [vendi(1 + draws.normal(size=(count, size))) for _ in range(150)]
    target = np.mean([entry.value for entry in found])
    hits = sum(entry.low <= target <= entry.high for entry in found)
    assert 0.95 * 150 - 4 * np.sqrt(150 * 0.95 * 0.05) <= hits
    widths = [(entry.high - entry.low) / 2 for entry in found]
    measured = np.std([entry.value for entry in found], ddof=1)
    assert 1.8 * measured < np.mean(widths) < 3.0 * measured


def test_what_has_no_score_is_refused():
    with pytest.raises(UsageError, match="n >= 20"):
        vendi(np.ones((19, 3)))
    with pytest.raises(UsageError, match="NaN"):
        vendi(np.full((20, 3), np.inf))
    with pytest.raises(UsageError, match="20 of 20 features are zero"):
        vendi(np.zeros((20, 3)))
    with pytest.raises(UsageError, match="diagonal of 1"):
        vendi(np.ones((20, 3)), lambda rows: rows @ rows.T)
