"""Python calls with values that nobody should give: a result or an `UndriftError`, nothing else."""

from __future__ import annotations

import inspect
import math
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, TextIO

import numpy as np
import torch
from tests.fuzz.case import Case
from tests.fuzz.seeds import CLASSES, SIDE, Seeds

LONGEST_MESSAGE = 5000
"""Characters of an error's one line; a value that is given may be long, its echo may not."""


@dataclass(frozen=True)
class Call:
    """A public function and arguments that it accepts.

    Attributes:
        name: for people.
        function: returns it; called in the child.
        arguments: valid ones, by name, made in the child.
        names: all parameters that it has.
        needs: the inputs that the arguments name.
    """

    name: str
    function: Callable[[], Callable[..., Any]]
    arguments: Callable[[], dict[str, Any]]
    names: tuple[str, ...]
    needs: tuple[str, ...] = ("run",)


def call_case(seeds: Seeds, draw: Random) -> Case:
    """A valid call of which one to three arguments are replaced."""
    call = draw.choice(calls())
    table = values()
    changes = {
        draw.choice(call.names): draw.choice(list(table))
        for _ in range(draw.choice((1, 1, 1, 2, 3)))
    }
    changes = {name: said for name, said in changes.items() if not _long(name, said)}
    given = ", ".join(f"{name}={said}" for name, said in changes.items())
    quoted = re.findall(r"'([^']*)'", given)

    def prepare(folder: Path) -> str:
        seeds.copy_named((*call.needs, *quoted), folder)
        (folder / "mine").mkdir()
        (folder / "mine" / "note.txt").write_text("mine\n")
        return ""

    def act(trace: TextIO) -> int:
        function, arguments = call.function(), call.arguments()
        known = values()
        arguments |= {name: known[said]() for name, said in changes.items()}
        return _called(function, arguments, trace)

    return Case(f"call / {call.name}", f"{call.name}({given})", prepare, act)


def _called(function: Callable[..., Any], arguments: dict[str, Any], trace: TextIO) -> int:
    from undrift.errors import UndriftError

    try:
        function(**arguments)
    except UndriftError as error:
        if len(str(error).splitlines()) == 1 and len(str(error)) <= LONGEST_MESSAGE:
            return error.exit_code
        traceback.print_exc(file=trace)
        print(f"a message of {len(str(error))} characters", file=trace)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            return 2  # Python's own: an argument that is missing or not known
        traceback.print_exc(file=trace)
    except Exception:
        traceback.print_exc(file=trace)
    else:
        return 0
    trace.flush()
    return 1


