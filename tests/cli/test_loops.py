"""Which event loop a worker runs on."""

from __future__ import annotations

import asyncio
import sys

import pytest

from stream_app.cli.loops import run


async def name_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert run(name_of_loop()).startswith("uvloop")


def test_the_standard_one_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(name_of_loop()).startswith("asyncio")


def test_what_the_work_raises_comes_out() -> None:
    async def fails() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run(fails())
