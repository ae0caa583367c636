"""The pipeline of a GAN: one pass of a generator makes an image out of a latent vector."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from undrift.arguments import checked
from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.errors import UsageError
from undrift.networks.gan import AdversaryConfig, Generator
from undrift.pipelines.gan import file
from undrift.pipelines.gan.inpaint import inpaint
from undrift.pipelines.gan.model import GANModel
from undrift.pipelines.gan.settings import GANInpainting, GANSettings
from undrift.pipelines.masked import MaskedImages
from undrift.pipelines.pipeline import Capability, Dial, ModelPipeline
from undrift.pipelines.progress import OnProgress, report_batch
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples
from undrift.pipelines.spec import SampleSpec
from undrift.sampling import ImageNoise


class GANPipeline(ModelPipeline[GANModel]):
    """Draws each image by one pass of a generator.

    Sampling settings are those of `GANSettings`; inpainting is by inversion
    (`undrift.gan.inversion`), with `GANInpainting`. Without labels the classes of completions
    are those of the latents that were found; ``nfe`` counts forwards of the generator, of which all
    but the candidates' come with a pass back.

    Args:
        generator: see `GANModel`, as all others.
        encoder: of its conditions.
        codec: between the generator's space and images.
        spec: shape and classes.
        network_config: what the generator was built from.

    Raises:
        UsageError: if the encoder's classes are not the spec's.
    """

    kind: ClassVar[str] = "gan"
    noun: ClassVar[str] = "a GAN"
    settings: ClassVar[type] = GANSettings
    inpainting: ClassVar[type | None] = GANInpainting
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"inpaint"})

    def __init__(
        self,
        generator: Generator,
        encoder: ConditionEncoder,
        codec: Codec,
        spec: SampleSpec,
        *,
        network_config: AdversaryConfig,
    ) -> None:
        self.model = GANModel(generator, encoder, codec, spec, network_config)

    @property
    def generator(self) -> Generator:
        """What makes an image of a latent vector."""
        return self.model.generator

    @property
    def encoder(self) -> ConditionEncoder:
        """Of the conditions."""
        return self.model.encoder

    @property
    def network_config(self) -> AdversaryConfig:
        """What the generator was built from."""
        return self.model.network_config

    @property
    def dial(self) -> Dial:
        """Truncation."""
        return Dial("truncation", 1.0, (0.0, 1.0))

    @property
    def sampler_words(self) -> str:
        """See `Pipeline.sampler_words`."""
        return "one pass of the generator"

    def _draw(
        self,
        request: Request,
        condition: Condition,
        settings: GANSettings,
        trajectory: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        parts: list[NDArray[np.uint8]] = []
        for k, rows in enumerate(request.batches):
            before = rows.start - request.first
            z = ImageNoise(request.seed, rows).initial((self.generator.latent,)).to(self.device)
            context = self.model.context(condition[before : before + len(rows)], len(rows))
            images = self.model.decoded(self.generator(z, context, settings.truncation))
            parts.append(images)
            if on_progress is not None:
                report_batch(on_progress, request.batches, k, images)
        return Samples(
            images=np.concatenate(parts), nfe=1.0, settings={"truncation": settings.truncation}
        )

    def _inpaint(
        self,
        masked: MaskedImages,
        condition: Condition,
        settings: GANInpainting,
        seed: int,
        batch_size: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        return inpaint(
            self.model,
            masked,
            condition,
            settings,
            seed=seed,
            batch_size=batch_size,
            on_progress=on_progress,
        )

    @checked
    def save_pretrained(self, directory: str | Path) -> None:
        """See `Pipeline.save_pretrained`."""
        file.save(self.model, Path(directory))

    @classmethod
    def read(cls, directory: Path, network: nn.Module | None) -> GANPipeline:
        """See `Pipeline.from_pretrained`."""
        if network is not None:
            raise UsageError("this pipeline builds its own generator: leave network= out")
        made = file.load(directory)
        return cls(
            made.generator, made.encoder, made.codec, made.spec, network_config=made.network_config
        )
