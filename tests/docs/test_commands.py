"""Every command and every Python example in the documentation runs.

Blocks of one page run in order, commands before Python, in one folder that holds ``photos/`` with
two classes; those of the README also where ``photos/`` is flat, or has captions. Only what takes
long is shortened, by the replacements listed below. A line that ends with ``# with classes`` needs
them: without, it gives one line that says so.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from undrift.cli.dispatch import main
from undrift.comparison import cost
from undrift.families.student import level
from undrift.runs import recorder
from undrift.workflows import closing

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SHORTER = {
    "--budget 30m": "--steps 4",
    "--budget 90m": "--steps 4",
    "--size 32 --budget 10m": "--size 8 --steps 4",
    "--size 64 --flip --budget 40m": "--flip --steps 4",
    "--budget 20m": "--images 32",
    "--size 32 --budget 45m": "--size 8 --steps 4",
    'text=True, budget="30m"': "text=True, steps=4",
    'budget="30m"': 'steps=4, parameters="20k"',
    "--steps 400": "--steps 4",
    "--steps 600": "--steps 6",
    "--steps 200": "--steps 3",
    "steps=200, network": "steps=3, network",
    "steps=200": 'steps=3, parameters="20k"',
    "--images 6400": "--images 16 --batch-size 8",
    "images=6400": "images=16, batch_size=8",
    "-n 64": "-n 12",
    "--interval 0.9 -n 20": "--interval 0.5 -n 1 --split train",
    "--guidance 1,1.5,2,3,4 -n 1000": "--guidance 1,2 -n 12",
    "-n 48": "-n 6",
    "--n 1000": "--n 24",
    "--n 500": "--n 24",
    "--evaluate-every 100": "--evaluate-every 2 --evaluate-samples 24",
    "--seeds 2 --images 20000": "--seeds 1 --images 64 --parameters 20k",
    "seeds=2, images=20000, n=500": 'seeds=1, images=64, parameters="20k", n=24',
    "--preset quick": "--preset smoke",
    "diffusion,r3gan": "diffusion,dcgan",
    '["diffusion", "r3gan"]': '["diffusion", "dcgan"]',
    "--steps 5,6 --samples 64": "--steps 6 --samples 32",
    "[4, 6], samples=32": "[6], samples=32",
    "grid25 --unconditional": "grid25 --unconditional --images 1500",
    "conditional=False": "conditional=False, images=1500",
    "-n 1000 --trajectory": "-n 12 --trajectory",
    "range(400)": "range(2)",
}
INSTALLATION = re.compile(r"(python -m venv|\.venv/bin/pip install|make [a-z]+)\b")


def blocks(page: Path, *languages: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [body for language, body in found if language in languages]


def shortened(text: str) -> str:
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


def commands(block: str) -> list[str]:
    """The command lines of a block, without what sets up an environment."""
    lines = [line.strip() for line in block.splitlines()]
    return [line for line in lines if line and not INSTALLATION.match(line)]


def run_commands(page: Path, classes: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands of ``page``, on photos with or without classes."""
    for block in blocks(page, "bash"):
        if not classes and "photos/" not in block:
            continue  # as with classes: it trains on other images
        for command in commands(block):
            program, *words = shlex.split(shortened(command), comments=True)
            if program == "mv":
                Path(words[0]).rename(words[1])
                continue
            program = program.removeprefix(".venv/bin/")
            assert program == "undrift", f"{name(page)}: {command!r} is run by no test"
            if words == ["demo"]:
                words += ["--steps", "4"]
            # R3GAN and networks of captions have no size as small; a run keeps its own
            if "--steps" in words and not {"r3gan", "--text", "--extend", "demo"} & set(words):
                words += ["--parameters", "20k"] if words[0] == "train" else []
            code = main(words)
            printed = capsys.readouterr()
            if "# with classes" in command and not classes:
                assert code == 2, command
                (line,) = printed.err.splitlines()
                assert "has no classes" in line and "leave" in line
                continue
            assert code == 0, f"{command}: {printed.err}"
            assert printed.out.rstrip().splitlines()[-1].startswith("next: "), command


def run_examples(page: Path) -> None:
    """Run the Python examples of ``page``."""
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks(page, "python"):
        assert len(block.splitlines()) < 25, "an example of more than 25 lines is a program"
        exec(compile(shortened(block), name(page), "exec"), names)


