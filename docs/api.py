"""The API reference, made from the ``__all__`` of each package.

`index` is the page ``docs/reference/api.md``: every public name with a line about it. `pages` are
the full entries, which ``docs/conf.py`` hands to Sphinx. After a change of public names::

    python docs/api.py    # writes the index again
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path

import undrift

INDEX = Path(__file__).parent / "reference" / "api.md"
PRIVATE = frozenset(
    f"undrift.{name}"
    for name in ("cli", "files", "data.sources", "claims.figures", "claims.measures")
)
"""Packages without public names."""


@dataclass(frozen=True)
class Entry:
    """A public name.

    Attributes:
        package: that has it in its ``__all__``.
        name: in that package.
        home: module that defines it.
        value: what it is bound to.
        doc: its docstring; of a constant, the string below its assignment.
    """

    package: str
    name: str
    home: str
    value: object
    doc: str

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, on one line."""
        paragraph = " ".join(self.doc.split("\n\n")[0].split())
        return re.split(r"(?<=[.;:])\s", paragraph, maxsplit=1)[0].rstrip(".;:")


@functools.cache
def packages() -> list[str]:
    """Names of the packages that have public names, by name."""
    found = pkgutil.walk_packages(undrift.__path__, "undrift.")
    names = ["undrift", *(one.name for one in found if one.ispkg)]
    return sorted(name for name in names if name not in PRIVATE)


def entries(package: str) -> list[Entry]:
    """The public names of ``package``, by name; those that are modules or the version are out."""
    module = importlib.import_module(package)
    names = sorted((one for one in module.__all__ if one != "__version__"), key=str.lower)
    values = {name: getattr(module, name) for name in names}
    return [_entry(package, *one) for one in values.items() if not inspect.ismodule(one[1])]


def _entry(package: str, name: str, value: object) -> Entry:
    if inspect.isclass(value) or inspect.isfunction(value):
        return Entry(package, name, value.__module__, value, inspect.getdoc(value) or "")
    home = _home(package, name)
    return Entry(package, name, home, value, _assigned(home).get(name, ""))


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def _home(module: str, name: str) -> str:
    """The module in which ``name`` of ``module`` is assigned, through any number of imports."""
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            if any((alias.asname or alias.name) == name for alias in node.names):
                return _home(node.module, name)
    return module


@functools.cache
def _assigned(module: str) -> dict[str, str]:
    """Constants of ``module`` -> the string below each."""
    found: dict[str, str] = {}
    names: list[str] = []
    for node in _tree(module).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and names:
            found |= dict.fromkeys(names, inspect.cleandoc(str(node.value.value)))
        targets = [node.target] if isinstance(node, ast.AnnAssign) else []
        targets = node.targets if isinstance(node, ast.Assign) else targets
        parts = [part for target in targets for part in ast.walk(target)]
        names = [part.id for part in parts if isinstance(part, ast.Name)]
    return found


def index() -> str:
    """The page that lists all public names, as Markdown."""
    lines = [
        "# API",
        "",
        "What each package offers: the names of its `__all__`. Everything else is private and may",
        "change. `make docs` builds the full entries, with arguments, shapes and errors, into",
        "`build/docs/`. This page is written by `python docs/api.py`.",
    ]
    for package in packages():
        about = inspect.getdoc(importlib.import_module(package)) or ""
        lines += ["", f"## {package}", "", about.split("\n\n")[0], "", "| name | |", "|---|---|"]
        for entry in entries(package):
            lines.append(f"| `{entry.name}` | {entry.summary.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


_OPENS = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$|(-|\d+\.) ")
"""Lines whose indented paragraphs are text: sections of arguments, and points of lists."""

_LITERAL = re.compile(r"(``.+?``|`[^`]+`)|([*|])")


def as_rst(doc: str) -> str:
    """A docstring as reStructuredText: indented equations are literal, ``*`` and ``|`` plain."""
    found: list[str] = []
    verbatim = text = False
    previous = ""
    for line in doc.splitlines():
        if line.strip() and not line.startswith(" "):
            verbatim, text = False, bool(_OPENS.match(line))
        elif line.strip() and not previous.strip() and not (verbatim or text):
            found += ["::", ""]
            verbatim = True
        escaped = _LITERAL.sub(lambda match: match[1] or "\\" + match[2], line)
        found.append(line if verbatim or line.lstrip().startswith(".. ") else escaped)
        verbatim = verbatim or line.endswith("::") or line.lstrip().startswith(".. ")
        previous = line
    return "\n".join(found)


def pages() -> dict[str, str]:
    """Package -> its page as reStructuredText: entries by the module that defines them."""
    return {package: _page(package) for package in packages()}


def _page(package: str) -> str:
    title = package
    about = inspect.getdoc(importlib.import_module(package)) or ""
    parts = [title, "=" * len(title), "", as_rst(about), ""]
    grouped: dict[str, list[Entry]] = {}
    for entry in entries(package):
        grouped.setdefault(entry.home, []).append(entry)
    for home, group in grouped.items():
        if home != package:
            about = inspect.getdoc(importlib.import_module(home)) or ""
            parts += [home, "-" * len(home), "", as_rst(about), ""]
        for entry in group:
            parts += [*_directive(entry), ""]
    return "\n".join(parts)


def _directive(entry: Entry) -> list[str]:
    """The entry in full in the package that defines it, a link in others."""
    name = f"{entry.package}.{entry.name}"
    owner = _owner(entry)
    if owner != entry.package:
        return [f"- `{owner}.{entry.name}`"]
    if inspect.isclass(entry.value):
        return [f".. autoclass:: {name}", "   :members:"]
    if inspect.isfunction(entry.value):
        return [f".. autofunction:: {name}"]
    return [f".. py:data:: {name}", "", *(f"   {line}" for line in entry.doc.splitlines())]


def _owner(entry: Entry) -> str:
    """Of the packages that have this name, the innermost one around its module."""
    around = [one for one in packages() if f"{entry.home}.".startswith(f"{one}.")]
    public = [one for one in around if entry.name in importlib.import_module(one).__all__]
    return max(public, key=len, default=entry.package)


if __name__ == "__main__":
    INDEX.write_text(index(), encoding="utf-8")
