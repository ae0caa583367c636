"""``python -m tests.golden``: check the golden cases, or write anew what is expected of them.

A difference is a fault of the change that made it, unless it was meant; then the changelog says so
under *Numerics*, and ``--write`` stores what the cases give now.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from fnmatch import fnmatchcase
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="*", help="of the cases' names")
    parser.add_argument("--write", action="store_true", help="store the results")
    parser.add_argument("--times", action="store_true", help="print the CPU time of each case")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="undrift-golden-") as folder:
        os.environ["UNDRIFT_CACHE"] = str(Path(folder) / "cache")
        return run(asked.pattern, asked.write, asked.times, Path(folder))


def run(pattern: str, write: bool, times: bool, folder: Path) -> int:
    import torch
    from tests.golden import expectation
    from tests.golden.cases import CASES

    torch.set_num_threads(1)
    results, failed = {}, 0
    for number, (name, case) in enumerate(CASES.items()):
        if not fnmatchcase(name, pattern):
            continue
        place = folder / str(number)
        place.mkdir()
        began = time.process_time()
        results[name] = case(place)
        if times:
            print(f"{time.process_time() - began:6.2f} s  {name}", flush=True)
        faults = [] if write else expectation.faults(name, results[name])
        failed += bool(faults)
        for fault in faults:
            print(f"{name}: {fault}", flush=True)
    if write:
        changed = expectation.write(results, set(CASES))
        print(f"{len(changed)} of {len(results)} cases new or changed: {', '.join(changed)}")
        return 0
    print(f"{len(results) - failed} of {len(results)} cases are as expected")
    if results:
        print(f"compared {expectation.comparison(next(iter(results)))}")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
