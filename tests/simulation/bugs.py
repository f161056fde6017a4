"""Deliberate bugs, to show that the simulation finds them. Nothing in `stream_app` knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

BUGS: dict[str, Callable[[ExitStack], None]] = {}
"""By name; each plants itself for as long as the stack is open."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """With a bug in the product."""
    with ExitStack() as stack:
        BUGS[name](stack)
        yield
