"""Replay of a file on one core, beside what reading and decoding its lines alone takes."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.job import snapshot
from benchmarks.load import Load, items
from benchmarks.measurement import Measurement
from benchmarks.section import Section
from stream_app.events.decode import Decoder
from stream_app.events.reading import Line
from stream_app.settings import Settings
from stream_app.streams.lines import read_lines
from stream_app.streams.replay import Outputs, Replay

_TYPES = {
    "website-visits": b"website.visit",
    "content-downloads": b"content.download",
    "email-events": b"email.engagement",
}
_METHOD = """\
A file of events goes through `Replay`, with a fixed model and all its output files, in this
process; and through reading and typed decoding by msgspec alone. The file has the load of the
throughput section. CPU time of the process, so that other work on the machine counts less."""


async def run(bench: Bench) -> Section:
    """Measure both in turns."""
    section = Section("Replay", _METHOD)
    file = bench.place.folder / "events.jsonl"
    lines = _write(file, bench.plan.events, bench.plan.accounts(bench.plan.events))
    whole, alone = [], []
    for number in range(1, bench.plan.rounds + 1):
        alone.append(lines / _decode(file))
        whole.append(lines / _replay(file, bench.place.folder / "replayed"))
        bench.say(f"round {number}: {whole[-1]:,.0f} of {alone[-1]:,.0f} events/s")
    rate, decode = Measurement.of(whole), Measurement.of(alone)
    section.add("replay", rate, "events/s", note="target: 100,000, or the ratio below")
    section.add("reading and decoding alone", decode, "events/s")
    ratio = rate.over(decode)
    section.add("replay / decoding", ratio, "x", form=".2f", at_least=0.6)
    section.figures["replay_ratio_to_decode"] = ratio.median
    return section


def _write(file: Path, events: int, accounts: int) -> int:
    with file.open("wb") as out:
        for item in items(Load(events, accounts, ends_us=time.time_ns() // 1_000 - 5_000_000)):
            out.write(b'{"type":"' + _TYPES[item.topic] + b'",' + item.value[1:] + b"\n")
    return events


def _decode(file: Path) -> float:
    """CPU seconds."""
    decoder = Decoder({})
    began = time.process_time()
    held: list[bytes] = []
    for lines in read_lines(str(file)):
        held += lines
        while len(held) >= 4_000:
            decoder.decode([Line("", line) for line in held[:4_000]], time.time_ns() // 1_000)
            held = held[4_000:]
    decoder.decode([Line("", line) for line in held], time.time_ns() // 1_000)
    return time.process_time() - began


def _replay(file: Path, folder: Path) -> float:
    """CPU seconds."""
    began = time.process_time()
    with Outputs(folder) as outputs:
        run = Replay(Settings(), outputs, snapshot())
        run.start_file(file.name)
        for lines in read_lines(str(file)):
            run.feed(lines)
        run.finish()
    return time.process_time() - began
