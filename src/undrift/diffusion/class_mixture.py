"""A Gaussian mixture with classes: the exact class-conditional denoiser, the oracle of guidance.

Definition: class c occurs with probability ``p(c)`` and draws component k of a mixture with
``p(k | c)``. Given the class the data are the mixture with weights ``p(k | c)``, and without it the
mixture with weights ``w_k = sum_c p(c) p(k | c)``; both are mixtures of mixture.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from undrift.diffusion.denoiser import Denoise
from undrift.diffusion.mixture import GaussianMixture
from undrift.diffusion.prediction import Prediction
from undrift.diffusion.schedule import NoiseSchedule
from undrift.errors import UsageError

if TYPE_CHECKING:
    from undrift.networks.context import Context


class ClassMixture:
    """A mixture whose components belong to classes.

    Args:
        mixture: the components; its own weights are not used.
        given_class: p(k | c), (C, K), non-negative; rows are normalised here.
        class_weights: p(c), (C,), positive; normalised here, equal when left out.

    Attributes:
        marginal: the mixture over all classes.

    Raises:
        UsageError: for a table that does not fit the mixture.
    """

    def __init__(
        self,
        mixture: GaussianMixture,
        given_class: Tensor | Sequence[Sequence[float]],
        class_weights: Tensor | Sequence[float] | None = None,
    ) -> None:
        table = torch.as_tensor(given_class, dtype=torch.float64)
        count = mixture.means.shape[0]
        if table.ndim != 2 or table.shape[1] != count or bool((table < 0).any()):
            raise UsageError(
                f"a mixture of {count} components got p(k | c) of shape {tuple(table.shape)}; "
                f"give non-negative numbers of shape (classes, {count})"
            )
        prior = [1.0] * len(table) if class_weights is None else class_weights
        self.class_weights = torch.as_tensor(prior, dtype=torch.float64)
        self.class_weights = self.class_weights / self.class_weights.sum()
        self.given_class = table / table.sum(1, keepdim=True)
        weights = self.class_weights @ self.given_class
        self.marginal = GaussianMixture(mixture.means, mixture.stds, weights)

    def weights(self, labels: Tensor) -> Tensor:
        """Return the mixing weights (B, K), float64, of labels (B,); a negative one is no label."""
        table = torch.cat([self.given_class, self.marginal.weights[None]]).to(labels.device)
        return table[torch.where(labels < 0, len(self.given_class), labels)]

    def given(self, label: int) -> GaussianMixture:
        """Return the mixture of one class alone."""
        weights = self.given_class[label]
        kept = weights > 0
        return GaussianMixture(self.marginal.means[kept], self.marginal.stds[kept], weights[kept])

    def denoiser(self, schedule: NoiseSchedule, labels: Tensor | None = None) -> Denoise:
        """Return the exact denoiser: of these labels (B,), or of the context's.

        Without labels it reads mixing weights from ``context.vector``, as `weights` makes them, and
        takes no context for no label.
        """
        exact = self.marginal.denoiser(schedule)
        if labels is None:
            return exact
        weights = self.weights(labels)

        def labelled(x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
            return exact.with_weights(x_t, t, weights)

        return labelled

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (n, *shape) samples, float64, and their labels (n,) int64."""
        x, component = self.marginal.sample_components(n, generator)
        # p(c | k) is proportional to p(c) p(k | c).
        joint = (self.class_weights[:, None] * self.given_class).T.to(component.device)
        label = torch.multinomial(joint[component], 1, generator=generator)[:, 0]
        return x, label
