"""Self-calibration of a pipeline that knows its data: right methods pass, wrong ones fail."""

from __future__ import annotations

import numpy as np
import pytest
from tests.claims.measures.exact import exact
from tests.pipelines.models import small
from tests.pipelines.test_gan import pipeline as gan

from undrift.errors import UsageError
from undrift.evaluation.self_calibration import self_calibrate

NOISY = {"operator": "downsample:2", "noise": 20.0, "n": 40, "variants": 9}


def test_a_right_method_passes_and_a_wrong_one_is_rejected() -> None:
    right = self_calibrate(exact(40), method="moments", **NOISY)
    assert right.p_value > 0.01 and "nothing shows" in right.sentence
    assert set(right.parts) == {"mean", "square", "pattern", "residual"}
    assert right.settings["method"] == "moments" and right.nfe > 0
    wrong = self_calibrate(exact(16), method="ddnm", **NOISY)
    assert wrong.p_value < 1e-6 and "vary too little" in wrong.sentence
    assert wrong.parts["mean"].spread > 5


def test_masks_are_tested_too() -> None:
    mask = np.zeros((4, 4), np.bool_)
    mask[:, :2] = True
    found = self_calibrate(exact(16), mask=mask, n=40, variants=9)
    assert found.p_value > 0.01 and "residual" not in found.parts


def test_the_same_seed_gives_the_same_ranks_in_any_batches() -> None:
    few = {"operator": "downsample:2", "n": 20, "variants": 3, "method": "ddnm"}
    one, other = (self_calibrate(exact(8), batch_size=size, **few) for size in (4, 64))
    assert one.parts == other.parts


def test_what_it_refuses() -> None:
    with pytest.raises(UsageError, match="one of operator, as blur:2, and mask"):
        self_calibrate(small())
    with pytest.raises(UsageError, match="n 10"):
        self_calibrate(small(), operator="blur:1", n=10)
    with pytest.raises(UsageError, match="a GAN cannot edit"):
        self_calibrate(gan("r3gan"), operator="blur:1", n=20, variants=3)
