"""From the maps that a request gives to one map per image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.advice import named
from undrift.arguments import checked, shown
from undrift.conditioning import MapSpec
from undrift.conditioning.maps import NOT_GIVEN, derive
from undrift.data.channels import WHITE, narrowed, widened
from undrift.data.decode import RejectedError, decode, strict_warnings
from undrift.data.geometry import fitted
from undrift.data.imageset import ImageSet
from undrift.data.loader import as_batch
from undrift.data.maps import PairedMap, map_pixels, value_text
from undrift.data.sources.filetypes import is_image
from undrift.errors import DataError, UsageError
from undrift.files.reading import read_bytes
from undrift.names import did_you_mean
from undrift.pipelines.spec import SampleSpec
from undrift.randomness import Draws
from undrift.wording import dimensions

GivenMaps = Mapping[str, np.ndarray] | None
"""Name -> a map for all images, (H, W) or (H, W, C), or several that take turns, (N, H, W[, C]):
whole numbers from 0 to 255, or -1 in a pixel that is not given. A name left out is not given."""


@checked
def resolve_maps(maps: GivenMaps, n: int, spec: SampleSpec, first: int = 0) -> dict[str, Tensor]:
    """Return entry of a `Condition` -> the map of each image, int16 (n, channels, H, W).

    Args:
        maps: of several maps image i gets map i modulo their count.
        n: number of images.
        spec: the maps that the model is conditioned on.
        first: number of the first image.

    Raises:
        UsageError: for an unknown name, another size, number of channels or value than the model
            knows, or any map on a model that takes none.
    """
    known = {one.name: one for one in spec.maps}
    entries = {}
    rows = np.arange(first, first + n)
    for name, given in (maps or {}).items():
        if not known:
            raise UsageError(
                f"map {shown(name)}: this model takes none, as it was trained without; leave it out"
            )
        if name not in known:
            hint = did_you_mean(name, known, f"this model takes {', '.join(known)}")
            raise UsageError(f"unknown map {shown(name)}: {hint}")
        pixels = _pixels(given, known[name])
        entries[f"map_{name}"] = torch.from_numpy(pixels[rows % len(pixels)])
    return entries


def recorded_maps(maps: GivenMaps) -> dict[str, str]:
    """What settings of samples say of maps: a digest of each."""
    found = {}
    for name, array in (maps or {}).items():
        whole = np.ascontiguousarray(array)
        named = hashlib.blake2b(f"{whole.dtype} {whole.shape}".encode(), digest_size=16)
        named.update(whole.tobytes())
        found[name] = named.hexdigest()
    return found


def paired_spec(one: PairedMap) -> MapSpec:
    """The map that comes with each image of a data set, as a model would take it."""
    height, width, channels = one.store.shape[1:]
    return MapSpec(one.name, (channels, height, width), values=one.values)


def maps_of(spec: SampleSpec, images: ImageSet, rows: NDArray[np.int64]) -> dict[str, np.ndarray]:
    """The maps that a model takes, of images of a data set.

    Args:
        spec: of the model.
        images: with the maps that come with them.
        rows: which of the images.

    Returns:
        Name -> int16 (len(rows), H, W, C), as `resolve_maps` takes them; the region of ``masked``
        are the same every time.
    """
    paired = {one.name: one.take(images.rows[rows]).astype(np.int16) for one in images.maps}
    return maps_for(spec, images.take(rows), paired) if spec.maps else {}


def maps_for(
    spec: SampleSpec, images: NDArray[np.uint8], paired: Mapping[str, NDArray[np.int16]]
) -> dict[str, np.ndarray]:
    """The maps that a model takes, of real images; see `maps_of`.

    Args:
        spec: of the model.
        images: uint8 (N, H, W, C).
        paired: name -> maps (N, H, W, C) that come with these images.
    """
    found = {}
    for one in spec.maps:
        entry = _derived(one, as_batch(np.array(images)))
        if entry is not None:
            found[one.name] = entry
        elif one.name in paired:
            found[one.name] = paired[one.name]
    return found


def read_maps(words: Sequence[str], spec: SampleSpec) -> dict[str, np.ndarray]:
    """Read maps from files.

    Args:
        words: ``NAME=FILE`` or ``NAME=FOLDER`` for maps, ``NAME@FILE`` or ``NAME@FOLDER`` for
            pictures that the maps are derived from; of a folder all pictures in order of their
            names. What is larger than the model's images, and of their shape, is reduced.
        spec: of the model.

    Returns:
        Name -> int16 (N, H, W, C), as `resolve_maps` takes them.

    Raises:
        UsageError: another form, an unknown name, a name that comes twice, or a map that cannot be
            derived.
        DataError: a file that cannot be read, or one of another shape, channels or values.
    """
    known = {one.name: one for one in spec.maps}
    found: dict[str, np.ndarray] = {}
    for name, files in map_files(words).items():
        if name not in known:
            takes = f"this model takes {', '.join(known)}" if known else "this model takes no maps"
            raise UsageError(f"{named('maps')} {shown(name)}: {did_you_mean(name, known, takes)}")
        read = _picture if f"{name}@" in {word[: len(name) + 1] for word in words} else _map
        with strict_warnings():
            found[name] = np.stack([read(file, known[name], spec) for file in files])
    return found


def map_files(words: Sequence[str]) -> dict[str, list[Path]]:
    """The files of each map that `read_maps` reads, in order.

    Raises:
        UsageError: another form, or a name that comes twice.
        DataError: a folder without pictures.
    """
    found: dict[str, list[Path]] = {}
    for word in words:
        place = min((i for i in (word.find("="), word.find("@")) if i > 0), default=-1)
        name, path = word[:place], word[place + 1 :]
        if place < 0 or not path:
            raise UsageError(
                f"{named('maps')} {shown(word)}: wanted NAME=FILE or NAME=FOLDER, or NAME@PICTURES "
                "to derive maps from"
            )
        if name in found:
            raise UsageError(f"{named('maps')}: {name} comes twice; put its maps into one folder")
        found[name] = _files(path)
    return found


def map_notes(files: Mapping[str, Sequence[Path]], n: int, spec: SampleSpec) -> list[str]:
    """What a user may not expect of the maps of ``n`` images: none given, left over, used again.

    Args:
        files: from `map_files`.
        n: number of images.
        spec: of the model.
    """
    if spec.maps and not files:
        one = spec.maps[0]
        path = f"{one.name}=FILE" if one.source == "paired" else f"{one.name}@PICTURE"
        return [f"no map given: drawn without; {named('maps')} {path} gives one"]
    notes = []
    for name, several in files.items():
        if len(several) > n:
            notes.append(f"map {name}: the first {n} of {len(several)} maps are used")
        elif 1 < len(several) < n:
            maps = f"{len(several)} maps for {n} images"
            notes.append(f"map {name}: {maps}: they are used again, in turn")
    return notes


def _files(path: str) -> list[Path]:
    place = Path(path).expanduser()
    if not place.is_dir():
        return [place]
    files = sorted(one for one in place.iterdir() if is_image(one.name))
    if not files:
        raise DataError(f"{named('maps')}: no images in {place}; name a file, or a folder of them")
    return files


def _picture(file: Path, one: MapSpec, spec: SampleSpec) -> NDArray[np.int16]:
    """A map that is derived from a picture."""
    channels, height, width = spec.image_shape
    picture = _fitted(_decoded(file), (height, width), file, nearest=False)
    picture = widened(narrowed(picture, channels, WHITE), channels)
    entry = _derived(one, as_batch(np.array(picture[None])))
    if entry is None:
        raise UsageError(
            f"{named('maps')} {one.name}@{file}: a {one.name} map cannot be derived from a "
            f"picture; give it as {one.name}=FILE"
        )
    return entry[0]


def _map(file: Path, one: MapSpec, spec: SampleSpec) -> NDArray[np.int16]:
    """A map as it lies in a file."""
    channels, *size = one.shape
    if one.source == "paired":
        try:
            pixels = map_pixels(read_bytes(str(file), DataError, "name an image"))
        except RejectedError as rejected:
            raise DataError(f"{named('maps')} {file}: {rejected}") from rejected
        if pixels.shape[2] != channels:
            raise DataError(
                f"{named('maps')} {file}: it has {pixels.shape[2]} channels, wanted {channels}"
            )
        nearest = bool(one.values)
        return _fitted(pixels, (size[0], size[1]), file, nearest=nearest).astype(np.int16)
    pixels = _decoded(file)
    if one.source == "masked":
        pixels = _fitted(pixels, (size[0], size[1]), file, nearest=False)
        if pixels.shape[2] not in (2, 4):
            raise DataError(f"{named('maps')} {file}: nothing is transparent, so nothing is hidden")
        hidden = pixels[..., -1] < 128
        if hidden.all() or not hidden.any():
            what = "everything" if hidden.any() else "nothing"
            raise DataError(
                f"{named('maps')} {file}: {what} is transparent; hide a part of the picture"
            )
        values = widened(pixels, 4)[..., :channels].astype(np.int16)
        return np.where(hidden[..., None], np.int16(NOT_GIVEN), values)
    pixels = widened(narrowed(pixels, channels, WHITE), channels)
    small = (size[0] // one.factor, size[1] // one.factor)
    if one.source == "lowres" and pixels.shape[:2] == small:
        return pixels.repeat(one.factor, axis=0).repeat(one.factor, axis=1).astype(np.int16)
    return _fitted(pixels, (size[0], size[1]), file, nearest=False).astype(np.int16)


def _decoded(file: Path) -> NDArray[np.uint8]:
    try:
        return decode(read_bytes(str(file), DataError, "name an image"), {})
    except RejectedError as rejected:
        raise DataError(f"{named('maps')} {file}: {rejected}") from rejected


def _fitted(
    pixels: NDArray[np.uint8], size: tuple[int, int], file: Path, *, nearest: bool
) -> NDArray[np.uint8]:
    have = pixels.shape[:2]
    if have[0] * size[1] != have[1] * size[0] or have[0] < size[0]:
        raise DataError(
            f"{named('maps')} {file}: it is {dimensions(*have)} pixels, the model's images are "
            f"{dimensions(*size)}: give that size, or a larger one of the same shape"
        )
    return fitted(pixels, size, "crop", nearest=nearest)


def _derived(one: MapSpec, pixels: Tensor) -> NDArray[np.int16] | None:
    """(N, C, H, W) -> the maps of these images without noise, (N, H, W, C)."""
    draws = Draws(0, 0, len(pixels), 0, len(pixels))
    entry = one.derived(pixels, draws, clean=True)
    if entry is None:
        return None
    return entry[:, : one.shape[0]].permute(0, 2, 3, 1).to(torch.int16).contiguous().numpy()


def _pixels(given: np.ndarray, one: MapSpec) -> NDArray[np.int16]:
    """Checked entries (N, channels, H, W) of one map."""
    maps = _stacked(given, one)
    if maps.dtype == np.bool_ and not one.values:
        maps = maps.astype(np.int16) * 255
    whole = maps if maps.dtype.kind in "biu" else np.round(maps)
    if not np.array_equal(whole, maps) or whole.min() < NOT_GIVEN or whole.max() > 255:
        raise UsageError(
            f"map {one.name}: values from {maps.min():g} to {maps.max():g}; wanted whole numbers "
            f"from 0 to 255, or {NOT_GIVEN} where it is not given"
        )
    entry = whole.astype(np.int16).transpose(0, 3, 1, 2)
    if one.values:
        _check_classes(entry, one)
    if one.source == "edges":  # lines of pictures are grey along their sides
        entry = np.where(entry < 0, entry, np.where(entry >= 128, 255, 0)).astype(np.int16)
    if one.source == "lowres":
        small = derive.reduced(torch.from_numpy(entry.clip(0)), one.factor)
        clean = torch.zeros_like(small[:, :1])
        entry = (
            derive.repeated(torch.cat([small, clean], dim=1), one.factor).to(torch.int16).numpy()
        )
    return np.ascontiguousarray(entry)


def _stacked(given: np.ndarray, one: MapSpec) -> np.ndarray:
    """Maps of any accepted shape as (N, H, W, C); a low resolution at the size of the images."""
    channels, *size = one.shape
    sizes = [tuple(size), tuple(side // one.factor for side in size)]
    wanted = " or ".join(f"{high} x {wide}" for high, wide in dict.fromkeys(sizes))
    for high, wide in sizes:
        for shape in ((high, wide), (high, wide, channels)):
            if len(shape) == 2 and channels > 1:
                continue
            for stacked in (False, True):
                if given.shape[stacked:] == shape and given.size:
                    maps = given.reshape(-1, high, wide, channels)
                    factor = size[0] // high
                    return maps.repeat(factor, axis=1).repeat(factor, axis=2)
    raise UsageError(
        f"map {one.name} of shape {given.shape}: wanted (H, W{', ' if channels > 1 else '[, '}"
        f"{channels}{'' if channels > 1 else ']'}) of {wanted}, or several of them"
    )


def _check_classes(entry: NDArray[np.int16], one: MapSpec) -> None:
    flat = np.unique(entry.transpose(0, 2, 3, 1).reshape(-1, one.shape[0]), axis=0)
    for value in flat.tolist():
        if tuple(value) not in one.values and min(value) >= 0:
            known = ", ".join(value_text(each) for each in one.values[:8])
            more = ", ..." if len(one.values) > 8 else ""
            raise UsageError(
                f"map {one.name} has the value {value_text(value)}; the model knows {known}{more}"
            )
