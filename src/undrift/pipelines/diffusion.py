"""The pipeline of a diffusion model: noise, a solver and a denoiser make images."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn

from undrift import networks
from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.diffusion import Denoiser
from undrift.errors import UsageError
from undrift.networks import NetworkConfig, lay_out
from undrift.pipelines.binding import Binding, Limit, limit_of
from undrift.pipelines.call import Call, Grid, Method, Precision
from undrift.pipelines.drawing import Drawing
from undrift.pipelines.labels import Labels, resolve_labels
from undrift.pipelines.learned import Learned
from undrift.pipelines.learned import encode as encode_learned
from undrift.pipelines.mode import evaluating
from undrift.pipelines.pipeline import Pipeline
from undrift.pipelines.progress import OnProgress, telling
from undrift.pipelines.request import Request, suitable_batch
from undrift.pipelines.samples import Samples
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.strip import Strip
from undrift.sampling import BoundDenoise, CountedDenoiser, ImageNoise

if TYPE_CHECKING:
    from undrift.likelihood import OnScored, Scored
    from undrift.pipelines.scoring import LikelihoodRequest


class DiffusionPipeline(Pipeline):
    """Draws images by integrating a denoiser from noise to data.

    Args:
        denoiser: the model.
        encoder: of its conditions; None for a network that takes no context.
        codec: between the model's space and images.
        spec: shape, classes and default settings.
        network_config: what ``denoiser.network`` was built from; None for the user's own network,
            which `from_pretrained` must then be given again.

    Attributes:
        learned: samplers that were learned for these weights, by their number of steps; one is
            taken where its steps are asked for at its guidance, and neither sampler nor grid are.

    Raises:
        UsageError: if the encoder's classes are not the spec's.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        encoder: ConditionEncoder | None,
        codec: Codec,
        spec: SampleSpec,
        *,
        network_config: NetworkConfig | None = None,
    ) -> None:
        heard = encoder.spec.classes if encoder is not None else 0
        if heard != len(spec.class_names):
            raise UsageError(
                f"encoder of {heard} classes, spec of {len(spec.class_names)}: give the same"
            )
        self.denoiser = denoiser
        self.encoder = encoder
        self.codec = codec
        self.spec = spec
        self.network_config = network_config
        self.learned: Learned = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((weight.device for weight in self._weights().parameters()), torch.device("cpu"))

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
        for name, data in encode_learned(self.learned).items():
            digest.update(name.encode())
            digest.update(data)
        return digest.hexdigest()

    @checked
    def to(self, device: torch.device | str) -> Self:
        """See `Pipeline.to`."""
        self._weights().to(device)
        if self.network_config is not None:
            lay_out(self.denoiser.network, self.device)
        self.codec.to(device)
        return self

    @own_settings()
    def with_weights(self, state: Mapping[str, Tensor]) -> DiffusionPipeline:
        """Return a pipeline with other weights and everything else the same.

        Args:
            state: as from ``state_dict``: keys ``network.*`` and ``encoder.*``.

        Raises:
            ModelFileError: if they do not fit this model.
        """
        from undrift.pipelines.loading import load_weights

        made = copy.copy(self)
        made.denoiser, made.encoder = copy.deepcopy((self.denoiser, self.encoder))
        load_weights(made._weights(), state, "weights")
        made.learned = {}  # they were learned for the weights that this one does not have
        return made

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights: keys ``network.*`` and ``encoder.*``."""
        return self._weights().state_dict()

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
        device: torch.device | str | None = None,
        precision: Precision = "float32",
        threshold: str | None = None,
        tolerance: float | None = None,
        analytic_first_step: bool = False,
        on_progress: OnProgress | None = None,
        trajectory: int = 0,
    ) -> Samples:
        """Draw ``n`` images; image i depends on the weights, the settings, the seed and i only.

        Its noise is the same bit by bit whatever the batch, the number of images and the device;
        the images may then differ by rounding (a level of 255 now and then).

        Args:
            n: number of images, at least 1.
            labels: class names or indices, ``"all"``, or None; see `resolve_labels`.
            seed: names the noise, at least 0.
            steps: steps of the sampler, at least 1; None is the spec's default, as below.
            sampler: one of `undrift.sampling.SAMPLERS` or an alias; one of
                `undrift.sampling.ADAPTIVE`, which takes no steps; or ``"learned"``. None is the
                learned one of these steps, if there is any, else the spec's default.
            guidance: classifier-free guidance scale; 1 is off, other scales need classes.
            grid: how the steps are spaced: one of `undrift.sampling.GRIDS`, perhaps with numbers
                as in ``"shifted:5"``, or the times themselves.
            batch_size: images drawn at once; by default as many as suit their size.
            first: number of the first image: images ``first`` to ``first + n - 1`` of the seed are
                drawn, so that a large set can be drawn in parts.
            device: move the pipeline there first; None stays.
            precision: of the network's matrix products; all else is float32.
            threshold: keeps every denoised image in the range of bytes: ``"static"`` clips,
                ``"dynamic"`` or ``"dynamic:QUANTILE"`` scales down what strays far; see
                `undrift.sampling.thresholding`.
            tolerance: of an adaptive sampler: the error of a step in units of the data's spread;
                1e-3 by default.
            analytic_first_step: answer the first evaluation without the network, for Gaussian data
                of the codec's spread; see `undrift.sampling.AnalyticFirstStep`.
            on_progress: told of every step, with a look at the images so far; to cancel, raise.
            trajectory: of how many images, the first ones, to return the way from noise too.

        Raises:
            UsageError: for a value that cannot be used, or two that exclude each other.
            DivergedError: if the model gives numbers that are not finite.
        """
        began = time.perf_counter()
        call = Call(
            n,
            seed,
            steps,
            sampler,
            guidance,
            grid,
            batch_size,
            first,
            precision,
            threshold,
            tolerance,
            analytic_first_step,
        )
        place = self.device if device is None else torch.device(device)
        request = Request.checked(call, self.spec, place, self.learned)
        classes = resolve_labels(labels, request.n, request.seed, self.spec, request.first)
        followed = request.followed(trajectory)
        times = request.stepping.times(self.denoiser)
        limit = limit_of(request.threshold, self.codec, self.spec.shape[0])
        if device is not None:
            self.to(device)
        binding = self.binding(request, limit)
        drawing = Drawing(
            request.stepping,
            self.denoiser.schedule,
            times,
            self.codec.sigma_data,
            self.spec.shape,
            self.device,
            self.memory_format,
        )
        counted = CountedDenoiser(self.denoiser)
        parts: list[np.ndarray] = []
        costs: list[np.ndarray] = []
        strips: list[Strip] = []
        with evaluating(self._weights()):
            for k, rows in enumerate(request.batches):
                before = rows.start - first
                chosen = None if classes is None else classes[before : rows.stop - first]
                seen = max(0, min(len(rows), followed - before))
                if seen:
                    strips.append(Strip(self.codec, seen))
                asked = counted.images
                drawn = drawing(
                    binding(counted, chosen, len(rows)),
                    ImageNoise(request.seed, rows),
                    after_step=strips[-1].after_step if seen else None,
                    on_progress=None
                    if on_progress is None
                    else telling(on_progress, request.batches, k, self.look),
                )
                parts.append(self.look(drawn.x))
                costs += drawn.nfe_by_image(counted.images - asked)
        return Samples(
            images=np.concatenate(parts),
            labels=classes,
            class_names=self.spec.class_names,
            nfe=counted.images / request.n,
            seconds=time.perf_counter() - began,
            settings=request.settings(labels),
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
        batch_size: int | None = None,
        on_scored: OnScored | None = None,
    ) -> Scored:
        """See `Pipeline.likelihood`; without guidance, which has none, and in float32."""
        from undrift.pipelines.scoring import score

        with evaluating(self._weights()):
            return score(
                self,
                images,
                labels,
                request,
                numbers=numbers,
                batch_size=batch_size,
                on_scored=on_scored,
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
        method: Method = "moments",
        steps: int | None = None,
        sampler: str | None = None,
        guidance: float | None = None,
        grid: Grid = None,
        resample: int | None = None,
        jump: int | None = None,
    ) -> Samples:
        """See `Pipeline.inpaint`; without labels the model hears none, whatever its classes.

        ``method`` is ``"moments"`` (`undrift.sampling.inverse.MomentMatched`: for each evaluation
        one pass back through the network, which ``nfe`` does not count) or ``"repaint"``
        (`undrift.sampling.inverse.RePaint`), whose runs of ``jump`` steps, by default 1, are
        walked ``resample`` times each, by default 5. ``steps``, ``sampler``, ``guidance`` and
        ``grid`` are those of sampling, but for the defaults: twice the spec's steps, ``"ddpm"``,
        and no guidance without labels.

        Raises:
            UsageError: for a value that cannot be used, or two that exclude each other.
            DivergedError: if the model gives numbers that are not finite.
        """
        from undrift.pipelines.inpainting import Painting, inpaint

        call = Call(0, seed, steps, sampler, guidance, grid, batch_size, first)
        way = Painting(method, resample, jump)
        with evaluating(self._weights()):
            return inpaint(self, images, mask, call, way, variants, labels, on_progress)

    def bound_denoiser(self, condition: Condition, count: int) -> BoundDenoise:
        """Return the unguided denoiser of ``count`` images under their condition."""
        context = None
        if self.encoder is not None:
            context = self.encoder(condition.to(self.device), count)
        return lambda x_t, t: self.denoiser(x_t, t, context)

    @checked
    def save_pretrained(self, directory: str | Path) -> None:
        """Write config.json, model.safetensors and MANIFEST.json into ``directory``.

        See `Pipeline.save_pretrained`.
        """
        from undrift.pipelines.loading import save

        save(self, Path(directory))

    @property
    def memory_format(self) -> torch.memory_format:
        """What our own network is fast in; a user's may count on plain strides."""
        if self.network_config is None:
            return torch.contiguous_format
        return networks.memory_format(self.device)

    @staticmethod
    @own_settings()
    @checked
    def from_pretrained(
        directory: str | Path, *, network: nn.Module | None = None
    ) -> DiffusionPipeline:
        """See `Pipeline.from_pretrained`."""
        from undrift.pipelines.loading import load

        return load(Path(directory), network)

    def _weights(self) -> nn.ModuleDict:
        modules = {"network": self.denoiser.network}
        if self.encoder is not None:
            modules["encoder"] = self.encoder
        return nn.ModuleDict(modules)

    def binding(self, request: Request, limit: Limit | None = None) -> Binding:
        """How the batches of a request hear their conditions."""
        low = request.precision == "bfloat16"
        return Binding(self.encoder, request.guidance, low, self.device, limit)

    def bound(
        self,
        rows: range,
        *,
        seed: int,
        labels: Labels = None,
        guidance: float | None = None,
    ) -> tuple[BoundDenoise, Tensor]:
        """The denoiser with the conditions of some images bound, and the noise they begin with.

        Args:
            rows: numbers of the images.
            seed: names the noise and the labels.
            labels: as above.
            guidance: guidance scale; None is the spec's.

        Returns:
            ``denoise(x_t, t)``, differentiable, and standard normal noise (B, C, H, W).
        """
        call = Call(len(rows), seed, guidance=guidance, first=rows.start)
        request = Request.checked(call, self.spec, self.device, {})
        classes = resolve_labels(labels, len(rows), seed, self.spec, rows.start)
        noise = ImageNoise(seed, rows).initial(self.spec.shape).to(self.device)
        denoise = self.binding(request)(self.denoiser, classes, len(rows))
        return denoise, noise.contiguous(memory_format=self.memory_format)

    def look(self, x0: Tensor) -> np.ndarray:
        """Images of the model's space as pixels, uint8 (B, H, W, C)."""
        return _as_images(self.codec.decode(x0.detach()))


def _as_images(pixels: Tensor) -> np.ndarray:
    """Uint8 (B, C, H, W) on any device to uint8 (B, H, W, C)."""
    return pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy()
