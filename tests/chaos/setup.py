"""What a run is made of: its options, the workers' settings, the model and the names of topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from tests.engine.scenario import snapshot

PARTITIONS = 6
PREFIX = "chaos."
SESSION_SECONDS = 3.0
"""A worker that is silent for so long loses its partitions."""
REDIS_TIMEOUT_SECONDS = 1.0
"""A call to Redis without an answer is given up after this time."""
SHUTDOWN_SECONDS = 20.0
SWEEP_GRACE_DAYS = 200.0
"""The workers' sweep stays so far behind the clock. The live accounts' events all lie nearer, so
silence decides about them only between their own events, however slow the machine is; the quiet
accounts' lie further back, and fall due during the run (see `traffic`)."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    seed: int
    seconds: float = 60.0
    """No new fault begins after so many seconds of load."""
    rounds: int | None = None
    """Instead of `seconds`: so many rotations, each with every kind once."""
    kinds: tuple[str, ...] = ()
    """Kinds of faults; empty: all."""
    workers: int = 3
    rate: float = 120.0
    """Events a second."""
    overlap: bool = False
    """Two faults at a time, of different servers or a server and a worker."""
    appendfsync: str = "always"
    """Of Redis' append-only file."""
    keep: bool = False
    """Leave the workers' logs behind."""


MODEL: Snapshot = snapshot(
    1,
    {"silence_days": 9.0},
    {"silence_days": 60.0},
    {"silence_days": 166.3},
    {"silence_days": 182.0},
    {"silence_days": 0.6, "web_visits_7d": 2.0, "web_visits_28d": 3.0},
    {"web_visits_7d": 9.0, "web_visits_28d": 14.0, "contacts_28d": 3.0},
    {"silence_days": 0.6, "downloads_decision_28d": 1.5},
    {"downloads_decision_28d": 5.0, "contacts_28d": 3.0},
    {"silence_days": 0.6, "email_clicks_28d": 2.0},
    {"email_clicks_28d": 7.0, "contacts_28d": 3.0},
)
"""Fixed. Centres so close that live accounts change often; and one each for the last two looks at
a silent account, so that the last one moves it."""


def sections(kafka: str, redis_url: str) -> dict[str, dict[str, Any]]:
    """The workers' settings."""
    return {
        "kafka": {
            "bootstrap_servers": kafka,
            "topic_prefix": PREFIX,
            "group": f"{PREFIX}workers",
            "session_timeout_ms": round(SESSION_SECONDS * 1_000),
        },
        "redis": {"url": redis_url, "prefix": "chaos", "timeout_seconds": REDIS_TIMEOUT_SECONDS},
        "segments": {"train": False, "confirm_days": 0.5},
        # Easily surprised, so that many accounts have spikes in their short lives.
        "spikes": {"min_surprise": 2.5},
        "worker": {
            "max_batch": 200,
            "sweep_seconds": 0.3,
            "sweep_accounts": 20,
            "sweep_grace_seconds": SWEEP_GRACE_DAYS * 86_400,
            "shutdown_seconds": SHUTDOWN_SECONDS,
        },
        "web": {"port": 0},
    }


def settings_of(sections: Mapping[str, Any]) -> Settings:
    """The same settings, for the oracle and the tools of the run."""
    return Settings(**sections)


def environment_of(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The same settings as environment variables, for a worker process."""
    return {
        f"STREAM_APP_{section}__{name}".upper(): str(value)
        for section, values in sections.items()
        for name, value in values.items()
    }
