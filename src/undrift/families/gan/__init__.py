"""GANs as a family: five methods on one loop."""

from undrift.families.gan.family import GANFamily

__all__ = ["GANFamily"]
