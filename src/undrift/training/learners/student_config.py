"""What a few-step student is made of, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from undrift.advice import named
from undrift.codec import CodecConfig, build_codec
from undrift.conditioning import ConditionSpec
from undrift.diffusion import VE, Schedule
from undrift.distillation import (
    AdversarialFlowConfig,
    ConsistencyConfig,
    FlowMapConfig,
    MatchingConfig,
    MeanFlowConfig,
    ProgressiveConfig,
    ReflowConfig,
    StudentInputs,
)
from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.networks import NetworkConfig, UNetConfig
from undrift.pipelines import SampleSpec
from undrift.pipelines.student import StudentFacts
from undrift.pipelines.student.model import student_condition
from undrift.schema import check_ranges
from undrift.training.optimizers import AdamWConfig, OptimizerConfig

PathConfig = ConsistencyConfig | FlowMapConfig | MeanFlowConfig | ReflowConfig
"""Objectives that compare points of a path."""

MethodConfig = PathConfig | AdversarialFlowConfig | MatchingConfig | ProgressiveConfig


@dataclass(frozen=True)
class TeacherReference:
    """A frozen pipeline, which is never saved with its student.

    Attributes:
        path: absolute, of the teacher's pipeline.
        fingerprint: of that pipeline when the run began.
    """

    path: str
    fingerprint: str


@dataclass(frozen=True)
class StudentConfig:
    """A student and how it is trained.

    Attributes:
        spec: image shape, classes and the default number of steps.
        kind: names this configuration in a file.
        method: what the method is called.
        objective: its settings.
        teacher: what it is distilled from; None: it is trained from scratch.
        codec: between images and the network's space.
        network: shape of the network.
        width: length of the encoded condition.
        schedule: Gaussian path.
        parameterization: what the network predicts.
        guidance: smallest and largest guidance scale of the teacher that is distilled; None: off.
        label_dropout: share of conditions dropped.
        flip: mirror images at random.
        augment_parameters: that the teacher's encoder takes; the student is not augmented.
        optimizer: how the network is updated.
    """

    spec: SampleSpec
    codec: CodecConfig
    kind: Literal["student"] = "student"
    method: str = "consistency"
    objective: MethodConfig = field(default_factory=ConsistencyConfig)
    teacher: TeacherReference | None = None
    network: NetworkConfig = field(default_factory=UNetConfig)
    width: int = 128
    schedule: Schedule = field(default_factory=VE)
    parameterization: str = "edm"
    guidance: tuple[float, float] | None = None
    label_dropout: float = 0.0
    flip: bool = False
    augment_parameters: int = 0
    optimizer: OptimizerConfig = field(default_factory=AdamWConfig)

    @property
    def facts(self) -> StudentFacts:
        """What a pipeline knows of the student beside its network."""
        fingerprint = "" if self.teacher is None else self.teacher.fingerprint
        inputs = StudentInputs(self.guidance, end=self.objective.end)
        facts = StudentFacts(self.method, self.objective.steps, inputs, teacher=fingerprint)
        if not isinstance(self.objective, MatchingConfig | ProgressiveConfig):
            return facts
        level = self.objective.level * build_codec(self.codec).sigma_data
        matching = isinstance(self.objective, MatchingConfig)
        steps = {1, self.spec.steps} if matching else {self.spec.steps}
        return replace(facts, steps=tuple(sorted(steps)), level=level)

    @property
    def condition(self) -> ConditionSpec:
        """The conditions and further inputs that the network takes."""
        return student_condition(self.spec, self.facts.inputs, self.augment_parameters)

    def __post_init__(self) -> None:
        check_ranges(
            self, "model", width=(1, WIDEST), label_dropout=(0, 1), augment_parameters=(0, WIDEST)
        )
        taken = replace(self.facts, steps=self.objective.steps)
        taken.check_steps(named("steps"), self.spec.steps, f"method {self.method}")
        if self.teacher is None and (self.guidance or self.objective.direction == "teacher"):
            raise UsageError("model: guidance and a teacher's direction need a teacher; give one")
        if self.guidance is not None and not self.objective.guided:
            raise UsageError(f"guidance: method {self.method} does not distil it; leave it out")
        if self.guidance is not None and not self.spec.conditional:
            raise UsageError(
                "guidance: the teacher has no classes and takes no prompts or numbers to guide "
                "towards; leave it out"
            )
