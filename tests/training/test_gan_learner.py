"""GANs through the one training loop: phases, statistics, adaptive augmentation, exact resume."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from undrift.conditioning import Condition
from undrift.data import ImageSet
from undrift.errors import DivergedError, UsageError
from undrift.gan import Hinge, NonSaturating, RelativisticPaired, Wasserstein
from undrift.networks import Context
from undrift.networks.gan import DCGANConfig, R3GANConfig, SNGANConfig, StyleGAN2Config
from undrift.pipelines import SampleSpec
from undrift.randomness import Draws
from undrift.training.checkpoint import CheckpointStore
from undrift.training.learner import Batch, Loss, Progress
from undrift.training.learners import gan
from undrift.training.learners.gan import GANLearner
from undrift.training.learners.gan_config import GANConfig, PenaltyConfig
from undrift.training.learning_rate import LearningRate
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

from .small import ALONE, digits, plan

IMAGES = digits()
SPEC = SampleSpec(shape=(1, 8, 8), class_names=IMAGES.class_names, steps=1)
GAMES = {
    "r3gan": GANConfig(
        SPEC,
        network=R3GANConfig(width=8, latent=4, group_width=4, blocks=1),
        penalty=PenaltyConfig(r1=0.05, r2=0.05, end=0.1),
        augment=0.5,
        generator_optimizer=AdamWConfig(betas=(0.0, 0.99), beta2_start=0.9),
    ),
    "stylegan2": GANConfig(
        SPEC,
        network=StyleGAN2Config(width=4, latent=4, group=2),
        loss=NonSaturating(),
        penalty=PenaltyConfig(r1=0.1, every=3),
        adapt=200,
    ),
    "narrow": GANConfig(
        SPEC,
        network=R3GANConfig(width=8, latent=4, group_width=4, blocks=1, patch=2),
        penalty=PenaltyConfig(r1=0.05, r2=0.05, end=0.1),
    ),
    "sngan": GANConfig(
        SPEC, network=SNGANConfig(width=4, latent=4), loss=Hinge(), critic_steps=2, flip=True
    ),
    "wgan_gp": GANConfig(
        SPEC,
        network=SNGANConfig(width=4, latent=4, spectral_norm=False),
        loss=Wasserstein(),
        penalty=PenaltyConfig(two_sided=10.0),
        critic_steps=3,
    ),
    "dcgan": GANConfig(SPEC, network=DCGANConfig(width=4, latent=4), loss=NonSaturating()),
}


class Notes:
    """An observer that keeps events, and draws when it is asked to look."""

    def __init__(self, learner: GANLearner | None = None) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self._learner = learner

    def event(self, name: str, **entries: object) -> None:
        self.events.append((name, entries))

    def step(self, progress: Progress) -> None: ...

    def grid(self, progress: Progress, weights: dict[str, dict[str, Tensor]]) -> None:
        for tensors in weights.values():
            if self._learner is not None:
                self._learner.pipeline(tensors)(2)

    def of(self, name: str) -> list[dict[str, object]]:
        return [entries for kind, entries in self.events if kind == name]


def trainer(
    game: GANConfig,
    *,
    store: CheckpointStore | None = None,
    watched: bool = False,
    steps: int = 7,
    precision: Literal["float32", "bfloat16"] | None = None,
) -> Trainer:
    made = GANLearner(game, seed=0)
    settings = plan(
        steps=steps,
        batch_size=8,
        learning_rate=LearningRate(warm_up=0, decay=0),
        clip=1e3,
        checkpoint_every=1,
        keep=100,
        grid_every=1,
        validate_every=1,
        precision=precision or ("bfloat16" if game == GAMES["narrow"] else "float32"),
    )
    return Trainer(
        made,
        settings,
        IMAGES,
        validation=IMAGES if watched else None,
        world=ALONE,
        observer=Notes(made if watched else None) if watched or store else None,
        store=store,
    )


def state(done: Trainer) -> dict[str, Tensor]:
    return {
        **{f"network/{n}": t for n, t in done.learner.networks.state_dict().items()},
        **{f"buffers/{n}": t for n, t in done.learner.buffers.state_dict().items()},
        **{f"ema/{n}": t for n, t in done.ema.state().items()},
        **{f"optimizer/{n}": t for n, t in done._optimizer_state().items()},
    }


def differences(a: Trainer, b: Trainer) -> list[str]:
    ours, theirs = state(a), state(b)
    assert ours.keys() == theirs.keys()
    return [name for name in ours if not torch.equal(ours[name], theirs[name])]


def whole(game: GANConfig) -> Trainer:
    straight = trainer(game)
    straight.run(StopSignals())
    return straight


def cut(directory: Path, game: GANConfig, k: int, drop: str = "", watched: bool = True) -> Trainer:
    """Train k steps while looking as hard as can be, then everything anew to the end."""
    first = trainer(game, store=CheckpointStore(directory), watched=watched)
    first.run(StopSignals(), until=k)
    checkpoint = CheckpointStore(directory).newest()
    assert checkpoint is not None and checkpoint.step == k
    second = trainer(game, store=CheckpointStore(directory), watched=watched)
    untouched = {name: t.clone() for name, t in second.learner.buffers.state_dict().items()}
    second.restore(checkpoint)
    if drop == "buffers":
        second.learner.buffers.load_state_dict(untouched)
    if drop in second._optimizers:
        second._optimizers[drop][0].state.clear()
    second.run(StopSignals())
    return second


@pytest.mark.parametrize("name", GAMES)
def test_a_cut_run_is_bit_equal_to_a_whole_one(tmp_path: Path, name: str) -> None:
    """Step 4 is in the middle of everything: of R1's interval, the critic's turns, ADA's count."""
    assert differences(whole(GAMES[name]), cut(tmp_path, GAMES[name], 5)) == []


