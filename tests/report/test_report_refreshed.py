"""The report shows curves and evaluations that were measured after it was written."""

from __future__ import annotations

import json
import os
import shutil
import warnings

import matplotlib
import pytest
from tests.report import fake_run
from tests.report.test_report import Page

from undrift.errors import ModelFileError
from undrift.metrics.results import FeatureSpace
from undrift.report import write_report
from undrift.report.figure import PRINT, printed
from undrift.report.refresh import refresh
from undrift.report.sampler_curve import curve_chart
from undrift.report.sampler_table import budget_lines
from undrift.results import CurveResult
from undrift.results.evaluation import (
    EvaluatedReference,
    EvaluatedSamples,
    EvaluationCost,
    EvaluationResult,
)
from undrift.schema import from_plain, to_plain


def curve(names=("dpmpp_2m", "heun", "euler"), metrics=("fd", "kid", "coverage")):
    cells = []
    for place, name in enumerate(names):
        for nfe in (5, 15, 35):
            value = (1 + place) * (0.6 + 20 / nfe**1.5)
            points = {"fd": value, "kid": value / 50 - 0.02, "coverage": 0.97 - value / 12}
            cells.append(
                {
                    "sampler": name,
                    "nfe": nfe,
                    "steps": nfe,
                    "seconds": 0.002 * nfe,
                    "metrics": {
                        m: {"value": points[m], "low": points[m] * 0.9, "high": points[m] * 1.1}
                        for m in metrics
                    },
                }
            )
    first = metrics[0]

    def ranked(cell):
        return {name: cell[name] for name in ("sampler", "nfe", "steps")} | cell["metrics"][first]

    best = {"budget": 5, **ranked(cells[0]), "runner_up": ranked(cells[-3]), "overlaps": False}
    return {
        "version": "0",
        "target": "run",
        "n": 30,
        "seed": 0,
        "guidance": 1.0,
        "grid": None,
        "metrics": list(metrics),
        "missing": {},
        "titles": {m: f"{m}[domain]" for m in metrics},
        "better": {m: "higher" if m == "coverage" else "lower" for m in metrics},
        "floors": dict.fromkeys(metrics, 0.6) | {"coverage": 0.97},
        "features": {"name": "domain", "description": ""},
        "reference": {"split": "test", "count": 60},
        "threads": 1,
        "cells": cells,
        "best": {first: [best]},
        "protocol": "30 samples <b>against</b> 60 images",
    }


def result(plain):
    return from_plain(CurveResult, plain, "curve")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("written")
    made = fake_run.make_run(place / "again")
    write_report(made, fake_run.material())
    return made.rename(place / "written")


@pytest.fixture
def run(written):
    """A run with its report, always at one place, which the page names."""
    place = written.with_name("again")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(written, place)
    return place


def test_a_curve_joins_the_report_and_all_else_stays(run, tmp_path):
    before = (run / "report.html").read_text()
    assert 'id="samplers"' not in before
    assert refresh(run) and (run / "report.html").read_text() == before

    (run / "evaluation" / "curve.json").write_text(json.dumps(curve()))
    assert refresh(run)
    text = (run / "report.html").read_text()
    page = Page(text)
    assert 'id="samplers"' in text and page.tags.count("svg") == 11
    assert len(page.images) == len(Page(before).images)
    for words in ("dpmpp_2m, 5 steps", "better beyond its interval", "30 samples <b>against</b>"):
        assert words in page.said, words
    assert len(page.ids) == len(set(page.ids))
    assert not refresh(tmp_path)  # no report there
    assert write_report(run, fake_run.material()).read_text() == text

    changed = curve(("unipc",))
    (run / "evaluation" / "curve.json").write_text(json.dumps(changed | {"best": {}}))
    refresh(run)
    again = Page((run / "report.html").read_text())
    assert "unipc" in again.said and "dpmpp_2m, 5 steps" not in again.said


def test_a_curve_along_guidance_joins_the_report(run):
    shared = {k: v for k, v in curve(metrics=("fd",)).items() if k not in ("guidance", "cells")}
    cells = [
        {"guidance": float(k), "nfe": 40, "seconds": 0.1, "metrics": {"fd": ends}}
        for k, ends in enumerate([point(3.0), point(2.0), point(1.9)], start=1)
    ]
    best = {"fd": point(1.9) | {"guidance": 3.0, "alike": [2.0]}}
    plain = shared | {"sampler": "euler", "steps": 20, "cells": cells, "best": best}
    (run / "evaluation" / "guidance.json").write_text(json.dumps(plain))
    assert refresh(run)
    page = Page((run / "report.html").read_text())
    assert "guidance" in page.ids and "samplers" not in page.ids
    line = "best fd[domain]: guidance 3; the intervals of 2 overlap with it; it is the largest"
    assert line in page.said
    assert len(page.ids) == len(set(page.ids))


