"""`python -m tests.simulation --seeds 1000`, or `make simulate ARGS="--seeds 1000"`."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from time import process_time
from typing import Any

from tests.simulation.bugs import BUGS
from tests.simulation.kit import trained
from tests.simulation.plan import plan
from tests.simulation.run import Outcome, run
from tests.simulation.shrink import shrunk

_RUNS_PER_COLLECTION = 20
_TRACES = 3
"""Violating seeds whose trace is shown at most."""


_FIGURES = ("stale_account_segments", "stale_tombstones", "redecided")
"""What is allowed but counted; see docs/simulation.md."""


def main(arguments: list[str] | None = None) -> int:
    """Run seeds; 1 when a promise was broken."""
    options = _options(arguments)
    seeds = (
        [options.seed]
        if options.seed is not None
        else range(options.first, options.first + options.seeds)
    )
    out = sys.stderr if options.json else sys.stdout
    steps, faults, seen = 0, Counter[str](), Counter[str]()
    violations: list[dict[str, Any]] = []
    trained()  # imports scikit-learn, which is no cost of the simulation
    began = process_time()
    runs = 0
    for seed in _collecting_rarely(seeds):
        outcome = run(plan(seed), tracing=options.trace, bug=options.bug)
        runs += 1
        steps += outcome.steps
        seen += Counter(
            stale_account_segments=outcome.stale,
            stale_tombstones=outcome.stale_tombstones,
            redecided=outcome.redecided,
        )
        faults += outcome.faults
        if options.trace:
            _show(outcome, out)
        if outcome.violations:
            violations.append({"seed": seed, "violations": outcome.violations})
            if not options.trace and len(violations) <= _TRACES:
                _show_shrunk(outcome, options.bug, out)
            if options.bug:
                break  # it is found
    seconds = process_time() - began
    print(f"{runs} runs, {steps} steps, {seconds:.1f} s of CPU, {runs / seconds:.0f} a second",
          file=out)  # fmt: skip
    for kind, count in sorted(faults.items()):
        print(f"  {kind:14} {count}", file=out)
    print(f"{len(violations)} runs broke a promise", file=out)
    print(
        json.dumps(
            {
                "seeds": runs,
                "first": seeds[0],
                "bug": options.bug,
                "steps": steps,
                "cpu_seconds": round(seconds, 2),
                "seeds_per_cpu_second": round(runs / seconds, 1),
                "faults": dict(sorted(faults.items())),
                **{name: seen[name] for name in _FIGURES},
                "violations": violations,
            }
        )
    )
    return 1 if violations else 0


def _collecting_rarely(seeds: Iterable[int]) -> Iterator[int]:
    """Seeds, with the garbage of their runs collected in large pieces. To look through what stays
    again and again takes a tenth of the time."""
    gc.freeze()
    gc.disable()
    try:
        for count, seed in enumerate(seeds, 1):
            yield seed
            if count % _RUNS_PER_COLLECTION == 0:
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="show what happens in each run")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant a bug and run until it is found")
    parser.add_argument("--json", action="store_true", help="nothing but JSON on standard output")
    return parser.parse_args(arguments)


def _show(outcome: Outcome, out: Any) -> None:
    print(f"seed {outcome.seed}, digest {outcome.digest}", file=out)
    for line in outcome.trace:
        print("  " + line, file=out)
    for violation in outcome.violations:
        print(f"  broken: {violation}", file=out)


def _show_shrunk(outcome: Outcome, bug: str | None, out: Any) -> None:
    """The run again with as few faults as break a promise still."""
    print(f"seed {outcome.seed} breaks a promise: {outcome.violations[0]}", file=out)
    whole = plan(outcome.seed)
    least = shrunk(whole, bug)
    print(f"  with {len(least.faults)} of {len(whole.faults)} faults left:", file=out)
    _show(run(least, tracing=True, bug=bug), out)


if __name__ == "__main__":
    sys.exit(main())
