"""`make bench`, or `python -m benchmarks --quick --only throughput`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from rich.console import Console

from benchmarks import report, scaling
from benchmarks.bench import Bench
from benchmarks.broker import Broker
from benchmarks.contenders import Place
from benchmarks.plan import FULL, PARTS, PLANS, QUICK
from benchmarks.processes import Failed
from benchmarks.section import LeftOut, Section
from benchmarks.sizing import Missing
from stream_app.errors import StreamAppError
from tests.services import ServiceError, kafka, redis

_FAILURES = (Failed, StreamAppError, KafkaError, RedisError, OSError)
"""What ends a part, but not the run: TimeoutError is an OSError."""
NOTES = Path(__file__).with_name("notes.md")
"""What a person says about the figures; the end of the page."""


def main(arguments: list[str] | None = None) -> int:
    """Measure; ends with one JSON object. 1: a part failed."""
    options = _options(arguments)
    # A topic is there a moment before its leaders are; aiokafka tells of every try.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    screen = Console(stderr=True, width=140, highlight=False)
    plan = QUICK if options.quick else PLANS[options.plan]
    try:
        with (
            kafka(own=True) as log,
            redis(own=True) as store,
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ):
            place = Place(Broker(log.address), store.url, Path(folder))
            bench = Bench(place, plan, lambda line: screen.print(f"  {line}", style="dim"))
            sections, failures = _measure(bench, options.only or plan.parts, screen)
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    figures = {key: value for section in sections for key, value in section.figures.items()}
    if options.write:
        command = f'make bench ARGS="{"--quick " * options.quick}--write {options.write}"'
        options.write.write_text(report.page(sections, command, NOTES.read_text()))
        try:
            options.write.with_name("scaling.md").write_text(scaling.page(figures))
        except Missing as error:
            print(f"scaling.md stays as it is: {error}", file=sys.stderr)
    print(json.dumps({"plan": plan.name, **figures}))
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _measure(
    bench: Bench, parts: tuple[str, ...], screen: Console
) -> tuple[list[Section], list[str]]:
    sections, failures = [], []
    for name in parts:
        began = time.monotonic()
        screen.print(f"[bold]{name}[/]")
        part: Callable[[Bench], Coroutine[Any, Any, Section]] = import_module(
            f"benchmarks.{name}"
        ).run
        try:
            section = asyncio.run(part(bench))
        except LeftOut as missing:
            section = Section(name, "", left_out={name: str(missing)})
        except _FAILURES as failed:
            failures.append(f"{name}: {failed!r}")
            section = Section(name, "", left_out={name: f"failed: {failed}"})
        sections.append(section)
        report.show(screen, section)
        screen.print(f"  {name}: {time.monotonic() - began:.0f} s\n", style="dim")
    return sections, failures


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller loads, under three minutes")
    parser.add_argument("--plan", choices=PLANS, default=FULL.name, help="sizes")
    parser.add_argument("--only", choices=PARTS, action="append", help="only these parts")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page with the tables")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
