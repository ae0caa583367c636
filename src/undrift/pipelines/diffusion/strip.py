"""Records the trajectory from noise to images while a sampler runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from undrift.codec import Codec
from undrift.diffusion import Prediction
from undrift.pipelines.samples import Trajectory
from undrift.sampling import Draw


class Strip:
    """Decodes each step's noisy state and what the denoiser made of it.

    A noisy state is shown at the data's spread, ``x_t / sqrt(alpha^2 + sigma^2)``: pure noise fills
    the range of the codec's data instead of clipping to black and white.

    Args:
        codec: of the model.
        count: how many images of the batch, the first ones, to record.
    """

    def __init__(self, codec: Codec, count: int) -> None:
        self._codec = codec
        self._count = count
        self._levels: list[tuple[float, float]] = []
        self._noisy: list[np.ndarray] = []
        self._denoised: list[np.ndarray] = []

    def after_step(
        self, x_s: Tensor, t: Tensor, s: Tensor, prediction: Prediction, draw: Draw
    ) -> Tensor:
        """Record the step that has just been made; changes nothing."""
        level = prediction.level
        scale = (
            self._codec.sigma_data
            / ((level.alpha * self._codec.sigma_data) ** 2 + level.sigma**2).sqrt()
        )
        self._levels.append((float(t), float(level.log_snr)))
        self._noisy.append(self._image(prediction.x_t * float(scale)))
        self._denoised.append(self._image(prediction.x0))
        return x_s

    @staticmethod
    def joined(strips: Sequence[Strip]) -> Trajectory:
        """Join the strips of all batches of a request along the images."""
        levels = np.array(strips[0]._levels, dtype=np.float64)
        return Trajectory(
            t=levels[:, 0],
            log_snr=levels[:, 1],
            noisy=np.concatenate([np.stack(strip._noisy) for strip in strips], axis=1),
            denoised=np.concatenate([np.stack(strip._denoised) for strip in strips], axis=1),
        )

    def _image(self, z: Tensor) -> np.ndarray:
        return self._codec.decode(z[: self._count]).permute(0, 2, 3, 1).cpu().numpy()
