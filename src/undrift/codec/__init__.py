"""Codecs: between uint8 images and the space a model lives in."""

from undrift.codec.affine import Identity, Standardise
from undrift.codec.codec import Codec
from undrift.codec.configuration import (
    CodecConfig,
    IdentityConfig,
    StandardiseConfig,
    build_codec,
    codec_config,
)

__all__ = [
    "Codec",
    "CodecConfig",
    "Identity",
    "IdentityConfig",
    "Standardise",
    "StandardiseConfig",
    "build_codec",
    "codec_config",
]
