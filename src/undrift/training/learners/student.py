"""A few-step student as the training loop sees it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from undrift.codec import build_codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.conditioning.numbers import NumberEmbedding
from undrift.data.augmentation import flip_half
from undrift.data.loader import Batch
from undrift.diffusion import Denoiser, DenoisingObjective, parameterization
from undrift.distillation import (
    ConsistencyConfig,
    Estimate,
    MeanFlowConfig,
    ReflowConfig,
    carried,
    consistency_losses,
    flow_map_losses,
    mean_flow_losses,
    noised,
    reflow_losses,
    teachers_images,
)
from undrift.errors import UsageError
from undrift.json_types import JsonValue
from undrift.networks import build_network, lay_out, memory_format
from undrift.pipelines import DiffusionPipeline, Pipeline, StudentPipeline
from undrift.pipelines.diffusion.one_step import OneStep
from undrift.pipelines.student import StudentModel
from undrift.pipelines.student.model import bound_estimate
from undrift.randomness import Draws, generator, key
from undrift.schema import to_plain
from undrift.training.condition_gap import condition_gap, shuffled
from undrift.training.held_out import condition_at, pixels_at, spread
from undrift.training.learner import Loss, ParameterGroup, Phase, Progress, pipeline_as
from undrift.training.learners.student_config import PathConfig, StudentConfig

VALIDATION_IMAGES = 256
"""Held-out images in a validation, at most."""


LONGEST_END = 0.999
"""Time at the end of a flow map's step, at most, in units of that at its beginning."""


@dataclass(frozen=True, eq=False)
class NoisedBatch:
    """Clean images of a batch and what is drawn for them.

    Attributes:
        x0: (B, C, H, W).
        noise: standard normal, of x0's shape.
        quantiles: of the levels, (B,) float64.
        choice: uniform numbers, (B,) float64.
    """

    x0: Tensor
    noise: Tensor
    quantiles: Tensor
    choice: Tensor


