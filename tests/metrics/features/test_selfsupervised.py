"""Features learned without labels: the loss, the views, what they know, and their cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from undrift.errors import UsageError
from undrift.metrics.features import RandomFeatures, selfsupervised
from undrift.metrics.features.selfsupervised import SelfSupervisedFeatures, partner_loss, view
from undrift.randomness import generator


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    return images, data.target.astype(np.int64)


def test_the_loss_is_equation_1():
    torch.manual_seed(0)
    projections = torch.randn(6, 4, dtype=torch.float64)
    z = (projections / projections.norm(dim=1, keepdim=True)).numpy()
    wanted = []
    for i in range(6):
        scores = np.exp(z @ z[i] / 0.3)
        wanted.append(-np.log(scores[(i + 3) % 6] / (scores.sum() - scores[i])))
    assert partner_loss(projections, 0.3).item() == pytest.approx(np.mean(wanted), rel=1e-12)


def test_the_loss_of_nothing_learned_and_of_all():
    # all alike: every one of the 2B - 1 others is as likely the partner
    assert partner_loss(torch.ones(10, 3), 0.2).item() == pytest.approx(np.log(9), rel=1e-6)
    apart = torch.eye(5).repeat(2, 1)
    assert partner_loss(apart, 0.01).item() < 1e-6
    assert partner_loss(torch.eye(10), 0.01).item() == pytest.approx(np.log(9), rel=1e-6)


def test_a_view_without_changes_is_the_image(monkeypatch: pytest.MonkeyPatch):
    for name in ("_MOST_TURN", "_MOST_ZOOM", "_MOST_MOVE", "_MOST_CONTRAST"):
        monkeypatch.setattr(selfsupervised, name, 0.0)
    monkeypatch.setattr(selfsupervised, "_HOLE", -1.0)
    images = torch.randint(0, 256, (3, 2, 9, 14), dtype=torch.uint8)
    found = view(images, generator(0, "view"))
    torch.testing.assert_close(found, images.float(), atol=1e-3, rtol=0)


def test_a_turn_keeps_the_shape_of_what_it_turns(monkeypatch: pytest.MonkeyPatch):
    for name in ("_MOST_ZOOM", "_MOST_MOVE", "_MOST_CONTRAST"):
        monkeypatch.setattr(selfsupervised, name, 0.0)
    monkeypatch.setattr(selfsupervised, "_HOLE", -1.0)
    monkeypatch.setattr(selfsupervised, "_MOST_TURN", np.pi)
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(80.0), indexing="ij")
    disc = (rows - 19.5).square() + (columns - 39.5).square() < 144
    images = (disc * 200).to(torch.uint8).expand(8, 1, 40, 80)
    found = view(images, generator(0, "view"))
    # turned about its middle, a disc is a disc
    assert (found - images.float()).abs().mean() < 2


def test_views_differ_between_images_and_draws_and_stay_levels():
    images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8).expand(4, -1, -1, -1)
    found = view(images, generator(0, "view"))
    assert torch.equal(found, view(images, generator(0, "view")))
    assert not torch.equal(found, view(images, generator(1, "view")))
    assert min((found[i] - found[j]).abs().max().item() for i in range(4) for j in range(i)) > 1
    assert found.shape == images.shape


@pytest.mark.slow
def test_neighbours_show_the_same_digit_though_no_label_was_seen(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(selfsupervised, "_IMAGES_SEEN", 10_000)
    images, labels = digits
    spaces = [
        SelfSupervisedFeatures.fit(images[:1000], cache_directory=tmp_path),
        RandomFeatures.fit(images[:1000]),
    ]
    learned, random = (
        KNeighborsClassifier(5)
        .fit(space.features(images[:1000]), labels[:1000])
        .score(space.features(images[1000:]), labels[1000:])
        for space in spaces
    )
    assert learned > 0.93 > 0.85 > random
    found = spaces[0].features(images[:1000])
    assert found.var(axis=0, ddof=1).mean() == pytest.approx(1.0, rel=1e-4)


def test_cached_by_images_and_seed(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(selfsupervised, "_IMAGES_SEEN", 64)
    images = digits[0][:40]
    first = SelfSupervisedFeatures.fit(images, cache_directory=tmp_path)
    assert first.name.startswith("domain-ss@")
    elsewhere = SelfSupervisedFeatures.fit(images, cache_directory=tmp_path / "b")
    assert elsewhere.name == first.name
    trained: list[int] = []
    monkeypatch.setattr(selfsupervised, "descend", lambda *_, **__: trained.append(1))
    again = SelfSupervisedFeatures.fit(images, cache_directory=tmp_path)
    assert not trained
    assert again.name == first.name
    np.testing.assert_array_equal(again.features(images), first.features(images))
    other = images.copy()
    other[0, 0, 0] ^= 1
    SelfSupervisedFeatures.fit(other, cache_directory=tmp_path)
    SelfSupervisedFeatures.fit(images, seed=1, cache_directory=tmp_path)
    assert len(trained) == 2


@pytest.mark.parametrize("shape", [(1, 5, 1), (28, 20, 3), (200, 256, 4)])
def test_any_size_and_channel_count(
    shape: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(selfsupervised, "_IMAGES_SEEN", 16)
    images = np.random.default_rng(0).integers(0, 256, (8, *shape)).astype(np.uint8)
    found = SelfSupervisedFeatures.fit(images, cache_directory=tmp_path)
    assert found.features(images).shape == (8, found.dimension)
    assert np.isfinite(found.features(images)).all()


def test_too_few_images_are_refused(digits: tuple[np.ndarray, np.ndarray]):
    with pytest.raises(UsageError, match="at least 4"):
        SelfSupervisedFeatures.fit(digits[0][:3])


def test_a_large_set_costs_no_more_than_a_smaller_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    seen: list[tuple[int, float]] = []

    def counted(
        network: object, images: torch.Tensor, *_: object, passes: float, **__: object
    ) -> None:
        seen.append((len(images), passes))

    monkeypatch.setattr(selfsupervised, "descend", counted)
    monkeypatch.setattr(selfsupervised, "_MOST_IMAGES", 20)
    monkeypatch.setattr(selfsupervised, "_IMAGES_SEEN", 30)
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
    for count in (10, 20, 50):
        SelfSupervisedFeatures.fit(images[:count], cache_directory=tmp_path)
    assert seen == [(10, 3.0), (20, 1.5), (20, 1.5)]
