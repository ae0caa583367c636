"""What a tree of files means: splits, metadata, classes or none.

Read in this order, at each level:

1. a single folder that wraps everything is stepped into (``photos.zip`` holding ``photos/...``);
2. ``metadata.jsonl``, ``metadata.csv`` or StyleGAN's ``dataset.json`` decides alone: only the files
   it lists are used, and folders are no classes;
3. ``train`` beside ``validation`` or ``test`` are splits, each read by these same rules;
4. where such files lie in the folders below, each decides for its own folder; if none of them gives
   labels, the folders are classes as in 5;
5. two or more folders with images are classes, named by the folder;
6. else all images lie flat, without classes.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from undrift.advice import possible
from undrift.data.sources.filetypes import is_image, is_photo, other_kind, suffix_of, unread_reason
from undrift.data.sources.metadata import (
    LABEL_FILE,
    LARGEST_METADATA,
    LONGEST_CAPTION,
    NAMES,
    TEXT_FILE,
    Table,
    clean_captions,
    is_table,
    read_table,
)
from undrift.data.sources.source import DEFAULT, Columns, Entry, Files, MapFile, SetAside
from undrift.data.sources.tree import Tree, refusals
from undrift.errors import DataError, UsageError
from undrift.names import normalised, printable
from undrift.wording import plural

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

PART = re.compile(r"(?P<word>shard|part|chunk|batch|dir|folder)?[-_ ]?(?P<number>\d{1,9})", re.I)
"""The name of a numbered part of something."""

SHOWN = 4
"""Columns named in a note."""


def arrange(tree: Tree, where: str, columns: Columns = DEFAULT) -> Files:
    """Turn a tree into labelled entries.

    Args:
        tree: the files.
        where: what to call them in messages.
        columns: which columns of the metadata are read.

    Raises:
        DataError: a metadata file that is broken or lacks a column, labels for some images only,
            or a text file that cannot be read.
        UsageError: a column, and no metadata that could have it.
    """
    arrangement = Arrangement(tree, where, columns)
    arrangement.level(arrangement.photos, "", None)
    return arrangement.files()


@dataclass
class Arrangement:
    """Entries under construction.

    Attributes:
        tree: the files.
        where: what to call them in messages.
        columns: which columns of the metadata are read.
        entries: what was found so far.
        set_aside: images that cannot be used.
        warnings: lines for the report.
        notes: more lines for the report.
        used: names that need no mention among the ignored.
        ignored: kind of ignored files -> how many.
        cut: captions of text files that were cut.
        numeric: columns of each table that hold numbers -> smallest and largest.
    """

    tree: Tree
    where: str
    columns: Columns
    entries: list[Entry] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    ignored: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    numeric: list[dict[str, tuple[float, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = set(self.tree.names)
        self.tables = set(filter(is_table, self.tree.names))
        stems = {stem(name) for name in self.tree.names if is_image(name)}
        self.photos: list[str] = []
        for name in self.tree.names:
            if is_image(name) or (is_photo(name) and stem(name) not in stems):
                self.photos.append(name)
            elif is_photo(name):
                # A camera's raw file beside its JPEG, a phone's HEIC beside its copy.
                self.ignored[f"{suffix_of(name)} beside a copy that is read"] += 1
                self.used.add(name)

    @cached_property
    def by_form(self) -> dict[str, str]:
        """Every name by the form in which names are compared."""
        return {normalised(name): name for name in reversed(self.tree.names)}

    def tables_below(self, prefix: str, deeper: bool = True) -> list[str]:
        """Return the metadata files under ``prefix``, those right there only if not ``deeper``."""
        inside = (name for name in self.tables if name.startswith(prefix))
        return sorted(name for name in inside if deeper or "/" not in name[len(prefix) :])

    def files(self) -> Files:
        """Return what was found.

        Raises:
            DataError: labels for some images only.
            UsageError: a column without metadata.
        """
        labelled = sum(entry.label is not None for entry in self.entries)
        if labelled and labelled < len(self.entries):
            without = next(entry.name for entry in self.entries if entry.label is None)
            raise DataError(
                f"{self.where}: {labelled} of {plural(len(self.entries), 'image')} have a class, "
                f"{without} has none: give all one or none"
            )
        if not any(base(name) in NAMES for name in self.tables & self.used):
            for argument, column in self.columns.requested.items():
                if any(name != TEXT_FILE for name in column.split(",")):
                    raise UsageError(
                        f"{argument} {column!r}: {self.where} has no metadata.jsonl or "
                        "metadata.csv that could have it; leave it out"
                    )
        requested = (*self.columns.numbers, *(request.name for request in self.columns.maps))
        for entry in self.entries:
            if len(entry.numbers) + len(entry.maps) != len(requested):
                raise DataError(
                    f"{self.where}: no {NAMES[1]} or {NAMES[0]} gives {entry.name} its "
                    f"{requested[0]}: list every image in one"
                )
        if self.cut:
            self.warnings.append(cut_line(self.cut))
        for name in self.tree.names:
            if name not in self.used:
                self.ignored["not listed images" if is_image(name) else other_kind(name)] += 1
        return Files(
            kind=self.tree.kind,
            entries=tuple(self.entries),
            set_aside=tuple(dict.fromkeys((*refusals(self.tree), *self.set_aside))),
            ignored=dict(self.tree.ignored + self.ignored),
            warnings=tuple(dict.fromkeys(self.warnings)),
            notes=tuple(dict.fromkeys(self.notes)),
            numeric={
                name: (
                    min(table[name][0] for table in self.numeric),
                    max(table[name][1] for table in self.numeric),
                )
                for name in (self.numeric[0] if self.numeric else ())
                if all(name in table for table in self.numeric)
            },
        )

    def level(self, names: Sequence[str], prefix: str, split: str | None) -> None:
        """Apply the rules above to the photos ``names`` under ``prefix``."""
        names, prefix = self.unwrapped(names, prefix)
        here = self.tables_below(prefix, deeper=False)
        tables = {path: table for path in here if (table := self.table(path)) is not None}
        if len(tables) > 1:
            raise DataError(f"{self.where} has both {' and '.join(tables)}: keep one of them")
        folders = by_folder(names, prefix)
        for path, table in tables.items():
            self.listed(table, names, prefix, path, split)
            return
        if split is None and (parts := split_folders(folders)):
            self.splits(folders, prefix, parts)
        elif len(self.tables_below(prefix)) > len(here):
            self.governed(folders, prefix, split, has_classes(folders))
        elif has_classes(folders):
            self.classes(folders, split)
        else:
            self.flat(folders, split)

    def unwrapped(self, names: Sequence[str], prefix: str) -> tuple[Sequence[str], str]:
        """Step into a folder for as long as it is the only one and nothing useful lies beside."""
        while True:
            heads = set(by_folder([*names, *self.tables_below(prefix)], prefix))
            if len(heads) != 1 or heads == {""}:
                return names, prefix
            prefix = f"{prefix}{heads.pop()}/"

    def table(self, path: str) -> Table | None:
        """Read a metadata file; None for a ``dataset.json`` of somebody else's."""
        try:
            data = self.tree.read(path, LARGEST_METADATA)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.where}: {path} cannot be read: {error}") from error
        table = read_table(data, f"{self.where}: {path}", self.columns)
        if table is None:
            self.warnings.append(f"{path} has no labels: ignored")
        return table

    def splits(
        self, folders: Mapping[str, list[str]], prefix: str, parts: Mapping[str, str]
    ) -> None:
        """Read each split's folder by the same rules, but classes alike in all of them."""
        inside = {folder: by_folder(folders[folder], f"{prefix}{folder}/") for folder in parts}
        # A class that only one split lacks must not turn that split's one folder into a wrapper.
        classes = any(map(has_classes, inside.values()))
        for folder, part in parts.items():
            below = f"{prefix}{folder}/"
            if self.tables_below(below, deeper=False) or not classes:
                self.level(folders[folder], below, part)
            elif self.tables_below(below):
                self.governed(inside[folder], below, part, classes)
            else:
                self.classes(inside[folder], part)

    def governed(
        self, folders: Mapping[str, list[str]], prefix: str, split: str | None, classes: bool
    ) -> None:
        """Let the metadata files in the folders decide, each for its own."""
        start = len(self.entries)
        label: dict[str, str] = {}
        for folder, names in folders.items():
            before = len(self.entries)
            if folder and self.tables_below(f"{prefix}{folder}/"):
                self.level(names, f"{prefix}{folder}/", split)
            else:
                self.flat({folder: names}, split)
            label.update(dict.fromkeys((e.name for e in self.entries[before:]), folder))
        new = self.entries[start:]
        if classes and all(entry.label is None for entry in new):
            self.entries[start:] = [
                replace(entry, label=class_name(label[entry.name]))
                for entry in new
                if label[entry.name]
            ]
            self.beside(folders.get("", ()))

    def classes(self, folders: Mapping[str, list[str]], split: str | None) -> None:
        """Take folders as classes; what lies beside them has none."""
        for folder, names in folders.items():
            if folder:
                self.entries += [self.entry(name, split, folder) for name in names]
        self.beside(folders.get("", ()))
        self.used.update(name for names in folders.values() for name in names)
        if parts := numbered_parts(filter(None, folders)):
            self.warnings.append(
                f"the folders {parts} are taken as classes, but look like numbered parts of one "
                "set: if they are, put all images into one folder, or their labels into "
                f"{NAMES[1]} or {LABEL_FILE}"
            )

    def beside(self, names: Iterable[str]) -> None:
        """Set aside what lies beside the class folders."""
        reason = "lies beside the class folders, so it has no class"
        self.set_aside += [SetAside(printable(name), reason) for name in names]
        self.used.update(names)

    def flat(self, folders: Mapping[str, list[str]], split: str | None) -> None:
        """Take everything, without classes."""
        everything = [name for names in folders.values() for name in names]
        beside = len(folders.get("", ()))
        if 0 < beside < len(everything):
            self.warnings.append(
                f"{beside:,} of {plural(len(everything), 'image')} lie beside the folders: "
                "no classes taken"
            )
        self.entries += [self.entry(name, split) for name in everything]
        self.used.update(everything)

    def listed(
        self, table: Table, names: Sequence[str], prefix: str, path: str, split: str | None
    ) -> None:
        """Take the files that the table at ``path`` lists, and no others."""
        self.used.add(path)
        # of several tables those columns that all of them have
        self.numeric.append(table.numeric)
        if table.rows is None:
            self.flat({"": list(names)}, split)
            self.notes.append(f"{path} says that there are no labels: folders are no classes")
            return
        lines: dict[str, str] = {}
        for row in table.rows:
            name = prefix + row.file_name
            if name not in self.names:
                name = self.by_form.get(normalised(name), name)
            if name in lines:
                raise DataError(
                    f"{self.where}: {path}: {lines[name]} and {row.where} both name "
                    f"{printable(row.file_name)!r}"
                )
            lines[name] = row.where
            if row.file_name.startswith(("/", "../")):
                self.set_aside.append(SetAside(printable(row.file_name), "leaves the folder"))
            elif name in self.names:
                entry = self.entry(name, split, row.label, row.captions)
                maps = tuple(self.map_file(prefix + one, path, row.where) for one in row.maps)
                self.entries.append(replace(entry, numbers=row.numbers, maps=maps))
                self.used.add(name)
            elif name not in self.tree.set_aside:
                reason = f"listed in {path}, but not there"
                self.set_aside.append(SetAside(printable(name), reason))
        if cut := sum(row.cut for row in table.rows):
            self.warnings.append(cut_line(cut))
        missing = [name for name in names if name not in self.used]
        if missing and base(path) == LABEL_FILE:
            more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
            raise DataError(
                f"{self.where}: {path} has no label for {printable(missing[0])}{more}: "
                "give every image one, or set labels to null"
            )
        if table.others and all(row.label is None for row in table.rows):
            hint = possible("{label_column} takes another one", "its columns are")
            self.notes.append(
                f"{path} has no column 'label', so there are no classes; {hint}: "
                f"{', '.join(map(printable, table.others[:SHOWN]))}"
            )

    def map_file(self, name: str, path: str, where: str) -> MapFile:
        """Return a map that the table at ``path`` names.

        Raises:
            DataError: it is not there.
        """
        if name not in self.names:
            name = self.by_form.get(normalised(name), name)
        if name not in self.names:
            raise DataError(
                f"{self.where}: {path}, {where}: map {printable(name)} is not there: give every "
                "image one"
            )
        self.used.add(name)
        return MapFile(printable(name), reader(self.tree, name))

    def entry(
        self,
        name: str,
        split: str | None,
        label: str | None = None,
        captions: tuple[str, ...] = (),
    ) -> Entry:
        """Return one candidate."""
        if TEXT_FILE in (self.columns.captions or ()):
            captions = tuple(dict.fromkeys((*captions, *self.text_file(name))))
        return Entry(
            name=printable(name),
            read=reader(self.tree, name),
            label=None if label is None else class_name(label),
            captions=captions,
            split=split,
        )

    def text_file(self, name: str) -> tuple[str, ...]:
        """Return the captions of an image in the text file beside it, one a line; () without it."""
        path = posixpath.splitext(name)[0] + TEXT_FILE
        if path not in self.names:
            return ()
        self.used.add(path)
        try:
            text = self.tree.read(path, LARGEST_METADATA).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.where}: {path} is not UTF-8 text: {error.reason} at byte {error.start}"
            ) from error
        except (OSError, ValueError) as error:
            raise DataError(f"{self.where}: {path} cannot be read: {error}") from error
        captions, cut = clean_captions(text.splitlines())
        self.cut += cut
        return captions


