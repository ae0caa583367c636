"""RePaint: known pixels are replaced at every noise level, and some steps are repeated.

With measured values y where m = 1, a step from level t to s becomes

    x_s^known  = alpha_s y + sigma_s z,    z ~ N(0, I) anew at every step                 (1)
    x_s^hidden = the solver's step from x_t                                               (2)
    x_s        = m x_s^known + (1 - m) x_s^hidden                                         (3)

(2) depends on y only through the noisy (1), so that the two parts do not match. Time travel
harmonises them: after some steps down the whole image is noised back up by

    x_t ~ q(x_t | x_s) = N(alpha_t / alpha_s x_s,  sigma_t^2 (1 - SNR_t / SNR_s) I)       (4)

and the steps are taken again. A grid whose times rise for (4) describes all of it
(`time_travel`); (1) and (3) are done after each step (`RePaint`), and (2) by any solver on any
path.

Accuracy: repeated for ever at one level, x_hidden converges to its law given y with the noise of
that level. That is the posterior as sigma -> 0, where convergence takes longest. So each resampling
brings it nearer, and short jumps soonest; weights of separate modes may stay wrong.

Reference: Lugmayr et al. 2022, "RePaint: Inpainting using Denoising Diffusion Probabilistic
Models", equation 8 and algorithm 1 for (1)-(3), section 4.2 for (4), jumps and resamplings.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule, Prediction
from undrift.diffusion.markov import marginal
from undrift.errors import UsageError
from undrift.sampling.inverse.measurement import Measurement
from undrift.sampling.solver import Draw


@dataclass(frozen=True)
class RePaint:
    """An ``after_step`` of `undrift.sampling.integrate`.

    Attributes:
        measurement: y and m; taken for exact, whatever its noise.
        schedule: the path.
    """

    measurement: Measurement
    schedule: NoiseSchedule

    def __call__(
        self, x_s: Tensor, t: Tensor, s: Tensor, prediction: Prediction, draw: Draw
    ) -> Tensor:
        """Return ``x_s`` (B, ...) with the known values at the noise of s, the level it is at."""
        values = self.measurement.values.to(x_s.dtype)
        known = marginal(values, self.schedule(s)).sample(draw("known"))  # (1)
        return self.measurement.over(x_s, known)  # (3)


def time_travel(times: Tensor, jump: int, resample: int) -> Tensor:
    """Cut a falling grid into runs of ``jump`` steps and repeat each one ``resample`` times.

    The runs are counted from the end. The first one, which begins in noise and may be shorter, is
    not repeated: noised back there, nothing of the image would be left.

    Args:
        times: falling times, float64, (N + 1,).
        jump: steps of a run, at least 1; below N unless ``resample`` is 1.
        resample: how often each is taken, at least 1; 1 is the grid itself.

    Returns:
        Times that rise from the end of a run to its beginning, float64.

    Raises:
        UsageError: for numbers below 1, or a jump that leaves no run to repeat.
    """
    steps = len(times) - 1
    for name, value in (("jump", jump), ("resample", resample)):
        if value < 1:
            raise UsageError(f"{name} {value}: give a whole number of at least 1")
    if resample > 1 and jump >= steps:
        raise UsageError(
            f"jump {jump} with {steps} steps: nothing would be repeated; give less than {steps}"
        )
    ends = [0, *range(steps % jump or jump, steps + 1, jump)]
    repeated = [times[:1]]
    for first, last in pairwise(ends):
        repeated.append(times[first + 1 : last + 1])
        if first:
            repeated += [times[first : last + 1]] * (resample - 1)  # rises to ``first``, by (4)
    return torch.cat(repeated)
