"""The comparison finds what it is there to find, and counts it under the right name."""

from __future__ import annotations

from collections import Counter

import pytest
from aiokafka import ConsumerRecord

from stream_app.streams.ports import Message
from tests.chaos.compare import Said, Tally, compare
from tests.chaos.evidence import Evidence
from tests.chaos.oracle import Expected
from tests.chaos.verify import ACCOUNTS, CHANGES, FORWARDED, LETTERS, SPIKES, verify


def said(*numbers: int, content: str = "moved", whole: str = "at noon") -> list[Said]:
    return [Said(f"acme:{n}", content, whole, n) for n in numbers]


def tally_of(*found: Said, ordered: bool = True) -> Tally:
    return compare({"acme": said(1, 2, 3)}, {"acme": list(found)}, ordered=ordered)


def test_what_was_published_as_expected_breaks_nothing() -> None:
    tally = tally_of(*said(1, 2, 3))
    assert tally == Tally(expected=3, published=3)
    assert tally.broken == 0


def test_copies_are_counted_and_allowed() -> None:
    tally = tally_of(*said(1, 2, 1, 2, 3, 3))
    assert tally == Tally(expected=3, published=3, duplicates=3)
    assert tally.broken == 0


@pytest.mark.parametrize(
    ("numbers", "counts"),
    [
        ((1, 2), {"missing": 1}),
        ((1, 3), {"missing": 1, "gaps": 1}),
        ((1, 3, 2), {"reordered": 1}),
        ((1, 2, 3, 4), {"unexpected": 1}),
        ((), {"missing": 3}),
    ],
)
def test_what_is_wrong_is_counted(numbers: tuple[int, ...], counts: dict[str, int]) -> None:
    tally = tally_of(*said(*numbers))
    names = ("missing", "unexpected", "altered", "gaps", "reordered")
    assert {n: getattr(tally, n) for n in names if getattr(tally, n)} == counts
    assert tally.broken == sum(counts.values())
    assert tally.examples


def test_another_content_than_expected_is_found() -> None:
    assert tally_of(*said(1), *said(2, content="stayed"), *said(3)).altered == 1


def test_a_copy_that_says_something_else_is_found() -> None:
    assert tally_of(*said(1, 2, 3), *said(2, whole="at one")).altered == 1


def test_where_no_order_is_promised_none_is_expected() -> None:
    assert tally_of(*said(3, 1, 2), ordered=False).broken == 0


def test_what_is_expected_twice_is_no_duplicate() -> None:
    tally = compare({"acme": said(1, 1, 2)}, {"acme": said(1, 1, 2)})
    assert (tally.expected, tally.duplicates, tally.broken) == (2, 0, 0)
    assert compare({"acme": said(1, 1, 2)}, {"acme": said(1, 1, 2, 2)}).duplicates == 1


# A whole run's evidence


PROFILE = b'{"account_id":"acme"}'


def record(
    topic: str, offset: int, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()
) -> ConsumerRecord:
    return ConsumerRecord(topic, 0, offset, 0, 0, b"acme", value, None, 0, len(value), headers)


def evidence() -> tuple[Evidence, Expected, Counter[tuple[str, bytes | None]]]:
    """A run with one event in which nothing went wrong."""
    found = Evidence(
        logs={
            "input": {0: [record("input", 0, b"event")]},
            ACCOUNTS: {0: [record(ACCOUNTS, 0, PROFILE)]},
        },
        states={"acme": b"state"},
        profiles={"acme": PROFILE},
        offsets={("input", 0): 1},
    )
    found.logs |= {name: {0: []} for name in (CHANGES, SPIKES, LETTERS, FORWARDED)}
    want = Expected(states={"acme": b"state"}, profiles={"acme": PROFILE})
    return found, want, Counter({("input", b"event"): 1})


def test_a_run_in_which_nothing_went_wrong() -> None:
    verdict = verify(*evidence())
    assert all(tally.broken == 0 for tally in verdict.topics.values())
    assert verdict.topics["account-segments"].published == 1
    assert (verdict.state_mismatches, verdict.lost_input, verdict.unread, verdict.outboxes) == (
        (0,) * 4
    )
    assert not verdict.examples


def test_a_profile_that_differs_is_a_mismatch() -> None:
    found, want, sent = evidence()
    found.profiles["acme"] = b"{}"
    assert verify(found, want, sent).state_mismatches == 1


@pytest.mark.parametrize("states", [{}, {"acme": b"state", "other": b"state"}])
def test_an_account_too_few_or_too_many_is_a_mismatch(states: dict[str, bytes]) -> None:
    found, want, sent = evidence()
    found.states = states
    assert verify(found, want, sent).state_mismatches == 1


def test_an_older_record_at_the_end_of_account_segments_is_stale() -> None:
    found, want, sent = evidence()
    found.logs[ACCOUNTS][0].append(record(ACCOUNTS, 1, b"{}"))
    verdict = verify(found, want, sent)
    assert verdict.stale_account_segments == 1
    assert verdict.topics["account-segments"].broken == 0


def test_where_an_account_stands_was_never_published() -> None:
    found, want, sent = evidence()
    found.logs[ACCOUNTS][0].clear()
    assert verify(found, want, sent).topics["account-segments"].missing == 1


def test_an_account_that_nobody_expects_on_account_segments() -> None:
    found, want, sent = evidence()
    want.profiles.clear()
    assert verify(found, want, sent).topics["account-segments"].unexpected == 1


def test_what_was_never_trimmed_is_counted() -> None:
    found, want, sent = evidence()
    found.outboxes = 2
    assert verify(found, want, sent).outboxes == 2


def test_an_event_that_the_log_has_lost_and_one_that_nobody_read() -> None:
    found, want, sent = evidence()
    sent["input", b"another"] += 1
    found.offsets["input", 0] = 0
    verdict = verify(found, want, sent)
    assert (verdict.lost_input, verdict.unread) == (1, 1)


def test_the_clock_has_no_say_in_the_detail_of_a_dead_letter() -> None:
    found, want, sent = evidence()
    reason = ("ce_reason", b"in_the_future"), ("ce_id", b"input:0:1")
    late = (*reason, ("ce_detail", b"9 s ahead"), ("ce_time", b"noon"))
    early = (*reason, ("ce_detail", b"8 s ahead"), ("ce_time", b"one"))
    want.published[LETTERS] = [Message(LETTERS, b"acme", b"{}", early)]
    found.logs[LETTERS][0].append(record(LETTERS, 0, b"{}", late))
    assert verify(found, want, sent).topics["dead-letters"].broken == 0
    found.logs[LETTERS][0].append(record(LETTERS, 1, b"{}", early))
    assert verify(found, want, sent).topics["dead-letters"].altered == 1
