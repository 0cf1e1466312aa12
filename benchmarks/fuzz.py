"""Bundle adjustment of broken predictions and tracks, thousands of times, in child processes.

``python -m vggt_sfm.benchmarks.fuzz --cases 2000 --seed 0 -o FOLDER``

A signal, an abort or more than 60 s is a crash; a model or report that breaks its promises is
invalid; an exception is one. Each failing case is saved, and ``--replay FILE`` runs it again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Lock

import click

from vggt_sfm.benchmarks.fuzz_cases import Case, draw_case, from_plain, to_plain
from vggt_sfm.benchmarks.fuzz_checks import Outcome, run_case
from vggt_sfm.benchmarks.fuzz_child import Child
from vggt_sfm.errors import GateError

_TIMEOUT = 60.0  # seconds a case
_SHOWN = 15  # causes of failures, and endings


def fuzz(
    numbers: range,
    seed: int,
    output: Path,
    *,
    workers: int = 1,
    timeout: float = _TIMEOUT,
    run: Callable[[Case], Outcome] = run_case,
) -> list[Outcome]:
    """Run the cases with some numbers; every failing one becomes a file in the folder.

    Args:
        numbers: Which cases of the seed.
        seed: Seed of all cases.
        output: Folder for ``cases.jsonl`` and the failing cases.
        workers: Child processes at the same time.
        timeout: Seconds a case.
        run: What a child does with a case.
    """
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("case-*.json"):
        old.unlink()
    outcomes: dict[int, Outcome] = {}
    waiting, lock = iter(numbers), Lock()
    with (output / "cases.jsonl").open("w") as log:

        def work(worker: int) -> None:
            with Child(run, output / f"stderr-{worker}.txt", timeout) as child:
                while True:
                    with lock:
                        number = next(waiting, None)
                    if number is None:
                        return
                    case = draw_case(seed, number)
                    outcome = child(case)
                    with lock:
                        outcomes[number] = outcome
                        log.write(json.dumps({"number": number, **asdict(outcome)}) + "\n")
                        log.flush()
                    if outcome.is_failure:
                        _save(output / f"case-{number:06d}.json", outcome, child.before, case)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, range(workers)))
    return [outcomes[number] for number in numbers]


def _save(path: Path, outcome: Outcome, before: list[Case], case: Case) -> None:
    """Keep a failing case; for a crash also what its process ran before, which may be at fault."""
    history = before if outcome.kind == "crash" else []
    content = {
        "outcome": asdict(outcome),
        "case": to_plain(case),
        "before": [to_plain(earlier) for earlier in history],
    }
    path.write_text(json.dumps(content, indent=1))


def replay(path: Path, output: Path, *, timeout: float = _TIMEOUT) -> Outcome:
    """Run a saved case again, alone; where it then does not fail, after what ran before it."""
    saved = json.loads(path.read_text())
    case = from_plain(saved["case"])
    with Child(run_case, output, timeout) as child:
        outcome = child(case)
    if outcome.is_failure or not saved["before"]:
        return outcome
    with Child(run_case, output, timeout) as child:
        for earlier in saved["before"]:
            child(from_plain(earlier))
        return child(case)


def summary(outcomes: list[Outcome]) -> str:
    """Return the counts, how cases ended, and why the failing ones failed."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    lines = [
        f"{len(outcomes)} cases: {kinds['crash']} crashes, {kinds['invalid']} invalid, "
        f"{kinds['exception']} exceptions; {kinds['valid']} valid, {kinds['refused']} refused; "
        f"longest {max((outcome.seconds for outcome in outcomes), default=0):.1f} s"
    ]
    endings = Counter(_general(o.detail) for o in outcomes if o.kind == "valid")
    failures = Counter(f"{o.kind}: {_general(o.detail)}" for o in outcomes if o.is_failure)
    warned = Counter(warning for outcome in outcomes for warning in outcome.warnings)
    for title, counts in (("valid", endings), ("FAILED", failures), ("Python warnings", warned)):
        if counts:
            lines.append(f"{title}:")
            lines += [f"{count:6d}  {what}" for what, count in counts.most_common(_SHOWN)]
    return "\n".join(lines)


def _general(detail: str) -> str:
    """Return the last line of a text without its numbers, so that like things are counted."""
    last = detail.splitlines()[-1] if detail else ""
    return re.sub(r"[-+]?[\d.]+(e[-+]?\d+)?", "#", last)[:200]


@click.command()
@click.option("--cases", default=2000, show_default=True, help="How many.")
@click.option("--first", default=0, show_default=True, help="Number of the first one.")
@click.option("--seed", default=0, show_default=True, help="Seed of all cases.")
@click.option("--workers", default=1, show_default=True, help="Processes at the same time.")
@click.option("--replay", "saved", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("build/fuzz"))
def main(cases: int, first: int, seed: int, workers: int, saved: Path | None, output: Path) -> None:
    """Adjust broken predictions and tracks; exit with 7 if anything crashes or is invalid."""
    if saved is not None:
        output.mkdir(parents=True, exist_ok=True)
        outcome = replay(saved, output / "stderr-replay.txt")
        click.echo(f"{outcome.kind} after {outcome.seconds:.1f} s: {outcome.detail}")
        outcomes = [outcome]
    else:
        outcomes = fuzz(range(first, first + cases), seed, output, workers=workers)
        click.echo(summary(outcomes))
    failures = sum(outcome.is_failure for outcome in outcomes)
    if failures:
        click.echo(f"error: {failures} of {len(outcomes)} cases failed, see {output}", err=True)
        raise SystemExit(GateError.exit_code)


if __name__ == "__main__":
    main()
