"""Compares what a run left behind with the oracle."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream_app.features.table import ACCOUNT, records_of
from stream_app.streams import topics
from tests.chaos.compare import Said, Tally, compare
from tests.chaos.evidence import Evidence
from tests.chaos.oracle import Expected
from tests.chaos.setup import PREFIX

CHANGES, SPIKES, ACCOUNTS, LETTERS, FORWARDED = (
    topic.with_prefix(PREFIX).name
    for topic in (
        topics.SEGMENT_CHANGES,
        topics.INTENT_SPIKES,
        topics.ACCOUNT_SEGMENTS,
        topics.DEAD_LETTERS,
        topics.ENGAGEMENT,
    )
)
_EXAMPLES = 5
_WHEN = {"decided_at", "lag_ms"}
"""Fields of a change or spike that tell when it was decided."""
_IN_THE_FUTURE = b"in_the_future"
"""The reason of a dead letter whose detail tells when it was refused."""


@dataclass
class Verdict:
    """What the comparison found."""

    topics: dict[str, Tally] = field(default_factory=dict)
    state_mismatches: int = 0
    stale_account_segments: int = 0
    """Accounts whose last record says less than their profile. A frozen worker may leave that."""
    lost_input: int = 0
    """Records that Kafka had acknowledged to the producer and that are not on the log."""
    unread: int = 0
    """Records on the log that no commit has passed."""
    outboxes: int = 0
    """Entries that were never trimmed."""
    examples: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Keep an example."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(what)


def verify(found: Evidence, want: Expected, sent: Counter[tuple[str, bytes | None]]) -> Verdict:
    """Compare; `sent`: (topic, value) of what was acknowledged to the producer."""
    verdict = Verdict()
    for name, said in (
        (CHANGES, _change),
        (SPIKES, _spike),
        (LETTERS, _letter),
        (FORWARDED, _event),
    ):
        verdict.topics[name.removeprefix(PREFIX)] = compare(
            _by_key(want.published[name], said),
            _by_key((r for log in found.logs[name].values() for r in log), said),
            ordered=name != LETTERS,
        )
    _compare_states(found, want, verdict)
    _compare_accounts(found, want, verdict)
    lying: Counter[tuple[str, bytes | None]] = Counter()
    for topic, log in found.logs.items():
        for partition, records in log.items():
            lying.update((topic, record.value) for record in records)
            end = records[-1].offset + 1 if records else 0
            if (topic, partition) in found.offsets:
                verdict.unread += end - found.offsets[topic, partition]
    verdict.lost_input = (sent - lying).total()
    verdict.outboxes = found.outboxes
    return verdict


def _by_key(messages: Iterable[Any], said: Any) -> Mapping[str, list[Said]]:
    found: defaultdict[str, list[Said]] = defaultdict(list)
    for message in messages:
        found[(message.key or b"").decode(errors="replace")].append(said(message))
    return found


def _numbered(message: Any, number: str) -> Said:
    body = msgspec.json.decode(message.value)
    rest = {name: value for name, value in body.items() if name not in _WHEN}
    headers = dict(message.headers)
    return Said(headers["ce_id"].decode(), (rest, headers), (body, headers), body[number])


def _change(message: Any) -> Said:
    return _numbered(message, "sequence")


def _spike(message: Any) -> Said:
    return _numbered(message, "number")


def _letter(message: Any) -> Said:
    headers = dict(message.headers)
    when = {"ce_time"} | ({"ce_detail"} if headers["ce_reason"] == _IN_THE_FUTURE else set())
    rest = {name: value for name, value in headers.items() if name not in when}
    return Said(headers["ce_id"].decode(), (message.value, rest), headers)


def _event(message: Any) -> Said:
    return Said(msgspec.json.decode(message.value)["id"], message.value)


def _compare_states(found: Evidence, want: Expected, verdict: Verdict) -> None:
    for account in sorted(found.states.keys() | want.states.keys()):
        state, wanted = found.states.get(account), want.states.get(account)
        if state != wanted:
            verdict.state_mismatches += 1
            verdict.note(f"state of {account}: {_difference(state, wanted)}")
        elif found.profiles.get(account) != want.profiles.get(account):
            verdict.state_mismatches += 1
            verdict.note(f"profile of {account}: {found.profiles.get(account)!r}")


def _difference(found: bytes | None, want: bytes | None) -> str:
    if found is None or want is None:
        return "is not in Redis" if found is None else "is not expected"
    a, b = records_of(["found", "wanted"], [found, want])
    names = [n for n in ACCOUNT.names or () if a[n].tobytes() != b[n].tobytes()]
    return "differs in " + ", ".join(f"{n} ({a[n]}, not {b[n]})" for n in names)


def _compare_accounts(found: Evidence, want: Expected, verdict: Verdict) -> None:
    """The last record of each account must be its profile; an older one at the end is stale."""
    tally = verdict.topics[ACCOUNTS.removeprefix(PREFIX)] = Tally(expected=len(want.profiles))
    records: defaultdict[str, list[bytes]] = defaultdict(list)
    for log in found.logs[ACCOUNTS].values():
        for record in log:
            records[record.key.decode()].append(record.value)
    for account, profile in want.profiles.items():
        values = records.pop(account, [])
        if profile not in values:
            tally.missing += 1
            tally.note(f"missing: where {account} stands at the end")
        elif values[-1] != profile:
            verdict.stale_account_segments += 1
        tally.published += profile in values
        tally.duplicates += len(values) - len(set(values))
    tally.unexpected = len(records)
    if records:
        tally.note(f"unexpected: {sorted(records)}")
