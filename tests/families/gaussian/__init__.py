"""A toy third family: pixels are one Gaussian, of which mean and covariance factor are trained."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from undrift.codec import CodecConfig, IdentityConfig, build_codec
from undrift.families import Family, Recipe
from undrift.pipelines import Pipeline, Samples, SampleSpec, file
from undrift.pipelines.pipeline import fingerprint_of
from undrift.sampling import ImageNoise
from undrift.training.learner import Loss, ParameterGroup, Phase
from undrift.training.learning_rate import LearningRate
from undrift.training.optimizers import AdamWConfig


class Gaussian(nn.Module):
    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(math.prod(shape)))
        self.log_diagonal = nn.Parameter(torch.zeros(math.prod(shape)))
        self.below = nn.Parameter(torch.zeros(math.prod(shape), math.prod(shape)))

    def factor(self) -> torch.Tensor:
        """L of the covariance L L^T."""
        return self.below.tril(-1) + self.log_diagonal.exp().diag()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Negative log-density of (B, D), without its constant, (B,)."""
        z = torch.linalg.solve_triangular(self.factor(), (x - self.mean).T, upper=False).T
        return z.square().sum(1) / 2 + self.log_diagonal.sum()


@dataclass(frozen=True)
class GaussianConfig:
    spec: SampleSpec
    kind: Literal["gaussian"] = "gaussian"
    format: int = file.FORMAT
    codec: CodecConfig = IdentityConfig()
    width: int = 1
    network: None = None

    @property
    def condition(self):
        return self.spec.condition()


@dataclass(frozen=True)
class NoSettings:
    """A Gaussian has none."""


class GaussianPipeline(Pipeline):
    kind, noun, settings = "gaussian", "a Gaussian", NoSettings

    def __init__(self, config: GaussianConfig, weights: nn.ModuleDict) -> None:
        self.config, self.weights = config, weights
        self.codec = build_codec(config.codec)

    spec = property(lambda self: self.config.spec)
    weights = None
    fingerprint = property(lambda self: fingerprint_of(self.spec, self.state_dict()))

    def _draw(self, request, condition, settings, trajectory, on_progress) -> Samples:
        network = self.weights["network"]
        z = ImageNoise(request.seed, range(request.first, request.first + request.n))
        x = z.initial((network.mean.numel(),)) @ network.factor().T + network.mean
        pixels = self.codec.decode(x.reshape(request.n, *self.spec.image_shape))
        return Samples(pixels.permute(0, 2, 3, 1).contiguous().numpy(), nfe=1.0)

    def to(self, device):
        self.weights.to(device)
        return self

    def save_pretrained(self, directory: str | Path) -> None:
        file.write(Path(directory), self.config, self.weights.state_dict())

    @classmethod
    def read(cls, directory: Path, network: nn.Module | None) -> GaussianPipeline:
        found = file.read(directory, GaussianConfig)
        networks = nn.ModuleDict({"network": Gaussian(found.config.spec.image_shape)})
        made = cls(found.config, networks)
        found.fill(made.weights)
        return made


class GaussianLearner:
    phases = (Phase("fit", "gaussian"),)

    def __init__(self, config: GaussianConfig) -> None:
        self.config, self.codec = config, build_codec(config.codec)
        self.networks = nn.ModuleDict({"network": Gaussian(config.spec.image_shape)})
        self.averaged = dict(self.networks.items())
        self.groups = (ParameterGroup("gaussian", self.networks, AdamWConfig(learning_rate=0.02)),)
        self.buffers = nn.Module()

    def loss(self, phase, batch, progress, draws) -> Loss:
        return Loss(self.networks["network"](self.codec.encode(batch.images).flatten(1)))

    def after_step(self, phase, statistics) -> None: ...
    def validate(self, pipeline, images: np.ndarray, condition):
        return {}

    def one_step(self, pipeline, images, condition) -> None: ...

    def pipeline(self, weights=None) -> GaussianPipeline:
        made = GaussianPipeline(self.config, copy.deepcopy(self.networks))
        if weights is not None:
            made.weights.load_state_dict(dict(weights))
        return made


class GaussianFamily(Family[GaussianConfig]):
    name, methods, kind, noun = "gaussian", ("gaussian",), "gaussian", "Gaussian"
    config = GaussianConfig

    def recipe(self, request) -> Recipe:
        spec = SampleSpec(request.spec.image_shape, steps=1)
        return Recipe(GaussianConfig(spec), 64, 64_000, LearningRate(0.02, 0.5), bfloat16=False)

    def learner(self, config, seed, device, *, network, eigenvalues) -> GaussianLearner:
        return GaussianLearner(config)

    def network(self, config, shape, context) -> nn.Module:
        return Gaussian(shape)

    def peak_rate(self, config) -> float:
        return 0.02
