"""A trajectory as pictures: a strip to print, and a moving picture.

Both show each image twice: above the noisy state x_t, below what the model makes of it, the
estimate E[x_0 | x_t] of the clean image. Toy 2-D points are shown together, as a cloud; in the
moving picture the two clouds stand side by side.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from undrift.data.scatter import on_plane
from undrift.errors import UsageError
from undrift.pipelines.grid import cloud_grid, image_grid
from undrift.pipelines.samples import Samples, Trajectory

_MOST_COLUMNS = 10
_STRIP_IMAGES = 4
_CLOUD = 132  # pixels
_LENGTH = 3000  # milliseconds that the steps of the moving picture take together
_SHOWN = (40, 400)  # shortest and longest time of one step
_HELD = 2000  # the finished images
_HEADING = 16  # pixels
_INK, _PAPER = 40, 255


def strip_picture(samples: Samples) -> Image.Image:
    """A row of steps, noise on the left and the image on the right, for up to 4 images.

    The numbers above the columns are the noise over the signal, sigma / alpha; at most 10 steps
    are shown, evenly chosen, the first and the last among them.

    Raises:
        UsageError: for samples that were drawn without a trajectory.
    """
    trajectory = _trajectory(samples)
    count = min(_STRIP_IMAGES, trajectory.noisy.shape[1])
    shown = np.unique(np.linspace(0, len(trajectory.t) - 1, _MOST_COLUMNS).round().astype(int))
    columns = len(shown) + 1
    if on_plane(trajectory.noisy.shape[2:]):
        final = samples.images[: trajectory.noisy.shape[1]]
        clouds = [*trajectory.noisy[shown], final, *trajectory.denoised[shown], final]
        sheet = cloud_grid(clouds, columns, _CLOUD)
    else:
        rows = []
        for i in range(count):
            final = samples.images[i : i + 1]
            rows += [trajectory.noisy[shown, i], final, trajectory.denoised[shown, i], final]
        sheet = image_grid(np.concatenate(rows), columns=columns)
    headings = [_noise(float(trajectory.log_snr[k])) for k in shown] + ["image"]
    picture = Image.new(sheet.mode, (sheet.width, sheet.height + _HEADING), _grey(sheet, _PAPER))
    picture.paste(sheet, (0, _HEADING))
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(11)
    for column, heading in enumerate(headings):
        middle = (column + 0.5) * sheet.width / columns
        pen.text((middle, _HEADING / 2 + 1), heading, _grey(sheet, _INK), font, anchor="mm")
    return picture


def moving_picture(samples: Samples) -> bytes:
    """The bytes of an endless GIF: a frame per step, then the images, held for two seconds.

    Raises:
        UsageError: for samples that were drawn without a trajectory.
    """
    trajectory = _trajectory(samples)
    count = trajectory.noisy.shape[1]
    final = samples.images[:count]
    halves = [*zip(trajectory.noisy, trajectory.denoised, strict=True), (final, final)]
    if on_plane(final.shape[1:]):
        frames = [cloud_grid(half, columns=2) for half in halves]
    else:
        frames = [image_grid(np.concatenate(half), columns=count) for half in halves]
    frames = [frame if frame.mode == "L" else frame.quantize() for frame in frames]
    least, most = _SHOWN
    each = max(least, min(most, _LENGTH // (len(frames) - 1))) // 10 * 10  # GIF counts in 10 ms
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[each] * (len(frames) - 1) + [_HELD],
        loop=0,
    )
    return buffer.getvalue()


def _trajectory(samples: Samples) -> Trajectory:
    if samples.trajectory is None:
        raise UsageError("these samples have no trajectory: draw them with trajectory=4")
    return samples.trajectory


def _noise(log_snr: float) -> str:
    """Sigma / alpha in few figures."""
    if log_snr == -math.inf:
        return "pure noise"
    ratio = math.exp(-log_snr / 2)
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _grey(picture: Image.Image, level: int) -> int | tuple[int, int, int]:
    return level if picture.mode == "L" else (level, level, level)
