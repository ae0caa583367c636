"""Low-rank adapters in the file layout of PEFT.

``adapter_config.json`` says rank, alpha and the adapted layers, ``adapter_model.safetensors`` holds
``base_model.model.<layer>.lora_A.weight`` and ``lora_B.weight``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import safetensors.torch
from torch import Tensor

from undrift.errors import ModelFileError
from undrift.files.tensors import parse_tensors
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
    layers = sorted({name.rpartition(".lora_")[0].replace("/", ".") for name in weights})
    facts = {
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
    tensors = {
        _PREFIX + name.replace("/", "."): tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in weights.items()
    }
    return {
        CONFIG: json.dumps(facts, indent=2).encode() + b"\n",
        WEIGHTS: safetensors.torch.save(tensors, metadata={"format": "pt"}),
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
