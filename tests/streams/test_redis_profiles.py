"""Profiles in Redis: what is read is what was written, and it takes a third of the room."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.population import templates
from stream_app.changes.types import AccountSegment
from stream_app.features.catalogue import DERIVED, ROLLING
from stream_app.streams.redis_profiles import NEWEST, compress, decompress, file_of

RELEASED = {1: "8741806e3700b42f15eb774fc5c19338a8fcb035bbf6dff7871278a265bb315b"}
"""A dictionary that is written with must be read with for ever."""


@pytest.fixture(scope="module")
def profiles() -> list[bytes]:
    return [each.profile for each in templates(1_750_000_000_000_000)]


@given(st.binary(max_size=3_000))
def test_whatever_is_written_is_read(profile: bytes) -> None:
    assert decompress(compress(profile)) == profile


def test_a_profile_takes_a_third_of_the_room(profiles: list[bytes]) -> None:
    stored = [compress(profile) for profile in profiles]
    assert [decompress(each) for each in stored] == profiles
    assert sum(map(len, stored)) < sum(map(len, profiles)) / 3


def test_dictionaries_stay_as_they_are() -> None:
    found = {n: sha256(file_of(n).read_bytes()).hexdigest() for n in range(1, NEWEST + 1)}
    assert found == RELEASED


def test_the_newest_dictionary_knows_all_names() -> None:
    """Where this fails, add a dictionary: a name that is new costs its bytes in each profile."""
    words = file_of(NEWEST).read_bytes()
    fields = [field.name for field in msgspec.structs.fields(AccountSegment)]
    names = [*fields, *(feature.name for feature in (*ROLLING, *DERIVED))]
    assert [name for name in names if f'{name}":'.encode() not in words] == []


@pytest.mark.parametrize("how", ["cut", "longer", "of another dictionary", "plain", "empty"])
def test_what_no_worker_has_written_comes_back_as_it_is(how: str, profiles: list[bytes]) -> None:
    stored = compress(profiles[0])
    given = {
        "cut": stored[:-9],
        "longer": stored[:1] + b"\0\0" + stored[1:],
        "of another dictionary": bytes([NEWEST + 1]) + stored[1:],
        "plain": profiles[0],
        "empty": b"",
    }[how]
    assert decompress(given) == given
