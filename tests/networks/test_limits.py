"""Sizes that no network has are refused before memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
from torch import nn

from undrift.conditioning import ConditionSpec
from undrift.errors import UsageError
from undrift.networks import (
    ContextSpec,
    MLPConfig,
    TransformerConfig,
    UNetConfig,
    at_most_parameters,
    build_network,
    count_parameters,
)
from undrift.networks.gan.dcgan import DCGANConfig
from undrift.networks.gan.mlp import MLPGANConfig
from undrift.networks.gan.r3gan import R3GANConfig
from undrift.networks.gan.sngan import SNGANConfig
from undrift.networks.gan.stylegan2 import StyleGAN2Config

CONFIGS = (
    UNetConfig,
    TransformerConfig,
    MLPConfig,
    DCGANConfig,
    SNGANConfig,
    StyleGAN2Config,
    R3GANConfig,
    MLPGANConfig,
    ContextSpec,
    ConditionSpec,
)


@pytest.mark.parametrize(
    ("config", "name"),
    [(config, field.name) for config in CONFIGS for field in fields(config) if field.type == "int"],
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.parametrize("size", [-1, 2**31, 10**30])
def test_every_size_of_every_network_is_bounded(
    config: Callable[..., object], name: str, size: int
) -> None:
    with pytest.raises(UsageError, match=f"{name} is .*, wanted"):
        config(**{name: size})


def test_building_stops_before_memory_is_taken() -> None:
    sizes = {"channels": 3, "size": (8, 8), "context": ContextSpec()}
    count = count_parameters(build_network(MLPConfig(width=32), **sizes))
    with at_most_parameters(count):
        build_network(MLPConfig(width=32), **sizes)
    with pytest.raises(UsageError, match=f"more than {count - 1:,} parameters"):
        with at_most_parameters(count - 1):
            build_network(MLPConfig(width=32), **sizes)
    with pytest.raises(UsageError, match="more than 1,000,000 parameters"):
        with at_most_parameters(10**6):  # 2 TB of float32, were it built
            build_network(MLPConfig(width=2**16, blocks=64), **sizes)
    nn.Linear(2000, 2000)  # counted no more


def test_one_layer_larger_than_memory() -> None:
    with pytest.raises(UsageError, match="the networks cannot be made"):
        with at_most_parameters(10**18):
            nn.Linear(2**24, 2**24)
