"""All commands by name. A command's module is imported only when that command is called, so that
`--help` does not wait for Kafka's, Redis's and River's libraries."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import stream_app
from stream_app.cli.ending import Terminated, ended

_NAME = "stream-app"
_HELP_NAMES = {"help_option_names": ["-h", "--help"]}
_EPILOG = (
    "Exit codes: 0 done, 1 a check failed, 2 wrong usage, 3 settings, 4 stored state, topics or "
    "model do not fit, 5 Kafka or Redis away, 6 not found, 7 not done in time, 70 an error of this "
    "program, 130 Ctrl-C. Data goes to stdout; progress, logs and errors go to stderr. Settings "
    "come from STREAM_APP_… variables and stream-app.toml."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: a function, or a Typer app, of the same name in the module of that name."""

    name: str
    help: str
    logs: Callable[[], None]
    """Sets up logging before the command starts."""


def _service() -> None:
    """Runs unattended: its libraries' warnings count too."""
    from stream_app.cli import logs  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    logs.set_up(load())


def _tool() -> None:
    """Somebody waits for an answer: what libraries have to say comes as an error of ours."""
    from stream_app.cli import logs  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    logs.set_up(load(), libraries="critical")


def _nothing() -> None:
    """Needs no settings, or reads them and sets up logging itself."""


ENTRIES = (
    Entry("demo", "Everything in this process, on synthetic traffic, with a live view.", _nothing),
    Entry("worker", "Process events from Kafka, keep state in Redis, publish changes.", _service),
    Entry("replay", "Run files of events through the same engine, on event time.", _tool),
    Entry("account", "Where one account stands, and what was last published.", _tool),
    Entry("segments", "The current segments and how many accounts are in them.", _tool),
    Entry("report", "One page about the segments, from a replay or from what is live.", _tool),
    Entry("model", "List, compare and activate versions of the model; name segments.", _tool),
    Entry("erase", "Forget an account, or a contact of it, for good.", _tool),
    Entry("doctor", "Check settings, Kafka, Redis and what is stored, one by one.", _nothing),
    Entry("dlq", "List, show and replay dead letters.", _tool),
    Entry("reconcile", "Compare Redis with what is published, and repair it.", _tool),
    Entry("repartition", "Move a deployment to more partitions, offline.", _tool),
    Entry("schema", "Show, write or check the schemas of all events.", _nothing),
    Entry("topics", "Create or list the Kafka topics; print ACLs.", _tool),
    Entry("traffic", "Publish synthetic traffic to the Kafka topics.", _tool),
)


class _Lazy(TyperCommand):
    """Stands for a command until it is called."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name, help=entry.help)
        self._entry = entry

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        return _load(self._entry).make_context(*args, **kwargs)


class _Commands(TyperGroup):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for entry in ENTRIES:
            self.add_command(_Lazy(entry))


def _load(entry: Entry) -> Any:
    found = getattr(import_module(f"stream_app.cli.{entry.name}"), entry.name)
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        app = typer.Typer(add_completion=False, context_settings=_HELP_NAMES)
        app.command(entry.name)(found)
        command = typer.main.get_command(app)
    work = command.callback

    def with_logs(**arguments: Any) -> Any:
        entry.logs()
        return work(**arguments) if work else None

    command.callback = with_logs
    return command


_app = typer.Typer(
    name=_NAME,
    cls=_Commands,
    add_completion=False,
    context_settings=_HELP_NAMES,
    epilog=_EPILOG,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"{_NAME} {stream_app.__version__}\n")
        raise typer.Exit


@_app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of any error.")
    ] = False,
) -> None:
    """Live account segments from a stream of behavioural events."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line, without the program's name; returns the exit code."""
    given, debug = _take_debug(list(arguments))
    options = given[: given.index("--")] if "--" in given else given
    with ended(debug=debug, as_json="--json" in options) as ending:
        command = typer.main.get_command(_app)
        with command.make_context(_NAME, given or ["--help"]) as context:
            command.invoke(context)
        sys.stdout.flush()
    return ending.code


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without `--debug`, which may stand anywhere, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return options + arguments[end:], "--debug" in arguments[:end]


def program() -> None:
    """Run the process's own command line, and exit."""
    # A shell starts background jobs with SIGINT ignored; whoever sends it means it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise Terminated
