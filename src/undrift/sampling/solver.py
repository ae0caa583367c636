"""What a solver is: one step of a sampler, as a value with declared facts.

Every Gaussian path ``x_t = alpha_t x_0 + sigma_t eps`` is the same ordinary differential equation
in the coordinates ``y = x / alpha`` and ``r = sigma / alpha``:

    dy / dr = (y - D(x, t)) / r,        D(x, t) = E[x_0 | x_t = x]

(Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", eq. 1
with s = alpha and sigma = r). A solver is therefore written once, in the levels ``(alpha, sigma)``
at the two ends of a step, and serves every schedule. It never divides by ``alpha_t``, which is 0
where a path begins in pure noise, nor by ``sigma_s``, which is 0 where it ends in data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction

BoundDenoise = Callable[[Tensor, Tensor], Prediction]
"""``denoise(x_t, t) -> Prediction``, its condition bound; x_t (B, ...), t a float64 scalar."""

Memory = TypeVar("Memory")


class Draw(Protocol):
    """This step's noise, standard normal, in the shape, dtype and device of the state."""

    def __call__(self, purpose: str) -> Tensor:
        """Return noise that belongs to this step and ``purpose``, independent of all other."""
        ...

    def brownian(self, level_t: Level, level_s: Level) -> Tensor:
        """Return the increment of the image's Brownian path between two levels, standardised.

        The path belongs to the image, not to the grid: increments over stretches that do not
        overlap are independent, and those that make up a longer one add up to it, so that finer
        grids converge. See ``sampling/brownian.py``.

        Args:
            level_t: where the stretch begins, the noisier end; alpha may be 0.
            level_s: where it ends; sigma may be 0.
        """
        ...


@dataclass(frozen=True)
class Facts:
    """What a rule declares, at its default settings; the tests in ``tests/oracle`` measure it.

    Attributes:
        name: how settings, files and the command line call it.
        order: order of convergence of the rule itself, in the largest step (in law, if stochastic).
        order_as_started: the same with the rule's own first steps, before it has a history.
        evaluations_per_step: denoiser calls in an inner step.
        stochastic: whether it draws noise; with an ``eta`` of 0 such a rule draws none.
        number: setting that a number after a name gives, as in ``"dpmpp_sde:0.5"``; None: none.
    """

    name: str
    order: int
    order_as_started: int
    evaluations_per_step: int = 1
    stochastic: bool = False
    number: str | None = None


class Solver(ABC, Generic[Memory]):
    """One step rule; what it remembers between steps is passed in and handed back.

    Attributes:
        facts: what it declares. Each of the facts is an attribute of the class as well.
    """

    facts: ClassVar[Facts]
    name: ClassVar[str]
    order: ClassVar[int]
    order_as_started: ClassVar[int]
    evaluations_per_step: ClassVar[int]
    stochastic: ClassVar[bool]
    number: ClassVar[str | None]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "facts" in cls.__dict__:
            for name, value in vars(cls.facts).items():
                setattr(cls, name, value)

    @abstractmethod
    def start(self, x: Tensor, schedule: NoiseSchedule) -> Memory:
        """Return the memory before the first step from ``x`` (B, ...).

        ``schedule`` is the path that the levels of its steps lie on.
        """

    @abstractmethod
    def step(
        self,
        denoise: BoundDenoise,
        x: Tensor,
        level_t: Level,
        level_s: Level,
        memory: Memory,
        draw: Draw,
    ) -> tuple[Tensor, Memory, Prediction]:
        """Go from ``level_t`` to the less noisy ``level_s``.

        Args:
            denoise: the denoiser, already given its condition and guidance.
            x: state at ``level_t``, shape (B, ...).
            level_t: where the step begins; scalars, sigma > 0.
            level_s: where it ends; scalars, alpha > 0, sigma may be 0.
            memory: what ``start`` or the previous step handed back.
            draw: this step's noise; called only by stochastic solvers.

        Returns:
            The state at ``level_s``, the new memory and the prediction made at ``(x, level_t)``.
        """


class Memoryless(Solver[None]):
    """A rule whose steps depend on nothing but their two ends."""

    def start(self, x: Tensor, schedule: NoiseSchedule) -> None:
        """There is nothing to remember."""
        return None


class OnPath(Solver[NoiseSchedule]):
    """A rule that evaluates between the ends of its steps, and remembers their path."""

    def start(self, x: Tensor, schedule: NoiseSchedule) -> NoiseSchedule:
        """Return the path."""
        return schedule
