"""Student pipelines as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from undrift.codec import CodecConfig, build_codec, codec_config
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.diffusion import Denoiser, Schedule, parameterization
from undrift.errors import UsageError
from undrift.networks import NetworkConfig, build_network
from undrift.pipelines import file
from undrift.pipelines.diffusion.file import Parameters
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.student.model import StudentFacts, StudentModel


@dataclass(frozen=True)
class StudentFile:
    """What config.json says of a student pipeline.

    Attributes:
        format: version of the file.
        kind: family of the pipeline.
        spec: image shape, classes, default number of steps.
        network: how to build the network.
        schedule: the path.
        parameterization: what the network predicts.
        codec: between the model's space and images.
        condition: what the encoder understands.
        width: length of the encoded condition.
        student: method, steps and inputs.
    """

    format: int
    kind: Literal["student"]
    spec: SampleSpec
    network: NetworkConfig
    schedule: Schedule
    parameterization: Parameters
    codec: CodecConfig
    condition: ConditionSpec
    width: int
    student: StudentFacts


def save(model: StudentModel, directory: Path) -> None:
    """Write ``model`` to ``directory``; see `undrift.pipelines.Pipeline.save_pretrained`."""
    schedule, rule = model.denoiser.schedule, model.denoiser.parameterization
    if not isinstance(schedule, Schedule):
        raise UsageError(f"schedule {type(schedule).__name__}: cannot be saved; use undrift's own")
    config = StudentFile(
        format=file.FORMAT,
        kind="student",
        spec=model.spec,
        network=model.network_config,
        schedule=schedule,
        parameterization=Parameters(rule.kind, rule.sigma_data),
        codec=codec_config(model.codec),
        condition=model.encoder.spec,
        width=model.encoder.context_spec.vector,
        student=model.facts,
    )
    file.write(directory, config, model.weights.state_dict())


def load(directory: Path) -> StudentModel:
    """What `save` wrote, on the CPU, after checking every byte of it.

    Raises:
        ModelFileError: if anything is missing, damaged or does not fit together.
    """
    found = file.read(directory, StudentFile)
    model = found.build(_built, lambda: False)
    found.fill(model.weights)
    model.weights.eval()
    return model


def _built(config: StudentFile) -> StudentModel:
    codec = build_codec(config.codec)
    channels, height, width = codec.latent_shape(config.spec.image_shape)
    with torch.random.fork_rng(devices=[]):  # initial weights, soon overwritten
        encoder = ConditionEncoder(config.condition, max(1, config.width))
        network = build_network(
            config.network, channels=channels, size=(height, width), context=encoder.context_spec
        )
    rule = parameterization(config.parameterization.kind, config.parameterization.sigma_data)
    denoiser = Denoiser(network, config.schedule, rule)
    return StudentModel(denoiser, encoder, codec, config.spec, config.network, config.student)
