"""The page of a comparison: complete in itself, every number in it, and true where runs failed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.comparison.fake_executor import FakeExecutor
from tests.comparison.test_run import COMPARISON, NAMES, SPEED
from tests.report.test_report import Page

from undrift.comparison import Method, run, run_comparison
from undrift.report.figure import FIRST


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    comparison = replace(COMPARISON, budget="10s", out=str(folder), parameters="recipe")
    executor = FakeExecutor({"r3gan-10s-1": 5, "dcgan-10s-0": -9})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "speed_of", lambda *_: SPEED)
        patch.setattr(run, "training_flops", lambda *_: 3e6)
        found = run_comparison(comparison, executor=executor)
    for kind in ("seconds", "images"):  # for print
        assert (folder / f"compare-{kind}.png").read_bytes().startswith(b"\x89PNG")
    return found, (folder / "report.html").read_text()


def words_of(page):
    return re.sub(r"\s+", " ", " ".join(page.words))


def test_the_page_is_whole_and_loads_nothing(made):
    _, text = made
    page = Page(text)
    assert "script" not in page.tags
    for address in page.addresses:
        assert address.startswith(("#", "data:")), address
    inside = [address[1:] for address in page.addresses if address.startswith("#")]
    assert inside and set(inside) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    # two budgets of three seeds: three grids each but for the runs that failed
    assert len(page.images) == 2 * 9 - 2
    assert FIRST not in text and "nan" not in words_of(page).lower().split()


def test_every_mean_interval_and_difference_is_on_the_page(made):
    found, text = made
    words = words_of(Page(text))
    for table in found.budgets:
        for row in table.methods:
            assert f"{row.metrics['fd'].value:.3g}" in words
    assert "Against the first method, seed by seed" in words and "+3" in words
    assert "real images" in words and "0.5" in words and "95.0%" in words
    assert "640" in words and "equal images (640 seen in training each)" in words


def test_failures_sizes_and_reasons_are_told(made):
    _, text = made
    words = words_of(Page(text))
    assert "2 of 18 runs failed" in words and "2 of 3 runs" in words
    assert "no finite loss; lower --lr" in words and "killed by signal SIGKILL" in words
    assert "times the parameters of diffusion" in words
    assert "Does the diffusion model cover more of the data than the GAN?" in words
    assert "have fewer seeds than needed" in words
    assert "nothing was tuned for any method" in words and "over training seeds" in words


def test_curves_are_drawn_for_both_families_and_points_for_every_metric(made):
    _, text = made
    for name in (
        "curves-images-diffusion",
        "curves-seconds-r3gan",
        "quality-images",
        "points-images-coverage",
    ):
        assert f'id="{name}-' in text
    assert text.count('class="plot"') == 2 * (2 + 3 + 1)


@pytest.mark.parametrize("seeds", [1, 3])
def test_methods_are_told_apart_by_noise_level(seeds, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "speed_of", lambda *_: SPEED)
    monkeypatch.setattr(run, "training_flops", lambda *_: 3e6)
    methods = (Method("diffusion", "diffusion"), Method("wet", "diffusion", {"dropout": 0.1}))
    comparison = replace(
        COMPARISON, methods=methods, seeds=seeds, out=str(tmp_path), parameters="recipe"
    )
    run_comparison(comparison, executor=FakeExecutor())
    words = words_of(Page((tmp_path / "report.html").read_text()))
    assert (
        "wet, validation error against diffusion: 10% more at noise 0.03 to 0.14, elsewhere no "
        "difference beyond the 95% interval."
    ) in words


def test_trials_and_sizes_have_their_place(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "speed_of", lambda *_: SPEED)
    monkeypatch.setattr(run, "training_flops", lambda *_: 3.25e9)
    comparison = replace(COMPARISON, out=str(tmp_path), trials=3, trial_share=0.5)
    run_comparison(comparison, executor=FakeExecutor({"dcgan-320images-trial2": 5}))
    page = Page((tmp_path / "report.html").read_text())
    words = words_of(page)
    assert "nothing was tuned" not in words and "3 trials of each method" in words
    assert "learning rate x 1/4 to 4" in words and "for 50% of a run's length" in words
    assert words.count(" used ") == 3 + 1  # and "are used with every seed"
    assert "penalty x 1.7" in words and "recipe" in words and "batch size" in words
    assert "dcgan, tuned at equal images: 1 of 3 trials failed and were not chosen from" in words
    assert "the first method's, within 10 %" in words
    assert "FLOPs per training image" in words and "3.2" in words
    assert "times the parameters" not in words


def test_a_comparison_without_any_mean_has_a_page_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes = dict.fromkeys(NAMES, 5)  # diverged is a result
    found = run_comparison(COMPARISON, executor=FakeExecutor(codes))  # nothing is drawn with them
    assert found.metrics == () and found.speeds == {"images": {}}
    words = words_of(Page(Path("out/report.html").read_text()))
    assert "No run at this budget could be measured." in words and "9 of 9 runs failed" in words
    assert "100% (44% to 100%)" in words


def test_the_table_comes_first_and_claims_that_stay_open_are_folded(made):
    _, text = made
    for budget in re.split(r'<section id="(?:seconds|images)">', text)[1:]:
        table, claim = budget.index("<table"), budget.index('<p class="claim">')
        assert table < budget.index("Against the first method") < claim
        inside = budget[budget.index("<details") : budget.index("</details>")]
        shown = budget[: budget.index("<details")]
        assert shown.count('<p class="claim">') + inside.count('<p class="claim">') == 6
        assert ">inconclusive</span>" not in shown
        assert f"{inside.count('inconclusive</span>')} of 6 claims are inconclusive" in inside
