"""The shape of the code itself: sizes, names, forbidden calls, and what an import may load."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
EVERY = sorted(
    path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
UNSAFE_CALLS = {
    "torch.load",
    "torch.save",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "os.system",
    "os.popen",
    "eval",
    "exec",
    "compile",
    "__import__",
}


def dotted(node: ast.expr) -> str:
    """``a.b.c`` as it is written, or "" for anything that is not a plain dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def _only_weights(call: ast.Call) -> bool:
    """Whether a ``torch.load`` is told to read tensors and nothing else."""
    return any(
        keyword.arg == "weights_only"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
        for keyword in call.keywords
    )


def offences(source: str) -> list[str]:
    """What ``source`` does that the library never does, as ``line: what``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
            calls = {f"{node.module}.{alias.name}" for alias in node.names}
            found += [f"{node.lineno}: {call}" for call in sorted(calls & UNSAFE_CALLS)]
        elif isinstance(node, ast.Assert):
            found.append(f"{node.lineno}: assert")
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"{node.lineno}: bare except")
        elif isinstance(node, ast.Call):
            call = dotted(node.func)
            if call in UNSAFE_CALLS and not (call == "torch.load" and _only_weights(node)):
                found.append(f"{node.lineno}: {dotted(node.func)}")
            for keyword in node.keywords:
                value = keyword.value
                true = isinstance(value, ast.Constant) and value.value is True
                if (keyword.arg, true) in {("shell", True), ("allow_pickle", True)}:
                    found.append(f"{node.lineno}: {keyword.arg}=True")
        found += [f"{node.lineno}: {name}" for name in names if name in UNSAFE_MODULES]
    return found


def test_no_file_is_longer_than_600_lines_or_vaguely_named():
    names = [path.relative_to(ROOT) for path in EVERY]
    lines = {str(name): len((ROOT / name).read_text().splitlines()) for name in names}
    assert {name: count for name, count in lines.items() if count > 600} == {}, "two nouns?"
    assert [str(name) for name in names if VAGUE & set(name.with_suffix("").parts)] == []


def test_the_library_calls_nothing_unsafe():
    found = {str(path.relative_to(ROOT)): offences(path.read_text()) for path in SOURCES}
    assert {name: calls for name, calls in found.items() if calls} == {}


FAMILIES = (
    *("families/", "pipelines/diffusion/", "pipelines/gan/", "pipelines/student/"),
    *("pipelines/adapter/", "pipelines/classifier/"),
    "training/learners/",
)
"""Folders that know one family; `pipelines/load.py` and `families/__init__.py` list them all."""

_OF_A_FAMILY = re.compile(
    r"(Diffusion|GAN|Student|Classifier)(Pipeline|Learner|Config|Model|Family)"
)
_KINDS = {"gan", "diffusion", "student"}


def family_branches(source: str) -> list[str]:
    """Where ``source`` asks of which family something is, as ``line: what``."""
    found = []
    if not (
        _OF_A_FAMILY.search(source)
        or any(f"{kind}{quote}" in source for kind in _KINDS for quote in "'\"")
    ):
        return []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and dotted(node.func) == "isinstance":
            names = {dotted(part) for part in ast.walk(node.args[1])}
            found += [f"{node.lineno}: {name}" for name in names if _OF_A_FAMILY.fullmatch(name)]
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            kinds = [side.value for side in sides if isinstance(side, ast.Constant)]
            found += [f"{node.lineno}: {kind!r}" for kind in kinds if kind in _KINDS]
    return found


KNOWN_BRANCHES = {
    "comparison/summary.py": "the claims contrast diffusion with the others",
}
"""Comparisons with a family's name that are about the claims, which are about that family."""


def test_nothing_above_the_families_asks_of_which_one_something_is():
    found = {}
    for path in SOURCES:
        name = str(path.relative_to(ROOT / "src" / "undrift"))
        if not name.startswith(FAMILIES) and name not in KNOWN_BRANCHES:
            found[name] = family_branches(path.read_text())
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "isinstance(pipeline, GANPipeline)",
        "isinstance(one, int | DiffusionConfig)",
        "method != 'diffusion'",
    ],
)
def test_a_branch_on_a_family_is_found(line):
    assert family_branches(line)


