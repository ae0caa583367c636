"""Samples as files: one PNG per image, a grid, and a JSON that says how they were made."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from undrift.errors import UsageError
from undrift.files.durable import write_file
from undrift.pipelines.samples import Samples

RECORD = "samples.json"

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def write_samples(
    samples: Samples, out: str | Path, command: str, npz: str | Path | None = None
) -> Path:
    """Write ``000000.png`` and so on, ``grid.png`` and, last of all, ``samples.json`` into ``out``.

    Each PNG carries the settings, the command and its own index and label as text.

    Args:
        samples: what a pipeline returned.
        out: a directory, made if it is not there.
        command: what repeats them.
        npz: also write ``images`` uint8 (N, H, W, C) and, of a model with classes, ``labels``
            int64 (N,) and ``class_names`` into this one file.

    Returns:
        The directory.

    Raises:
        UsageError: if ``out`` holds samples already or cannot be written.
    """
    out = Path(out)
    if (out / RECORD).exists():
        raise UsageError(f"{out} holds {RECORD} already: give another directory")
    if npz is not None and not _will_exist(Path(npz).parent, out):
        raise UsageError(f"cannot write {npz}: there is no directory {Path(npz).parent}; make it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        entries = []
        for i, image in enumerate(samples.images):
            entry = {"file": f"{i:06d}.png", **_label(samples, i)}
            text = {
                "Software": "undrift",
                "command": command,
                "settings": json.dumps(samples.settings),
                "index": str(i),
                **({"label": str(entry["class"])} if "class" in entry else {}),
            }
            write_file(out / entry["file"], _png(_picture(image), text), durable=False)
            entries.append(entry)
        write_file(out / "grid.png", _png(samples.grid(), {"command": command}), durable=False)
        if npz is not None:
            write_file(Path(npz), _npz(samples))
        record = {
            "command": command,
            "nfe": samples.nfe,
            "seconds": samples.seconds,
            "settings": samples.settings,
            "images": entries,
        }
        write_file(out / RECORD, json.dumps(record, indent=1).encode() + b"\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"cannot write {error.filename or out}: {reason}; give another") from error
    return out


def _will_exist(directory: Path, out: Path) -> bool:
    """Whether a directory is there once ``out`` and those above it have been made."""
    return directory.is_dir() or out.resolve().is_relative_to(directory.resolve())


def _label(samples: Samples, i: int) -> dict[str, Any]:
    if samples.labels is None:
        return {}
    label = int(samples.labels[i])
    return {"label": label, "class": samples.class_names[label]}


def _picture(image: np.ndarray) -> Image.Image:
    channels = image.shape[2]
    if channels not in _MODES:
        raise UsageError(f"images of {channels} channels have no PNG: write them with npz=")
    return Image.fromarray(image[:, :, 0] if channels == 1 else image)


def _png(picture: Image.Image, text: Mapping[str, str]) -> bytes:
    notes = PngImagePlugin.PngInfo()
    for name, value in text.items():
        notes.add_text(name, value) if value.isascii() else notes.add_itxt(name, value)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=notes)
    return buffer.getvalue()


def _npz(samples: Samples) -> bytes:
    buffer = io.BytesIO()
    if samples.labels is None:
        np.savez(buffer, images=samples.images)
    else:
        names = np.array(samples.class_names)
        np.savez(buffer, images=samples.images, labels=samples.labels, class_names=names)
    return buffer.getvalue()
