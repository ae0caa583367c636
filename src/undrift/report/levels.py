"""At which noise levels two validations differ, which the mean over levels hides.

With ``l_i`` the validation error at noise level i and ``s_i`` its standard error over images, a
second validation differs from a first at level i where the interval

    log(l'_i / l_i) +- 1.96 sqrt((s_i / l_i)^2 + (s'_i / l'_i)^2)                              (1)

leaves out 0. Both use the same images, so that it is conservative. Over several
seeds the interval is that of the mean of ``log(l'_i / l_i)``, paired by seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from undrift.metrics.seeds import paired_over_seeds
from undrift.pipelines.diffusion.one_step import NOISE
from undrift.report.history import Series, Validation

_Z = 1.96
_FINEST = 1.1 * max(NOISE)
"""Noise over signal up to which texture is decided, as the one-step pictures show it."""


@dataclass(frozen=True)
class Contrast:
    """A second error over a first one, by noise level.

    Attributes:
        noise: (L,) noise over signal.
        ratio: (L,) second error over first.
        low: (L,) lower end of its 95 % interval.
        high: (L,) upper end.
    """

    noise: Series
    ratio: Series
    low: Series
    high: Series

    @property
    def settled(self) -> Series:
        """(L,) 1 where the second error is higher beyond the interval, -1 where lower, else 0."""
        return np.where(self.low > 1, 1.0, np.where(self.high < 1, -1.0, 0.0))

    def words(self) -> str:
        """Where the second differs, as ``8% more at noise 0.03 to 0.12, elsewhere no more ...``."""
        order = np.argsort(self.noise)
        signs = self.settled[order]
        found = []
        for sign, places in groupby(range(len(order)), key=lambda place: float(signs[place])):
            if sign:
                rows = order[list(places)]
                changes = np.abs(self.ratio[rows] - 1)
                change = _range(float(changes.min()), float(changes.max()), ".0%")
                place = _range(float(self.noise[rows[0]]), float(self.noise[rows[-1]]), ".2g")
                found.append(f"{change} {'more' if sign > 0 else 'less'} at noise {place}")
        if not found:
            return "no difference beyond the 95% interval at any noise level"
        rest = "" if signs.all() else ", elsewhere no difference beyond the 95% interval"
        return ", ".join(found) + rest


def contrast(first: Validation, second: Validation) -> Contrast | None:
    """Equation (1) for two validations; None where a standard error is not known."""
    if not _alike(first, second):
        return None
    relative = [
        one.standard_errors / one.losses
        for one in (first, second)
        if one.standard_errors is not None
    ]
    if len(relative) < 2:
        return None
    value = np.log(second.losses / first.losses)
    half = _Z * np.sqrt(relative[0] ** 2 + relative[1] ** 2)  # (1)
    return _of_logs(second.noise, value, value - half, value + half)


def contrast_over_seeds(
    first: Mapping[int, Validation], second: Mapping[int, Validation]
) -> Contrast | None:
    """The contrast of runs that both have, by seed: over seeds, of one seed by equation (1)."""
    shared = [seed for seed in first if seed in second and _alike(first[seed], second[seed])]
    if len(shared) < 2:
        return contrast(first[shared[0]], second[shared[0]]) if shared else None
    rows = []
    for level in range(len(first[shared[0]].losses)):
        mine = {seed: float(np.log(second[seed].losses[level])) for seed in shared}
        theirs = {seed: float(np.log(first[seed].losses[level])) for seed in shared}
        found = paired_over_seeds(mine, theirs)
        if found is None or found.low is None or found.high is None:
            return None
        rows.append((found.value, found.low, found.high))
    value, low, high = np.array(rows).T
    return _of_logs(second[shared[0]].noise, value, low, high)


def fine_share(validation: Validation) -> float | None:
    """Share that levels which decide texture have in the mean error; None of no such levels."""
    fine = validation.noise <= _FINEST
    if not fine.any() or not np.isfinite(validation.losses).all():
        return None
    return float(validation.losses[fine].sum() / validation.losses.sum())


def _alike(first: Validation, second: Validation) -> bool:
    """Whether the two have errors at the same levels, all positive and finite."""
    return (
        len(first.losses) > 0
        and np.array_equal(first.log_snr, second.log_snr)
        and all(
            bool((one.losses > 0).all() and np.isfinite(one.losses).all())
            for one in (first, second)
        )
    )


def _of_logs(noise: Series, value: Series, low: Series, high: Series) -> Contrast:
    return Contrast(noise, np.exp(value), np.exp(low), np.exp(high))


def _range(low: float, high: float, form: str) -> str:
    first, last = format(low, form), format(high, form)
    return first if first == last else f"{first} to {last}"
