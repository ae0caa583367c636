"""What a GAN learns from: losses, penalties, mirrored and augmented images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from undrift.data.loader import Batch
from undrift.gan import RelativisticPaired
from undrift.networks import Context
from undrift.randomness import Draws
from undrift.training.learner import Loss, Progress
from undrift.training.learners import gan
from undrift.training.learners.gan import GANLearner
from undrift.training.signals import StopSignals

from .games import GAMES, IMAGES, batch, trainer


def test_the_loss_is_the_games_with_its_penalties() -> None:
    """Recomputed from the statistics: relativistic loss + gamma (R1 + R2)."""
    game = replace(GAMES["r3gan"], augment=0.0)
    rows, draws = batch(IMAGES)
    loss = GANLearner(game, seed=0).loss("discriminator", rows, Progress(0, 10, 0, 0.0), draws)
    parts = loss.statistics
    wanted = RelativisticPaired().discriminator(parts["real_logit"], parts["fake_logit"])
    wanted = wanted + 0.05 * (parts["r1"] + parts["r2"])
    torch.testing.assert_close(loss.per_sample.detach(), wanted)
    late = GANLearner(game, seed=0).loss("discriminator", rows, Progress(10, 10, 0, 1.0), draws)
    assert late.per_sample.detach().sum() < loss.per_sample.detach().sum()  # gamma has fallen


def test_a_lazy_penalty_weighs_as_often_as_it_is_left_out() -> None:
    rows, draws = batch(IMAGES)
    loss = GANLearner(GAMES["stylegan2"], seed=0).loss("r1", rows, Progress(0, 10, 0, 0.0), draws)
    torch.testing.assert_close(loss.per_sample.detach(), 3 * 0.1 * loss.statistics["r1"])


def test_a_generators_step_leaves_no_gradients_with_the_discriminator() -> None:
    rows, draws = batch(IMAGES)
    learner = GANLearner(GAMES["sngan"], seed=0)
    learner.loss("generator", rows, Progress(0, 10, 0, 0.0), draws).per_sample.sum().backward()
    judging, drawing = learner.groups
    assert all(p.grad is None for p in judging.module.parameters())
    assert any(p.grad is not None for p in drawing.module.parameters())
    assert all(p.requires_grad for p in judging.module.parameters())


class Brightness(nn.Module):
    """Calls images real by their mean, or by its opposite; keeps what it saw."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign, self.seen = sign, []

    def forward(self, images: Tensor, context: Context) -> Tensor:
        self.seen.append(images.detach())
        return self.sign * images.mean((1, 2, 3))


class Black(nn.Module):
    """Draws nothing but black images."""

    latent = 4

    def forward(self, z: Tensor, context: Context) -> Tensor:
        return z.new_full((len(z), 1, 8, 8), -1.0).requires_grad_()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_augmentation_adapts_to_the_sign_of_augmented_reals_and_is_applied(
    sign: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reals are white, generated images black, and augmentation turns one into the other."""
    applied: list[float] = []

    def negative(images: Tensor, probability: float, draws: Draws) -> Tensor:
        applied.append(probability)
        return -images

    monkeypatch.setattr(gan, "transformed", negative)
    learner = GANLearner(GAMES["stylegan2"], seed=0)
    learner.buffers.augmentation.probability.fill_(0.5)
    judge = Brightness(sign)
    learner._discriminator, learner._generator = judge, Black()  # type: ignore[assignment]
    rows, draws = batch(IMAGES)
    white = Batch(torch.full_like(rows.images, 255), rows.condition)
    for _ in range(5):
        for phase in ("discriminator", "r1", "generator"):
            loss = learner.loss(phase, white, Progress(0, 10, 0, 0.0), draws)
            learner.after_step(phase, loss.statistics)
    # after four batches by 32 of 200 images: up where augmented reals, black, are called real
    moved = 0.5 - sign * 32 / 200
    assert applied == pytest.approx([0.5] * 14 + [moved] * 6)
    seen = [float(images.mean()) for images in judge.seen]
    assert seen == pytest.approx([-1, 1, -1, 1] * 5)  # reals, generated; reals; generated


def test_adaptive_augmentation_hears_every_step_of_a_run() -> None:
    run = trainer(GAMES["stylegan2"])
    adaptive, judged, heard = run.learner.buffers.augmentation, [], []
    update, loss = adaptive.update, run.learner.loss

    def hear(logits: Tensor) -> None:
        heard.append(logits)
        update(logits)

    def judge(phase: str, *asked: Any) -> Loss:
        found = loss(phase, *asked)
        if phase == "discriminator":
            judged.append(found.statistics["real_logit"])
        return found

    adaptive.update, run.learner.loss = hear, judge  # type: ignore[method-assign]
    run.run(StopSignals())
    assert len(heard) == 7 and all(torch.equal(a, b) for a, b in zip(heard, judged, strict=True))
    assert adaptive.batches == 3  # one adjustment and 3 batches


def test_the_critics_loss_holds_the_penalty_between_real_and_generated_images() -> None:
    rows, draws = batch(IMAGES)
    learner, given = GANLearner(GAMES["wgan_gp"], seed=0), []
    learner.networks["discriminator"].register_forward_pre_hook(
        lambda _, asked: given.append(asked[0].detach())
    )
    loss = learner.loss("discriminator", rows, Progress(0, 10, 0, 0.0), draws)
    parts = loss.statistics
    wanted = parts["fake_logit"] - parts["real_logit"] + 10.0 * parts["gradient_penalty"]
    torch.testing.assert_close(loss.per_sample.detach(), wanted)
    real, fake, between = given
    shares = (between - fake) / (real - fake)
    apart = (real - fake).abs() > 1e-2
    for share, where in zip(shares, apart, strict=True):
        assert share[where].std() < 1e-3 and 0 < share[where].mean() < 1  # one share an image
    assert len({round(float(s[w].mean()), 3) for s, w in zip(shares, apart, strict=True)}) == 8


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_reals_are_mirrored_half_the_time(phase: str) -> None:
    game = replace(GAMES["r3gan"], augment=0.0, flip=True)
    learner, given = GANLearner(game, seed=0), []
    learner.networks["discriminator"].register_forward_pre_hook(
        lambda _, asked: given.append(asked[0].detach())
    )
    rows, draws = batch(IMAGES, 64)
    learner.loss(phase, rows, Progress(0, 10, 0, 0.0), draws)
    plain = learner.codec.encode(rows.images)
    real = given[0 if phase == "discriminator" else 1]
    straight = [torch.equal(a, b) for a, b in zip(real, plain, strict=True)]
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(real, plain, strict=True)]
    assert all(a or b for a, b in zip(straight, mirrored, strict=True))
    assert 20 <= sum(mirrored) <= 44  # of 64: further off with probability 0.2 %
