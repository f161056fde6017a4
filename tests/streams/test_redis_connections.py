"""A command is sent as Redis reads it, and connections are shared out one by one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url

from stream_app.streams.redis_arguments import arguments
from stream_app.streams.redis_connections import Connections, packed

LARGE = b"x" * 70_000
values = st.one_of(
    st.text(max_size=5), st.integers(), st.binary(max_size=5), st.just(LARGE), st.just("ä€")
)


def plain(command: list[str | int | bytes]) -> bytes:
    """By the specification of RESP: an array of bulk strings."""
    out = b"*%d\r\n" % len(command)
    for argument in command:
        value = argument if isinstance(argument, bytes) else str(argument).encode()
        out += b"$%d\r\n" % len(value) + value + b"\r\n"
    return out


@given(st.lists(st.lists(values, min_size=1, max_size=8), max_size=3))
def test_a_command_is_an_array_of_bulk_strings(commands: list[list[str | int | bytes]]) -> None:
    assert b"".join(packed(*commands)) == b"".join(map(plain, commands))


@pytest.mark.parametrize("several", [[], ["x", b"y"], [LARGE, "z"]])
def test_arguments_that_are_made_already_stand_among_others(several: list[str | bytes]) -> None:
    made = packed(["HDEL", arguments(several), 1], ["EXEC"])
    assert b"".join(made) == plain(["HDEL", *several, 1]) + plain(["EXEC"])


def test_what_is_large_is_not_copied() -> None:
    blob = bytearray(LARGE)
    assert any(piece is blob for piece in packed(["EVALSHA", blob, b"", blob, 1]))


async def test_who_comes_when_all_are_taken_waits_no_longer_than_it_may(redis_url: str) -> None:
    connections = Connections({**parse_url(redis_url), "max_connections": 2}, timeout_seconds=0.05)
    first, second = await connections.take(), await connections.take()
    assert first is not second
    with pytest.raises(TimeoutError):
        await connections.take()
    waiting = asyncio.create_task(connections.take())
    await asyncio.sleep(0)
    connections.put_back(second)
    assert await waiting is second
    connections.put_back(first)
    connections.put_back(second)
    await connections.disconnect()
    assert [first.is_connected, second.is_connected] == [False, False]
