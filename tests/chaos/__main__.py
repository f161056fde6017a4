"""`python -m tests.chaos --seconds 120`, or `make chaos ARGS="--seconds 120"`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
from collections.abc import Sequence

from tests.chaos.faults import FAULTS
from tests.chaos.report import examples, report
from tests.chaos.run import run, say
from tests.chaos.setup import Options
from tests.services import ServiceError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, 1 when a promise was broken, 2 when Kafka or Redis could not be had."""
    options = _options(arguments)
    # The run's own clients complain of every fault; whether it does harm is seen at the end.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    say(f"seed {options.seed}")
    try:
        outcome = asyncio.run(run(options))
    except ServiceError as error:
        say(str(error))
        return 2
    found = report(outcome)
    for what in examples(outcome):
        say(f"broken: {what}")
    print(json.dumps(found), flush=True)
    return 1 if found["broken"] else 0


def _options(arguments: Sequence[str] | None) -> Options:
    defaults = Options(seed=0)
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    add = parser.add_argument
    add("--seconds", type=float, default=defaults.seconds, help="of load under faults")
    add("--rounds", type=int, help="instead: so many times each kind of fault")
    add("--seed", type=int, help="of load and faults (default: a new one)")
    add("--workers", type=int, default=defaults.workers, help="processes")
    add("--rate", type=float, default=defaults.rate, help="events a second")
    add("--only", action="append", choices=list(FAULTS), help="this kind of fault; repeatable")
    add("--overlap", action="store_true", help="two faults at a time")
    add("--appendfsync", choices=["always", "everysec"], default=defaults.appendfsync)
    add("--keep", action="store_true", help="keep the workers' logs")
    given = parser.parse_args(arguments)
    return Options(
        seed=random.randrange(10**6) if given.seed is None else given.seed,
        seconds=given.seconds,
        rounds=given.rounds,
        kinds=tuple(given.only or ()),
        workers=given.workers,
        rate=given.rate,
        overlap=given.overlap,
        appendfsync=given.appendfsync,
        keep=given.keep,
    )


if __name__ == "__main__":
    sys.exit(main())
