"""Masks by name or from a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undrift.errors import DataError, UsageError, one_line, shown
from undrift.files.reading import expanded
from undrift.pipelines.png import opened_picture

NAMES = ("top", "bottom", "left", "right", "center")
"""Halves of the picture; the center is half as wide and half as high."""

_WHITE = 127  # levels above are white


def read_mask(name: str, height: int, width: int) -> NDArray[np.bool_]:
    """The mask called ``name``, or that of a picture in which white is to be inpainted.

    Args:
        name: one of `NAMES`, or a picture of this size, of whose colours the brightness counts.
        height: of the images.
        width: of the images.

    Returns:
        bool (height, width), True where to inpaint.

    Raises:
        UsageError: for a picture of another size, or without any white.
        DataError: for a file that is not there or no picture.
    """
    mask = _half(name, height, width) if name in NAMES else _picture(name, height, width)
    if not mask.any():
        raise UsageError(f"mask {name}: it is empty; white is what is inpainted")
    return mask


def _half(name: str, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), dtype=np.bool_)
    rows = {"top": slice(height // 2), "bottom": slice(height // 2, None)}
    columns = {"left": slice(width // 2), "right": slice(width // 2, None)}
    if name == "center":
        rows[name] = slice(height // 4, height - height // 4)
        columns[name] = slice(width // 4, width - width // 4)
    mask[rows.get(name, slice(None)), columns.get(name, slice(None))] = True
    return mask


def _picture(name: str, height: int, width: int) -> NDArray[np.bool_]:
    try:
        with opened_picture(expanded(name, DataError)) as picture:
            if picture.size != (width, height):
                raise UsageError(
                    f"mask {name} of {picture.width}x{picture.height} pixels, images of "
                    f"{width}x{height}: give one of their size"
                )
            return np.asarray(picture.convert("L")) > _WHITE
    except FileNotFoundError:
        raise DataError(
            f"no mask at {shown(name)}: give a picture, or one of {', '.join(NAMES)}"
        ) from None
    except OSError as error:
        raise DataError(
            f"mask {name} cannot be read as a picture: {error.strerror or one_line(error)}"
        ) from error
