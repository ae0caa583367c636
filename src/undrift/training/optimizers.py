"""Optimisers as plain configurations, and their state as named tensors.

torch numbers an optimiser's parameters in the order they were given; here state goes by the
parameter's name, so a checkpoint does not depend on that order and a mismatch has a name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer

from undrift.errors import ModelFileError, UsageError
from undrift.training.muon import Muon


@dataclass(frozen=True)
class AdamWConfig:
    """AdamW (Loshchilov and Hutter 2019), fused.

    Attributes:
        learning_rate: peak rate; the schedule scales it.
        betas: decay of the first and second moments, in [0, 1).
        epsilon: added to the root of the second moment.
        weight_decay: decoupled decay of parameters with two or more dimensions; biases, gains and
            other vectors are not decayed.
        beta2_start: decay of the second moments at the start of the run, from where it goes over to
            ``betas`` as half a cosine (Huang et al. 2024); None: it is constant.
    """

    kind: Literal["adamw"] = "adamw"
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    beta2_start: float | None = None

    def __post_init__(self) -> None:
        _check_rates(self.learning_rate, self.weight_decay)
        betas = [*self.betas, *([] if self.beta2_start is None else [self.beta2_start])]
        if not all(0 <= beta < 1 for beta in betas) or not self.epsilon > 0:
            raise UsageError(
                f"AdamW betas {betas}, epsilon {self.epsilon}: wanted betas in [0, 1) and a "
                "positive epsilon"
            )


@dataclass(frozen=True)
class MuonConfig:
    """Muon for hidden matrices, AdamW for everything else.

    Attributes:
        learning_rate: peak rate of Muon, of AdamW's size (``muon``, eq. 4).
        momentum: decay of the momentum, in [0, 1).
        weight_decay: decoupled decay of Muon's matrices.
        exclude: ``fnmatch`` patterns of the names of embeddings, first and last layers.
        rest: AdamW for vectors, embeddings, first and last layers.
    """

    kind: Literal["muon"] = "muon"
    learning_rate: float = 2e-3
    momentum: float = 0.95
    weight_decay: float = 0.0
    exclude: tuple[str, ...] = (
        "*embed*",
        "*stem.*",
        "*head.*",
        "encoder.*",
        "network.out.*",
        "network.tokens.*",
    )
    rest: AdamWConfig = field(default_factory=AdamWConfig)

    def __post_init__(self) -> None:
        _check_rates(self.learning_rate, self.weight_decay)
        if not 0 <= self.momentum < 1:
            raise UsageError(f"Muon momentum {self.momentum}: wanted a number in [0, 1)")

    def takes(self, name: str, parameter: Tensor) -> bool:
        """Whether Muon updates the parameter ``name``."""
        # (out, 1, ...) and (1, in) are vectors in the shape of a matrix.
        matrix = parameter.ndim >= 2 and min(parameter.flatten(1).shape) > 1
        return matrix and not any(fnmatchcase(name, pattern) for pattern in self.exclude)


OptimizerConfig = AdamWConfig | MuonConfig


def build_optimizers(
    named_parameters: Iterable[tuple[str, Parameter]], config: OptimizerConfig
) -> list[Optimizer]:
    """Optimisers that together update every parameter that requires gradients once.

    Raises:
        UsageError: if there is nothing to train.
    """
    named = [(name, p) for name, p in named_parameters if p.requires_grad]
    if not named:
        raise UsageError("no parameter requires gradients; there is nothing to train")
    if isinstance(config, AdamWConfig):
        return [_adamw([p for _, p in named], config)]
    matrices = [p for name, p in named if config.takes(name, p)]
    rest = [p for name, p in named if not config.takes(name, p)]
    optimizers: list[Optimizer] = []
    if matrices:
        muon = Muon(matrices, config.learning_rate, config.momentum, config.weight_decay)
        _remember_peaks(muon)
        optimizers.append(muon)
    if rest:
        optimizers.append(_adamw(rest, config.rest))
    return optimizers


def set_learning_rate(
    optimizers: Sequence[Optimizer], factor: float, fraction: float = 1.0
) -> float:
    """Scale every peak learning rate by ``factor``, and move decays that change with the run.

    Args:
        optimizers: of one parameter group.
        factor: of the learning rate.
        fraction: share of the run that is done.

    Returns:
        The first optimiser's learning rate, for the log.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
            if "beta2" in group:
                start, end = group["beta2"]
                beta2 = end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
                group["betas"] = (group["betas"][0], beta2)
    return optimizers[0].param_groups[0]["lr"]


