"""The pages in a real browser: nothing fails, every picture is there, a phone can show them.

Debian's chromium and its driver; `.ci/run` installs them.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from tests.claims.planted import Distances, PlantedExecutor
from tests.comparison import fake_executor
from tests.comparison.fake_executor import FakeExecutor
from tests.comparison.test_run import COMPARISON, SPEED
from tests.report.fake_run import make_run, material

import undrift
from undrift.claims import Study, run, run_study
from undrift.claims.comparisons import MAIN_METRICS
from undrift.claims.preset import QUICK
from undrift.comparison import run as compare_run
from undrift.comparison import run_comparison
from undrift.report import write_report
from undrift.workflows import closing

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver on the path"
)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

BROKEN = "return [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.alt)"
WIDE = """
const edge = document.documentElement.clientWidth;
const scrolls = e => { for (; e; e = e.parentElement) {
  const flow = getComputedStyle(e).overflowX;
  // a panel of a chart shows its part of one drawing: what counts is the panel, which is a <svg>
  if (['auto', 'scroll'].includes(flow) || (flow === 'hidden' && e.matches('svg.plot')))
    return true; } return false; };
return [...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > edge + 1)
  .filter(e => !scrolls(e.ownerSVGElement || e))
  .map(e => e.tagName + ' ' + (e.textContent || '').trim().slice(0, 40));
"""
SMALL = """
return [...document.querySelectorAll('p, td, li, figcaption')]
  .filter(e => e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 11)
  .map(e => e.textContent.trim().slice(0, 40));
"""


CUT = """
const edge = document.documentElement.clientWidth;
return [...document.querySelectorAll('.plot')]
  .filter(e => e.getBoundingClientRect().right > edge + 1)
  .map(e => e.textContent.trim().slice(0, 40));
"""
SCALES = """
return [...document.querySelectorAll('.classes img')]
  .map(i => i.getBoundingClientRect().width / i.naturalWidth);
"""
FIRST = "return document.querySelector('.timeline img').getBoundingClientRect().width"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a study, of a comparison, of a short run and of a long one."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_executor, "FD", Distances())
        patch.setattr(compare_run, "speed_of", lambda *_: SPEED)
        executor = PlantedExecutor({f"r3gan.x4-{QUICK.sweep.images}images-0": 5})
        patch.setattr(run, "LocalExecutor", lambda places: executor)
        run_study(Study("quick", str(folder / "study")), executor=executor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_run, "speed_of", lambda *_: SPEED)
        comparison = replace(
            COMPARISON, budget="10s", metrics=MAIN_METRICS, out=str(folder / "comparison")
        )
        run_comparison(comparison, executor=FakeExecutor({"r3gan-10s-1": 5}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "FEWEST", 32)
        patch.setattr(closing, "PIXELS", 0)
        undrift.train("digits", out=folder / "run", steps=4, network="mlp")
    write_report(make_run(folder / "long"), material())
    return folder


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["study", "comparison", "run"])
def test_the_page_loads_and_can_be_read(browser, pages, name, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get_log("browser")
    browser.get((pages / name / "report.html").as_uri())
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    assert browser.execute_script("return document.images.length") > 0
    assert browser.execute_script(BROKEN) == []
    assert browser.execute_script(WIDE) == []
    assert browser.execute_script(SMALL) == []


@pytest.mark.parametrize("width", [1280, 390])
def test_charts_fit_rows_have_one_scale_and_pictures_enlarge(browser, pages, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get((pages / "long" / "report.html").as_uri())
    assert browser.execute_script(CUT) == []
    scales = browser.execute_script(SCALES)
    assert len(scales) == 10 and len(set(scales)) == 1 and scales[0] >= 1
    small = browser.execute_script(FIRST)
    for expected in (width, small):  # a click enlarges, the next one ends it
        browser.execute_script("document.querySelector('.timeline .zoom').click()")
        assert abs(browser.execute_script(FIRST) - expected) <= 16
