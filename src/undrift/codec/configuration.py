"""What a codec needs to be built again, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undrift.codec.affine import Identity, Standardise
from undrift.codec.codec import Codec
from undrift.errors import UsageError


@dataclass(frozen=True)
class IdentityConfig:
    """Pixels on [-1, 1].

    Attributes:
        kind: names this configuration in a file.
        sigma_data: standard deviation of the data on that scale.
    """

    kind: Literal["identity"] = "identity"
    sigma_data: float = 0.5


@dataclass(frozen=True)
class StandardiseConfig:
    """Each channel at zero mean and unit variance.

    Attributes:
        kind: names this configuration in a file.
        mean: of each channel, in pixel values.
        std: of each channel, in pixel values.
    """

    kind: Literal["standardise"] = "standardise"
    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = (64.0,)


CodecConfig = IdentityConfig | StandardiseConfig
"""Configuration of any codec."""


def build_codec(config: CodecConfig) -> Codec:
    """Build the codec that a configuration describes."""
    match config:
        case IdentityConfig():
            return Identity(config.sigma_data)
        case StandardiseConfig():
            return Standardise(config.mean, config.std)


def codec_config(codec: Codec) -> CodecConfig:
    """Describe a codec, so that ``build_codec`` builds it again.

    Raises:
        UsageError: for a codec of the user's own, which has no configuration.
    """
    match codec:
        case Identity():
            return IdentityConfig(sigma_data=codec.sigma_data)
        case Standardise():
            return StandardiseConfig(
                mean=tuple(codec.mean.flatten().tolist()), std=tuple(codec.std.flatten().tolist())
            )
    raise UsageError(
        f"codec: {type(codec).__name__} has no configuration; use Identity or Standardise"
    )
