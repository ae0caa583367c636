"""What a tree of files means: splits, metadata, classes or none.

Read in this order, at each level:

1. a single folder that wraps everything is stepped into (``photos.zip`` holding ``photos/...``);
2. ``metadata.jsonl`` or ``metadata.csv`` decides alone: only the files it lists are used;
3. ``train`` beside ``validation`` or ``test`` are splits, each read by these same rules;
4. two or more folders with images are classes, named by the folder;
5. else all images lie flat, without classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from undrift.data.sources.metadata import LONGEST_CAPTION, NAMES, read_metadata
from undrift.data.sources.source import Entry, Files, SetAside, printable
from undrift.data.sources.tree import Tree, is_image, refusals
from undrift.errors import DataError

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Folder names that mean a split, in lower case."""

STRAY_SHARE = 0.05
"""At most this share of the images may lie beside the class folders and leave them classes."""


@dataclass
class Arrangement:
    """What was found so far."""

    entries: list[Entry] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


def arrange(tree: Tree, where: str) -> Files:
    """Turn a tree into labelled entries.

    Raises:
        DataError: a metadata file that is broken, or labels in some splits only.
    """
    found = Arrangement()
    arrange_level(tree, "", None, where, found)
    labelled = sum(entry.label is not None for entry in found.entries)
    if labelled and labelled < len(found.entries):
        raise DataError(
            f"{where}: {labelled} of {len(found.entries)} images have a class: give all one or none"
        )
    return Files(
        kind=tree.kind,
        entries=tuple(found.entries),
        set_aside=tuple(dict.fromkeys((*refusals(tree), *found.set_aside))),
        ignored=len(tree.names) - len(found.used),
        warnings=tuple(found.warnings),
    )


def arrange_level(
    tree: Tree, prefix: str, split: str | None, where: str, found: Arrangement
) -> None:
    """Apply the rules above to what lies under ``prefix``."""
    prefix = unwrapped(tree, prefix)
    metadata = [prefix + name for name in NAMES if prefix + name in tree.names]
    if len(metadata) > 1:
        raise DataError(f"{where} has both {metadata[0]} and {metadata[1]}: keep one")
    if metadata:
        arrange_metadata(tree, prefix, metadata[0], split, where, found)
        return
    folders = images_by_folder(tree, prefix)
    if split is None and (parts := split_folders(tree, prefix)):
        inside = {folder: f"{prefix}{folder}/" for folder in parts}
        # A class that only one split lacks must not turn that split's one folder into a wrapper.
        plain = not any(part + name in tree.names for part in inside.values() for name in NAMES)
        if plain and any(has_classes(images_by_folder(tree, part)) for part in inside.values()):
            for folder, part in parts.items():
                arrange_classes(tree, images_by_folder(tree, inside[folder]), part, found)
            return
        for folder, part in parts.items():
            arrange_level(tree, inside[folder], part, where, found)
        return
    if has_classes(folders):
        arrange_classes(tree, folders, split, found)
    else:
        arrange_flat(tree, folders, split, found)


def has_classes(folders: Mapping[str, list[str]]) -> bool:
    """Whether images by their first folder are images by class: two or more, few beside them."""
    total = sum(len(names) for names in folders.values())
    beside = len(folders.get("", ()))
    return len(folders) - ("" in folders) >= 2 and beside <= STRAY_SHARE * total


def arrange_classes(
    tree: Tree, folders: Mapping[str, list[str]], split: str | None, found: Arrangement
) -> None:
    """Take folders as classes; what lies beside them has none."""
    for folder, names in folders.items():
        found.used.update(names)
        if folder:
            found.entries += [entry(tree, name, split, folder) for name in names]
        else:
            reason = "lies beside the class folders, so it has no class"
            found.set_aside += [SetAside(printable(name), reason) for name in names]


def arrange_flat(
    tree: Tree, folders: Mapping[str, list[str]], split: str | None, found: Arrangement
) -> None:
    """Take everything, without classes."""
    everything = [name for names in folders.values() for name in names]
    beside = len(folders.get("", ()))
    if 0 < beside < len(everything):
        found.warnings.append(
            f"{beside} of {len(everything)} images lie beside the folders: no classes taken"
        )
    found.entries += [entry(tree, name, split) for name in everything]
    found.used.update(everything)


def arrange_metadata(
    tree: Tree, prefix: str, metadata: str, split: str | None, where: str, found: Arrangement
) -> None:
    """Take the files that ``metadata`` lists, and no others."""
    try:
        data = tree.read(metadata)
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: {metadata} cannot be read: {error}") from error
    rows = read_metadata(data, metadata)
    known = set(tree.names)
    found.used.add(metadata)
    for row in rows:
        name = prefix + row.file_name
        if name in known:
            found.entries.append(entry(tree, name, split, row.label, row.caption))
            found.used.add(name)
        elif row.file_name.startswith(("/", "../")):
            found.set_aside.append(SetAside(printable(row.file_name), "leaves the folder"))
        elif name not in tree.set_aside:
            reason = f"listed in {metadata}, line {row.line}, but not there"
            found.set_aside.append(SetAside(printable(name), reason))
    if cut := sum(row.cut for row in rows):
        found.warnings.append(f"{cut} captions were cut to {LONGEST_CAPTION} characters")


def entry(
    tree: Tree, name: str, split: str | None, label: str | None = None, caption: str | None = None
) -> Entry:
    """Return one candidate."""
    return Entry(
        name=printable(name),
        read=reader(tree, name),
        label=None if label is None else printable(label),
        caption=caption,
        split=split,
    )


def reader(tree: Tree, name: str) -> Callable[[], bytes]:
    """Return a function that reads ``name``."""
    return lambda: tree.read(name)


def images_by_folder(tree: Tree, prefix: str) -> dict[str, list[str]]:
    """Return image names under ``prefix`` by their first folder, "" for those right there."""
    folders: dict[str, list[str]] = {}
    for name in under(tree.names, prefix):
        if is_image(name):
            head, slash, _ = name[len(prefix) :].partition("/")
            folders.setdefault(head if slash else "", []).append(name)
    return folders


def split_folders(tree: Tree, prefix: str) -> dict[str, str]:
    """Return folder -> split where ``train`` stands beside another split, else nothing."""
    heads = Counter(
        name[len(prefix) :].partition("/")[0]
        for name in under(tree.names, prefix)
        if "/" in name[len(prefix) :]
    )
    parts = {head: SPLITS[head.lower()] for head in sorted(heads) if head.lower() in SPLITS}
    return parts if "train" in parts.values() and len(set(parts.values())) > 1 else {}


def unwrapped(tree: Tree, prefix: str) -> str:
    """Step into a folder for as long as it is the only one and nothing useful lies beside it."""
    while True:
        names = [name[len(prefix) :] for name in under(tree.names, prefix)]
        useful = [name for name in names if is_image(name) or name.rpartition("/")[2] in NAMES]
        heads = {name.partition("/")[0] if "/" in name else "" for name in useful}
        if len(heads) != 1 or heads == {""}:
            return prefix
        prefix = f"{prefix}{heads.pop()}/"


def under(names: Iterable[str], prefix: str) -> list[str]:
    """Return the names that lie under ``prefix``."""
    return [name for name in names if name.startswith(prefix)]
