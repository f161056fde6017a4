"""Removing accounts from the table: the others keep their records and what is still to be done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.features.table import NEVER, Erased, FeatureTable, digest_of

accounts = st.sampled_from("abcdefgh")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), accounts, st.integers(1, 9)),
        st.tuples(st.just("remove"), accounts, st.none()),
        st.tuples(st.just("look"), st.none(), st.integers(1, 4)),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 8))
def test_the_table_holds_what_a_dictionary_would(
    script: list[tuple[str, str, int]], capacity: int
) -> None:
    """Records and due instants by account; and who has been looked at under the model is exactly
    known, or at worst looked at again."""
    table = FeatureTable(capacity)
    known: dict[str, int] = {}
    most = 0
    unseen: set[str] = set()
    for name, account, value in script:
        if name == "add":
            (row,) = table.rows_of([account])
            if account not in known:
                assert int(table.data["segment"][row]) == -1
                assert table.due_us[row] == NEVER
                assert not table.data["latest_us"][row], "nothing of an earlier owner of the row"
                unseen.add(account)
            known[account] = value
            most = max(most, len(known))
            table.data["latest_us"][row], table.due_us[row] = value, 10 * value
        elif name == "remove" and account in known:
            table.remove(account)
            del known[account]
            unseen.discard(account)
        elif name == "look":
            unseen -= set(table.ids_of(table.take_unchecked(value)))
        assert table.unchecked_from <= len(table)
        assert unseen <= set(table.all_ids()[table.unchecked_from :])
    assert set(table.all_ids()) == set(known)
    for row, account in enumerate(table.all_ids()):
        assert table.row_of(account) == row
        assert (table.data["latest_us"][row], table.due_us[row]) == (
            known[account],
            10 * known[account],
        )
    rest = slice(len(table), None)
    assert not table.data[rest].tobytes().strip(b"\0"), "no trace behind the last row"
    assert (table.due_us[len(table) : most] == NEVER).all()
    due = table.due_before(10**6, 100)
    assert sorted(table.ids_of(due)) == sorted(known)


def test_only_an_erased_account_goes_on_counting() -> None:
    table = FeatureTable()
    table.erased = {digest_of("acme"): Erased(sequence=7, spikes=2, at_us=1, by=("e",))}
    table.rows_of(["acme", "globex"])
    assert table.live["sequence"].tolist() == [7, 0]
    assert table.live["spikes"].tolist() == [2, 0]


def test_a_digest_tells_accounts_apart_and_does_not_contain_them() -> None:
    names = ["acme", "Acme", "acme ", "日本 株式会社", "x" * 256]
    digests = {digest_of(name) for name in names}
    assert len(digests) == len(names)
    assert {len(digest) for digest in digests} == {32}
