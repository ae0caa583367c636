"""Solvers that choose their own steps, each image its own.

An embedded pair (``sampling/embedded.py``) tries a step and estimates its error; with

    q = rms over the image of  error / (atol + rtol max(|y_t|, |y_s|))                    (1)

the step stands where q <= 1, and the next one is ``0.9 q^(-1/k)`` times as long, k the power that
the error falls with, within factors of 1/5 and 3 (Hairer, Norsett and Wanner, "Solving Ordinary
Differential Equations I", II.4), and no longer than the pair's estimate can be trusted. ``y`` is
the state on the circle, ``x / sqrt(alpha^2 + sigma^2)``, so that one tolerance means the same under
every schedule, and so do the steps.

(1) is taken image by image and every image has its own time: its result does not depend
on the others of its batch. The network still sees them together; images that are done wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.diffusion.schedule import per_sample
from undrift.errors import DivergedError, UsageError
from undrift.names import plain
from undrift.sampling.embedded import DormandPrince, Exponential, Pair
from undrift.sampling.progress import OnStep, StepDone
from undrift.sampling.solver import BoundDenoise

PAIRS: dict[str, Pair] = {"dopri5": DormandPrince(), "dpmpp_adaptive": Exponential()}
"""The methods by name."""

ADAPTIVE = tuple(PAIRS)
"""Their names."""

_ALIASES = {
    "dpmadaptive": "dpmpp_adaptive",
    "sampledpmadaptive": "dpmpp_adaptive",
    "exponential": "dpmpp_adaptive",
}


def adaptive_name(name: str) -> str | None:
    """Which of `ADAPTIVE` is meant by ``name``; None is no adaptive method.

    Case, spaces, dashes and underscores don't matter and ``+`` is ``p``; k-diffusion's
    ``dpm_adaptive`` is understood too.
    """
    return ({plain(ours): ours for ours in ADAPTIVE} | _ALIASES).get(plain(name))


@dataclass(frozen=True)
class AdaptiveResult:
    """What adaptive sampling made and what it took.

    Attributes:
        x: the states at the end (B, ...).
        evaluations: network evaluations that each image needed, (B,) int64.
        accepted: steps of each image that stood, (B,) int64.
        rejected: steps tried in vain, (B,) int64.
        forwards: evaluations of the whole batch: those of its slowest image, or a few more.
    """

    x: Tensor
    evaluations: Tensor
    accepted: Tensor
    rejected: Tensor
    forwards: int


def integrate_adaptive(
    denoise: BoundDenoise,
    x: Tensor,
    schedule: NoiseSchedule,
    *,
    method: str = "dopri5",
    rtol: float = 1e-3,
    atol: float = 1e-3,
    start: float = 1.0,
    end: float = 0.0,
    sigma_min: float = 0.002,
    most_evaluations: int = 1000,
    on_progress: OnStep | None = None,
) -> AdaptiveResult:
    """Carry ``x`` from ``start`` to ``end`` along the probability-flow ODE, to a tolerance.

    Args:
        denoise: ``denoise(x_t, t) -> Prediction`` on the path of ``schedule``, for times t of
            shape (B,).
        x: states at ``start``, (B, ...), float32 or wider.
        schedule: the path.
        method: ``"dopri5"`` (orders 5 and 4) or ``"dpmpp_adaptive"`` (orders 3 and 2, the cheaper
            one at loose tolerances).
        rtol: tolerated error of a step in units of the state, above 0.
        atol: the same in units of a state of variance 1, above 0.
        start: time to begin at, in (0, 1]; alpha may be 0 there.
        end: time to end at, in [0, start).
        sigma_min: sigma / alpha at which an ``end`` without noise is reached in one step, as on
            `karras` grids.
        most_evaluations: per image, at least 10.
        on_progress: called after every step that was tried, in thousandths of the path of the image
            that has come least far; to cancel, raise.

    Returns:
        The states at ``end`` with the cost of each image.

    Raises:
        UsageError: for arguments out of range, and where an image needs more than
            ``most_evaluations``.
        DivergedError: where an image meets values that are not finite.
    """
    pair = _checked(method, rtol, atol, start, end, sigma_min, most_evaluations)
    level_t, level_s = schedule(start), schedule(end)
    lands = bool(level_s.sigma == 0)
    finish = math.atan(sigma_min) if lands else math.atan2(level_s.sigma, level_s.alpha)
    count = x.shape[0]
    phi = torch.full(
        (count,), math.atan2(level_t.sigma, level_t.alpha), dtype=torch.float64, device="cpu"
    )
    if not bool((phi > finish).all()):
        raise UsageError(f"sigma_min {sigma_min:g} is above the noise at start {start}: lower it")
    forwards, first = 0, float(phi[0])

    def evaluate(y: Tensor, angle: Tensor) -> Tensor:
        nonlocal forwards
        forwards += 1
        level = schedule(schedule.time_at(-2 * angle.tan().log()))
        size = torch.hypot(level.alpha, level.sigma)
        return denoise(per_sample(size, y) * y, level.t.to(y.device)).x0

    y = x / math.hypot(level_t.alpha, level_t.sigma)
    data = evaluate(y, phi)
    evaluations = torch.ones(count, dtype=torch.int64, device="cpu")
    accepted, rejected = torch.zeros_like(evaluations), torch.zeros_like(evaluations)
    step = pair.first(phi, rtol + atol)
    busy = phi > finish
    while bool(busy.any()):
        target = pair.ahead(phi, step).clamp(min=finish)
        # An image that is done makes believe: it has to have a step to try.
        target = torch.where(busy, target, phi * (1 - 1e-3))
        tried = pair.attempt(evaluate, y, phi, target, data)
        ratio = _ratio(tried.error, y, tried.y, rtol, atol)
        _check_finite(ratio, busy, phi)
        good = busy & (ratio <= 1)
        evaluations += busy * pair.evaluations
        accepted += good
        rejected += busy & ~good
        length = pair.length(phi, target)
        growth = 0.9 * ratio.clamp(min=1e-10) ** (-1 / pair.exponent)
        step = torch.where(busy, length * growth.clamp(1 / 5, 3.0), step).clamp(max=pair.longest)
        fresh = tried.data
        if fresh is None:
            fresh = evaluate(tried.y, target)
            evaluations += good
        kept = per_sample(good, x).to(torch.bool)
        y, data = torch.where(kept, tried.y, y), torch.where(kept, fresh, data)
        phi = torch.where(good, target, phi)
        busy = phi > finish
        _check_cost(evaluations, busy, most_evaluations, rtol)
        if on_progress is not None:
            on_progress(StepDone(_thousandths(phi, first, finish), 1000, data))
    if lands:
        x = float(level_s.alpha) * data
    else:
        x = math.hypot(level_s.alpha, level_s.sigma) * y
    return AdaptiveResult(x, evaluations, accepted, rejected, forwards)


def _thousandths(phi: Tensor, first: float, finish: float) -> int:
    """How far the slowest image is, on a clock of the log-SNR that pure noise is within reach of.

    The clock is (1) of ``sampling/brownian.py``.
    """
    angles = torch.stack([phi.new_tensor(first), phi.max(), phi.new_tensor(finish)])
    began, now, done = torch.sigmoid(-angles.tan().log() / 2).tolist()
    return math.floor(1000 * (now - began) / (done - began))


def _ratio(error: Tensor, y: Tensor, reached: Tensor, rtol: float, atol: float) -> Tensor:
    """The q of (1), (B,) float64 on the CPU."""
    scale = atol + rtol * torch.maximum(y.abs(), reached.abs())
    return (error / scale).reshape(len(y), -1).double().square().mean(1).sqrt().cpu()


def _checked(
    method: str,
    rtol: float,
    atol: float,
    start: float,
    end: float,
    sigma_min: float,
    most_evaluations: int,
) -> Pair:
    if method not in PAIRS:
        raise UsageError(f"unknown adaptive method {method!r}: choose from {', '.join(PAIRS)}")
    if not (0 < rtol < math.inf and 0 < atol < math.inf):
        raise UsageError(f"rtol {rtol}, atol {atol}: give numbers above 0 (1e-3 is usual)")
    if not 0 <= end < start <= 1:
        raise UsageError(f"from t = {start} to {end}: give 0 <= end < start <= 1")
    if not 0 < sigma_min < math.inf:
        raise UsageError(f"sigma_min {sigma_min}: give a number above 0 (0.002 is usual)")
    if most_evaluations < 10:
        raise UsageError(f"most_evaluations {most_evaluations}: give at least 10")
    return PAIRS[method]


def _check_finite(ratio: Tensor, busy: Tensor, phi: Tensor) -> None:
    lost = busy & ~ratio.isfinite()
    if bool(lost.any()):
        row = int(lost.nonzero()[0])
        raise DivergedError(
            f"image {row} of the batch is not finite any more at sigma / alpha = "
            f"{math.tan(float(phi[row])):.3g}: the denoiser returned NaN or infinity there"
        )


def _check_cost(evaluations: Tensor, busy: Tensor, most: int, rtol: float) -> None:
    late = busy & (evaluations >= most)
    if bool(late.any()):
        raise UsageError(
            f"image {int(late.nonzero()[0])} of the batch takes more than {most} evaluations at "
            f"rtol {rtol:g}: give a larger tolerance"
        )
