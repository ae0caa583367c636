"""Errors and warnings name only flags that the command which is running has."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.reach import Place, code, reached, sources

import undrift
from undrift import advice
from undrift.cli.arguments import arguments_of
from undrift.cli.dispatch import VERBS, main
from undrift.errors import DataError, UsageError

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b")
COMMAND = re.compile(
    r"undrift ([a-z-]+)((?: [A-Z{][\w{}]*)*)((?: --?[a-z-]+(?: [A-Z{][\w{}/.]*)?)*)"
)
ANYWHERE = {"--help", "--debug", "--version"}


def module_of(verb: str) -> str:
    return f"undrift.cli.{verb.replace('-', '_')}"


@cache
def flags_of(verb: str) -> frozenset[str]:
    """What ``verb`` takes; of the actions of `runs` together."""
    module = importlib.import_module(module_of(verb))
    commands = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and dataclasses.is_dataclass(thing)
        and thing.__module__ == module.__name__
    ]
    return frozenset().union(*(arguments_of(command)[0] for command in commands)) | ANYWHERE


def written(node: ast.AST) -> str | None:
    """The text of a string, ``{}`` in the place of what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(written(part) or "{}" for part in node.values)
    return None


@cache
def sentences(place: Place) -> tuple[str, ...]:
    """Texts in the code at ``place`` that name a flag and are no mere flag."""
    parts, found = set(), []
    nodes = list(code(sources().definitions[place]))
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "possible":  # which chooses; the last is for everyone
                parts |= {id(hint) for hint in node.args[:-1]}
    for node in nodes:
        text = written(node) if id(node) not in parts else None
        if text and " " in text and FLAG.search(text) and not place[0].endswith("report.figure"):
            found.append(text)
    return tuple(found)


def misplaced(text: str, flags: frozenset[str]) -> set[str]:
    """Flags that ``text`` advises and a command with ``flags`` has not.

    What begins with a flag answers that flag: a command without it never says so. A command in the
    text is another one, which has its own.
    """
    begins = FLAG.match(text)
    if begins and begins[0] not in flags:
        return set()
    return set(FLAG.findall(COMMAND.sub("", text))) - flags


@pytest.mark.parametrize("verb", VERBS)
def test_advice_names_flags_that_the_command_has(verb):
    found = {
        f"{place[0]}.{place[1]}: {text}": sorted(flags)
        for place in reached((module_of(verb), "run"))
        for text in sentences(place)
        if (flags := misplaced(text, flags_of(verb)))
    }
    assert found == {}


def commands() -> Iterator[tuple[str, str, str]]:
    for place in sources().definitions:
        for node in code(sources().definitions[place]):
            for verb, _, words in COMMAND.findall(written(node) or ""):
                if verb in VERBS:
                    yield f"{place[0]}.{place[1]}", verb, words


def test_commands_in_texts_have_the_flags_that_they_are_given():
    found = list(commands())
    assert len(found) > 20
    for place, verb, words in found:
        wrong = set(re.findall(r"--?[a-z-]+", words)) - flags_of(verb)
        assert not wrong, f"{place}: undrift {verb} has no {wrong}"


def test_the_search_finds_what_a_command_reaches():
    inspect = reached((module_of("inspect"), "run"))
    assert ("undrift.data.loading", "load") in inspect
    assert ("undrift.workflows.train", "train_run") not in inspect
    train = reached((module_of("train"), "run"))
    assert ("undrift.training.guards", "NonFiniteGuard.check") in train  # a method of an attribute
    assert ("undrift.training.loop", "Trainer.run") in train
    assert misplaced("too many; raise --bad-limit", flags_of("inspect")) == {"--bad-limit"}
    assert misplaced("too many; raise --bad-limit", flags_of("train")) == set()
    assert misplaced("--extend: not finished; leave --extend out", flags_of("inspect")) == set()
    assert misplaced("see `undrift train DATA --bad-limit X`", flags_of("inspect")) == set()


# --- what is printed ---------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Forty images of 8 x 8, of which ten are torn."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    for i in range(40):
        Image.fromarray(np.full((8, 8), 6 * i, np.uint8)).save(folder / f"{i}.png")
    for i in range(10):
        (folder / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    monkeypatch.chdir(tmp_path)
    return "damaged"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(list(words))
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_bad_limit_is_advised_by_training_alone(damaged, capsys):
    refused = "10 of 40 images in 'damaged' cannot be used, the limit is 5%"
    assert re.search(
        f"{refused}.*: remove them or raise --bad-limit", said(capsys, "train", damaged)
    )
    np.savez("a.npz", images=np.zeros((12, 8, 8, 1), np.uint8))
    text = said(capsys, "evaluate", "a.npz", "--reference", damaged, "--n", "12")
    assert refused in text and text.endswith(": remove them\n")
    with pytest.raises(DataError, match="remove them or raise bad_limit"):  # Python has it
        undrift.data.load(damaged)


def test_inspect_says_what_training_would_take(damaged, capsys):
    text = said(capsys, "inspect", damaged)
    limit = re.search(r"25% of the images .* it takes undrift train --bad-limit (\S+)", text)
    assert limit is not None, text
    assert len(undrift.data.load(damaged, bad_limit=float(limit[1]))) == 30
    with pytest.raises(DataError):
        undrift.data.load(damaged, bad_limit=float(limit[1]) - 0.01)


def test_where_nothing_can_be_used_no_limit_is_advised(damaged, capsys):
    for path in Path(damaged).iterdir():
        path.write_bytes(b"\x89PNG\r\n\x1a\n torn")
    for words in (["inspect", damaged], ["train", damaged], ["train", damaged, "--bad-limit", "1"]):
        text = said(capsys, *words)
        assert "none of 40 images" in text and "limit" not in text


def test_a_run_of_a_cuda_device_is_not_told_to_give_a_device(tmp_path, monkeypatch, capsys):
    """Its settings are its own: --device beside it would be refused."""
    text = said(capsys, "train", "digits", "--steps", "1", "--device", "cpu", "--print-config")
    assert "device: cpu" in text
    config = tmp_path / "config.yaml"
    config.write_text(text.replace("device: cpu", "device: cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    text = said(capsys, "train", "--config", str(config), "--out", str(tmp_path / "again"))
    assert "was configured for a CUDA device, and torch sees none here" in text
    assert "--device" not in text and "device: cpu in a copy of its config.yaml" in text
    assert "use --device cpu" in said(capsys, "train", "digits", "--device", "cuda")


def test_a_demo_is_told_what_a_demo_can_do():
    with advice.command():
        advice.takes({"out": "--out"})
        assert advice.possible("a smaller {size} or {batch_size}", "more time") == "more time"
        assert advice.possible("another {out}", "more time") == "another --out"
    assert advice.possible("a smaller {size}", "more time") == "a smaller size"


def test_a_parameter_is_named_as_the_user_knows_it():
    assert advice.named("reference_n") == "reference_n"
    with advice.command():
        advice.takes({"reference_n": "--reference-n"})
        assert advice.named("reference_n") == "--reference-n"
        assert advice.named("another") == "another"
    assert advice.named("reference_n") == "reference_n"


def test_one_check_names_the_flag_and_the_keyword(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = said(capsys, "evaluate", "a.npz", "--reference-n", "0")
    assert "undrift: --reference-n 0: wanted a whole number of at least 1" in text
    with pytest.raises(UsageError, match="^reference_n 0: wanted a whole number of at least 1$"):
        undrift.evaluate("a.npz", reference_n=0)
