"""Small pipelines with weights that do something (fresh networks answer zero)."""

from __future__ import annotations

import torch
from torch import nn

from undrift.codec import Standardise
from undrift.conditioning import ConditionEncoder, ConditionSpec, MapSpec, Number
from undrift.conditioning.text import TextSpec
from undrift.diffusion import Denoiser, Flow, VPCosine, edm, parameterization
from undrift.networks import MLPConfig, UNetConfig, build_network
from undrift.pipelines import DiffusionPipeline, SampleSpec
from undrift.randomness import generator

CLASSES = ("ant", "bee", "cat")
SMALL_MLP = MLPConfig(width=16, blocks=1)
SMALL_UNET = UNetConfig(width=8, multipliers=(1, 2), blocks=1, head_width=4)


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """Add noise to every weight, the zero-initialised ones among them."""
    with torch.no_grad():
        for i, weight in enumerate(module.parameters()):
            weight += 0.2 * torch.randn(weight.shape, generator=generator(seed, i))
    return module


def small(
    classes: tuple[str, ...] = CLASSES,
    frequencies: tuple[float, ...] = (),
    config=SMALL_MLP,
    channels: int = 1,
    schedule=None,
    kind: str = "edm",
    seed: int = 0,
    size: tuple[int, int] = (6, 5),
    text: TextSpec | None = None,
    numbers: tuple[Number, ...] = (),
    maps: tuple[MapSpec, ...] = (),
) -> DiffusionPipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ConditionEncoder(
            ConditionSpec(classes=len(classes), text=text, numbers=numbers, maps=maps), 8
        )
        network = build_network(config, channels=channels, size=size, context=encoder.context_spec)
    shaken(network, seed)
    rule = edm(1.0) if kind == "edm" else parameterization(kind)
    return DiffusionPipeline(
        Denoiser(network, schedule or VPCosine(), rule),
        encoder,
        Standardise((110.0,) * channels, (55.0,) * channels),
        SampleSpec(
            (channels, *size),
            classes,
            frequencies,
            steps=4,
            text=text,
            numbers=numbers,
            maps=maps,
        ),
        network_config=config,
    )


class Own(nn.Module):
    """A user's network; ``view`` needs plain strides."""

    def __init__(self, width: int = 6):
        super().__init__()
        self.inner = nn.Linear(31, width)
        self.outer = nn.Linear(width, 30)

    def forward(self, x, c_noise, context=None):
        flat = torch.cat([x.view(len(x), -1), c_noise[:, None]], 1)
        return self.outer(torch.tanh(self.inner(flat))).view(x.shape)


def own(width: int = 6) -> DiffusionPipeline:
    network = shaken(Own(width))
    spec = SampleSpec((1, 6, 5), steps=3)
    return DiffusionPipeline(
        Denoiser(network, Flow(), parameterization("flow")), None, Standardise((9.0,), (4.0,)), spec
    )
