"""The pipeline of a student: images from noise in one to a few passes of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift.advice import named
from undrift.arguments import checked
from undrift.conditioning import Condition
from undrift.distillation import carried, noised
from undrift.errors import UsageError
from undrift.json_types import JsonObject
from undrift.networks import lay_out
from undrift.pipelines.mode import evaluating
from undrift.pipelines.pipeline import Dial, ModelPipeline, fingerprint_of
from undrift.pipelines.progress import OnProgress, report_batch
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples
from undrift.pipelines.student import file
from undrift.pipelines.student.model import StudentModel
from undrift.pipelines.student.settings import StudentSettings
from undrift.sampling import ImageNoise
from undrift.schema import to_plain
from undrift.wording import plural


class StudentPipeline(ModelPipeline[StudentModel]):
    """Draws images in few steps, each one pass of a network.

    A flow map goes from each level straight to the next. Other students estimate the image, add the
    noise of the next level, named by (seed, image, step), and estimate it again.

    Args:
        model: the network, its conditions and codec.
    """

    kind: ClassVar[str] = "student"
    noun: ClassVar[str] = "a few-step student"
    settings: ClassVar[type] = StudentSettings

    def __init__(self, model: StudentModel) -> None:
        self.model = model

    @property
    def fingerprint(self) -> str:
        """See `Pipeline.fingerprint`."""
        facts = str(to_plain(self.model.facts)).encode()
        return fingerprint_of(self.spec, self.state_dict(), facts=facts)

    @property
    def dial(self) -> Dial | None:
        """Guidance, of a student that was distilled under a range of scales."""
        guidance = self.model.facts.inputs.guidance
        if guidance is None or guidance[0] == guidance[1]:
            return None
        return Dial("guidance", max(1.0, guidance[0]), guidance)

    @property
    def few_steps(self) -> tuple[int, ...]:
        """See `Pipeline.few_steps`."""
        return self.model.facts.steps or (1, 2, 4, 8)

    @property
    def sampler_words(self) -> str:
        """See `Pipeline.sampler_words`."""
        return f"{self.model.facts.method}, {plural(self.spec.steps, 'step')}"

    def with_level(self, level: float) -> StudentPipeline:
        """The same student with another noise level, sigma / alpha, between the steps of two."""
        facts = replace(self.model.facts, level=level)
        return StudentPipeline(replace(self.model, facts=facts))

    @checked
    def to(self, device: torch.device | str) -> Self:
        """See `Pipeline.to`."""
        super().to(device)
        lay_out(self.model.denoiser.network, self.device)
        return self

    def _draw(
        self,
        request: Request,
        condition: Condition,
        settings: StudentSettings,
        trajectory: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        model = self.model
        steps = self.spec.steps if settings.steps is None else settings.steps
        model.facts.check_steps(named("steps"), steps)
        scales = self._scales(settings.guidance)
        parts: list[NDArray[np.uint8]] = []
        with evaluating(self.weights):
            for k, rows in enumerate(request.batches):
                before = rows.start - request.first
                given = condition[before : before + len(rows)]
                mine = [scales[i % len(scales)] for i in rows]
                low = settings.precision == "bfloat16"
                with torch.autocast(model.device.type, torch.bfloat16, enabled=low):
                    x0 = self.drawn(given, ImageNoise(request.seed, rows), mine, steps)
                images = model.decoded(x0)
                parts.append(images)
                if on_progress is not None:
                    report_batch(on_progress, request.batches, k, images)
        drawn: JsonObject = {"steps": steps, "precision": settings.precision}
        if model.facts.inputs.guidance is not None:
            drawn["guidance"] = scales[0] if len(scales) == 1 else list(scales)
        return Samples(images=np.concatenate(parts), nfe=float(steps), settings=drawn)

    def drawn(
        self,
        condition: Condition,
        noise: ImageNoise,
        scales: Sequence[float],
        steps: int | None = None,
    ) -> Tensor:
        """Images in the model's space (B, C, H, W), of the weights as they are.

        Args:
            condition: of the images.
            noise: of the images.
            scales: guidance scale of each; of no consequence for a student without guidance.
            steps: passes; None: the default.
        """
        model, schedule = self.model, self.model.denoiser.schedule
        estimate = model.estimate(condition, len(scales), scales)
        times = model.times(self.spec.steps if steps is None else steps)

        def placed(values: Tensor) -> Tensor:
            return values.to(model.device).contiguous(memory_format=model.memory_format)

        begin = placed(noise.initial(model.latent_shape))
        x_t = begin * schedule(times[0]).sigma.to(begin.dtype)
        zero = torch.zeros_like(times[0])
        x0 = x_t
        for k, t in enumerate(times):
            s = times[k + 1] if k + 1 < len(times) else zero
            if model.facts.inputs.end:
                x_t = carried(estimate(x_t, t, s), x_t, t, s, schedule)
                x0 = x_t
                continue
            if k:
                x_t = noised(x0, placed(noise.step(k, model.latent_shape)), t, schedule)
            x0 = estimate(x_t, t, zero)
        return x0

    def _scales(self, given: float | Sequence[float] | None) -> tuple[float, ...]:
        """The guidance scales of a request, of which images take turns.

        Raises:
            UsageError: for none, or a scale that the student was not distilled under.
        """
        guidance = self.model.facts.inputs.guidance
        if given is None:
            low, high = guidance or (1.0, 1.0)
            return (min(max(self.spec.guidance, low), high),)
        scales = tuple(given) if isinstance(given, Sequence) else (given,)
        if not scales:
            raise UsageError(f"{named('guidance')}: wanted one scale or more")
        for scale in scales:
            if guidance is None and scale != 1:
                raise UsageError(
                    f"{named('guidance')} {scale:g}: this student was distilled without guidance; "
                    "leave it out, or distil with guidance"
                )
            if guidance is not None and not guidance[0] <= scale <= guidance[1]:
                low, high = guidance
                wanted = f"{low:g}" if low == high else f"{low:g} to {high:g}"
                raise UsageError(
                    f"{named('guidance')} {scale:g}: this student was distilled under {wanted}"
                )
        return scales

    @checked
    def save_pretrained(self, directory: str | Path) -> None:
        """See `Pipeline.save_pretrained`."""
        file.save(self.model, Path(directory))

    @classmethod
    def read(cls, directory: Path, network: nn.Module | None) -> StudentPipeline:
        """See `Pipeline.from_pretrained`."""
        if network is not None:
            raise UsageError("this pipeline builds its own network: leave network= out")
        return cls(file.load(directory))
