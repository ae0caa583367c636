"""The numbers of torchmetrics and prdc, on three pairs of feature sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from sklearn.datasets import load_digits

from undrift.metrics.frechet import frechet_distance
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.kernel import kernel_distance, subset_kernel_distance
from undrift.metrics.moments import Moments
from undrift.metrics.neighbourhoods import neighbourhoods

if TYPE_CHECKING:
    from torchmetrics import Metric

Pair = tuple[np.ndarray, np.ndarray]
"""Real and generated features."""


def gaussian() -> Pair:
    draws = np.random.default_rng(1)
    return draws.normal(size=(300, 16)), 0.1 + 0.9 * draws.normal(size=(250, 16))


def duplicates() -> Pair:
    # whole numbers, which prdc's cancelling distances get exactly right too
    draws = np.random.default_rng(2)
    points = draws.integers(-3, 4, (60, 5)).astype(float)
    return points[draws.integers(0, 60, 400)], points[draws.integers(0, 40, 300)]


def digits() -> Pair:
    # some pixels are always zero: covariances without full rank
    pixels = load_digits().data
    return pixels[:500], pixels[700:1100]


class AsTheyCome(torch.nn.Module):
    """An extractor for features that are there already."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def answer(oracle: Metric, pair: Pair) -> torch.Tensor:
    oracle.set_dtype(torch.float64)
    for rows, real in zip(pair, (True, False), strict=True):
        oracle.update(torch.from_numpy(rows), real=real)
    found = oracle.compute()
    return found if isinstance(found, torch.Tensor) else found[0]


@pytest.mark.parametrize("data", [gaussian, duplicates, digits])
@pytest.mark.parametrize("few", [False, True], ids=["", "fewer images than features"])
def test_frechet_distance_is_that_of_torchmetrics(data: Callable[[], Pair], few: bool):
    from torchmetrics.image.fid import FrechetInceptionDistance  # takes seconds, of each worker

    x, y = data()
    y = y[: x.shape[1] - 1] if few else y
    wanted = float(answer(FrechetInceptionDistance(feature=AsTheyCome(x.shape[1])), (x, y)))
    # roots of eigenvalues that are zero but for rounding, which the oracle counts
    margin = 1e-6 * max(1.0, wanted)
    assert frechet_distance(Moments.of(y), Moments.of(x)) == pytest.approx(wanted, abs=margin)
    assert frechet_distance(y, x) == pytest.approx(wanted, abs=margin)
    assert frechet_estimate(y, Moments.of(x)).value == pytest.approx(wanted, abs=margin)


@pytest.mark.parametrize("data", [gaussian, duplicates, digits])
def test_kernel_distance_is_that_of_torchmetrics(data: Callable[[], Pair]):
    from torchmetrics.image.kid import KernelInceptionDistance

    x, y = data()
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    with pytest.warns(UserWarning, match="buffer"):
        oracle = KernelInceptionDistance(feature=AsTheyCome(x.shape[1]), subsets=1, subset_size=n)
    wanted = float(answer(oracle, (x, y)))
    assert kernel_distance(y, x).value == pytest.approx(wanted, rel=1e-9, abs=1e-6)
    subsets = subset_kernel_distance(y, x, subset_size=n, subsets=2)
    assert subsets.mean == pytest.approx(wanted, rel=1e-9, abs=1e-6)
    assert subsets.deviation == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("data", [gaussian, duplicates, digits])
def test_neighbourhoods_are_those_of_prdc(
    data: Callable[[], Pair], capsys: pytest.CaptureFixture[str]
):
    x, y = data()
    for k in (1, 5):
        ours = neighbourhoods(x, y, k=k)
        for name, wanted in compute_prdc(x, y, nearest_k=k).items():
            assert getattr(ours, name).value == pytest.approx(float(wanted), abs=1e-12)
    capsys.readouterr()  # prdc prints
