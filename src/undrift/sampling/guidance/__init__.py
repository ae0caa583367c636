"""Guidance: denoiser in, denoiser out; it knows no solver."""

from __future__ import annotations

from undrift.sampling.guidance.classifier_free import ClassifierFree

__all__ = ["ClassifierFree"]
