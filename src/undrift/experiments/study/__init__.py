"""Six claims of why diffusion replaced GANs, each held against runs of both on one bench."""

from undrift.experiments.study.asked import Study
from undrift.experiments.study.run import StudyWatcher, make_part, run_study

__all__ = ["Study", "StudyWatcher", "make_part", "run_study"]