PAGES_THAT_RUN = [p for p in PAGES if any(map(commands, blocks(p, "bash"))) or blocks(p, "python")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


LAYOUTS = ("classes", "flat", "captions")


@pytest.fixture(params=["classes"])
def folder(request, tmp_path, monkeypatch):
    """A working folder with 40 small photos of cats and dogs; 16 samples measure a run here."""
    monkeypatch.setattr(closing, "FEWEST", 16)
    monkeypatch.setattr(recorder, "grid_shape", lambda spec: (4, 1))
    monkeypatch.setattr(closing, "PIXELS", 0)
    monkeypatch.setattr(closing, "POINTS", 16)
    monkeypatch.setattr(closing, "FOLLOWED_POINTS", 16)
    monkeypatch.setattr(level, "SAMPLES", 16)
    monkeypatch.setattr(cost, "BATCH", 4)
    monkeypatch.setattr(cost, "_SINGLES", 2)
    noise = np.random.default_rng(0)
    lines = []
    for label, tone in (("cat", 60), ("dog", 190)):
        for i in range(20):
            pixels = np.clip(noise.normal(tone, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
            name = f"{label}/{i:03d}.png" if request.param == "classes" else f"{label}{i:03d}.png"
            (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "photos" / name)
            lines.append(json.dumps({"file_name": name, "text": f"a red {label} that sits"}))
    if request.param == "captions":
        (tmp_path / "photos" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "emoji").symlink_to("photos")
    shutil.copytree(tmp_path / "photos", tmp_path / "icons")
    (tmp_path / "icons" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    names = [json.loads(line)["file_name"] for line in lines]
    ages = [f"{name},{20 + i}" for i, name in enumerate(names)]
    shutil.copytree(tmp_path / "photos", tmp_path / "faces")
    (tmp_path / "faces" / "metadata.csv").write_text("\n".join(["file_name,age", *ages]))
    (tmp_path / "cells" / "masks").mkdir(parents=True)
    rows = []
    for i in range(40):
        mask = noise.integers(3, size=(8, 8), dtype=np.uint8)
        Image.fromarray(mask).save(tmp_path / "cells" / "masks" / f"{i:03d}.png")
        Image.fromarray(mask * 80 + 20).save(tmp_path / "cells" / f"{i:03d}.png")
        paired = {"file_name": f"{i:03d}.png", "mask_file_name": f"masks/{i:03d}.png"}
        rows.append(json.dumps(paired))
    (tmp_path / "cells" / "metadata.jsonl").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES_THAT_RUN if p != README], ids=name)
def test_a_page_runs(page, folder, capsys):
    run_commands(page, True, capsys)
    run_examples(page)


@pytest.mark.slow
@pytest.mark.parametrize("folder", LAYOUTS, indirect=True)
def test_the_readme_runs_on_every_layout_of_photos(folder, request, capsys):
    run_commands(README, "classes" in request.node.callspec.params.values(), capsys)
    run_examples(README)


@pytest.mark.parametrize("classes", [True, False])
def test_the_network_of_the_documentation_takes_images_with_and_without_classes(classes, folder):
    """Its example, trained on the photos in place of the digits."""
    (block,) = blocks(ROOT / "docs/how-to/own-network.md", "python")
    where = f'"photos", bare=True, conditional={classes}'
    block = shortened(block).replace('"digits"', where).replace("Small()", "Small(channels=3)")
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(block, "own-network.md", "exec"), names)
    assert bool(names["pipeline"].spec.class_names) == classes


def test_the_readme_trains_and_samples_in_python():
    whole, parts = blocks(ROOT / "README.md", "python")
    assert "undrift.train(" in whole and "undrift.load(" in whole
    names: dict[str, object] = {}
    exec(compile(shortened(parts), "README.md", "exec"), names)
    assert names["samples"].isfinite().all() and names["samples"].shape == (16, 1, 8, 8)


def test_make_targets_named_in_the_documentation_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = {
        target
        for page in PAGES
        for block in blocks(page, "bash", "")
        for target in re.findall(r"^make ([a-z]+)", block, re.MULTILINE)
    }
    assert {"demo", "test", "check"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{name(page)}: {target}"


def test_the_first_screen_shows_the_picture():
    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25]
    assert any("docs/images/demo-grid.png" in line for line in first)
    assert any("make demo" in line for line in first)
    assert any("make test" in line for line in first)


def test_every_flag_is_in_the_reference_and_no_other(capsys):
    reference = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    measured = ("evaluate", "likelihood", "compare", "claims", "curve", "tune-sampler")
    for verb in (
        "demo",
        "inspect",
        "train",
        "distill",
        "adapt",
        "sample",
        "inpaint",
        "edit",
        *measured,
    ):
        (section,) = re.findall(rf"^## undrift {verb}\n(.*?)(?=^## |\Z)", reference, re.M | re.S)
        assert main([verb, "--help"]) == 0
        flags = set(re.findall(r"^. (?:-\w[^,│]*, )?(--[a-z-]+)", capsys.readouterr().out, re.M))
        documented = set(re.findall(r"^\| `(?:-\w, )?(--[a-z-]+)", section, re.M))
        assert documented == flags - {"--help"}, verb
