"""Where a command writes without ``--out``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from undrift.errors import ModelFileError, UsageError
from undrift.files.reading import expanded
from undrift.runs.directory import RunDirectory, is_pipeline, open_run

_NOT_OF_IMAGES = frozenset(
    {"target", "n", "seed", "batch_size", "device", "threads", "out", "npz", "trajectory", "quiet"}
)
"""Fields of a request that a folder's name has elsewhere, or on which its images don't depend."""


def home_of(model: str) -> Path:
    """The run that a model belongs to, or the working folder for a pipeline that is in none.

    Beside a run's pipeline and never in it, since the next save replaces that.

    Raises:
        ModelFileError: if it is neither a run nor a pipeline.
    """
    target = expanded(model, ModelFileError)
    if os.path.isfile(target):
        raise ModelFileError(f"{target}: a file, not a run; name the folder of a run")
    if is_pipeline(target):
        parent = target.parent if target.name not in ("", "..") else target.resolve().parent
        return open_run(parent).path if RunDirectory(parent).is_run else Path()
    return open_run(target).path


def folder_of(request: Any, kind: str) -> Path:  # noqa: ANN401 - a dataclass of flags
    """The folder of a request for images: ``RUN/<kind>/SEED-N``, or ``SEED-N-KEY``.

    KEY stands for every setting that is not left to its default: other settings have another
    folder, the same request goes on in the same one.

    Args:
        request: a command's flags, among them ``target``, ``seed`` and ``n``.
        kind: ``samples`` or ``inpainted``.

    Raises:
        ModelFileError: if the target is neither a run nor a pipeline, or a symbolic link has that
            name.
    """
    settings = {
        field.name: value
        for field in dataclasses.fields(request)
        if field.name not in _NOT_OF_IMAGES
        and (value := getattr(request, field.name)) != field.default
    }
    name = f"{request.seed}-{request.n}"
    if settings:
        text = json.dumps(settings, sort_keys=True)
        name += f"-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    folder = home_of(request.target) / kind / name
    if folder.is_symlink():
        raise ModelFileError(f"{folder}: a symbolic link; delete it, or name another folder")
    return folder


def check_unfinished(out: Path) -> None:
    """Refuse a folder whose samples are finished, before anything is loaded.

    Raises:
        UsageError: if it is one.
    """
    if os.path.lexists(out / "samples.json"):
        from undrift.pipelines.folder import unfinished

        if not unfinished(out):
            raise UsageError(f"--out {out}: it holds samples.json already; name another folder")
