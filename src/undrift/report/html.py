"""How templates become HTML: text is escaped, and made printable before."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from undrift.names import printable


def template(package: str, name: str) -> Template:
    """The template ``name`` that lies in ``package``; it fails on what it lacks."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_shown
    )
    return environment.from_string(source(package, name))


def source(package: str, name: str) -> str:
    """A file that lies in ``package``."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _shown(value: object) -> object:
    """A name that turns the direction of writing would do so with the page around it."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(printable, value.split("\n")))
