"""What differs between families of models, for everything above the training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from undrift.advice import named
from undrift.codec import CodecConfig
from undrift.conditioning import ConditionSpec
from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.networks import ContextSpec
from undrift.options.train import TrainOptions
from undrift.pipelines import Pipeline, Samples, SampleSpec
from undrift.training.learner import Learner
from undrift.training.learning_rate import LearningRate

if TYPE_CHECKING:  # metrics take a tenth of a second to import, and to sample needs none
    from undrift.metrics import Images

Draw = Callable[..., Samples]
"""From a pipeline, a number of images and settings to samples."""


class ModelConfig(Protocol):
    """A family's part of ``config.yaml``: a frozen dataclass with these entries and its own."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def spec(self) -> SampleSpec:
        """Shape, classes and sampling defaults."""
        ...

    @property
    def codec(self) -> CodecConfig:
        """Between images and the model's space."""
        ...

    @property
    def condition(self) -> ConditionSpec:
        """What it is conditioned on."""
        ...

    @property
    def width(self) -> int:
        """Length of the encoded condition."""
        ...

    @property
    def network(self) -> Any:  # noqa: ANN401 - a dataclass of the family's
        """Shape of the networks; None for the user's own."""
        ...


@dataclass(frozen=True, eq=False)
class RecipeRequest:
    """What a recipe depends on.

    Attributes:
        settings: of the user.
        data: the decoded images with all of their splits.
        spec: image shape, classes, and the sampling grid that suits images of this size.
        device: ``cpu`` or ``cuda``.
        budget: seconds to train for, if that is limited.
        own_network: whether the user brings the network.
    """

    settings: TrainOptions
    data: ImageSet
    spec: SampleSpec
    device: str
    budget: float | None
    own_network: bool

    @property
    def train(self) -> ImageSet:
        """The training images."""
        return self.data.split("train")


@dataclass(frozen=True)
class Recipe:
    """What a model is trained with by default.

    Attributes:
        model: the family's part of the configuration.
        batch_size: images of the global batch.
        images: images to train on in all by default.
        learning_rate: schedule.
        clip: largest gradient norm.
        bfloat16: whether the network may compute in it: whether that has been measured.
    """

    model: ModelConfig
    batch_size: int
    images: int
    learning_rate: LearningRate
    clip: float = 1.0
    bfloat16: bool = True


Config = TypeVar("Config")
"""A family's dataclass, a `ModelConfig`."""


class Family(ABC, Generic[Config]):
    """One family of models; `undrift.families.FAMILIES` lists them.

    Attributes:
        name: of the family.
        methods: what ``--method`` may name.
        scratch: those of them that ``undrift train`` trains from images alone; None: all.
        config: dataclass of the family's part of ``config.yaml``.
        kind: what that part calls itself under ``kind``; None where it has no such key.
        noun: what a model of the family is called.
        augmented: what its augmentation is, to end "augmented with probability p, ...".
        own_network: whether the user may bring a network.
        reference_curve: whether validation compares its errors with the best Gaussian's.
        images_needed: whether the rule of images needed was measured with models of this family.
        draws: whether its models draw images.
    """

    name: ClassVar[str]
    methods: ClassVar[tuple[str, ...]]
    scratch: ClassVar[tuple[str, ...] | None] = None
    config: ClassVar[type]
    kind: ClassVar[str | None]
    noun: ClassVar[str]
    augmented: ClassVar[str] = ""
    own_network: ClassVar[bool] = False
    reference_curve: ClassVar[bool] = False
    images_needed: ClassVar[bool] = False
    draws: ClassVar[bool] = True

    @abstractmethod
    def recipe(self, request: RecipeRequest) -> Recipe:
        """The recipe of ``request.settings.method``.

        Raises:
            UsageError: for a setting that the method has no use for, or does not fit the images.
        """

    @abstractmethod
    def learner(
        self,
        config: Config,
        seed: int,
        device: torch.device | str,
        *,
        network: nn.Module | None,
        eigenvalues: Tensor | None,
    ) -> Learner:
        """The learner of ``config``, at the initial weights of ``seed``.

        Args:
            config: an instance of ``self.config``.
            seed: of the initial weights.
            device: where to train.
            network: the user's own, for a family that takes one.
            eigenvalues: of the training data's covariance, for a family with a reference curve.
        """

    @abstractmethod
    def network(
        self,
        config: Any,
        latent_shape: tuple[int, int, int],
        context: ContextSpec,  # noqa: ANN401
    ) -> nn.Module:
        """The network that is used after training, at any weights, for counting its parameters.

        Args:
            config: the ``network`` of an instance of ``self.config``.
            latent_shape: (C, H, W) of the model's space.
            context: of its conditions.
        """

    def title(self, method: str) -> str:
        """What a model that ``method`` trained is called in a report."""
        return self.noun

    def fewest_steps(self, config: Config) -> int:
        """Updates below which a model's images would be those of its initial weights."""
        return 1

    def validation_passes(self, config: Config) -> int:
        """Passes of single images that one validation takes, at most; for planning its time."""
        return 0

    @abstractmethod
    def peak_rate(self, config: Config) -> float:
        """Peak learning rate of the denoiser or generator."""

    def regularisation(self, config: Config) -> tuple[str, float, float] | None:
        """The setting by which a search changes the regularisation, its value, and its largest."""
        return None

    def placed(self, config: Config, run: Path) -> Config:
        """``config`` of a run, with the present paths of what may have been moved with it."""
        return config

    def teacher(self, config: Config) -> Pipeline | None:
        """What a model was distilled from: grids are drawn beside its own, with equal seeds.

        Raises:
            ModelFileError: it is missing, or another one than when the run began.
        """
        return None

    def finished(self, pipeline: Pipeline, train: Callable[[], Images], draw: Draw) -> Pipeline:
        """``pipeline`` of a run that is trained, with what is measured once it is.

        Args:
            pipeline: of the run.
            train: reads training images.
            draw: draws under the conditions of training images.
        """
        return pipeline

    def copy_weights(self, source: Pipeline, learner: Learner) -> list[str]:
        """Copy the weights of a trained model into a learner, for ``--init``.

        Returns:
            Names of the classes whose embedding starts anew.

        Raises:
            UsageError: where the models differ, or for a family that cannot.
        """
        raise UsageError(
            f"{named('init')}: only diffusion models start from one another; leave it out"
        )
