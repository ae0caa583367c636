"""Ways to damage arrays, weights, images and archives so that the damage is deep inside."""

from __future__ import annotations

import gzip
import io
import json
import re
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from random import Random

from tests.fuzz.bytewise import SIZES, damaged
from tests.fuzz.trees import (
    csv_damaged,
    json_damaged,
    jsonl_damaged,
    to_json,
    tree_damaged,
    yaml_damaged,
)

HEADERS = (
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 8, 8), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 8, 8), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 8, 8), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551616, 0), }",
    "{'descr': '|u1', 'fortran_order': True, 'shape': (32, 8, 8), }",
    "{'descr': '|u1', 'fortran_order': 7, 'shape': (32, 8, 8), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 8), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': 5, }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': " + "(" * 300 + ")" * 300 + ", }",
    "{'descr': '|u1', 'fortran_order': False}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (32,), }",
    "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (32,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 8, 8), }",
    "{'descr': '>c16', 'fortran_order': False, 'shape': (2, 8, 8), }",
    "{'descr': '<M8[D]', 'fortran_order': False, 'shape': (4, 8, 8), }",
    "{'descr': '|V2', 'fortran_order': False, 'shape': (4, 8, 8), }",
    "{'descr': [('a', '|u1'), ('a', '|u1')], 'fortran_order': False, 'shape': (32,), }",
    "{'descr': [('a', '|u1', (10000, 100000))], 'fortran_order': False, 'shape': (32,), }",
    "{'descr': 'nonsense', 'fortran_order': False, 'shape': (32,), }",
    "{'descr': 3, 'fortran_order': False, 'shape': (32,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': ('a',), }",
    "__import__('os').system('touch pwned')",
    "[" * 5000,
    "",
    "\x00",
)
"""Headers of an array that lie, or are none."""


