"""Low-rank adapters in the file layout of PEFT.

``adapter_config.json`` says rank, alpha and the adapted layers, ``adapter_model.safetensors`` holds
``base_model.model.<layer>.lora_A.weight`` and ``lora_B.weight``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import safetensors.torch
from torch import Tensor

from undrift.errors import ModelFileError, shown
from undrift.files.reading import mapping, parse_json
from undrift.files.tensors import parse_tensors
from undrift.json_types import JsonObject
from undrift.networks.lora import LoRAConfig

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_ADVICE = "save the adapter again or use another"


def encode(config: LoRAConfig, weights: Mapping[str, Tensor], base: str) -> dict[str, bytes]:
    """The two files.

    Args:
        config: rank and alpha.
        weights: ``<layer, / for .>.lora_A.weight`` and ``.lora_B.weight``.
        base: path of the base.
    """
    tensors = {
        _PREFIX + name.replace("/", "."): tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in weights.items()
    }
    facts = _facts(config, weights, base)
    return {
        CONFIG: json.dumps(facts, indent=2).encode() + b"\n",
        WEIGHTS: safetensors.torch.save(tensors, metadata={"format": "pt"}),
    }


def check(data: bytes, where: str, config: LoRAConfig, weights: Iterable[str]) -> None:
    """Refuse an ``adapter_config.json`` by which PEFT would compute another model.

    Args:
        data: its content.
        where: its path, for messages.
        config: rank and alpha of the adapter.
        weights: names of its weights.

    Raises:
        ModelFileError: for a damaged file, or the first value that is not as `encode` wrote it; the
            base's path may differ.
    """
    found = mapping(
        parse_json(data, where, ModelFileError, _ADVICE), where, ModelFileError, _ADVICE
    )
    for name, value in _facts(config, weights, "").items():
        if name != "base_model_name_or_path" and found.get(name) != value:
            raise ModelFileError(
                f"{where}: {name} is {shown(found.get(name))}, the adapter has {shown(value)}; "
                f"{_ADVICE}"
            )


def _facts(config: LoRAConfig, weights: Iterable[str], base: str) -> JsonObject:
    """What ``adapter_config.json`` says."""
    layers = sorted({name.rpartition(".lora_")[0].replace("/", ".") for name in weights})
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "r": config.rank,
        "lora_alpha": config.alpha or config.rank,
        "lora_dropout": 0.0,
        "target_modules": layers,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "fan_in_fan_out": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "inference_mode": True,
    }


def decode(data: bytes, where: str) -> dict[str, Tensor]:
    """The weights in ``adapter_model.safetensors``, by the names that `encode` takes.

    Raises:
        ModelFileError: for a damaged file, or other names.
    """
    found = {}
    for name, tensor in parse_tensors(data, where, ModelFileError, _ADVICE).items():
        layer, matrix, end = name.removeprefix(_PREFIX).rpartition(".lora_")
        if not (name.startswith(_PREFIX) and layer and matrix):
            raise ModelFileError(f"{where}: {name} is no matrix of a low-rank adapter; {_ADVICE}")
        found[f"{layer.replace('.', '/')}.lora_{end}"] = tensor
    return found
