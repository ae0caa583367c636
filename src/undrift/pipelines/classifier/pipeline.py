"""The pipeline of a classifier, which draws no images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from undrift.arguments import checked
from undrift.conditioning import Condition
from undrift.errors import UsageError
from undrift.pipelines.classifier import file
from undrift.pipelines.classifier.model import ClassifierModel
from undrift.pipelines.pipeline import ModelPipeline
from undrift.pipelines.progress import OnProgress
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples


@dataclass(frozen=True)
class ClassifierSettings:
    """A classifier has none."""


class ClassifierPipeline(ModelPipeline[ClassifierModel]):
    """Says of noisy images of which class they are, to guide a diffusion model that draws them.

    Args:
        model: weights, codec and spec.
    """

    kind: ClassVar[str] = "classifier"
    noun: ClassVar[str] = "a classifier"
    settings: ClassVar[type] = ClassifierSettings
    purpose: ClassVar[str] = (
        "it guides a diffusion model of the same images, as `undrift sample RUN --classifier "
        "THIS_RUN`"
    )

    def __init__(self, model: ClassifierModel) -> None:
        self.model = model

    def _draw(
        self,
        request: Request,
        condition: Condition,
        settings: ClassifierSettings,
        trajectory: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        raise self.no_images()

    def no_likelihood(self) -> UsageError:
        """See `Pipeline.no_likelihood`."""
        return self.no_images()

    @checked
    def save_pretrained(self, directory: str | Path) -> None:
        """See `Pipeline.save_pretrained`."""
        file.save(self.model, Path(directory))

    @classmethod
    def read(cls, directory: Path, network: nn.Module | None) -> ClassifierPipeline:
        """See `Pipeline.from_pretrained`."""
        if network is not None:
            raise UsageError("a classifier builds its own network: leave network= out")
        return cls(file.load(directory))
