"""From a configuration to a network, and what that network costs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils.flop_counter import FlopCounterMode

from undrift.errors import UsageError, one_line
from undrift.networks.context import Context, ContextSpec
from undrift.networks.mlp import MLP, MLPConfig
from undrift.networks.transformer import Transformer, TransformerConfig
from undrift.networks.unet import UNet, UNetConfig

NetworkConfig = UNetConfig | TransformerConfig | MLPConfig
"""Configuration of any denoising network."""


def build_network(
    config: NetworkConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
) -> nn.Module:
    """Build a network that maps (x, c_noise, context) to a prediction of x's shape.

    Args:
        config: the kind of network and its shape.
        channels: of the images, in and out.
        size: (H, W) of the images; only an MLP is bound to it.
        context: sizes of the context's parts.

    Raises:
        UsageError: if the sizes make no sense.
    """
    if channels < 1 or min(size) < 1:
        raise UsageError(f"network: {channels} channels of size {size}, wanted 1 or more of each")
    match config:
        case UNetConfig():
            return UNet(config, channels=channels, context=context)
        case TransformerConfig():
            return Transformer(config, channels=channels, context=context)
        case MLPConfig():
            return MLP(config, channels=channels, size=size, context=context)


@contextlib.contextmanager
def at_most_parameters(most: int) -> Iterator[None]:
    """Stop building networks once they have more than ``most`` parameters, before they take memory.

    Raises:
        UsageError: inside the block: they have more, or memory has no room for one of them.
    """
    count = 0

    def add(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        count += 0 if parameter is None else parameter.numel()
        if count > most:
            raise UsageError(f"the networks have more than {most:,} parameters")

    registered = register_module_parameter_registration_hook(add)
    try:
        yield
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        raise UsageError(f"the networks cannot be made: {one_line(error)}") from error
    finally:
        registered.remove()


def count_parameters(module: nn.Module) -> int:
    """Return how many numbers ``module`` learns."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_flops(
    network: nn.Module, *, channels: int, size: tuple[int, int], context: ContextSpec
) -> int:
    """Return the floating-point operations of one forward pass on one image.

    Matrix products, convolutions and attention count (two operations per multiply-add); norms and
    activations do not. Backward takes about twice as many. Tokens are counted as a sequence of 1.
    """
    reference = next(network.parameters())
    made = {"device": reference.device, "dtype": reference.dtype}
    zeros = Context(
        vector=torch.zeros(1, context.vector, **made) if context.vector else None,
        tokens=torch.zeros(1, 1, context.tokens, **made) if context.tokens else None,
        maps=torch.zeros(1, context.maps, *size, **made) if context.maps else None,
    )
    x, c_noise = torch.zeros(1, channels, *size, **made), torch.zeros(1, **made)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x, c_noise, zeros)
    return counter.get_total_flops()