READING = {
    *("json.load", "json.loads", "yaml.safe_load", "np.load", "gzip.open", "safe_open"),
    *("safetensors.torch.load", "load_file"),
}
READERS = {
    "data/sources/idx.py": "gzip of a file that is open already",
    "data/cache.py": "arrays that the manifest has verified",
    "comparison/executor.py": "lines of a process of our own, and its log",
    "comparison/fork_server.py": "lines of a process of our own",
    "evaluation/drawing.py": "a text inside a cache entry",
    "report/html.py": "templates of the package",
    "metrics/features/own.py": "the source of a module that was imported",
    "pipelines/folder.py": "a round trip through text",
    "runs/environment.py": "the source tree's own .git",
}
"""Who reads a file in another way than `undrift.files` does, and why that is right."""


def own_reading(source: str) -> list[str]:
    """Calls that read a file, or parse one, as ``line: call``."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    methods = ("read_text", "read_bytes")
    return [
        f"{call.lineno}: {dotted(call.func) or methods}"
        for call in calls
        if dotted(call.func) in READING
        or (isinstance(call.func, ast.Attribute) and call.func.attr in methods)
    ]


def test_files_are_read_by_the_one_reader_of_their_format():
    names = {path.relative_to(ROOT / "src" / "undrift").as_posix(): path for path in SOURCES}
    found = {name for name, path in names.items() if own_reading(path.read_text())}
    assert found - set(READERS) == set(), (
        "use undrift.files: read_json, read_yaml, read_npz, read_tensors, ..."
    )
    assert found == set(READERS), "what is on the list reads no more: take it off"


def test_the_search_for_readers_finds_them():
    assert own_reading("import json\njson.loads(x)") == ["2: json.loads"]
    assert len(own_reading("Path(x).read_text()\na.b.read_bytes()")) == 2
    assert own_reading("json.dumps(x)\nread_bytes(path, DataError, '')") == []


FACTORIES = {
    *("zeros", "ones", "empty", "full", "tensor", "scalar_tensor", "arange", "linspace"),
    *("logspace", "eye", "rand", "randn", "randint", "randperm"),
}
EXPLICIT = [
    path
    for floor in ("sampling", "likelihood", "diffusion", "codec", "conditioning", "pipelines")
    for path in sorted((ROOT / "src" / "undrift" / floor).rglob("*.py"))
] + [ROOT / "src" / "undrift" / "randomness.py"]


def left_open(source: str) -> list[str]:
    """Tensors that ``source`` makes of whatever dtype or device the caller has set."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and dotted(node.func).startswith("torch."):
            name = dotted(node.func).removeprefix("torch.")
            wanted = {"as_tensor": {"dtype"}}.get(name, {"dtype", "device"})
            given = {keyword.arg for keyword in node.keywords}
            if name in FACTORIES | {"as_tensor"} and not wanted <= given:
                found.append(f"{node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", EXPLICIT, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_an_image_depends_on_names_its_dtype_and_device(path):
    assert left_open(path.read_text()) == []


def test_the_search_for_tensors_of_any_dtype_finds_them():
    assert left_open("torch.zeros(3)") == ["1: zeros"]
    assert left_open("torch.randn(3, dtype=a, generator=g)") == ["1: randn"]
    assert left_open("torch.as_tensor(x)") == ["1: as_tensor"]
    assert left_open("torch.eye(3, dtype=a, device=b)\ntorch.as_tensor(x, dtype=a)") == []


def test_every_folder_of_the_library_is_a_package():
    folders = {path.parent for path in SOURCES}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "import yaml\nyaml.load(f)",
        "eval('1')",
        "exec('1')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import numpy\nnumpy.load('x', allow_pickle=True)",
        "assert True",
        "try:\n    pass\nexcept:\n    pass",
    ],
)
def test_the_search_for_unsafe_calls_finds_them(source):
    assert len(offences(source)) == 1


def test_the_search_for_unsafe_calls_lets_sound_code_be():
    sound = "import yaml\nyaml.safe_load(f)\nmodel.eval()\nnet.compile()\nrun(c, shell=False)"
    assert offences(sound) == []


@pytest.mark.parametrize(
    "statement",
    [
        "import undrift",
        "from undrift.cli.dispatch import main; main(['--help'])",
        "from undrift.cli.dispatch import main; main(['train', '--help'])",
        "from undrift.cli.dispatch import main; main(['sample', '--help'])",
        "from undrift.cli.dispatch import main; main(['sample', 'x', '-n', '0'])",
        "from undrift.cli.dispatch import main; main(['inpaint', 'x'])",
        "from undrift.cli.dispatch import main; main(['nonsense'])",
    ],
)
def test_no_torch_is_loaded_before_it_is_needed(statement):
    code = f"{statement}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "undrift" in loaded
    heavy = {"torch", "numpy", "sklearn", "matplotlib", "PIL"}
    assert not heavy & loaded


