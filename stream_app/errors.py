"""Every error stream-app raises on purpose. The type says what the caller can do about it."""

from __future__ import annotations


class StreamAppError(Exception):
    """Base of all deliberate errors.

    Attributes
    ----------
    exit_code
        What the command line returns to the shell when this error ends a command.
    hint
        What the user can do about it, one sentence, or an empty string.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(StreamAppError):
    """The command or a file named on it is wrong. Call again, corrected."""

    exit_code = 2


class ConfigError(StreamAppError):
    """A setting is missing or out of range. Mend the setting; retrying does not help."""

    exit_code = 3


class Incompatible(StreamAppError):
    """Stored state, topics or a model do not fit this program. Stop; nothing was written."""

    exit_code = 4


class Unavailable(StreamAppError):
    """Kafka or Redis did not answer, and nothing was applied. Retry with back-off."""

    exit_code = 5


class OutcomeUnknown(Unavailable):
    """A write was sent and no answer came: it may or may not have been applied. Read before
    writing again."""


class Fenced(StreamAppError):
    """Another owner has claimed the partition. Drop what is in memory; its state is right."""


class Moved(StreamAppError):
    """The stored position is not the one this owner last wrote. Drop memory and claim again."""


class Busy(StreamAppError):
    """Others still work on what is to be changed. Nothing was changed; stop them first."""


class SnapshotRefused(StreamAppError):
    """A model snapshot is unreadable, or belongs to another feature catalogue."""

    exit_code = 4


class NotFound(StreamAppError):
    """What was asked for by name does not exist."""

    exit_code = 6


class NotDoneYet(StreamAppError):
    """What was asked for is under way, but was not done in the time given. Look again later."""

    exit_code = 7
