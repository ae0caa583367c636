"""A diffusion pipeline that knows its data exactly, and a bench of such data."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from undrift.codec import Standardise
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.diffusion import Denoiser, GaussianMixture, VPCosine, parameterization
from undrift.evaluation.reference import Reference, ReferenceImages
from undrift.metrics import Images
from undrift.metrics.features.pixels import PixelFeatures
from undrift.networks.gan import R3GANConfig
from undrift.pipelines import DiffusionPipeline, GANPipeline, SampleSpec
from undrift.randomness import generator

SHAPE = (1, 4, 4)
SPREAD = 0.3
SCHEDULE = VPCosine()
MIXTURE = GaussianMixture(
    torch.stack([torch.full(SHAPE, -1.0), torch.full(SHAPE, 1.0)]), [SPREAD, SPREAD]
)
CODEC = Standardise((128.0,), (40.0,))


class Exact(nn.Module):
    """A network that predicts x0 as the mixture's own denoiser does."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x, c_noise, context=None):
        level = SCHEDULE(SCHEDULE.time_at(-8 * c_noise.double()))
        spread = (level.alpha**2 + level.sigma**2).sqrt().reshape(-1, 1, 1, 1)
        return MIXTURE.posterior_mean(x.double() * spread, level).to(x.dtype)


def exact(steps=24):
    denoiser = Denoiser(Exact(), SCHEDULE, parameterization("x0"))
    return DiffusionPipeline(denoiser, None, CODEC, SampleSpec(SHAPE, steps=steps))


def data(n, seed):
    """Images, uint8 (n, 4, 4, 1), and whether each is bright."""
    z, component = MIXTURE.sample_components(n, generator("data", seed))
    return CODEC.decode(z).permute(0, 2, 3, 1).numpy(), component.numpy()


class Modes(nn.Module):
    """A generator of the same data: one latent number chooses the mode, the others vary."""

    latent = 17

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, z, context=None, truncation=1.0):
        bright = z[:, :1].sign() if context.vector is None else context.vector[:, :1].sign()
        return (bright + SPREAD * truncation * z[:, 1:]).reshape(-1, *SHAPE)


def generator_of_modes(classes=()):
    encoder = ConditionEncoder(ConditionSpec(classes=len(classes)), 2)
    if classes:
        with torch.no_grad():
            encoder.labels.weight[1:] = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    spec = SampleSpec(SHAPE, classes, steps=1)
    config = R3GANConfig(latent=17)
    return GANPipeline(Modes(), encoder, CODEC, spec, network_config=config)


class Brightness:
    """A classifier that cannot be wrong."""

    name, classes = "brightness", 2

    def predict(self, images):
        return (images.mean(axis=(1, 2, 3)) > 128).astype(np.int64)

    def probabilities(self, images):
        return np.eye(2)[self.predict(images)]


def reference(n=120):
    images, labels = data(n, 1)
    known, classes = data(n, 2)
    real, training = Images(images, labels), Images(known, classes)
    references = ReferenceImages("exact", "test", real, training, ("dark", "bright"), "exact", ())
    return Reference(references, real, PixelFeatures.fit(known), Brightness(), 0)
