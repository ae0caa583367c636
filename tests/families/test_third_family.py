"""A family of 100 lines is trained, resumed, sampled, evaluated, reported and compared."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

import undrift
from undrift import families
from undrift.cli.dispatch import main
from undrift.pipelines import Pipeline

GAUSSIAN = Path(__file__).parent / "gaussian"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(families, "FAMILIES", families.FAMILIES)
    monkeypatch.setattr(Pipeline, "readers", dict(Pipeline.readers))
    runpy.run_path(str(GAUSSIAN / "sitecustomize.py"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_it_goes_through_the_real_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "digits", "--method", "gaussian", "--out", "run", "--threads", "1"]
    assert main([*train, "--images", "32000"]) == 0
    assert "kind: gaussian" in Path("run/config.yaml").read_text()
    page = Path("run/report.html").read_text()
    assert "unconditional Gaussian" in page

    longer = [*train, "--images", "38400"]
    assert main([*longer, "--extend"]) == 0
    assert main(longer) == 0
    assert "finished; nothing to do" in capsys.readouterr().out

    assert main(["sample", "run", "-n", "300", "--out", "drawn", "--npz", "drawn.npz"]) == 0
    drawn = np.load("drawn.npz")["images"].astype(float).mean(0)
    real = undrift.data.load("digits").images.astype(float).mean(0)
    assert np.corrcoef(drawn.ravel(), real.ravel())[0, 1] > 0.7  # pixels are clipped
    assert main(["sample", "run", "-n", "2", "--steps", "3"]) == 2
    assert "a Gaussian has no such setting; it takes none of its own" in capsys.readouterr().err
    assert main(["likelihood", "run"]) == 2
    assert main(["curve", "run"]) == 2

    words = ["--metrics", "fd", "--features", "pixels", "-n", "200", "--out", "fd.json"]
    assert main(["evaluate", "run", *words]) == 0
    assert json.loads(Path("fd.json").read_text())["metrics"]["fd"]["value"] > 0


@pytest.mark.slow
def test_it_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    root = GAUSSIAN.parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{GAUSSIAN}:{root}:{root / 'src'}")
    images = undrift.data.load("digits").images[:200]
    np.savez("few.npz", images=images)
    words = "compare few.npz --methods gaussian,dcgan --seeds 1 --images 640 --bare --workers 1"
    more = "--parameters recipe --metrics fd --features pixels -n 20 --out versus"
    assert main([*words.split(), *more.split()]) == 0
    assert "gaussian" in Path("versus/report.html").read_text()
