"""Ways to put pipes, devices, links and strange names where files and folders are expected."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from random import Random

from tests.fuzz.formats import NAMES


def replaced(path: Path, guard: Path, draw: Random) -> str:
    """Put something of another kind where a file or folder is; returns what, in words."""
    kinds = [
        "gone",
        "folder",
        "pipe",
        "empty",
        "dangling",
        "loop",
        "outside",
        "up",
        "filled",
        "zero",
    ]
    if os.geteuid() == 0:
        kinds += ["device"]
    kind = draw.choice(kinds)
    aside = path.with_name("aside")
    path.rename(aside)
    if kind == "folder":
        path.mkdir()
    elif kind == "filled":
        path.mkdir()
        (path / aside.name).write_bytes(b"x")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "outside":
        path.symlink_to(guard / draw.choice(("secret.txt", "photos", "pipe", "000000.png")))
    elif kind == "up":
        path.symlink_to("..")
    elif kind == "zero":
        path.symlink_to(draw.choice(("/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem")))
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, draw.choice((3, 5, 7))))
    if kind == "outside" or draw.random() < 0.9:
        _remove(aside)
    return kind


def beside(folder: Path, data: bytes, draw: Random) -> str:
    """Add a file, folder or node with a strange name to a folder; returns which, in words."""
    names = [name for name in NAMES if name and "\x00" not in name and len(name) < 256]
    name = os.fsencode(draw.choice(names).replace("..", "__").lstrip("/"))
    name = draw.choice((name, name, b"\xff\xfe.png", b"caf\xe9/one.png", b"lost+found/x.png"))
    path = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return "nothing"
    kind = draw.choice(("file", "file", "file", "folder", "pipe", "link", "deep"))
    if kind == "file":
        path.write_bytes(data)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(draw.choice(("/", ".", "..", "/dev/zero", "/proc")))
    else:
        below = folder
        for _ in range(300):
            below = below / "deepdeep"
        below.mkdir(parents=True)
    return f"{kind} {name[:30]!r}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
