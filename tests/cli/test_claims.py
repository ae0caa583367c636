"""``undrift claims``: one line for each way to hold it wrong, before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest
from tests.cli.test_misuse import fails

WORDS = "claims --preset smoke --out x"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).integers(0, 255, (240, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(240) % 3
    np.savez("plain.npz", images=rows)
    np.savez("odd.npz", images=np.repeat(rows[:, :, :7], 1, 2), labels=labels)
    np.savez("colour.npz", images=rows.reshape(80, 8, 8, 3), labels=labels[:80])
    np.savez("classes.npz", images=rows, labels=labels)
    (tmp_path / "file").write_text("not a folder")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "pattern"),
    [
        (f"{WORDS} --scale 0", 2, "--scale 0.0: wanted a number above 0"),
        (f"{WORDS} --workers 0", 2, "--workers 0"),
        (f"{WORDS} --workers 99 --threads 1", 2, "--workers 99 .*cores"),
        (f"{WORDS} --seed -1", 2, "--seed -1"),
        (f"{WORDS} --data absent", 3, "absent"),
        (f"{WORDS} --data plain.npz", 2, "--data plain.npz: wanted images of two classes"),
        (f"{WORDS} --data odd.npz", 2, "multiples of 4"),
        (f"{WORDS} --part main/nobody", 2, "--part main/nobody: x has no such part"),
        ("claims --preset smoke --out file", 2, "--out file"),
        ("claims --preset full --out x --data classes.npz --mnist absent", 3, "absent"),
        ("claims --preset full --out x --data classes.npz --mnist colour.npz", 2, "grey"),
    ],
)
def test_misuse_is_one_line_and_nothing_is_trained(words, code, pattern, capsys, folder):
    fails(capsys, words.split(), code, pattern)
    assert not list(folder.glob("x/*/runs/*"))
    if "--mnist" in words:  # so that the right ones may follow
        assert not list(folder.glob("x/data/*")) and not (folder / "x/study.json").exists()
