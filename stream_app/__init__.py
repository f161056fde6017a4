"""Live behavioural segments of B2B accounts, from event streams."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("stream-app")
