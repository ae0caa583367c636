"""The largest sizes that a configuration, a flag or a file may have.

They lie far above what anybody trains. What memory or time is proportional to has one, so that a
slip of a digit, or a damaged file, is an error of one line and not a machine that hangs.
"""

from __future__ import annotations

import os

WIDEST = 2**16
"""Channels, units or numbers of one layer of any network."""

MOST_CLASSES = 1_000_000

MOST_IMAGES = 10_000_000
"""Of one request to sample, or of one evaluation."""

MOST_TRAINING_STEPS = 1_000_000_000

MOST_BATCH = 1_000_000
"""Images of a global batch."""

MOST_SAMPLES = 1_000_000
"""Of one evaluation during training."""

MOST_STUDENT_STEPS = 64
"""Steps of a student's sampling; more is what diffusion models are for."""

LARGEST_IMAGE = 2**14
"""Pixels along a side that a model's images may have."""


def machine_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
