"""A few-step student: everything that its images depend on but settings and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift import networks
from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec
from undrift.diffusion import Denoiser
from undrift.distillation import Estimate, StudentInputs, few_step_times
from undrift.errors import UsageError
from undrift.limits import MOST_STUDENT_STEPS
from undrift.networks import Context, NetworkConfig
from undrift.pipelines.spec import SampleSpec
from undrift.schema import check_ranges


@dataclass(frozen=True)
class StudentFacts:
    """What a student is beside its network.

    Attributes:
        method: that made it.
        steps: numbers of steps that it takes; empty: any up to `undrift.limits.MOST_STUDENT_STEPS`.
        inputs: what its network takes beside conditions.
        level: noise over signal between the steps of two; see `undrift.distillation.steps`.
        teacher: fingerprint of the teacher's pipeline; "" without one.
    """

    method: str
    steps: tuple[int, ...] = ()
    inputs: StudentInputs = field(default_factory=StudentInputs)
    level: float = 1.6
    teacher: str = ""

    def __post_init__(self) -> None:
        check_ranges(self, "student", steps=(1, MOST_STUDENT_STEPS), level=(1e-6, 1e6))

    def check_steps(self, name: str, steps: int, whose: str = "") -> None:
        """Refuse a number of steps that the student does not take.

        Args:
            name: of the parameter.
            steps: its value.
            whose: what takes others, in words; by default this student.

        Raises:
            UsageError: under the name of the parameter.
        """
        whose = whose or f"this {self.method} student"
        if self.steps and steps not in self.steps:
            *first, last = map(str, self.steps)
            wanted = f"{', '.join(first)} or {last}" if first else last
            raise UsageError(f"{name} {steps}: {whose} takes {wanted}")
        if not 1 <= steps <= MOST_STUDENT_STEPS:
            raise UsageError(f"{name} {steps}: {whose} takes from 1 to {MOST_STUDENT_STEPS}")


@dataclass(frozen=True, eq=False)
class StudentModel:
    """A network that maps noise to images in few steps, and the space that it works in.

    Attributes:
        denoiser: the network with its path and what it predicts.
        encoder: of its conditions and further inputs.
        codec: between the model's space and images.
        spec: image shape, classes and the default number of steps; its sampler and grid play no
            part.
        network_config: what the network was built from.
        facts: method, steps and inputs.

    Raises:
        UsageError: if the encoder does not take what spec and facts say.
    """

    denoiser: Denoiser
    encoder: ConditionEncoder
    codec: Codec
    spec: SampleSpec
    network_config: NetworkConfig
    facts: StudentFacts

    def __post_init__(self) -> None:
        known = self.encoder.spec
        wanted = student_condition(self.spec, self.facts.inputs, known.augment)
        if known != wanted:
            raise UsageError("encoder and spec of a student take other conditions: give the same")

    @property
    def weights(self) -> nn.ModuleDict:
        """Everything with parameters: ``network`` and ``encoder``."""
        return nn.ModuleDict({"network": self.denoiser.network, "encoder": self.encoder})

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the network's input and of the noise."""
        return self.codec.latent_shape(self.spec.image_shape)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.weights.parameters()).device

    @property
    def memory_format(self) -> torch.memory_format:
        """What the network is fast in."""
        return networks.memory_format(self.device)

    def times(self, steps: int) -> Tensor:
        """Times at which ``steps`` steps begin, (steps,) float64, falling from 1."""
        return few_step_times(steps, self.facts.level, self.denoiser.schedule)

    def estimate(self, condition: Condition, count: int, scales: Sequence[float]) -> Estimate:
        """The estimate of clean images of ``count`` samples under their condition.

        Args:
            condition: of the samples.
            count: how many.
            scales: guidance scale of each; of no consequence for a student without guidance.
        """
        return bound_estimate(
            self.denoiser,
            self.encoder,
            self.facts.inputs,
            len(self.spec.numbers),
            condition.to(self.device),
            count,
            torch.as_tensor(scales, dtype=torch.float64, device=self.device),
        )

    def decoded(self, x0: Tensor) -> NDArray[np.uint8]:
        """Images of the model's space as pixels, uint8 (B, H, W, C)."""
        return self.codec.decode(x0.detach()).permute(0, 2, 3, 1).cpu().contiguous().numpy()


def student_condition(spec: SampleSpec, inputs: StudentInputs, augment: int = 0) -> ConditionSpec:
    """What a student's encoder takes: its teacher's conditions, and its further inputs."""
    condition = spec.condition(augment)
    return replace(condition, numbers=(*condition.numbers, *inputs.numbers))


def bound_estimate(
    denoiser: Denoiser,
    encoder: ConditionEncoder,
    inputs: StudentInputs,
    known: int,
    condition: Condition,
    count: int,
    scale: Tensor | None,
) -> Estimate:
    """A student's network with the conditions of a batch bound.

    Args:
        denoiser: the network with its path and what it predicts.
        encoder: of conditions and inputs.
        inputs: which inputs there are.
        known: how many numbers the teacher takes.
        condition: of the samples, on the network's device.
        count: samples.
        scale: guidance scales, of shape () or (B,).

    Returns:
        ``estimate(x_t, t, s)``; exactly x_t where t is 0.
    """
    schedule = denoiser.schedule

    def context(end: Tensor | None) -> Context:
        given = inputs.added(condition, known, count, scale=scale, end=end, schedule=schedule)
        return encoder(given, count)

    fixed = None if inputs.end else context(None)

    def estimate(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        found = denoiser(x_t, t, context(s.to(x_t.device)) if fixed is None else fixed)
        return torch.where(found.level.like(x_t).sigma == 0, found.x_t, found.x0)

    return estimate
