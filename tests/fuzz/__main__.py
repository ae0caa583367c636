"""``python -m tests.fuzz``: thousands of damaged inputs, absurd commands and absurd calls.

Exit code 1 where a case failed. Every group of failures ends with a line that repeats its first.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time


def main() -> int:
    """Run cases, or repeat one, and print what failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=3000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--kind", default="", help="pattern of the kinds of cases to run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--only", metavar="SEED:INDEX", help="repeat one case and show all of it")
    parser.add_argument("--keep", metavar="FOLDER", help="with --only, copy the case's folder here")
    asked = parser.parse_args()
    for pool in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[pool] = "1"  # before torch is loaded; cases are forked from this process

    import torch

    torch.set_num_threads(1)

    from tests.fuzz.suite import case_of, grouped, prepared, run_cases

    started = time.monotonic()
    with prepared() as (seeds, root):
        if asked.only is not None:
            return _one(seeds, root, *map(int, asked.only.split(":")), asked.keep)
        print(
            f"seed {asked.seed}, cases {asked.first} to {asked.first + asked.cases - 1}", flush=True
        )
        indices = [
            index
            for index in range(asked.first, asked.first + asked.cases)
            if re.search(asked.kind, case_of(seeds, asked.seed, index)[0].kind)
        ]
        tally = run_cases(seeds, root, asked.seed, indices, asked.jobs)
    for group in grouped(tally.failures):
        one = group[0]
        print(f"\n{len(group)} x {'; '.join(one.faults)}  {one.where}")
        print(f"  {one.kind}: {one.title[:400]}\n  {one.last}")
        print(f"  python -m tests.fuzz --only {one.seed}:{one.index}")
        if len(group) > 1:
            print("  also " + " ".join(str(other.index) for other in group[1:12]))
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(tally.codes.items()))
    print(f"\n{len(indices)} cases in {time.monotonic() - started:.0f} s, codes {codes}")
    each = tally.cpu / max(1, len(indices))
    print(f"{each:.3f} s of processor time each; {len(tally.failures)} failed")
    return 1 if tally.failures else 0


def _one(seeds, root, seed: int, index: int, keep: str | None) -> int:
    """Repeat one case and print everything about it."""
    import shutil

    from tests.fuzz.sandbox import Sandbox
    from tests.fuzz.suite import faults, run_case

    sandbox = Sandbox(root / "one")
    case, said, outcome = run_case(seeds, sandbox, seed, index, keep=True)
    print(
        f"{case.kind}: {case.title}\n{said}\n--- stdout\n{outcome.stdout}"
        f"--- stderr\n{outcome.stderr}--- trace\n{outcome.trace}---"
    )
    print(f"code {outcome.code}, signal {outcome.signal}, {outcome.cpu:.2f} s of processor time, "
          f"{outcome.growth / 2**20:.0f} MiB more memory")  # fmt: skip
    if keep is not None:
        shutil.copytree(sandbox.case, keep, symlinks=True)
    wrong = faults(outcome)
    print("\n".join(wrong) or "no fault")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
