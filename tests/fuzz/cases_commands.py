"""Command lines: every command with its own flags, as the code declares them, and absurd values."""

from __future__ import annotations

import dataclasses
import importlib
import os
import stat
import typing
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args, get_origin

from tests.fuzz.case import Case, command
from tests.fuzz.sandbox import Console
from tests.fuzz.seeds import FROM_RUN, TRAINING, Seeds

from undrift.families.student.recipe import OBJECTIVES

THREAD = ("--threads", "1")
FIGURES = ("--n", "10", "--metrics", "fd", "--features", "pixels", *THREAD)
EDITED = ("-n", "1", "--variants", "1", "--steps", "2", *THREAD)
BASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "demo": (("--steps", "1", "--out", "out"),),
    "inspect": (("classes",), ("images.npz", "--out", "out")),
    "train": (
        ("--config", "diffusion.yaml", "--out", "out"),
        (*TRAINING, "--network", "mlp", "--print-config"),
        (*TRAINING, "--network", "mlp", "--dry-run"),
        ("classes", "--method", "dcgan", "--steps", "2", "--print-config"),
        ("--config", "run/config.yaml", "--out", "run"),
    ),
    "distill": (
        (*FROM_RUN, "--out", "new"),
        (*FROM_RUN, "--method", "flow-map", "--guidance", "1:2", "--out", "new"),
        (*FROM_RUN, "--method", "adversarial-flow", "--out", "new"),
        (*FROM_RUN, "--method", "distribution-matching", "--steps", "2", "--out", "new"),
        (*FROM_RUN, "--method", "reflow", "--out", "new"),
        (*FROM_RUN, "--method", "progressive", "--steps", "4", "--out", "new"),
        (*FROM_RUN, "--out", "student"),
    ),
    "adapt": (
        (*FROM_RUN, "--lora", "2", "--merge", "--out", "new"),
        (*FROM_RUN, "--lora", "2", "--out", "adapter"),
        (*FROM_RUN, "--condition", "edges", "--out", "new"),
    ),
    "sample": (
        ("run", "-n", "2", "--steps", "2"), ("run/pipeline", "-n", "2"), ("gan", "-n", "2"),
        ("student", "-n", "2"), ("adapter", "-n", "2", "--steps", "2"),
        ("run", "-n", "2", "--steps", "2", "--guide-with", "run", "--guidance", "2"),
        ("told", "-n", "2", "--steps", "2", "--prompt", "one 0", "--numbers", "angle=0.3", "--map",
         "edges@classes/ant/00.png"),
    ),
    "edit": (
        ("run", *EDITED, "--strength", "0.5"), ("run", *EDITED, "--like", "0.3"),
        ("run", *EDITED, "--operator", "downsample:2"),
        ("run", "classes", *EDITED, "--measure", "--operator", "grey", "--interval", "0.9"),
        ("run", *EDITED, "--mask", "left", "--self-check", "20", "--variants", "3"),
        ("told", *EDITED, "--operator", "blur:1", "--prompt", "one 0", "--numbers", "angle=0.3"),
        ("student", *EDITED, "--strength", "0.5"),
    ),
    "inpaint": (("run", "--mask", "left", "-n", "1", "--variants", "1", "--steps", "2"),),
    "evaluate": (
        ("samples", "--reference", "images.npz", *FIGURES),
        ("run", "--steps", "2", *FIGURES),
    ),
    "likelihood": (("run", "--n", "2", "--points", "2", *THREAD),),
    "compare": (("classes", "--out", "out", "--images", "8", "--seeds", "1"),),
    "claims": (("--preset", "smoke", "--out", "out"),),
    "curve": (
        ("run", "-n", "10", "--nfe", "2", "--samplers", "euler", "--metrics", "fd", "--features",
         "pixels", *THREAD),
    ),
    "tune-sampler": (("run", "--samples", "32", "--steps", "2", *THREAD),),
    "runs": (("list", "--root", "."), ("show", "run"), ("rm", "run", "--yes")),
    "doctor": ((),),
}  # fmt: skip
"""Valid command lines that end soon."""

LONG_WORK = ("compare", "claims", "demo")
"""Commands whose valid lines take minutes: they get at least one value that must be refused."""

FITTING: dict[str, tuple[str, ...]] = {
    "operator": ("blur:1", "blur:0", "blur:1e9", "downsample:2", "downsample:3", "quantise:8",
                 "quantise:1", "grey", "grey:2", "jpeg:5", "blur:", "blur:nan", ":2"),
    "maps": ("edges", "lowres:2", "lowres:3", "lowres:-1", "mask", "edges@mask.png", "edges@run",
             "edges=mask.png", "edges=classes", "edges=", "@", "mask=mask.png", "edges@classes"),
    "condition": ("edges", "lowres:2", "mask", "lowres:", "a b"),
    "numbers": ("angle=0.3", "angle=0.1,0.2", "angle=nan", "angle=", "=1", "angle", "label",
                "other=1", "angle=1e400", "angle=0.1,,2"),
    "prompt": ("one 0", "one 1", "nothing of the kind", "\u0301", "one 0 " * 2000),
    "method": (*OBJECTIVES, "moments", "pigdm", "dps", "ddnm", "diffpir", "repaint", "dcgan",
               "diffusion"),
    "guidance": ("1:4", "2", "4:1", "0:0", "1:1e9", "1:", "-1:2", "1"),
}  # fmt: skip
"""Sound values of some flags, and some that are nearly so."""

