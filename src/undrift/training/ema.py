r"""Power-function averages of the weights, to sample from instead of the weights themselves.

With T images seen and theta(tau) the weights after tau images, the average of exponent gamma is

    theta_gamma(T) = int_0^T p(tau; T) theta(tau) dtau,
    p(tau; T) = (gamma + 1) tau^gamma / T^(gamma + 1).                                     (1)

Its profile p stretches with the run: the average is always over the same *share* of the training,
and the random initial weights drop out of it. The length is stated by the profile's standard
deviation in units of T,

    sigma_rel = (gamma + 1)^(1/2) / ((gamma + 2) (gamma + 3)^(1/2)),                       (2)

0.10 being an average over roughly the last tenth of the run. Weights are constant between updates,
so after an update that takes T - B images seen to T the integral (1) is exactly

    theta_gamma(T) = beta theta_gamma(T - B) + (1 - beta) theta(T),
    beta = (1 - B / T)^(gamma + 1).                                                        (3)

Reference: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR
2024 (arXiv:2312.02696), section 3.1 and appendix C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from undrift.errors import ModelFileError, UsageError

LARGEST_SIGMA_REL = math.sqrt(1 / 12)
"""sigma_rel of the flat average, gamma = 0."""

DEFAULT_TRACKS = (0.05, 0.10)
"""sigma_rel of the averages that every run keeps; any other length comes from their snapshots."""

SMALLEST_SIGMA_REL = 1e-6
"""A millionth of a run is one update or less."""

_IMAGES = "images"
"""Key of the images-seen counter in ``PowerEMA.state``; the others start with a track."""


def gamma_of(sigma_rel: float) -> float:
    """Exponent of the average of relative length ``sigma_rel``: the inverse of eq. (2).

    Args:
        sigma_rel: standard deviation of the profile as a share of the run, in [1e-6, 0.2886...].

    Raises:
        UsageError: if no exponent >= 0 gives that length.
    """
    if not SMALLEST_SIGMA_REL <= sigma_rel <= LARGEST_SIGMA_REL:
        raise UsageError(
            f"EMA length {sigma_rel}: wanted a share of the run above 0 ({SMALLEST_SIGMA_REL:g} at "
            f"least) and up to {LARGEST_SIGMA_REL:.4f}"
        )
    # With y = gamma + 2 and s = sigma_rel^-2, (2) is y^3 + y^2 - s y + s = 0; y = z - 1/3 removes
    # the square: z^3 - p z + q = 0. All three roots are real, the largest one is ours (Viete).
    s = sigma_rel**-2
    p, q = s + 1 / 3, 4 * s / 3 + 2 / 27
    cosine = -1.5 * (q / p) * math.sqrt(3 / p)
    z = 2 * math.sqrt(p / 3) * math.cos(math.acos(max(-1.0, cosine)) / 3)
    return max(0.0, z - 1 / 3 - 2)


def sigma_rel_of(gamma: float) -> float:
    """Relative length of the average of exponent ``gamma`` >= 0, eq. (2)."""
    return math.sqrt(gamma + 1) / ((gamma + 2) * math.sqrt(gamma + 3))


def track_name(sigma_rel: float) -> str:
    """Name of a track in files and flags: ``0.05`` for 0.05, never two names for one length."""
    return repr(float(sigma_rel))


class PowerEMA:
    """Moving averages of named tensors, one per relative length.

    Floating-point tensors are averaged in float32, whatever their own type; others are copied. The
    tensors are read at every update and never written.

    Attributes:
        sigma_rels: relative length of each track.
        images: images seen at the last update.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], sigma_rels: tuple[float, ...] = DEFAULT_TRACKS
    ) -> None:
        if not sigma_rels or len(set(sigma_rels)) != len(sigma_rels):
            raise UsageError(f"EMA lengths {sigma_rels}: wanted at least one, each once")
        self.sigma_rels = sigma_rels
        self.images = 0
        self._exponents = [gamma_of(sigma_rel) + 1 for sigma_rel in sigma_rels]
        self._sources = {
            name: tensor.detach() for name, tensor in tensors.items() if tensor.is_floating_point()
        }
        self._copied = {
            name: tensor.detach()
            for name, tensor in tensors.items()
            if not tensor.is_floating_point()
        }
        # clone() keeps the memory format: channels_last averages of channels_last weights.
        self._tracks = [
            {name: tensor.float().clone() for name, tensor in self._sources.items()}
            for _ in sigma_rels
        ]

    @torch.no_grad()
    def update(self, images: int) -> None:
        """Take in the present values of the tensors, eq. (3).

        Args:
            images: images seen so far, those of this update included; it must have grown.
        """
        if images <= self.images:
            raise ValueError(f"images seen went from {self.images} to {images}; it must grow")
        share = (images - self.images) / images
        values = [tensor.float() for tensor in self._sources.values()]
        for exponent, track in zip(self._exponents, self._tracks, strict=True):
            # 1 - beta by expm1: after 10^9 images plain arithmetic would lose half its digits.
            weight = 1.0 if share == 1 else -math.expm1(exponent * math.log1p(-share))
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
                list(track.values()), values, weight
            )
        self.images = images

    def weights(self, sigma_rel: float) -> dict[str, Tensor]:
        """The averaged tensors of one track, by name: the average's own storage, not a copy.

        Raises:
            UsageError: if that length is not tracked.
        """
        if sigma_rel not in self.sigma_rels:
            tracked = ", ".join(map(track_name, self.sigma_rels))
            raise UsageError(f"EMA length {sigma_rel}: this run tracks {tracked}; take one of them")
        return {**self._tracks[self.sigma_rels.index(sigma_rel)], **self._copied}

    def state(self) -> dict[str, Tensor]:
        """Everything to save: ``<sigma_rel>/<name>`` per track and tensor, and ``images``."""
        tensors = {
            f"{track_name(sigma_rel)}/{name}": value
            for sigma_rel, track in zip(self.sigma_rels, self._tracks, strict=True)
            for name, value in track.items()
        }
        return {**tensors, _IMAGES: torch.tensor(self.images, dtype=torch.int64)}

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` returned.

        Raises:
            ModelFileError: if names or shapes are not this object's.
        """
        own = self.state()
        if difference := sorted(own.keys() ^ tensors.keys()):
            fault = "unknown" if difference[0] in tensors else "missing"
            raise ModelFileError(
                f"EMA state: {difference[0]!r} is {fault}; it was saved by a run with another "
                "network or other EMA lengths"
            )
        for name, value in own.items():
            if value.shape != tensors[name].shape:
                raise ModelFileError(
                    f"EMA state: {name!r} has shape {tuple(tensors[name].shape)}, wanted "
                    f"{tuple(value.shape)}; it was saved by a run with another network"
                )
            value.copy_(tensors[name])
        self.images = int(tensors[_IMAGES])
