"""The command that is printed last can be typed, and works on the same things as the one before."""

from __future__ import annotations

import ast
import dataclasses
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin

import pytest
from tests.cli.reach import code, sources
from tests.cli.test_advice import flags_of
from tests.report.fake_run import make_run

from undrift.cli import (
    compare,
    curve,
    edit,
    evaluate,
    inpaint,
    inspect,
    likelihood,
    sample,
    train,
    tune_sampler,
)
from undrift.cli.arguments import arguments_of
from undrift.cli.console import following
from undrift.cli.dispatch import VERBS, main
from undrift.cli.flags import numbered, parse

ODD = {
    **{"size": "24x16", "background": "#123456", "ema": 0.05, "budget": "1m", "mask": "left"},
    **{"metrics": ("fd",), "methods": ("diffusion",), "nfe": (4,), "samplers": ("euler",)},
    **{
        "numbers": ("angle=0.3",),
        "labels": ("0", "two words"),
        "prompt": ("a red apple",),
        "guidance_interval": (0.3, 5.0),
        "maps": ("edges",),
        "adapter": ("style:0.5",),
        "steps": 7,
        "threads": 1,
        "levels": 17,
        "parameters": "0.5M",
    },
}
"""Values of flags that take only some; of those that exclude others, None."""

OUTSIDE = {
    *("config", "resume", "print_config", "dry_run", "quiet", "weights", "slurm_partition"),
    *("conditional", "extend"),
}
"""What has nothing to do with what is made, or would be another command."""


def every_flag(command: type, **changes: object) -> Any:
    """``command`` with every flag set to something that is not its default."""
    values: dict[str, object] = {}
    flags, places = arguments_of(command)
    defaults = {field.name: field.default for field in dataclasses.fields(command)}
    for argument in (*flags.values(), *places):
        name, wanted = argument.field, argument.wanted
        if name in OUTSIDE:
            continue
        if get_origin(wanted) is Literal:
            values[name] = next(c for c in reversed(get_args(wanted)) if c != defaults[name])
        elif wanted is bool:
            values[name] = True
        else:
            values[name] = ODD.get(name, {int: 11, float: 0.3}.get(wanted, f"some {name}"))
        assert values[name] != defaults[name]
    return command(**{**values, **changes})


REPORT = SimpleNamespace(count=30, set_aside=[None] * 10)
"""Of data a quarter of which cannot be used."""

SEED = {"seed", "out", "npz"}
ONLY = {field.name for field in dataclasses.fields(sample.Sample)}

CASES: dict[str, tuple[type, Mapping[str, object], Callable[[Any], list[str]], set[str], set[str]]]
CASES = {
    # the command, flags that exclude others, what is to be typed next, what is to differ in it,
    # and what of the same name says something else there
    "inspect": (
        inspect.Inspect,
        {},
        lambda asked: ["train", *inspect._next(asked, REPORT)],
        {"out"},
        set(),
    ),
    "train": (
        train.TrainCommand,
        {"images": None, "steps": None},
        lambda asked: ["sample", *sample.drawing(asked, Path("run"))],
        set(),
        ONLY - {"device", "threads"},
    ),
    "sample": (
        sample.Sample,
        {"prompts": None},
        lambda asked: ["sample", *sample._next(asked)],
        SEED,
        set(),
    ),
    "inpaint": (
        inpaint.Inpaint,
        {"interval": None},
        lambda asked: ["inpaint", *inpaint._next(asked)],
        SEED,
        set(),
    ),
    "edit": (
        edit.Edit,
        {
            **{"strength": None, "like": None, "mask": None, "method": "diffpir"},
            **{"self_check": None, "interval": None},
        },
        lambda asked: ["edit", *edit._next(asked)],
        SEED,
        set(),
    ),
    "evaluate": (
        evaluate.EvaluateCommand,
        {},
        lambda asked: ["evaluate", *evaluate._next(asked)],
        {"against", "out", "save_reference"},
        set(),
    ),
    "likelihood": (
        likelihood.LikelihoodCommand,
        {"method": "elbo"},
        lambda asked: ["likelihood", *likelihood._next(asked)],
        {"method", "out", "per_image"},
        set(),
    ),
    "likelihood by both": (
        likelihood.LikelihoodCommand,
        {"method": "both"},
        lambda asked: ["likelihood", *likelihood._next(asked)],
        {"seed", "out", "per_image"},
        set(),
    ),
    "curve": (
        curve.CurveCommand,
        {},
        lambda asked: ["sample", *curve._next(asked, "heun", 9)],
        {"guidance"},  # a list
        {"n", "seed", "out"},
    ),
    "tune-sampler": (
        tune_sampler.TuneSamplerCommand,
        {"steps": (5, 6), "samples": 64, "aim": "images"},
        lambda asked: ["sample", *tune_sampler._next(asked, 5)],
        {"steps"},
        {"seed", "out"},
    ),
    "compare": (
        compare.CompareCommand,
        {"images": None},
        lambda asked: ["sample", *compare._next(asked, "diffusion-1m-0")],
        set(),
        {"n", "seed", "batch_size", "threads", "out", "numbers", "maps"},
    ),
}
COMMANDS = {
    **{"train": train.TrainCommand, "sample": sample.Sample, "inpaint": inpaint.Inpaint},
    "edit": edit.Edit,
    **{"evaluate": evaluate.EvaluateCommand, "likelihood": likelihood.LikelihoodCommand},
}