def point(value):
    return {"value": value, "low": value - 0.2, "high": value + 0.2}


def evaluation(value, count=2000):
    ends, protocol = (value - 0.1, value + 0.1), "Frechet distance of <features>"
    return to_plain(
        EvaluationResult(
            version="0",
            target="run",
            metrics={"fd": fake_run.metric("fd", value, ends, 0.25, protocol=protocol)},
            missing={"cas": "no labels"},
            features=FeatureSpace("domain@01234567", ""),
            classifier=None,
            reference=EvaluatedReference("test", 900, "digits", 900, "0", None),
            samples=EvaluatedSamples(count, None, None),
            seed=0,
            protocol="2,000 samples",
            sampling={"sampler": "heun", "steps": 9, "guidance": None},
            cost=EvaluationCost(17.0, 1.0, 1.0, 1),
        )
    )


def test_a_damaged_evaluation_is_named(run):
    plain = evaluation(1.0)
    plain["metrics"]["fd"]["value"] = "low"
    for name in ("later", "first"):
        path = run / "evaluation" / f"{name}.json"
        before = path.read_text() if path.exists() else None
        path.write_text(json.dumps(plain))
        with pytest.raises(ModelFileError, match=rf"{name}.json: metrics.fd: value: got 'low'"):
            write_report(run, fake_run.material())
        path.unlink() if before is None else path.write_text(before)


def test_later_evaluations_join_the_report_latest_first(run):
    before = (run / "report.html").read_text()
    assert 'id="evaluations"' not in before
    for age, (name, value) in enumerate([("b", 3.25), ("a", 1.75)]):
        path = run / "evaluation" / f"{name}.json"
        path.write_text(json.dumps(evaluation(value)))
        os.utime(path, (1000 + age, 1000 + age))
    (run / "evaluation" / "likelihood-elbo.json").write_text(json.dumps({"methods": {}}))
    assert refresh(run)
    text = (run / "report.html").read_text()
    page = Page(text)
    for words in ("1.75", "3.25", "Frechet distance of <features>", "No cas: no labels"):
        assert words in page.said, words
    assert "2,000 samples against 900 images of test, sampler heun, steps 9" in page.said
    section = text[text.index('id="evaluations"') :]
    assert section.index("1.75") < section.index("3.25")
    assert len(page.ids) == len(set(page.ids))
    assert write_report(run, fake_run.material()).read_text() == text


def test_a_page_without_the_marks_is_left_alone(run):
    (run / "report.html").write_text("<html>mine</html>")
    assert not refresh(run)
    assert (run / "report.html").read_text() == "<html>mine</html>"


@pytest.mark.parametrize("metrics", [("fd",), ("coverage", "kid")])
def test_the_figure_takes_any_metrics_and_many_samplers(metrics):
    names = tuple(f"sampler_{k}" for k in range(17))
    with printed():
        figure = curve_chart(result(curve(names, metrics))).draw(PRINT)
    assert len(figure.axes) == 2 * len(metrics)
    left = figure.axes[0]
    told = {text.get_text() for text in left.texts}
    assert set(names) <= told and "real images" in told
    places = sorted(text.get_window_extent().y0 for text in left.texts if text.get_text() in names)
    gaps = [above - below for below, above in zip(places, places[1:], strict=False)]
    assert min(gaps) > 0.9 * 11 * figure.dpi / 72  # no name lies on another
    looks = {
        (line.get_color(), line.get_marker()) for line in left.lines if len(line.get_xdata()) == 3
    }
    assert len(looks) == 17
    assert matplotlib.rcParams["axes.grid"] is False


def test_intervals_that_are_missing():
    plain = curve(("euler",), ("fd",))
    for cell in plain["cells"]:
        cell["metrics"]["fd"] |= {"low": None, "high": None}
    plain["best"]["fd"][0] |= {"low": None, "high": None, "runner_up": None, "overlaps": None}
    (line,) = budget_lines(result(plain), "fd")
    assert (line.runner_up, line.told_apart) == ("-", "-") and "to" not in line.value
    assert curve_chart(result(plain)).draw(PRINT).axes


@pytest.mark.parametrize("floor", [-0.01, 0.0])
def test_real_images_below_zero_are_on_the_chart(floor):
    # an unbiased distance of real images is below 0 as often as above
    wide = curve(("euler",), ("kid",))
    for cell, value in zip(wide["cells"], (0.5, 0.1, 0.05), strict=True):
        cell["metrics"]["kid"] = {"value": value, "low": 0.9 * value, "high": 1.1 * value}
    wide["floors"] = {"kid": floor}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a layout that collapsed
        axis = curve_chart(result(wide)).draw(PRINT).axes[0]
    assert axis.get_yscale() == "linear" and axis.get_ylim()[0] <= floor