CONSOLES: tuple[Console, ...] = (*(("utf-8",) * 7), "ascii", "ascii", "full", "closed")

ENVIRONMENTS: tuple[dict[str, str | None], ...] = (
    {"HOME": None},
    {"HOME": "/nonexistent"},
    {"UNDRIFT_CACHE": "mine/note.txt"},
    {"UNDRIFT_CACHE": "pipe"},
    {"UNDRIFT_CACHE": "n" * 300},
    {"UNDRIFT_CACHE": "\udcff"},
    {"UNDRIFT_CACHE": "~nouser/x"},
    {"COLUMNS": "0", "LINES": "-1"},
    {"COLUMNS": "x"},
    {"WORLD_SIZE": "x", "RANK": "0", "LOCAL_RANK": "0"},
    {"WORLD_SIZE": "1", "RANK": "-1", "LOCAL_RANK": ""},
    {"RANK": "5"},
    {"TMPDIR": "/nonexistent"},
    {"CXX": "\x1b[31m"},
)

INPUTS = (
    "target", "data", "reference", "against", "config", "init", "resume", "mask", "root",
    "feature_weights", "mnist", "guide_with", "prompts", "classifier",
)  # fmt: skip
OUTPUTS = ("out", "npz", "per_image", "save_reference")

WORDS = (
    "", " ", "nonsense", "auto", "all", "none", "-", "--", "-1", "--nonsense", "a,b", ",", "a b",
    "\x1b[31mred\x07", "a\nb", "\udcff\udcfe", "caf\u00e9", "\U0001f642", "x" * 300, "x" * 100_000,
    "$x_$", "{}", "%s", "karras:", "karras:1e999", "dynamic:2", "dynamic:nan", "shifted:0", "1,2",
    "5,5", "0,-1", "ant", "ant,bee", "0", "7", "module:function", "os:system", "random", "pixels",
    "#ffffff", "#fff", "60s", "0s", "-1s", "1e9h", "999999999999999999999h", "0.5M", "0.0001k",
    "domain",
)  # fmt: skip
PATHS = (
    "", ".", "..", "/", "nowhere/x", "~nouser/x", "~", "classes", "images.npz", "images.npy",
    "run", "run/pipeline", "run/config.yaml", "gan", "student", "adapter", "told", "samples",
    "mask.png", "reference.safetensors",
    "n" * 300, "d/" * 3000, "x" * 100_000, "a\nb", "\x1b[31m", "\udcff.png", "caf\u00e9", "https://x.y/z",
    "hf:x/y", "hf:", "digits", "ring8", "/proc/self/mem", "pipe", "link", "loop", "node", "mine",
    "mine/note.txt", "empty", "..\\x", "runs/latest", "\x00", "-", "/dev/stdin", "classes.zip",
)  # fmt: skip
ONLY_READ = ("/nonexistent/x", "/dev/zero", "/dev/null", "/dev/full", "/dev/random", "/proc")
NEW = ("new", "new.json", "new.npz", "new/deeper", "new.csv", "new.safetensors", "new.png")
SMALL_NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "5",
    "8",
    "16",
    "-1",
    "-0",
    "1.5",
    "0.5",
    "0.05",
    "1e-9",
    "0.25",
)
ABSURD_NUMBERS = (
    str(10**30), "-" + str(10**30), str(2**63), "9" * 5000, "nan", "inf", "-inf", "1e999", "1e400",
    "-1e300", "0x10", "1_0", "\u0663", " 5", "", "five", "1e3", "--", "None", "True", "1,5",
    "5e-324",
)  # fmt: skip


def command_case(seeds: Seeds, draw: Random) -> Case:
    """A valid command line of which one to three words are changed."""
    verb = draw.choice([*BASES, *BASES, "train", "train", "sample", "evaluate", "evaluate"])
    words = [verb, *draw.choice(BASES[verb])]
    flags = _flags(verb, words)
    wrong = verb in LONG_WORK
    for _ in range(draw.choice((1, 1, 2, 2, 3))):
        _changed(words, flags, draw, wrong)
    if wrong:
        words += draw.choice((["--nonsense", "1"], ["--threads", "-1"], ["--device", "x"]))
    tree = draw.random() < 0.1

    def prepare(folder: Path) -> str:
        seeds.copy_named(words, folder)
        _strange(folder)
        if tree:
            _repository(folder)
        return "in a hostile repository" if tree else ""

    console = draw.choice(CONSOLES)
    title = f"undrift {' '.join(map(_short, words))}"
    if console != "utf-8":
        title += f" on a console that is {console}"
    environment = draw.choice(ENVIRONMENTS) if draw.random() < 0.1 else {}
    if environment:
        title += f" with {environment}"
    return Case(f"command / {verb}", title, prepare, command(words, environment), console)


