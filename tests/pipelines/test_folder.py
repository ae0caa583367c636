"""A folder of samples: files of others stay, one process writes, a killed one is repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.pipelines.models import small

from undrift.errors import UsageError
from undrift.files.lock import FileLock
from undrift.pipelines import write_samples
from undrift.pipelines.folder import SampleFolder, unfinished


@pytest.fixture(scope="module")
def samples():
    return small()(3, steps=1)


@pytest.mark.parametrize(
    "name", ["000000.png", "000002.png", "000017.png", "grid.png", "samples.json", "beside.png"]
)
@pytest.mark.parametrize("kind", ["file", "link"])
def test_files_of_others_are_left_alone(tmp_path: Path, samples, name, kind) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(b"a photograph")
    out = tmp_path / "out"
    out.mkdir()
    if kind == "link":
        (out / name).symlink_to(kept)
    else:
        (out / name).write_bytes(b"a photograph")
    (out / "notes.txt").write_text("beside")
    with (
        pytest.raises(UsageError, match=f"holds {name} already"),
        SampleFolder(out, "c", 3, others=("beside.png",)) as folder,
    ):
        folder.add(samples)
    assert (out / name).read_bytes() == b"a photograph" == kept.read_bytes()
    assert sorted(os.listdir(out)) == sorted([name, "notes.txt"])


def test_a_second_process_is_told_who_writes(tmp_path: Path, samples) -> None:
    out = tmp_path / "out"
    with SampleFolder(out, "first", 3) as folder:
        folder.add(samples)
        with pytest.raises(UsageError, match=rf'out is being written by .*"pid": {os.getpid()}'):
            write_samples(samples, out, "second")
        folder.close()
    assert "LOCK" not in os.listdir(out)


@pytest.mark.parametrize("last", ["samples.json", "000000.png", "000002.png", "grid.png"])
def test_a_killed_process_is_repeated_by_the_same_request_only(
    tmp_path: Path, samples, last: str
) -> None:
    """The process ends right after it has written ``last``, and leaves its lock and a partial."""
    out = tmp_path / "out"
    pid = os.fork()
    if not pid:
        real = os.replace

        def replace(source, target):
            real(source, target)
            if Path(target).name == last:
                (out / ".grid.png.0123456789ab.partial").write_bytes(b"half")
                os._exit(9)

        os.replace = replace
        write_samples(samples, out, "c")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert unfinished(out)["finished"] == 0 and "LOCK" in os.listdir(out)
    (out / ".mine.partial").write_bytes(b"no partial of undrift's")
    with pytest.raises(UsageError, match="other samples .n 3, not 2"):
        write_samples(small()(2, steps=1), out, "c")
    with pytest.raises(UsageError, match="other samples .seed 0, not 1"):
        write_samples(small()(3, steps=1, seed=1), out, "c")
    write_samples(samples, out, "c")
    names = {f"{i:06d}.png" for i in range(3)} | {"grid.png", "samples.json", ".mine.partial"}
    assert set(os.listdir(out)) == names and not unfinished(out)


def test_a_folder_that_is_made_in_vain_goes_again(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("mine", "new"):
        with pytest.raises(ZeroDivisionError), SampleFolder(tmp_path / name, "c", 3):
            raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["mine"]
    with FileLock(tmp_path / "mine"):
        pass


def test_names_that_no_folder_has(tmp_path: Path, samples) -> None:
    for name in ("x" * 256, "a\0b"):
        with pytest.raises(UsageError, match="cannot write"):
            write_samples(samples, tmp_path / name, "c")
