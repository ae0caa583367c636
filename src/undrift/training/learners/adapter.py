"""An adapter of a frozen diffusion model as the training loop sees it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from undrift.codec import CodecConfig
from undrift.conditioning import Condition, ConditionSpec
from undrift.data.loader import Batch
from undrift.diffusion import DenoisingObjective
from undrift.errors import UsageError
from undrift.networks import NetworkConfig, lay_out, memory_format
from undrift.pipelines import DiffusionPipeline, SampleSpec
from undrift.pipelines.adapter import (
    AdaptedModel,
    AdapterFacts,
    AdapterPipeline,
    BaseReference,
)
from undrift.pipelines.adapter.model import AdapterShape
from undrift.randomness import Draws, key
from undrift.training.learner import Loss, ParameterGroup, Phase, Progress
from undrift.training.learners.diffusion import DiffusionConfig, DiffusionLearner


@dataclass(frozen=True)
class AdapterConfig:
    """An adapter and how it is trained.

    Attributes:
        model: the base with the adapter's maps among its conditions, trained as the adapter is;
            ``label_dropout`` is the share of the base's own conditions that is dropped.
        adapter: shape of the adapter.
        base: what it adapts.
        map_dropout: share of the adapter's maps that is dropped.
        base_images: that the base draws of its own classes, on which the adapter is held to the
            base's predictions while it learns a class that the base does not have; 0: none.
        classes: index in the base of each class of the data, -1 of a class that the base does not
            have; None: the classes are the base's own.
        kind: names this configuration in a file.
    """

    model: DiffusionConfig
    adapter: AdapterShape
    base: BaseReference
    map_dropout: float = 0.1
    base_images: int = 0
    classes: tuple[int, ...] | None = None
    kind: Literal["adapter"] = "adapter"

    def __post_init__(self) -> None:
        if not 0 <= self.map_dropout <= 1:
            raise UsageError(f"map_dropout {self.map_dropout}: wanted a share from 0 to 1")
        if self.base_images < 0 or (self.base_images and not self.spec.class_names):
            raise UsageError(
                f"base_images {self.base_images}: wanted 0 or more, of a base with classes"
            )

    @property
    def spec(self) -> SampleSpec:
        """Shape, conditions and sampling defaults."""
        return self.model.spec

    @property
    def codec(self) -> CodecConfig:
        """That of the base."""
        return self.model.codec

    @property
    def condition(self) -> ConditionSpec:
        """The conditions of base and adapter."""
        return self.model.condition

    @property
    def width(self) -> int:
        """Length of the encoded condition."""
        return self.model.width

    @property
    def network(self) -> NetworkConfig | None:
        """Shape of the base's network."""
        return self.model.network

    @property
    def flip(self) -> bool:
        """Whether images are mirrored at random."""
        return self.model.flip

    @property
    def label_dropout(self) -> float:
        """Share of the base's own conditions that is dropped."""
        return self.model.label_dropout

    def facts(self, known: int) -> AdapterFacts:
        """What a pipeline knows of the adapter; ``known`` of the maps are the base's."""
        return AdapterFacts(self.adapter, self.base, self.spec.maps[known:])


