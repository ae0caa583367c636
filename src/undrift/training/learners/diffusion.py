"""A diffusion model as the training loop sees it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from undrift.codec import CodecConfig, build_codec
from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec
from undrift.data.augmentation import PARAMETERS, Augmentation, flip_half
from undrift.data.loader import Batch
from undrift.data.scatter import on_plane
from undrift.diffusion import (
    VE,
    Denoiser,
    DenoisingObjective,
    EDMWeight,
    LogNormal,
    NoiseLevels,
    Objective,
    Schedule,
    Weighting,
    parameterization,
)
from undrift.errors import UsageError
from undrift.json_types import JsonObject, JsonValue
from undrift.likelihood import BoundMethod, Scorer, ValueGrid
from undrift.likelihood.learned import LearnedSchedule, VariationalConfig, VariationalObjective
from undrift.limits import WIDEST
from undrift.networks import (
    NetworkConfig,
    UNetConfig,
    build_network,
    lay_out,
    memory_format,
)
from undrift.pipelines import DiffusionPipeline, Pipeline, SampleSpec
from undrift.pipelines.diffusion.one_step import OneStep, denoise_once
from undrift.randomness import Draws, generator, key
from undrift.schema import check_ranges, to_plain
from undrift.training.condition_gap import condition_gap, shuffled
from undrift.training.gaussian import error as gaussian_error
from undrift.training.held_out import condition_at, pixels_at, spread
from undrift.training.learner import Loss, ParameterGroup, Phase, Progress, pipeline_as
from undrift.training.optimizers import AdamWConfig, OptimizerConfig

VALIDATION_LOG_SNR = (7.0, -5.0)
"""Cleanest and noisiest level of the validation curve: noise of 0.03 to 12 standard deviations."""

VALIDATION_LEVELS = 10
VALIDATION_VALUES = 2**18
"""Image values evaluated per level, so that a validation is cheap: 256 images of 32 x 32 x 1."""

ONE_STEP_IMAGES = 6


@dataclass(frozen=True)
class DiffusionConfig:
    """A diffusion model, conditional on classes and numbers or not, and its objective.

    Attributes:
        spec: image shape, classes and sampling defaults.
        codec: between images and the network's space.
        network: None for a network that the user brings.
        width: length of the encoded condition.
        schedule: Gaussian path.
        parameterization: what the network predicts: epsilon, x0, v, flow or edm.
        levels: distribution of training noise levels.
        weighting: weight of the error at each level.
        label_dropout: share of labels, captions, each number and each map dropped, for
            classifier-free guidance.
        flip: mirror images at random.
        augment: probability of each non-leaky augmentation.
        optimizer: how the network is updated.
        compile: compile the network.
        likelihood: train the variational bound over these levels, in place of ``levels`` and
            ``weighting``.
    """

    spec: SampleSpec
    codec: CodecConfig
    network: NetworkConfig | None = field(default_factory=UNetConfig)
    width: int = 128
    schedule: Schedule = field(default_factory=VE)
    parameterization: str = "edm"
    levels: NoiseLevels = field(default_factory=LogNormal)
    weighting: Weighting = field(default_factory=EDMWeight)
    label_dropout: float = 0.1
    flip: bool = False
    augment: float = 0.0
    optimizer: OptimizerConfig = field(default_factory=AdamWConfig)
    compile: bool = False
    likelihood: VariationalConfig | None = None

    @property
    def condition(self) -> ConditionSpec:
        """The conditions that the network takes."""
        return self.spec.condition(PARAMETERS if self.augment else 0)

    def __post_init__(self) -> None:
        check_ranges(self, "model", width=(1, WIDEST))
        for name in ("label_dropout", "augment"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} {getattr(self, name)}: wanted a share from 0 to 1")


class DiffusionLearner:
    """Trains a denoiser, and the encoder of its conditions, on one objective.

    Args:
        config: the model.
        seed: names the initial weights.
        device: where to train.
        network: the user's own network, if ``config.network`` is None.
        eigenvalues: of the training data's covariance in the model's space, for the reference curve
            of the validation; None leaves the curve out.
    """

    def __init__(
        self,
        config: DiffusionConfig,
        seed: int,
        device: torch.device | str = "cpu",
        network: nn.Module | None = None,
        eigenvalues: Tensor | None = None,
    ) -> None:
        codec = build_codec(config.codec)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "weights"))
            encoder = ConditionEncoder(config.condition, config.width)
            if network is None:
                channels, height, width = codec.latent_shape(config.spec.image_shape)
                network = build_network(
                    _required(config.network),
                    channels=channels,
                    size=(height, width),
                    context=encoder.context_spec,
                )
        rule = parameterization(config.parameterization, codec.sigma_data)
        denoiser = Denoiser(network, config.schedule, rule)
        self._start(config, seed, device, eigenvalues, denoiser, encoder)
        self.networks = nn.ModuleDict({"network": network, "encoder": encoder}).to(device)
        # A network of the user's may count on plain strides.
        if config.network is not None:
            lay_out(network, self._device)
            self._layout = memory_format(self._device)
        if config.likelihood is not None:
            self._schedule = LearnedSchedule(config.likelihood.span, config.likelihood.bins)
            self.buffers.add_module("schedule", self._schedule.to(device))
            self._objective = VariationalObjective(self._schedule)
        if config.compile:
            network.compile()

    def _start(
        self,
        config: DiffusionConfig,
        seed: int,
        device: torch.device | str,
        eigenvalues: Tensor | None,
        denoiser: Denoiser,
        encoder: ConditionEncoder,
    ) -> None:
        """What every learner of a denoiser has, whichever part of it is trained."""
        self.config = config
        self.codec = build_codec(config.codec).to(device)
        self._seed = seed
        self._device = torch.device(device)
        self._eigenvalues = eigenvalues
        self._layout = torch.contiguous_format
        self.buffers = nn.Module()
        self._schedule: LearnedSchedule | None = None
        self._objective: Objective = DenoisingObjective(config.levels, config.weighting)
        self._denoiser, self._encoder = denoiser, encoder

    @property
    def averaged(self) -> Mapping[str, nn.Module]:
        """The denoising network and the encoder of its conditions."""
        return {name: module for name, module in self.networks.items()}

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """One group: everything."""
        return (ParameterGroup("denoiser", self.networks, self.config.optimizer),)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase, at every step."""
        return (Phase("denoise", "denoiser"),)

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Denoising losses of the rows of ``batch``."""
        spec = self._encoder.spec
        condition = self._taken(batch.condition)
        pixels = batch.images
        if self.config.flip:
            pixels = flip_half(pixels, draws)
            condition = spec.moved(condition, lambda maps: flip_half(maps, draws))
        x0 = self.codec.encode(pixels)
        if self.config.augment:
            # Behind the codec: resampled values lie between pixel values and beyond their range.
            augmentation = Augmentation(self.config.augment)
            x0, parameters = augmentation(x0, draws)
            condition = spec.moved(condition, lambda maps: augmentation.of_maps(maps, draws))
            condition = condition.with_entry("augment", parameters)
            pixels = self.codec.decode(x0) if spec.maps else pixels
        condition = spec.derived(condition, pixels, draws)
        condition = spec.vary(condition, draws)
        condition = self._dropped(condition, draws)
        x0 = x0.contiguous(memory_format=self._layout)
        context = self._encoder(condition, len(x0))
        losses = self._objective(self._denoiser, x0, context, draws)
        statistics = {"log_snr": losses.log_snr}
        if self._schedule is not None:
            # 1/2 SNR |x_0 - D|^2: the loss without the share of training spent at its level
            bare = losses.per_sample.detach() / losses.weight * losses.log_snr.exp() / 2
            statistics["integrand"] = bare
        return Loss(losses.per_sample, statistics)

    def _taken(self, condition: Condition) -> Condition:
        """What the model takes of the condition of some images."""
        return self._encoder.spec.select(condition)

    def _dropped(self, condition: Condition, draws: Draws) -> Condition:
        """The condition of a batch with entries dropped at random, for guidance."""
        return self._encoder.spec.drop(condition, self.config.label_dropout, draws)

    def after_step(self, phase: str, statistics: Mapping[str, Tensor]) -> None:
        """The learned schedule of a likelihood model adapts to the losses; nothing else does."""
        if self._schedule is not None:
            self._schedule.learn(statistics["log_snr"], statistics["integrand"])

    @torch.no_grad()
    def validate(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> Mapping[str, JsonValue]:
        """Error of x_0 per noise level, with the same noise every time, beside the best Gaussian's.

        Args:
            pipeline: made by this learner.
            images: uint8 held-out images (N, H, W, C).
            condition: of the N images.

        Returns:
            ``log_snr``, ``losses`` (mean squared error per dimension, in the model's space, at
            each), their ``standard_errors`` over images, ``gaussian`` (if known) and ``loss``: the
            mean of the losses, or of a likelihood model the bits per dimension, which are also
            called ``bits_per_dim``. ``condition_gaps``: for each kind of condition what
            `condition_gap` returns.
        """
        count = min(len(images), validation_count(self.config.spec.image_shape))
        rows = spread(len(images), count)
        pixels = pixels_at(images, rows, self._device)
        x0 = self.codec.encode(pixels)
        condition = self._known(condition, rows, pixels)
        pipeline = pipeline_as(pipeline, DiffusionPipeline)
        log_snr = torch.linspace(*VALIDATION_LOG_SNR, VALIDATION_LEVELS, dtype=torch.float64)
        wrong_ones = shuffled(self._encoder.spec, condition, count, self._seed)
        contexts = [
            None if pipeline.encoder is None else pipeline.encoder(each, count)
            for each in (condition, *wrong_ones.values())
        ]
        # The denoiser reads its times by its own path, which of a likelihood model is learned.
        schedule = pipeline.denoiser.schedule
        errors, by_image = [], []
        for i, t in enumerate(schedule.time_at(log_snr)):
            noise = torch.randn(
                x0.shape, generator=generator(self._seed, "validation", i), dtype=torch.float32
            ).to(self._device)
            level = schedule(t)
            x_t = float(level.alpha) * x0 + float(level.sigma) * noise
            squared = [
                (pipeline.denoiser(x_t, t.to(self._device), context).x0 - x0).square()
                for context in contexts
            ]
            errors.append(float(squared[0].mean()))
            by_image.append(torch.stack([each.flatten(1).mean(1) for each in squared]).double())
        right, *wrong = torch.stack(by_image, dim=1)  # (L, N) each
        deviations = right.std(1, correction=0).tolist()
        result: JsonObject = {
            "log_snr": log_snr.tolist(),
            "losses": errors,
            "standard_errors": [deviation / math.sqrt(count) for deviation in deviations],
            "loss": sum(errors) / len(errors),
        }
        if wrong_ones:
            result["condition_gaps"] = {
                name: to_plain(condition_gap(right, each))
                for name, each in zip(wrong_ones, wrong, strict=True)
            }
        if self._eigenvalues is not None:
            result["gaussian"] = gaussian_error(self._eigenvalues, log_snr).tolist()
        if self._schedule is not None:
            bits = self._bits(pipeline, images[rows], condition)
            result["loss"] = result["bits_per_dim"] = bits
        return result

    def _known(self, condition: Condition, rows: np.ndarray, pixels: Tensor) -> Condition:
        """See `condition_at`."""
        return condition_at(self._encoder.spec, self._taken(condition), rows, pixels, self._seed)

    def _bits(self, pipeline: DiffusionPipeline, images: np.ndarray, condition: Condition) -> float:
        """Continuous bound in bits per dimension, with the same noise every time."""
        config, schedule = self.config.likelihood, self._schedule
        if config is None or schedule is None:
            raise UsageError("this model is not trained for likelihood; it has no value levels")
        scorer = Scorer(
            pipeline.bound_denoiser,
            pipeline.denoiser.schedule,
            self.codec,
            self.codec.sigma_data,
            ValueGrid(config.value_levels),
            config.span,
            BoundMethod(points=VALIDATION_LEVELS),
            seed=self._seed,
            proposal=schedule.proposal,
        )
        return float(scorer(images, condition, device=self._device).bits.mean())

    def one_step(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> OneStep | None:
        """See `undrift.training.learner.Learner.one_step`; the same images and noise every time."""
        if on_plane(images.shape[1:]):
            return None
        rows = spread(len(images), min(len(images), ONE_STEP_IMAGES))
        pixels = pixels_at(images, rows, self._device)
        pipeline = pipeline_as(pipeline, DiffusionPipeline)
        return denoise_once(
            pipeline.denoiser,
            pipeline.encoder,
            self.codec,
            images[rows],
            self._known(condition, rows, pixels),
            seed=self._seed,
            device=self._device,
        )

    def pipeline(self, weights: Mapping[str, Tensor] | None = None) -> DiffusionPipeline:
        """A pipeline of its own copy of the networks, in evaluation mode."""
        denoiser, encoder = copy.deepcopy((self._denoiser, self._encoder))
        if weights is not None:
            made = nn.ModuleDict({"network": denoiser.network, "encoder": encoder})
            made.load_state_dict(dict(weights))
        denoiser.eval()
        encoder.eval()
        if self._schedule is not None:
            denoiser.schedule = self._schedule.path
        return DiffusionPipeline(
            denoiser,
            encoder,
            self.codec,
            self.config.spec,
            network_config=self.config.network,
        )


def validation_count(image_shape: tuple[int, int, int]) -> int:
    """Held-out images of ``image_shape`` in a validation, at most."""
    return int(np.clip(VALIDATION_VALUES // np.prod(image_shape), 32, 256))


def _required(config: NetworkConfig | None) -> NetworkConfig:
    if config is None:
        raise UsageError(
            "this model has a network of its own; load and train it from Python with network=..."
        )
    return config
