"""The report: complete in itself, truthful about what is missing, and right in what it says."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.report import fake_run

from undrift.errors import ModelFileError
from undrift.report import ReportMaterial, gather_material, write_report
from undrift.report.cost import duration, time_by_part
from undrift.report.curves import smoothed
from undrift.report.history import Validation
from undrift.report.pictures import strip, thumbnail
from undrift.report.verdict import summary_ratio, verdict_of

SECTIONS = (
    "samples",
    "quality",
    "curves",
    "timeline",
    "new",
    "denoising",
    "metrics",
    "data",
    "model",
    "cost",
    "repeat",
)
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what a page loads and refers to, and refuses tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.images: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.text = text
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.addresses.append(value or "")
            if tag == "img" and name == "src":
                self.images.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.make_run(tmp_path_factory.mktemp("runs") / "digits-20260901-1")


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    path = write_report(run, fake_run.material())
    assert path == run / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_complete_in_itself(page: Page):
    assert len(page.images) > 40
    assert all(re.match(r"data:image/(png|webp);base64,", source) for source in page.images)
    targets = {address for address in page.addresses if address not in page.images}
    assert targets and all(target.startswith("#") for target in targets)
    assert {target[1:] for target in targets} <= set(page.ids)
    assert not {"script", "link", "iframe", "object", "embed", "image"} & set(page.tags)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", page.text)
    assert len(page.ids) == len(set(page.ids))


def test_every_section_has_its_content(page: Page):
    assert [name for name in page.ids if name in SECTIONS] == list(SECTIONS)
    assert page.tags.count("svg") == 10  # one for each panel
    assert 'class="missing"' not in page.text
    for words in (
        "A class-conditional diffusion model of 8 × 8 grey images in 10 classes",
        "FD[domain@026832a2]",
        "how memorization was computed",
        "943,617",
        "U-Net (patch 1, width 64, multipliers 1 2)",
        "1,200 steps of 64 images: 76,800 images",
        "train 1,538, validation 79, test 180",
        "three/torn <b>.png",
        "2 (1 .txt, 1 hidden)",
        "digits-20260901-1/config.yaml --out runs/again",
        "undrift train digits --budget 60s",
        "2.13.0+cpu",
        "best Gaussian denoiser",
        "It is learning.",
    ):
        assert words in page.said, words


def test_images_decode_and_samples_are_unchanged(page: Page):
    for source in page.images:
        blob = base64.b64decode(source.split(",", 1)[1])
        with Image.open(io.BytesIO(blob)) as image:
            image.load()
    first = np.asarray(Image.open(io.BytesIO(base64.b64decode(page.images[0].split(",", 1)[1]))))
    material = fake_run.material()
    assert material.samples is not None and material.labels is not None
    zero = material.samples[material.labels == 0][0]
    np.testing.assert_array_equal(first[:8, :8, 0], zero[..., 0])


def test_what_the_mean_over_noise_levels_hides_is_said_and_shown(page: Page, run: Path):
    assert "of the mean over levels, which hides them" in page.said
    assert re.search(
        r"From 48,640 to 76,800 images seen, error .*: \d+% .*less at noise", page.said
    )
    assert "halfway, at 48,640 images" in page.text
    assert "in one step from noise of 0.1, 0.2, 0.4 standard deviations of the data" in page.said
    with Image.open(run / "samples" / "step_001200_one_step.png") as drawn:
        expected = np.asarray(drawn.convert("RGB"))
    blobs = [base64.b64decode(source.split(",", 1)[1]) for source in page.images]
    pictures = [np.asarray(Image.open(io.BytesIO(blob)).convert("RGB")) for blob in blobs]
    assert any(np.array_equal(picture, expected) for picture in pictures)  # every pixel of it


def test_written_twice_is_the_same_page_and_leaves_nothing_else(run: Path, page: Page):
    before = sorted(path.name for path in run.iterdir())
    assert write_report(run, fake_run.material()).read_text(encoding="utf-8") == page.text
    assert sorted(path.name for path in run.iterdir()) == before


def test_names_command_neither_the_page_nor_a_terminal(tmp_path: Path):
    run = fake_run.make_run(tmp_path / "run")
    data = json.loads((run / "data.json").read_text())
    evil = '"><script>alert(1)</script>'
    data["source"] = evil + b"caf\xe9\x1b[31m".decode(errors="surrogateescape")
    data["classes"] = {evil: 3, "\x1b]0;title\x07": 3, "\u202egnp.$5_$": 2}
    data["set_aside"] = [{"name": "torn\x9b2J.png", "reason": "truncated\nfile"}]
    (run / "data.json").write_text(json.dumps(data))
    text = write_report(run).read_text(encoding="utf-8")
    assert not set("\x1b\x07\x9b\u202e") & set(text)
    found = Page(text)
    assert "script" not in found.tags
    for words in (
        evil,
        r"caf\xe9\x1b[31m",
        r"\x1b]0;title\x07",
        r"\u202egnp.$5_$",
        r"torn\u009b2J.png",
    ):
        assert words in found.said


def test_no_label_of_a_chart_is_left_as_a_formula(page: Page):
    assert "mathdefault" not in page.text


def test_without_arrays_the_files_still_make_a_page(run: Path, tmp_path: Path):
    text = write_report(fake_run.make_run(tmp_path / "run")).read_text()
    found = Page(text)
    assert "The last grid drawn in training, after 1,200 steps." in found.said
    assert "Nearest training images were not looked up." in found.said
    assert "No denoising strip was recorded." in found.said


def test_an_empty_directory_says_what_is_missing(tmp_path: Path):
    found = Page(write_report(tmp_path).read_text())
    for name in ("config.yaml", "data.json", "metrics.jsonl", "evaluation/first.json"):
        assert f"{name}" in found.said
    assert found.text.count('class="missing"') == 11
    assert "no verdict on the training" in found.said


def test_half_a_run_makes_a_page(tmp_path: Path):
    run = fake_run.make_run(tmp_path / "run")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:5]) + "\n")
    (run / "evaluation" / "first.json").unlink()
    found = Page(write_report(run).read_text())
    assert "no validation was made" in found.said
    assert "nothing was measured" in found.said


def test_a_damaged_file_is_named(tmp_path: Path):
    run = fake_run.make_run(tmp_path / "run")
    (run / "data.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"data\.json is not JSON"):
        write_report(run)
    (run / "data.json").write_text("[]")
    with pytest.raises(ModelFileError, match="wanted a mapping"):
        write_report(run)
    with pytest.raises(ModelFileError, match="no such run"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", ["127.5"]),
        ("count", None),
        ("histogram", [[[0]] * 256]),
        ("sizes", {"8x8": "many"}),
        ("duplicates", []),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path: Path, key: str, value: object):
    run = fake_run.make_run(tmp_path / "run")
    whole = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(whole | {key: value}))
    with pytest.raises(ModelFileError, match=rf"data\.json: {key}.*restore it or delete it"):
        write_report(run)


def test_what_other_versions_wrote_is_read_and_a_histogram_of_uneven_rows_left_out(tmp_path: Path):
    run = fake_run.make_run(tmp_path / "run")
    whole = json.loads((run / "data.json").read_text())
    whole["histogram"] = [whole["histogram"][0], [1, 2]]
    del whole["mean"]
    (run / "data.json").write_text(json.dumps(whole | {"hue": "unknown here"}))
    assert write_report(run).exists()


@pytest.mark.parametrize(
    ("shape", "count", "labelled"),
    [((96, 80, 3), 30, True), ((72, 72, 4), 30, False), ((8, 8, 1), 3, True)],
)
def test_any_kind_of_image(shape: tuple[int, int, int], count: int, labelled: bool, tmp_path: Path):
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (count, *shape)).astype(np.uint8)
    labels = np.arange(count) % 40 if labelled else None
    names = tuple(f"class number {i}" for i in range(40)) if labelled else ()
    material = gather_material(images, labels, fake_run.Split(images, labels), names)
    assert material.distances is not None and material.distances.max() == 0
    found = Page(write_report(tmp_path, material).read_text())
    assert found.images
    assert "class number 0" in found.said or not labelled
    assert ('class="checks"' in found.text) == (shape[2] == 4)


def test_no_samples_at_all(tmp_path: Path):
    material = ReportMaterial(samples=np.zeros((0, 8, 8, 1), np.uint8))
    assert Page(write_report(tmp_path, material).read_text()).images == []


# --- the verdict -------------------------------------------------------------------------------


def looks(*ratios: float, worst: float = 1.0, losses: tuple[float, ...] = ()) -> list[Validation]:
    """Validations whose mean ratio to the Gaussian is as given; the last has one bad level."""
    found = []
    gaussian = np.array([0.01, 0.1, 0.5, 0.9])
    for place, ratio in enumerate(ratios):
        shape = np.array([worst, 1.0, 1.0 / worst, 1.0])
        found.append(
            Validation(
                step=place + 1,
                images=1000 * (place + 1),
                weights="ema",
                loss=losses[place] if losses else ratio,
                log_snr=np.array([6.0, 2.0, -1.0, -4.0]),
                losses=gaussian * ratio * shape,
                gaussian=gaussian,
            )
        )
    return found


@pytest.mark.parametrize(
    ("validations", "state", "says"),
    [
        ([], "unknown", "No validation"),
        (looks(3.0), "early", "Too early. On average"),
        (looks(5.0, 3.0, 2.0, 1.5, 1.2), "early", "Too early, not broken"),
        (looks(1.4, 1.3, 1.2, 1.2, 1.2), "stuck", "Probably broken"),
        (looks(1.0, 1.0, 1.0, 1.0, 1.0), "stuck", "no longer falls"),
        (looks(0.9, 0.8, 0.7, 0.6, 0.5), "learning", "a longer run is likely to reach less"),
        (looks(0.9, 0.6, 0.5, 0.5, 0.5), "learned", "levels off every run"),
        (looks(0.9, 0.6, 0.5, 0.5, 0.5, worst=4.0), "stuck", "At noise 0.05 its error is 2"),
        (looks(0.9, 0.6, 0.5, 0.5, 0.6, losses=(1, 0.5, 0.4, 0.45, 0.6)), "memorising", "3,000"),
        (looks(0.9, 0.6, float("nan")), "stuck", "not finite"),
    ],
)
def test_verdict(validations: list[Validation], state: str, says: str):
    found = verdict_of(validations)
    assert found.state == state, found.sentence
    assert says in found.sentence


def test_the_second_half_is_of_the_images_and_not_of_the_validations():
    # validations are dense at the start: by their number, the second half would begin at 300
    dense = [(100, 2.0), (200, 0.8), (300, 0.62), (400, 0.6), (2500, 0.51), (5000, 0.5)]
    made = looks(*(ratio for _, ratio in dense))
    entries = [replace(look, images=at) for (at, _), look in zip(dense, made, strict=True)]
    found = verdict_of(entries)
    assert found.state == "learned"
    assert "changed by -2%" in found.sentence


def test_verdict_needs_its_yardstick():
    look = looks(0.5)[0]
    blind = Validation(1, 64, "ema", 0.5, look.log_snr, look.losses, None)
    assert verdict_of([blind]).state == "unknown"
    assert summary_ratio(blind) is None
    assert summary_ratio(look) == pytest.approx(0.5)


def test_the_fake_runs_curves_give_the_verdicts_they_were_drawn_for(tmp_path: Path):
    run = fake_run.make_run(tmp_path / "stuck", fall=0.0)
    assert "Probably broken." in Page(write_report(run).read_text()).said


# --- the parts ---------------------------------------------------------------------------------


def test_a_resumed_step_counts_once_and_the_gap_is_nobodys():
    history = fake_run.history_of(
        [
            {"event": "start", "step": 0, "time": 100.0},
            {"event": "train", "step": 10, "images": 640, "loss": 1.0, "time": 110.0},
            {"event": "train", "step": 20, "images": 1280, "loss": 0.8, "time": 120.0},
            {"event": "start", "step": 10, "time": 5000.0},
            {"event": "train", "step": 20, "images": 1280, "loss": 0.7, "time": 5010.0},
            {"event": "validation", "step": 20, "images": 1280, "loss": 0.2, "time": 5012.0},
            {"event": "skip", "step": 21, "reason": "loss nan", "time": 5013.0},
        ]
    )
    assert (history.starts, history.skips) == (2, 1)
    assert history.series("loss")[1].tolist() == [1.0, 0.7]
    assert history.series("absent")[0].tolist() == []
    assert history.elapsed == pytest.approx(20 + 13)
    assert history.images == 1280


def test_time_by_part_adds_up():
    history = fake_run.history_of(
        [
            {"event": "checkpoint", "step": 5, "seconds": 2.0},
            {"event": "checkpoint", "step": 9, "seconds": 3.0},
            {"event": "done", "step": 9, "images": 9, "seconds": 60.0},
        ]
    )
    parts = {part.name: part for part in time_by_part(history, {"grids": 5.0, "sampling": 40.0})}
    assert parts["training steps"].seconds == pytest.approx(60 - 5 - 5)
    assert parts["checkpoints"].seconds == 5
    assert sum(part.share for part in parts.values()) == pytest.approx(1)
    assert sum(part.seconds for part in parts.values()) == pytest.approx(100)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0421, "42 ms"),
        (7.25, "7.2 s"),
        (200, "3 min 20 s"),
        (3599.8, "1 h 00 min"),
        (7260, "2 h 01 min"),
    ],
)
def test_durations(seconds: float, words: str):
    assert duration(seconds) == words


def test_smoothing_keeps_lines_and_has_no_lag():
    line = np.linspace(3, 7, 200)
    np.testing.assert_allclose(smoothed(line), line, atol=1e-12)
    noisy = line + np.random.default_rng(0).normal(0, 1, 200)
    assert np.abs(smoothed(noisy, share=0.2) - line).mean() < 0.4 * np.abs(noisy - line).mean()


def test_strip_places_images_and_leaves_gaps_open():
    images = np.arange(1, 6, dtype=np.uint8).reshape(5, 1, 1, 1) * np.ones((5, 14, 7, 3), np.uint8)
    picture = strip(images, "label", tile=28, columns=2)
    pixels = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(picture.source.split(",")[1]))).convert("RGBA")
    )
    assert pixels.shape == (3 * 15 - 1, 2 * 8 - 1, 4)
    assert pixels[0, 0].tolist() == [1, 1, 1, 255]
    assert pixels[15, 8].tolist() == [4, 4, 4, 255]
    assert pixels[0, 7, 3] == 0 and pixels[30, 8, 3] == 0
    assert (picture.width, picture.height, picture.pixelated) == (30, 88, True)


def test_thumbnails_keep_the_aspect_and_shed_pixels(tmp_path: Path):
    Image.effect_noise((900, 600), 60).save(tmp_path / "large.png")
    picture = thumbnail(tmp_path / "large.png", "grid", side=150)
    assert (picture.width, picture.height) == (150, 100)
    blob = base64.b64decode(picture.source.split(",")[1])
    assert Image.open(io.BytesIO(blob)).size == (480, 320)
    Image.new("L", (40, 20)).save(tmp_path / "small.png")
    assert thumbnail(tmp_path / "small.png", "grid", side=150).width == 120
