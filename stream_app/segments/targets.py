"""The accounts that marketing is after: a file with their ids, one a line."""

from __future__ import annotations

from pathlib import Path

from stream_app.errors import ConfigError
from stream_app.settings import HealthSettings


def read_targets(settings: HealthSettings) -> frozenset[str] | None:
    """Ids of the target accounts; None: no file is named. Blank lines do not count.

    Raises
    ------
    ConfigError
        The file cannot be read, or is no text.
    """
    if not settings.target_file:
        return None
    try:
        text = Path(settings.target_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"health.target_file names {settings.target_file}, which cannot be read: {error}",
            hint="give a text file (UTF-8) with one account id a line, or leave the setting empty",
        ) from None
    return frozenset(line.strip() for line in text.splitlines() if line.strip())
