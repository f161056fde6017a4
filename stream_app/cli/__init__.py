"""The command line. `program` has the commands, `ending` what becomes of errors."""

from __future__ import annotations


def main() -> None:
    """The console script `stream-app`."""
    from stream_app.cli.program import program  # noqa: PLC0415

    program()
