"""``undrift tune-sampler``: what it finds, keeps, prints and refuses, on a small pipeline."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pipelines.models import small

import undrift
from undrift.cli import tune_sampler
from undrift.cli.console import make_console
from undrift.cli.dispatch import main
from undrift.errors import DataError, InterruptedRunError, UsageError
from undrift.evaluation.tuning import (
    TuningProgress,
    cases,
    classical,
    tune,
    tune_target,
)
from undrift.evaluation.tuning.cases import Source, draw_cases, kept_nodes
from undrift.evaluation.tuning.run import likeness_of, tunable
from undrift.files.ownership import written_by_undrift
from undrift.options import TuningOptions
from undrift.pipelines import DiffusionPipeline, Pipeline
from undrift.randomness import key
from undrift.results.tuning import TunedSampler
from undrift.runs.directory import RunDirectory

FEW = ("--samples", "64", "--threads", "1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds in place of six, half as fine a solution, two rules to beat."""
    monkeypatch.setattr(tune, "ROUNDS", 2)
    monkeypatch.setattr(cases, "FINE", 100)
    monkeypatch.setattr(classical, "SAMPLERS", ("dpmpp_2m", "euler"))


@pytest.fixture
def model(folder: Path) -> Path:
    small().save_pretrained(folder / "model")
    return folder / "model"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(capsys: Any, code: int, pattern: str, *words: object) -> None:
    capsys.readouterr()
    assert main(["tune-sampler", *map(str, words)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undrift: ") and pattern in line, line


def test_it_learns_stores_and_is_used(model: Path, folder: Path, capsys: Any):
    assert main(["tune-sampler", str(model), "--steps", "3,5", *FEW, "--out", "found.json"]) == 0
    printed = capsys.readouterr().out
    assert "network evaluations of one image" in printed and "stored in the pipeline" in printed
    assert "next: undrift sample" in printed and "--steps 3" in printed
    assert written_by_undrift(folder / "found.json")
    found = json.loads((folder / "found.json").read_text())
    back = DiffusionPipeline.from_pretrained(model)
    assert [row["steps"] for row in found["rows"]] == sorted(back.learned) == [3, 5]
    for row in found["rows"]:
        assert row["error"] < row["fixed"]["error"]
        assert row["reduction"]["low"] <= row["reduction"]["value"] <= row["reduction"]["high"]
        assert (np.diff(row["times"]) < 0).all() and row["times"][-1] == 0
        facts = back.learned[row["steps"]].facts
        assert facts.error == row["error"] and facts.fixed == row["fixed"]["sampler"]
    out = folder / "out"
    assert (
        main(["sample", str(model), "-n", "4", "--steps", "3", "--out", str(out), "--quiet"]) == 0
    )
    record = json.loads((out / "samples.json").read_text())
    assert record["settings"]["sampler"] == "learned" and record["nfe"] == 3
    out = folder / "fixed"
    words = ["sample", str(model), "-n", "4", "--steps", "3", "--sampler", "dpmpp_2m"]
    assert main([*words, "--out", str(out), "--quiet"]) == 0
    assert json.loads((out / "samples.json").read_text())["settings"]["sampler"] == "dpmpp_2m"


@pytest.fixture
def real(model: Path, folder: Path) -> Path:
    """Images like the model's own, with more contrast."""
    pipeline = DiffusionPipeline.from_pretrained(model)
    drawn = pipeline(300, seed=1, labels="all", steps=30).images.astype(float)
    contrast = (110 + 1.4 * (drawn - 110)).clip(0, 255).round().astype(np.uint8)
    np.savez(folder / "real.npz", images=contrast)
    return folder / "real.npz"


def test_the_last_step_is_fitted_to_real_images(model: Path, real: Path, capsys: Any):
    words = ["tune-sampler", str(model), "--steps", "3", "--samples", "32", "--threads", "1"]
    assert main([*words, "--reference", "real.npz", "--out", "found.json"]) == 0
    printed = capsys.readouterr().out
    assert "fitted to 300 training images of real.npz" in printed
    assert "distance to data: Frechet" in printed
    (row,) = json.loads(Path("found.json").read_text())["rows"]
    assert row["distance"]["after"] < 0.9 * row["distance"]["before"]
    learned = DiffusionPipeline.from_pretrained(model).learned[3]
    assert row["kept"].endswith(", calibrated") and learned.facts.method == row["kept"]
    assert learned.facts.error == row["error"] > row["refined"]["error"]
    (plain,) = undrift.tune_sampler(model, [3], samples=32, aim="solution").rows
    assert plain.distance is None and plain.error < row["error"]


def test_which_images_it_is_fitted_to(model: Path, real: Path, folder: Path):
    """Those that are named, else the run's own; without any, it says why."""
    words = ["train", "real.npz", "--steps", "2", "--out", "run", "--threads", "1", "--quiet"]
    assert main([*words, "--network", "mlp"]) == 0
    pipeline, run = tunable(Pipeline.from_pretrained(model)), RunDirectory(Path("run"))

    def found(run: RunDirectory | None, **asked: Any) -> tuple[bool, str]:
        likeness, lines = likeness_of("run", TuningOptions((3,), **asked), pipeline, run)
        return likeness is not None, lines[0]

    assert found(run)[0] and "training images of" in found(run)[1]
    assert found(None, reference="real.npz")[0]
    assert found(run, aim="solution") == (False, "aiming at the fine solution alone")
    assert not found(None)[0] and "belongs to no run" in found(None)[1]
    real.unlink()
    assert not found(run)[0] and "the images of run are not there" in found(run)[1]
    with pytest.raises(DataError, match="no data at"):
        found(run, reference="real.npz")


def test_images_come_nearer_to_the_fine_solution(model: Path):
    """On seeds that the tuning never saw, through the pipeline itself, in pixels."""
    undrift.tune_sampler(model, [4], samples=48)
    pipeline = DiffusionPipeline.from_pretrained(model)
    fine = pipeline(64, seed=5, steps=200).images.astype(float)

    def missed(**asked: Any) -> float:
        return float(np.abs(pipeline(64, seed=5, steps=4, **asked).images - fine).mean())

    assert missed() < 0.7 * missed(sampler="dpmpp_2m")


def test_tuning_again_adds_and_replaces(model: Path):
    undrift.tune_sampler(model, [2], samples=32)
    first = DiffusionPipeline.from_pretrained(model).learned[2].facts
    undrift.tune_sampler(model, [3], samples=32)
    back = DiffusionPipeline.from_pretrained(model).learned
    assert sorted(back) == [2, 3] and back[2].facts == first
    undrift.tune_sampler(model, [2], samples=32, seed=1)
    assert DiffusionPipeline.from_pretrained(model).learned[2].facts.seed == 1


def test_one_step_is_a_sampler_too(model: Path):
    (row,) = undrift.tune_sampler(model, [1], samples=32).rows
    assert len(row.times) == 2 and row.error <= row.fixed.error * 1.1
    assert DiffusionPipeline.from_pretrained(model)(2, steps=1).settings["sampler"] == "learned"


def test_the_same_command_finds_the_same(folder: Path):
    rows = []
    for name in ("a", "b"):
        small().save_pretrained(folder / name)
        rows.append(undrift.tune_sampler(folder / name, [3], samples=32).rows)
    assert rows[0] == rows[1]


def test_a_bad_default_is_bettered(folder: Path):
    """A model whose own grid spends its steps where nothing happens."""
    pipeline = small()
    object.__setattr__(pipeline.spec, "rho", 1.0)
    pipeline.save_pretrained(folder / "bad")
    undrift.tune_sampler(folder / "bad", [5], samples=32)
    tuned = DiffusionPipeline.from_pretrained(folder / "bad")
    fine = tuned(32, seed=3, steps=200, grid="karras:7").images.astype(float)
    learned = np.abs(tuned(32, seed=3, steps=5).images - fine).mean()
    default = np.abs(tuned(32, seed=3, steps=5, sampler="dpmpp_2m").images - fine).mean()
    assert learned < 0.5 * default


def test_what_nothing_beats_is_kept_and_said(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    """Where search and learning only make it worse."""
    monkeypatch.setattr(tune, "regress", lambda cases, table, schedule: table)
    monkeypatch.setattr(tune, "shortest_path", lambda cost, steps: [*range(steps), len(cost) - 1])
    monkeypatch.setattr(tune, "ROUNDS", 0)
    assert main(["tune-sampler", str(model), "--steps", "3", *FEW]) == 0
    assert "3 steps: nothing beat" in capsys.readouterr().out
    facts = DiffusionPipeline.from_pretrained(model).learned[3].facts
    assert facts.method == facts.fixed and facts.error == facts.fixed_error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stop_leaves_the_pipeline_as_it_was(model: Path, error: type[BaseException]):
    before = content(model)

    class Stopping(TuningProgress):
        def progress(self, doing: str, done: float, left: float) -> None:
            assert 0 <= done <= 1 and left >= 0
            if done > 0.5:
                raise error

    with pytest.raises(error):
        tune_target(model, TuningOptions((3,), samples=32), Stopping())
    assert content(model) == before
    assert os.listdir(model.parent) == ["model"]


def test_without_a_terminal_it_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: Any):
    """A line every so often, with named clocks; and what Ctrl-C loses."""
    now = [0.0]
    monkeypatch.setattr(tune_sampler.time, "monotonic", lambda: now[0])
    with (
        pytest.raises(InterruptedRunError, match="nothing was stored"),
        tune_sampler._shown(make_console()) as progress,
    ):
        progress.plan(["a plan"])
        for _ in range(25):
            now[0] += 1.0
            progress.progress("fine solutions", now[0] / 100, 100 - now[0])
        raise KeyboardInterrupt
    plan, stored, *lines = capsys.readouterr().out.splitlines()
    assert plan == "a plan" and "a stop before loses" in stored
    assert lines == [
        "fine solutions: 10%  elapsed 0:10, left 1:30",
        "fine solutions: 20%  elapsed 0:20, left 1:20",
    ]


def test_a_pipeline_that_changed_meanwhile_is_not_overwritten(model: Path, capsys: Any):
    class Retraining(TuningProgress):
        def result(self, row: TunedSampler) -> None:
            small(seed=1).save_pretrained(model)

    with pytest.raises(undrift.ModelFileError, match="has changed since"):
        tune_target(model, TuningOptions((3,), samples=32), Retraining())
    assert (Pipeline.from_pretrained(model)(2).images == small(seed=1)(2).images).all()


def test_its_images_are_not_those_that_users_draw(model: Path):
    pipeline = tunable(Pipeline.from_pretrained(model))
    for seed in range(3):
        _, noise = Source(pipeline, 1.0, seed).bound(range(4))
        _, drawn = pipeline.bound(range(4), seed=seed)
        assert not (noise == drawn).any()


def test_fine_solutions_are_the_pipelines_own(model: Path):
    """The target is what as many steps of the default sampler draw on a fine grid."""
    pipeline = tunable(Pipeline.from_pretrained(model))
    source = Source(pipeline, 2.0, 0)
    (one,) = draw_cases(source, range(3))
    seed = key("tune sampler", 0)
    wanted = pipeline(3, seed=seed, steps=100, guidance=2.0, grid="karras:7").images
    assert (pipeline.codec.decode(one.target).permute(0, 2, 3, 1).numpy() == wanted).all()
    nodes = kept_nodes(source.schedule, source.times())
    assert nodes[0] == 0 and nodes[-2:] == [99, 100] and 30 < len(nodes) < 60


def test_wrong_use_is_one_line(model: Path, folder: Path, capsys: Any):
    before = content(model)
    refused(capsys, 2, "--steps 0", model, "--steps", "0")
    refused(capsys, 2, "wanted 1 to 50", model, "--steps", "51")
    refused(capsys, 2, "5 is there twice", model, "--steps", "5,6,5")
    refused(capsys, 2, "--steps x: wanted a whole number", model, "--steps", "5,x")
    refused(capsys, 2, "--steps -3: wanted 1 to 50", model, "--steps", "5,-3")
    refused(capsys, 2, "--samples 8", model, "--samples", "8")
    refused(capsys, 2, "--seed -1", model, "--seed", "-1")
    refused(capsys, 2, "--guidance nan", model, "--guidance", "nan")
    refused(capsys, 2, "is a folder", model, "--out", ".")
    refused(capsys, 2, "leave one of them", model, "--aim", "solution", "--reference", "x.npz")
    refused(capsys, 3, "absent.npz", model, "--reference", "absent.npz")
    np.savez(folder / "wide.npz", images=np.zeros((20, 6, 5, 3), np.uint8))
    refused(capsys, 2, "all the same, or as good as", model, "--reference", "wide.npz")
    refused(capsys, 4, "no such run", "absent")
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text("")
    refused(capsys, 4, "no pipeline yet", "run")
    assert content(model) == before


def test_guidance_without_classes_is_refused(folder: Path, capsys: Any):
    small(classes=()).save_pretrained(folder / "plain")
    refused(capsys, 2, "no classes", folder / "plain", "--guidance", "2", "--steps", "3")


def test_a_damaged_pipeline_is_4(model: Path, capsys: Any):
    (model / "MANIFEST.json").write_bytes(b"{")
    refused(capsys, 4, "MANIFEST.json", model)


def test_a_pipeline_without_steps_is_refused():
    class Generator(Pipeline):
        noun = "a generator"

    Generator.__abstractmethods__ = frozenset()
    with pytest.raises(UsageError, match="takes no steps"):
        tunable(Generator())