def optimizer_tensors(
    optimizers: Sequence[Optimizer], named_parameters: Iterable[tuple[str, Parameter]]
) -> dict[str, Tensor]:
    """All optimiser state as ``<parameter>.<key>``; empty before the first update."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in named_parameters}
    return {
        f"{names[parameter]}.{key}": value
        for optimizer in optimizers
        for parameter, entries in optimizer.state.items()
        for key, value in entries.items()
    }


def load_optimizer_tensors(
    optimizers: Sequence[Optimizer],
    named_parameters: Iterable[tuple[str, Parameter]],
    tensors: Mapping[str, Tensor],
) -> None:
    """Replace all optimiser state by what ``optimizer_tensors`` returned.

    Raises:
        ModelFileError: if a tensor belongs to no parameter or has another shape.
    """
    owners = {p: o for o in optimizers for group in o.param_groups for p in group["params"]}
    parameters = {name: p for name, p in named_parameters if p in owners}
    restored: dict[Parameter, dict[str, Tensor]] = {}
    for full, value in tensors.items():
        name, _, key = full.rpartition(".")
        if name not in parameters:
            raise ModelFileError(
                f"optimiser state: {full!r} belongs to no trained parameter; it was saved by a run "
                "with another network"
            )
        parameter = parameters[name]
        restored.setdefault(parameter, {})[key] = _placed(full, value, parameter)
    for optimizer in optimizers:
        optimizer.state.clear()
    for parameter, entries in restored.items():
        wanted = {"momentum"} if isinstance(owners[parameter], Muon) else _ADAMW_KEYS
        if entries.keys() != wanted:
            name = next(name for name, p in parameters.items() if p is parameter)
            raise ModelFileError(
                f"optimiser state of {name!r}: got {sorted(entries)}, wanted {sorted(wanted)}; "
                "it was saved by a run with another optimiser"
            )
        owners[parameter].state[parameter] = entries


_ADAMW_KEYS = {"step", "exp_avg", "exp_avg_sq"}


def _placed(name: str, value: Tensor, parameter: Parameter) -> Tensor:
    if value.ndim == 0:
        return value.to(parameter.device, copy=True)  # the fused kernels want their step there
    if value.shape != parameter.shape:
        raise ModelFileError(
            f"optimiser state: {name!r} has shape {tuple(value.shape)}, wanted "
            f"{tuple(parameter.shape)}; it was saved by a run with another network"
        )
    # The fused kernels read parameter and state by one index: state must have the parameter's
    # memory format, which files do not keep, or it would be applied to the wrong weights.
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def _adamw(parameters: list[Parameter], config: AdamWConfig) -> AdamW:
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        fused=True,
    )
    _remember_peaks(optimizer)
    if config.beta2_start is not None:
        for group in optimizer.param_groups:
            group["beta2"] = (config.beta2_start, config.betas[1])
    return optimizer


def _remember_peaks(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]


def _check_rates(learning_rate: float, weight_decay: float) -> None:
    if not (0 < learning_rate <= 1e6 and 0 <= weight_decay <= 1e6):
        raise UsageError(
            f"learning rate {learning_rate}, weight decay {weight_decay}: wanted a positive "
            "rate and a decay of at least 0, neither above 1e6"
        )
