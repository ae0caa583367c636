"""YAML as plain data: mappings, lists, text, numbers, booleans and null, and nothing else.

A file of two kilobytes can say a list of billions by anchors and aliases, and tags can name any
type; a configuration needs neither. So the values are built from the parser's events, one by one,
and whatever else comes is refused: anchors, aliases, tags, a key twice, a list as a key, a second
document, more levels than `undrift.files.reading.DEEPEST`. Keys are text, and so are dates.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import yaml

from undrift.errors import one_line, shortened, shown
from undrift.files.reading import DEEPEST, Failure, integer, read_bytes
from undrift.json_types import JsonObject, JsonValue

LARGEST = 16 * 2**20
"""Bytes; a YAML file above this is refused unread."""

MOST_VALUES = 300_000
"""Values and keys; a run of 100,000 classes has two thirds of them."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where PyYAML was built with it
_TAG = "tag:yaml.org,2002:"
_SCALARS = ("str", "timestamp", "value", "merge")
"""Types of plain scalars that are taken as the text that they are."""


def read_yaml(path: str | os.PathLike[str], error: Failure, advice: str) -> JsonValue:
    """What a YAML file says.

    Raises:
        UndriftError: an ``error``: it cannot be read, or is not YAML as this module reads it.
    """
    return parse_yaml(read_bytes(path, error, advice, limit=LARGEST), str(path), error, advice)


def parse_yaml(data: bytes, where: str, error: Failure, advice: str) -> JsonValue:
    """What YAML says, None for an empty text.

    Args:
        data: the text.
        where: where it came from; the message starts with it.
        error: the class of error to raise.
        advice: what to do; the message ends with it.

    Raises:
        UndriftError: an ``error``: not YAML, or YAML that this module does not read.
    """
    try:
        return _document(yaml.parse(data.decode("utf-8-sig"), Loader=_LOADER))
    except (yaml.YAMLError, ValueError) as fault:
        reason = one_line(fault).replace(' in "<unicode string>"', "")
        raise error(f"{where}: not YAML ({reason}); {advice}") from fault


def _document(events: Iterator[Any]) -> JsonValue:
    builder = _Builder()
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refused("there is a second document", event)
        elif isinstance(event, yaml.NodeEvent):
            builder.add(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            builder.end()
    return builder.value


class _Builder:
    """Puts the values of events together.

    Attributes:
        value: the whole, once all events were added.
    """

    def __init__(self) -> None:
        self.value: JsonValue = None
        self._open: list[list[JsonValue] | _Mapping] = []
        self._count = 0
        self._constructor = yaml.constructor.SafeConstructor()
        self._resolver = yaml.resolver.Resolver()

    def add(self, event: Any) -> None:  # noqa: ANN401 - an event of a node; no stub has its tag
        """Take in a scalar, or the beginning of a list or mapping."""
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused("anchors and aliases are not read, write the value out", event)
        if event.tag is not None and event.tag not in ("!", f"{_TAG}str"):
            raise _refused(f"tags such as {shown(event.tag)} are not read", event)
        self._count += 1
        if self._count > MOST_VALUES:
            raise _refused(f"more than {MOST_VALUES:,} values", event)
        if isinstance(event, yaml.ScalarEvent):
            key = self._open and isinstance(self._open[-1], _Mapping) and self._open[-1].wants_key
            self._place(event.value if key else self._scalar(event), event)
            return
        if len(self._open) == DEEPEST:
            raise _refused("nested too deeply", event)
        if self._open and isinstance(self._open[-1], _Mapping) and self._open[-1].wants_key:
            raise _refused("a key is a list or a mapping", event)
        self._open.append([] if isinstance(event, yaml.SequenceStartEvent) else _Mapping())

    def end(self) -> None:
        """Close the list or mapping that was begun last."""
        closed = self._open.pop()
        self._place(closed.found if isinstance(closed, _Mapping) else closed, None)

    def _place(self, value: JsonValue, event: yaml.NodeEvent | None) -> None:
        if not self._open:
            self.value = value
        elif isinstance(self._open[-1], _Mapping):
            self._open[-1].add(value, event)
        else:
            self._open[-1].append(value)

    def _scalar(self, event: yaml.ScalarEvent) -> JsonValue:
        text = event.value
        if event.tag is not None or not event.implicit[0]:
            return text
        kind = self._resolver.resolve(yaml.ScalarNode, text, (True, False)).removeprefix(_TAG)
        if kind in _SCALARS:
            return text
        try:
            if kind == "int" and text.lstrip("+-").isdecimal():
                integer(text)  # no number of thousands of digits
            return getattr(self._constructor, f"construct_yaml_{kind}")(
                yaml.ScalarNode(_TAG + kind, shortened(text, 200))
            )
        except ValueError as fault:
            raise _refused(one_line(fault), event) from fault


class _Mapping:
    """A mapping that is being read: key and value take turns."""

    def __init__(self) -> None:
        self.found: JsonObject = {}
        self.wants_key = True
        self._key = ""

    def add(self, value: JsonValue, event: yaml.NodeEvent | None) -> None:
        """Take in a key, or the value of the last one."""
        if self.wants_key:
            self._key = str(value)
            if self._key in self.found:
                raise _refused(f"the key {shown(value)} appears twice", event)
        else:
            self.found[self._key] = value
        self.wants_key = not self.wants_key


def _refused(problem: str, event: yaml.Event | None) -> yaml.MarkedYAMLError:
    mark = None if event is None else event.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
