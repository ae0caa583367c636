"""Sphinx's configuration: ``make docs`` builds the site into ``build/docs``, without a download.

The source folder is the repository, so that links lead from every page to every other. Mathematics
becomes MathML, which browsers show without a script.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from undrift.threads import bound_spin  # noqa: E402

bound_spin()  # before autodoc loads torch

import api  # noqa: E402 - beside this file

import undrift  # noqa: E402

project = "undrift"
version = release = undrift.__version__
copyright = "the undrift authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/*.md"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"undrift {version}"
html_math_renderer = "mathml"

CONTENTS = {
    "Tutorials": ["tutorials/*"],
    "How-to": ["how-to/*"],
    "Reference": ["reference/*"],
    "API": ["reference/packages/*"],
    "Explanation": ["explanation/*", "claims", "decisions/*", "log"],
    "Project": ["/README", "/CONTRIBUTING", "/CHANGELOG", "/benchmarks/README"],
}
"""The sidebar: captions and pages."""


def _mathml(tex: str, block: bool) -> str:
    tex = re.sub(r"\\[bB]ig(?![A-Za-z])", "", tex.replace(r"\dots", r"\ldots"))
    return tex2mathml(tex, as_block=block)


def _inline_math(visitor: Any, node: nodes.math) -> None:
    visitor.body.append(_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _math_block(visitor: Any, node: nodes.math_block) -> None:
    visitor.body.append(f"<div>{_mathml(node.astext(), block=True)}</div>")
    raise nodes.SkipNode


def _write_api(app: Any) -> None:
    """Write the pages of the packages, where they have changed."""
    folder = DOCS / "reference" / "packages"
    folder.mkdir(exist_ok=True)
    pages = {f"{package}.rst": text for package, text in api.pages().items()}
    for stale in {path.name for path in folder.iterdir()} - set(pages):
        (folder / stale).unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _add_contents(app: Any, page: str, source: list[str]) -> None:
    """Give the first page the sidebar; where the file is read as plain Markdown, it has none."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            head = f"```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n"
            source[0] += "\n" + head + "\n".join(pages) + "\n```\n"


def _docstring(
    app: Any, kind: str, name: str, value: object, options: Any, lines: list[str]
) -> None:
    lines[:] = api.as_rst("\n".join(lines)).splitlines()


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer of mathematics, and what is written or rewritten on the way."""
    app.add_html_math_renderer("mathml", (_inline_math, None), (_math_block, None))
    app.connect("builder-inited", _write_api)
    app.connect("source-read", _add_contents)
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # before napoleon's
    return {"parallel_read_safe": True, "parallel_write_safe": True}