def cut_line(cut: int) -> str:
    """The warning for captions that are too long."""
    return f"{plural(cut, 'caption')} cut to {LONGEST_CAPTION:,} characters"


def reader(tree: Tree, name: str) -> Callable[[], bytes]:
    """Return a function that reads ``name``, or says why it cannot be read."""

    def read() -> bytes:
        if reason := unread_reason(name):
            raise ValueError(reason)
        return tree.read(name)

    return read


def class_name(label: str) -> str:
    """Return a label as classes are called: in one Unicode form, on one line."""
    return printable(normalised(label))


def base(name: str) -> str:
    """Return a name without its folders."""
    return name.rpartition("/")[2]


def stem(name: str) -> str:
    """Return a name without its extension, in lower case."""
    return posixpath.splitext(name)[0].lower()


def by_folder(names: Iterable[str], prefix: str) -> dict[str, list[str]]:
    """Return names by their first folder below ``prefix``, "" for those right there."""
    folders: dict[str, list[str]] = {}
    for name in names:
        head, slash, _ = name[len(prefix) :].partition("/")
        folders.setdefault(head if slash else "", []).append(name)
    return folders


def has_classes(folders: Mapping[str, list[str]]) -> bool:
    """Whether images by their first folder are images by class: two or more, few beside them."""
    total = sum(len(names) for names in folders.values())
    beside = len(folders.get("", ()))
    return len(folders) - ("" in folders) >= 2 and beside <= STRAY_SHARE * total


def split_folders(folders: Iterable[str]) -> dict[str, str]:
    """Return folder -> split where ``train`` stands beside another split, else nothing."""
    parts = {head: SPLITS[head.lower()] for head in sorted(folders) if head.lower() in SPLITS}
    return parts if "train" in parts.values() and len(set(parts.values())) > 1 else {}


def numbered_parts(folders: Iterable[str]) -> str | None:
    """Return the first and last of folders that are numbered like parts, such as ``00000``.

    Classes may be numbered too, but then hardly with leading zeros from 000 on, or as ``part-1``.
    """
    names = list(folders)
    parts = [part for name in names if (part := PART.fullmatch(name))]
    if len(names) < 2 or len(parts) < len(names):
        return None
    parts.sort(key=lambda part: int(part["number"]))
    numbers = [int(part["number"]) for part in parts]
    if numbers[0] > 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    widths = {len(part["number"]) for part in parts}
    padded = len(widths) == 1 and widths.pop() >= 3
    return f"{parts[0][0]} to {parts[-1][0]}" if padded or all(p["word"] for p in parts) else None
