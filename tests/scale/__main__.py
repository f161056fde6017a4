"""`python -m tests.scale`, or `make scale ARGS="takeover --accounts 100000"`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from stream_app.settings import Settings
from tests.scale.loop import OwnTimeLoop, WatchedLoop
from tests.scale.rig import settings
from tests.scale.takeover import takeover
from tests.scale.wave import wave
from tests.services import kafka, redis


def main(arguments: list[str] | None = None) -> int:
    """Measure, and end with one JSON object."""
    options = _options(arguments)
    found: dict[str, Any] = {}
    with ExitStack() as services:
        bootstrap = services.enter_context(kafka()).address if options.log == "kafka" else ""
        url = ""
        if options.store == "redis":
            url = options.redis or services.enter_context(redis(own=True)).url
        if options.what in (None, "takeover"):
            found["takeover"] = _run(
                takeover(
                    _settings(options, bootstrap, url), options.accounts, kafka=bool(bootstrap)
                )
            )
        if options.what in (None, "wave"):
            found["wave"] = _run(
                wave(
                    _settings(options, bootstrap, url),
                    options.accounts,
                    redis=bool(url),
                    kafka=bool(bootstrap),
                    leaving_share=options.leaving,
                    limit_seconds=options.seconds,
                ),
                alone=not (url or bootstrap),
            )
    json.dump(found, sys.stdout, indent=2)
    print()
    return 0


def _settings(options: argparse.Namespace, bootstrap: str, url: str) -> Settings:
    worker = {} if options.sweep_accounts is None else {"sweep_accounts": options.sweep_accounts}
    return settings(bootstrap=bootstrap, redis_url=url, worker=worker)


def _run(measurement: Coroutine[Any, Any, Any], *, alone: bool = False) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=OwnTimeLoop if alone else WatchedLoop) as runner:
        return asdict(runner.run(measurement))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["takeover", "wave"])
    parser.add_argument("--accounts", type=int, default=250_000, help="per partition")
    parser.add_argument("--log", choices=["kafka", "memory"], default="kafka")
    parser.add_argument("--store", choices=["redis", "memory"], default="redis")
    parser.add_argument("--leaving", type=float, default=1.0, help="share that leaves its segment")
    parser.add_argument("--seconds", type=float, default=300.0, help="end of an unfinished wave")
    parser.add_argument("--sweep-accounts", type=int, help="other than the default")
    parser.add_argument("--redis", metavar="URL", help="use this server instead of an own one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
