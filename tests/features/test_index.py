"""Account ids and rows, in both implementations: a dict and a list say what is right."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.features.index import Index, new_index
from tests.native.paths import taking
from tests.scale import memory

PATHS = ("python", "native")


def made(path: str) -> Index:
    with taking(path):
        return new_index()


@pytest.fixture(params=PATHS)
def index(request: pytest.FixtureRequest) -> Index:
    return made(request.param)


def enter(index: Index, accounts: list[str]) -> list[int]:
    rows = np.full(len(accounts), -9, np.int64)
    index.enter(accounts, rows)
    return rows.tolist()


def find(index: Index, accounts: list[str]) -> list[int]:
    rows = np.full(len(accounts), -9, np.int64)
    index.find(accounts, rows)
    return rows.tolist()


def everybody(index: Index) -> list[str]:
    return list(index.ids(np.arange(len(index))))


class Model:
    """What is right."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def enter(self, accounts: list[str]) -> list[int]:
        self.ids += [a for a in dict.fromkeys(accounts) if a not in self.ids]
        return [self.ids.index(account) for account in accounts]

    def find(self, accounts: list[str]) -> list[int]:
        return [self.ids.index(a) if a in self.ids else -1 for a in accounts]

    def remove(self, account: str) -> int:
        row, last = self.ids.index(account), self.ids.pop()
        if row < len(self.ids):
            self.ids[row] = last
        return row


ids = st.text("abäé€😀\0", max_size=6)
steps = st.lists(
    st.tuples(st.sampled_from(["enter", "find", "remove"]), st.lists(ids)), max_size=30
)


@pytest.mark.parametrize("path", PATHS)
@given(
    st.lists(st.tuples(st.sampled_from(["enter", "find", "remove"]), st.lists(ids)), max_size=30)
)
def test_rows_are_given_in_order_and_the_last_one_fills_a_gap(
    path: str, steps: list[tuple[str, list[str]]]
) -> None:
    index, model = made(path), Model()
    for step, accounts in steps:
        if step == "enter":
            assert enter(index, accounts) == model.enter(accounts)
        elif step == "find":
            assert find(index, accounts) == model.find(accounts)
        else:
            for account in [a for a in dict.fromkeys(accounts) if a in model.ids]:
                assert index.remove(account) == model.remove(account)
        assert everybody(index) == model.ids
        assert len(index) == len(model.ids)
    assert [index.get(account) for account in model.ids] == list(range(len(model.ids)))


@pytest.mark.parametrize("seed", range(3))
def test_thousands_come_and_go(index: Index, seed: int) -> None:
    """Full enough for long searches, with gaps in them that are closed."""
    random, rows = Random(seed), dict[str, int]()
    by_row: list[str] = []
    for _ in range(40_000):
        account = f"account-{random.randrange(3_000)}"
        if random.random() < 0.45 and account in rows:
            row, last = index.remove(account), by_row.pop()
            assert row == rows.pop(account)
            if last != account:
                by_row[row], rows[last] = last, row
        else:
            (row,) = enter(index, [account])
            if account not in rows:
                assert row == len(by_row)
                by_row.append(account)
            assert rows.setdefault(account, row) == row
    assert everybody(index) == by_row
    assert find(index, by_row) == list(range(len(by_row)))
    assert index.get("account-3000") is None


def test_what_is_unknown_is_said_to_be(index: Index) -> None:
    assert enter(index, ["a"]) == [0]
    assert index.get("b") is None
    assert find(index, ["b", "a"]) == [-1, 0]
    assert find(index, []) == enter(index, []) == []
    with pytest.raises(KeyError, match="'b'"):
        index.remove("b")
    for row in (1, -1):
        with pytest.raises(IndexError):
            index.id_of(row)
        with pytest.raises(IndexError):
            index.ids(np.array([0, row]))
    assert index.id_of(0) == "a"


def test_an_id_that_cannot_be_encoded_changes_nothing(index: Index) -> None:
    enter(index, ["a"])
    with pytest.raises(UnicodeEncodeError):
        enter(index, ["b", "\ud800"])
    assert everybody(index) == ["a"]


@pytest.mark.skipif(not memory.AVAILABLE, reason="only Linux tells about memory")
def test_the_extension_takes_few_bytes_for_an_account() -> None:
    index, count = made("native"), 400_000
    before = memory.resident_bytes()
    for start in range(0, count, 4_000):
        enter(index, [f"account-{start + i:08}" for i in range(4_000)])
    assert (memory.resident_bytes() - before) / count < 48
