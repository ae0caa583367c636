"""GANs as pipelines: a generator draws each image in one pass."""

from undrift.pipelines.gan.pipeline import GANPipeline
from undrift.pipelines.gan.settings import GANInpainting, GANSettings

__all__ = ["GANInpainting", "GANPipeline", "GANSettings"]
