"""The pipeline of a GAN: one pass of a generator makes an image out of a latent vector."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from undrift.ambient import own_settings
from undrift.arguments import checked, shown
from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.errors import UsageError
from undrift.networks import Context
from undrift.networks.gan import AdversaryConfig, Generator
from undrift.pipelines.call import Grid
from undrift.pipelines.labels import Labels, resolve_labels
from undrift.pipelines.pipeline import Pipeline
from undrift.pipelines.progress import OnProgress, Progress
from undrift.pipelines.request import suitable_batch
from undrift.pipelines.samples import Samples
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.whole_number import check_images, within
from undrift.sampling import ImageNoise


class GANPipeline(Pipeline):
    """Draws each image by one pass of a generator.

    Args:
        generator: a module that is called as `undrift.networks.gan.Generator` is; batch norm and
            the like are switched to evaluation.
        encoder: of its conditions.
        codec: between the generator's space and images.
        spec: shape and classes; its sampler, grid and steps play no part.
        network_config: what the generator was built from.

    Attributes:
        weights: generator and encoder, as ``network`` and ``encoder``.

    Raises:
        UsageError: if the encoder's classes are not the spec's.
    """

    def __init__(
        self,
        generator: Generator,
        encoder: ConditionEncoder,
        codec: Codec,
        spec: SampleSpec,
        *,
        network_config: AdversaryConfig,
    ) -> None:
        if encoder.spec.classes != len(spec.class_names):
            raise UsageError(
                f"encoder of {encoder.spec.classes} classes, spec of {len(spec.class_names)}: "
                "give the same"
            )
        if not isinstance(generator, nn.Module):
            raise UsageError(f"generator {type(generator).__name__}: wanted a torch module")
        self.generator = generator
        self.encoder = encoder
        self.codec = codec
        self.spec = spec
        self.network_config = network_config
        self.weights = nn.ModuleDict({"network": generator, "encoder": encoder}).eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.weights.parameters()).device

    @property
    def batch_size(self) -> int:
        """See `Pipeline.batch_size`."""
        return suitable_batch(self.spec.shape, self.device)

    @property
    def fingerprint(self) -> str:
        """See `Pipeline.fingerprint`."""
        digest = hashlib.sha256(repr(self.spec).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @checked
    def to(self, device: torch.device | str) -> Self:
        """See `Pipeline.to`."""
        self.weights.to(device)
        self.codec.to(device)
        return self

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the weights: keys ``network.*`` and ``encoder.*``."""
        return self.weights.state_dict()

    @own_settings()
    @torch.no_grad()
    @checked
    def __call__(
        self,
        n: int,
        *,
        labels: Labels = None,
        seed: int = 0,
        steps: int | None = None,
        sampler: str | None = None,
        guidance: float | None = None,
        grid: Grid = None,
        batch_size: int | None = None,
        first: int = 0,
        on_progress: OnProgress | None = None,
        trajectory: int = 0,
        truncation: float = 1.0,
    ) -> Samples:
        """Draw ``n`` images; image i depends on the weights, the settings, the seed and i only.

        Args:
            n: number of images, at least 1.
            labels: class names or indices, ``"all"``, or None; see `resolve_labels`.
            seed: names the latent vectors, at least 0.
            steps: none are made; anything but None is refused, as the next ones are.
            sampler: refused.
            guidance: refused, unless it is 1, which is off.
            grid: refused.
            batch_size: images drawn at once.
            first: number of the first image.
            on_progress: told after every batch; to cancel, raise.
            trajectory: refused: there is no way from noise to image.
            truncation: share of the distance from the mean latent that is kept, from 0 (one image
                per class) to 1 (off): images become more typical and more alike.

        Raises:
            UsageError: for a value that cannot be used.
        """
        began = time.perf_counter()
        _refuse(steps=steps, sampler=sampler, grid=grid, trajectory=trajectory or None)
        if guidance not in (None, 1):
            raise UsageError(f"guidance {guidance!r}: a GAN has none; its dial is truncation")
        if not 0 <= truncation <= 1:
            raise UsageError(f"truncation {truncation}: give a share from 0 to 1 (off)")
        check_images(n, first, seed)
        size = self.batch_size if batch_size is None else within("batch_size", batch_size, 1)
        classes = resolve_labels(labels, n, seed, self.spec, first)
        parts: list[np.ndarray] = []
        starts = range(first, first + n, size)
        for k, start in enumerate(starts):
            rows = range(start, min(start + size, first + n))
            chosen = None if classes is None else classes[start - first : rows.stop - first]
            images = self._draw(seed, rows, chosen, truncation)
            parts.append(images)
            if on_progress is not None:
                on_progress(
                    Progress(
                        done=k + 1,
                        total=len(starts),
                        finished=rows.stop - first,
                        n=n,
                        rows=rows,
                        look=lambda images=images: images,
                    )
                )
        return Samples(
            images=np.concatenate(parts),
            labels=classes,
            class_names=self.spec.class_names,
            nfe=1.0,
            seconds=time.perf_counter() - began,
            settings={
                "n": n,
                "first": first,
                "labels": labels,
                "seed": seed,
                "truncation": truncation,
                "batch_size": size,
            },
        )

    @own_settings()
    @torch.no_grad()
    @checked
    def inpaint(
        self,
        images: np.ndarray,
        mask: np.ndarray,
        *,
        variants: int = 1,
        labels: Labels = None,
        seed: int = 0,
        batch_size: int | None = None,
        first: int = 0,
        on_progress: OnProgress | None = None,
        iterations: int | None = None,
        seconds: float | None = None,
        candidates: int = 1000,
        restarts: int = 2,
    ) -> Samples:
        """See `Pipeline.inpaint`; by inversion, `undrift.gan.inversion`.

        Of ``candidates`` random latents the ``restarts`` nearest to the known pixels are led down
        by ``iterations`` of Adam, by default 100, or by as many as fit into ``seconds`` in all,
        at a pace that is measured first: ``settings`` tells how many, and they repeat the images.
        Without labels the classes are those of the latents that were found. ``nfe`` counts
        forwards of the generator; all but the candidates' come with a pass back.

        Raises:
            UsageError: for a value that cannot be used, or both iterations and seconds.
            DivergedError: if the generator gives numbers that are not finite.
        """
        from undrift.pipelines.gan_inpainting import Search, inpaint

        size = self.batch_size if batch_size is None else within("batch_size", batch_size, 1)
        search = Search(iterations, seconds, candidates, restarts)
        return inpaint(self, images, mask, search, variants, labels, seed, size, first, on_progress)

    @checked
    def save_pretrained(self, directory: str | Path) -> None:
        """Write config.json, model.safetensors and MANIFEST.json into ``directory``.

        See `Pipeline.save_pretrained`.
        """
        from undrift.pipelines.gan_file import save

        save(self, Path(directory))

    def _draw(
        self, seed: int, rows: range, classes: np.ndarray | None, truncation: float
    ) -> np.ndarray:
        """The images ``rows``, uint8 (len(rows), H, W, C)."""
        z = ImageNoise(seed, rows).initial((self.generator.latent,)).to(self.device)
        context = self.context(classes, len(rows))
        return self.look(self.generator(z, context, truncation))

    def context(self, classes: np.ndarray | None, count: int) -> Context:
        """What the generator hears of ``count`` images of these classes (count,), or of none."""
        known = {} if classes is None else {"labels": torch.from_numpy(classes)}
        return self.encoder(Condition(known).to(self.device), count)

    def look(self, z: torch.Tensor) -> np.ndarray:
        """Images of the generator's space as pixels, uint8 (B, H, W, C)."""
        return self.codec.decode(z).permute(0, 2, 3, 1).cpu().contiguous().numpy()


def _refuse(**settings: object) -> None:
    """Refuse what only a model that samples in steps can be asked for."""
    for name, value in settings.items():
        if value is not None:
            raise UsageError(f"{name} {shown(value)}: a GAN draws in one pass; leave it out")
