"""Inpainting by a GAN: latents are searched whose images agree with the known pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.codec.affine import Affine
from undrift.conditioning import Condition
from undrift.errors import UsageError
from undrift.gan import Descent, LatentSpace, Shortlist, descend, latent_space
from undrift.pipelines.gan.model import GANModel
from undrift.pipelines.gan.settings import GANInpainting
from undrift.pipelines.labels import condition_of, resolve_labels
from undrift.pipelines.masked import MaskedImages
from undrift.pipelines.progress import OnProgress, Progress
from undrift.pipelines.samples import Samples
from undrift.pipelines.whole_number import within
from undrift.randomness import key
from undrift.sampling import ImageNoise

ITERATIONS = 100
"""Of Adam, by default: more fit the known pixels better, and masked ones hardly so."""

TAU = 0.4
"""Deviation of the known pixels' error, in units of the data's.

Chosen on held-out digits with an R3GAN, where 0.2 and 0.6 inpaint about as well: less fits the
known pixels more closely, more makes the completions of an image more alike.
"""

_PROBE = 4  # iterations by which the pace is measured,
_PROBED = 0.05  # over and over until this share of the time is spent


def inpaint(
    model: GANModel,
    masked: MaskedImages,
    condition: Condition,
    settings: GANInpainting,
    *,
    seed: int,
    batch_size: int,
    on_progress: OnProgress | None,
) -> Samples:
    """See `undrift.pipelines.Pipeline.inpaint`."""
    began = time.perf_counter()
    within("batch_size", batch_size, 1)
    if not isinstance(model.codec, Affine):
        name = type(model.codec).__name__
        raise UsageError(f"inpaint: pixels cannot be known in the space of {name}")
    given = None if condition.labels is None else condition.labels.numpy()
    beside = masked.by_result(Condition({k: v for k, v in condition.items() if k != "labels"}))
    found = _Starts.find(model, masked, condition, settings, seed, batch_size)
    each = max(1, batch_size // settings.restarts)
    batches = [
        range(start, min(start + each, len(masked))) for start in range(0, len(masked), each)
    ]
    descents = [_Descending(model, masked, found, beside, rows, seed) for rows in batches]
    iterations = settings.iterations
    if iterations is None:
        iterations = ITERATIONS
        if settings.seconds is not None:
            left = settings.seconds - (time.perf_counter() - began)
            iterations = _fitting(descents[0], left, len(masked) / len(batches[0]))
    parts: list[NDArray[np.uint8]] = []
    classes: list[NDArray[np.int64]] = []
    for k, (rows, descent) in enumerate(zip(batches, descents, strict=True)):
        completions, found_classes = descent(iterations)
        parts.append(masked.inpainted(rows, completions))
        if found_classes is not None:
            classes.append(found_classes)
        if on_progress is not None:
            on_progress(
                Progress(
                    done=k + 1,
                    total=len(batches),
                    finished=rows.stop,
                    n=len(masked),
                    rows=rows,
                    decode=lambda made=parts[-1]: made,
                )
            )
    return Samples(
        images=np.concatenate(parts),
        labels=np.concatenate(classes) if classes else None,
        nfe=found.forwards / len(masked) + settings.restarts * (iterations + 2) + 1,
        settings={
            "labels": None if given is None else given.tolist(),
            "method": "inversion",
            "iterations": iterations,
            "candidates": settings.candidates,
            "restarts": settings.restarts,
        },
    )


@dataclass(frozen=True, eq=False)
class _Starts:
    """The latents that the search of each completion begins at.

    Attributes:
        z: (completions, restarts, D).
        classes: (completions, restarts); None for a model without classes.
        forwards: images that were made to find them.
    """

    z: Tensor
    classes: NDArray[np.int64] | None
    forwards: int

    @classmethod
    def find(
        cls,
        model: GANModel,
        masked: MaskedImages,
        condition: Condition,
        settings: GANInpainting,
        seed: int,
        size: int,
    ) -> _Starts:
        """Compare every image with candidates of its class, of all classes where none is given.

        Completions of one number share their latents, whatever the image; other numbers have
        others. Images of one condition share what is made of them, too.
        """
        count, variants = settings.candidates, masked.variants
        z = torch.empty(
            len(masked),
            settings.restarts,
            model.generator.latent,
            dtype=torch.float32,
            device="cpu",
        )
        classes = np.empty((len(masked), settings.restarts), dtype=np.int64)
        forwards = 0
        for variant in range(variants):
            name = key(seed, "candidates", variant)
            drawn = ImageNoise(name, range(count)).initial((model.generator.latent,))
            kinds = resolve_labels(None, count, name, model.spec)
            for among in _alike(condition, len(masked.images)):
                if condition.labels is not None:
                    kinds = np.full(count, int(condition.labels[among[0]]), dtype=np.int64)
                results = among * variants + variant
                shortlist = Shortlist(len(results), settings.restarts)
                for part in _cut(count, size):
                    labels = None if kinds is None else kinds[part.start : part.stop]
                    shared = condition[torch.from_numpy(among[:1]).expand(len(part))]
                    whole = Condition({**shared, **condition_of(labels)})
                    context = model.context(whole, len(part))
                    latents = drawn[part.start : part.stop].to(model.device)
                    made = model.generator(latents, context)
                    forwards += len(part)
                    for some in _cut(len(results), size):
                        values, known = _measured(model, masked, results[some.start : some.stop])
                        shortlist.add(_numbers(some), values, known, made, _numbers(part))
                z[results] = drawn[shortlist.places]
                if kinds is not None:
                    classes[results] = kinds[shortlist.places.numpy()]
        return cls(z, classes if model.spec.class_names else None, forwards)


def _alike(condition: Condition, count: int) -> list[NDArray[np.int64]]:
    """Numbers of the images of each condition among those of ``count`` images."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i in range(count):
        entries = condition[i : i + 1].values()
        row = tuple(one.numpy().tobytes() if isinstance(one, Tensor) else one for one in entries)
        groups.setdefault(row, []).append(i)
    return [np.array(among, np.int64) for among in groups.values()]


