"""The trainer's robustness: what it costs, how large it is, and what odd vectors do to it.

How hard a vector pulls was bounded on traffic of seed 31. Reported is another seed.
"""

from __future__ import annotations

from time import process_time

import msgspec
import numpy as np

from stream_app.events.instants import DAY, MINUTE
from stream_app.segments.online import OnlineClusters, Saved
from stream_app.segments.review import Limits, better_centres
from stream_app.segments.snapshot import Snapshot, write_snapshot
from stream_app.segments.trainer import Trainer
from tests.quality.section import Options, Section
from tests.quality.vectors import SETTINGS, Floats, Vectors, learnt, stationary_traffic

_KIB = 1024.0


def run(options: Options) -> Section:
    """On the vectors of stationary traffic."""
    section = Section("Trainer robustness (10)")
    x = stationary_traffic(137).x[: 2_000 if options.quick else 4_000]
    trainer = Trainer(SETTINGS)
    began = process_time()
    snapshots = _learn(trainer, x)
    section.add("training, all included: ms per vector", 1e3 * (process_time() - began) / len(x))
    began = process_time()
    better_centres(x[-4_000:], [], Limits(3, 8, 500, 7), at_any_rate=True)
    section.add("one review of a full window: ms", 1e3 * (process_time() - began), at_most=2_000)
    size = len(trainer.checkpoint()) / _KIB
    section.add("checkpoint: KiB", size, at_most=512, note="its window is full or bounded")
    section.add(
        "largest snapshot: KiB", max(len(write_snapshot(s)) for s in snapshots) / _KIB, at_most=32
    )
    half = len(x) // 2
    first = Trainer(SETTINGS)
    _learn(first, x[:half])
    again = Trainer(SETTINGS, first.checkpoint())
    same = _learn(first, x[half:]) == _learn(again, x[half:])
    section.add(
        "restart goes on the same, to the bit",
        float(same and first.checkpoint() == again.checkpoint()),
        at_least=1,
    )
    drawn = _drawn(x, [x[0], np.full(x.shape[1], 50.0)])
    section.add(
        "one huge account a day: centres drawn by, in deviations",
        drawn[1],
        at_most=0.5,
        note=f"by an ordinary one {drawn[0]:.3f}",
    )
    return section


def _learn(trainer: Trainer, x: Floats) -> list[Snapshot]:
    found = []
    for vector in x.tolist():
        at_us = 20_000 * DAY + trainer.vectors * 10 * MINUTE
        if snapshot := trainer.learn([vector], [at_us]):
            found.append(snapshot)
    return found


def _drawn(x: Floats, accounts: list[Floats]) -> list[float]:
    """How far the centre that moves most is from where it would be without one more account, which
    comes at every hundredth vector; for each such account."""
    nothing = np.zeros(len(x), np.int64)
    former = learnt(Vectors(x, nothing, nothing), 5, 5, predict=False).online
    former.state.era.mature = True
    saved = msgspec.json.encode(former.saved())

    def centres(account: Floats | None) -> Floats:
        online = OnlineClusters(
            former.limits, SETTINGS.halflife, msgspec.json.decode(saved, type=Saved)
        )
        for i, vector in enumerate(x.tolist()):
            online.learn(vector, 0)
            if account is not None and i % 100 == 99:
                online.learn(account.tolist(), 0)
        assert online.clusters is not None
        return online.clusters.centres

    plain = centres(None)
    return [float(np.linalg.norm(centres(account) - plain, axis=1).max()) for account in accounts]
