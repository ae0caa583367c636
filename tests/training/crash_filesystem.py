"""A filesystem in memory that knows what a power cut may leave of it.

Names in a directory are durable after ``sync_directory``, a file's content after ``sync_file``. At
a crash every operation that is not durable yet may have happened or not, independently of the
others; content that is not durable may be missing, cut, zeros or complete.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Tree = dict[Path, bytes | None]
"""Visible paths: content of files, None for directories."""


@dataclass(eq=False)
class Node:
    entries: dict[str, Node] | None = None  # a directory's; None: a file
    data: bytes = b""


@dataclass(eq=False)
class Operation:
    """One change: of names in ``node`` if ``links`` is set, else of the content of ``node``."""

    node: Node
    kind: str
    links: Callable[[dict[str, Node]], None] | None = None
    data: bytes = b""
    durable: bool = False


@dataclass
class CrashFilesystem:
    """Records every operation; ``drop`` are the indices of calls that are silently left out."""

    drop: frozenset[int] = frozenset()
    tear_renames: bool = False
    exchanges: bool = True
    calls: list[str] = field(default_factory=list)
    log: list[Operation | tuple[str, Node] | tuple[str, int]] = field(default_factory=list)
    root: Node = field(default_factory=lambda: Node({}))

    def make_directory(self, path: Path) -> None:
        if not self._dropped("make_directory"):
            self._link(path, Node({}))

    def write(self, path: Path, data: bytes) -> None:
        if not self._dropped("write"):
            node = Node()
            self._link(path, node)
            node.data = data
            self.log.append(Operation(node, "content", data=data))

    def sync_file(self, path: Path) -> None:
        if not self._dropped("sync_file"):
            self.log.append(("sync content", self._find(path)))

    def sync_directory(self, path: Path) -> None:
        if not self._dropped("sync_directory"):
            self.log.append(("sync names", self._find(path)))

    def rename(self, source: Path, target: Path) -> None:
        if self._dropped("rename"):
            return
        node = self._find(source)
        if self.tear_renames:
            copy = Node({})
            self._link(target, copy)
            for name, child in (node.entries or {}).items():
                self._link(target / name, child)
            self._change(source.parent, lambda names: names.pop(source.name, None), "unlink")
            return

        def move(names: dict[str, Node]) -> None:
            names.pop(source.name, None)
            names[target.name] = node

        self._change(source.parent, move, "rename")

    def exchange(self, one: Path, other: Path) -> None:
        if not self.exchanges:
            raise OSError(errno.ENOSYS, "Function not implemented", str(one))
        if self._dropped("exchange"):
            return
        nodes = self._find(one), self._find(other)

        def swap(names: dict[str, Node]) -> None:
            names[one.name], names[other.name] = nodes[1], nodes[0]

        self._change(one.parent, swap, "exchange")

    def remove_tree(self, path: Path) -> None:
        self._dropped("remove_tree")
        for name in list(self._find(path).entries or {}):
            self._change(path, lambda names, name=name: names.pop(name, None), "unlink")
        self._change(path.parent, lambda names: names.pop(path.name, None), "unlink")

    def read(self, path: Path) -> bytes:
        node = self._find(path)
        if node.entries is not None:
            raise IsADirectoryError(21, "Is a directory", str(path))
        return node.data

    def names(self, path: Path) -> list[str]:
        try:
            return list(self._find(path).entries or {})
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        try:
            self._find(path)
        except FileNotFoundError:
            return False
        return True

    def mark(self, step: int) -> None:
        """Note in the log that the save of ``step`` has returned."""
        self.log.append(("returned", step))

    def crashes(self) -> Iterator[tuple[Tree, int | None]]:
        """Every tree that a power cut could leave, with the last step that was promised by then."""
        promised: int | None = None
        before: list[Operation] = []
        yield from self._states(before, promised)
        for entry in self.log:
            if isinstance(entry, Operation):
                before.append(entry)
            elif entry[0] == "returned":
                promised = entry[1]  # type: ignore[assignment]
            else:
                for operation in before:
                    names = entry[0] == "sync names"
                    if operation.node is entry[1] and (operation.links is not None) == names:
                        operation.durable = True
            yield from self._states(before, promised)
        for operation in before:
            operation.durable = False

    def _states(
        self, before: list[Operation], promised: int | None
    ) -> Iterator[tuple[Tree, int | None]]:
        pending = [operation for operation in before if not operation.durable]
        options = [
            (True, False) if operation.links else _contents(operation.data) for operation in pending
        ]
        for chosen in itertools.product(*options):
            fate = dict(zip(map(id, pending), chosen, strict=True))
            names: dict[int, dict[str, Node]] = {}
            contents: dict[int, bytes] = {}
            for operation in before:
                happened = fate.get(id(operation), True)
                if operation.links is None:
                    data = operation.data if operation.durable else happened
                    contents[id(operation.node)] = data  # type: ignore[assignment]
                elif happened:
                    operation.links(names.setdefault(id(operation.node), {}))
            yield _tree(self.root, names, contents), promised

    def _dropped(self, call: str) -> bool:
        self.calls.append(call)
        return len(self.calls) - 1 in self.drop

    def _find(self, path: Path) -> Node:
        node = self.root
        for part in path.parts[1:]:
            if node.entries is None or part not in node.entries:
                raise FileNotFoundError(2, "No such file or directory", str(path))
            node = node.entries[part]
        return node

    def _link(self, path: Path, node: Node) -> None:
        if self.exists(path):
            raise FileExistsError(17, "File exists", str(path))
        self._change(path.parent, lambda names: names.__setitem__(path.name, node), "link")

    def _change(self, directory: Path, links: Callable[[dict[str, Node]], None], kind: str) -> None:
        node = self._find(directory)
        assert node.entries is not None
        links(node.entries)
        self.log.append(Operation(node, kind, links))


@dataclass(frozen=True)
class TreeFilesystem:
    """What is there after a crash, to be read."""

    tree: Tree

    def read(self, path: Path) -> bytes:
        data = self.tree.get(path)
        if data is None:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return data

    def names(self, path: Path) -> list[str]:
        return [entry.name for entry in self.tree if entry.parent == path]

    def exists(self, path: Path) -> bool:
        return path in self.tree


def _contents(data: bytes) -> tuple[bytes, ...]:
    return (data, b"", data[: len(data) // 2], bytes(len(data)))


def _tree(root: Node, names: dict[int, dict[str, Node]], contents: dict[int, bytes]) -> Tree:
    tree: Tree = {}
    stack = [(Path("/"), root)]
    while stack:
        path, node = stack.pop()
        for name, child in names.get(id(node), {}).items():
            tree[path / name] = None if child.entries is not None else contents.get(id(child), b"")
            if child.entries is not None:
                stack.append((path / name, child))
    return tree
