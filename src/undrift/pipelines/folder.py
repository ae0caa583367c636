"""A folder of samples, filled part by part: what is in it is whole at every moment.

::

    OUT/  000000.png  000001.png  ...  grid.png  samples.json

``samples.json`` lists the images that are finished. If the work was cut short it says so and holds
what is needed to go on; a folder whose record says that all is done is never written again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from undrift.errors import DataError, UsageError, one_line, shown
from undrift.files.durable import sweep, write_file
from undrift.files.reading import read_json
from undrift.pipelines.png import encode_png, read_png, to_picture
from undrift.pipelines.samples import Samples

RECORD = "samples.json"
GRID = "grid.png"


class SampleFolder:
    """Writes one request's images into a folder, or goes on where that was cut short.

    Args:
        out: the folder; made with the first file.
        command: what repeats the images.
        n: how many images are asked for.
        model: fingerprint of what draws them.

    Attributes:
        finished: how many images are there, those of an earlier process among them.

    Raises:
        UsageError: if ``out`` holds the beginning of other samples.
        DataError: if it holds the beginning of these, and that is damaged.
    """

    def __init__(self, out: Path, command: str, n: int, model: str | None = None) -> None:
        self._out = out
        self._command = command
        self._n = n
        self._model = model
        self._parts: list[Samples] = []
        self._before = unfinished(out)
        self._earlier = 0
        if self._before:
            self._check("n", self._before.get("n"), n)
            self._check("model", self._before.get("model"), model)
            self._parts.append(self._read(self._before))
            self._earlier = self.finished

    @property
    def finished(self) -> int:
        """How many images are there."""
        return sum(map(len, self._parts))

    def add(self, part: Samples) -> None:
        """Write the next images.

        Each PNG carries the settings, the command and its own index and label as text.

        Raises:
            UsageError: if they cannot be written, or do not continue what is there.
        """
        if self._before:
            self._check_settings(part.settings)
        settings = json.dumps(part.settings | {"n": self._n, "first": self._first(part)})
        start = self.finished
        for i, image in enumerate(part.images):
            entry = _entry(part, i, start + i)
            text = {
                "Software": "undrift",
                "command": self._command,
                "settings": settings,
                "index": str(start + i),
                **({"label": str(entry["class"])} if "class" in entry else {}),
            }
            self.write(entry["file"], encode_png(to_picture(image), text))
        self._parts.append(part)

    def write(self, name: str, data: bytes) -> None:
        """Write one more file into the folder.

        Raises:
            UsageError: if that cannot be done.
        """
        self._write(self._out / name, data, durable=name == RECORD)

    def interrupt(self) -> None:
        """Leave a record of the images that are finished, by which the work can be gone on with.

        Raises:
            UsageError: if a file cannot be written.
        """
        if self.finished > self._earlier:
            self._close(interrupted=True)

    def close(self, npz: Path | None = None) -> Samples:
        """Write the grid and, last of all, the record.

        Args:
            npz: also write all images, labels and class names into this file.

        Returns:
            All images.

        Raises:
            UsageError: if a file cannot be written.
        """
        return self._close(npz)

    def _close(self, npz: Path | None = None, *, interrupted: bool = False) -> Samples:
        samples = Samples.joined(self._parts)
        entries = [_entry(samples, i, i) for i in range(len(samples))]
        self.write(GRID, encode_png(samples.grid(), {"command": self._command}))
        if npz is not None:
            self._write(npz, _npz(samples), durable=True)
        record = {
            "command": self._command,
            "n": self._n,
            "finished": len(samples),
            "interrupted": interrupted,
            "nfe": samples.nfe,
            **_nfe_of_images(samples),
            "seconds": samples.seconds,
            "settings": samples.settings | {"n": self._n},
            "model": self._model,
            "images": entries,
        }
        self.write(RECORD, json.dumps(record, indent=1).encode() + b"\n")
        return samples

    def _write(self, path: Path, data: bytes, durable: bool) -> None:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            write_file(path, data, durable=durable)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(
                f"cannot write {error.filename or path}: {reason}; give another"
            ) from error

    def _first(self, part: Samples) -> int:
        """Number of the request's first image, of which ``part`` draws a later one."""
        return int(part.settings.get("first", 0)) - self.finished

    def _read(self, record: Mapping[str, Any]) -> Samples:
        """The images that are there already: the pixels of a PNG are those that were drawn."""
        try:
            sweep(self._out)
            entries = record["images"]
            images = np.stack([read_png(self._out / entry["file"]) for entry in entries])
            labels = [int(entry["label"]) for entry in entries if "label" in entry]
            costs = [float(entry["nfe"]) for entry in entries if "nfe" in entry]
            known = {int(entry["label"]): entry["class"] for entry in entries if "label" in entry}
            return Samples(
                images=images,
                labels=np.array(labels, dtype=np.int64) if labels else None,
                class_names=tuple(known.get(k, "") for k in range(max(known, default=-1) + 1)),
                nfe=float(record["nfe"]),
                seconds=float(record["seconds"]),
                settings=dict(record["settings"]),
                nfe_by_image=np.array(costs) if costs else None,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self._out}: {RECORD} or one of its images can't be read ({one_line(error)}); "
                "delete that folder, or give another"
            ) from error

    def _check_settings(self, now: Mapping[str, Any]) -> None:
        """Refuse settings that draw other images; the batch size only changes how fast."""
        before = self._parts[0].settings
        plain = json.loads(json.dumps(dict(now)))
        for name in sorted((before.keys() | plain.keys()) - {"n", "first", "batch_size"}):
            self._check(name, before.get(name), plain.get(name))

    def _check(self, name: str, before: object, now: object) -> None:
        if before == now:
            return
        what = f"{name} {shown(before)}, not {shown(now)}"
        if name == "model":
            what = "of another model"
        raise UsageError(
            f"{self._out} holds the beginning of other samples ({what}): finish them by "
            f"`{self._before.get('command')}`, or give another directory"
        )


def unfinished(out: Path) -> dict[str, Any]:
    """The record of samples in ``out`` that were cut short; empty where there are none such."""
    try:
        record = read_json(out / RECORD, DataError, "")
    except DataError:  # not ours to go on with: what refuses to write over it says so
        return {}
    return record if isinstance(record, dict) and record.get("interrupted") is True else {}


def _entry(samples: Samples, i: int, number: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": f"{number:06d}.png"}
    if samples.nfe_by_image is not None:
        entry["nfe"] = float(samples.nfe_by_image[i])
    if samples.labels is None:
        return entry
    label = int(samples.labels[i])
    return entry | {"label": label, "class": samples.class_names[label]}


def _nfe_of_images(samples: Samples) -> dict[str, Any]:
    """What the images needed, where each has its own number."""
    costs = samples.nfe_by_image
    if costs is None:
        return {}
    return {"nfe_of_images": {"mean": float(costs.mean()), "max": float(costs.max())}}


def _npz(samples: Samples) -> bytes:
    buffer = io.BytesIO()
    if samples.labels is None:
        np.savez(buffer, images=samples.images)
    else:
        names = np.array(samples.class_names)
        np.savez(buffer, images=samples.images, labels=samples.labels, class_names=names)
    return buffer.getvalue()
