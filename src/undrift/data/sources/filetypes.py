"""What a file or folder is, by its name: an image, a photo that cannot be read, a system's own."""

from __future__ import annotations

import posixpath

IMAGES = frozenset(
    (
        *(".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
        *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""Extensions of images that can be read, in lower case; which format it is, the content says."""

_RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mos"),
    *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw"),
    ".x3f",
)
_TO_PNG = "convert them to PNG or JPEG"
UNREAD = {
    **dict.fromkeys((".heic", ".heif", ".hif"), ("HEIC", f"{_TO_PNG}, with heif-convert or sips")),
    ".jxl": ("JPEG XL", f"{_TO_PNG}, with djxl"),
    **{
        # Many of them open as TIFF, but what comes out is the thumbnail.
        suffix: (
            f"camera raw {suffix}",
            "develop them to TIFF, PNG or JPEG, with darktable or dcraw",
        )
        for suffix in _RAW
    },
    **dict.fromkeys((".dcm", ".dicom"), ("DICOM", "export them to PNG, with dcmj2pnm")),
    ".exr": ("OpenEXR", "tone-map them to PNG"),
    **{
        suffix: (name, _TO_PNG)
        for suffix, name in (
            *((".tga", "TGA"), (".dds", "DDS"), (".qoi", "QOI"), (".bpg", "BPG")),
            *((".jxr", "JPEG XR"), (".wdp", "JPEG XR")),
        )
    },
}
"""Extension of a format of photos that cannot be read -> its name, and what to do."""

SYSTEM = {
    name.lower(): name
    for name in (
        *("@eaDir", "@Recycle", "@Recently-Snapshot", "@__thumb", "#recycle", "#snapshot"),
        *("$RECYCLE.BIN", "System Volume Information", "lost+found", "__MACOSX"),
        *("Network Trash Folder", "Temporary Items", "Thumbs.db", "ehthumbs.db", "desktop.ini"),
        "Icon\r",
    )
}
"""Files and folders that operating systems and network storages make, by their lower-case name."""

HIDDEN = "hidden"
"""Kind of every name that starts with a dot: .DS_Store, ._photo.jpg, .Trash-1000, .thumbnails."""

_LONGEST_SUFFIX = 12


def suffix_of(name: str) -> str:
    """Return the extension in lower case, with its dot; "" without one."""
    return posixpath.splitext(name)[1].lower()


def is_image(name: str) -> bool:
    """Whether the name has the extension of an image that can be read."""
    return suffix_of(name) in IMAGES


def is_photo(name: str) -> bool:
    """Whether the name has the extension of an image, in a format that can be read or not."""
    suffix = suffix_of(name)
    return suffix in IMAGES or suffix in UNREAD


def unread_reason(name: str) -> str | None:
    """Why a photo of this name cannot be read and what to do, or None where it can be tried."""
    known = UNREAD.get(suffix_of(name))
    return None if known is None else refusal(*known)


def refusal(format: str, advice: str) -> str:
    """Return the reason for setting aside a photo of a format that cannot be read."""
    return f"{format}, which undrift cannot read: {advice}"


def system_kind(part: str) -> str | None:
    """Return what to call a file or folder that is never data, None for any other.

    Args:
        part: its own name, without the folders above it.
    """
    return HIDDEN if part.startswith(".") else SYSTEM.get(part.lower())


def other_kind(name: str) -> str:
    """Return what to call a file that is no photo: its extension."""
    suffix = suffix_of(name)
    plain = suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= _LONGEST_SUFFIX
    return suffix if plain else "without extension" if not suffix else "other"


def unread_content(data: bytes) -> str | None:
    """Return the reason for content of a known format that cannot be read, whatever its name."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return refusal(*UNREAD[".heic"])
    if data[:12] == _JXL_BOX or data[:2] == b"\xff\x0a":
        return refusal(*UNREAD[".jxl"])
    if data[128:132] == b"DICM":
        return refusal(*UNREAD[".dcm"])
    if data[:4] == b"\x76\x2f\x31\x01":
        return refusal(*UNREAD[".exr"])
    return None


_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_JXL_BOX = b"\0\0\0\x0cJXL \r\n\x87\n"
