"""What models can be steered by, measured: fidelity against diversity, and painting holes."""

from undrift.claims.dials.inpainting import (
    InpaintingQuality,
    inpainting_quality,
    painted_at_equal_time,
)
from undrift.claims.dials.sweep import METRICS, DialPoint, Sweep, dial_of, sweep

__all__ = [
    "METRICS",
    "DialPoint",
    "InpaintingQuality",
    "Sweep",
    "dial_of",
    "inpainting_quality",
    "painted_at_equal_time",
    "sweep",
]
