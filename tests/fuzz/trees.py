"""Ways to damage JSON, YAML and tables: other values, keys and shapes of what is a tree."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import yaml
from tests.fuzz.bytewise import damaged

LONG_NAME = "n" * 300


class Raw(str):
    """Text that goes into a JSON or YAML file as it is."""


DEEP = Raw("[" * 2000 + "]" * 2000)
DEEPER = Raw('{"a":' * 100_000 + "0" + "}" * 100_000)
NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 0.5, -0.0, 2**31, 2**63, 10**30, -(10**30), 1e308, 1e-320,
    Raw("1e999"), Raw("-1e999"), Raw("NaN"), Raw("Infinity"), Raw("9" * 5000), Raw("0x10"),
)  # fmt: skip
STRINGS: tuple[Any, ...] = (
    "", " ", "a", "\x00", "\x1b[31m\x1b]0;title\x07", "a\nb\r\n", "x" * 100_000, "$x_$ {a} %s \\",
    "../guard/secret.txt", "/etc/passwd", "../../..", ".", "C:\\x", "caf\u0065\u0301",
    "\u202e\ufeff",
    Raw('"\\ud800"'), Raw('"\\u0000"'), "auto", "mlp", "none", "nan", "1", "-1", "\U0001f642",
    LONG_NAME,
    "<script>alert(1)</script>", "module:function", "os:system",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": None}, [None] * 3, DEEP, DEEPER)
ONLY_YAML: tuple[Any, ...] = (
    Raw("2001-01-01"),
    Raw("2001-99-99"),
    Raw("12:30:45"),
    Raw("0o17"),
    Raw(".nan"),
    Raw("-.inf"),
    Raw("!!python/object/apply:os.system ['touch pwned']"),
    Raw("!!python/name:os.system"),
    Raw("!!binary aGVsbG8="),
    Raw("!!set {a, b}"),
    Raw("!!timestamp x"),
    Raw("!!int x"),
    Raw("!!float x"),
    Raw("!!bool x"),
    Raw("!!null x"),
    Raw("!!omap [a]"),
    Raw("!unknown 1"),
    Raw("*nowhere"),
    Raw("&a [*a]"),
    Raw("{<<: 1}"),
    Raw("{? [a, b] : c}"),
    Raw("{1: 2, null: 3, 1.5: 4}"),
    Raw("="),
    Raw("yes"),
)


def tree_damaged(tree: Any, draw: Random, extra: tuple[Any, ...] = ()) -> Any:
    """A copy of ``tree``, made of dicts, lists and values, with one to three nodes changed."""
    tree = _copied(tree)
    holder = [tree]
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        owner, key = draw.choice(list(_places(holder)))
        _change(owner, key, draw, extra)
    return holder[0]


def _copied(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copied(value) for key, value in node.items()}
    return [_copied(value) for value in node] if isinstance(node, list) else node


def _places(node: Any) -> Any:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _change(owner: Any, key: Any, draw: Random, extra: tuple[Any, ...]) -> None:
    old = owner[key]
    kind = draw.random()
    if kind < 0.6:
        likely = NUMBERS if isinstance(old, int | float) else STRINGS
        tables = (likely, likely, NUMBERS, STRINGS, OTHERS, OTHERS, extra or OTHERS)
        owner[key] = draw.choice(draw.choice(tables))
    elif kind < 0.7:
        owner[key] = draw.choice(
            ([old], {"value": old}, str(old), [old, old], {str(old)[:50]: old})
        )
    elif isinstance(owner, list):
        more = draw.choice(([], [old], [old] * 3, [old] * 10_000, list(reversed(owner))))
        owner[key : key + 1] = more
        if not owner:
            owner.append(old)
    elif kind < 0.85:
        del owner[key]
        if not owner or kind < 0.8:
            owner[draw.choice(("", "x", "__class__", str(key) + "s", str(key).upper(), "kind"))] = (
                old
            )
    else:
        owner[draw.choice(("", "unknown", "x" * 1000, "kind", "\x1b[31m"))] = draw.choice(
            draw.choice((NUMBERS, STRINGS, OTHERS))
        )


def to_json(node: Any, draw: Random | None = None) -> str:
    """JSON in which `Raw` stands as it is; with ``draw``, a key is doubled now and then."""
    if isinstance(node, Raw):
        return str(node)
    if isinstance(node, dict):
        items = [f"{json.dumps(str(k))}: {to_json(v, draw)}" for k, v in node.items()]
        if draw is not None and items and draw.random() < 0.02:
            items.append(draw.choice(items))
        return "{" + ", ".join(items) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(to_json(value, draw) for value in node) + "]"
    return json.dumps(node)


def json_damaged(data: bytes, draw: Random) -> bytes:
    """JSON with another tree, or damaged as bytes."""
    if draw.random() < 0.2:
        return damaged(data, draw)
    tree = tree_damaged(json.loads(data), draw)
    return to_json(tree, draw).encode("utf-8", "surrogatepass")


def jsonl_damaged(data: bytes, draw: Random) -> bytes:
    """Lines of JSON of which one has another tree, or damaged as bytes."""
    if draw.random() < 0.2:
        return damaged(data, draw)
    lines = data.split(b"\n")
    at = draw.randrange(len(lines) - 1)
    lines[at] = to_json(tree_damaged(json.loads(lines[at]), draw), draw).encode()
    if draw.random() < 0.2:
        lines.insert(draw.randrange(len(lines)), draw.choice(lines))
    return b"\n".join(lines)


def yaml_damaged(data: bytes, draw: Random) -> bytes:
    """YAML with another tree, or what only YAML can do."""
    if draw.random() < 0.15:
        return damaged(data, draw)
    if draw.random() < 0.1:
        return draw.choice(
            (_aliases(), data + data, b"--- \n" + data + b"---\n" + data, b"%YAML 9.9\n")
        )
    tree = tree_damaged(yaml.safe_load(data), draw, ONLY_YAML)
    return to_json(tree, draw).encode("utf-8", "surrogatepass")


def _aliases() -> bytes:
    """The billion laughs."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    return ("\n".join(lines) + "\ndata: *a11\nmodel: *a11\ntraining: *a11\n").encode()


def csv_damaged(data: bytes, draw: Random) -> bytes:
    """A table with other cells, or damaged as bytes."""
    if draw.random() < 0.3:
        return damaged(data, draw)
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = draw.choice(rows)
    row[draw.randrange(len(row))] = draw.choice(
        (
            "",
            '"',
            '"a\nb"',
            "x" * 200_000,
            "../guard/secret.txt",
            "\x00",
            "nan",
            "\x1b[31m",
            "é",
            "a,b",
            "=1+1",
            "//",
        )
    )
    if draw.random() < 0.3:
        rows[draw.randrange(len(rows))] = draw.choice(([], [""], [","], ["a"] * 50, rows[0]))
    return "\r\n".join(",".join(row) for row in rows).encode()
