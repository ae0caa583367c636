"""The pipeline of an adapter on its frozen base."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.conditioning import Condition
from undrift.errors import UsageError
from undrift.pipelines.adapter import file
from undrift.pipelines.adapter.model import AdaptedModel
from undrift.pipelines.adapter.settings import AdapterSettings
from undrift.pipelines.diffusion.pipeline import DiffusionPipeline
from undrift.pipelines.diffusion.settings import DiffusionSettings
from undrift.pipelines.file import load_weights
from undrift.pipelines.pipeline import fingerprint_of
from undrift.pipelines.progress import OnProgress
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples
from undrift.schema import to_plain


class AdapterPipeline(DiffusionPipeline):
    """Draws as its base does, with an adapter of a given strength; at strength 0 it is the base.

    Saved are the adapter's weights alone, with path and fingerprint of the base.

    Args:
        adapted: base and adapter.
    """

    kind: ClassVar[str] = "adapter"
    noun: ClassVar[str] = "an adapter of a diffusion model"
    settings: ClassVar[type] = AdapterSettings

    def __init__(self, adapted: AdaptedModel) -> None:
        model = adapted.model
        super().__init__(
            model.denoiser,
            model.encoder,
            model.codec,
            model.spec,
            network_config=model.network_config,
        )
        self.adapted = adapted

    @property
    def weights(self) -> nn.ModuleDict:
        """The adapter's own."""
        return self.adapted.own

    @property
    def fingerprint(self) -> str:
        """See `Pipeline.fingerprint`: of the adapter, its shape and its base."""
        facts = str(to_plain(self.adapted.facts.shape)).encode()
        base = self.adapted.facts.base.fingerprint.encode()
        return fingerprint_of(self.spec, self.state_dict(), facts=facts, base=base)

    @own_settings()
    def with_weights(self, state: Mapping[str, Tensor]) -> DiffusionPipeline:
        """Return a pipeline with other weights of the adapter, on the same base."""
        made = AdapterPipeline(copy.deepcopy(self.adapted))
        load_weights(made.weights, state, "weights")
        return made

    def _draw(
        self,
        request: Request,
        condition: Condition,
        settings: DiffusionSettings,
        trajectory: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        given = settings.strength if isinstance(settings, AdapterSettings) else None
        strength = 1.0 if given is None else given
        with self.adapted.at(strength):
            samples = super()._draw(request, condition, settings, trajectory, on_progress)
        samples.settings["strength"] = strength
        return samples

    @own_settings()
    @checked
    def merged(self, strength: float = 1.0) -> DiffusionPipeline:
        """A diffusion pipeline of its own, with a low-rank adapter added to the base's weights.

        Raises:
            UsageError: for a control branch, which is no change of weights.
        """
        model = self.adapted.merged(strength)
        return DiffusionPipeline(
            model.denoiser,
            model.encoder,
            model.codec,
            model.spec,
            network_config=model.network_config,
        )

    @checked
    def save_pretrained(self, directory: str | Path) -> None:
        """See `Pipeline.save_pretrained`."""
        file.save(self.adapted, Path(directory))

    @classmethod
    def read(cls, directory: Path, network: nn.Module | None) -> AdapterPipeline:
        """See `Pipeline.from_pretrained`."""
        if network is not None:
            raise UsageError("an adapter has the network of its base: leave network= out")
        return cls(file.load(directory))

    @classmethod
    def on(cls, directory: str | Path, base: DiffusionPipeline) -> AdapterPipeline:
        """An adapter on its base, wherever that is now.

        Args:
            directory: what `save_pretrained` wrote.
            base: the model that it was made for.

        Raises:
            UsageError: for another base.
            ModelFileError: if anything is missing or damaged.
        """
        return cls(file.load(Path(directory), base))