@pytest.mark.parametrize("drop", ["buffers", "generator", "discriminator"])
def test_a_checkpoint_without_it_fails(tmp_path: Path, drop: str) -> None:
    game = GAMES["stylegan2"]
    assert differences(whole(game), cut(tmp_path, game, 5, drop=drop, watched=False)) != []


def test_phases_run_when_they_are_due() -> None:
    def due(name: str) -> dict[str, list[int]]:
        learner = GANLearner(GAMES[name], seed=0)
        return {p.name: [s for s in range(6) if p.due(s)] for p in learner.phases}

    assert due("stylegan2") == {
        "discriminator": [0, 1, 2, 3, 4, 5],
        "r1": [0, 3],
        "generator": [0, 1, 2, 3, 4, 5],
    }
    assert due("wgan_gp") == {"discriminator": [0, 1, 2, 3, 4, 5], "generator": [2, 5]}


def test_a_narrow_run_is_another_but_its_weights_are_wide() -> None:
    narrow = whole(GAMES["narrow"])
    wide = trainer(GAMES["narrow"], precision="float32")
    wide.run(StopSignals())
    assert differences(narrow, wide) != []
    assert all(t.dtype == torch.float32 for t in narrow.learner.networks.state_dict().values())
    first, second = (run.learner.networks["network"].out.weight for run in (narrow, wide))
    assert 0 < (first - second).norm() < 0.05 * second.norm()


@pytest.mark.parametrize("name", GAMES)
def test_what_is_stored_of_an_average_makes_a_pipeline(name: str) -> None:
    """Batch norm counts its batches in whole numbers, which averages do not store."""
    run = trainer(GAMES[name], steps=3)
    run.run(StopSignals())
    first = f"{run.plan.ema[0]}/"
    kept = {n.removeprefix(first): t for n, t in run.ema.state().items() if n.startswith(first)}
    assert all(tensor.is_floating_point() for tensor in kept.values())
    live = run.learner.pipeline(run.ema.weights(run.plan.ema[0]))
    stored = GANLearner(GAMES[name], seed=5).pipeline(kept)
    assert np.array_equal(stored(4, seed=1).images, live(4, seed=1).images)


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}


def test_each_phase_moves_its_own_networks() -> None:
    run = trainer(GAMES["wgan_gp"])
    before = {n: t.clone() for n, t in run.learner.networks.state_dict().items()}
    run.run(StopSignals(), until=2)
    learnt = {n: t for n, t in run.learner.networks.state_dict().items() if "running" not in n}
    learnt = {n: t for n, t in learnt.items() if "num_batches" not in n}
    assert moved(before, learnt) == {"discriminator", "discriminator_encoder"}
    run.run(StopSignals(), until=3)
    assert {"network"} <= moved(before, learnt)


