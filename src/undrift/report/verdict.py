r"""The verdict on the validation loss: learning, learned, too early, stuck or memorising.

The yardstick is the best Gaussian denoiser, the optimal one for data with the same mean and
covariance. It is linear, so any network can reach it, and beating it means having learned more than
two moments. With ``r_l`` the ratio of the network's error to its error at noise level l, the
summary is

    R = exp(mean_l log r_l)                                                                    (1)

R near or above 1 means that nothing useful is learned yet. Whether that is "too early" or "broken"
shows in R's trend: it falls, or it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from undrift.report.history import Validation
from undrift.wording import plural

State = Literal["learning", "learned", "early", "stuck", "memorising", "unknown"]

_BEATEN = 0.95  # R below this: clearly better than linear
_FAR_WORSE = 1.5  # r at one level above this: something is wrong there
_FALLING = 0.97  # R falls by more than this over the second half of the run: still improving
_RISEN = 1.05  # loss over its lowest by more than this: memorising


@dataclass(frozen=True)
class Verdict:
    """A verdict and its reason.

    Attributes:
        state: the verdict in a word.
        sentence: the verdict with its figures, for people.
    """

    state: State
    sentence: str


def summary_ratio(validation: Validation) -> float | None:
    """Equation (1), or None where the Gaussian's error is not known."""
    ratios = validation.ratios
    if ratios is None or len(ratios) == 0:
        return None
    return float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-30)))))


def student_verdict(last: Validation) -> Verdict:
    """What the ``last`` validation of a student says, which is not how good its samples are."""
    if last.accuracies is not None:
        found = (
            f"In the end it named {float(last.accuracies.max()):.0%} of held-out images at the "
            f"noise where it reads best, {float(last.accuracies.mean()):.0%} averaged over levels"
        )
        return Verdict("unknown", f"{found}; whether it guides well, guided samples say.")
    if last.sample_distance is None:
        said = f"In the end its loss on held-out images was {last.loss:.3g}"
    else:
        said = f"In the end its samples were at {last.sample_distance:.3g} from held-out images"
    return Verdict("unknown", f"{said}; whether its samples are good, samples and metrics say.")


def verdict_of(validations: Sequence[Validation]) -> Verdict:
    """The verdict on a run by its ``validations``, all of the same weights, oldest first."""
    if not validations:
        return Verdict("unknown", "No validation was made, so there is no verdict on the training.")
    last = validations[-1]
    if not np.isfinite(last.losses).all():
        return Verdict("stuck", "The validation loss is not finite: the network is broken.")
    ratio, ratios = summary_ratio(last), last.ratios
    if ratio is None or ratios is None:
        return Verdict(
            "unknown", "The best Gaussian denoiser was not computed, so there is no yardstick."
        )
    halfway = next(entry for entry in validations if entry.images >= last.images / 2)
    middle = summary_ratio(halfway)
    trend = None if len(validations) < 3 or middle is None else ratio / middle
    falling = trend is not None and trend < _FALLING
    place = int(np.argmax(ratios))
    worst, where = float(ratios[place]), _noise(last, place)
    lowest = min(entry.loss for entry in validations)

    if ratio >= _BEATEN or worst > _FAR_WORSE:
        if ratio >= _BEATEN:
            found = (
                f"On average over noise levels its error is {_against(ratio)} that of the best "
                "linear (Gaussian) denoiser, which learns mean and covariance alone"
            )
        else:
            found = (
                f"At noise {where} its error is {worst:.2g} times that of the best linear "
                "(Gaussian) denoiser, which any network can match"
            )
        if trend is None:
            return Verdict("early", f"Too early. {found}; a trend needs more validations.")
        if falling:
            change = f"it is still falling, by {1 - trend:.0%} over the second half"
            return Verdict("early", f"Too early, not broken. {found}, but {change}: train longer.")
        return Verdict(
            "stuck",
            f"Probably broken. {found}, and it no longer falls: check the learning rate, the "
            "data and the gradient norm before training longer.",
        )
    best = _noise(last, int(np.argmin(ratios)))
    found = (
        f"Averaged over noise levels its error is {1 - ratio:.0%} below that of the best linear "
        f"(Gaussian) denoiser, and {1 - float(ratios.min()):.0%} below at noise {best}"
    )
    if last.loss > _RISEN * lowest:
        at = next(entry for entry in validations if entry.loss == lowest)
        return Verdict(
            "memorising",
            f"Learned, then memorised. {found}, but held-out loss has risen by "
            f"{last.loss / lowest - 1:.0%} since its lowest at {plural(at.images, 'image')}: "
            "stop there, add data or augmentation.",
        )
    if worst > 1.05:
        found += f"; it is weakest at noise {where}, {worst - 1:.0%} above"
    if trend is None:
        return Verdict("learned", f"It has learned. {found}.")
    change = f"Over the second half of the run that error changed by {trend - 1:+.0%}"
    if falling:
        return Verdict(
            "learning",
            f"It is learning. {found}. {change}: a longer run is likely to reach less.",
        )
    return Verdict(
        "learned",
        f"It has learned. {found}. {change}. The learning rate falls to zero towards the end, "
        "which levels off every run, so whether a longer run or a larger network would reach less "
        "is not known.",
    )


def _noise(validation: Validation, place: int) -> str:
    return f"{float(validation.noise[place]):.2g}"


def _against(ratio: float) -> str:
    if 0.98 < ratio < 1.02:
        return "the same as"
    return f"{abs(ratio - 1):.0%} {'below' if ratio < 1 else 'above'}"
