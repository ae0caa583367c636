r"""The search space of a comparison's tuning, declared once for all methods.

A trial multiplies numbers of a method's recipe by factors; the same points for every method:

===============  ==========  ======================================================================
learning rate    1/4 to 4    peak of its schedule; all its optimisers' rates keep their ratio
batch size       1/2 to 2    in steps of 8 images; a GAN recipe may adapt its penalty to it
regularisation   1/4 to 4    of a GAN the gradient penalty's weight, of a class-conditional
                             diffusion model the share of labels hidden from it
===============  ==========  ======================================================================

Trial k has the coordinates

.. math::

    u_k = (\tfrac12 + \phi_b(k)) \bmod 1, \qquad \phi_b(k) = \sum_i d_i b^{-i-1}          \quad (1)

with d the digits of k, lowest first, in base b = 2, 3, 5 for the three axes (Halton's sequence,
shifted), and the factors :math:`r^{2u - 1}` for ranges from 1/r to r (2). Trial 0 is the recipe
itself, and more trials begin with fewer ones' and fill the space more evenly.

A factor that a method lacks (no penalty: sngan, dcgan; no classes), or that the comparison fixes
for all (--batch-size), is left out for it. That wastes none of its trials: along each of the other
axes they all have different values still, as those of a grid would not.

References: Halton, "On the efficiency of certain quasi-random sequences of points" (1960), for (1);
Bergstra & Bengio, "Random search for hyper-parameter optimization" (2012), for the last remark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from undrift.comparison.cells import Setting
from undrift.families import family_of
from undrift.runs.configuration import RunConfig

STEP = 8
"""Images that a tried batch is a multiple of."""


@dataclass(frozen=True)
class Factor:
    """One axis of the space.

    Attributes:
        name: what is multiplied.
        most: r; the least is 1/r.
        base: b, of the digits that give its coordinate.
    """

    name: str
    most: float
    base: int

    def at(self, trial: int) -> float:
        """The factor of a trial."""
        mirrored, place = 0.0, 1.0
        while trial:
            trial, digit = divmod(trial, self.base)
            place /= self.base
            mirrored += digit * place
        return self.most ** (2 * ((0.5 + mirrored) % 1) - 1)  # (1), (2)


SPACE = (
    Factor("learning rate", 4.0, 2),
    Factor("batch size", 2.0, 3),
    Factor("regularisation", 4.0, 5),
)


def factors_of(trial: int) -> dict[str, float]:
    """Factor of each axis for a trial; all 1 for trial 0."""
    return {factor.name: factor.at(trial) for factor in SPACE}


def settings_of(
    trial: int, config: RunConfig, own: Mapping[str, Setting | None]
) -> dict[str, Setting]:
    """What a trial sets, as fields of `TrainOptions`; nothing for trial 0.

    Args:
        trial: its number.
        config: the recipe that it multiplies, resolved.
        own: what the comparison and the arm have set already.
    """
    if trial == 0:
        return {}
    factors = factors_of(trial)
    family = family_of(config.model)
    found: dict[str, Setting] = {
        "learning_rate": _rounded(family.peak_rate(config.model) * factors["learning rate"])
    }
    if own.get("batch_size") is None:
        steps = round(config.training.batch_size * factors["batch size"] / STEP)
        found["batch_size"] = STEP * max(1, steps)
    if (regularised := family.regularisation(config.model)) is not None:
        name, value, largest = regularised
        strength = factors["regularisation"] * float(own.get(name) or value)
        found[name] = min(largest, _rounded(strength))
    return found


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")