def npy_damaged(data: bytes, draw: Random) -> bytes:
    """An array file with another header, or damaged as bytes."""
    if draw.random() < 0.4:
        return damaged(data, draw)
    text = draw.choice(HEADERS).encode("latin1") + b"\n"
    version = draw.choice((1, 1, 1, 2, 3, 9))
    length = draw.choice((len(text),) * 6 + (0, 2**16 - 1, 2**32 - 1))
    size = struct.pack("<H", length % 2**16) if version == 1 else struct.pack("<I", length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data[128:]


def gz_damaged(data: bytes, draw: Random, inner: Callable[[bytes, Random], bytes]) -> bytes:
    """A compressed file with damaged content or a damaged shell."""
    if draw.random() < 0.4:
        return damaged(data, draw)
    return gzip.compress(inner(gzip.decompress(data), draw), mtime=0)


def safetensors_damaged(data: bytes, draw: Random) -> bytes:
    """Weights with another header, other numbers, or damaged as bytes."""
    kind = draw.random()
    (length,) = struct.unpack("<Q", data[:8])
    if kind < 0.3:
        return damaged(data, draw)
    if kind < 0.4:
        return struct.pack("<Q", draw.choice(SIZES)) + data[8:]
    if kind < 0.6:
        values = bytearray(data)
        code = draw.choice(
            (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f", bytes(4))
        )
        at = 8 + length + 4 * draw.randrange(max(1, (len(data) - 8 - length) // 4))
        values[at : at + 4] = code
        return bytes(values)
    header = tree_damaged(json.loads(data[8 : 8 + length]), draw)
    text = to_json(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def png_damaged(data: bytes, draw: Random) -> bytes:
    """A PNG whose checksums agree with what is wrong in it, or damaged as bytes."""
    if draw.random() < 0.4:
        return damaged(data, draw)
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    at = draw.randrange(len(chunks))
    kind = draw.randrange(6)
    if kind == 0:
        sides = (0, 1, 7, 9, 20_000, 2**31 - 1, 2**32 - 1)
        head = struct.pack(">2I", draw.choice(sides), draw.choice(sides)) + chunks[0][1][8:]
        chunks[0] = (b"IHDR", head)
    elif kind == 1:
        head = bytearray(chunks[0][1])
        head[draw.randrange(8, 13)] = draw.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
        chunks[0] = (b"IHDR", bytes(head))
    elif kind == 2:
        chunks[at] = (chunks[at][0], damaged(chunks[at][1], draw))
    elif kind == 3:
        names = (
            b"tEXt",
            b"zTXt",
            b"iTXt",
            b"iCCP",
            b"eXIf",
            b"acTL",
            b"tRNS",
            b"PLTE",
            b"gAMA",
            b"xxxx",
        )
        chunks.insert(
            1, (draw.choice(names), draw.choice((b"", b"a\x00\x00", draw.randbytes(900))))
        )
    elif kind == 4:
        text = b"a\x00\x00" + zlib.compress(bytes(2**26), 9)
        chunks.insert(1, (draw.choice((b"zTXt", b"iCCP")), text))
    else:
        chunks.insert(draw.randrange(len(chunks)), chunks.pop(at))
    parts = [
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


NAMES = (
    "../guard/evil.png", "/tmp/evil.png", "ant\\00.png", "ant//00.png", "./ant/00.png",
    "ant/../b.png",
    "C:\\x.png", "ant/\x00.png", "\x1b[31m.png", "a\nb.png", "n" * 300 + ".png", "ant", "ant/", "",
    "ANT/00.PNG", "cafe\u0301/a.png", "d/" * 2000 + "a.png", "@eaDir/a.png", "$x_$/a.png",
    "metadata.csv",
    "__MACOSX/._a.png", ".hidden.png", "a" * 60_000 + ".png", "\u202egnp.exe", "con.png", "a .png ",
)  # fmt: skip
"""Names of members and files that somebody may trip over."""


def zip_damaged(data: bytes, draw: Random) -> bytes:
    """An archive with strange members or one of damaged content, or damaged as bytes."""
    if draw.random() < 0.3:
        return damaged(data, draw)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    made = io.BytesIO()
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    chosen = draw.randrange(len(members))
    kind = draw.randrange(7)
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of names that are there already
        for i, (name, content) in enumerate(members):
            facts = zipfile.ZipInfo(name)
            facts.compress_type = draw.choice(kinds)
            if i == chosen:
                if kind == 0:
                    facts.filename = draw.choice(NAMES)
                elif kind == 1:
                    content = content_damaged(name, content, draw)
                elif kind == 2:
                    facts.external_attr = (stat.S_IFLNK | 0o777) << 16
                    content = b"../guard/secret.txt"
                elif kind == 3:
                    facts.external_attr = (
                        draw.choice((stat.S_IFIFO, stat.S_IFDIR, stat.S_IFCHR)) << 16
                    )
                elif kind == 4:
                    more = draw.choice(members)[0] + draw.choice(("", "/", "/x.png"))
                    archive.writestr(more, content)
            archive.writestr(facts, content)
        if kind == 5:
            archive.comment = draw.randbytes(60_000)
    whole = made.getvalue()
    return _members_damaged(whole, draw) if kind == 6 or draw.random() < 0.2 else whole


def _members_damaged(data: bytes, draw: Random) -> bytes:
    """Another flag, method, checksum or size in one member's two headers, or in one of them."""
    at = [one.start() for one in re.finditer(b"PK\x01\x02", data)]
    if not at:
        return data
    place = draw.choice(at)
    field, width = draw.choice(
        ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4))
    )
    values = {8: (1, 0x800, 0x40, 0xFFFF), 10: (0, 8, 12, 14, 99, 93)}
    value = draw.choice(values.get(field, SIZES)) % 2 ** (8 * width)
    packed = struct.pack("<H" if width == 2 else "<I", value)
    changed = bytearray(data)
    changed[place + field : place + field + width] = packed
    if draw.random() < 0.6 and field < 28:
        (local,) = struct.unpack("<I", data[place + 42 : place + 46])
        changed[local + field - 2 : local + field - 2 + width] = packed
    return bytes(changed)


def content_damaged(name: str, data: bytes, draw: Random) -> bytes:
    """Damage a file by what its name says that it is."""
    for suffix, damage in BY_SUFFIX.items():
        if name.endswith(suffix):
            try:
                return damage(data, draw)
            except (
                ValueError, IndexError, KeyError, struct.error, zipfile.BadZipFile, OSError,
                RecursionError,
            ):  # fmt: skip
                return damaged(data, draw)  # of a kind that this one cannot take apart
    return damaged(data, draw)


BY_SUFFIX: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": json_damaged,
    ".jsonl": jsonl_damaged,
    ".yaml": yaml_damaged,
    ".csv": csv_damaged,
    ".npy": npy_damaged,
    ".npz": zip_damaged,
    ".zip": zip_damaged,
    ".png": png_damaged,
    ".safetensors": safetensors_damaged,
    ".gz": lambda data, draw: gz_damaged(data, draw, damaged),
}
