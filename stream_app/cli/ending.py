"""How a command ends: the exit code, and the message on stderr for whoever called it.

With `--json` the last line on stderr is `{"error": {"type", "message", "hint", "exit_code"}}`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import typer

from stream_app.cli.hiding import hide
from stream_app.errors import StreamAppError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
TERMINATED = 143
"""128 + SIGTERM."""
_BROKEN_PIPE = 141
"""128 + SIGPIPE."""
_BUG = 70
"""EX_SOFTWARE of sysexits.h."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C. Notes on either (`add_note`) are shown at the end."""


@dataclass
class Ending:
    """What the process returns to the shell."""

    code: int = 0


@contextmanager
def ended(*, debug: bool, as_json: bool) -> Iterator[Ending]:
    """Turn whatever leaves the block into an exit code and a message."""
    ending = Ending()
    try:
        yield ending
    except typer.Exit as exit_:
        ending.code = exit_.exit_code
    except BrokenPipeError:  # the reader of our output has seen enough
        ending.code = _BROKEN_PIPE
        _forget_stdout()
    except KeyboardInterrupt as stop:
        ending.code = TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
        message = "; ".join(["interrupted", *getattr(stop, "__notes__", [])])
        _say(as_json, "Interrupted", message, "", ending.code)
    except Exception as error:  # noqa: BLE001  (the last place where it can be caught)
        ending.code = _failed(error, debug, as_json)


def _failed(error: Exception, debug: bool, as_json: bool) -> int:
    kind, message, hint = type(error).__name__, str(error), getattr(error, "hint", "")
    trace = debug
    if isinstance(error, StreamAppError):
        code = error.exit_code
    elif isinstance(error, typer.TyperException):
        code = error.exit_code
        message, context = error.format_message(), getattr(error, "ctx", None)
        hint = f"see `{context.command_path} --help`" if context else ""
    else:
        code, trace = _BUG, True
        kind, message = "Bug", f"this is a bug in stream-app: {kind}: {message}"
        hint = "please report it, with the traceback"
    if trace:
        _write(hide("".join(traceback.format_exception(error))))
    _say(as_json, kind, message, hint, code)
    return code


def _say(as_json: bool, kind: str, message: str, hint: str, code: int) -> None:
    message, hint = hide(message), hide(hint)
    if as_json:
        error = {"type": kind, "message": message, "hint": hint, "exit_code": code}
        _write(json.dumps({"error": error}, ensure_ascii=False) + "\n")
    elif kind == "Interrupted":
        _write(message + "\n")
    else:
        _write(f"{_styled('error:', '1;31')} {message}\n")
        if hint:
            _write(f"{_styled('hint:', '1;36')} {hint}\n")


def _write(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _styled(word: str, style: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return word if plain or not sys.stderr.isatty() else f"\x1b[{style}m{word}\x1b[0m"


def _forget_stdout() -> None:
    """Python flushes stdout when it ends, and would complain again."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
