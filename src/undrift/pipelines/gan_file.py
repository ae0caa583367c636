"""GAN pipelines as files: config.json, model.safetensors and MANIFEST.json.

Only what draws images is in them: the generator and its encoder, not the discriminator. Nothing is
pickled, and every byte is compared with the manifest before it is looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor

from undrift.codec import CodecConfig, build_codec, codec_config
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.errors import ModelFileError, UsageError, shown
from undrift.files import manifest
from undrift.files.durable import write_directory
from undrift.files.reading import mapping, parse_json, read_json
from undrift.files.tensors import parse_tensors
from undrift.networks import at_most_parameters
from undrift.networks.gan import AdversaryConfig, build_generator
from undrift.pipelines.gan import GANPipeline
from undrift.pipelines.loading import CONFIG, FORMAT, MARGIN, WEIGHTS, load_weights
from undrift.pipelines.spec import SampleSpec
from undrift.schema import from_plain, to_plain

_ADVICE = "save the pipeline again or use another"


@dataclass(frozen=True)
class GANFile:
    """What config.json says of a GAN pipeline.

    Attributes:
        format: version of the file.
        kind: family of the pipeline.
        spec: shape, classes, defaults.
        network: how to build the generator.
        codec: between the generator's space and images.
        condition: what the encoder understands.
        width: length of the encoded condition.
    """

    format: int
    kind: Literal["gan"]
    spec: SampleSpec
    network: AdversaryConfig
    codec: CodecConfig
    condition: ConditionSpec
    width: int


def save(pipeline: GANPipeline, directory: Path) -> None:
    """Write ``pipeline`` to ``directory``; see `undrift.pipelines.Pipeline.save_pretrained`."""
    config = GANFile(
        format=FORMAT,
        kind="gan",
        spec=pipeline.spec,
        network=pipeline.network_config,
        codec=codec_config(pipeline.codec),
        condition=pipeline.encoder.spec,
        width=pipeline.encoder.context_spec.vector,
    )
    weights = {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in pipeline.state_dict().items()
    }
    files = {
        CONFIG: json.dumps(to_plain(config), indent=1).encode() + b"\n",
        WEIGHTS: safetensors.torch.save(weights),
    }
    listing = {name: manifest.facts(data) for name, data in files.items()}
    files[manifest.NAME] = manifest.encode(listing)
    write_directory(directory, files, replaceable=manifest.NAME)


def is_gan(directory: Path) -> bool:
    """Whether ``directory`` says that it holds a GAN; whatever else it holds is not looked at."""
    try:
        plain = read_json(directory / CONFIG, ModelFileError, _ADVICE)
    except ModelFileError:  # `undrift.pipelines.loading` says what is wrong
        return False
    return isinstance(plain, dict) and plain.get("kind") == "gan"


def load(directory: Path) -> GANPipeline:
    """Load what ``save`` wrote, on the CPU, after checking every byte of it.

    Raises:
        ModelFileError: if anything is missing, damaged or does not fit together.
    """
    files = manifest.read_manifest(directory, _ADVICE)
    files.require([CONFIG, WEIGHTS])
    where = str(directory / CONFIG)
    plain = mapping(
        parse_json(files.read(CONFIG), where, ModelFileError, _ADVICE),
        where,
        ModelFileError,
        _ADVICE,
    )
    if plain.get("format") != FORMAT:
        raise ModelFileError(
            f"{where} has format {shown(plain.get('format'))}, "
            f"this version of undrift reads {FORMAT}"
        )
    weights = parse_tensors(files.read(WEIGHTS), str(directory / WEIGHTS), ModelFileError, _ADVICE)
    try:
        config = from_plain(GANFile, plain, where)
    except UsageError as error:
        raise ModelFileError(str(error)) from error
    try:
        with at_most_parameters(MARGIN + 2 * sum(map(Tensor.numel, weights.values()))):
            pipeline = _built(config)
    except UsageError as error:
        raise ModelFileError(f"{where}: {error}") from error
    load_weights(pipeline.weights, weights, str(directory / WEIGHTS))
    return pipeline


def _built(config: GANFile) -> GANPipeline:
    channels, height, width = config.spec.shape
    with torch.random.fork_rng(devices=[]):  # initial weights, soon overwritten
        encoder = ConditionEncoder(config.condition, max(1, config.width))
        generator = build_generator(
            config.network, channels=channels, size=(height, width), context=encoder.context_spec
        )
    return GANPipeline(
        generator.eval(),
        encoder.eval(),
        build_codec(config.codec),
        config.spec,
        network_config=config.network,
    )