def _short(word: str) -> str:
    text = ascii(word)[1:-1]
    return text if len(text) <= 80 else f"{text[:40]}...({len(word)} characters)"


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag as a command declares it.

    Attributes:
        word: as it is typed; "" for a positional argument.
        name: of the field.
        kind: its type, without None.
    """

    word: str
    name: str
    kind: Any


def _flags(verb: str, words: list[str]) -> list[Flag]:
    """The flags of a command, read off the dataclass in its module."""
    module = importlib.import_module(f"undrift.cli.{verb.replace('-', '_')}")
    found = [
        value
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and value.__module__ == module.__name__
    ]
    if verb == "runs":
        name = {"list": "List", "show": "Show", "rm": "Remove"}[words[1]]
        found = [value for value in found if value.__name__ == name]
    flags = []
    for declared in found:
        hints = typing.get_type_hints(declared, include_extras=True)
        for field in dataclasses.fields(declared):
            if field.name == "compile":
                continue  # half a minute of a compiler, whose files are larger than the limit
            kind, notes = _bare(hints[field.name])
            named = [note.name for note in notes if getattr(note, "name", None)]
            word = "--" + (named[0] if named else field.name.replace("_", "-"))
            if any("Positional" in str(note) or "positional" in str(note) for note in notes):
                word = ""
            flags.append(Flag(word, field.name, kind))
    return flags


def _bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without notes and None, and the notes."""
    notes: tuple[Any, ...] = ()
    while hasattr(hint, "__metadata__"):
        notes += hint.__metadata__
        hint = hint.__origin__
    if get_origin(hint) in (typing.Union, type(int | None)):
        inner = [member for member in get_args(hint) if member is not type(None)]
        if len(inner) == 1:
            return _bare(inner[0])[0], notes + _bare(inner[0])[1]
    return hint, notes


def _changed(words: list[str], flags: list[Flag], draw: Random, wrong: bool) -> None:
    """Change ``words`` in place."""
    kind = draw.random()
    if kind < 0.1 and len(words) > 1:
        del words[draw.randrange(1, len(words))]
        return
    if kind < 0.17:
        words.insert(draw.randrange(1, len(words) + 1), draw.choice(draw.choice((WORDS, PATHS))))
        return
    if kind < 0.2 and not wrong:
        words.append(draw.choice(("--help", "-h")))
        return
    if not flags:
        words.append(draw.choice(WORDS))
        return
    flag = draw.choice(flags)
    values = _values(flag, draw)
    if flag.word:
        words += [flag.word, *values] if flag.kind is not bool else [flag.word]
    elif len(words) > 1:
        words[1 if words[0] != "runs" else min(2, len(words) - 1)] = (values or [""])[0]


def _values(flag: Flag, draw: Random) -> list[str]:
    """Words for a flag, by its type."""
    if flag.name == "targets":
        return [draw.choice((*PATHS, "../guard", "../guard/photos", "../guard/.keep.partial"))]
    if flag.name in FITTING and draw.random() < 0.7:
        return [draw.choice(FITTING[flag.name])]
    if get_origin(flag.kind) in (tuple, Sequence):
        return [
            draw.choice(draw.choice((WORDS, SMALL_NUMBERS)))
            for _ in range(draw.choice((0, 1, 1, 2, 40)))
        ]
    if get_origin(flag.kind) is Literal:
        choices = [str(choice) for choice in get_args(flag.kind)]
        return [draw.choice(choices) if draw.random() < 0.8 else draw.choice(WORDS)]
    if flag.kind in (int, float):
        return [draw.choice(draw.choice((SMALL_NUMBERS, SMALL_NUMBERS, ABSURD_NUMBERS)))]
    if flag.name in OUTPUTS:
        guarded = ("../guard/secret.txt", "../guard/pipe")
        place = draw.choice(draw.choice((NEW, NEW, PATHS, guarded)))
        return ["new" if place == ".." else place]  # where a folder's files may well be written
    if flag.name in INPUTS:
        return [draw.choice(draw.choice((PATHS, PATHS, ONLY_READ, WORDS)))]
    return [draw.choice(draw.choice((WORDS, WORDS, SMALL_NUMBERS, ABSURD_NUMBERS)))]


def _strange(folder: Path) -> None:
    """Files that a path may name, and a user's own."""
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "empty").mkdir()
    (folder / "mine").mkdir()
    for name in ("note.txt", "000000.png", "grid.png", "beside.png", "data.json", "config.yaml"):
        (folder / "mine" / name).write_text("mine\n")
    if os.geteuid() == 0:
        os.mknod(folder / "node", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        os.mkfifo(folder / "node")


def _repository(folder: Path) -> None:
    """A repository, as it could come in an archive, that wants a program run."""
    git = folder / ".git"
    for name in ("objects", "refs"):
        (git / name).mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    monitor = folder / "monitor.sh"
    monitor.write_text("#!/bin/sh\ntouch `dirname $0`/../executed\n")
    monitor.chmod(0o755)
    (git / "config").write_text(f"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = {monitor}\n")