class AdapterLearner(DiffusionLearner):
    r"""Trains an adapter by the base's own objective; the base is frozen.

    An adapter that learns a new class from a few images changes what the base draws of its own
    classes, too. Against that the base draws images :math:`x_0` of these once, and the difference
    of the networks' outputs on them is added to the loss,

    .. math::

        E\,w\,c_{out}^2\,|F_{adapted}(x_t, y) - F_{base}(x_t, y)|^2                           (1)

    at the levels and weights w of the objective. After Ruiz et al. 2023, "DreamBooth", who take
    the base's images for the target; its predictions are the same in the mean, without the noise.

    Args:
        config: the adapter.
        seed: of the initial weights.
        device: where to train.
        base: the frozen pipeline.
        eigenvalues: see `DiffusionLearner`.
    """

    def __init__(
        self,
        config: AdapterConfig,
        seed: int,
        device: torch.device | str,
        base: DiffusionPipeline,
        eigenvalues: Tensor | None = None,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "weights"))
            adapted = AdaptedModel(base, config.facts(len(base.spec.maps)))
        model, encoder = adapted.model, adapted.model.encoder
        if encoder is None:
            raise UsageError("the base has no encoder of conditions; adapt a model of undrift's")
        if encoder.spec.maps != config.condition.maps:
            raise UsageError("the maps of base and adapter are not those of the configuration")
        self._start(config.model, seed, device, eigenvalues, model.denoiser, encoder)
        self.adapted = adapted
        self.networks = adapted.own.to(device)
        model.weights.to(self._device)
        lay_out(model.denoiser.network, self._device)
        self._layout = memory_format(self._device)
        self._map_dropout, self._classes = config.map_dropout, config.classes
        self._base_images = config.base_images
        self._base = base if config.base_images else None
        self._own = ConditionSpec(maps=adapted.facts.maps)
        known = encoder.spec.maps[: len(base.spec.maps)]
        self._known_spec = replace(encoder.spec, maps=known, augment=0)

    @property
    def averaged(self) -> Mapping[str, nn.Module]:
        """The adapter's modules."""
        return {name: module for name, module in self.networks.items()}

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """One group: the adapter."""
        return (ParameterGroup("adapter", self.networks, self.config.optimizer),)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase, at every step."""
        return (Phase("denoise", "adapter"),)

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """See `DiffusionLearner.loss`; and of a new class equation (1)."""
        found = super().loss(phase, batch, progress, draws)
        if not self._base_images:
            return found
        return replace(found, per_sample=found.per_sample + self._changed(draws))

    @cached_property
    def _of_base(self) -> tuple[Tensor, Tensor]:
        """Images of the base's own classes, encoded (K, C, H, W), and their classes (K,)."""
        if self._base is None:
            raise UsageError("base_images 0: the base draws no images for this adapter")
        base = self._base.to(self._device)
        drawn = base(self._base_images, labels="all", seed=key(self._seed, "kept") % 2**31)
        pixels = torch.from_numpy(drawn.images.transpose(0, 3, 1, 2).copy()).to(self._device)
        labels = torch.as_tensor(drawn.labels, dtype=torch.int64, device=self._device)
        return self.codec.encode(pixels), labels

    def _changed(self, draws: Draws) -> Tensor:
        """Equation (1) for each row (B,)."""
        images, labels = self._of_base
        rows = (draws.uniform("kept") * len(images)).long().to(self._device)
        x0 = images[rows].contiguous(memory_format=self._layout)
        denoiser, config = self._denoiser, self.config
        context = self._encoder(Condition({"labels": labels[rows]}), len(x0))
        objective = DenoisingObjective(config.levels, config.weighting)
        level = denoiser.schedule(objective.times(denoiser.schedule, draws).to(self._device))
        fitted = level.like(x0)
        noise = draws.normal("kept noise", tuple(x0.shape[1:])).to(x0)
        x_t = fitted.alpha * x0 + fitted.sigma * noise
        with torch.no_grad(), self.adapted.at(0.0):
            wanted = denoiser.output(x_t, level, context)
        change = denoiser.output(x_t, level, context) - wanted
        rule = denoiser.parameterization
        factor = config.weighting(level.log_snr, rule.sigma_data) * rule.c_out(level) ** 2
        return factor.to(change.dtype) * change.square().flatten(1).mean(1)

    def _taken(self, condition: Condition) -> Condition:
        """Classes by the base's own numbers."""
        labels = condition.labels
        if labels is not None and self._classes is not None:
            places = torch.tensor(self._classes, dtype=torch.int64, device=labels.device)
            condition = condition.with_entry("labels", places[labels])
        return super()._taken(condition)

    def _dropped(self, condition: Condition, draws: Draws) -> Condition:
        """The base's conditions and the adapter's maps are dropped with shares of their own."""
        condition = self._known_spec.drop(condition, self.config.label_dropout, draws)
        return self._own.drop(condition, self._map_dropout, draws)

    def pipeline(self, weights: Mapping[str, Tensor] | None = None) -> AdapterPipeline:
        """A pipeline of its own copy of base and adapter, in evaluation mode."""
        adapted = copy.deepcopy(self.adapted)
        if weights is not None:
            adapted.own.load_state_dict(dict(weights))
        adapted.model.weights.eval()
        return AdapterPipeline(adapted)
