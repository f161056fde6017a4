"""Makes what profiles in Redis are compressed with, from those of synthetic traffic.

`python docs/profile_dictionary.py NUMBER` writes `stream_app/streams/profiles-NUMBER.dict`. A
dictionary that was ever released stays as it is: what was compressed with it is read with it. A new
one gets the next number, in `stream_app/streams/redis_profiles.py` too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from stream_app.cli.program import run
from stream_app.streams.redis_profiles import file_of
from stream_app.traffic import Traffic, TrafficConfig

TRAFFIC = TrafficConfig(accounts=600, seed=11, with_type=True)
DAYS = 35
SIZE = 2_048


def main() -> None:
    """Replay traffic, and train on where its accounts stand at the end."""
    with TemporaryDirectory() as name:
        events, results = Path(name) / "events.jsonl", Path(name) / "results"
        events.write_bytes(b"\n".join(record.value for record in Traffic(TRAFFIC).records(DAYS)))
        if code := run(["replay", str(events), "--out", str(results)]):
            sys.exit(code)
        profiles = (results / "accounts.jsonl").read_bytes().splitlines()
    trained = zstandard.train_dictionary(SIZE, profiles)
    file_of(int(sys.argv[1])).write_bytes(trained.as_bytes())


if __name__ == "__main__":
    main()
