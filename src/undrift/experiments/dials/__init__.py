"""What models can be steered by, measured: fidelity against diversity, and painting holes."""

from undrift.experiments.dials.inpainting import (
    InpaintingQuality,
    inpainting_at_equal_time,
    inpainting_quality,
)
from undrift.experiments.dials.sweep import METRICS, DialPoint, Sweep, dial_of, sweep

__all__ = [
    "METRICS",
    "DialPoint",
    "InpaintingQuality",
    "Sweep",
    "dial_of",
    "inpainting_at_equal_time",
    "inpainting_quality",
    "sweep",
]
