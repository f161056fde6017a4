"""How much memory `stream-app reconcile` takes per account of one partition.

python -m tests.reconcile 1000000
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.ports import Record
from stream_app.streams.published import Published

_VALUE = (
    b'{"account_id":"%s","sequence":300,"segment":{"id":2,"name":"x"},'
    b'"since":"2026-01-01T00:00:00Z","current":{"id":2,"name":"x"}}'
)


class Generated:
    """A `LogReader` of one partition with one record per account, made while it is read."""

    def __init__(self, accounts: int) -> None:
        self._accounts = accounts

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def stretches(self, topic: str, since_us: int | None = None) -> dict[int, range]:
        return {0: range(self._accounts)}

    async def read(self, topic: str, stretches: Mapping[int, range]) -> AsyncIterator[list[Record]]:
        for n in stretches[0]:
            key = b"account-%08d" % n
            yield [MemoryRecord(topic, 0, n, 0, key, _VALUE % key)]


def resident_bytes() -> int:
    """Memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


async def main(accounts: int) -> None:
    published = Published(Generated(accounts), "", 0, 1)
    before = resident_bytes()
    await published.read_on()
    grown = resident_bytes() - before
    print(f"{len(published.seen):,} accounts: {grown / 1e6:,.0f} MB, {grown / accounts:.0f} each")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
