"""What a command can call: which functions of the library its code reaches, found in the sources.

Names are resolved through imports. A method counts as called where an attribute of its name is used
in anything reached and its class is named in anything reached (rapid type analysis): more is
reached than ever runs, never less, but for what is looked up by a string.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import undrift

ROOT = Path(undrift.__file__).parent
Place = tuple[str, str]
"""A module, and the name of what is in it: ``function``, ``Class`` or ``Class.method``."""


class Sources:
    """The definitions of every module, and what its names stand for."""

    def __init__(self) -> None:
        self.definitions: dict[Place, ast.AST] = {}
        self.methods: dict[Place, dict[str, Place]] = {}
        self.imports: dict[Place, Place] = {}
        self.modules: set[str] = set()
        for path in sorted(ROOT.rglob("*.py")):
            parts = ("undrift", *path.relative_to(ROOT).with_suffix("").parts)
            name = ".".join(parts).removesuffix(".__init__")
            self.modules.add(name)
            tree = ast.parse(path.read_text())
            self._imported(name, tree)
            for node in tree.body:
                self._defined(name, node)

    def _imported(self, module: str, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("undrift"):
                for alias in node.names:
                    self.imports[module, alias.asname or alias.name] = (
                        node.module or "",
                        alias.name,
                    )

    def _defined(self, module: str, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.definitions[module, node.name] = node
        if isinstance(node, ast.ClassDef):
            inner = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            places = {part.name: (module, f"{node.name}.{part.name}") for part in inner}
            self.methods[module, node.name] = places
            self.definitions |= {places[part.name]: part for part in inner}
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        for target in targets:
            if isinstance(target, ast.Name) and getattr(node, "value", None) is not None:
                self.definitions[module, target.id] = node.value  # type: ignore[attr-defined]

    def resolve(self, module: str, name: str) -> Place | None:
        """The definition that ``name`` stands for in ``module``; None of what is not ours."""
        seen: set[Place] = set()
        place = (module, name)
        while place not in self.definitions:
            if place in seen or place not in self.imports:
                return None
            seen.add(place)
            place = self.imports[place]
        return place

    def attribute(self, module: str, node: ast.Attribute) -> Place | None:
        """The definition behind ``imported_module.name``."""
        if isinstance(node.value, ast.Name):
            owner = self.imports.get((module, node.value.id))
            if owner is not None and f"{owner[0]}.{owner[1]}" in self.modules:
                return self.resolve(f"{owner[0]}.{owner[1]}", node.attr)
        return None


@cache
def sources() -> Sources:
    """All of them, read once."""
    return Sources()


def code(node: ast.AST) -> Iterator[ast.AST]:
    """``node`` and what is in it, without annotations, docstrings and methods of a class."""
    stack: list[ast.AST] = [node]
    while stack:
        part = stack.pop()
        yield part
        for name, value in ast.iter_fields(part):
            if name in ("annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if not isinstance(child, ast.AST) or (
                    isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
                ):
                    continue
                if isinstance(part, ast.ClassDef) and isinstance(child, ast.FunctionDef):
                    stack += child.decorator_list
                    continue
                stack.append(child)


@cache
def needs(place: Place) -> tuple[frozenset[Place], frozenset[str]]:
    """The definitions that the code at ``place`` names, and the attributes that it uses."""
    known, named, attributes = sources(), set(), set()
    for node in code(known.definitions[place]):
        target = None
        if isinstance(node, ast.Name):
            target = known.resolve(place[0], node.id)
        elif isinstance(node, ast.Attribute):
            target = known.attribute(place[0], node)
            attributes.add(node.attr)
        if target is not None:
            named.add(target)
    return frozenset(named), frozenset(attributes)


def reached(start: Place) -> set[Place]:
    """Every definition that running ``start`` may need."""
    known = sources()
    todo, found = [start], set()
    attributes: set[str] = set()
    classes: list[Place] = []
    while todo:
        place = todo.pop()
        if place in found:
            continue
        found.add(place)
        if place in known.methods:
            classes.append(place)
            todo += [
                at
                for name, at in known.methods[place].items()
                if name in attributes or name.startswith("__")
            ]
        named, used = needs(place)
        todo += named
        for name in used - attributes:
            todo += [known.methods[one][name] for one in classes if name in known.methods[one]]
        attributes |= used
    return found