def test_public_names_resolve():
    import undrift

    for name in undrift.__all__:
        assert getattr(undrift, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        undrift.nonsense  # noqa: B018 - the access is the test


_FLAG = re.compile(r"(?<![\w`-])--[a-z][a-z-]*\b")
_COMMAND = re.compile(r"\bundrift [a-z-]+\b")


def literal_flags(source: str) -> list[str]:
    """Sentences of ``source`` that name a flag outside of a command line, as ``line: sentence``."""
    if not _FLAG.search(source):
        return []  # unparsed, which takes most of the time
    nodes = list(ast.walk(ast.parse(source)))
    apart = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    apart |= {id(one) for node in nodes if isinstance(node, ast.JoinedStr) for one in node.values}
    texts = {}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts = [one.value for one in node.values if isinstance(one, ast.Constant)]
            texts[node.lineno] = "".join(map(str, parts))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            texts[node.lineno] = node.value
    return [
        f"{line}: {text}"
        for line, text in texts.items()
        if " " in text and _FLAG.search(text) and not _COMMAND.search(text)
    ]


def test_errors_of_the_library_name_parameters_and_only_the_command_line_flags():
    found = {}
    for path in SOURCES:
        name = path.relative_to(ROOT / "src" / "undrift").as_posix()
        if not name.startswith(("cli/", "report/figure.py")):
            found[name] = literal_flags(path.read_text())
    assert {name: lines for name, lines in found.items() if lines} == {}, "use advice.named"


def test_a_literal_flag_is_found():
    assert literal_flags("f'{x}; give another --out'") == ["1: ; give another --out"]
    assert literal_flags("x = 'set it by --n'") == ["1: set it by --n"]
    assert literal_flags("'as undrift train --text'\n'--out'\nnamed('out')") == []


ODD_WORDS = {
    r"learnt numbers|names the noise|names everything random": "parameters; random seed",
    r"what (?:a|the) network hears|is heard by": "conditioning inputs",
    r"points? of the plane|images of two values": "toy 2-D data",
    r"perceptrons?": "MLP",
    r"nobody learns from": "held out",
    r"taken down|take them down": "snapshot, restore",
    r"how the game stands|the game between": "GAN training diagnostics",
    r"what draws images|what draws them": "generator parameters; the pipeline",
    r"learnt": "learned",
    r"(?<!stored_as\(\")ledgers?": "budget",
    r"exhibits?": "contrast, figure",
    r"zygote": "fork server",
    r"(?<!\")judged?|judges|judging": "evaluate, measure; discriminator",
    r"(?<![\"'.])asked|asks": "requested, evaluated",
    r"told|tells?": "passed, reported, distinguished",
    r"heard|hears": "conditioning inputs",
    r"holes|look_seconds": "masked region; validation",
    r"looked at": "read, evaluated, compared",
    r"(?<!\")pieces?": "part, block, segment",
    r"levels of 255|walked again": "pixel values; repeated",
}
"""Words that the glossary (`docs/reference/glossary.md`) has others for."""

HISTORY = {"docs/log.md", "docs/reference/api.md"}
"""Records of what was done, and generated text."""


def odd_words(text: str) -> list[str]:
    """Words of ``text`` that are not the glossary's, each with the one to use."""
    return [
        f"{match[0]}: {use}"
        for odd, use in ODD_WORDS.items()
        for match in re.finditer(rf"\b(?:{odd})\b", text, re.IGNORECASE)
    ]


def test_words_are_those_of_the_glossary():
    written = [*SOURCES, *(ROOT / "src").rglob("*.html"), *(ROOT / "docs").rglob("*.md")]
    pages = {path.relative_to(ROOT).as_posix(): path for path in [*written, ROOT / "README.md"]}
    found = {name: odd_words(path.read_text()) for name, path in pages.items()}
    assert {name: odd for name, odd in found.items() if odd and name not in HISTORY} == {}


def test_an_odd_word_is_found():
    assert odd_words("A perceptron of the\nLearnt numbers") == [
        "Learnt numbers: parameters; random seed",
        "perceptron: MLP",
        "Learnt: learned",
    ]