def calls() -> list[Call]:
    """Every public function and method."""
    import undrift
    from undrift.pipelines import DiffusionPipeline, GANPipeline

    names = {
        name: _parameters(getattr(undrift, name))
        for name in (
            *("train", "distill", "adapt", "evaluate", "bits_per_dim", "compare", "curve"),
            "tune_sampler",
        )
    }
    figures = {"n": 10, "metrics": "fd", "features": "pixels"}
    short = {"images": 16, "bare": True, "threads": 1}
    found = [
        Call("train", lambda: undrift.train, lambda: {"config": "diffusion.yaml", "out": "out"},
             ("source", "out", "config", "network", "progress", "callback"), ("diffusion.yaml",)),
        Call("train", lambda: undrift.train,
             lambda: {"source": "classes", "steps": -1, "out": "out"}, names["train"],
             ("classes",)),
        Call("distill", lambda: undrift.distill,
             lambda: {"target": "run", "out": "out", **short}, names["distill"]),
        Call("adapt", lambda: undrift.adapt,
             lambda: {"target": "run", "lora": 2, "out": "out", **short}, names["adapt"]),
        Call("evaluate", lambda: undrift.evaluate,
             lambda: {"target": "samples", "reference": "images.npz", **figures}, names["evaluate"],
             ("samples", "images.npz")),
        Call("evaluate", lambda: undrift.evaluate,
             lambda: {"target": "run", "steps": 2, **figures}, names["evaluate"]),
        Call("bits_per_dim", lambda: undrift.bits_per_dim,
             lambda: {"target": "run", "n": 2, "points": 2}, names["bits_per_dim"]),
        Call("compare", lambda: undrift.compare,
             lambda: {"data": "classes", "out": "out", "images": 8, "seeds": 0}, names["compare"],
             ("classes",)),
        Call("curve", lambda: undrift.curve,
             lambda: {"target": "run", "samplers": "euler", "nfe": [2], **figures}, names["curve"]),
        Call("tune_sampler", lambda: undrift.tune_sampler,
             lambda: {"target": "run", "steps": [2], "samples": 32}, names["tune_sampler"]),
        Call("data.load", lambda: undrift.data.load, lambda: {"source": "classes"},
             _parameters(undrift.data.load), ("classes",)),
        Call("from_pretrained", lambda: undrift.Pipeline.from_pretrained,
             lambda: {"directory": "run/pipeline"}, ("directory", "network")),
        Call("ImageSet.split", lambda: undrift.data.load("classes").split,
             lambda: {"name": "train"}, ("name",), ("classes",)),
        Call("Samples.save", lambda: _drawn().save, lambda: {"directory": "new"},
             ("directory", "npz"), ("gan",)),
        Call("Samples.grid", lambda: _drawn().grid, lambda: {"columns": 2}, ("columns",),
             ("gan",)),
    ]  # fmt: skip
    for kind, folder in ((DiffusionPipeline, "run"), (GANPipeline, "gan")):
        bound = _bound(folder)
        soon = {"steps": 2} if folder == "run" else {}
        search = {"steps": 2} if folder == "run" else {"iterations": 1}
        found += [
            Call(f"{folder}()", bound("__call__"), lambda soon=soon: {"n": 2, **soon},
                 _parameters(kind.__call__), (folder,)),
            Call(f"{folder}()", bound("__call__"), lambda soon=soon: {"n": 2, **soon},
                 _parameters(kind.__call__), (folder,)),
            Call(f"{folder}.inpaint", bound("inpaint"),
                 lambda search=search: {"images": _images(), "mask": _mask(), **search},
                 _parameters(kind.inpaint), (folder,)),
            Call(f"{folder}.edit", bound("edit"),
                 lambda: {"images": _images(), "strength": 0.5, "steps": 2},
                 _parameters(kind.edit), (folder,)),
            Call(f"{folder}.to", bound("to"), lambda: {"device": "cpu"}, ("device",),
                 (folder,)),
            Call(f"{folder}.save_pretrained", bound("save_pretrained"),
                 lambda: {"directory": "new"}, ("directory",), (folder,)),
        ]  # fmt: skip
    return found


def _bound(folder: str) -> Callable[[str], Callable[[], Callable[..., Any]]]:
    """A function that returns a method of the pipeline of a run, which is loaded for it."""

    def of(name: str) -> Callable[[], Callable[..., Any]]:
        def get() -> Callable[..., Any]:
            from undrift import Pipeline

            return getattr(Pipeline.from_pretrained(f"{folder}/pipeline"), name)

        return get

    return of


def _drawn() -> Any:
    from undrift import Pipeline

    return Pipeline.from_pretrained("gan/pipeline")(2)


def _images() -> np.ndarray:
    return np.full((2, SIDE, SIDE, 1), 100, np.uint8)


def _mask() -> np.ndarray:
    return np.arange(SIDE * SIDE).reshape(SIDE, SIDE) < SIDE * SIDE // 2


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    )


def _long(name: str, said: str) -> bool:
    """Whether the value is a sound one that makes work of hours, or an error of its own."""
    if name in ("on_progress", "callback") and said == "int":
        return True  # what a caller's own function raises is the caller's
    return said in ("2**31", "10**6") and name not in (
        "seed",
        "threads",
        "device",
        "levels",
        "size",
    )


class Odd:
    """An object of no use."""