class StudentLearner:
    """Trains a student of a teacher, or one without.

    Args:
        config: the student.
        seed: names the initial weights of what the teacher lacks.
        device: where to train.
        teacher: what to begin with and to learn from, frozen; None where ``config`` has none.
    """

    def __init__(
        self,
        config: StudentConfig,
        seed: int,
        device: torch.device | str = "cpu",
        teacher: DiffusionPipeline | None = None,
    ) -> None:
        self.config = config
        self.codec = build_codec(config.codec).to(device)
        self._seed = seed
        self._device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "weights"))
            encoder = ConditionEncoder(config.condition, config.width)
            channels, height, width = self.codec.latent_shape(config.spec.image_shape)
            network = build_network(
                config.network,
                channels=channels,
                size=(height, width),
                context=encoder.context_spec,
            )
        self._teacher = None
        if teacher is not None:
            self._teacher = teacher.to(device).model
            self._teacher.weights.eval().requires_grad_(False)
            begin_as(teacher, network, encoder)
        self.networks = nn.ModuleDict({"network": network, "encoder": encoder}).to(device)
        lay_out(network, self._device)
        self.buffers = nn.Module()
        rule = parameterization(config.parameterization, self.codec.sigma_data)
        self._denoiser = Denoiser(network, config.schedule, rule)
        self._encoder = encoder

    @property
    def averaged(self) -> Mapping[str, nn.Module]:
        """The student's network and the encoder of its conditions."""
        return {"network": self.networks["network"], "encoder": self.networks["encoder"]}

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """One group: the student."""
        student = nn.ModuleDict(dict(self.averaged))
        return (ParameterGroup("student", student, self.config.optimizer),)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase, at every step."""
        return (Phase("distill", "student"),)

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Losses of the rows of ``batch``."""
        x0, condition = self._clean(batch, draws)
        noise = draws.normal("noise", tuple(x0.shape[1:])).to(x0.device)
        quantiles = self._quantiles(draws)
        scale = self._scales(draws)
        student = self._estimate(self._denoiser, self._encoder, condition, len(x0), scale)
        batch_draws = NoisedBatch(x0, noise, quantiles, draws.uniform("end"))
        losses = self._losses(student, batch_draws, condition, scale, progress.fraction)
        return Loss(losses)

    def _quantiles(self, draws: Draws) -> Tensor:
        """Quantiles of the noise levels of these rows, (B,) float64."""
        return DenoisingObjective(self._path.levels).quantiles(draws)

    def _clean(self, batch: Batch, draws: Draws) -> tuple[Tensor, Condition]:
        """Images of ``batch`` in the model's space, and their condition, some of it dropped."""
        spec = self.config.spec.condition()
        condition, pixels = spec.select(batch.condition), batch.images
        if self.config.flip:
            pixels = flip_half(pixels, draws)
            condition = spec.moved(condition, lambda maps: flip_half(maps, draws))
        condition = spec.derived(condition, pixels, draws)
        condition = spec.vary(condition, draws)
        condition = spec.drop(condition, self.config.label_dropout, draws)
        x0 = self.codec.encode(pixels).contiguous(memory_format=memory_format(self._device))
        return x0, condition

    def _losses(
        self,
        student: Estimate,
        drawn: NoisedBatch,
        condition: Condition,
        scale: Tensor | None,
        fraction: float,
    ) -> Tensor:
        """Losses of the objective, (B,), after the share ``fraction`` of the run."""
        schedule, objective = self.config.schedule, self._path
        x0, device = drawn.x0, drawn.x0.device
        t = DenoisingObjective(objective.levels).times_at(schedule, drawn.quantiles).to(device)
        if isinstance(objective, ReflowConfig):
            x = teachers_images(
                lambda x_t, t, s: self._taught(x_t, t, condition, scale),
                drawn.noise,
                objective.pairs,
                schedule,
            )
            s = drawn.choice.to(device) * t
            return reflow_losses(student, x, drawn.noise, (t, s), schedule)
        x_t = noised(x0, drawn.noise, t, schedule)
        along = x0
        if scale is not None or objective.direction == "teacher":
            along = self._taught(x_t, t, condition, scale)
        if isinstance(objective, ConsistencyConfig):
            r = objective.lower_time(t, fraction, schedule)
            x_r = carried(along, x_t, t, r, schedule)
            return consistency_losses(student, x_t, x_r, t, r, schedule, objective.huber)
        s = objective.ends(drawn.quantiles, drawn.choice, schedule).to(device)
        s = torch.minimum(s, LONGEST_END * t)
        if isinstance(objective, MeanFlowConfig):
            level = schedule(t).like(x_t)
            noise = (x_t - level.alpha * along) / level.sigma
            return mean_flow_losses(student, along, noise, (t, s), schedule, objective)
        middle = objective.between(t, s, fraction, schedule)
        x_l = carried(along, x_t, t, middle, schedule)
        return flow_map_losses(student, x_t, x_l, along, (t, middle, s), schedule, objective.huber)

    def _held_out_losses(
        self, student: Estimate, drawn: NoisedBatch, condition: Condition, scale: Tensor | None
    ) -> Tensor:
        """Losses of a validation, (B,), which do not depend on how far the run is."""
        return self._losses(student, drawn, condition, scale, 1.0)

    @property
    def _path(self) -> PathConfig:
        """The objective, which compares points of a path."""
        objective = self.config.objective
        if not isinstance(objective, PathConfig):
            raise UsageError(f"method {self.config.method}: it has a learner of its own")
        return objective

    def _scales(self, draws: Draws) -> Tensor | None:
        """Guidance scales of these rows, (B,) float64; None without guidance."""
        if self.config.guidance is None:
            return None
        low, high = self.config.guidance
        return (low + (high - low) * draws.uniform("guidance scale")).to(self._device)

    def _estimate(
        self,
        denoiser: Denoiser,
        encoder: ConditionEncoder,
        condition: Condition,
        count: int,
        scale: Tensor | None,
    ) -> Estimate:
        known = len(self.config.spec.numbers)
        inputs = self.config.facts.inputs
        return bound_estimate(denoiser, encoder, inputs, known, condition, count, scale)

    @torch.no_grad()
    def _taught(self, x_t: Tensor, t: Tensor, condition: Condition, scale: Tensor | None) -> Tensor:
        """The teacher's estimate of clean images, under guidance where there is any."""
        if self._teacher is None:
            raise UsageError("this objective takes a teacher's direction; give it a teacher")
        count = len(x_t)
        x0 = self._teacher.denoiser(x_t, t, self._teacher.context(condition, count)).x0
        if scale is None:
            return x0
        away = self._teacher.denoiser(x_t, t, self._teacher.context(Condition(), count)).x0
        return away + scale.to(x0.dtype).reshape(-1, *[1] * (x0.ndim - 1)) * (x0 - away)

    def after_step(self, phase: str, statistics: Mapping[str, Tensor]) -> None:
        """Nothing adapts."""

    @torch.no_grad()
    def validate(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> Mapping[str, JsonValue]:
        """Mean loss on held-out images as at the end of the run, with the same noise always.

        Returns:
            ``loss``, and ``condition_gaps``: for each kind of condition what `condition_gap`
            returns, at one level, where the student has those of other images and its teacher has
            not.
        """
        count = min(len(images), VALIDATION_IMAGES)
        rows = spread(len(images), count)
        pixels = pixels_at(images, rows, self._device)
        x0 = self.codec.encode(pixels)
        made = generator(self._seed, "validation")
        noise = torch.randn(x0.shape, generator=made, dtype=torch.float32).to(self._device)
        quantiles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        order = torch.randperm(count, generator=made)
        choice = torch.rand(count, generator=made, dtype=torch.float64)
        drawn = NoisedBatch(x0, noise, quantiles[order], choice)
        spec = self.config.spec.condition()
        given = condition_at(spec, condition, rows, pixels, self._seed)
        model = pipeline_as(pipeline, StudentPipeline).model
        scale = None
        if self.config.guidance is not None:
            middle = sum(self.config.guidance) / 2
            scale = torch.full((count,), middle, dtype=torch.float64, device=self._device)

        def losses(one: Condition) -> Tensor:
            student = self._estimate(model.denoiser, model.encoder, one, count, scale)
            return self._held_out_losses(student, drawn, given, scale)

        right = losses(given)
        wrong = {
            name: to_plain(condition_gap(right[None], losses(one)[None]))
            for name, one in shuffled(spec, given, count, self._seed).items()
        }
        return {"loss": float(right.mean())} | ({"condition_gaps": wrong} if wrong else {})

    def one_step(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> OneStep | None:
        """None: what a student makes of a noisy image is no estimate of its mean."""
        return None

    def pipeline(self, weights: Mapping[str, Tensor] | None = None) -> StudentPipeline:
        """A pipeline of its own copy of the networks, in evaluation mode."""
        denoiser, encoder = copy.deepcopy((self._denoiser, self._encoder))
        if weights is not None:
            made = nn.ModuleDict({"network": denoiser.network, "encoder": encoder})
            own = {name: weights[name] for name in made.state_dict()}
            made.load_state_dict(own)
        denoiser.eval()
        encoder.eval()
        config = self.config
        return StudentPipeline(
            StudentModel(denoiser, encoder, self.codec, config.spec, config.network, config.facts)
        )


def begin_as(teacher: DiffusionPipeline, network: nn.Module, encoder: ConditionEncoder) -> None:
    """Copy a teacher's weights, so that a student's estimates are the teacher's own.

    What the teacher lacks gets weights of zero: a student's further inputs; or, where its network
    takes no vector at all, the projection of that vector.

    Raises:
        UsageError: if the networks differ in anything else.
    """
    theirs = teacher.denoiser.network.state_dict()
    missing = _copy(theirs, network)
    for name, parameter in network.named_parameters():
        if name in missing:
            nn.init.zeros_(parameter)
    source = {} if teacher.encoder is None else teacher.encoder.state_dict()
    numbers = {name: tensor for name, tensor in source.items() if name.startswith("numbers.")}
    _copy({name: t for name, t in source.items() if name not in numbers}, encoder)
    embedding = dict(encoder.named_children()).get("numbers")
    if isinstance(embedding, NumberEmbedding):
        known = len(teacher.spec.numbers)
        for name, parameter in embedding.named_parameters():
            with torch.no_grad():
                if known:
                    parameter[:known] = numbers[f"numbers.{name}"]
                if not missing:
                    parameter[known:] = 0


def _copy(source: Mapping[str, Tensor], module: nn.Module) -> set[str]:
    """Copy tensors by name; returns the names of ``module`` that the source lacks."""
    own = module.state_dict()
    for name, tensor in source.items():
        if name not in own or own[name].shape != tensor.shape:
            raise UsageError(
                f"teacher: {name} does not fit the student's network; distil a model of this "
                "version's own networks"
            )
        own[name].copy_(tensor)
    return set(own) - set(source)
