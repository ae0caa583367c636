"""A student whose number of steps is halved stage by stage, each time from what it was."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from undrift.conditioning import Condition
from undrift.data.loader import Batch
from undrift.diffusion import Denoiser
from undrift.distillation import (
    Estimate,
    ProgressiveConfig,
    few_step_times,
    joined_steps,
    noised,
    progressive_losses,
)
from undrift.errors import UsageError
from undrift.pipelines import DiffusionPipeline
from undrift.randomness import Draws
from undrift.training.learner import Loss, Progress
from undrift.training.learners.student import NoisedBatch, StudentLearner
from undrift.training.learners.student_config import StudentConfig


class ProgressiveStudentLearner(StudentLearner):
    """Trains a student by progressive distillation; arguments of `StudentLearner`.

    The student as it was when the stage began is part of the checkpoint, and so is the stage.
    """

    def __init__(
        self,
        config: StudentConfig,
        objective: ProgressiveConfig,
        seed: int,
        device: torch.device | str = "cpu",
        teacher: DiffusionPipeline | None = None,
    ) -> None:
        super().__init__(config, seed, device, teacher)
        if self._teacher is None:
            raise UsageError("progressive distillation needs a teacher; give it one")
        self._objective = objective
        self._before = copy.deepcopy(self._denoiser)
        self._encoder_before = copy.deepcopy(self._encoder)
        self.networks["before"] = self._before.network
        self.networks["before_encoder"] = self._encoder_before
        for name in ("before", "before_encoder"):
            self.networks[name].requires_grad_(False)
        self.buffers.register_buffer("stage", torch.zeros((), dtype=torch.int64))

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Losses of the rows of ``batch``."""
        stage = self._objective.stage(progress.fraction, self.config.spec.steps)
        if stage > self._stage:
            self._before.network.load_state_dict(self.networks["network"].state_dict())
            self._encoder_before.load_state_dict(self._encoder.state_dict())
            self.buffers.get_buffer("stage").fill_(stage)
        return super().loss(phase, batch, progress, draws)

    @property
    def _stage(self) -> int:
        return int(self.buffers.get_buffer("stage"))

    def _quantiles(self, draws: Draws) -> Tensor:
        """Nothing is drawn for them: levels are those of the stage's steps."""
        return draws.uniform("end")

    def _losses(
        self,
        student: Estimate,
        drawn: NoisedBatch,
        condition: Condition,
        scale: Tensor | None,
        fraction: float,
    ) -> Tensor:
        """See `StudentLearner._losses`; of the stage that the run is in, whatever ``fraction``."""
        teacher = self._stages_teacher(condition, scale)
        return self._compared(student, drawn, teacher, self._stage, 2)

    def _held_out_losses(
        self, student: Estimate, drawn: NoisedBatch, condition: Condition, scale: Tensor | None
    ) -> Tensor:
        """Losses of the finished student's steps against the teacher's ``first``, at any stage."""

        def teacher(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
            return self._taught(x_t, t, condition, scale)

        each = self._objective.first // self.config.spec.steps
        return self._compared(student, drawn, teacher, 0, each)

    def _compared(
        self, student: Estimate, drawn: NoisedBatch, teacher: Estimate, stage: int, each: int
    ) -> Tensor:
        """Losses of steps that are ``each`` of the steps of the teacher of ``stage``, (B,)."""
        objective, schedule = self._objective, self.config.schedule
        last = few_step_times(self.config.spec.steps, self.config.facts.level, schedule)
        grid = objective.grid(stage, last, schedule)
        step = (drawn.choice.cpu() * (len(grid) // each)).long()
        times = [grid[each * step + k].to(drawn.x0.device) for k in range(each + 1)]
        x_t = noised(drawn.x0, drawn.noise, times[0], schedule)
        with torch.no_grad():
            target = joined_steps(teacher, x_t, times, schedule)
        return progressive_losses(student, target, x_t, (times[0], times[-1]), schedule)

    def _stages_teacher(self, condition: Condition, scale: Tensor | None) -> Estimate:
        """The teacher in the first stage, then the student as it was."""
        if self._stage == 0:
            return lambda x_t, t, s: self._taught(x_t, t, condition, scale)
        before: Denoiser = self._before
        for frozen in (before.network, self._encoder_before):
            frozen.eval()  # the training loop has all networks in training mode

        def estimate(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
            bound = self._estimate(before, self._encoder_before, condition, len(x_t), scale)
            return bound(x_t, t, s)

        return estimate
