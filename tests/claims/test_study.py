"""A whole study, with planted runs and measurements: what is made, stored and reported."""

from __future__ import annotations

import html
import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from tests.claims.planted import Distances, PlantedExecutor, measurement
from tests.comparison import fake_executor
from tests.comparison.fake_executor import TRIALS, option
from tests.comparison.test_run import SPEED
from tests.report.test_report import Page

from undrift.claims import Study, control, make_part, run, run_study
from undrift.claims.claims import CLAIMS
from undrift.claims.comparisons import CONDITIONS, evaluated_as, other_comparisons
from undrift.claims.datasets import load_classes, rare_classes, tail_rows
from undrift.claims.evidence import Evidence
from undrift.claims.jobs import Job
from undrift.claims.page import Section, render
from undrift.claims.preset import PRESETS, QUICK, Size
from undrift.comparison import run as compare_run
from undrift.comparison.verdicts import claims as rules
from undrift.errors import UsageError
from undrift.report import figure as report_figure
from undrift.results.comparison import MeasuredRun
from undrift.schema import to_plain


@pytest.fixture(scope="module")
def planted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_executor, "FD", Distances())
        patch.setattr(compare_run, "speed_of", lambda *_: SPEED)
        patch.setattr(compare_run, "training_flops", lambda *_: 3e6)
        yield


@pytest.fixture
def unrendered(monkeypatch):
    """Figures are made but not rendered."""
    blank = '<svg width="1pt" height="1pt" viewBox="0 0 1 1"></svg>'

    monkeypatch.setattr(Figure, "savefig", lambda figure, out, **_: out.write(b"\x89PNG"))
    monkeypatch.setattr(FigureCanvasSVG, "print_svg", lambda canvas, out, **_: out.write(blank))
    monkeypatch.setattr(report_figure, "_ends", lambda figure: None)


def undraw(patch: pytest.MonkeyPatch) -> None:
    """Pages have all but their figures, which take most of a study's time here."""
    patch.setattr(report_figure.Chart, "svg", "")
    patch.setattr(report_figure.Chart, "png", lambda chart, dpi=0: b"\x89PNG")


@pytest.fixture
def undrawn(monkeypatch):
    undraw(monkeypatch)


@pytest.fixture
def tuned(monkeypatch):
    """Three trials of each method, then a seed of each run."""
    sizes = {
        name: replace(size, seeds=1) for name, size in vars(QUICK).items() if isinstance(size, Size)
    }
    monkeypatch.setitem(PRESETS, "quick", replace(QUICK, trials=3, **sizes))


