"""A folder of samples, filled part by part: what is in it is whole at every moment.

::

    OUT/  000000.png  000001.png  ...  grid.png  samples.json

``samples.json`` comes first and says that the work is not finished; only behind it may the other
names be replaced, so that no file of somebody else ever is. It lists the images that are finished
and holds what is needed to go on; a folder whose record says that all is done is never written
again. A lock keeps a second process out meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from undrift.advice import named
from undrift.errors import DataError, UsageError, one_line, shown
from undrift.files.arrays import npz_bytes
from undrift.files.durable import sweep, write_file, write_output
from undrift.files.lock import FileLock
from undrift.files.ownership import SOFTWARE, reason
from undrift.files.reading import read_json
from undrift.json_types import JsonObject, JsonValue
from undrift.limits import MOST_CLASSES
from undrift.pipelines.png import encode_png, read_png, to_picture
from undrift.pipelines.samples import Samples
from undrift.schema import optional, to_plain

RECORD = "samples.json"
GRID = "grid.png"
_IMAGE = re.compile(r"\d{6,}\.png")


class SampleFolder:
    """Writes one request's images into a folder, or goes on where that was cut short.

    A context manager, in which the folder is locked.

    Args:
        out: the folder; made if it is not there.
        command: what repeats the images.
        n: images of the request.
        model: fingerprint of the pipeline.
        others: names of files beside images, grid and record that will be written.
        maps: name -> files of the maps that images are drawn from, image i from i modulo their
            count.

    Attributes:
        finished: how many images are there, those of an earlier process among them.
    """

    def __init__(
        self,
        out: Path,
        command: str,
        n: int,
        model: str | None = None,
        others: Collection[str] = (),
        maps: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        self._out = out
        self._command = command
        self._n = n
        self._model = model
        self._maps = maps or {}
        self._names = {RECORD, GRID, *others}
        self._lock = FileLock(out)
        self._made = False
        self._parts: list[Samples] = []
        self._before: JsonObject = {}
        self._earlier = 0

    def __enter__(self) -> Self:
        """Lock the folder and read what is finished.

        Raises:
            UsageError: if another process writes into ``out``, or it holds the beginning of other
                samples, finished ones, or any file that would be replaced.
            DataError: if it holds the beginning of these, and that is damaged.
        """
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self._out.mkdir()
                self._made = True
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot write {self._out}: {reason(error)}; give another") from error
        self._lock.acquire()
        try:
            self._open()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _open(self) -> None:
        self._before = unfinished(self._out)
        if not self._before:
            taken = sorted(filter(self._writes, os.listdir(self._out)))
            if taken:
                raise UsageError(
                    f"{self._out} holds {RECORD if RECORD in taken else taken[0]} already: "
                    "give another directory"
                )
            return
        self._check("n", self._before.get("n"), self._n)
        self._check("model", self._before.get("model"), self._model)
        sweep(self._out, self._writes)
        if self._before.get("images") != []:
            self._parts.append(self._read(self._before))
        self._earlier = self.finished

    def _leave(self) -> None:
        self._lock.release()
        if self._made:
            with contextlib.suppress(OSError):  # only an empty one goes
                self._out.rmdir()

    def _writes(self, name: str) -> bool:
        return name in self._names or _IMAGE.fullmatch(name) is not None

    @property
    def finished(self) -> int:
        """How many images are there."""
        return sum(map(len, self._parts))

    def check(self, settings: Mapping[str, JsonValue]) -> None:
        """Make sure that samples drawn with ``settings`` continue what is there.

        Raises:
            UsageError: if they are other samples; the batch size only changes how fast they come.
        """
        if not self._before:
            return
        before = self._before.get("settings")
        if not isinstance(before, dict):
            raise DataError(f"{self._out / RECORD}: it has no settings; delete that folder")
        plain = json.loads(json.dumps(dict(settings)))
        for name in sorted((before.keys() | plain.keys()) - {"n", "first", "batch_size"}):
            self._check(name, before.get(name), plain.get(name))

    def add(self, part: Samples) -> None:
        """Write the next images.

        Each PNG carries the settings, the command and its own index, label, prompt and map files as
        text.

        Raises:
            UsageError: if they cannot be written, or do not continue what is there.
        """
        self.check(part.settings)
        if not self._before and not self._parts:
            self._write_record(part.settings, interrupted=True)
        settings = json.dumps(part.settings | {"n": self._n, "first": self._first(part)})
        start = self.finished
        for i, image in enumerate(part.images):
            entry = self._entry(part, i, start + i)
            text = {
                "command": self._command,
                "settings": settings,
                "index": str(start + i),
                **({} if entry.name is None else {"label": entry.name}),
                **({} if entry.prompt is None else {"prompt": entry.prompt}),
                **({} if entry.maps is None else {"maps": json.dumps(entry.maps)}),
            }
            self.write(entry.file, encode_png(to_picture(image), text))
        self._parts.append(part)

    def write(self, name: str, data: bytes) -> None:
        """Write one more file into the folder, an image's or one of ``others``, behind the first.

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
        self.write(GRID, encode_png(samples.grid(), {"command": self._command}))
        if npz is not None:
            write_output(npz, _npz(samples), flag=named("npz"))
        self._write_record(samples.settings, samples, interrupted=interrupted)
        return samples

    def _write_record(
        self, settings: JsonObject, samples: Samples | None = None, *, interrupted: bool
    ) -> None:
        """Write the record of the images that are finished, which are none at first."""
        finished = 0 if samples is None else len(samples)
        record = FolderRecord(
            command=self._command,
            n=self._n,
            finished=finished,
            interrupted=interrupted,
            nfe=None if samples is None else samples.nfe,
            nfe_of_images=None if samples is None else _nfe_of_images(samples),
            seconds=0.0 if samples is None else samples.seconds,
            settings={**settings, "n": self._n},
            model=self._model,
            images=()
            if samples is None
            else tuple(self._entry(samples, i, i) for i in range(finished)),
        )
        self.write(RECORD, json.dumps(to_plain(record), indent=1).encode() + b"\n")

    def _write(self, path: Path, data: bytes, durable: bool) -> None:
        try:
            write_file(path, data, durable=durable)
        except OSError as error:
            raise UsageError(
                f"cannot write {error.filename or path}: {reason(error)}; give another"
            ) from error

    def _entry(self, samples: Samples, i: int, number: int) -> Recorded:
        """The record of image ``number``, row ``i`` of ``samples``."""
        label = None if samples.labels is None else int(samples.labels[i])
        several = self._maps.items()
        return Recorded(
            file=f"{number:06d}.png",
            nfe=None if samples.nfe_by_image is None else float(samples.nfe_by_image[i]),
            prompt=None if samples.prompts is None else samples.prompts[i],
            label=label,
            name=None if label is None else samples.class_names[label],
            maps={name: str(files[number % len(files)]) for name, files in several} or None,
        )

    def _first(self, part: Samples) -> int:
        """Number of the request's first image, of which ``part`` draws a later one."""
        first = part.settings.get("first", 0)
        return (first if isinstance(first, int) else 0) - self.finished

    def _read(self, record: JsonObject) -> Samples:
        """The images that are there already: the pixels of a PNG are those that were drawn."""
        try:
            entries = recorded(record)
            images = np.stack([read_png(self._out / entry.file) for entry in entries])
            labels = [entry.label for entry in entries if entry.label is not None]
            costs = [entry.nfe for entry in entries if entry.nfe is not None]
            return Samples(
                images=images,
                labels=np.array(labels, dtype=np.int64) if labels else None,
                class_names=names_in(entries),
                nfe=_number(record["nfe"]),
                seconds=_number(record["seconds"]),
                settings=dict(_object(record["settings"])),
                nfe_by_image=np.array(costs) if costs else None,
                prompts=tuple(entry.prompt for entry in entries if entry.prompt is not None)
                or None,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self._out}: {RECORD} or one of its images can't be read ({one_line(error)}); "
                "delete that folder, or give another"
            ) from error

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


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One finished image of a record.

    Attributes:
        file: its name in the folder.
        nfe: network evaluations, where each image has its own number.
        prompt: that it was drawn from, or None.
        label: its class's index, or None.
        name: its class's name.
        maps: name -> file of the map that it was drawn from; None without maps.
    """

    file: str
    nfe: float | None = optional()
    prompt: str | None = optional()
    label: int | None = optional()
    name: str | None = optional("class")
    maps: Mapping[str, str] | None = optional()


@dataclass(frozen=True)
class NfeOfImages:
    """Network evaluations of images that each need their own number.

    Attributes:
        mean: over the images.
        max: of the one that needed most.
    """

    mean: float
    max: float


@dataclass(frozen=True, kw_only=True)
class FolderRecord:
    """``samples.json``.

    Attributes:
        command: what repeats the images.
        n: images of the request.
        finished: images that are there.
        interrupted: whether the request is not finished.
        nfe: network evaluations per image; None of no images.
        nfe_of_images: where each image has its own number.
        seconds: of sampling.
        settings: everything that, with the weights, determines the images.
        model: fingerprint of the pipeline; None where it is not known.
        images: that are there.
    """

    command: str
    n: int
    finished: int
    interrupted: bool
    nfe: float | None = optional()
    nfe_of_images: NfeOfImages | None = optional()
    seconds: float
    settings: JsonObject
    model: str | None
    images: tuple[Recorded, ...]


def recorded(record: JsonObject) -> list[Recorded]:
    """The images that ``samples.json`` lists.

    Raises:
        ValueError, KeyError, TypeError: it is not as `SampleFolder` writes it.
    """
    images = record["images"]
    if not isinstance(images, Sequence):
        raise TypeError(f"images: {shown(images)}")
    found = []
    for entry in map(_object, images):
        label, name, prompt = entry.get("label"), entry.get("class"), entry.get("prompt")
        if label is not None and not (
            type(label) is int and 0 <= label < MOST_CLASSES and isinstance(name, str)
        ):
            raise ValueError(f"{entry['file']} has the label {shown(label)}, {shown(name)}")
        if not isinstance(prompt, str | None):
            raise ValueError(f"{entry['file']} has the prompt {shown(prompt)}")
        file = entry["file"]
        if not isinstance(file, str) or not _IMAGE.fullmatch(file):  # never out of the folder
            raise ValueError(f"no image is called {shown(file)}")
        nfe = _number(entry["nfe"]) if "nfe" in entry else None
        found.append(
            Recorded(
                file=file,
                nfe=nfe,
                prompt=prompt,
                label=label if isinstance(label, int) else None,
                name=name if isinstance(name, str) else None,
            )
        )
    if len({one.file for one in found}) < len(found):
        raise ValueError("an image is listed twice")
    return found


def names_in(entries: Sequence[Recorded]) -> tuple[str, ...]:
    """Names of the classes from 0 to the largest label, "" where no image has that label."""
    known = {one.label: one.name or "" for one in entries if one.label is not None}
    return tuple(known.get(k, "") for k in range(max(known, default=-1) + 1))


def unfinished(out: Path) -> JsonObject:
    """The record of samples in ``out`` that were cut short; empty where there are none such."""
    try:
        record = read_json(out / RECORD, DataError, "")
    except DataError:  # not ours to go on with: what refuses to write over it says so
        return {}
    return record if isinstance(record, dict) and record.get("interrupted") is True else {}


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{shown(value)}, wanted an object")
    return value


def _number(value: JsonValue) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{shown(value)}, wanted a number")
    return float(value)


def _nfe_of_images(samples: Samples) -> NfeOfImages | None:
    """What the images needed, where each has its own number."""
    costs = samples.nfe_by_image
    return None if costs is None else NfeOfImages(float(costs.mean()), float(costs.max()))


def _npz(samples: Samples) -> bytes:
    arrays = {"images": samples.images}
    if samples.labels is not None:
        arrays |= {"labels": samples.labels, "class_names": np.array(samples.class_names)}
    buffer = io.BytesIO(npz_bytes(arrays))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = SOFTWARE.encode()
    return buffer.getvalue()
