"""Six claims of why diffusion replaced GANs, each held against runs of both on one bench."""

from undrift.claims.asked import Study
from undrift.claims.run import StudyWatcher, make_part, run_study

__all__ = ["Study", "StudyWatcher", "make_part", "run_study"]
