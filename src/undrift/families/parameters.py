"""Networks of a given size: the width that gives a model a number of parameters.

Counted are the network and the encoder of its conditions, of a GAN the generator and its encoder.
The recipe's width is changed first, in steps that groups and heads divide; where widths are too
coarse, as in small networks, one more number of each kind: a U-Net's embedding, a transformer's
hidden units, a GAN's latent numbers. Depth, kernels and learning rates stay, and a GAN's
discriminator has the generator's width, as in its recipe.

Networks are counted on torch's meta device, without memory for their weights and without drawing
them: nearly all of the time would go into random numbers that are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from math import log
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from undrift.advice import named
from undrift.codec import build_codec
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.errors import UsageError
from undrift.families import Family, ModelConfig, family_of
from undrift.networks import (
    MLPConfig,
    NetworkConfig,
    TransformerConfig,
    UNetConfig,
    count_parameters,
)
from undrift.networks.gan import AdversaryConfig, MLPGANConfig, R3GANConfig
from undrift.wording import dimensions

TOLERANCE = 0.1
"""Share by which parameters may differ from the number requested."""

CLOSE = 0.05
"""Share beyond which finer steps of width are tried."""

WIDEST = 2**14
"""Channels beyond which no width is tried."""

Network = NetworkConfig | AdversaryConfig


def drawing_parameters(model: ModelConfig) -> int:
    """Trainable parameters of the denoiser or generator.

    Raises:
        UsageError: a model whose network is the user's own.
    """
    if model.network is None:
        raise UsageError(f"{named('parameters')}: a network of your own has its size; leave it out")
    latent_shape = build_codec(model.codec).latent_shape(model.spec.image_shape)
    return _counted(family_of(model), model.network, model.condition, model.width, latent_shape)


@lru_cache(maxsize=4096)
def _counted(
    family: Family[Any],
    network: Network,
    condition: ConditionSpec,
    width: int,
    latent_shape: tuple[int, int, int],
) -> int:
    with torch.device("meta"), _Unset():
        encoder = ConditionEncoder(condition, width)
        built = family.network(network, latent_shape, encoder.context_spec)
    return count_parameters(built) + count_parameters(encoder)


class _Unset(TorchFunctionMode):
    """Leaves numbers as they are: nothing of `DRAWS` is carried out."""

    DRAWS = ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "zero_", "fill_")

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        given = dict(kwargs or {})
        if getattr(func, "__name__", "") in self.DRAWS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@lru_cache(maxsize=64)
def with_parameters(model: ModelConfig, wanted: int) -> ModelConfig:
    """``model`` with ``wanted`` parameters of the denoiser or generator, within a tenth.

    Args:
        model: as its recipe has it.
        wanted: how many.

    Raises:
        UsageError: if it comes no nearer, or the network is the user's own.
    """
    recipe = model.network
    if recipe is None:
        raise UsageError(f"{named('parameters')}: a network of your own has its size; leave it out")

    @cache
    def count(network: Network) -> int:
        return drawing_parameters(replace(model, network=network))

    def error(network: Network) -> float:
        return abs(count(network) / wanted - 1)

    if error(recipe) <= CLOSE:
        return model
    best: Network = recipe
    about: list[Network] = []
    for unit in _units(recipe):

        def wide(steps: int, unit: int = unit) -> Network:
            return widened(recipe, unit * steps)

        start, most = best.width // unit, WIDEST // unit
        steps = _around(lambda n, wide=wide: count(wide(n)), wanted, 1, start, most)
        about = sorted(map(wide, steps), key=error)
        best = min((best, *about), key=error)
        if error(best) <= CLOSE:
            break
    if error(best) > TOLERANCE:
        finer = {
            one: change
            for width in about[:2]
            for one, change in _finer(width, count, wanted).items()
            if error(one) <= TOLERANCE
        }
        best = min(finer, key=lambda one: (finer[one], error(one)), default=best)
    if error(best) > TOLERANCE:
        channels, *size = model.spec.image_shape
        images = f"images of {dimensions(*size)}x{channels}"
        raise UsageError(
            f"{named('parameters')} {wanted:,}: for {images} this {best.kind} comes no nearer than "
            f"{count(best):,}; give that"
        )
    return replace(model, network=best)


def widened(network: Network, width: int) -> Network:
    """``network`` of another width, its other numbers in the recipe's proportions."""
    if isinstance(network, TransformerConfig):
        usual = network.width // network.heads
        fitting = [heads for heads in range(1, width // 4 + 1) if width % (4 * heads) == 0]
        heads = min(fitting, key=lambda heads: abs(log(width / heads / usual)))
        return replace(network, width=width, heads=heads)
    return replace(network, width=width)


def _units(network: Network) -> tuple[int, ...]:
    """Steps of width, the coarsest and fastest first; finer ones would spoil groups or heads."""
    if isinstance(network, UNetConfig | TransformerConfig | R3GANConfig):
        return (32, 16, 8, 4)
    return (32, 16, 8, 4, 2, 1)


def _finer(network: Network, count: Callable[[Network], int], wanted: int) -> dict[Network, float]:
    """``network`` with its second number up to four times as large or small.

    Returns:
        Networks with about the ``wanted`` parameters, and how far each one's number is from what
        ``network`` has, as a logarithm.
    """
    match network:
        case MLPConfig() | MLPGANConfig():
            return {}  # its widths are as fine as can be
        case UNetConfig():
            name, value, step = "embedding", network.embedding or 4 * network.width, 8
        case TransformerConfig():
            name, value, step = "mlp", network.mlp, 0.25
        case _:
            name, value, step = "latent", network.latent, 1

    def other(steps: int) -> Network:
        return replace(network, **{name: steps * step})

    usual = round(value / step)
    steps = _around(lambda n: count(other(n)), wanted, max(1, usual // 4), usual, 4 * usual)
    return {other(number): abs(log(number / usual)) for number in steps}


def _around(
    count: Callable[[int], int], wanted: int, least: int, start: int, most: int
) -> list[int]:
    """Whole numbers from ``least`` to ``most`` about where a rising ``count`` is ``wanted``.

    Counts go about with a power of the number, so that few of them have to be computed.
    """
    low = high = min(max(least, start), most)
    while count(low) >= wanted and low > least:
        low, high = max(least, low // 2), low
    while count(high) < wanted and high < most:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        below, above = count(low), count(high)
        share = log(wanted / below) / log(above / below) if below < wanted < above else 0.5
        guess = min(max(round(low * (high / low) ** share), low + 1), high - 1)
        low, high = (guess, high) if count(guess) < wanted else (low, guess)
    return list(range(max(least, low - 1), min(most, high + 1) + 1))
