"""How the game stands: rates by hand, unseen images, batch norm, collapse, looks that are free."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.mutation import mutated
from torch import Tensor, nn

from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec
from undrift.data.loader import Batch
from undrift.networks import Context
from undrift.training.learners import gan_diagnostics
from undrift.training.learners.gan_diagnostics import RecentBatches, diagnostics, diversity, usable

DEAF = ConditionEncoder(ConditionSpec(), 1)


class Brightness(nn.Module):
    """f(x) is the mean of x plus a constant."""

    def __init__(self, constant: float = 0.0) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return x.mean((1, 2, 3)) + self.constant


class Normed(nn.Module):
    """Batch norm, then the mean square."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.norm(x).square().mean((1, 2, 3))


def grey(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()


def stand(
    judge: nn.Module, held_out: Tensor, generated: Tensor, seen: Tensor | None = None
) -> dict[str, float | None]:
    known = None if seen is None else (seen, Condition())
    return diagnostics(
        judge, DEAF, held_out=held_out, generated=generated, condition=Condition(), seen=known
    )


def test_rates_by_hand() -> None:
    found = stand(
        Brightness(), grey(3.0, 1.0, -1.0, 1.0), grey(-2.0, -2.0, 2.0, 0.0), grey(5.0, 5.0)
    )
    assert found["accuracy"] == pytest.approx((0.75 + 0.5) / 2)
    assert found["real_logit"] == 1.0 and found["fake_logit"] == -0.5 and found["seen_logit"] == 5.0
    assert (found["real_sign"], found["fake_sign"], found["seen_sign"]) == (0.5, -0.25, 1.0)
    # 3 beats all four, each 1 beats three of four, -1 beats two
    assert found["ranking"] == pytest.approx((4 + 3 + 3 + 2) / 16)
    assert found["overfitting"] == pytest.approx((5 - 1) / (5 + 0.5))


def test_a_constant_in_the_logit_moves_neither_ranking_nor_overfitting() -> None:
    images = grey(3.0, 1.0, 1.0), grey(-2.0, 2.0, 1.0), grey(5.0)
    plain, moved = (stand(Brightness(c), *images) for c in (0.0, 100.0))
    assert moved["ranking"] == plain["ranking"] == pytest.approx((3 + 1.5 + 1.5) / 9)
    assert moved["overfitting"] == pytest.approx(plain["overfitting"])
    assert moved["accuracy"] == 0.5 != plain["accuracy"]


def test_images_that_nobody_saw_show_overfitting() -> None:
    memory = stand(Brightness(), grey(-2.0, -2.1), grey(-2.0, -2.1), grey(4.0, 4.0))
    judgement = stand(Brightness(), grey(4.0, 4.1), grey(-2.0, -2.1), grey(4.0, 4.1))
    assert memory["overfitting"] == pytest.approx(1, abs=1e-6)
    assert judgement["overfitting"] == pytest.approx(0, abs=1e-6)


def test_what_is_not_finite_or_not_known_is_none() -> None:
    found = stand(Brightness(), grey(1.0), grey(math.nan), grey(1.0))
    assert found["fake_logit"] is None and found["ranking"] is None and found["overfitting"] is None
    assert found["real_logit"] == 1.0
    assert "overfitting" not in stand(Brightness(), grey(1.0), grey(0.0))


def test_batch_norm_judges_by_the_batch_and_is_left_alone() -> None:
    """Held-out images of another scale: by its own statistics a batch has a mean square of 1."""
    judge = Normed().eval()
    with torch.no_grad():
        before = {name: value.clone() for name, value in judge.state_dict().items()}
        images = 5 + 3 * torch.randn(32, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        found = stand(judge, images, images)
        assert found["real_logit"] == pytest.approx(1, abs=1e-3)
        assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())
        wrong = mutated(
            gan_diagnostics, "deepcopy(discriminator).train()", "deepcopy(discriminator)"
        )
        asked = {"held_out": images, "generated": images, "condition": Condition(), "seen": None}
        assert wrong.diagnostics(judge, DEAF, **asked)["real_logit"] > 10


def levels(*rows: list[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.uint8)[:, None, :, None]


def test_diversity_by_hand() -> None:
    """Three images of two pixels: 0 0, 0 255 and 255 255."""
    images = levels([0, 0], [0, 255], [255, 255])
    half = math.sqrt(1 / 2)
    assert diversity(images, None) == {"diversity": pytest.approx((half + half + 1) / 3)}
    found = diversity(images, torch.tensor([0, 0, 1]))
    assert found["class_diversity"] == pytest.approx(half)
    assert diversity(images, torch.tensor([0, 1, 2]))["class_diversity"] is None


def test_one_image_of_each_class_is_seen_within_classes_only() -> None:
    labels = torch.arange(4).repeat(8)
    collapsed = levels(*[[60 * int(k), 0] for k in labels])
    found = diversity(collapsed, labels)
    assert found["class_diversity"] == 0 < found["diversity"]


def test_large_images_are_compared_shrunk() -> None:
    fine = torch.zeros(2, 1, 64, 64, dtype=torch.uint8)
    fine[1, :, ::2] = 255  # stripes of one pixel are grey at half the size
    assert diversity(fine, None)["diversity"] == pytest.approx(0.5)


def test_recent_batches_are_the_newest_whole_groups() -> None:
    recent = RecentBatches()
    assert recent.newest() is None
    for number in range(9):
        labels = torch.full((48,), number)
        recent.add(Batch(labels[:, None, None, None], Condition({"labels": labels})))
    kept = recent.newest()
    assert kept is not None and len(kept.images) == 256
    assert torch.equal(kept.images.flatten(), kept.condition["labels"])
    assert kept.condition["labels"].unique().tolist() == [3, 4, 5, 6, 7, 8]
    assert len(recent._batches) == 6


def test_counts_keep_groups_of_the_minibatch_deviation_whole() -> None:
    """251 is a prime: with groups of one, the deviation would be that of a collapsed generator."""
    assert [usable(n) for n in (1000, 256, 251, 40, 31, 7, 3, 1)] == [
        256,
        256,
        224,
        32,
        24,
        4,
        2,
        1,
    ]
