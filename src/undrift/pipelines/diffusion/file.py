"""Diffusion pipelines as files; learned samplers lie in two further ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from undrift.codec import CodecConfig, build_codec, codec_config
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.diffusion import Denoiser, Schedule, parameterization
from undrift.errors import UsageError
from undrift.networks import ContextSpec, NetworkConfig, build_network
from undrift.pipelines import file
from undrift.pipelines.diffusion import learned
from undrift.pipelines.diffusion.learned import Learned
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.spec import SampleSpec


@dataclass(frozen=True)
class CustomNetwork:
    """A network that the user made and brings along.

    Attributes:
        kind: distinguishes it from the networks that undrift builds.
        name: of its class, for messages.
    """

    kind: Literal["custom"] = "custom"
    name: str = ""


@dataclass(frozen=True)
class Parameters:
    """Which parameterization.

    Attributes:
        kind: "epsilon", "x0", "v", "flow" or "edm".
        sigma_data: standard deviation of the data in the model's space.
    """

    kind: str
    sigma_data: float


@dataclass(frozen=True)
class DiffusionFile:
    """What config.json says of a diffusion pipeline.

    Attributes:
        format: version of the file.
        kind: family of the pipeline.
        spec: image shape, classes, defaults.
        network: how to build the network.
        schedule: the path.
        parameterization: what the network predicts.
        codec: between the model's space and images.
        condition: what the encoder understands; None if there is none.
        width: length of the encoded condition.
    """

    format: int
    kind: Literal["diffusion"]
    spec: SampleSpec
    network: NetworkConfig | CustomNetwork
    schedule: Schedule
    parameterization: Parameters
    codec: CodecConfig
    condition: ConditionSpec | None
    width: int


def save(model: DiffusionModel, samplers: Learned, directory: Path) -> None:
    """Write a model and its learned samplers; see `undrift.pipelines.Pipeline.save_pretrained`."""
    encoder, schedule = model.encoder, model.denoiser.schedule
    rule = model.denoiser.parameterization
    if not isinstance(schedule, Schedule):
        raise UsageError(
            f"schedule {type(schedule).__name__} is not one that undrift can build again: "
            "use VPLinear, VPCosine, VE, Flow, SubVP or LogSNR to save a pipeline"
        )
    named = CustomNetwork(name=type(model.denoiser.network).__qualname__)
    config = DiffusionFile(
        format=file.FORMAT,
        kind="diffusion",
        spec=model.spec,
        network=model.network_config or named,
        schedule=schedule,
        parameterization=Parameters(rule.kind, rule.sigma_data),
        codec=codec_config(model.codec),
        condition=None if encoder is None else encoder.spec,
        width=0 if encoder is None else encoder.context_spec.vector,
    )
    file.write(directory, config, model.weights.state_dict(), learned.encode(samplers))


def load(directory: Path, network: nn.Module | None) -> tuple[DiffusionModel, Learned]:
    """What `save` wrote, on the CPU, after checking every byte of it.

    Args:
        directory: where it is.
        network: the user's own, for a pipeline that was saved with one.

    Raises:
        ModelFileError: if anything is missing, damaged or does not fit together.
        UsageError: for a network where none is wanted, or none where one is.
    """
    found = file.read(directory, DiffusionFile, learned.FACTS, learned.TABLES)
    custom = isinstance(found.config.network, CustomNetwork)
    model = found.build(partial(_built, network=network), lambda: custom == (network is None))
    found.fill(model.weights)
    if learned.FACTS not in found.files.listing:
        return model, {}
    facts, tables = found.files.read(learned.FACTS), found.files.read(learned.TABLES)
    return model, learned.decode(facts, tables, str(directory))


def _built(config: DiffusionFile, network: nn.Module | None) -> DiffusionModel:
    network_config = None if isinstance(config.network, CustomNetwork) else config.network
    if isinstance(config.network, CustomNetwork) and network is None:
        raise UsageError(
            f"this pipeline has a network of its own, {config.network.name}: "
            "give it, from_pretrained(directory, network=...)"
        )
    if network_config is not None and network is not None:
        raise UsageError(f"this pipeline builds its own {network_config.kind}: leave network= out")
    codec = build_codec(config.codec)
    with torch.random.fork_rng(devices=[]):  # initial weights, soon overwritten
        encoder = None
        if config.condition is not None:
            encoder = ConditionEncoder(config.condition, max(1, config.width))
        if network is None and network_config is not None:
            channels, height, width = codec.latent_shape(config.spec.image_shape)
            network = build_network(
                network_config,
                channels=channels,
                size=(height, width),
                context=ContextSpec() if encoder is None else encoder.context_spec,
            )
    if network is None:
        raise UsageError("no network to load the weights into: give network=")
    rule = parameterization(config.parameterization.kind, config.parameterization.sigma_data)
    network.eval()
    return DiffusionModel(
        Denoiser(network, config.schedule, rule),
        encoder,
        codec,
        config.spec,
        network_config,
    )
