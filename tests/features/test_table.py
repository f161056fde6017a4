"""The table of accounts: rows that stay, bytes that survive."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import Incompatible
from stream_app.features.catalogue import MODEL_VECTOR, ROLLING
from stream_app.features.packing import FORMAT
from stream_app.features.table import (
    ACCOUNT,
    LAYOUT,
    NEVER,
    TOPIC_HALF_LIVES_HOURS,
    TOPIC_SLOT,
    FeatureTable,
    layout_of,
    states_of,
)
from tests.features.build import START_US, applied, event
from tests.scale import memory

account_ids = st.lists(st.text(min_size=1, max_size=8), max_size=40)


@given(st.lists(account_ids, max_size=5), st.integers(1, 8))
def test_an_account_keeps_its_row_for_ever(batches: list[list[str]], capacity: int) -> None:
    table, rows = FeatureTable(capacity), dict[str, int]()
    for batch in batches:
        for account, row in zip(batch, table.rows_of(batch).tolist(), strict=True):
            assert rows.setdefault(account, row) == row
    assert table.ids_of(np.array(list(rows.values()), np.int64)) == list(rows)
    assert len(table) == len(rows) == len(table.live)


def test_growing_keeps_what_is_there() -> None:
    small, large = FeatureTable(1), FeatureTable(5_000)
    for table in (small, large):
        for i in range(3_000):
            row = int(table.rows_of([f"account-{i}"])[0])
            assert table.due_us[row] == NEVER
            table.data["latest_us"][row] = i + 1
            table.due_us[row] = i + 7
    assert small.live.tobytes() == large.live.tobytes()
    assert small.due_us[:3_000].tolist() == list(range(7, 3_007))


@pytest.mark.skipif(not memory.AVAILABLE, reason="only Linux moves pages and tells about memory")
def test_growing_needs_no_memory_for_a_copy() -> None:
    count = 50_000
    table = FeatureTable(count)
    full = np.frombuffer(b"\1" * ACCOUNT.itemsize * count, ACCOUNT)
    table.put([f"account-{i}" for i in range(count)], states_of(full))
    memory.forget_peak()
    resident = memory.resident_bytes()
    table.rows_of(["one more"])
    assert len(table.data) > count
    assert memory.peak_bytes() - resident < 0.1 * count * ACCOUNT.itemsize


def test_a_new_account_is_in_no_segment_and_all_else_is_zero() -> None:
    table = FeatureTable(1)
    table.rows_of(["a", "b"])
    empty = np.zeros(1, ACCOUNT)
    empty["segment"] = -1
    assert table.live.tobytes() == empty.tobytes() * 2


def test_packed_accounts_can_be_put_anywhere_and_are_the_same_bytes() -> None:
    table = applied([event(account=f"account-{i}", contact_id=f"c-{i}") for i in range(20)])
    packed = dict(table.pack(np.arange(20)))
    assert set(packed) == set(table.all_ids())
    other = FeatureTable(2)
    other.rows_of(["someone else", "account-7"])
    backwards = list(packed)[::-1]
    rows = other.put(backwards, [packed[account] for account in backwards])
    assert dict(other.pack(rows)) == packed
    assert len(other) == 21


def test_putting_an_account_again_replaces_it() -> None:
    table = applied([event(account="a")])
    (old,) = [state for _, state in table.pack(np.array([0]))]
    newer = applied([event(account="a"), event(account="a", at_us=START_US + 1)])
    table.put(["a"], [state for _, state in newer.pack(np.array([0]))])
    assert len(table) == 1
    assert [state for _, state in table.pack(np.array([0]))] != [old]


def test_packing_some_rows_packs_those() -> None:
    table = applied([event(account=name) for name in "abc"])
    assert [account for account, _ in table.pack(np.array([2, 0]))] == ["c", "a"]


def test_records_that_were_taken_are_a_copy_until_they_are_stored() -> None:
    table = applied([event(account=name) for name in "abc"])
    rows = np.array([2, 0])
    before, taken = table.live.tobytes(), table.take(rows)
    assert taken.tobytes() == table.data[rows].tobytes()
    taken["spikes"] = [5, 6]
    assert table.live.tobytes() == before
    table.store(rows, taken)
    assert table.live["spikes"].tolist() == [6, 0, 5]
    assert table.take(rows).tobytes() == taken.tobytes()


def test_what_no_worker_has_written_is_refused_before_anything_changes() -> None:
    table = applied([event(account="a")])
    (state,) = states_of(table.live)
    before = table.live.tobytes()
    says = f"'b' has {len(state) - 1} bytes that no worker has written"
    with pytest.raises(Incompatible, match=says) as caught:
        table.put(["a", "b"], [state, state[:-1]])
    assert "HDEL" in caught.value.hint
    assert table.live.tobytes() == before
    assert table.all_ids() == ["a"]


def test_putting_nothing_is_fine() -> None:
    table = FeatureTable()
    assert len(table.put([], [])) == 0


def test_due_rows_come_longest_due_first() -> None:
    table = FeatureTable()
    table.rows_of([str(i) for i in range(6)])
    table.due_us[:6] = [50, 10, NEVER, 30, 20, 40]
    assert table.due_before(41, 10).tolist() == [1, 4, 3, 5]
    assert table.due_before(40, 10).tolist() == [1, 4, 3]
    assert table.due_before(100, 2).tolist() == [1, 4]
    assert table.due_before(10, 2).tolist() == []


@pytest.mark.parametrize("ahead", [1, 3, 10, 1_000])
def test_due_rows_are_the_same_however_many_a_search_remembers(ahead: int) -> None:
    random = Random(ahead)
    for _ in range(100):
        table = FeatureTable(due_ahead=ahead)
        rows = table.rows_of([str(i) for i in range(random.randrange(1, 40))])
        table.due_us[rows] = random.choices(range(60), k=len(rows))
        for _ in range(12):
            until_us, limit = random.randrange(70), random.randrange(1, 9)
            expected = sorted(due for due in table.due_us[: len(table)].tolist() if due < until_us)
            found = table.due_before(until_us, limit)
            assert table.due_us[found].tolist() == expected[:limit]
            assert len(set(found.tolist())) == len(found)
            table.due_us[found] += random.randrange(1, 50)
            if random.random() < 0.3 and len(table):
                table.remove(random.choice(table.all_ids()))


def test_small_portions_of_a_wave_do_not_cost_a_search_each() -> None:
    table, searches = FeatureTable(due_ahead=500), 0
    rows = table.rows_of([str(i) for i in range(1_000)])
    table.due_us[rows] = 7
    for _ in range(100):
        known = table._due
        found = table.due_before(8, 10)
        searches += not np.isin(found, known).all()
        table.due_us[found] = NEVER
    assert len(table.due_before(8, 10)) == 0
    assert searches == 2


def test_a_row_that_falls_due_between_two_portions_is_found() -> None:
    table = FeatureTable()
    rows = table.rows_of([str(i) for i in range(4)])
    table.due_us[rows] = [10, 20, 500, 500]
    assert table.due_before(100, 1).tolist() == [0]
    table.due_us[[0, 2]] = [500, 15]
    found = [table.due_before(100, 2).tolist()]
    table.due_us[[1]] = 500
    found.append(table.due_before(100, 2).tolist())
    assert sorted({row for portion in found for row in portion}) == [1, 2]


def test_unchecked_rows_are_taken_once_each() -> None:
    table = FeatureTable()
    table.rows_of([str(i) for i in range(5)])
    assert [table.take_unchecked(2).tolist() for _ in range(4)] == [[0, 1], [2, 3], [4], []]


def test_who_was_decided_under_a_model_is_not_looked_at_under_it_again() -> None:
    table = FeatureTable()
    table.rows_of([str(i) for i in range(5)])

    def unchecked(version: int) -> list[int]:
        table.notice_model(version)
        return table.take_unchecked(10).tolist()

    table.live["model"] = [2, 2, 1, 2, 1]
    assert unchecked(2) == [2, 3, 4]
    assert unchecked(2) == []
    assert unchecked(3) == [0, 1, 2, 3, 4]
    table.live["model"] = 4
    assert unchecked(4) == []
    older = np.zeros(1, ACCOUNT)
    table.put(["3"], states_of(older))
    assert unchecked(4) == [3, 4]
    assert unchecked(0) == [0, 1, 2, 3, 4]


def test_the_record_is_packed_and_little_endian() -> None:
    """Its words are stored as they are, and read on other machines. Every field is aligned, in
    every record."""
    assert sum(ACCOUNT[name].itemsize for name in ACCOUNT.names or ()) == ACCOUNT.itemsize
    assert ACCOUNT.itemsize % 8 == 0
    for dtype, offset in (ACCOUNT.fields or {}).values():
        if dtype.base.names is None:
            assert offset % dtype.base.itemsize == 0
    for dtype in (ACCOUNT, TOPIC_SLOT):
        for name in dtype.names or ():
            base = dtype[name].base
            if base.names is None:
                assert base.str[0] in "<|", name


def test_another_layout_or_another_meaning_has_another_fingerprint() -> None:
    columns = [FORMAT, *(f"{f.name}:{f.half_life_days}" for f in ROLLING)]
    columns += [f"{name}:{hours}" for name, hours in TOPIC_HALF_LIVES_HOURS.items()]
    columns += [f"anchor:{d.name}" for d in MODEL_VECTOR]
    assert layout_of(ACCOUNT, columns) == LAYOUT
    swapped = [columns[0], columns[2], columns[1], *columns[3:]]
    renamed = [columns[0], "web_hits_1d:1", *columns[2:]]
    slower = [columns[0], "web_visits_1d:2", *columns[2:]]
    otherwise = ["words", *columns[1:]]
    wider = np.dtype([*ACCOUNT.descr, ("more", "<u1")])
    reordered = np.dtype([*ACCOUNT.descr[1:], ACCOUNT.descr[0]])
    others = [layout_of(ACCOUNT, names) for names in (swapped, renamed, slower, otherwise)]
    others += [layout_of(dtype, columns) for dtype in (wider, reordered)]
    assert len({LAYOUT, *others}) == 7
