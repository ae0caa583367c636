"""Six claims about diffusion models and GANs, tested on runs of both under one protocol."""

from undrift.claims.run import ClaimsProgress, make_part, run_study
from undrift.claims.study import Study

__all__ = ["ClaimsProgress", "Study", "make_part", "run_study"]
