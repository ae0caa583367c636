"""Damaged files and folders of every format that is read, given to the commands that read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz.case import Case, command
from tests.fuzz.formats import content_damaged
from tests.fuzz.nodes import beside, replaced
from tests.fuzz.seeds import CURVE, READING, TRAINING, Seeds

Words = tuple[str, ...]

THREAD = ("--threads", "1")
FIGURES = ("--n", "10", "--metrics", "fd", "--features", "pixels", *THREAD)
LOOK: tuple[Words, ...] = (
    ("inspect", "DATA"),
    ("inspect", "DATA"),
    ("inspect", "DATA"),
    ("inspect", "DATA", "--out", "out"),
    ("train", "DATA", "--steps", "2", "--network", "mlp", "--print-config", *THREAD),
    ("train", "DATA", "--steps", "2", "--network", "mlp", "--dry-run", *THREAD),
    ("evaluate", "samples", "--reference", "DATA", *FIGURES),
    ("evaluate", "DATA", "--reference", "DATA", *FIGURES),
    ("inpaint", "run", "DATA", "--mask", "left", "-n", "1", "--variants", "1", "--steps", "2"),
    ("likelihood", "run", "DATA", "--n", "2", "--points", "2", *THREAD),
)
"""Commands that read a data set; most of the cost is in the last ones."""

SAMPLE = ("sample", "run", "-n", "2", "--steps", "2", *THREAD)
SMALL = ("-n", "2", "--mask", "left", "--variants", "1")
USES: tuple[Words, ...] = (
    SAMPLE,
    SAMPLE,
    (*SAMPLE, "--ema", "0.05"),
    (*SAMPLE, "--weights", "raw"),
    (*SAMPLE, "--trajectory"),
    ("runs", "show", "run"),
    ("runs", "list", "--root", "."),
    ("train", "--config", "run/config.yaml"),
    ("train", "--config", "run/config.yaml", "--out", "again"),
    ("train", "run"),
    ("train", "classes", "--resume", "run"),
    ("runs", "rm", "run", "--yes"),
    ("train", *TRAINING, "--network", "mlp", "--bare", "--out", "run"),
    ("train", *TRAINING, "--init", "run", "--bare", "--print-config"),
    ("evaluate", "run", "--steps", "2", *FIGURES),
    ("likelihood", "run", "--n", "2", "--points", "2", *THREAD),
    ("inpaint", "run", "--steps", "2", *SMALL, *THREAD),
    CURVE,
    ("tune-sampler", "run", "--samples", "32", "--steps", "2", *THREAD),
)  # fmt: skip
"""Commands that read a run."""

GAN_USES: tuple[Words, ...] = (
    ("sample", "run", "-n", "2", *THREAD),
    ("runs", "show", "run"),
    ("train", "run"),
    ("evaluate", "run", *FIGURES),
    ("inpaint", "run", "--iterations", "1", *SMALL, *THREAD),
)

FEW: tuple[Words, ...] = (
    ("sample", "run", "-n", "2", *THREAD),
    ("runs", "show", "run"),
    ("train", "run"),
    ("evaluate", "run", *FIGURES),
)
"""Commands that read a student's or an adapter's run."""

TOLD: tuple[Words, ...] = (
    (*SAMPLE, "--prompt", "one 0", "--numbers", "angle=0.3"),
    (*SAMPLE, "--map", "edges@mask.png"),
    ("train", "run"),
    ("evaluate", "run", "--steps", "2", *FIGURES),
    ("edit", "run", "--operator", "grey", "--steps", "2", "-n", "1", "--variants", "1", *THREAD),
)
"""Commands that read a run with texts, numbers and maps."""

RUNS = (
    *(("run", USES),) * 4,
    ("gan", GAN_USES), ("student", FEW), ("adapter", FEW), ("told", TOLD),
)  # fmt: skip
"""Runs, and the commands that read them."""

MEASURES: tuple[Words, ...] = (
    ("evaluate", "samples", "--reference", "images.npz", *FIGURES),
    ("evaluate", "images.npz", "--reference", "samples", *FIGURES),
    ("evaluate", "samples", "--against", "samples", "--reference", "images.npz", *FIGURES),
)
CONTINUES: tuple[Words, ...] = (
    ("sample", "run", "-n", "10", "--steps", "2", "--out", "unfinished", *THREAD),
)
COMPARES: tuple[Words, ...] = (
    ("evaluate", "samples", "--reference", "reference.safetensors", "--n", "10", "--metrics", "fd",
     *THREAD),
)  # fmt: skip

MASKS: tuple[Words, ...] = (
    ("inpaint", "run", "--steps", "2", "--mask", "mask.png", "-n", "1", *THREAD),
)
ARRAYS: tuple[Words, ...] = (("evaluate", "samples.npz", "--reference", "images.npz", *FIGURES),)
OVERWRITES: tuple[Words, ...] = (
    ("evaluate", "samples", "--reference", "images.npz", *FIGURES, "--out", "figures.json"),
)
WEIGHTS: tuple[Words, ...] = (
    ("evaluate", "samples", "--reference", "classes", "--features", "inception",
     "--feature-weights", "images.npz", "--n", "10", *THREAD),
)  # fmt: skip
OTHERS = (
    ("curve", (CURVE,)),
    ("samples", MEASURES),
    ("samples", MEASURES),
    ("unfinished", CONTINUES),
    ("reference.safetensors", COMPARES),
    ("reference.safetensors", COMPARES),
    ("mask.png", MASKS),
    ("samples.npz", ARRAYS),
    ("figures.json", OVERWRITES),
    ("images.npz", WEIGHTS),
)
"""What is neither data nor a run, and the commands that read it."""

DATA = ("classes", "flat", "splits", "jsonl", "csv", "stylegan", "idx", "idxgz", "formats")
FILES = (
    "classes.zip", "flat.zip", "jsonl.zip", "stylegan.zip", "images.npz", "packed.npz",
    "images.npy",
)  # fmt: skip
BOMBS = ("images.npy", "ant_00.png", "metadata.jsonl", "dataset.json")

Make = Callable[[Seeds, Random], Case]


def file_case(seeds: Seeds, draw: Random) -> Case:
    """One case of this kind."""
    return draw.choice(MAKERS)(seeds, draw)


def _folder_of_data(seeds: Seeds, draw: Random) -> Case:
    """A data folder of which one entry is damaged, replaced or joined by another."""
    name = draw.choice(DATA)
    words = draw.choice(LOOK)

    def prepare(folder: Path) -> str:
        place = seeds.copy(name, folder / "data")
        seeds.copy_named(words, folder)
        return _spoiled(place, folder, draw)

    return _case(f"data {name}", prepare, words, "data", name)


def _file_of_data(seeds: Seeds, draw: Random) -> Case:
    """A damaged archive or array file."""
    name = draw.choice(FILES)
    words = draw.choice(LOOK)

    def prepare(folder: Path) -> str:
        path = seeds.copy(name, folder / name)
        seeds.copy_named(words, folder)
        return _damaged_file(path, folder, draw)

    return _case(f"data {name}", prepare, words, name, name)


def _bomb(seeds: Seeds, draw: Random) -> Case:
    """Kilobytes that unpack to gigabytes."""
    name = draw.choice((*BOMBS, "idx"))
    words = draw.choice(LOOK)
    data = {"idx": "data", "images.npy": "data.npz"}.get(name, "data.zip")

    def prepare(folder: Path) -> str:
        seeds.copy_named(words, folder)
        if name == "idx":
            seeds.copy("idxgz", folder / "data")
            zeros = (seeds.root / "bombs" / "zeros.gz").read_bytes()
            path = draw.choice(sorted((folder / "data").iterdir()))
            import gzip

            start = gzip.decompress(path.read_bytes())[: draw.choice((0, 4, 8, 16))]
            path.write_bytes(gzip.compress(start, mtime=0) + zeros)
        else:
            seeds.copy(f"bombs/{name}.zip", folder / data)
        return f"a bomb in {name}"

    return _case("bomb", prepare, words, data, name)


def _run(seeds: Seeds, draw: Random) -> Case:
    """A run of which one file is damaged, replaced or joined by another."""
    name, uses = draw.choice(RUNS)
    words = draw.choice(uses)

    def prepare(folder: Path) -> str:
        place = seeds.copy(name, folder / "run")
        seeds.copy_named(("classes", "jsonl", "mask.png"), folder)
        if draw.random() < 0.5:
            _unfinish(place, draw)
        return _spoiled(place, folder, draw, sealed=draw.random() < 0.7)

    return _case(name, prepare, words, "run", name)


def _config(seeds: Seeds, draw: Random) -> Case:
    """A damaged configuration, which a new run is made of."""
    name = draw.choice(("diffusion.yaml", "gan.yaml", "told.yaml"))
    words = ("train", "--config", name, "--out", "out")

    def prepare(folder: Path) -> str:
        path = seeds.copy(name, folder / name)
        seeds.copy_named(("classes", "jsonl"), folder)
        return _damaged_file(path, folder, draw)

    return _case("config", prepare, words, "", name)


def _samples(seeds: Seeds, draw: Random) -> Case:
    """Samples, a stored reference, a mask or weights that are damaged."""
    name, uses = draw.choice(OTHERS)
    words = draw.choice(uses)

    def prepare(folder: Path) -> str:
        seeds.copy_named(words, folder)
        place = folder / name
        if not place.exists():
            seeds.copy(name, place)
        return (
            _spoiled(place, folder, draw) if place.is_dir() else _damaged_file(place, folder, draw)
        )

    return _case(name, prepare, words, "", name)


def _cache(seeds: Seeds, draw: Random) -> Case:
    """A damaged cache of decoded images."""
    words = draw.choice(LOOK)

    def prepare(folder: Path) -> str:
        seeds.copy("classes", folder / "data")
        seeds.copy_named(words, folder)
        # Its manifest stays as it was: nobody else writes there, and what it says is trusted.
        return _spoiled(seeds.copy("cache", folder / "cache"), folder, draw)

    return _case(
        "cache", prepare, (*words, *READING) if words[0] == "inspect" else words, "data", ""
    )


MAKERS: tuple[Make, ...] = (
    _folder_of_data, _folder_of_data, _folder_of_data, _file_of_data, _file_of_data, _file_of_data,
    _run, _run, _run, _run, _config, _config, _samples, _samples, _cache, _bomb,
)  # fmt: skip
MAKERS = MAKERS * 3 + (_bomb,)


def _case(kind: str, prepare: Callable[[Path], str], words: Words, data: str, name: str) -> Case:
    line = [data if word == "DATA" else word for word in words]
    title = f"{name}: undrift {' '.join(line)}"
    return Case(f"{kind} / {line[0]}", title, prepare, command(line))


def _spoiled(place: Path, folder: Path, draw: Random, *, sealed: bool = False) -> str:
    """Damage, replace or join one entry of a folder; ``sealed`` makes its manifest agree."""
    entries = sorted(path for path in place.rglob("*") if path.is_file())
    some = draw.choice(_by_name(entries))
    if draw.random() < 0.12:
        return beside(some.parent, some.read_bytes(), draw)
    if draw.random() < 0.15:
        path = some if draw.random() < 0.7 or some.parent == place else some.parent
        return f"{replaced(path, folder.parent / 'guard', draw)} for {path.relative_to(place)}"
    some.write_bytes(content_damaged(some.name, some.read_bytes(), draw))
    if sealed and (some.parent / "MANIFEST.json").is_file() and some.name != "MANIFEST.json":
        _seal(some)
    return f"damaged {some.relative_to(place)}"


def _by_name(entries: list[Path]) -> list[Path]:
    """Entries of which those in one folder with one suffix count no more than three."""
    seen: dict[tuple[Path, str], int] = {}
    kept = []
    for path in entries:
        key = path.parent, path.suffix
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= 3 or path.suffix == ".json" or path.parent.name == "formats":
            kept.append(path)
    return kept


def _damaged_file(path: Path, folder: Path, draw: Random) -> str:
    if draw.random() < 0.05:
        return f"{replaced(path, folder.parent / 'guard', draw)} for {path.name}"
    path.write_bytes(content_damaged(path.name, path.read_bytes(), draw))
    return f"damaged {path.name}"


def _seal(path: Path) -> None:
    """Write the manifest anew, so that the damage is found by whoever reads the file, if at all."""
    import json

    from undrift.files import manifest

    place = path.parent / manifest.NAME
    known = json.loads(place.read_text())
    known["files"][path.name] = manifest.facts(path.read_bytes())
    place.write_bytes(manifest.canonical(known))


def _unfinish(place: Path, draw: Random) -> None:
    """Make a run one that was stopped after its first checkpoint."""
    import json
    import shutil

    checkpoints = sorted((place / "checkpoints").iterdir())
    for path in (*checkpoints[1:], place / "pipeline"):
        shutil.rmtree(path)
    state = json.loads((place / "status.json").read_text())
    state |= {"state": draw.choice(("interrupted", "running", "failed")), "step": 2}
    (place / "status.json").write_text(json.dumps(state))
