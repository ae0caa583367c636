"""GAN pipelines as files: the generator and its encoder, not the discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from undrift.codec import CodecConfig, build_codec, codec_config
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.networks.gan import AdversaryConfig, build_generator
from undrift.pipelines import file
from undrift.pipelines.gan.model import GANModel
from undrift.pipelines.spec import SampleSpec


@dataclass(frozen=True)
class GANFile:
    """What config.json says of a GAN pipeline.

    Attributes:
        format: version of the file.
        kind: family of the pipeline.
        spec: image shape, classes, defaults.
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


def save(model: GANModel, directory: Path) -> None:
    """Write ``model`` to ``directory``; see `undrift.pipelines.Pipeline.save_pretrained`."""
    config = GANFile(
        format=file.FORMAT,
        kind="gan",
        spec=model.spec,
        network=model.network_config,
        codec=codec_config(model.codec),
        condition=model.encoder.spec,
        width=model.encoder.context_spec.vector,
    )
    file.write(directory, config, model.weights.state_dict())


def load(directory: Path) -> GANModel:
    """What `save` wrote, on the CPU, after checking every byte of it.

    Raises:
        ModelFileError: if anything is missing, damaged or does not fit together.
    """
    found = file.read(directory, GANFile)
    model = found.build(_built, lambda: False)
    found.fill(model.weights)
    return model


def _built(config: GANFile) -> GANModel:
    codec = build_codec(config.codec)
    channels, height, width = codec.latent_shape(config.spec.image_shape)
    with torch.random.fork_rng(devices=[]):  # initial weights, soon overwritten
        encoder = ConditionEncoder(config.condition, max(1, config.width))
        generator = build_generator(
            config.network, channels=channels, size=(height, width), context=encoder.context_spec
        )
    return GANModel(generator, encoder, codec, config.spec, config.network)