def batch(images: ImageSet, count: int = 8) -> tuple[Batch, Draws]:
    pixels = torch.from_numpy(np.ascontiguousarray(images.images[:count].transpose(0, 3, 1, 2)))
    condition = Condition({"labels": torch.from_numpy(images.labels[:count])})
    return Batch(pixels, condition), Draws(0, 0, count, 0, count)


def test_the_loss_is_the_games_with_its_penalties() -> None:
    """Recomputed from the statistics: relativistic loss + gamma (R1 + R2)."""
    game = replace(GAMES["r3gan"], augment=0.0)
    rows, draws = batch(IMAGES)
    loss = GANLearner(game, seed=0).loss("discriminator", rows, Progress(0, 10, 0), draws)
    parts = loss.statistics
    wanted = RelativisticPaired().discriminator(parts["real_logit"], parts["fake_logit"])
    wanted = wanted + 0.05 * (parts["r1"] + parts["r2"])
    torch.testing.assert_close(loss.per_sample.detach(), wanted)
    late = GANLearner(game, seed=0).loss("discriminator", rows, Progress(10, 10, 0), draws)
    assert late.per_sample.detach().sum() < loss.per_sample.detach().sum()  # gamma has fallen


def test_a_lazy_penalty_weighs_as_often_as_it_is_left_out() -> None:
    rows, draws = batch(IMAGES)
    loss = GANLearner(GAMES["stylegan2"], seed=0).loss("r1", rows, Progress(0, 10, 0), draws)
    torch.testing.assert_close(loss.per_sample.detach(), 3 * 0.1 * loss.statistics["r1"])


def test_a_generators_step_leaves_no_gradients_with_the_discriminator() -> None:
    rows, draws = batch(IMAGES)
    learner = GANLearner(GAMES["sngan"], seed=0)
    learner.loss("generator", rows, Progress(0, 10, 0), draws).per_sample.sum().backward()
    judging, drawing = learner.groups
    assert all(p.grad is None for p in judging.module.parameters())
    assert any(p.grad is not None for p in drawing.module.parameters())
    assert all(p.requires_grad for p in judging.module.parameters())


def latents(steps: int) -> list[Tensor]:
    """What the generator is given in ``steps`` steps, two times in each."""
    run, given = trainer(GAMES["dcgan"]), []
    run.learner.networks["network"].register_forward_pre_hook(
        lambda _, asked: given.append(asked[0])
    )
    run.run(StopSignals(), until=steps)
    return given


def test_each_step_of_either_side_has_latents_of_its_own_and_always_the_same() -> None:
    given = latents(2)
    assert [z.shape for z in given] == [(8, 4)] * 4
    apart = [not torch.equal(a, b) for a, b in itertools.combinations(given, 2)]
    assert all(apart)
    assert all(torch.equal(a, b) for a, b in zip(given, latents(2), strict=True))


def test_the_log_tells_of_every_phase_and_of_held_out_reals() -> None:
    run = trainer(GAMES["stylegan2"], watched=True, steps=4)
    run.run(StopSignals())
    train = run._observer.of("train")[0]
    assert set(train["phases"]) == {"discriminator", "r1", "generator"}
    first = train["phases"]["discriminator"]
    assert {"loss", "grad_norm", "real_sign", "fake_sign", "augment"} <= set(first)
    assert train["loss"] == first["loss"] and "level_losses" not in train
    looked = run._observer.of("validation")[0]
    assert 0 <= looked["accuracy"] <= 1 and -1 <= looked["real_sign"] <= 1


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
            loss = learner.loss(phase, white, Progress(0, 10, 0), draws)
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


@pytest.mark.parametrize("name", GAMES)
def test_a_checkpoints_averages_which_have_no_counters_make_a_pipeline(name: str) -> None:
    learner = GANLearner(GAMES[name], seed=0)
    weights = {
        f"{part}.{key}": tensor + 0.01
        for part, module in learner.averaged.items()
        for key, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }
    made = learner.pipeline(weights).state_dict()
    assert all(torch.equal(made[key], tensor) for key, tensor in weights.items())


def test_a_generator_that_stays_broken_ends_the_run() -> None:
    run = trainer(GAMES["dcgan"], steps=30)
    original = run.learner.loss

    def loss(phase: str, rows: Batch, progress: Progress, draws: Draws) -> Loss:
        found = original(phase, rows, progress, draws)
        factor = float("nan") if phase == "generator" else 1.0
        return Loss(found.per_sample * factor, found.statistics)

    run.learner.loss = loss  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match="10 updates in a row"):
        run.run(StopSignals())


