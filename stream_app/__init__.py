"""Live behavioural segments of B2B accounts, from event streams."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: that takes longer than all the rest."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("stream-app")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
