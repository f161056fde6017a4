"""`python -m tests.scale`, or `make scale ARGS="takeover --accounts 100000"`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict

from tests.scale.loop import WatchedLoop
from tests.scale.rig import settings
from tests.scale.takeover import takeover
from tests.services import kafka, redis


def main(arguments: list[str] | None = None) -> int:
    """Measure, and end with one JSON object."""
    options = _options(arguments)
    found = {}
    with ExitStack() as services:
        bootstrap = url = ""
        if options.log == "kafka":
            bootstrap = services.enter_context(kafka()).address
        url = options.redis or services.enter_context(redis(own=True)).url
        with asyncio.Runner(loop_factory=WatchedLoop) as runner:
            measured = runner.run(
                takeover(
                    settings(bootstrap=bootstrap, redis_url=url),
                    options.accounts,
                    kafka=bool(bootstrap),
                )
            )
            found["takeover"] = asdict(measured)
    json.dump(found, sys.stdout, indent=2)
    print()
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["takeover", "wave"])
    parser.add_argument("--accounts", type=int, default=250_000, help="per partition")
    parser.add_argument("--log", choices=["kafka", "memory"], default="kafka")
    parser.add_argument("--redis", metavar="URL", help="use this server instead of an own one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
