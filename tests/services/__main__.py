"""Keeps a Kafka and a Redis running until Ctrl-C: `python -m tests.services`.

Prints `export` lines on stdout and everything else on stderr.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from tests.services import Service, ServiceError, kafka, redis
from tests.services.redis_users import WORKER, as_user


def main() -> int:
    """Exit code: 0 after Ctrl-C, 1 if a server did not start or ended by itself."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        say("Starting Kafka and Redis ...")
        with kafka() as broker, redis() as store:
            say(f"Kafka comes from {broker.how}, Redis from {store.how}.")
            print("\n".join(exports(broker, store)), flush=True)
            say("Ctrl-C stops both and deletes their data.")
            watch(broker, store)
    except KeyboardInterrupt:
        say("\nStopped.")
        return 0
    except ServiceError as error:
        say(str(error))
        return 1


def exports(broker: Service, store: Service) -> list[str]:
    """What to set so that the app and the tests use these servers.

    The app logs in to Redis as a worker does. The tests empty their database, so they get another
    one than the app, and an administrator.
    """
    admin = store.url.rpartition("/")[0]
    app = store.url if store.pid is None else as_user(store.url, WORKER)
    return [
        f"export STREAM_APP_KAFKA__BOOTSTRAP_SERVERS={broker.address}",
        f"export STREAM_APP_REDIS__URL={app.rpartition('/')[0]}/0",
        f"export STREAM_APP_TEST_KAFKA={broker.address}",
        f"export STREAM_APP_TEST_REDIS={admin}/15",
    ]


def watch(*services: Service) -> NoReturn:
    """Wait for ever. Raises ServiceError if a server that is ours ends."""
    ours = [service for service in services if service.pid is not None]
    while True:
        time.sleep(1)
        for service in ours:
            if service.pid is None:
                raise ServiceError(f"{service.name} ended by itself.")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
