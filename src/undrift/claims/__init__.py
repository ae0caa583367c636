"""Six claims of why diffusion replaced GANs, each held against runs of both on one bench."""

from undrift.claims.run import ClaimsProgress, make_part, run_study
from undrift.claims.study import Study

__all__ = ["ClaimsProgress", "Study", "make_part", "run_study"]
