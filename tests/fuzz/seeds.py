"""Small valid inputs of every format that undrift reads; cases are made by damaging copies of them.

They are made by the product's own commands, in a process of its own: whoever forks cases later must
not have trained anything itself, and learns from it which modules the commands load.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import json
import os
import pkgutil
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

import undrift

SIDE = 8
CLASSES = ("ant", "bee")
EACH = 16
READING = ("--holdout", "0.25")
TRAINING = ("classes", "--steps", "4", "--batch-size", "8", "--threads", "1", *READING)
FROM_RUN = (
    "run", "--images", "32", "--bare", "--checkpoint-every", "2", "--threads", "1",
)  # fmt: skip
CURVE = (
    "curve", "run", "-n", "10", "--nfe", "2", "--samplers", "euler", "--metrics", "fd",
    "--features", "pixels", "--threads", "1", "--out", "curve",
)  # fmt: skip
NAMED = frozenset(
    ("classes", "jsonl", "run", "gan", "told", "student", "adapter", "samples", "images.npz",
     "images.npy", "mask.png", "classes.zip", "reference.safetensors", "diffusion.yaml", "gan.yaml")
)  # fmt: skip
"""What commands and calls are given by these names."""

BOMB = 2**31
"""Bytes that the bombs unpack to."""


@dataclass(frozen=True)
class Seeds:
    """Where the inputs are; each name is a file or folder in ``root``."""

    root: Path

    def copy(self, name: str, to: Path) -> Path:
        """Copy one of them to the path ``to``."""
        source = self.root / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, to, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, to)
        return to

    def copy_named(self, words: Iterable[str], folder: Path) -> None:
        """Copy into ``folder`` whatever the words of a command name, and what a run needs."""
        heads = {word.partition("/")[0] for word in words}
        heads |= {"jsonl"} if "told" in heads else set()
        heads |= {"run"} if heads & {"student", "adapter"} else set()
        heads |= {"classes"} if heads & {"run", "gan", "diffusion.yaml", "gan.yaml"} else set()
        for name in sorted(heads):
            if name in NAMED and not (folder / name).exists():
                self.copy(name, folder / name)


def make_seeds(root: Path) -> Seeds:
    """Fill the new folder ``root``, and load what the commands needed for it.

    Raises:
        RuntimeError: a valid command failed.
    """
    root.mkdir(parents=True)
    names = root / "modules.json"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.environ |= {"HOME": str(root), "UNDRIFT_CACHE": str(root / "cache")}
            os.chdir(root)
            _data()
            _models()
            _bombs()
            names.write_text(json.dumps(sorted(sys.modules)))
            code = 0
        finally:
            if code:
                sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("the valid inputs could not be made; see above")
    ours = (module.name for module in pkgutil.walk_packages(undrift.__path__, "undrift."))
    for name in (*json.loads(names.read_text()), *ours):
        if name != "undrift.__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    return Seeds(root)


def picture(seed: int, channels: int = 1) -> np.ndarray:
    """Random pixels, uint8 (8, 8) or (8, 8, channels)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, channels), np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def _data() -> None:
    """Data sets of every layout."""
    _pictures(Path("formats"))
    rows = [
        (f"{name}/{i:02d}.png", k, picture(i + 100 * k))
        for k, name in enumerate(CLASSES)
        for i in range(EACH)
    ]
    for path, _, pixels in rows:
        _save(Path("classes", path), pixels)
        _save(Path("flat", path.replace("/", "_")), pixels)
        _save(Path("splits", "test" if path.endswith("3.png") else "train", path), pixels)
        for layout in ("jsonl", "csv", "stylegan"):
            _save(Path(layout, "00000", path.replace("/", "_")), pixels)
    listed = [(f"00000/{path.replace('/', '_')}", k) for path, k, _ in rows]
    lines = [
        {"file_name": path, "label": CLASSES[k], "text": f"one {k}", "angle": i / 10}
        for i, (path, k) in enumerate(listed)
    ]
    Path("jsonl", "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    table = [",".join(map(str, row.values())) for row in lines]
    Path("csv", "metadata.csv").write_text("file_name,label,text,angle\n" + "\n".join(table) + "\n")
    Path("stylegan", "dataset.json").write_text(json.dumps({"labels": [list(i) for i in listed]}))
    for layout in ("classes", "flat", "jsonl", "stylegan"):
        with zipfile.ZipFile(f"{layout}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(Path(layout).rglob("*.*")):
                archive.write(file, str(file.relative_to(layout)))
    images = np.stack([pixels for _, _, pixels in rows])
    labels = np.array([k for _, k, _ in rows], np.int64)
    np.savez("images.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    np.savez_compressed("packed.npz", images=images, labels=labels)
    np.save("images.npy", images)
    parts = {
        "train-images-idx3-ubyte": struct.pack(">4i", 2051, len(images), SIDE, SIDE)
        + images.tobytes(),
        "train-labels-idx1-ubyte": struct.pack(">2i", 2049, len(images))
        + labels.astype(np.uint8).tobytes(),
    }
    for folder in ("idx", "idxgz"):
        Path(folder).mkdir()
        for name, content in parts.items():
            for part in (name, name.replace("train", "t10k")):
                if folder == "idx":
                    Path(folder, part).write_bytes(content)
                else:
                    Path(folder, f"{part}.gz").write_bytes(gzip.compress(content, mtime=0))
    _save(Path("mask.png"), np.where(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) < 32, 255, 0))


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _pictures(folder: Path) -> None:
    """One image of every format and mode."""
    folder.mkdir()
    grey, rgb = Image.fromarray(picture(1)), Image.fromarray(picture(2, 3))
    rgba, la = Image.fromarray(picture(3, 4)), Image.fromarray(picture(4, 2), "LA")
    deep = Image.fromarray(picture(5).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    saves: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "grey.png": (grey, {}),
        "rgb.png": (rgb, {}),
        "rgba.png": (rgba, {}),
        "la.png": (la, {}),
        "palette.png": (rgb.convert("P"), {"transparency": 3}),
        "one.png": (grey.convert("1"), {}),
        "deep.png": (deep, {}),
        "grey.jpg": (grey, {}),
        "rgb.jpg": (rgb, {"quality": 95, "exif": turned}),
        "progressive.jpg": (rgb, {"progressive": True}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "rgb.bmp": (rgb, {}),
        "palette.bmp": (rgb.convert("P"), {}),
        "rgb.tif": (rgb, {}),
        "lzw.tif": (rgb, {"compression": "tiff_lzw"}),
        "deflate.tif": (rgba, {"compression": "tiff_adobe_deflate"}),
        "deep.tif": (deep, {}),
        "float.tif": (grey.convert("F"), {}),
        "pages.tif": (grey, {"save_all": True, "append_images": [grey, grey]}),
        "rgb.webp": (rgb, {"lossless": True}),
        "rgba.webp": (rgba, {}),
        "grey.gif": (grey, {}),
        "moving.gif": (grey, {"save_all": True, "append_images": [grey.rotate(90)]}),
        "grey.pgm": (grey, {}),
        "rgb.ppm": (rgb, {}),
    }
    for name, (image, options) in saves.items():
        image.save(folder / name, **options)


def _models() -> None:
    """Runs, pipelines, samples, a stored reference and a learned sampler."""
    small = _small_config("diffusion.yaml", *TRAINING, "--network", "mlp")
    run("train", "--config", small, "--out", "run")
    run("sample", "run", "-n", "10", "--steps", "2", "--out", "samples", "--npz", "samples.npz")
    whole = ("--n", "10", "--metrics", "fd", "--threads", "1")
    run("evaluate", "samples", "--reference", "images.npz", *whole, "--features", "random",
        "--save-reference", "reference.safetensors", "--out", "figures.json")  # fmt: skip
    run(*CURVE)
    run("tune-sampler", "run", "--steps", "2", "--samples", "32", "--out", "learned")
    record = json.loads(Path("samples", "samples.json").read_text())
    shutil.copytree("samples", "unfinished")
    for entry in record["images"][4:]:
        Path("unfinished", entry["file"]).unlink()
    record |= {"finished": 4, "interrupted": True, "images": record["images"][:4]}
    Path("unfinished", "samples.json").write_text(json.dumps(record))
    small = _small_config("gan.yaml", *TRAINING, "--method", "dcgan")
    run("train", "--config", small, "--out", "gan")
    conditions = ("--text", "--numbers", "angle", "--map", "edges")
    told = ("jsonl", *TRAINING[1:], "--network", "mlp", *conditions)
    run("train", "--config", _small_config("told.yaml", *told), "--out", "told")
    run("distill", *FROM_RUN, "--out", "student")
    run("adapt", *FROM_RUN, "--lora", "2", "--out", "adapter")
    for made in ("run", "gan"):
        for snapshot in sorted(Path(made, "ema").iterdir())[1:-1]:
            shutil.rmtree(snapshot)


def _small_config(name: str, *words: str) -> str:
    """A configuration with the smallest network, of a run that saves at every other step."""
    resolved = run("train", *words, "--bare", "--checkpoint-every", "2", "--print-config")
    config = yaml.safe_load(resolved)
    _narrow(config["model"])
    Path(name).write_text(yaml.safe_dump(config, sort_keys=False))
    return name


def _narrow(node: object) -> None:
    """Make every width and channel count in a configuration the smallest."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("width", "channels", "latent", "blocks") and isinstance(value, int):
                node[key] = min(value, 8 if key != "blocks" else 1)
            else:
                _narrow(value)


def run(*words: str) -> str:
    """Run a valid command line in this process and return what it printed.

    Raises:
        RuntimeError: another exit code than 0.
    """
    from undrift.cli.dispatch import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(list(words))
    if code:
        raise RuntimeError(f"undrift {' '.join(words)}: code {code}")
    return out.getvalue()


def _bombs() -> None:
    """Files of kilobytes that unpack to gigabytes of zeros."""
    folder = Path("bombs")
    folder.mkdir()
    member = gzip.compress(bytes(2**26), 9, mtime=0)
    (folder / "zeros.gz").write_bytes(member * (BOMB // 2**26))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(bytes(2**26)) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = start * (BOMB // 2**26) + b"\x03\x00"
    crc = 0
    for _ in range(BOMB // 2**26):
        crc = zlib.crc32(bytes(2**26), crc)
    for name in ("images.npy", "ant/00.png", "metadata.jsonl", "dataset.json"):
        _packed(folder / f"{name.replace('/', '_')}.zip", name, stream, crc)


def _packed(path: Path, name: str, stream: bytes, crc: int) -> None:
    """A zip of one member, whose compressed bytes are given."""
    known = name.encode()
    sizes = struct.pack("<3L2H", crc, len(stream), BOMB, len(known), 0)
    local = struct.pack("<4s5H", b"PK\x03\x04", 20, 0, 8, 0, 33) + sizes + known
    central = struct.pack("<4s6H", b"PK\x01\x02", 20, 20, 0, 8, 0, 33) + sizes
    central += struct.pack("<3H2L", 0, 0, 0, 0, 0) + known
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local + stream), 0)
    path.write_bytes(local + stream + central + end)
