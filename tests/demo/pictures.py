"""Pictures to draw."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_app.demo.picture import (
    ChangeLine,
    Lag,
    Model,
    Picture,
    SegmentLine,
    SpikeLine,
    Totals,
)
from stream_app.events.instants import from_datetime

STARTING = Picture()

COLD = Picture(
    phase="running",
    seconds=2.4,
    now_us=from_datetime(datetime(2026, 1, 6, 9, 30, tzinfo=UTC)),
    days=1.4,
    days_per_second=1.0,
    events_per_second=9_876.5,
    accounts=1_204,
    totals=Totals(records=20_000, events=19_900, duplicates=80, dead_letters={"not_json": 20},
                  changes={"first_seen": 1_204}),
    model=Model(version=0, vectors=219, needed=500),
    segments=(SegmentLine(0, "Unsegmented", 1_204),),
    changes=(
        ChangeLine("northwind-0006", "", "Unsegmented", "first_seen", (("its first event", ""),)),
    ),
)  # fmt: skip

WARM = Picture(
    phase="running",
    seconds=75.0,
    now_us=from_datetime(datetime(2026, 2, 12, 14, 20, tzinfo=UTC)),
    days=38.6,
    days_per_second=0.98,
    events_per_second=14_210.0,
    lag=Lag(8.4, 61.2),
    accounts=2_000,
    totals=Totals(
        records=563_700,
        events=563_220,
        duplicates=412,
        dead_letters={"not_json": 51, "missing_field": 17},
        changes={"model": 3_034, "behaviour": 953, "first_seen": 1_945, "inactivity": 84},
        spikes=128,
    ),
    model=Model(version=12, vectors=41_113, needed=500),
    segments=(
        SegmentLine(7, "Content readers", 463, tuple(range(449, 464))),
        SegmentLine(1, "Active this week", 443, (480, 470, 460, 443)),
        SegmentLine(5, "Occasional visitors", 349, (349, 349)),
        SegmentLine(2, "Late-stage evaluators", 201, ()),
        SegmentLine(3, "Gone quiet", 26, (1, 26)),
    ),
    trend_days=7.0,
    changes=(
        ChangeLine("pinecrest-1395", "Occasional visitors", "Late-stage evaluators", "behaviour",
                   (("pricing pages", "0.4 → 6.1"), ("page views this week", "2 → 9.3"))),
        ChangeLine("harrowgate-0575", "Content readers", "Gone quiet", "inactivity",
                   (("days of silence", "3 → 14"),)),
        ChangeLine("dunmoor-0599", "Unsegmented", "Content readers", "model",
                   (("new model, version", "12"),)),
        ChangeLine("quillmark-0040", "Active this week", "Content readers", "behaviour",
                   (("introductory and comparing downloads", "0 → 2"),)),
    ),
    spikes=(SpikeLine("harrowgate-0383", "supply-planning", 4.24, 4, "Content readers"),),
)  # fmt: skip
