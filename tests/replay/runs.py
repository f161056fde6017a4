"""Streams as lines, and replays of them whose results can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, HOUR, MINUTE
from stream_app.events.types import Event
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from stream_app.streams.replay import Outputs, Replay, Summary
from tests.features.build import START_US, event

FILES = ("segment-changes", "intent-spikes", "accounts", "models", "dead-letters")


def line(one: Event) -> bytes:
    """An event as a line of a file."""
    return msgspec.json.encode(one)


def traffic(accounts: int = 40, days: int = 60, seed: int = 1) -> list[Event]:
    """Events in time order, of accounts with different habits; some fall silent, some surge."""
    random = np.random.default_rng(seed)
    events: list[Event] = []
    for number in range(accounts):
        habit = number % 4
        per_day = (0.15, 0.8, 2.0, 0.4)[habit]
        last = days if number % 5 else days // 3
        at = np.sort(random.uniform(0, last, random.poisson(per_day * last)))
        for n, day in enumerate(at.tolist()):
            kinds = (
                [Kind.VISIT, Kind.EMAIL_OPENED],
                [Kind.VISIT, Kind.VISIT_PRODUCT],
                [Kind.VISIT_PRICING, Kind.VISIT_PRODUCT, Kind.DOWNLOAD_DECISION],
                [Kind.PASSIVE, Kind.EMAIL_OPENED, Kind.EMAIL_CLICKED],
            )[habit]
            events.append(
                event(
                    kinds[int(random.integers(len(kinds)))],
                    START_US + round(day * DAY),
                    f"account-{number}",
                    f"{number}-{n}",
                    contact_id=f"{number}-{int(random.integers(1 + habit))}",
                    topics=[f"topic-{int(random.integers(6))}"],
                )
            )
        if number % 10 == 2:
            events += [
                event(
                    Kind.VISIT_PRICING,
                    START_US + (days - 9) * DAY + number * HOUR + n * MINUTE,
                    f"account-{number}",
                    f"surge-{number}-{n}",
                    contact_id=f"{number}-{n % 4}",
                    topics=["surge"],
                )
                for n in range(60)
            ]
    return sorted(events, key=lambda one: one.occurred_at)


def replay(
    folder: Path,
    lines: Iterable[Sequence[bytes]],
    model: Snapshot | None = None,
    settings: Settings | None = None,
    until: str | None = None,
) -> Summary:
    """Replay lists of lines into a folder."""
    with Outputs(folder) as outputs:
        run = Replay(settings or Settings(), outputs, model)
        run.start_file("events.jsonl")
        for part in lines:
            run.feed(part)
        return run.finish(until)


def results(folder: Path) -> dict[str, Any]:
    """Everything in a folder but how long it took; changes and spikes by account."""
    found: dict[str, Any] = {name: read(folder, name) for name in FILES}
    for name in ("segment-changes", "intent-spikes"):
        found[name] = sorted(found[name], key=lambda one: one["account_id"])
    summary = json.loads((folder / "summary.json").read_bytes())
    found["summary"] = {k: v for k, v in summary.items() if "second" not in k}
    found["model"] = json.loads((folder / "model.json").read_bytes())
    return found


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    """The objects in one of the files."""
    return [json.loads(text) for text in (folder / f"{name}.jsonl").read_bytes().splitlines()]