class _Descending:
    """The descent of a batch of completions, to be run for any number of iterations."""

    def __init__(
        self,
        model: GANModel,
        masked: MaskedImages,
        starts: _Starts,
        beside: Condition,
        rows: range,
        seed: int,
    ) -> None:
        self._model = model
        self._masked = masked
        self._starts = starts
        self._beside = beside
        self._rows = rows
        self._noise = ImageNoise(seed, masked.numbers(rows))

    def __call__(self, iterations: int) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Completions uint8 (B, H, W, C), and the classes (B,) that were found."""
        model, rows = self._model, self._rows
        z = self._starts.z[rows.start : rows.stop].to(model.device)
        count, restarts, _ = z.shape
        kinds = self._starts.classes
        labels = None if kinds is None else kinds[rows.start : rows.stop]
        space = self._space(
            None if labels is None else labels.reshape(-1), _numbers(rows, restarts)
        )
        u = space.of(z.flatten(0, 1))
        values, known = _measured(model, self._masked, np.arange(rows.start, rows.stop))
        u, loss = descend(
            space,
            u,
            values.repeat_interleave(restarts, 0),
            known.repeat_interleave(restarts, 0),
            Descent(iterations, TAU * model.codec.sigma_data),
            lambda i: self._drawn(i, u.shape),
        )
        best = loss.reshape(count, restarts).argmin(1)
        chosen = u.reshape(count, restarts, -1)[
            torch.arange(count, dtype=torch.int64, device="cpu"), best
        ]
        if labels is not None:
            labels = labels[np.arange(count), best.cpu().numpy()]
        return model.decoded(self._space(labels, _numbers(rows)).images(chosen)), labels

    def _space(self, classes: NDArray[np.int64] | None, results: Tensor) -> LatentSpace:
        condition = Condition({**self._beside[results], **condition_of(classes)})
        context = self._model.context(condition, len(results))
        return latent_space(self._model.generator, context, len(results))

    def _drawn(self, iteration: int, shape: torch.Size) -> Tensor:
        each = shape.numel() // len(self._rows)
        drawn = self._noise.step(iteration, (each,), "inversion")
        return drawn.reshape(shape).to(self._model.device)


def _measured(
    model: GANModel, masked: MaskedImages, results: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Values and where they are known, of some results, in the generator's space."""
    device = model.device
    return model.codec.encode(masked.pixels(results).to(device)), masked.known(results).to(device)


def _fitting(descent: _Descending, seconds: float, times: float) -> int:
    """Iterations, 1 or more, for ``seconds``, where all takes ``times`` as long as ``descent``."""
    began = time.perf_counter()
    descent(1)  # a network's first pass takes longer
    warm = time.perf_counter()
    probes, spent = 0, 0.0
    while not probes or spent < _PROBED * seconds:
        descent(_PROBE)
        probes, spent = probes + 1, time.perf_counter() - warm
    pace = spent / probes / (_PROBE + 1)  # two previews and the last image take about an iteration
    left = seconds - (time.perf_counter() - began)
    return max(1, int(left / (pace * times)) - 1)


def _cut(count: int, size: int) -> Iterator[range]:
    """0 to ``count`` in ranges of ``size`` at most."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _numbers(rows: range, times: int = 1) -> Tensor:
    numbers = torch.arange(rows.start, rows.stop, dtype=torch.int64, device="cpu")
    return numbers.repeat_interleave(times)
