"""Adapters of frozen diffusion models."""

from undrift.families.adapter.family import AdapterFamily

__all__ = ["AdapterFamily"]
