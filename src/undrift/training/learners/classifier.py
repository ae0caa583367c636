"""A classifier of noisy images as the training loop sees it.

It minimises -log p(c | x_t) over images with their classes c and the noise levels that a diffusion
model is trained at, each of them alike (Dhariwal and Nichol 2021, section 4).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.codec import CodecConfig, build_codec
from undrift.conditioning import Condition, ConditionSpec
from undrift.data.augmentation import flip_half
from undrift.data.loader import Batch
from undrift.diffusion import (
    VE,
    DenoisingObjective,
    Level,
    LogNormal,
    NoiseLevels,
    NoisyClassifier,
    Schedule,
)
from undrift.errors import UsageError
from undrift.json_types import JsonValue
from undrift.networks import UNetClassifier, UNetClassifierConfig
from undrift.pipelines import ClassifierPipeline, Pipeline, SampleSpec
from undrift.pipelines.classifier import ClassifierModel
from undrift.pipelines.diffusion.one_step import OneStep
from undrift.randomness import Draws, generator, key
from undrift.training.held_out import pixels_at, spread
from undrift.training.learner import Loss, ParameterGroup, Phase, Progress, pipeline_as
from undrift.training.learners.diffusion import (
    VALIDATION_LEVELS,
    VALIDATION_LOG_SNR,
    validation_count,
)
from undrift.training.optimizers import AdamWConfig, OptimizerConfig


@dataclass(frozen=True)
class ClassifierConfig:
    """A classifier of noisy images.

    Attributes:
        spec: image shape and classes.
        network: its shape.
        codec: between images and the network's space.
        kind: names this family in a file.
        schedule: Gaussian path of the training noise; samples may be drawn on another.
        levels: distribution of training noise levels.
        flip: mirror images at random.
        optimizer: how the network is updated.
    """

    spec: SampleSpec
    network: UNetClassifierConfig
    codec: CodecConfig
    kind: Literal["classifier"] = "classifier"
    schedule: Schedule = field(default_factory=VE)
    levels: NoiseLevels = field(default_factory=LogNormal)
    flip: bool = False
    optimizer: OptimizerConfig = field(default_factory=AdamWConfig)

    def __post_init__(self) -> None:
        if len(self.spec.class_names) != self.network.classes:
            raise UsageError(
                f"classifier of {self.network.classes} classes for images of "
                f"{len(self.spec.class_names)}: give the same"
            )

    @property
    def condition(self) -> ConditionSpec:
        """None: the class is what it answers."""
        return ConditionSpec()

    @property
    def width(self) -> int:
        """Of the encoded condition, of which there is none."""
        return 1


class ClassifierLearner:
    """Trains a classifier on noisy images.

    Args:
        config: the classifier.
        seed: names the initial weights.
        device: where to train.
    """

    def __init__(
        self, config: ClassifierConfig, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.config = config
        self.codec = build_codec(config.codec).to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "weights"))
            channels = self.codec.latent_shape(config.spec.image_shape)[0]
            network = UNetClassifier(config.network, channels=channels).to(device)
        self._classifier = NoisyClassifier(network, self.codec.sigma_data)
        self._objective = DenoisingObjective(config.levels)
        self._seed, self._device = seed, torch.device(device)
        self.networks = nn.ModuleDict({"network": network})
        self.buffers = nn.Module()

    @property
    def averaged(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {name: module for name, module in self.networks.items()}

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """One group: everything."""
        return (ParameterGroup("classifier", self.networks, self.config.optimizer),)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase, at every step."""
        return (Phase("classify", "classifier"),)

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Cross-entropies of the rows of ``batch``, each at a noise level of its own."""
        pixels = flip_half(batch.images, draws) if self.config.flip else batch.images
        x0 = self.codec.encode(pixels)
        t = self._objective.times(self.config.schedule, draws).to(x0.device)
        noise = draws.normal("noise", tuple(x0.shape[1:])).to(x0)
        level = self.config.schedule(t)
        log_p = self._classifier(_noisy(x0, level.like(x0), noise), level)
        return Loss(F.nll_loss(log_p, _labels(batch.condition), reduction="none"))

    def after_step(self, phase: str, statistics: Mapping[str, Tensor]) -> None:
        """Nothing adapts."""

    @torch.no_grad()
    def validate(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> Mapping[str, JsonValue]:
        """Accuracy and cross-entropy per noise level, with the same noise every time.

        Args:
            pipeline: made by this learner.
            images: uint8 held-out images (N, H, W, C).
            condition: of the N images.

        Returns:
            ``log_snr``; ``accuracies``, the share of images whose class is found, at each, and
            their ``standard_errors``; ``cross_entropies`` in nats; ``accuracy`` and ``loss``, the
            means of these over levels; and ``chance``, the share of the most frequent class.
        """
        classifier = pipeline_as(pipeline, ClassifierPipeline).model.classifier
        count = min(len(images), validation_count(self.config.spec.image_shape))
        rows = spread(len(images), count)
        x0 = self.codec.encode(pixels_at(images, rows, self._device))
        labels = _labels(condition[torch.from_numpy(rows)]).to(self._device)
        log_snr = torch.linspace(*VALIDATION_LOG_SNR, VALIDATION_LEVELS, dtype=torch.float64)
        losses, accuracies = [], []
        for i, t in enumerate(self.config.schedule.time_at(log_snr)):
            seed = generator(self._seed, "validation", i)
            noise = torch.randn(x0.shape, generator=seed, dtype=torch.float32).to(x0)
            level = self.config.schedule(t.to(self._device))
            log_p = classifier(_noisy(x0, level.like(x0), noise), level)
            losses.append(float(F.nll_loss(log_p, labels)))
            accuracies.append(float((log_p.argmax(1) == labels).double().mean()))
        return {
            "log_snr": log_snr.tolist(),
            "accuracies": accuracies,
            "standard_errors": [math.sqrt(share * (1 - share) / count) for share in accuracies],
            "cross_entropies": losses,
            "accuracy": sum(accuracies) / len(accuracies),
            "loss": sum(losses) / len(losses),
            "chance": float(labels.bincount().max()) / count,
        }

    def one_step(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> OneStep | None:
        """None: a classifier denoises nothing."""
        return None

    def pipeline(self, weights: Mapping[str, Tensor] | None = None) -> ClassifierPipeline:
        """A pipeline of its own copy of the network, in evaluation mode."""
        model = ClassifierModel(
            copy.deepcopy(self._classifier), self.codec, self.config.spec, self.config.network
        )
        if weights is not None:
            model.weights.load_state_dict(dict(weights))
        return ClassifierPipeline(model)


def _noisy(x0: Tensor, level: Level, noise: Tensor) -> Tensor:
    return level.alpha * x0 + level.sigma * noise


def _labels(condition: Condition) -> Tensor:
    if condition.labels is None:
        raise UsageError("a classifier needs images with labels; give a data set that has classes")
    return condition.labels