@pytest.mark.parametrize("case", CASES)
def test_it_parses_and_means_the_same_things(case):
    command, exclusive, following_of, changed, other = CASES[case]
    asked = every_flag(command, **exclusive)
    line = following("undrift", *following_of(asked))
    verb, *words = shlex.split(line.removeprefix("next: undrift "))  # as a shell would read it
    found = parse(COMMANDS[verb], verb, words)
    for field in dataclasses.fields(COMMANDS[verb]):
        name = field.name
        if name in OUTSIDE:
            continue
        if name in changed:
            assert getattr(found, name) != getattr(asked, name), name
        elif name in other:
            assert getattr(found, name) == field.default or name == "target", name
        elif hasattr(asked, name):
            assert getattr(found, name) == getattr(asked, name), name


def test_every_last_line_is_a_command_with_flags_that_it_has():
    """Wherever one is made, also of the verbs above."""
    found = []
    for place, definition in sources().definitions.items():
        for node in code(definition):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "following":
                found.append(place[0].removeprefix("undrift.cli."))
                words = [word.value for word in node.args if isinstance(word, ast.Constant)]
                assert words[0] == "undrift" and words[1] in VERBS
                given = {word for word in words[2:] if str(word).startswith("-")}
                assert given <= flags_of(words[1]), place
    assert {verb.replace("-", "_") for verb in VERBS} == set(found)


def test_outputs_of_the_next_command_do_not_meet_the_last_ones():
    asked = sample.Sample(target="r", out="a/drawn", npz="all-3.npz", seed=3)
    found = parse(sample.Sample, "sample", sample._next(asked))
    assert (found.seed, found.out, found.npz) == (4, "a/drawn-4", "all-4.npz")
    again = parse(sample.Sample, "sample", sample._next(found))
    assert (again.out, again.npz) == ("a/drawn-5", "all-5.npz")
    assert numbered(None, 0, 1) is None
    assert [numbered(place, 0, 1) for place in (".", "..", "/")] == ["1", "../1", "/1"]


def test_a_curve_whose_best_is_learned_leaves_the_grid_to_it():
    asked = curve.CurveCommand(target="r", grid="uniform", guidance=(2.0,))
    assert parse(sample.Sample, "sample", curve._next(asked, "heun", 5)).guidance == 2.0
    assert parse(sample.Sample, "sample", curve._next(asked, None, None, 3.0)).guidance == 3.0
    assert parse(sample.Sample, "sample", curve._next(asked, "learned", 5)).grid is None
    assert parse(sample.Sample, "sample", curve._next(asked, "euler", 5)).grid == "uniform"


def test_inspect_of_damaged_data_is_followed_by_what_trains_on_it():
    found = inspect._next(inspect.Inspect("d"), REPORT)
    assert parse(train.TrainCommand, "train", found).bad_limit == 0.25
    whole = SimpleNamespace(count=40, set_aside=[])
    assert inspect._next(inspect.Inspect("d"), whole) == ["d"]


def test_runs_stay_in_their_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert main(["runs", "list", "--root", "mine"]) == 0
    assert capsys.readouterr().out.endswith("next: undrift train digits --out mine/digits\n")
    assert main(["runs", "list"]) == 0
    assert capsys.readouterr().out.endswith("next: undrift train digits\n")
    make_run(Path("mine/run"))
    assert main(["runs", "rm", "run", "--root", "mine", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("next: undrift runs list --root mine\n")
