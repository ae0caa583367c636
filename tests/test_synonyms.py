"""Every name of another tool stands for one that is here, and takes none of ours."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

import undrift
from undrift import synonyms
from undrift.cli.dispatch import VERBS, main
from undrift.cli.runs import ACTIONS
from undrift.errors import UsageError
from undrift.families import FAMILIES
from undrift.metrics.catalogue import METRICS
from undrift.metrics.features.choose import _NAMES as FEATURES
from undrift.names import nearest, plain
from undrift.sampling import ADAPTIVE, GRIDS, SAMPLERS

COMMANDS = [
    thing
    for verb in VERBS
    for thing in vars(importlib.import_module(f"undrift.cli.{verb.replace('-', '_')}")).values()
    if is_dataclass(thing) and isinstance(thing, type)
]


def settings():
    return {field.name for command in COMMANDS for field in fields(command)}


def choices():
    hints = [hint for command in COMMANDS for hint in get_type_hints(command).values()]
    parts = [part for hint in hints for part in (hint, *get_args(hint))]
    listed = {str(c) for part in parts if get_origin(part) is Literal for c in get_args(part)}
    return listed | {method for family in FAMILIES for method in family.methods}


@pytest.mark.parametrize(
    ("elsewhere", "ours"),
    [
        (synonyms.VERBS, set(VERBS)),
        (synonyms.ACTIONS, set(ACTIONS)),
        (synonyms.SETTINGS, settings()),
        (synonyms.CHOICES, choices()),
        (synonyms.METRICS, {*METRICS, "quick", "all"}),
        (synonyms.FEATURES, set(FEATURES)),
        (synonyms.SAMPLERS, {*SAMPLERS, *ADAPTIVE}),
        (synonyms.GRIDS, set(GRIDS)),
    ],
    ids=["verbs", "actions", "settings", "choices", "metrics", "features", "samplers", "grids"],
)
def test_each_stands_for_one_of_ours(elsewhere, ours):
    assert set(elsewhere.values()) - ours == set()
    for given, meant in elsewhere.items():
        if plain(given) not in map(plain, ours):
            assert nearest(given.upper(), ours, elsewhere) == meant


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("generate r", "sample"),
        ("fid r", "evaluate"),
        ("ls", "runs"),
        ("runs delete r", "rm"),
        ("sample r --solver euler", "--sampler"),
        ("sample r --cfg-scale 2", "--guidance"),
        ("sample r --num-inference-steps 5", "--steps"),
        ("train digits --resolution 32", "--size"),
        ("train digits --learning-rate 1", "--lr"),
        ("train digits --output_dir r", "--out"),
        ("train digits --method stylegan", "stylegan2"),
        ("train digits --method gan", "r3gan"),
        ("train digits --network dit", "transformer"),
        ("train digits --precision bf16", "bfloat16"),
        ("train digits --device gpu", "cuda"),
    ],
)
def test_the_command_line_knows_them(words, meant, capsys):
    assert main(words.split()) == 2
    assert f"did you mean {meant}" in capsys.readouterr().err.replace("'", "")


@pytest.mark.parametrize(
    ("setting", "given", "meant"),
    [
        ("method", "stylegan", "stylegan2"),
        ("network", "DiT", "transformer"),
        ("precision", "bf16", "bfloat16"),
        ("fit", "cropp", "crop"),
    ],
)
def test_calls_know_them(setting, given, meant):
    with pytest.raises(UsageError, match=f"{setting} .*wanted .*; did you mean '?{meant}"):
        undrift.train("digits", **{setting: given})
    with pytest.raises(UsageError, match="unknown setting 'lr'; did you mean 'learning_rate'"):
        undrift.train("digits", lr=1.0)


def test_only_what_there_is_is_suggested():
    assert nearest("solver", ["steps", "sampler"], synonyms.SETTINGS) == "sampler"
    assert nearest("solver", ["steps", "seed"], synonyms.SETTINGS) is None


def test_one_look_up_finds_near_names():
    sources = Path(synonyms.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "difflib" in path.read_text()] == ["names.py"]
