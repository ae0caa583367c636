"""Classifiers as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from undrift.codec import CodecConfig, build_codec, codec_config
from undrift.diffusion import NoisyClassifier
from undrift.errors import UsageError
from undrift.networks import UNetClassifier, UNetClassifierConfig
from undrift.pipelines import file
from undrift.pipelines.classifier.model import ClassifierModel
from undrift.pipelines.spec import SampleSpec


@dataclass(frozen=True)
class ClassifierFile:
    """What config.json says of a classifier.

    Attributes:
        format: version of the file.
        kind: family of the pipeline.
        spec: image shape and classes.
        network: how to build the network.
        codec: between its space and images.
    """

    format: int
    kind: Literal["classifier"]
    spec: SampleSpec
    network: UNetClassifierConfig
    codec: CodecConfig


def save(model: ClassifierModel, directory: Path) -> None:
    """Write ``model`` to ``directory``; see `undrift.pipelines.Pipeline.save_pretrained`."""
    config = ClassifierFile(
        format=file.FORMAT,
        kind="classifier",
        spec=model.spec,
        network=model.network_config,
        codec=codec_config(model.codec),
    )
    file.write(directory, config, model.weights.state_dict())


def load(directory: Path) -> ClassifierModel:
    """What `save` wrote, on the CPU, after checking every byte of it.

    Raises:
        ModelFileError: if anything is missing, damaged or does not fit together.
    """
    found = file.read(directory, ClassifierFile)
    model = found.build(_built, lambda: False)
    found.fill(model.weights)
    return model


def _built(config: ClassifierFile) -> ClassifierModel:
    codec = build_codec(config.codec)
    channels = codec.latent_shape(config.spec.image_shape)[0]
    if len(config.spec.class_names) != config.network.classes:
        raise UsageError(
            f"network of {config.network.classes} classes, spec of "
            f"{len(config.spec.class_names)}: give the same"
        )
    with torch.random.fork_rng(devices=[]):  # initial weights, soon overwritten
        network = UNetClassifier(config.network, channels=channels)
    classifier = NoisyClassifier(network, codec.sigma_data)
    return ClassifierModel(classifier, codec, config.spec, config.network)
