"""The job that peers are compared by: the reference against the product and the peers' own code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from benchmarks.job import document, snapshot
from benchmarks.load import INPUTS, Item, Load, items
from benchmarks.peers import reference
from benchmarks.peers.reference import Reference
from stream_app.engine import Engine
from stream_app.events.batch import Columns
from stream_app.events.decode import Decoder, Pseudonyms
from stream_app.events.types import ContentDownload, EmailEngagement, WebsiteVisit
from stream_app.features.table import FeatureTable
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, check_snapshot
from stream_app.settings import Settings

PEERS = Path(reference.__file__).parent
ENDS_US = 1_750_000_000_000_000
TYPES = dict(zip(INPUTS, (WebsiteVisit, ContentDownload, EmailEngagement), strict=True))

Moves = list[tuple[str, int | None, int]]


def referred(load: list[Item]) -> Moves:
    """What the reference publishes."""
    job = Reference(document())
    changes = [job.apply(item.topic, json.loads(item.value)) for item in load]
    return [(c.account, c.previous, c.current) for c in changes if c is not None]


def test_the_reference_moves_accounts_as_the_engine_does() -> None:
    """Where nobody falls silent: the engine's silence checks are not part of the job."""
    load = list(items(Load(2_400, 40, span_seconds=1_800.0, ends_us=ENDS_US)))
    settings = Settings()
    decoder = Decoder(TYPES)
    engine, table = Engine(settings), FeatureTable()
    assigner = Assigner(snapshot(), Hysteresis(settings.segments.margin))
    moved: Moves = []
    for item in load:
        record: Any = msgspec.defstruct("Record", ["topic", "value", "headers"])(
            item.topic, item.value, ()
        )
        decoded = decoder.decode([record], ENDS_US)
        batch = Columns(Pseudonyms())(decoded.events, decoded.times_us)
        for change in engine.step(table, batch, assigner, None).changes:
            previous = change.previous.id if change.previous else None
            assert change.current is not None
            moved.append((change.account_id, previous, change.current.id))
    assert len(moved) > 80
    assert referred(load) == moved


def test_the_code_of_the_python_peers_moves_accounts_as_the_reference_does(
    tmp_path: Path, scoring: ModuleType
) -> None:
    load = list(items(Load(6_000, 100, 0.5, span_seconds=90 * 86_400.0, ends_us=ENDS_US)))
    file = tmp_path / "job.json"
    file.write_text(json.dumps(document()))
    job, accounts = scoring.Job(str(file)), {}
    moved: Moves = []
    for item in load:
        event = scoring.decode_event(item.value)
        stored = accounts.get(item.account)
        account, change = job.apply(
            None if stored is None else scoring.unpack(stored), item.topic, event
        )
        accounts[item.account] = scoring.pack(account)
        if change is not None:
            moved.append((change.account_id, change.previous, change.current))
    assert len(moved) > 200
    assert moved == referred(load)


def test_the_snapshot_fits_the_product() -> None:
    check_snapshot(snapshot())


@pytest.fixture
def scoring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the peers in Python share, found as they find it."""
    monkeypatch.syspath_prepend(PEERS / "shared")
    module = __import__("scoring")
    monkeypatch.delitem(sys.modules, "scoring")
    return module


@pytest.mark.parametrize(
    "file", sorted(PEERS.glob("*/requirements.txt")), ids=lambda f: f.parent.name
)
def test_the_packages_of_a_peer_are_exact_versions(file: Path) -> None:
    lines = file.read_text().split()
    assert lines
    assert all("==" in line and "://" not in line for line in lines)


def test_every_peer_says_why_it_is_written_so() -> None:
    folders = {file.parent.name for file in PEERS.glob("*/README.md")}
    assert folders == {"faust", "quix", "bytewax", "pathway", "kafka_streams"}
