"""`python -m tests.fuzz --records 1000000`, or `make fuzz ARGS="--records 1000000 --seed 1"`."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from tests.fuzz.memory import peak_mb, rss_mb
from tests.fuzz.run import Run

LIMIT_MS = 50.0
"""No record may take longer, alone: the event loop, and the heartbeats on it, wait meanwhile."""
GROWTH_MB = 64.0
"""Memory may grow by so much after the first tenth of a run, in which all accounts appear."""
_BATCH = 1_000


def main(arguments: list[str] | None = None) -> int:
    """Fuzz; 1 when something was found, or when a record took too long."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(options.records, options.seed, Path(folder))
    for problem in found.pop("problems"):
        print(problem, file=sys.stderr)
    print(json.dumps(found, indent=2))
    return 0 if found["passed"] else 1


def fuzz(records: int, seed: int, folder: Path) -> dict[str, Any]:
    """One run; what is printed at its end, and the `problems` in words."""
    size = min(_BATCH, records)
    batches = -(-records // size)
    gc.collect()
    run = Run(seed, batches, folder)
    memory = [rss_mb()]
    began, began_cpu = perf_counter(), process_time()
    for number in range(1, batches + 1):
        run.batch(min(size, records - (number - 1) * size))
        if number * 10 // batches > (number - 1) * 10 // batches:
            memory.append(rss_mb())
            print(f"{run.result.records} records, {memory[-1]} MB", file=sys.stderr)
    result = run.finish()
    run.slowest.shapes()
    slowest = run.slowest
    slowest_ms = round(slowest.seconds * 1_000, 2)
    return {
        "seed": seed,
        "records": result.records,
        "seconds": round(perf_counter() - began, 1),
        "cpu_seconds": round(process_time() - began_cpu, 1),
        "applied": result.applied,
        "controls": dict(sorted(result.controls.items())),
        "duplicates": result.duplicates,
        "forwarded": result.forwarded,
        "dead_letters": dict(sorted(result.dead_letters.items())),
        "replayed_lines": run.lines.read,
        "published": dict(sorted(result.published.items())),
        "models": result.models,
        "exceptions": len(result.exceptions),
        "violations": len(result.violations),
        "schema_violations": len(result.schema_violations),
        "slowest_ms": slowest_ms,
        "slowest_class": slowest.label,
        "slowest_bytes": slowest.size,
        "rss_mb_start": memory[0],
        "rss_mb_by_tenth": memory[1:],
        "rss_mb_peak": peak_mb(),
        "accounts": sum(len(processor.table) for processor in run.processors),
        "topic_names": max(len(processor.table.topic_names) for processor in run.processors),
        "passed": result.clean and slowest_ms <= LIMIT_MS and memory[-1] - memory[1] <= GROWTH_MB,
        "problems": [*result.exceptions, *result.violations, *result.schema_violations],
    }


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--records", type=_positive, default=100_000, help="default: 100000")
    parser.add_argument("--seed", type=int, default=1, help="decides the records (default: 1)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give at least one record")
    return number


if __name__ == "__main__":
    sys.exit(main())
