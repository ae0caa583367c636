"""Students that are trained beside a second network: a discriminator, or a fake score."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from undrift.conditioning import Condition, ConditionEncoder
from undrift.data.loader import Batch
from undrift.diffusion import Denoiser, DenoisingObjective, EDMWeight
from undrift.distillation import (
    AdversarialFlowConfig,
    MatchingConfig,
    ProgressiveConfig,
    difference_penalty,
    discriminator_losses,
    few_step_times,
    generator_losses,
    matching_losses,
    noised,
    with_gradient_size,
)
from undrift.errors import UsageError
from undrift.json_types import JsonValue
from undrift.networks import lay_out
from undrift.networks.gan import build_discriminator
from undrift.pipelines import DiffusionPipeline, Pipeline, StudentPipeline
from undrift.randomness import Draws, key
from undrift.sampling import ImageNoise
from undrift.training.held_out import condition_at, pixels_at, spread
from undrift.training.learner import Loss, ParameterGroup, Phase, Progress, pipeline_as
from undrift.training.learners.gan import frozen, named
from undrift.training.learners.student import VALIDATION_IMAGES, StudentLearner
from undrift.training.learners.student_config import StudentConfig
from undrift.training.learners.student_progressive import ProgressiveStudentLearner
from undrift.training.optimizers import AdamWConfig

FEWEST = 4
"""Images that `kernel_distance` takes at least."""


class RivalLearner(StudentLearner):
    """A student beside a second network, whose losses do not measure the quality of images."""

    @torch.no_grad()
    def validate(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> Mapping[str, JsonValue]:
        """Kernel distance of samples to held-out images, with the same noise every time.

        Returns:
            ``sample_distance``: the unbiased estimate of KID on the values of the model's space,
            of samples under the conditions of the images; nothing of fewer than 4 images.
        """
        count = min(len(images), VALIDATION_IMAGES)
        if count < FEWEST:
            return {}
        rows = spread(len(images), count)
        pixels = pixels_at(images, rows, self._device)
        given = condition_at(self.config.spec.condition(), condition, rows, pixels, self._seed)
        drawing = pipeline_as(pipeline, StudentPipeline)
        scale = 1.0 if self.config.guidance is None else sum(self.config.guidance) / 2
        noise = ImageNoise(key(self._seed, "validation"), range(count))
        samples = drawing.drawn(given, noise, [scale] * count)
        known = self.codec.encode(pixels)
        made, real = (x.flatten(1).double().cpu().numpy() for x in (samples, known))
        from undrift.metrics.kernel import kernel_distance

        return {"sample_distance": kernel_distance(made, real).value}


class AdversarialStudentLearner(RivalLearner):
    """Trains a student of one step against a discriminator; arguments of `StudentLearner`."""

    def __init__(
        self,
        config: StudentConfig,
        objective: AdversarialFlowConfig,
        seed: int,
        device: torch.device | str = "cpu",
        teacher: DiffusionPipeline | None = None,
    ) -> None:
        super().__init__(config, seed, device, teacher)
        self._objective = objective
        channels, height, width = self.codec.latent_shape(config.spec.image_shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "discriminator"))
            encoder = ConditionEncoder(config.spec.condition(), config.width)
            discriminator = build_discriminator(
                objective.discriminator,
                channels=channels,
                size=(height, width),
                context=encoder.context_spec,
            )
        self.networks["discriminator"] = discriminator.to(device)
        self.networks["discriminator_encoder"] = encoder.to(device)
        lay_out(discriminator, self._device)
        self._discriminator, self._discriminator_encoder = discriminator, encoder

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """Discriminator and student, each with its encoder."""
        trained = nn.ModuleDict(
            {"network": self._discriminator, "encoder": self._discriminator_encoder}
        )
        adam = AdamWConfig(learning_rate=self._objective.discriminator_rate, betas=(0.0, 0.99))
        return (ParameterGroup("discriminator", trained, adam), *super().groups)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The discriminator, then the student."""
        return (Phase("discriminator", "discriminator"), Phase("student", "student"))

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Losses of the rows of ``batch`` in one of the phases."""
        real, condition = self._clean(batch, draws)
        z = named(draws, phase).normal("noise", tuple(real.shape[1:])).to(real.device)
        start = torch.ones(len(real), dtype=torch.float64, device=real.device)
        student = self._estimate(self._denoiser, self._encoder, condition, len(real), None)
        sigma = self.config.schedule(start).like(z).sigma
        if phase == "discriminator":
            with torch.no_grad():
                fake = student(sigma * z, start, torch.zeros_like(start))
            return self._discriminate(real, fake, condition, draws)
        fake = student(sigma * z, start, torch.zeros_like(start))
        with frozen(self._discriminator, self._discriminator_encoder):
            context = self._discriminator_encoder(condition, len(real))
            size = 1 / (fake[0].numel() * draws.total)
            fake_logit = self._discriminator(with_gradient_size(fake, size), context).float()
            real_logit = self._discriminator(real, context).float()
        weight = self._objective.transport_weight(progress.fraction)
        losses = generator_losses(real_logit, fake_logit, fake - z, weight)
        return Loss(losses, {"fake_logit": fake_logit.detach()})

    def _discriminate(self, real: Tensor, fake: Tensor, condition: Condition, draws: Draws) -> Loss:
        objective, count = self._objective, len(real)
        context = self._discriminator_encoder(condition, count)
        real_logit = self._discriminator(real, context).float()
        fake_logit = self._discriminator(fake, context).float()
        losses = discriminator_losses(real_logit, fake_logit, objective.centring)
        if objective.gamma and objective.penalised:
            noise = draws.normal("shift", tuple(real.shape[1:])).to(real.device)
            taken = (draws.uniform("penalised") < objective.penalised).to(losses)
            weight = objective.gamma / objective.penalised * taken
            for images, logit in ((real, real_logit), (fake, fake_logit)):
                moved = self._discriminator(images + objective.shift * noise, context).float()
                losses = losses + weight * difference_penalty(logit, moved, objective.shift)
        return Loss(losses, {"real_logit": real_logit.detach(), "fake_logit": fake_logit.detach()})


class MatchingStudentLearner(RivalLearner):
    """Trains a student by the difference of two denoisers; arguments of `StudentLearner`."""

    def __init__(
        self,
        config: StudentConfig,
        objective: MatchingConfig,
        seed: int,
        device: torch.device | str = "cpu",
        teacher: DiffusionPipeline | None = None,
    ) -> None:
        super().__init__(config, seed, device, teacher)
        if self._teacher is None:
            raise UsageError("distribution matching needs a teacher; give it one")
        self._objective = objective
        network, encoder = copy.deepcopy((self._teacher.denoiser.network, self._teacher.encoder))
        self._fake = Denoiser(network.train(), config.schedule, self._denoiser.parameterization)
        self._fake_encoder = encoder
        fake = {"fake": network} | ({} if encoder is None else {"fake_encoder": encoder.train()})
        for name, module in fake.items():
            self.networks[name] = module.requires_grad_(True)

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """The fake score and the student, each with its encoder."""
        modules = {name: self.networks[name] for name in self.networks if name.startswith("fake")}
        group = ParameterGroup("fake", nn.ModuleDict(modules), self.config.optimizer)
        return (group, *super().groups)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The fake score at every step, the student at every k-th."""
        every = self._objective.every
        return (Phase("fake", "fake"), Phase("student", "student", every=every, offset=every - 1))

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Losses of the rows of ``batch`` in one of the phases."""
        real, condition = self._clean(batch, draws)
        scale, draws = self._scales(draws), named(draws, phase)
        count, schedule = len(real), self.config.schedule
        with torch.set_grad_enabled(phase == "student"):
            x = self._sampled(condition, count, scale, draws)
        objective = DenoisingObjective(self._objective.levels, EDMWeight())
        context = None if self._fake_encoder is None else self._fake_encoder(condition, count)
        if phase == "fake":
            return Loss(objective(self._fake, x, context, draws).per_sample)
        t = objective.times(schedule, draws).to(x.device)
        noise = draws.normal("level noise", tuple(x.shape[1:])).to(x.device)
        with torch.no_grad():
            x_t = noised(x, noise, t, schedule)
            taught = self._taught(x_t, t, condition, scale)
            fake = self._fake(x_t, t, context).x0
        return Loss(matching_losses(x, taught, fake))

    def _sampled(
        self, condition: Condition, count: int, scale: Tensor | None, draws: Draws
    ) -> Tensor:
        """Images of the student after a random number of its steps; the last one has a gradient."""
        schedule, spec = self.config.schedule, self.config.spec
        student = self._estimate(self._denoiser, self._encoder, condition, count, scale)
        times = few_step_times(spec.steps, self.config.facts.level, schedule).to(self._device)
        last = int(float(draws.part(0, 1).uniform("steps")[0]) * spec.steps)
        latent_shape = self.codec.latent_shape(spec.image_shape)
        zero = torch.zeros(count, dtype=torch.float64, device=self._device)
        x0 = zero
        for k in range(last + 1):
            noise = draws.normal(f"noise {k}", latent_shape).to(self._device)
            t = times[k].expand(count)
            x_t = noised(x0, noise, t, schedule) if k else schedule(t).like(noise).sigma * noise
            with torch.set_grad_enabled(torch.is_grad_enabled() and k == last):
                x0 = student(x_t, t, zero)
        return x0


def student_learner(
    config: StudentConfig,
    seed: int,
    device: torch.device | str = "cpu",
    teacher: DiffusionPipeline | None = None,
) -> StudentLearner:
    """The learner of a student's method; arguments of `StudentLearner`."""
    match config.objective:
        case AdversarialFlowConfig() as objective:
            return AdversarialStudentLearner(config, objective, seed, device, teacher)
        case MatchingConfig() as objective:
            return MatchingStudentLearner(config, objective, seed, device, teacher)
        case ProgressiveConfig() as objective:
            return ProgressiveStudentLearner(config, objective, seed, device, teacher)
    return StudentLearner(config, seed, device, teacher)
