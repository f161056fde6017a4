"""When a silent account is looked at again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from stream_app.events.instants import DAY, HOUR
from stream_app.features import silence
from stream_app.features.table import ACCOUNT, NEVER
from stream_app.features.update import advance
from tests.features.build import START_US

CHECKS = len(silence.OFFSETS_US)
WEEK = 7 * DAY


def silent(*checks: int) -> npt.NDArray[np.void]:
    """Accounts that fell silent at START, with so many checks done."""
    records = np.zeros(len(checks), ACCOUNT)
    records["first_us"] = records["latest_us"] = START_US
    records["checks"] = checks
    return records


def test_checks_start_after_an_hour_and_end_after_half_a_year() -> None:
    assert silence.OFFSETS_US[0] == HOUR
    assert silence.OFFSETS_US[-1] == 26 * WEEK
    assert 80 < CHECKS < 100


def test_each_check_comes_when_the_silence_has_grown_by_a_tenth() -> None:
    grown = silence.OFFSETS_US[1:] / silence.OFFSETS_US[:-1]
    np.testing.assert_allclose(grown[:-1], 1.1, rtol=1e-9)
    assert 1.0 < grown[-1] <= 1.1


def test_the_instant_that_was_decided_only_moves_forward() -> None:
    records = silent(*range(CHECKS + 1))
    decided, due = silence.as_of(records), silence.next_due(records)
    assert decided[0] == START_US
    assert (np.diff(decided) > 0).all()
    assert (decided[1:] == due[:-1]).all()  # a check decides as of its due instant
    assert due[-1] == NEVER  # the silence is complete


def one_at_a_time(record: npt.NDArray[np.void], before_us: int) -> list[int]:
    """Due instants of the checks before an instant, by doing one and looking again."""
    record, instants = record.copy(), []
    while (due := int(silence.next_due(record)[0])) < before_us:
        instants.append(due)
        record["checks"] += 1
    return instants


offsets = st.one_of(
    st.integers(-WEEK, 30 * WEEK), st.sampled_from(silence.OFFSETS_US.tolist()), st.just(0)
)


@given(st.lists(st.tuples(st.integers(0, CHECKS), offsets, st.integers(-1, 1)), max_size=6))
def test_counting_checks_is_the_same_as_doing_them(cases: list[tuple[int, int, int]]) -> None:
    records = silent(*(done for done, _, _ in cases))
    before_us = np.array([START_US + offset + nudge for _, offset, nudge in cases], np.int64)
    counts = silence.pending(records, before_us)
    position, due_us = silence.due_instants(records, counts)
    expected = [one_at_a_time(records[[i]], int(us)) for i, us in enumerate(before_us)]
    assert counts.tolist() == [len(instants) for instants in expected]
    assert due_us.tolist() == [us for instants in expected for us in instants]
    assert position.tolist() == [i for i, instants in enumerate(expected) for _ in instants]


@given(st.integers(0, CHECKS), offsets)
def test_an_event_starts_the_silence_anew_unless_it_is_late(done: int, offset: int) -> None:
    record = silent(done)
    at_us = START_US + offset
    advance(record, np.array([at_us]))
    if offset > 0:
        assert record["checks"] == 0
        assert silence.next_due(record)[0] == at_us + HOUR
    else:
        assert record["checks"] == done
        assert record["latest_us"] == START_US
