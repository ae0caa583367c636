"""Cases by seed and number, run on several processors, and what counts as a failure."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.case import Case
from tests.fuzz.cases_calls import call_case
from tests.fuzz.cases_commands import command_case
from tests.fuzz.cases_files import file_case
from tests.fuzz.sandbox import LONGEST_OUTPUT, MEMORY, VIOLATION, Outcome, Sandbox
from tests.fuzz.seeds import Seeds, make_seeds

CODES = (0, 2, 3, 4, 5)
"""Exit codes that a command may have that nobody stops; see docs/reference/exit-codes.md."""

MAKERS = (file_case, file_case, file_case, command_case, command_case, call_case)
_FRAME = re.compile(r'File "[^"]*/src/(undrift/[^"]+)", line (\d+),? in (\S+)')
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Failure:
    """A case that must not end like this.

    Attributes:
        seed: of the case, and
        index: its number.
        kind: its kind.
        title: what was tried.
        faults: what is wrong.
        where: innermost frame of ours, if there is any.
        last: the last line that it printed to stderr, or of its traceback.
    """

    seed: int
    index: int
    kind: str
    title: str
    faults: list[str]
    where: str
    last: str


@dataclass(frozen=True)
class Tally:
    """What became of some cases.

    Attributes:
        failures: those that failed.
        codes: how many ended with each exit code.
        kinds: how many there were of each kind.
        cpu: seconds of processor time that they took in all.
    """

    failures: list[Failure]
    codes: Counter[str]
    kinds: Counter[str]
    cpu: float


def case_of(seeds: Seeds, seed: int, index: int) -> tuple[Case, Random]:
    """The case ``index`` of ``seed``."""
    draw = Random(f"{seed}:{index}")
    return draw.choice(MAKERS)(seeds, draw), draw


def faults(outcome: Outcome) -> list[str]:
    """What is wrong with how a case ended; nothing where all is well."""
    found = []
    if outcome.hung:
        found.append(f"hang: {outcome.hung}")
    elif outcome.signal is not None:
        found.append(f"ended by signal {outcome.signal}")
    elif outcome.code == VIOLATION:
        found.append(outcome.trace.rstrip().rpartition("\n")[2][:300])
    elif outcome.code not in CODES:
        found.append(f"code {outcome.code}")
    if outcome.growth > MEMORY:
        found.append(f"grew by {outcome.growth / 2**30:.1f} GiB")
    found += outcome.changed
    if len(outcome.stdout) + len(outcome.stderr) > LONGEST_OUTPUT:
        found.append(f"printed {len(outcome.stdout) + len(outcome.stderr)} characters")
    if _CONTROL.search(outcome.stderr + outcome.stdout):
        found.append("printed control characters")
    lines = outcome.stderr.splitlines()
    if sum(line.startswith("undrift:") for line in lines) > 1:
        found.append("several error lines")
    if "Traceback" in outcome.stderr or "Warning:" in outcome.stderr:
        found.append("a traceback or warning on stderr")
    return found


def failure_of(seed: int, index: int, case: Case, said: str, outcome: Outcome) -> Failure | None:
    """The case as a failure, if it is one."""
    wrong = faults(outcome)
    if not wrong:
        return None
    frames = _FRAME.findall(outcome.trace)
    # A traceback ends with the innermost frame, a dump of a running process begins with it.
    dumped = "most recent call first" in outcome.trace
    path, line, name = (frames[0] if dumped else frames[-1]) if frames else ("", "", "")
    trace = outcome.trace.rstrip().splitlines()
    printed = outcome.stderr.rstrip().splitlines()
    last = (trace[-1:] if trace and not dumped else printed[-1:]) or [""]
    title = f"{case.title}; {said}" if said else case.title
    where = f"{path}:{line} {name}" if path else ""
    return Failure(seed, index, case.kind, title, wrong, where, ascii(last[0])[1:301])


@contextmanager
def prepared() -> Iterator[tuple[Seeds, Path]]:
    """Inputs and a folder for sandboxes, for as long as the block lasts."""
    root = Path(tempfile.mkdtemp(prefix="undrift-fuzz-"))
    try:
        yield make_seeds(root / "seeds"), root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run_case(
    seeds: Seeds, sandbox: Sandbox, seed: int, index: int, *, keep: bool = False
) -> tuple[Case, str, Outcome]:
    """Run one case; returns it, what was done to its inputs, and how it ended."""
    case, _ = case_of(seeds, seed, index)
    said: list[str] = []
    outcome = sandbox.run(
        lambda folder: said.append(case.prepare(folder)), case.act, console=case.console, keep=keep
    )
    return case, said[0], outcome


def run_cases(seeds: Seeds, root: Path, seed: int, indices: Sequence[int], jobs: int) -> Tally:
    """Run cases, ``jobs`` at a time.

    Raises:
        RuntimeError: a process that runs cases failed itself.
    """
    children = {}
    for job in range(jobs):
        child = os.fork()
        if child == 0:
            code = 1
            gc.collect()
            gc.freeze()  # collections in the cases would touch, and so copy, all that is shared
            try:
                tally = _run_some(seeds, Sandbox(root / f"job{job}"), seed, indices[job::jobs])
                plain = vars(tally) | {"failures": [vars(one) for one in tally.failures]}
                (root / f"job{job}.json").write_text(json.dumps(plain))
                code = 0
            finally:
                if code:
                    import traceback

                    traceback.print_exc()
                os._exit(code)
        children[child] = root / f"job{job}.json"
    failed = [child for child in children if os.waitpid(child, 0)[1]]
    if failed:
        raise RuntimeError(f"{len(failed)} of {jobs} processes failed; see above")
    whole = Tally([], Counter(), Counter(), 0.0)
    cpu = 0.0
    for path in children.values():
        plain = json.loads(path.read_text())
        whole.failures.extend(Failure(**one) for one in plain["failures"])
        whole.codes.update(plain["codes"])
        whole.kinds.update(plain["kinds"])
        cpu += plain["cpu"]
    return Tally(sorted(whole.failures, key=lambda one: one.index), whole.codes, whole.kinds, cpu)


def _run_some(seeds: Seeds, sandbox: Sandbox, seed: int, indices: Sequence[int]) -> Tally:
    failures, codes, kinds, cpu = [], Counter(), Counter(), 0.0
    for index in indices:
        try:
            case, said, outcome = run_case(seeds, sandbox, seed, index)
        except Exception as error:
            raise RuntimeError(f"case {seed}:{index} could not be run") from error
        failure = failure_of(seed, index, case, said, outcome)
        if failure is not None:
            failures.append(failure)
        codes[str(outcome.code)] += 1
        kinds[case.kind] += 1
        cpu += outcome.cpu
    return Tally(failures, codes, kinds, cpu)


def grouped(failures: Sequence[Failure]) -> list[list[Failure]]:
    """Failures by their fault and the line of ours where it came up, the most frequent first."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        fault = re.sub(r"\d[\d.]*|'[^']*'", "#", failure.faults[0])
        key = fault, failure.where or failure.kind
        groups.setdefault(key, []).append(failure)
    return sorted(groups.values(), key=len, reverse=True)
