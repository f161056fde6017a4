"""`stream-app replay`: files of events through the engine, as fast as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import StreamAppError, UsageError

if TYPE_CHECKING:
    from stream_app.segments.snapshot import Snapshot
    from stream_app.settings import Settings
    from stream_app.streams.replay import Outputs, Replay, Summary

Progressed = Callable[[str, int, int], None]
"""Told the file, the bytes read of all files, and the lines read."""
_WRITTEN_LAST = ("model.json", "summary.json")
"""Without them, a replay did not come to its end."""


def replay(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="JSON Lines, plain, .gz or .zst; `-` is standard input."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the results into this folder. Without it there is only the summary.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="SNAPSHOT",
            help="Use this model (a model.json) and train none.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Let time pass until then, e.g. 2026-01-31T12:00:00Z. Default: the latest event.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
) -> None:
    """Run files of events, in the given order, through the same engine as the worker's.

    Each line is an event with a `type` (website.visit, content.download, email.engagement) or a
    CloudEvent; control events (account.erase, contact.erase) are carried out where they stand. Time
    is the events' own. DIR gets segment-changes.jsonl, intent-spikes.jsonl, accounts.jsonl,
    dead-letters.jsonl, models.jsonl (every version of the model that was used), model.json (the
    last of them) and summary.json.
    """
    from stream_app.events.instants import parse  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    if until:
        parse(until)
    _check(files)
    with _progress(files) as progressed, _writing(out) if out else nullcontext():
        summary = _run(settings, files, out, model, until, progressed)
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(summary)
    else:
        _show(summary, out)


def _run(
    settings: Settings,
    files: list[str],
    out: Path | None,
    model: Path | None,
    until: str | None,
    progressed: Progressed,
) -> Summary:
    from stream_app.streams.replay import Replay  # noqa: PLC0415

    snapshot = _snapshot(model) if model else None
    with _outputs(out) as outputs:
        run = Replay(settings, outputs, snapshot)
        try:
            _feed(run, files, progressed)
            return run.finish(until)
        except KeyboardInterrupt as stop:
            kept = f"; {out} holds what was written so far, and no summary" if out else ""
            stop.add_note(f"{run.summary.read:,} lines were read{kept}")
            raise


def _check(files: list[str]) -> None:
    """Raise before anything is written, not after an hour."""
    again = [file for file, times in Counter(files).items() if times > 1]
    if again:
        raise UsageError(f"{again[0]} is given twice", hint="each file is read once, in order")
    for file in files:
        path = Path(file)
        if file != "-" and (path.is_dir() or not path.exists()):
            what = "is a folder" if path.is_dir() else "does not exist"
            raise UsageError(f"{file} {what}", hint="give files of JSON Lines, or - for stdin")


def _snapshot(path: Path) -> Snapshot:
    from stream_app.segments.snapshot import read_snapshot  # noqa: PLC0415

    try:
        return read_snapshot(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"cannot read the model {path}: {error.strerror}",
            hint="give a model.json that a replay wrote",
        ) from None


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """What the disk says against it, in our words."""
    try:
        yield
    except OSError as error:
        raise StreamAppError(
            f"cannot write to {out}: {error.strerror or error}",
            hint="give --out a folder that can be written to, on a disk with room",
        ) from None


@contextmanager
def _outputs(out: Path | None) -> Iterator[Outputs | None]:
    from stream_app.streams.replay import Outputs  # noqa: PLC0415

    if out is None:
        yield None
        return
    with Outputs(out) as outputs:
        for name in _WRITTEN_LAST:  # those of an earlier run would pass for this one's
            (out / name).unlink(missing_ok=True)
        yield outputs


def _feed(run: Replay, files: list[str], progressed: Progressed) -> None:
    from stream_app.streams.lines import read_lines  # noqa: PLC0415

    before = 0
    for file in files:
        run.start_file(file)
        done = 0

        def read(position: int) -> None:
            nonlocal done
            done = position
            progressed(file, before + position, run.summary.read)  # noqa: B023

        for lines in read_lines(file, read):
            run.feed(lines)
        before += done


@contextmanager
def _progress(files: list[str]) -> Iterator[Progressed]:
    """A bar over the bytes of all files, on a terminal; yields what to tell about progress."""
    from stream_app.cli.output import printable, remarks  # noqa: PLC0415

    console = remarks()
    if not console.is_terminal:
        yield lambda _file, _position, _lines: None
        return
    from rich import progress  # noqa: PLC0415

    known = all(Path(file).is_file() for file in files)  # else a pipe is among them
    total = sum(Path(file).stat().st_size for file in files) if known else None
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TextColumn("{task.fields[lines]} lines"),
        progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=total, lines="0")

        def tell(file: str, position: int, lines: int) -> None:
            name = printable(Path(file).name)
            bar.update(task, description=name, completed=position, lines=f"{lines:,}")

        yield tell


def _show(summary: Summary, out: Path | None) -> None:
    from stream_app.cli.output import console, row, share, table, when  # noqa: PLC0415

    screen = console()
    controls = f"{summary.controls:,} control events, " if summary.controls else ""
    screen.print(
        f"{summary.read:,} lines read: {summary.applied:,} applied, {controls}"
        f"{summary.duplicates:,} duplicates, {summary.dead_letters:,} dead letters "
        f"({summary.events_per_second:,.0f} per second)"
    )
    if summary.first_event and summary.last_event:
        screen.print(f"events from {when(summary.first_event)} to {when(summary.last_event)}")
    sizes = table("segment", "name", "accounts", "share", right=("segment", "accounts", "share"))
    for segment in sorted(summary.segments, key=lambda s: -s.accounts):
        part = share(segment.accounts, summary.accounts)
        row(sizes, segment.id, segment.name, segment.accounts, part)
    model = f"model version {summary.model_version}" if summary.model_version else "no model yet"
    screen.print(f"\n{summary.accounts:,} accounts, {model}", style="bold")
    if summary.segments:
        screen.print(sizes)
        screen.print()
    counts: tuple[tuple[str, int, dict[str, int]], ...] = (
        ("changes", summary.segment_changes, summary.segment_changes_by_reason),
        ("intent spikes", summary.intent_spikes, {}),
        ("dead letters", summary.dead_letters, summary.dead_letters_by_reason),
    )
    totals = table("what", "reason", "number", right=("number",))
    for what, total, by_reason in counts:
        row(totals, what, "", total, style="bold")
        for reason, number in sorted(by_reason.items(), key=lambda item: -item[1]):
            row(totals, "", reason, number)
    screen.print(totals)
    if out:
        screen.print(f"written to {out}")
