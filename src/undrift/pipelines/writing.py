"""Samples as files: one PNG per image, a grid, and a JSON that says how they were made."""

from __future__ import annotations

import os
from pathlib import Path

from undrift.errors import UsageError
from undrift.files.ownership import check_replaceable
from undrift.pipelines.folder import SampleFolder
from undrift.pipelines.samples import Samples


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
        UsageError: if ``out`` holds samples already, or other files of these names, or cannot be
            written.
    """
    out = Path(out)
    if npz is not None and not _will_exist(Path(npz).parent, out):
        raise UsageError(f"cannot write {npz}: there is no directory {Path(npz).parent}; make it")
    if npz is not None:
        check_replaceable("npz", Path(npz))
    with SampleFolder(out, command, len(samples)) as folder:
        folder.add(samples)
        folder.close(None if npz is None else Path(npz))
    return out


def _will_exist(directory: Path, out: Path) -> bool:
    """Whether a directory is there once ``out`` and those above it have been made."""
    return os.path.isdir(directory) or out.resolve().is_relative_to(directory.resolve())
