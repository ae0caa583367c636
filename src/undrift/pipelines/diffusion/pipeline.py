"""The pipeline of a diffusion model: noise, a solver and a denoiser make images."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.diffusion import Denoiser
from undrift.errors import UsageError
from undrift.likelihood import LikelihoodRequest, OnScored, Scored
from undrift.networks import NetworkConfig, lay_out
from undrift.pipelines.diffusion import file
from undrift.pipelines.diffusion.draw import Drawing
from undrift.pipelines.diffusion.edit import edit
from undrift.pipelines.diffusion.guide import classifier_of, words
from undrift.pipelines.diffusion.inpaint import inpaint
from undrift.pipelines.diffusion.learned import Learned
from undrift.pipelines.diffusion.learned import encode as encode_learned
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.diffusion.score import score
from undrift.pipelines.diffusion.settings import (
    DiffusionEditing,
    DiffusionInpainting,
    DiffusionSettings,
)
from undrift.pipelines.diffusion.strip import Strip
from undrift.pipelines.file import load_weights
from undrift.pipelines.labels import Labels, condition_of, resolve_labels
from undrift.pipelines.maps import GivenMaps
from undrift.pipelines.masked import MaskedImages, Variants
from undrift.pipelines.mode import evaluating
from undrift.pipelines.numbers import GivenNumbers
from undrift.pipelines.pipeline import Capability, Dial, ModelPipeline, Pipeline, fingerprint_of
from undrift.pipelines.progress import OnProgress, step_progress
from undrift.pipelines.prompts import Prompts
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples
from undrift.pipelines.spec import SampleSpec
from undrift.sampling import BoundDenoise, CountedDenoiser, ImageNoise
from undrift.wording import plural


class DiffusionPipeline(ModelPipeline[DiffusionModel]):
    """Draws images by integrating a denoiser from noise to data.

    Sampling settings are those of `DiffusionSettings`, for inpainting of `DiffusionInpainting`.
    Likelihood is computed without guidance, which has none, and in float32.

    Args:
        denoiser: see `DiffusionModel`, as all others.
        encoder: of its conditions; None for a network that takes no context.
        codec: between the model's space and images.
        spec: image shape, classes and default settings.
        network_config: what ``denoiser.network`` was built from; None for the user's own network,
            which `from_pretrained` must then be given again.

    Attributes:
        model: all of these.
        learned: samplers that were learned for these weights, by their number of steps; one is
            taken where its steps are requested at its guidance, without a sampler or a grid.

    Raises:
        UsageError: if the encoder's classes are not the spec's.
    """

    kind: ClassVar[str] = "diffusion"
    noun: ClassVar[str] = "a diffusion model"
    settings: ClassVar[type] = DiffusionSettings
    inpainting: ClassVar[type | None] = DiffusionInpainting
    editing: ClassVar[type | None] = DiffusionEditing
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"edit", "inpaint", "likelihood", "trajectory"}
    )

    def __init__(
        self,
        denoiser: Denoiser,
        encoder: ConditionEncoder | None,
        codec: Codec,
        spec: SampleSpec,
        *,
        network_config: NetworkConfig | None = None,
    ) -> None:
        self.model = DiffusionModel(denoiser, encoder, codec, spec, network_config)
        self.learned: Learned = {}

    @classmethod
    def of(cls, pipeline: Pipeline, needed: str) -> DiffusionPipeline:
        """``pipeline``, which has to integrate an equation by a solver.

        Args:
            pipeline: of any family.
            needed: what for, to end the message.

        Raises:
            UsageError: for another family.
        """
        if not isinstance(pipeline, cls):
            raise UsageError(f"{pipeline.noun} has no sampler and takes no steps: {needed}")
        return pipeline

    @property
    def denoiser(self) -> Denoiser:
        """The network with its path and what it predicts."""
        return self.model.denoiser

    @property
    def encoder(self) -> ConditionEncoder | None:
        """Of the conditions; None for a network that takes no context."""
        return self.model.encoder

    @property
    def network_config(self) -> NetworkConfig | None:
        """What the network was built from; None for the user's own."""
        return self.model.network_config

    @property
    def fingerprint(self) -> str:
        """See `Pipeline.fingerprint`; learned samplers are part of it."""
        return fingerprint_of(self.spec, self.state_dict(), **encode_learned(self.learned))

    @property
    def dial(self) -> Dial | None:
        """Guidance, of a model with classes."""
        return Dial("guidance", 1.0, (1.0, 8.0)) if self.spec.class_names else None

    @property
    def sampler_words(self) -> str:
        """See `Pipeline.sampler_words`."""
        spec = self.spec
        return f"{spec.sampler}, {plural(spec.steps, 'step')}, guidance {spec.guidance:g}"

    @checked
    def to(self, device: torch.device | str) -> Self:
        """See `Pipeline.to`."""
        super().to(device)
        if self.model.network_config is not None:
            lay_out(self.denoiser.network, self.device)
        return self

    @own_settings()
    def with_weights(self, state: Mapping[str, Tensor]) -> DiffusionPipeline:
        """Return a pipeline with other weights and everything else the same.

        Learned samplers, which were learned for these weights, are left out.

        Args:
            state: as from ``state_dict``: keys ``network.*`` and ``encoder.*``.

        Raises:
            ModelFileError: if they do not fit this model.
        """
        denoiser, encoder = copy.deepcopy((self.denoiser, self.encoder))
        config = self.model.network_config
        made = DiffusionPipeline(denoiser, encoder, self.codec, self.spec, network_config=config)
        load_weights(made.weights, state, "weights")
        return made

    def _classes(self, settings: DiffusionSettings) -> SampleSpec:
        # A model's own classes go first: their names are the same, but not their frequencies.
        if self.spec.class_names or not settings.classified:
            return self.spec
        return classifier_of(self.model, settings.classifier).spec

    def _draw(
        self,
        request: Request,
        condition: Condition,
        settings: DiffusionSettings,
        trajectory: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        model = self.model
        drawing = Drawing.of(model, settings, self.learned)
        guide = drawing.guide
        alone = not condition and guide.negative is None and guide.weak is None
        if guide.scale != 1 and alone:
            raise UsageError(
                f"guidance {words(guide.scale)}: there is nothing to guide towards; give "
                f"{'a prompt' if self.spec.text is not None else 'numbers or maps'}"
            )
        recorded, times, limit = drawing.recorded(trajectory), drawing.times(), drawing.limit()
        counted = CountedDenoiser(model.denoiser)
        parts: list[NDArray[np.uint8]] = []
        costs: list[NDArray[np.float64]] = []
        strips: list[Strip] = []
        with evaluating(self.weights):
            for k, rows in enumerate(request.batches):
                before = rows.start - request.first
                given = condition[before : before + len(rows)]
                seen = max(0, min(len(rows), recorded - before))
                if seen:
                    strips.append(Strip(model.codec, seen))
                forwards = counted.images
                drawn = drawing.carry(
                    times,
                    drawing.bind(counted, given, rows, limit),
                    ImageNoise(request.seed, rows),
                    after_step=strips[-1].after_step if seen else None,
                    on_progress=None
                    if on_progress is None
                    else step_progress(on_progress, request.batches, k, model.decoded),
                )
                parts.append(model.decoded(drawn.x))
                costs += drawn.nfe_by_image(counted.images - forwards)
        return Samples(
            images=np.concatenate(parts),
            nfe=counted.images / request.n,
            settings=drawing.settings(),
            trajectory=Strip.joined(strips) if strips else None,
            nfe_by_image=np.concatenate(costs) if costs else None,
        )

    @own_settings()
    def likelihood(
        self,
        images: np.ndarray,
        request: LikelihoodRequest,
        labels: np.ndarray | None = None,
        *,
        numbers: Sequence[int] | None = None,
        given: Condition | None = None,
        batch_size: int | None = None,
        on_scored: OnScored | None = None,
    ) -> Scored:
        """See `Pipeline.likelihood`."""
        with evaluating(self.weights):
            return score(
                self.model,
                images,
                labels,
                request,
                numbers=numbers,
                given=given,
                batch_size=batch_size,
                on_scored=on_scored,
            )

    def _inpaint(
        self,
        masked: MaskedImages,
        condition: Condition,
        settings: DiffusionInpainting,
        seed: int,
        batch_size: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        with evaluating(self.weights):
            return inpaint(
                self.model,
                masked,
                condition,
                settings,
                seed=seed,
                batch_size=batch_size,
                on_progress=on_progress,
            )

    def _edit(
        self,
        given: Variants,
        condition: Condition,
        settings: DiffusionEditing,
        seed: int,
        batch_size: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        with evaluating(self.weights):
            return edit(
                self.model,
                given,
                condition,
                settings,
                seed=seed,
                batch_size=batch_size,
                on_progress=on_progress,
            )

    @checked
    def save_pretrained(self, directory: str | Path) -> None:
        """See `Pipeline.save_pretrained`."""
        file.save(self.model, self.learned, Path(directory))

    @classmethod
    def read(cls, directory: Path, network: nn.Module | None) -> DiffusionPipeline:
        """See `Pipeline.from_pretrained`."""
        model, samplers = file.load(directory, network)
        made = cls(
            model.denoiser,
            model.encoder,
            model.codec,
            model.spec,
            network_config=model.network_config,
        )
        made.learned = samplers
        return made

    def bound(
        self,
        rows: range,
        *,
        seed: int,
        labels: Labels = None,
        prompts: Prompts = None,
        numbers: GivenNumbers = None,
        maps: GivenMaps = None,
        guidance: float | None = None,
    ) -> tuple[BoundDenoise, Tensor]:
        """The denoiser with the conditions of some images bound, and the noise they begin with.

        Args:
            rows: numbers of the images.
            seed: of the initial noise and the labels.
            labels: as in sampling.
            prompts: as in sampling.
            numbers: as in sampling.
            maps: as in sampling.
            guidance: guidance scale; None is the spec's.

        Returns:
            ``denoise(x_t, t)``, differentiable, and standard normal noise (B, C, H, W).
        """
        drawing = Drawing.of(self.model, DiffusionSettings(guidance=guidance), {})
        condition = condition_of(resolve_labels(labels, len(rows), seed, self.spec, rows.start))
        condition = self._given(condition, prompts, numbers, maps, len(rows), rows.start)
        noise = ImageNoise(seed, rows).initial(self.model.latent_shape).to(self.device)
        denoise = drawing.bind(CountedDenoiser(self.denoiser), condition, rows)
        return denoise, noise.contiguous(memory_format=self.model.memory_format)

    def bound_denoiser(self, condition: Condition, count: int) -> BoundDenoise:
        """See `DiffusionModel.bound_denoiser`."""
        return self.model.bound_denoiser(condition, count)
