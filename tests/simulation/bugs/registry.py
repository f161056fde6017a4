"""Where bugs are registered, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

Bug = Callable[[ExitStack], None]
"""Replaces a piece of the product for as long as the stack is open."""
BUGS: dict[str, Bug] = {}
"""By name."""


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """With a bug in the product, or with none."""
    with ExitStack() as stack:
        if name is not None:
            BUGS[name](stack)
        yield


def bug(plant: Bug) -> Bug:
    """Register a bug under its function's name."""
    BUGS[plant.__name__.replace("_", "-")] = plant
    return plant


def swap(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    """Replace an attribute."""
    stack.enter_context(patch.object(owner, name, new))
