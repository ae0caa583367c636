"""A classifier of noisy images: its weights, and the space that it works in."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from undrift.codec import Codec
from undrift.diffusion import Level, NoisyClassifier
from undrift.networks import UNetClassifierConfig
from undrift.pipelines.spec import SampleSpec
from undrift.sampling.guidance import LogProbability


@dataclass(frozen=True, eq=False)
class ClassifierModel:
    """A classifier of noisy images.

    Attributes:
        classifier: of noisy images in the codec's space.
        codec: between that space and images.
        spec: image shape and classes; its sampler, grid and steps play no part.
        network_config: what ``classifier.network`` was built from.
        weights: the classifier's network, as ``network``.
    """

    classifier: NoisyClassifier
    codec: Codec
    spec: SampleSpec
    network_config: UNetClassifierConfig
    weights: nn.ModuleDict = field(init=False)

    def __post_init__(self) -> None:
        modules = nn.ModuleDict({"network": self.classifier.network})
        object.__setattr__(self, "weights", modules.eval())

    def log_probability(self, labels: Tensor) -> LogProbability:
        """Log-probability of the class of each row.

        Args:
            labels: int64 (B,).
        """

        def of_labels(x_t: Tensor, level: Level) -> Tensor:
            rows = torch.arange(len(x_t), device=x_t.device, dtype=torch.int64)
            return self.classifier(x_t, level)[rows, labels.to(x_t.device)]

        return of_labels
