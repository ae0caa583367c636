"""From images to the likelihood of each: batches, classes, randomness, cost and protocol.

Everything drawn for an image is named by the seed, its number and the purpose: its batch changes
its score by rounding at most, and all classes are scored with the same noise. Only the density of
levels that the continuous bound is estimated at is fitted to all images together, where there are
enough of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.codec import Codec
from undrift.conditioning import Condition
from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError
from undrift.likelihood import pilot
from undrift.likelihood.bound import Bound, continuous_bound, discrete_bound
from undrift.likelihood.combination import importance_bound, over_classes
from undrift.likelihood.dequantization import TruncatedNormalDequantization, UniformDequantization
from undrift.likelihood.draws import BoundNoise, Drawing, per_image, signs, uniform
from undrift.likelihood.flow import flow_log_density
from undrift.likelihood.methods import BoundMethod, FlowMethod, Method
from undrift.likelihood.precision import full_precision, refuse_narrow
from undrift.likelihood.proposal import Proposal
from undrift.likelihood.protocol import protocol
from undrift.likelihood.reconstruction import Reconstruction
from undrift.likelihood.span import Span
from undrift.likelihood.trace import ExactTrace, HutchinsonTrace, Trace
from undrift.likelihood.values import ValueGrid
from undrift.randomness import generator
from undrift.sampling import BoundDenoise
from undrift.wording import plural

Bind = Callable[[Condition, int], BoundDenoise]
"""``bind(condition, count)``: the denoiser of ``count`` images under their condition."""

OnScored = Callable[[int, int], None]
"""``on_scored(done, total)`` after each batch; raising from it stops the scoring."""


@dataclass(frozen=True)
class Scored:
    """Likelihoods of images.

    Attributes:
        nats: upper bound on - log P of each image, (N,) float64.
        terms: parts of it that add up to it, where it has such; each (N,).
        dimensions: values per image.
        evaluations: network evaluations per image.
        backwards: backward passes per image.
        seconds: of wall-clock time.
        protocol: how it was estimated.
    """

    nats: NDArray[np.float64]
    terms: dict[str, NDArray[np.float64]]
    dimensions: int
    evaluations: float
    backwards: float
    seconds: float
    protocol: str

    def __repr__(self) -> str:
        count = plural(len(self.nats), "image")
        return f"<Scored: {count}, {self.bits.mean():.4g} bits per dimension>"

    @property
    def bits(self) -> NDArray[np.float64]:
        """Bits per dimension of each image, (N,)."""
        return self.nats / (self.dimensions * math.log(2))


@dataclass(frozen=True)
class Scorer:
    """Scores images under a model.

    Attributes:
        bind: the model's denoiser for given labels.
        schedule: its path.
        codec: between pixels and the model's space.
        std: the data's standard deviation in that space.
        grid: the values that pixels can take.
        span: noise levels that are counted.
        method: how.
        class_weights: P(y) to marginalise over; None scores under the condition as it is given.
        seed: random seed.
        dtype: of the network's passes, float32 or float64; all sums are float64.
        proposal: levels that the continuous bound is estimated at; None measures on a few images
            where they count.
    """

    bind: Bind
    schedule: NoiseSchedule
    codec: Codec
    std: float
    grid: ValueGrid
    span: Span
    method: Method
    class_weights: tuple[float, ...] | None = None
    seed: int = 0
    dtype: torch.dtype = torch.float32
    proposal: Proposal | None = None

    def __post_init__(self) -> None:
        refuse_narrow("the network is evaluated", self.dtype)

    def __call__(
        self,
        images: NDArray[np.uint8],
        condition: Condition | None = None,
        *,
        device: torch.device | str = "cpu",
        numbers: Sequence[int] | None = None,
        batch_size: int | None = None,
        on_scored: OnScored | None = None,
    ) -> Scored:
        """Score images.

        Args:
            images: uint8 (N, H, W, C).
            condition: of the N images; None: nothing is given.
            device: where the model is.
            numbers: what names each image's noise; its place by default.
            batch_size: images scored at once.
            on_scored: progress.

        Raises:
            UsageError: for a codec that loses something, or labels beside marginalisation.
            DataError: for pixels that are not of the grid.
        """
        if not self.codec.lossless:
            raise UsageError(
                f"{type(self.codec).__name__} loses a part of the image, so that the model has no "
                "likelihood of pixels; score a model that was trained on pixels"
            )
        condition = condition or Condition()
        labelled = condition.labels is not None
        if labelled and self.class_weights is not None:
            raise UsageError("likelihood: labels are given and marginalised over; choose one")
        began = time.perf_counter()
        names = list(range(len(images)) if numbers is None else numbers)
        size = batch_size or suitable_batch(images.shape[1:])
        dimensions = int(np.prod(images.shape[1:]))
        with torch.no_grad(), full_precision(torch.device(device)):
            index = self.grid.index(torch.from_numpy(np.ascontiguousarray(images)))
            index = index.permute(0, 3, 1, 2).contiguous()
            work = _Work(self, index, condition, names, torch.device(device))
            parts: list[dict[str, Tensor]] = []
            for start in range(0, len(images), size):
                rows = slice(start, min(start + size, len(images)))
                parts.append(work.part(rows))
                if on_scored is not None:
                    on_scored(rows.stop, len(images))
        whole = {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}
        return Scored(
            whole.pop("nats"),
            whole,
            dimensions,
            work.evaluations / len(images),
            work.backwards / len(images),
            time.perf_counter() - began,
            protocol(
                self.method,
                self.grid,
                self.span,
                dimensions,
                self._known(labelled),
                self.dtype,
            ),
        )

    def _known(self, labelled: bool) -> str:
        if self.class_weights is not None:
            return f"marginal over {len(self.class_weights)} classes, equal noise for all"
        return "given the label" if labelled else "no label"


class _Work:
    """One call of a scorer: what its batches share."""

    def __init__(
        self,
        scorer: Scorer,
        index: Tensor,
        condition: Condition,
        names: list[int],
        device: torch.device,
    ) -> None:
        self._scorer = scorer
        self._index = index
        self._condition = condition.to(device)
        self._names = names
        self._device = device
        self._shape = tuple(index.shape[1:])
        self.evaluations = 0
        self.backwards = 0
        r = math.exp(-scorer.span.high / 2)
        self._reconstruction = Reconstruction(scorer.grid, scorer.codec, self._shape[0], r)
        column = torch.zeros((1, *self._shape[:1], 1, 1), dtype=torch.float64, device=device)
        # one step of the model's space in levels, per channel
        self._unit = scorer.codec.levels(column + 1) - scorer.codec.levels(column)
        self._proposal = scorer.proposal or Proposal.uniform(scorer.span)
        bound = isinstance(scorer.method, BoundMethod) and scorer.method.steps is None
        if bound and scorer.proposal is None and len(index) >= pilot.IMAGES:
            self._proposal = self._piloted()

    def part(self, rows: slice) -> dict[str, Tensor]:
        """Score the images ``rows``: ``nats``, and the terms of a bound given its class."""
        index = self._index[rows].to(self._device)
        names = self._names[rows]
        condition, bind = self._condition[rows], self._scorer.bind
        if self._scorer.class_weights is None:
            return self._scored(index, names, bind(condition, len(index)))
        given = []
        for label in range(len(self._scorer.class_weights)):
            same = torch.full((len(index),), label, dtype=torch.int64, device=self._device)
            denoise = bind(condition.with_entry("labels", same), len(index))
            given.append(self._scored(index, names, denoise)["nats"])
        weights = torch.tensor(self._scorer.class_weights, dtype=torch.float64, device="cpu")
        return {"nats": -over_classes(-torch.stack(given), weights.to(self._device))}

    def _scored(self, index: Tensor, names: list[int], denoise: BoundDenoise) -> dict[str, Tensor]:
        if isinstance(self._scorer.method, FlowMethod):
            return {"nats": -self._flow(self._scorer.method, index, names, denoise)}
        bound = self._bound(self._scorer.method, index, names, denoise)
        self.evaluations += bound.evaluations * len(index)
        return {
            "nats": bound.total,
            "prior": bound.prior,
            "diffusion": bound.diffusion,
            "reconstruction": bound.reconstruction,
        }

    def _bound(
        self, method: BoundMethod, index: Tensor, names: list[int], denoise: BoundDenoise
    ) -> Bound:
        scorer = self._scorer
        x0 = self._encoded(index)
        cost = self._reconstruction(index)
        noise = BoundNoise(scorer.seed, names, self._shape, x0)
        if method.steps is not None:
            return discrete_bound(
                denoise,
                x0,
                cost,
                noise,
                schedule=scorer.schedule,
                span=scorer.span,
                std=scorer.std,
                steps=method.steps,
            )
        offset = torch.stack(
            [
                torch.rand(
                    (),
                    generator=generator(scorer.seed, i, "offset"),
                    dtype=torch.float32,
                    device="cpu",
                )
                for i in names
            ]
        )
        return continuous_bound(
            denoise,
            x0,
            cost,
            noise,
            offset.double().to(self._device),
            schedule=scorer.schedule,
            proposal=self._proposal,
            std=scorer.std,
            points=method.points,
        )

    def _flow(
        self, method: FlowMethod, index: Tensor, names: list[int], denoise: BoundDenoise
    ) -> Tensor:
        scorer = self._scorer
        tau = math.exp(-scorer.span.high / 2) * self._unit
        law = (
            UniformDequantization()
            if method.dequantization == "uniform"
            else TruncatedNormalDequantization(tau.flatten())
        )
        dimensions = int(np.prod(self._shape))
        log_weights = []
        for k in range(method.samples):
            quantile = self._drawn(uniform, names, "dequantize", k)
            made = law.draw(scorer.grid, index, quantile)
            z = scorer.codec.encode(made.pixels)
            trace: Trace = ExactTrace(dimensions)
            if not method.exact(dimensions):
                probes = [self._drawn(signs, names, f"probe {p}", k) for p in range(method.probes)]
                trace = HutchinsonTrace(torch.stack(probes))
            found = flow_log_density(
                denoise,
                z,
                schedule=scorer.schedule,
                span=scorer.span,
                std=scorer.std,
                trace=trace,
                points=method.points,
                solver=method.solver,
                tolerance=method.tolerance,
                dtype=scorer.dtype,
            )
            self.evaluations += found.evaluations * len(index)
            self.backwards += found.evaluations * trace.backwards * len(index)
            log_weights.append(found.log_p + scorer.codec.log_abs_det(z) - made.log_q)
        return importance_bound(torch.stack(log_weights))

    def _piloted(self) -> Proposal:
        """The density of levels that suits these images."""
        scorer = self._scorer
        last = len(self._index) - 1
        chosen = torch.linspace(0, last, pilot.IMAGES, dtype=torch.float32, device="cpu").long()
        chosen = chosen.repeat(pilot.repeats(self._shape))
        x0 = self._encoded(self._index[chosen].to(self._device))
        there = chosen.to(self._device)
        condition = self._condition[there]
        if scorer.class_weights is not None:
            condition = condition.with_entry("labels", there % len(scorer.class_weights))
        self.evaluations += pilot.BINS * len(x0)
        return pilot.pilot(
            scorer.bind(condition, len(x0)),
            x0,
            schedule=scorer.schedule,
            span=scorer.span,
            seed=scorer.seed,
        )

    def _drawn(self, draw: Drawing, names: list[int], purpose: str, k: int) -> Tensor:
        return per_image(draw, self._shape, self._scorer.seed, names, purpose, k).to(self._device)

    def _encoded(self, index: Tensor) -> Tensor:
        values = self._scorer.grid.values.to(index.device)[index]
        return self._scorer.codec.encode(values).to(self._scorer.dtype)


def suitable_batch(image_shape: Sequence[int]) -> int:
    """Images of ``shape`` to score at once."""
    return int(np.clip(2**17 // np.prod(image_shape), 1, 256))
