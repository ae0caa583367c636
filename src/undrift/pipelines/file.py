"""Pipelines as files: config.json, model.safetensors, MANIFEST.json and a family's further ones.

Nothing is pickled, nothing is executed, and every byte is compared with the manifest before it is
parsed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors.torch
from torch import Tensor, nn

from undrift.errors import ModelFileError, UsageError, shown
from undrift.files import manifest
from undrift.files.durable import write_directory
from undrift.files.reading import mapping, parse_json, read_json
from undrift.files.tensors import parse_tensors
from undrift.networks import at_most_parameters
from undrift.schema import from_plain, to_plain

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
FORMAT = 1
_MARGIN = 1_000_000
"""Parameters that a configuration may have beyond twice those in the file: no memory to speak of,
and `load_weights` says which one does not fit."""
ADVICE = "save the pipeline again or use another"

Config = TypeVar("Config")
Built = TypeVar("Built")


@dataclass(frozen=True, eq=False)
class Contents(Generic[Config]):
    """What a pipeline's folder holds, checked against its manifest.

    Attributes:
        config: what config.json says.
        weights: tensors by name.
        where: the folder.
        files: its manifest, which reads further files.
    """

    config: Config
    weights: Mapping[str, Tensor]
    where: Path
    files: manifest.Manifest

    def build(self, make: Callable[[Config], Built], usage: Callable[[], bool]) -> Built:
        """Call ``make`` on the configuration, with memory for as much as the file has weights for.

        Args:
            make: builds the modules.
            usage: whether what ``make`` refuses is the caller's fault and not the file's.

        Raises:
            ModelFileError: for a configuration that cannot be built.
            UsageError: what ``make`` raised, where ``usage`` says so.
        """
        size = sum(map(Tensor.numel, self.weights.values()))
        try:
            with at_most_parameters(_MARGIN + 2 * size):
                return make(self.config)
        except UsageError as error:
            if usage():
                raise
            raise ModelFileError(f"{self.where / CONFIG}: {error}") from error

    def fill(self, modules: nn.Module) -> None:
        """Copy the weights into ``modules``.

        Raises:
            ModelFileError: for the first that does not fit.
        """
        load_weights(modules, self.weights, str(self.where / WEIGHTS))


def write(
    directory: Path,
    config: object,
    weights: Mapping[str, Tensor],
    further: Mapping[str, bytes] | None = None,
) -> None:
    """Write a pipeline's folder, which appears whole or not at all.

    Args:
        directory: where.
        config: a dataclass with ``format`` and ``kind``.
        weights: tensors by name; those that share memory are written once per name.
        further: contents of other files by name.

    Raises:
        UsageError: if it cannot be written, or ``directory`` holds something else.
    """
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()
    }
    files = {
        CONFIG: json.dumps(to_plain(config), indent=1).encode() + b"\n",
        WEIGHTS: safetensors.torch.save(tensors),
        **(further or {}),
    }
    listing = {name: manifest.facts(data) for name, data in files.items()}
    files[manifest.NAME] = manifest.encode(listing)
    write_directory(directory, files, replaceable=manifest.NAME)


def read(directory: Path, kind: type[Config], *optional: str) -> Contents[Config]:
    """Read what `write` wrote.

    Args:
        directory: where.
        kind: dataclass of config.json.
        optional: names of further files, all of which are there or the first is not.

    Raises:
        ModelFileError: if anything is missing or damaged.
    """
    files = manifest.read_manifest(directory, ADVICE)
    there = optional if optional and optional[0] in files.listing else ()
    files.require([CONFIG, WEIGHTS, *there])
    where = str(directory / CONFIG)
    data = parse_json(files.read(CONFIG), where, ModelFileError, ADVICE)
    plain = mapping(data, where, ModelFileError, ADVICE)
    if plain.get("format") != FORMAT:
        raise ModelFileError(
            f"{where} has format {shown(plain.get('format'))}, "
            f"this version of undrift reads {FORMAT}"
        )
    weights = parse_tensors(files.read(WEIGHTS), str(directory / WEIGHTS), ModelFileError, ADVICE)
    try:
        return Contents(from_plain(kind, plain, where), weights, directory, files)
    except UsageError as error:
        raise ModelFileError(str(error)) from error


def kind_of(directory: Path, known: Collection[str]) -> str:
    """The family that config.json names; the rest of the folder is not read.

    Raises:
        ModelFileError: if that is none of ``known``, or cannot be read.
    """
    if not os.path.isdir(directory):
        raise ModelFileError(f"{directory}: no such directory; give one that save_pretrained wrote")
    if not os.path.exists(directory / manifest.NAME) and os.path.isdir(directory / "pipeline"):
        raise ModelFileError(f"{directory} is a run: give {directory / 'pipeline'}")
    manifest.read_manifest(directory, ADVICE)
    plain: Any = read_json(directory / CONFIG, ModelFileError, ADVICE)
    kind = plain.get("kind") if isinstance(plain, dict) else None
    if not isinstance(kind, str) or kind not in known:
        raise ModelFileError(
            f"{directory / CONFIG} is of kind {shown(kind)}, wanted one of {', '.join(known)}; "
            f"{ADVICE}"
        )
    return kind


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