def poisoned(name: str, call: int) -> Trainer:
    """A run whose generator is given an infinite number when it is called for the n-th time."""
    run, calls = trainer(GAMES[name], steps=9), itertools.count(1)

    def poison(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        z = given[0].clone()
        z[0, 0] = float("inf") if next(calls) == call else z[0, 0]
        return z, *given[1:]

    run.learner.networks["network"].register_forward_pre_hook(poison)
    return run


@pytest.mark.parametrize("name", ["dcgan", "sngan", "wgan_gp"])
def test_one_infinite_number_is_skipped_and_leaves_nothing_in_batch_norms(name: str) -> None:
    """It reaches their averages before anybody knows; generated images would be lost for ever."""
    run = poisoned(name, 3)
    run.run(StopSignals())
    assert run.guard.skipped == 1 and run.guard.consecutive == 0
    assert all(tensor.isfinite().all() for tensor in state(run).values())


def test_a_skipped_update_leaves_the_buffers_as_they_were() -> None:
    run = poisoned("dcgan", 6)  # two calls a step: the generator's own update of step 3
    kept: list[dict[str, Tensor]] = []
    judge = run.learner.networks["discriminator"]

    def snapshot(*_: object) -> None:
        kept.append({n: b.clone() for n, b in run.learner.networks.named_buffers()})

    run.guard.accept, accept = (lambda *a: (snapshot(), accept(*a))[1]), run.guard.accept
    run.run(StopSignals(), until=3)
    assert run.guard.skipped == 1 and judge is run.learner.networks["discriminator"]
    after_the_judges_update, when_refused = kept[-2:]
    now = dict(run.learner.networks.named_buffers())
    floats = [name for name, buffer in now.items() if buffer.is_floating_point()]
    assert any(not torch.equal(when_refused[n], now[n]) for n in floats)
    assert all(torch.equal(after_the_judges_update[n], now[n]) for n in floats)


def test_a_penalty_that_breaks_once_does_not_hold_up_the_average() -> None:
    """It is taken on every third step: the average goes on with the next step, not after three."""
    run, broken = trainer(GAMES["stylegan2"]), []
    original = run.learner.loss

    def loss(phase: str, rows: Batch, progress: Progress, draws: Draws) -> Loss:
        found = original(phase, rows, progress, draws)
        factor = float("nan") if phase == "r1" and progress.step == 0 else 1.0
        return Loss(found.per_sample * factor, found.statistics)

    run.learner.loss = loss  # type: ignore[method-assign]
    for steps, images in ((1, 0), (2, 16), (3, 24)):
        run.run(StopSignals(), until=steps)
        broken.append(run.guard.consecutive)
        assert run.ema.images == images
    assert broken == [1, 1, 1]  # checkpoints wait for the penalty to be well again


def test_what_is_generated_without_end_is_watched_without_diversity() -> None:
    learner = GANLearner(GAMES["dcgan"], seed=0)
    with torch.no_grad():
        for parameter in learner.networks["network"].parameters():
            parameter.fill_(float("inf"))
    found = learner.validate(None, IMAGES.images, IMAGES.labels)
    assert found["fake_logit"] is None and "diversity" not in found


def test_the_critics_loss_holds_the_penalty_between_real_and_generated_images() -> None:
    rows, draws = batch(IMAGES)
    learner, given = GANLearner(GAMES["wgan_gp"], seed=0), []
    learner.networks["discriminator"].register_forward_pre_hook(
        lambda _, asked: given.append(asked[0].detach())
    )
    loss = learner.loss("discriminator", rows, Progress(0, 10, 0), draws)
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
    learner.loss(phase, rows, Progress(0, 10, 0), draws)
    plain = learner.codec.encode(rows.images)
    real = given[0 if phase == "discriminator" else 1]
    straight = [torch.equal(a, b) for a, b in zip(real, plain, strict=True)]
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(real, plain, strict=True)]
    assert all(a or b for a, b in zip(straight, mirrored, strict=True))
    assert 20 <= sum(mirrored) <= 44  # of 64: further off with probability 0.2 %


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="only R1 alone"):
        PenaltyConfig(r1=1.0, r2=1.0, every=4)
    with pytest.raises(UsageError, match="not both"):
        GANConfig(SPEC, augment=0.1, adapt=100)
