"""The recipe for likelihood: a variational bound, trained as it is measured.

It differs from the recipe for images in what the bound requires: the full range of noise levels
down to a sixth of a level of grey, the weight that the bound gives them, a learned schedule,
Fourier features of the input that separate one level of grey from the next (Kingma et al. 2021 have
the two highest frequencies: at 256 levels on [-1, 1] their n = 7 and 8), and the images as they
are: a mirrored image is other data.
"""

from __future__ import annotations

import math
from dataclasses import replace

from undrift.advice import named
from undrift.codec import Codec, Standardise, build_codec, codec_config
from undrift.data import ImageSet
from undrift.diffusion import SNR, LogSNR, Uniform
from undrift.errors import UsageError
from undrift.likelihood import Span, ValueGrid
from undrift.likelihood.learned import VariationalConfig
from undrift.likelihood.span import LOWEST, SPACINGS
from undrift.networks import TransformerConfig
from undrift.options.train import TrainOptions
from undrift.training.learners.diffusion import DiffusionConfig

PERIODS = (1, 2, 4, 8, 16, 32)
"""Periods of the input's waves, in levels of grey.

At every level of noise one of them is a few deviations of it long, and shows the network by how
much a pixel is off: 4.65 bits/dim become 4.22 after 16,000 images of Fashion-MNIST (docs/log.md).
"""


def for_likelihood(
    model: DiffusionConfig, settings: TrainOptions, data: ImageSet
) -> DiffusionConfig:
    """The model of the recipe for images, trained for likelihood instead.

    Raises:
        UsageError: for settings that change the images, or a network without input waves.
    """
    for name in ("flip", "augment"):
        if getattr(settings, name):
            raise UsageError(
                f"{named('recipe')} likelihood: {named(name)} trains on images that are not in "
                "the data, whose "
                "likelihood would be less; leave it out"
            )
    if isinstance(model.network, TransformerConfig):
        raise UsageError(
            f"{named('recipe')} likelihood: the {model.network.kind} has no Fourier features of "
            "its input "
            f"to separate levels of grey; leave {named('network')} out"
        )
    grid = ValueGrid.of(data.report.histogram)
    codec = _of_one_scale(build_codec(model.codec))
    spacing = grid.spacing(codec, model.spec.image_shape[0])
    span = Span(LOWEST, 2 * math.log(SPACINGS / spacing))
    network = model.network
    if network is not None:
        # rounding to bytes moves single values, so that only their mean distance is a period
        level = 255 / (grid.count - 1) * spacing / grid.smallest
        waves = tuple(2 * math.pi / (period * level) for period in PERIODS)
        network = replace(network, fourier=waves)
    return replace(
        model,
        codec=codec_config(codec),
        network=network,
        schedule=LogSNR((span.high, span.low)),
        parameterization="edm",
        levels=Uniform(),
        weighting=SNR(),
        likelihood=VariationalConfig(grid.count, span.high, span.low),
    )


def _of_one_scale(codec: Codec) -> Codec:
    """The same means with one deviation for all channels: a level of grey is as far in each."""
    if not isinstance(codec, Standardise):
        return codec
    shared = float(codec.std.square().mean().sqrt())
    return Standardise(codec.mean.flatten().tolist(), (shared,) * codec.channels)
