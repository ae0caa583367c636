"""The learners: a denoiser with its objective, and a GAN."""

from undrift.training.learners.diffusion import DiffusionConfig, DiffusionLearner
from undrift.training.learners.gan import GANLearner
from undrift.training.learners.gan_config import GANConfig, PenaltyConfig

__all__ = ["DiffusionConfig", "DiffusionLearner", "GANConfig", "GANLearner", "PenaltyConfig"]
