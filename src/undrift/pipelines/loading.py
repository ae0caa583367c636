"""Pipelines as files: config.json, model.safetensors, MANIFEST.json, and learned samplers' two.

Nothing is pickled, nothing is executed, and every byte is compared with the manifest before it is
looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from undrift.codec import CodecConfig, build_codec, codec_config
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.diffusion import Denoiser, Schedule, parameterization
from undrift.errors import ModelFileError, UsageError, shown
from undrift.files import manifest
from undrift.files.durable import write_directory
from undrift.files.reading import parse_json
from undrift.files.tensors import parse_tensors
from undrift.networks import ContextSpec, NetworkConfig, at_most_parameters, build_network
from undrift.pipelines import learned
from undrift.pipelines.diffusion import DiffusionPipeline
from undrift.pipelines.spec import SampleSpec
from undrift.schema import from_plain, to_plain

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
FORMAT = 1
MARGIN = 1_000_000
"""Parameters that a configuration may have beyond twice those in the file: no memory to speak of,
and `load_weights` says which one does not fit."""
_ADVICE = "save the pipeline again or use another"


@dataclass(frozen=True)
class CustomNetwork:
    """A network that the user made and brings along.

    Attributes:
        kind: tells it from the networks that undrift builds.
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
        spec: shape, classes, defaults.
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


def save(pipeline: DiffusionPipeline, directory: Path) -> None:
    """Write ``pipeline`` to ``directory``; see `undrift.pipelines.Pipeline.save_pretrained`."""
    network = pipeline.denoiser.network
    encoder = pipeline.encoder
    rule = pipeline.denoiser.parameterization
    schedule = pipeline.denoiser.schedule
    if not isinstance(schedule, Schedule):
        raise UsageError(
            f"schedule {type(schedule).__name__} is not one that undrift can build again: "
            "use VPLinear, VPCosine, VE, Flow, SubVP or LogSNR to save a pipeline"
        )
    config = DiffusionFile(
        format=FORMAT,
        kind="diffusion",
        spec=pipeline.spec,
        network=pipeline.network_config or CustomNetwork(name=type(network).__qualname__),
        schedule=schedule,
        parameterization=Parameters(rule.kind, rule.sigma_data),
        codec=codec_config(pipeline.codec),
        condition=None if encoder is None else encoder.spec,
        width=0 if encoder is None else encoder.context_spec.vector,
    )
    weights = {
        # Tied weights are saved once per name: safetensors refuses shared memory.
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in pipeline.state_dict().items()
    }
    files = {
        CONFIG: json.dumps(to_plain(config), indent=1).encode() + b"\n",
        WEIGHTS: safetensors.torch.save(weights),
    }
    files |= learned.encode(pipeline.learned)
    listing = {name: manifest.facts(data) for name, data in files.items()}
    files[manifest.NAME] = manifest.encode(listing)
    write_directory(directory, files, replaceable=manifest.NAME)


def load(directory: Path, network: nn.Module | None = None) -> DiffusionPipeline:
    """Load a pipeline; see `undrift.pipelines.Pipeline.from_pretrained`."""
    if not os.path.isdir(directory):
        raise ModelFileError(f"{directory}: no such directory; give one that save_pretrained wrote")
    if not os.path.exists(directory / manifest.NAME) and os.path.isdir(directory / "pipeline"):
        raise ModelFileError(f"{directory} is a run: give {directory / 'pipeline'}")
    files = manifest.read_manifest(directory, _ADVICE)
    tuned = (learned.FACTS, learned.TABLES) if learned.FACTS in files.listing else ()
    files.require([CONFIG, WEIGHTS, *tuned])
    config = _config(files.read(CONFIG), str(directory / CONFIG))
    weights = parse_tensors(files.read(WEIGHTS), str(directory / WEIGHTS), ModelFileError, _ADVICE)
    try:
        with at_most_parameters(MARGIN + 2 * sum(map(Tensor.numel, weights.values()))):
            pipeline = _built(config, network)
    except UsageError as error:
        if _network_mismatch(config, network):
            raise
        raise ModelFileError(f"{directory / CONFIG}: {error}") from error
    load_weights(pipeline._weights(), weights, str(directory / WEIGHTS))
    if tuned:
        pipeline.learned = learned.decode(
            files.read(learned.FACTS), files.read(learned.TABLES), str(directory)
        )
    return pipeline


def load_weights(modules: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Copy ``weights`` into ``modules``, which must have exactly these names and shapes.

    Raises:
        ModelFileError: naming the first that does not fit; ``where`` says where they came from.
    """
    wanted = modules.state_dict()
    for name in [*wanted, *weights]:
        if name not in weights:
            raise ModelFileError(f"{where}: {name} is missing; use weights of the same model")
        if name not in wanted:
            raise ModelFileError(f"{where}: {name} is not in this model; use its own weights")
        given, shape = tuple(weights[name].shape), tuple(wanted[name].shape)
        if given != shape:
            raise ModelFileError(f"{where}: {name} has shape {given}, the model wants {shape}")
    modules.load_state_dict(dict(weights))


def _config(data: bytes, where: str) -> DiffusionFile:
    plain = parse_json(data, where, ModelFileError, _ADVICE)
    if not isinstance(plain, dict) or plain.get("kind") != "diffusion":
        raise ModelFileError(f"{where} is not of a diffusion pipeline; give one that is")
    if plain.get("format") != FORMAT:
        raise ModelFileError(
            f"{where} has format {shown(plain.get('format'))}, "
            f"this version of undrift reads {FORMAT}"
        )
    try:
        return from_plain(DiffusionFile, plain, where)
    except UsageError as error:
        raise ModelFileError(str(error)) from error


def _network_mismatch(config: DiffusionFile, network: nn.Module | None) -> bool:
    return isinstance(config.network, CustomNetwork) == (network is None)


def _built(config: DiffusionFile, network: nn.Module | None) -> DiffusionPipeline:
    if isinstance(config.network, CustomNetwork):
        if network is None:
            raise UsageError(
                f"this pipeline has a network of its own, {config.network.name}: "
                "give it, from_pretrained(directory, network=...)"
            )
        network_config = None
    else:
        if network is not None:
            raise UsageError(
                f"this pipeline builds its own {config.network.kind}: leave network= out"
            )
        network_config = config.network
    with torch.random.fork_rng(devices=[]):  # initial weights, soon overwritten
        encoder = None
        if config.condition is not None:
            encoder = ConditionEncoder(config.condition, max(1, config.width))
        if network is None and network_config is not None:
            channels, height, width = config.spec.shape
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
    return DiffusionPipeline(
        Denoiser(network, config.schedule, rule),
        encoder,
        build_codec(config.codec),
        config.spec,
        network_config=network_config,
    )