@pytest.fixture(scope="module")
def made(planted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    swept = f"{QUICK.sweep.images}images-0"
    executor = PlantedExecutor({f"r3gan.x4-{swept}": 5, f"dcgan.x4-{swept}": 5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "LocalExecutor", lambda places: executor)
        result = run_study(Study("quick", str(folder)), executor=executor)
        again = PlantedExecutor()
        patch.setattr(run, "LocalExecutor", lambda places: again)
        undraw(patch)
        shutil.copytree(folder, copy := tmp_path_factory.mktemp("again") / "study")
        run_study(Study("quick", str(copy)), executor=again)
    return folder, result, executor, again


KINDS, GANS = ("seconds", "images"), ("r3gan", "dcgan")


def claim(result, name):
    return next(claim for claim in result.claims if claim.name == name)


def test_six_claims_in_json_and_on_the_first_screen(made):
    folder, result, _, _ = made
    names = ["stability", "coverage", "scaling", "control", "likelihood", "inference"]
    stored = json.loads((folder / "report.json").read_text())
    assert [c["name"] for c in stored["claims"]] == names
    for c in stored["claims"]:
        assert c["verdict"] in ("supported", "mixed", "not supported", "inconclusive")
        assert {"value", "low", "high", "reason", "parts"} <= set(c)
    text = (folder / "report.html").read_text()
    first_screen = html.unescape(text[: text.index('<section id="stability"')])
    for c in stored["claims"]:
        assert c["question"] in first_screen and c["verdict"] in first_screen


def test_verdicts_follow_from_what_was_planted(made):
    _, result, _, _ = made
    assert claim(result, "coverage").verdict == "inconclusive"  # three seeds of the toys
    parts = {part.name: part for part in claim(result, "coverage").parts}
    assert parts["held-out images at equal seconds, against r3gan"].verdict == "supported"
    assert parts["modes of a ring of 8, against dcgan"].value == pytest.approx(0.6, abs=0.01)
    assert claim(result, "likelihood").verdict == "supported"
    assert claim(result, "likelihood").value == pytest.approx(0.99)
    scaling = {part.name: part for part in claim(result, "scaling").parts}
    assert scaling["unet against r3gan, parameters"].value > 0.05
    seen = scaling["unet against r3gan, images seen"]  # planted: images change nothing
    assert seen.n == 3 and seen.value == pytest.approx(0.0, abs=0.01)
    assert claim(result, "control").parts[-1].value == pytest.approx(3.0)
    # r3gan reaches 4 + 10 per seed, dcgan 9 + 10; diffusion's 200 / steps never comes to 4 and 9
    parts = claim(result, "inference").parts
    names = [f"models of equal {k}, against {g}" for k in KINDS for g in GANS]
    assert [part.name for part in parts] == names
    assert {part.verdict for part in parts} == {"inconclusive"}
    assert "never reached with 1 of 5 seeds" in parts[0].note
    accuracy = [part.name for part in claim(result, "control").parts][:4]
    assert accuracy == [f"classes at equal {k}, against {g}" for k in KINDS for g in GANS]
    stability = {part.name: part for part in claim(result, "stability").parts}
    assert "1 of 10 runs of r3gan failed, 0 of 10" in stability["against r3gan"].note


def test_models_of_captions_numbers_and_maps_stand_in_the_section_on_control(made, tmp_path):
    folder, result, _, _ = made
    study = Study("quick", str(tmp_path), text=True, numbers=("age",), maps=("edges", "lowres:2"))
    chosen = json.loads((folder / f"chosen-{QUICK.main.images}.json").read_text())
    compared = other_comparisons(study, load_classes("digits"), chosen)[CONDITIONS]
    followed = ("prompt_top1", "prompt_top5", "prompt_swap", "number_error", "map_error")
    assert compared.metrics[2:] == followed and not compared.conditional
    assert "--text --numbers age --map edges lowres:2" in " ".join(study.words)
    assert (compared.text, compared.numbers, compared.maps) == (True, study.numbers, study.maps)
    main = result.comparisons["main"]
    given = replace(
        main,
        metrics=("fd", *followed),
        protocol=replace(main.protocol, text=True, numbers=("age",), maps=study.maps),
        runs=[
            replace(one, metrics={"prompt_top5": replace(accuracy, chance=5 / 40)})
            for one in main.runs
            if isinstance(one, MeasuredRun) and (accuracy := one.metrics["label_accuracy"])
        ],
    )
    evidence = Evidence(QUICK, {**result.comparisons, CONDITIONS: given}, {})
    seconds, images = control.tables(evidence)
    assert seconds.heads == ("method", *followed, "seeds")
    assert "captions and age and edges maps and lowres maps" in seconds.note
    assert [row[0] for row in images.rows] == [
        *("diffusion", "r3gan", "dcgan", "by chance", "real images")
    ]
    assert images.rows[3][1:3] == ["-", "0.125"]  # of 40 captions
    planted = next(row for row in main.budgets[1].methods if row.method == "r3gan")
    mean = planted.metrics["label_accuracy"].value
    assert images.rows[1][2].startswith(f"{mean:.3g} (") and images.rows[1][1] == "-"
    alone = replace(given, runs=[one for one in given.runs if one.seed == 0])
    one = next(one for one in alone.runs if one.method == "dcgan" and one.budget == "images")
    low, high = one.metrics["prompt_top5"].low, one.metrics["prompt_top5"].high
    _, images = control.tables(replace(evidence, comparisons={CONDITIONS: alone}))
    assert images.rows[2][2].endswith(f" ({low:.3g} to {high:.3g})")  # its own interval
    assert control.tables(replace(evidence, comparisons=result.comparisons)) == []


def test_what_is_finished_is_not_made_again(made):
    _, result, executor, again = made
    assert len([words for words in executor.commands if words[0] == "train"]) == len(
        [one for found in result.comparisons.values() for one in found.runs]
    )
    assert again.commands == []


def test_the_page_is_whole_and_loads_nothing(made):
    folder, _, _, _ = made
    page = Page((folder / "report.html").read_text())
    assert "script" not in page.tags
    for address in page.addresses:
        assert address.startswith(("#", "data:")), address
    assert 'href="#tuning"' not in (folder / "report.html").read_text()  # nothing was
    inside = {address[1:] for address in page.addresses if address.startswith("#")}
    assert inside <= set(page.ids) and len(page.ids) == len(set(page.ids))
    words = re.sub(r"\s+", " ", " ".join(page.words))
    assert "nan" not in words.lower().split() and "None" not in words.split()
    for phrase in (
        "a GAN has no likelihood",
        "a ring of 8",
        "masked halves",
        "MiB",
        "per doubling",
    ):
        assert phrase in words, phrase
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert {"stability-rates.png", "scaling.png", "likelihood.png", "inference.png"} <= figures
    assert all(f.read_bytes()[:4] == b"\x89PNG" for f in (folder / "figures").iterdir())


@pytest.mark.usefixtures("undrawn")
def test_a_claim_without_a_number_says_why_on_the_first_screen(made):
    folder, result, _, _ = made
    why = "against dcgan, n = 5, margin 10; never reached with 5 of 5 seeds"
    lacking = {"value": None, "low": None, "high": None, "reason": why}
    claims = [replace(c, **lacking) if c.name == "inference" else c for c in result.claims]
    text = render(folder, result, [Section(c, CLAIMS[c.name].title) for c in claims])
    first_screen = html.unescape(text[: text.index('<section id="stability"')])
    assert "no number" in first_screen and why in first_screen


@pytest.mark.usefixtures("undrawn", "tuned")
def test_the_sweep_goes_around_what_the_trials_chose(planted, tmp_path, monkeypatch):
    executor = PlantedExecutor()
    monkeypatch.setattr(run, "LocalExecutor", lambda places: executor)
    result = run_study(Study("quick", str(tmp_path / "study")), executor=executor)
    words = {Path(w[w.index("--out") + 1]).name: w for w in executor.commands if w[0] == "train"}
    tuning = result.comparisons["main"].tuning.budgets["images"]
    for method in QUICK.swept:
        won = next(p for (name, p) in TRIALS if name == method)
        assert tuning[method].point == won
        best = f"{method}-{QUICK.main.images}images" + (f"-trial{won}" if won else "") + "-0"
        swept = [
            words[f"{method}.x{factor:g}-{QUICK.sweep.images}images-0"] for factor in (0.25, 4)
        ]
        recipe = result.comparisons["main"].configs["images"][method].model
        name = "optimizer" if method == "diffusion" else "generator_optimizer"
        rate = getattr(recipe, name).learning_rate
        assert [float(option(w, "--lr")) for w in swept] == pytest.approx([rate / 4, rate * 4])
        for flag in ("--batch-size", "--penalty", "--label-dropout"):
            assert [w.count(flag) for w in swept] == [words[best].count(flag)] * 2, (method, flag)
            if flag in words[best]:
                assert {option(w, flag) for w in swept} == {option(words[best], flag)}
        if won:
            assert float(option(words[best], "--lr")) == pytest.approx(rate)
            assert "--batch-size" in words[best]
    for table in ("tail", "filling", "scaling", "ring8"):  # other models: by their recipes
        for one in result.comparisons[table].runs:
            assert "--batch-size" not in words_of_run(executor, table, one.name)
    assert result.cost.trials == 3 * 3 * 2
    text = (tmp_path / "study" / "report.html").read_text()
    assert "18 before them" in text and 'href="#tuning"' in text and 'id="tuning"' in text


def words_of_run(executor, table, name):
    return next(
        words
        for words in executor.commands
        if words[0] == "train" and Path(option(words, "--out")).parts[-3::2] == (table, name)
    )


@pytest.mark.usefixtures("undrawn")
def test_a_measurement_that_fails_is_reported_and_tried_again(made, planted, tmp_path, monkeypatch):
    folder, _, _, _ = made
    shutil.copytree(folder, tmp_path / "study")
    cell = f"dcgan-{QUICK.tail.images}images-1"
    name = f"tail/{cell}"
    (tmp_path / "study" / "parts" / f"tail_{cell}.json").unlink()
    executor = PlantedExecutor({name: 1})
    monkeypatch.setattr(run, "LocalExecutor", lambda places: executor)
    study = Study("quick", str(tmp_path / "study"))
    result = run_study(study, executor=executor)
    assert result.failed == {name: "it could not be measured"}
    assert "it could not be measured" in (tmp_path / "study" / "report.html").read_text()
    assert [words[-1] for words in executor.commands] == [name]


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("lost", [("sweep", "ring8", "filling"), ("scaling", "tail", "likelihood")])
def test_a_table_all_of_whose_runs_fail_is_a_result(planted, tmp_path, monkeypatch, lost):
    executor = PlantedExecutor(lost=lost)
    monkeypatch.setattr(run, "LocalExecutor", lambda places: executor)
    result = run_study(Study("quick", str(tmp_path / "study")), executor=executor)
    runs = [one for name in lost for one in result.comparisons[name].runs]
    assert {one.state for one in runs} == {"failed"} and len(result.claims) == 6
    assert result.cost.failed_runs == len(runs)
    assert (tmp_path / "study" / "report.html").is_file()
    if "sweep" in lost:
        found = claim(result, "stability").parts[0]
        assert found.n == 0 and "no runs of both families" in found.note  # lost, not failed
    else:
        for name in ("scaling", "likelihood"):
            assert claim(result, name).value is None and claim(result, name).reason


@pytest.mark.usefixtures("unrendered")
def test_without_the_times_of_diffusion_there_is_a_page(made, planted, tmp_path, monkeypatch):
    folder, result, _, _ = made
    name = next(name for name in result.measurements if name.startswith("times/diffusion"))
    shutil.copytree(folder, tmp_path / "study")
    (tmp_path / "study" / "parts" / f"{name.replace('/', '_')}.json").unlink()
    executor = PlantedExecutor({name: -9})
    monkeypatch.setattr(run, "LocalExecutor", lambda places: executor)
    again = run_study(Study("quick", str(tmp_path / "study")), executor=executor)
    assert again.failed == {name: "killed by signal SIGKILL"}
    assert claim(again, "inference").value is None
    assert "killed by signal SIGKILL" in (tmp_path / "study" / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_measurement_is_made_again(made, planted, tmp_path, monkeypatch):
    folder, result, _, _ = made
    shutil.copytree(folder, tmp_path / "study")
    name = next(name for name in result.measurements if name.startswith("filling/"))
    (tmp_path / "study" / "parts" / f"{name.replace('/', '_')}.json").write_text("")
    executor = PlantedExecutor()
    monkeypatch.setattr(run, "LocalExecutor", lambda places: executor)
    again = run_study(Study("quick", str(tmp_path / "study")), executor=executor)
    assert [words[-1] for words in executor.commands] == [name]
    assert again.measurements == result.measurements


@pytest.mark.parametrize(
    ("other", "name"),
    [({"seed": 1}, "seed"), ({"preset": "smoke"}, "preset"), ({"mnist": "others"}, "mnist")],
)
def test_another_study_does_not_go_on_where_one_lies(made, planted, tmp_path, other, name):
    folder, _, _, _ = made
    shutil.copytree(folder, tmp_path / "study")
    kept = tmp_path / "study" / "study.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"mnist": "mnist"}))
    asked = {"preset": "quick", "out": str(tmp_path / "study"), "mnist": "mnist", **other}
    executor = PlantedExecutor()
    with pytest.raises(UsageError, match=f"other settings: {name} is .* name another folder"):
        run_study(Study(**asked), executor=executor)
    assert executor.commands == []
    kept.write_text("{")
    with pytest.raises(UsageError, match="study.json is damaged"):
        run_study(Study("quick", str(tmp_path / "study")), executor=executor)


@pytest.mark.usefixtures("undrawn", "tuned")
def test_a_trial_that_succeeds_later_does_not_move_the_sweep(planted, tmp_path, monkeypatch):
    """It may win then, but the runs around the one that won before are there."""
    study = Study("quick", str(tmp_path / "study"))
    won = f"r3gan-{QUICK.main.images}images-trial2"
    first, second = PlantedExecutor({won: 2}), PlantedExecutor()
    monkeypatch.setattr(run, "LocalExecutor", lambda places: first)
    before = run_study(study, executor=first).comparisons
    monkeypatch.setattr(run, "LocalExecutor", lambda places: second)
    after = run_study(study, executor=second).comparisons
    tuned = [t["main"].tuning.budgets["images"]["r3gan"].point for t in (before, after)]
    assert tuned[0] != tuned[1] == 2
    assert [one.settings for one in after["sweep"].runs] == [
        one.settings for one in before["sweep"].runs
    ]


def test_evaluations_are_as_many_for_every_batch_size():
    data = load_classes("digits")
    for batch in (8, 24, 64, 104):
        chosen = {"learning_rate": 1e-3, "batch_size": batch}
        every = evaluated_as(Study("full", "x"), "dcgan", chosen, data)["evaluate_every"]
        steps = round(PRESETS["full"].sweep.images / batch)
        looks = {*range(every, steps + 1, every), steps}
        assert len(looks) == 4, (batch, sorted(looks))


def test_what_measuring_costs_is_reported(made):
    folder, result, _, _ = made
    cost = result.cost
    runs = [one for found in result.comparisons.values() for one in found.runs]
    done = sum(one.state == "done" for one in runs)
    assert cost.measurements == done + len(result.measurements)
    assert cost.measuring_processor_seconds == pytest.approx(done)  # planted: a second each
    assert cost.measurements_of_unknown_cost == len(result.measurements)
    assert (
        f"{len(result.measurements)} of them of unknown cost"
        in (folder / "report.html").read_text()
    )


def test_a_measurement_stores_its_cost(tmp_path):
    def measure():
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
        return planted

    planted = measurement("answer/dcgan-10s-0")
    job = Job("answer/dcgan-10s-0", measure)
    assert job.read(tmp_path) is None
    job.do(tmp_path)
    found = job.read(tmp_path)
    assert 0.05 <= found.cpu_seconds < 5 and replace(found, cpu_seconds=None) == planted


def test_longer_runs_have_measurements_of_their_own(made):
    # a measurement is named after its run, whose name says how long it is
    _, result, _, _ = made
    for name in result.measurements:
        assert re.search(r"-(\d+images|10s)-\d+$", name), name


@pytest.mark.usefixtures("undrawn")
def test_the_numbers_are_stored_where_the_page_cannot_be_drawn(made, tmp_path, monkeypatch):
    folder, result, _, _ = made
    shutil.copytree(folder, tmp_path / "study")
    (tmp_path / "study" / "report.json").unlink()

    def broken(*_):
        raise ZeroDivisionError

    executor = PlantedExecutor()
    monkeypatch.setattr(run, "LocalExecutor", lambda places: executor)
    monkeypatch.setattr(run, "sections_of", broken)
    with pytest.raises(ZeroDivisionError):
        run_study(Study("quick", str(tmp_path / "study")), executor=executor)
    stored = json.loads((tmp_path / "study" / "report.json").read_text())
    assert stored["claims"] == to_plain(result.claims)


def test_nothing_at_all_leaves_every_claim_open_and_says_why():
    for one in CLAIMS.values():
        found = one.measure(Evidence(QUICK, {}, {}))
        assert found.verdict == "inconclusive" and found.value is None and found.reason


def test_an_unknown_part_and_an_unknown_preset_are_refused(tmp_path):
    with pytest.raises(UsageError, match="^preset 'tiny': wanted one of smoke, quick, full"):
        Study("tiny", str(tmp_path))
    with pytest.raises(UsageError, match="part ring8/nobody"):
        make_part(Study("quick", str(tmp_path)), "ring8/nobody")


def test_presets_fix_what_the_claims_ask_for():
    assert set(PRESETS) == {"smoke", "quick", "full"}
    for preset in (PRESETS["quick"], PRESETS["full"]):
        assert preset.main.seeds >= 5 and len(preset.factors) >= 5
        assert preset.methods[0] == "diffusion" and "r3gan" in preset.methods
    full = PRESETS["full"]
    assert full.sweep.seeds >= 5 and full.points.seeds >= 10
    assert full.stacked is not None


def test_the_full_study_has_as_many_seeds_as_every_claim_needs():
    full = PRESETS["full"]
    needed = rules.COVERAGE.needed
    assert min(full.main.seeds, full.points.seeds, full.tail.seeds) >= needed
    assert full.stacked.seeds >= rules.STACKED_SEEDS
    assert full.scaling.seeds >= rules.SCALING.needed
    assert full.likelihood.seeds >= rules.LIKELIHOOD.needed
    assert min(full.main.seeds, full.inpainting.seeds) >= rules.CONTROL.needed
    assert full.main.seeds >= rules.INFERENCE.needed
    assert full.sweep.seeds * len(full.factors) >= rules.STABILITY.needed


def test_the_tail_gets_rarer_by_class_and_does_not_depend_on_the_order():
    labels = np.repeat(np.arange(10), 500)
    kept = np.bincount(labels[tail_rows(labels, 10, 0)], minlength=10)
    assert kept[0] == 500 and kept[9] == 10 and (np.diff(kept) < 0).all()
    ratios = kept[1:] / kept[:-1]
    assert np.allclose(ratios, (1 / 50) ** (1 / 9), atol=0.06)
    assert list(rare_classes(labels[tail_rows(labels, 10, 0)], 10)) == list(range(5, 10))
    assert not np.array_equal(tail_rows(labels, 10, 0), tail_rows(labels, 10, 1))
