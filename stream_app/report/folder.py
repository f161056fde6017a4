"""The material of a report from the folder that a replay wrote."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from stream_app.changes.types import AccountSegment, IntentSpike, SegmentChange
from stream_app.errors import NotFound, UsageError
from stream_app.events.instants import parse
from stream_app.report.material import (
    MAX_ACCOUNTS,
    MAX_CHANGES,
    MAX_MODELS,
    MAX_SPIKES,
    Change,
    Material,
)
from stream_app.segments.snapshot import Snapshot, check_snapshot
from stream_app.streams.replay import Summary

_T = TypeVar("_T")
_AGAIN = "run the replay again, with this version of stream-app"


def read_folder(folder: Path) -> Material:
    """Read what is needed of the results.

    Raises
    ------
    NotFound
        The folder or one of its files is not there.
    UsageError
        A file is not what a replay of this version writes.
    SnapshotRefused
        The model belongs to other features.
    """
    if not folder.is_dir():
        raise NotFound(
            f"there is no folder {folder}", hint="give the folder that `replay --out` wrote"
        )
    summary = _summary(folder)
    changes = deque(_changes(folder), maxlen=MAX_CHANGES)
    models = tuple(deque(_lines(folder, "models", Snapshot), maxlen=MAX_MODELS))
    for model in models:
        check_snapshot(model)
    step = max(1, -(-summary.accounts // MAX_ACCOUNTS))
    accounts = _lines(folder, "accounts", AccountSegment, lambda number: number % step == 0)
    return Material(
        source=f"replay in {folder.resolve().name}",
        as_of_us=parse(summary.until) if summary.until else 0,
        events=summary.read,
        models=models,
        sizes={segment.id: segment.accounts for segment in summary.segments},
        accounts=tuple(accounts),
        changes=tuple(changes),
        changes_cut=summary.segment_changes > len(changes),
        spikes=tuple(deque(_lines(folder, "intent-spikes", IntentSpike), maxlen=MAX_SPIKES)),
        letters=summary.dead_letters_by_reason,
    )


def _summary(folder: Path) -> Summary:
    path = folder / "summary.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summary)
    except FileNotFoundError:
        raise NotFound(
            f"{folder} has no summary.json: the replay did not come to its end, or wrote elsewhere",
            hint="give the folder that `replay --out` wrote",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a replay's summary: {error}", hint=_AGAIN) from None


def _changes(folder: Path) -> Iterator[Change]:
    return map(Change.of, _lines(folder, "segment-changes", SegmentChange))


def _lines(
    folder: Path, name: str, type_: type[_T], wanted: Callable[[int], bool] | None = None
) -> Iterator[_T]:
    """The values in a file, or those at some positions, counted from 0."""
    path = folder / f"{name}.jsonl"
    decode = msgspec.json.Decoder(type_).decode
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file):
                if wanted is None or wanted(number):
                    yield decode(line)
    except FileNotFoundError:
        raise NotFound(f"{folder} has no {path.name}", hint=_AGAIN) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"line {number + 1} of {path} is not what a replay writes: {error}", hint=_AGAIN
        ) from None
