"""Adapters as files: their own weights, and a reference to their base."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from undrift.networks.lora import LoRAConfig
from undrift.pipelines import file
from undrift.pipelines.adapter import peft
from undrift.pipelines.adapter.model import AdaptedModel, AdapterFacts, check_base, open_base
from undrift.pipelines.diffusion.pipeline import DiffusionPipeline
from undrift.pipelines.place import moved_with


@dataclass(frozen=True)
class AdapterFile:
    """What config.json says of an adapter.

    Attributes:
        format: version of the file.
        kind: family of the pipeline.
        adapter: shape, base and maps.
    """

    format: int
    kind: Literal["adapter"]
    adapter: AdapterFacts


def save(adapted: AdaptedModel, directory: Path) -> None:
    """Write an adapter; see `undrift.pipelines.Pipeline.save_pretrained`.

    A low-rank one is written in PEFT's layout; model.safetensors is then empty.
    """
    config = AdapterFile(file.FORMAT, "adapter", adapted.facts)
    weights, shape = adapted.own.state_dict(), adapted.facts.shape
    if isinstance(shape, LoRAConfig):
        file.write(directory, config, {}, peft.encode(shape, weights, adapted.facts.base.path))
    else:
        file.write(directory, config, weights)


def load(directory: Path, base: DiffusionPipeline | None = None) -> AdaptedModel:
    """What `save` wrote, on its base, on the CPU.

    Args:
        directory: where it is.
        base: the model to adapt, where it has moved; None opens the one that it names; see
            `moved_with`.

    Raises:
        ModelFileError: if anything is missing or damaged, or the base is another one.
        UsageError: for a ``base`` that the adapter was not made for.
    """
    found = file.read(directory, AdapterFile, peft.CONFIG, peft.WEIGHTS)
    facts = found.config.adapter
    if base is None:
        path = moved_with(facts.base.path, directory)
        facts = replace(facts, base=replace(facts.base, path=path))
        base = open_base(facts.base)
    check_base(base, facts.base)
    with torch.random.fork_rng(devices=[]):  # initial weights, soon overwritten
        adapted = AdaptedModel(base, facts)
    if isinstance(facts.shape, LoRAConfig):
        config = str(directory / peft.CONFIG)
        peft.check(found.files.read(peft.CONFIG), config, facts.shape, adapted.own.state_dict())
        where = str(directory / peft.WEIGHTS)
        file.load_weights(adapted.own, peft.decode(found.files.read(peft.WEIGHTS), where), where)
    else:
        found.fill(adapted.own)
    return adapted
