"""What sampling, evaluation, export and serving know of a model."""

from __future__ import annotations

import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.codec import Codec
from undrift.conditioning import Condition
from undrift.conditioning.text import Texts
from undrift.errors import UsageError
from undrift.files.durable import standing
from undrift.json_types import JsonObject
from undrift.pipelines.file import kind_of
from undrift.pipelines.labels import Labels, condition_of, resolve_labels
from undrift.pipelines.maps import GivenMaps, recorded_maps, resolve_maps
from undrift.pipelines.masked import MaskedImages, Variants
from undrift.pipelines.numbers import (
    GivenNumbers,
    OutOfRangeWarning,
    out_of_range,
    resolve_numbers,
)
from undrift.pipelines.progress import OnProgress
from undrift.pipelines.prompts import Prompts, resolve_prompts
from undrift.pipelines.request import Request, read_settings, suitable_batch
from undrift.pipelines.samples import Samples
from undrift.pipelines.spec import SampleSpec
from undrift.wording import dimensions, plural

if TYPE_CHECKING:
    from undrift.likelihood import LikelihoodRequest, OnScored, Scored

Capability = Literal["edit", "inpaint", "likelihood", "trajectory"]
"""What only some families can."""


@dataclass(frozen=True)
class Dial:
    """A sampling setting that trades fidelity against diversity.

    Attributes:
        name: of the setting.
        neutral: its value that is off.
        range: smallest and largest sensible value.
    """

    name: str
    neutral: float
    range: tuple[float, float]


