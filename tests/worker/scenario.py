"""Two weeks of events whose outcome does not depend on who reads what when.

The events of one account lie in one partition of one topic, in the order in which they happened.
Some repeat, some are invalid, and some accounts' events come with another key than their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stream_app.events.instants import DAY, MINUTE, parse, to_rfc3339

START_US = parse("2026-02-02T08:00:00Z")
DAYS = 14
VISITS, DOWNLOADS, EMAILS = "website-visits", "content-downloads", "email-events"
TOPICS = (VISITS, DOWNLOADS, EMAILS)


@dataclass(frozen=True)
class Line:
    """One record to produce."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Script:
    """Records by the time at which they happen."""

    random: Random = field(default_factory=lambda: Random(11))
    lines: list[tuple[int, Line]] = field(default_factory=list)
    number: int = 0

    def add(self, at_us: int, topic: str, account: str, key: str | None = None) -> None:
        """One event of an account."""
        self.number += 1
        line = Line(
            topic,
            (key or account).encode(),
            event(topic, account, at_us, f"e-{self.number}", **self._details(topic)),
        )
        self.lines += [(at_us, line)] * (2 if self.random.random() < 0.02 else 1)

    def _details(self, topic: str) -> dict[str, Any]:
        random = self.random
        more: dict[str, Any] = {
            "contact_id": f"c{random.randrange(4)}",
            "topics": [f"topic-{random.randrange(5)}"],
        }
        if topic == VISITS:
            more |= {
                "page_category": random.choice(["pricing", "product", "docs"]),
                "dwell_seconds": random.randrange(200),
                "session_id": f"s{random.randrange(9)}",
            }
        elif topic == EMAILS:
            more["kind"] = random.choice(["sent", "opened", "clicked", "replied"])
        else:
            more["stage"] = random.choice(["awareness", "consideration", "decision"])
        return more


def event(topic: str, account: str, at_us: int, id_: str, **more: Any) -> bytes:
    """JSON of one event."""
    needed: dict[str, dict[str, str]] = {
        EMAILS: {"kind": "clicked"},
        DOWNLOADS: {"stage": "decision"},
        VISITS: {},
    }
    body = {"id": id_, "occurred_at": to_rfc3339(at_us), "account_id": account}
    return json.dumps(body | needed[topic] | more).encode()


def scenario() -> list[Line]:
    """Some 400 records of 32 accounts."""
    script = Script()
    for i in range(32):
        topic, account = TOPICS[i % 3], f"account-{i}"
        wrong_key = f"somebody-else-{i}" if i % 8 == 7 else None
        at_us = START_US + script.random.randrange(3 * DAY)
        while at_us < START_US + DAYS * DAY:
            for _ in range(script.random.randrange(1, 5)):
                script.add(at_us, topic, account, wrong_key)
                at_us += script.random.randrange(1, 20 * MINUTE)
            at_us += script.random.randrange(5 * DAY)
    for i, topic in enumerate(TOPICS * 3):
        at_us = START_US + (i + 1) * DAY
        line = Line(topic, b"key-%d" % i, b"{not json %d" % i, (("trace", b"%d" % i),))
        script.lines.append((at_us, line))
    return [line for _, line in sorted(script.lines, key=lambda pair: pair[0])]
