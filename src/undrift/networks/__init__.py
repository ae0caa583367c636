"""Networks: images and a noise level in, a prediction of the same shape out.

Every network here is called as ``network(x, c_noise, context)``; any callable of that form can take
its place.
"""

from undrift.networks.build import (
    NetworkConfig,
    at_most_parameters,
    build_network,
    count_flops,
    count_parameters,
)
from undrift.networks.classifier import UNetClassifier, UNetClassifierConfig
from undrift.networks.context import Context, ContextSpec
from undrift.networks.layout import lay_out, memory_format
from undrift.networks.mlp import MLP, MLPConfig, are_points
from undrift.networks.transformer import Transformer, TransformerConfig
from undrift.networks.unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "Context",
    "ContextSpec",
    "MLPConfig",
    "NetworkConfig",
    "Transformer",
    "TransformerConfig",
    "UNet",
    "UNetClassifier",
    "UNetClassifierConfig",
    "UNetConfig",
    "are_points",
    "at_most_parameters",
    "build_network",
    "count_flops",
    "count_parameters",
    "lay_out",
    "memory_format",
]