def values() -> dict[str, Callable[[], Any]]:
    """Values of every type, by how they are written."""
    looped: list[Any] = []
    looped.append(looped)
    plain: tuple[Any, ...] = (
        None, True, False, 0, 1, 2, -1, 3.0, 0.5, -1.5, "", "0", "gpu", "cuda:99", "cpu", "meta",
        "ant", "all", "\x00", "a\nb", "\x1b[31m", "\udcff", "nonexistent/x", "run", "classes",
        "mine", "mine/note.txt", "/dev/full", "karras", "dynamic", "euler", b"x", b"\xff", (), [],
        {}, set(), [1], (1, 2), ["ant"], ["ant", 1], [None], [[1]], [1.5], {"a": 1}, {1},
        frozenset({"ant"}), range(3), range(0), 1j, ..., NotImplemented,
    )  # fmt: skip
    named: dict[str, Callable[[], Any]] = {
        repr(value): lambda value=value: value for value in plain
    }
    return named | {
        "2**31": lambda: 2**31,
        "2**63": lambda: 2**63,
        "-2**63": lambda: -(2**63),
        "10**400": lambda: 10**400,
        "10**6": lambda: 10**6,
        "1e308": lambda: 1e308,
        "5e-324": lambda: 5e-324,
        "nan": lambda: math.nan,
        "inf": lambda: math.inf,
        "-inf": lambda: -math.inf,
        "'x' * 10**5": lambda: "x" * 10**5,
        "['ant'] * 10**5": lambda: ["ant"] * 10**5,
        "object()": object,
        "Odd()": Odd,
        "Odd": lambda: Odd,
        "int": lambda: int,
        "a function": lambda: _images,
        "a looped list": lambda: looped,
        "iter": lambda: iter(["ant", "bee"]),
        "a generator": lambda: (name for name in CLASSES),
        "Decimal('NaN')": lambda: Decimal("NaN"),
        "Decimal(2)": lambda: Decimal(2),
        "Fraction(1, 2)": lambda: Fraction(1, 2),
        "Path('run')": lambda: Path("run"),
        "Path('/dev/zero')": lambda: Path("/dev/zero"),
        "Path('a' * 300)": lambda: Path("a" * 300),
        "bytearray": lambda: bytearray(b"abc"),
        "np.int64(2)": lambda: np.int64(2),
        "np.uint8(2)": lambda: np.uint8(2),
        "np.float32(0.5)": lambda: np.float32(0.5),
        "np.float64('nan')": lambda: np.float64("nan"),
        "np.bool_(True)": lambda: np.bool_(True),
        "np.str_('ant')": lambda: np.str_("ant"),
        "np.array(1)": lambda: np.array(1),
        "np.array([0, 1])": lambda: np.array([0, 1]),
        "np.array([0., 1.])": lambda: np.array([0.0, 1.0]),
        "np.array(['ant', 'bee'])": lambda: np.array(["ant", "bee"]),
        "np.array([object()])": lambda: np.array([object(), None]),
        "np.zeros((2, 2))": lambda: np.zeros((2, 2)),
        "np.zeros((0, 8, 8, 1))": lambda: np.zeros((0, SIDE, SIDE, 1), np.uint8),
        "np.zeros((2, 8, 8, 1))": lambda: np.zeros((2, SIDE, SIDE, 1), np.uint8),
        "np.zeros((2, 8, 8, 3))": lambda: np.zeros((2, SIDE, SIDE, 3), np.uint8),
        "np.full((2, 8, 8, 1), nan)": lambda: np.full((2, SIDE, SIDE, 1), np.nan),
        "np.ones((8, 8), bool)": lambda: np.ones((SIDE, SIDE), bool),
        "np.ones((8, 8))": lambda: np.ones((SIDE, SIDE)),
        "np.ones((3, 8, 8), bool)": lambda: np.ones((3, SIDE, SIDE), bool),
        "np.zeros(8, 'M8[D]')": lambda: np.zeros(8, "M8[D]"),
        "torch.tensor(1)": lambda: torch.tensor(1),
        "torch.tensor([0, 1])": lambda: torch.tensor([0, 1]),
        "torch.tensor([nan])": lambda: torch.tensor([math.nan]),
        "torch.zeros(2, 8, 8, 1)": lambda: torch.zeros(2, SIDE, SIDE, 1, dtype=torch.uint8),
        "torch.ones(8, 8, bool)": lambda: torch.ones(SIDE, SIDE, dtype=torch.bool),
        "torch.zeros(2, device='meta')": lambda: torch.zeros(2, device="meta"),
        "torch.float16": lambda: torch.float16,
        "torch.device('meta')": lambda: torch.device("meta"),
        "torch.nn.Linear(2, 2)": lambda: torch.nn.Linear(2, 2),
        "a Generator": lambda: np.random.default_rng(0),
    }