class Pipeline(ABC):
    """A trained model that draws images, whatever family it is of.

    Attributes:
        kind: what ``config.json`` calls the family.
        noun: what messages call a model of the family, with its article.
        settings: dataclass of the family's sampling settings.
        inpainting: dataclass of its inpainting settings; None for a family that cannot inpaint.
        editing: dataclass of its settings for `edit`; None for a family that cannot.
        capabilities: what it can beside drawing.
        purpose: of a family that draws no images: what its models do, to end a message.
    """

    kind: ClassVar[str]
    noun: ClassVar[str]
    settings: ClassVar[type]
    inpainting: ClassVar[type | None] = None
    editing: ClassVar[type | None] = None
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    purpose: ClassVar[str] = ""
    readers: ClassVar[dict[str, Callable[[Path, nn.Module | None], Pipeline]]] = {}
    """From a file's kind to what reads it; `undrift.pipelines.load` fills it."""

    @property
    @abstractmethod
    def spec(self) -> SampleSpec:
        """Image shape, classes and default settings."""

    def __repr__(self) -> str:
        channels, height, width = self.spec.image_shape
        classes = plural(len(self.spec.class_names), "class")
        size = dimensions(height, width)
        return (
            f"<{type(self).__name__}: images of {size}, {plural(channels, 'channel')}, {classes}>"
        )

    @own_settings()
    @torch.no_grad()
    @checked
    def __call__(
        self,
        n: int,
        *,
        labels: Labels = None,
        prompts: Prompts = None,
        numbers: GivenNumbers = None,
        maps: GivenMaps = None,
        seed: int = 0,
        batch_size: int | None = None,
        first: int = 0,
        device: torch.device | str | None = None,
        on_progress: OnProgress | None = None,
        trajectory: int = 0,
        **settings: Any,  # noqa: ANN401 - the family's dataclass says which
    ) -> Samples:
        """Draw ``n`` images; image i depends on the weights, the settings, the seed and i only.

        Its noise is the same bit by bit whatever the batch, the number of images and the device;
        the images may then differ by rounding (one pixel value of 255 now and then).

        Args:
            n: number of images, at least 1.
            labels: class names or indices, ``"all"``, or None; see `resolve_labels`.
            prompts: a text, or several that take turns, for a model that was trained on captions;
                None draws without.
            numbers: name -> a value for all images, or several that take turns, such as
                ``{"angle": 0.3}``, for a model that was trained on numbers; what is left out is
                left open. A value out of the range of the training data is a warning.
            maps: name -> a map for all images, (H, W[, C]), or several that take turns,
                (N, H, W[, C]), such as ``{"mask": array}``, for a model that was trained on maps:
                whole numbers from 0 to 255, and -1 in pixels that are not given.
            seed: of the initial noise, at least 0.
            batch_size: images drawn at once; it changes speed and memory, not what is drawn. By
                default as many as suit their size.
            first: number of the first image: images ``first`` to ``first + n - 1`` of the seed are
                drawn, so that a large set can be drawn in parts.
            device: move the pipeline there first; None stays.
            on_progress: called after every step of every batch; to cancel, raise.
            trajectory: of how many images, the first ones, to return the trajectory too.
            settings: the family's own, see ``settings`` of the class; None is the default of each.

        Raises:
            UsageError: for a value that cannot be used, a setting that the family does not have, or
                two that exclude each other.
            DivergedError: if the model gives numbers that are not finite.
        """
        self.check_draws()
        began = perf_counter()
        chosen = read_settings(self.settings, settings, self.noun)
        place = self.device if device is None else torch.device(device)
        size = suitable_batch(self.spec.image_shape, place) if batch_size is None else batch_size
        request = Request(n, seed, first, size)
        if trajectory and "trajectory" not in self.capabilities:
            raise UsageError(
                f"trajectory {trajectory}: {self.noun} draws in one pass; leave it out"
            )
        classes = self._classes(chosen)
        condition = condition_of(resolve_labels(labels, n, seed, classes, first))
        condition = self._given(condition, prompts, numbers, maps, n, first)
        if device is not None:
            self.to(device)
        drawn = self._draw(request, condition, chosen, trajectory, on_progress)
        drawn = replace(
            drawn,
            labels=None if condition.labels is None else condition.labels.numpy(),
            class_names=classes.class_names,
            prompts=_prompts_of(condition),
        )
        record: JsonObject = {"n": n, "first": first, "labels": labels}
        record |= _recorded(prompts, numbers, maps)
        return self._completed(drawn, began, record, seed, size)

    def check_draws(self) -> None:
        """Refuse to draw with a model that is not for that.

        Raises:
            UsageError: for such a model.
        """
        if self.purpose:
            raise self.no_images()

    def no_images(self) -> UsageError:
        """The error of a family that draws no images."""
        return UsageError(f"{self.noun} draws no images: {self.purpose}")

    def _classes(self, settings: Any) -> SampleSpec:  # noqa: ANN401 - as of `_draw`
        """The spec whose classes the labels of a request name."""
        return self.spec

    def _completed(
        self, made: Samples, began: float, request: JsonObject, seed: int, batch_size: int
    ) -> Samples:
        """``made`` with its class names, its seconds since ``began`` and the whole request."""
        settings = {**request, "seed": seed, **made.settings, "batch_size": batch_size}
        seconds = perf_counter() - began
        names = made.class_names or self.spec.class_names
        return replace(made, class_names=names, seconds=seconds, settings=settings)

    def _given(
        self,
        condition: Condition,
        prompts: Prompts,
        numbers: GivenNumbers,
        maps: GivenMaps,
        n: int,
        first: int,
    ) -> Condition:
        """``condition`` with the prompts, numbers and maps of a request for n images."""
        texts = resolve_prompts(prompts, n, self.spec, first)
        if texts is not None:
            condition = condition.with_entry("text", texts)
        values = resolve_numbers(numbers, n, self.spec, first)
        if values is not None:
            condition = condition.with_entry("numbers", torch.from_numpy(values))
        for name, entry in resolve_maps(maps, n, self.spec, first).items():
            condition = condition.with_entry(name, entry)
        for line in out_of_range(numbers, self.spec):
            warnings.warn(line, OutOfRangeWarning, stacklevel=3)
        return condition

    @abstractmethod
    def _draw(
        self,
        request: Request,
        condition: Condition,
        settings: Any,  # noqa: ANN401 - an instance of the family's dataclass
        trajectory: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        """Draw a request that is checked.

        Args:
            request: which images.
            condition: of the n images.
            settings: an instance of ``self.settings``.
            trajectory: of how many images to return it.
            on_progress: see `__call__`.

        Returns:
            Images, their cost in network forwards, and the family's own settings in plain form with
            every default filled in; `__call__` adds the rest.
        """

    @property
    @abstractmethod
    def weights(self) -> nn.ModuleDict:
        """Everything with parameters that draws images."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((weight.device for weight in self.weights.parameters()), torch.device("cpu"))

    @property
    def batch_size(self) -> int:
        """How many images are drawn at once by default."""
        return suitable_batch(self.spec.image_shape, self.device)

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal; of the weights and the spec, all that images depend on but settings."""

    @property
    def dial(self) -> Dial | None:
        """The setting that trades fidelity against diversity, where this model has one."""
        return None

    @property
    def few_steps(self) -> tuple[int, ...]:
        """Numbers of steps that a report measures it at; empty: as it draws by default only."""
        return ()

    @property
    def sampler_words(self) -> str:
        """How it draws by default, in words."""
        return "one pass of the network"

    def state_dict(self) -> dict[str, Tensor]:
        """The weights by name."""
        return self.weights.state_dict()

    def likelihood(
        self,
        images: NDArray[np.uint8],
        request: LikelihoodRequest,
        labels: NDArray[np.int64] | None = None,
        *,
        numbers: Sequence[int] | None = None,
        given: Condition | None = None,
        batch_size: int | None = None,
        on_scored: OnScored | None = None,
    ) -> Scored:
        """Estimate how likely images are; a capability that not every family has.

        Args:
            images: uint8 (N, H, W, C).
            request: method, levels and what is known of the class.
            labels: (N,) class of each image, for a request that scores given the class.
            numbers: keys of each image's noise; its place by default.
            given: captions and numbers of the images, entries "text" and "numbers"; None leaves
                them open.
            batch_size: images scored at once.
            on_scored: called as ``on_scored(done, total)``; to stop, raise.

        Raises:
            UsageError: for a pipeline without a likelihood, or a request that does not fit it.
            DataError: for pixels that are not of the request's levels.
        """
        raise self.no_likelihood()

    def no_likelihood(self) -> UsageError:
        """The error of a family without `likelihood`."""
        return UsageError(
            f"{type(self).__name__} has no likelihood: it draws images without a density; measure "
            "its samples with `undrift evaluate`, whose coverage and recall say what it leaves out"
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
        prompts: Prompts = None,
        numbers: GivenNumbers = None,
        maps: GivenMaps = None,
        seed: int = 0,
        batch_size: int | None = None,
        first: int = 0,
        on_progress: OnProgress | None = None,
        **settings: Any,  # noqa: ANN401 - the family's dataclass says which
    ) -> Samples:
        """Inpaint the masked region of images; a capability that not every family has.

        Completion v of image i depends on the weights, the settings, the seed, i, v and the known
        pixels of the image only; known pixels come back as they were.

        Args:
            images: uint8 (N, H, W, C).
            mask: bool (H, W) for all of them or (N, H, W) for each: True where to inpaint.
            variants: completions of each image, at least 1.
            labels: class of each image, as in sampling; None leaves it open.
            prompts: text of each image, as in sampling.
            numbers: of each image, as in sampling.
            maps: of each image, as in sampling.
            seed: of the initial noise, at least 0.
            batch_size: completions computed at once.
            first: number of the first image, so that a large set can be inpainted in parts.
            on_progress: called with the progress and a preview of the images; to cancel, raise.
            settings: the family's own, see ``inpainting`` of the class.

        Returns:
            N ``variants`` images, the completions of one image side by side, and what they cost:
            network forwards per completion and seconds.

        Raises:
            UsageError: for a family that cannot, a value that cannot be used, or a setting that the
                family does not have.
            DivergedError: if the model gives numbers that are not finite.
        """
        if self.inpainting is None:
            raise UsageError(
                f"{type(self).__name__} cannot inpaint: use a diffusion model or a GAN"
            )
        began = perf_counter()
        chosen = read_settings(self.inpainting, settings, self.noun)
        masked = MaskedImages.checked(images, mask, variants, first, seed, self.spec)
        size = self.batch_size if batch_size is None else batch_size
        n = len(images)
        condition = self._of_images(n, first, seed, labels, prompts, numbers, maps)
        inpainted = self._inpaint(masked, condition, chosen, seed, size, on_progress)
        record: JsonObject = {"n": n, "first": first, "variants": variants, "labels": labels}
        record |= _recorded(prompts, numbers, maps)
        return self._completed(inpainted, began, record, seed, size)

    def _inpaint(
        self,
        masked: MaskedImages,
        condition: Condition,
        settings: Any,  # noqa: ANN401 - an instance of the family's dataclass
        seed: int,
        batch_size: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        """Inpaint images that are checked, under the condition of their N images.

        See `_draw` for what is returned, with labels of every completion (n,).
        """
        raise NotImplementedError

    @own_settings()
    @torch.no_grad()
    @checked
    def edit(
        self,
        images: np.ndarray,
        *,
        variants: int = 1,
        labels: Labels = None,
        prompts: Prompts = None,
        numbers: GivenNumbers = None,
        maps: GivenMaps = None,
        seed: int = 0,
        batch_size: int | None = None,
        first: int = 0,
        on_progress: OnProgress | None = None,
        **settings: Any,  # noqa: ANN401 - the family's dataclass says which
    ) -> Samples:
        """Make images from images; a capability that not every family has.

        Args:
            images: uint8 (N, H, W, C): to vary, or measurements to restore. These may be floating,
                in pixel values, within 0 to 255 or not.
            variants: images made of each, at least 1.
            labels: class of each image, as in sampling; None leaves it open.
            prompts: text of each image, as in sampling.
            numbers: of each image, as in sampling.
            maps: of each image, as in sampling.
            seed: of the noise, at least 0.
            batch_size: images computed at once.
            first: number of the first image, so that a large set can be edited in parts.
            on_progress: called with the progress and a preview of the images; to cancel, raise.
            settings: the family's own, see ``editing`` of the class.

        Returns:
            N ``variants`` images, those of one image side by side, and what they cost.

        Raises:
            UsageError: for a family that cannot, a value that cannot be used, or a setting that the
                family does not have.
            DivergedError: if the model gives numbers that are not finite.
        """
        if self.editing is None:
            raise UsageError(f"{self.noun} cannot edit images: use a diffusion model")
        began = perf_counter()
        chosen = read_settings(self.editing, settings, self.noun)
        given = Variants.of(images, variants, first, seed)
        size = self.batch_size if batch_size is None else batch_size
        n = len(images)
        condition = self._of_images(n, first, seed, labels, prompts, numbers, maps)
        edited = self._edit(given, condition, chosen, seed, size, on_progress)
        record = {"n": n, "first": first, "variants": variants, "labels": labels}
        return self._completed(
            edited, began, record | _recorded(prompts, numbers, maps), seed, size
        )

    def _of_images(
        self,
        n: int,
        first: int,
        seed: int,
        labels: Labels,
        prompts: Prompts,
        numbers: GivenNumbers,
        maps: GivenMaps,
    ) -> Condition:
        """The condition of given images, whose class is open unless it is named."""
        condition = Condition()
        if labels is not None:
            condition = condition_of(resolve_labels(labels, n, seed, self.spec, first))
        return self._given(condition, prompts, numbers, maps, n, first)

    def _edit(
        self,
        given: Variants,
        condition: Condition,
        settings: Any,  # noqa: ANN401 - an instance of the family's dataclass
        seed: int,
        batch_size: int,
        on_progress: OnProgress | None,
    ) -> Samples:
        """Edit images that are checked, under the condition of each; see `_inpaint`."""
        raise NotImplementedError

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Move the weights to ``device``, in place, and return the pipeline."""

    @abstractmethod
    def save_pretrained(self, directory: str | Path) -> None:
        """Write config.json, model.safetensors and MANIFEST.json into ``directory``.

        It appears whole or not at all; a pipeline that is there already is replaced.

        Raises:
            UsageError: if it cannot be written, or ``directory`` holds something else.
        """

    @staticmethod
    @own_settings()
    @checked
    def from_pretrained(directory: str | Path, *, network: nn.Module | None = None) -> Pipeline:
        """Load what `save_pretrained` wrote, on the CPU, after checking every byte of it.

        Args:
            directory: where it is.
            network: the user's own network, for a pipeline that was saved with one; its weights
                are overwritten.

        Raises:
            ModelFileError: if anything is missing, damaged or does not fit together.
            UsageError: for a network where none is wanted, or none where one is.
        """
        place = standing(Path(directory))
        return Pipeline.readers[kind_of(place, Pipeline.readers)](place, network)


class Model(Protocol):
    """What pipelines of every family have of their model."""

    @property
    def spec(self) -> SampleSpec:
        """Shape, classes and default settings."""
        ...

    @property
    def codec(self) -> Codec:
        """Between the model's space and images."""
        ...

    @property
    def weights(self) -> nn.ModuleDict:
        """Everything with parameters."""
        ...


OfModel = TypeVar("OfModel", bound=Model)


class ModelPipeline(Pipeline, Generic[OfModel]):
    """A pipeline around a model.

    Attributes:
        model: weights, codec and spec.
    """

    model: OfModel

    @property
    def spec(self) -> SampleSpec:
        """Shape, classes and default settings."""
        return self.model.spec

    @property
    def codec(self) -> Codec:
        """Between the model's space and images."""
        return self.model.codec

    @property
    def weights(self) -> nn.ModuleDict:
        """See `Pipeline.weights`."""
        return self.model.weights

    @property
    def fingerprint(self) -> str:
        """See `Pipeline.fingerprint`."""
        return fingerprint_of(self.spec, self.state_dict())

    @checked
    def to(self, device: torch.device | str) -> Self:
        """See `Pipeline.to`."""
        self.model.weights.to(device)
        self.model.codec.to(device)
        return self


def _recorded(prompts: Prompts, numbers: GivenNumbers, maps: GivenMaps) -> JsonObject:
    """Prompts, numbers and maps as settings of samples; what is not given is left out."""
    given: JsonObject = {} if prompts is None else {"prompts": prompts}
    given |= {"numbers": numbers} if numbers else {}
    return given | ({"maps": recorded_maps(maps)} if maps else {})


def _prompts_of(condition: Condition) -> tuple[str, ...] | None:
    """The prompt of each sample; None without any."""
    texts = condition.get("text")
    return tuple(texts.first) if isinstance(texts, Texts) else None


def fingerprint_of(spec: SampleSpec, tensors: Mapping[str, Tensor], **files: bytes) -> str:
    """Hexadecimal digest of a spec, weights by name, and further files by name."""
    digest = hashlib.sha256(spec.canonical.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for name, data in files.items():
        digest.update(name.encode())
        digest.update(data)
    return digest.hexdigest()
