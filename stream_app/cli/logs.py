"""Log lines on stderr: text for people, or one JSON object a line (`log_format`)."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from stream_app.cli import hiding
from stream_app.settings import Settings


def set_up(settings: Settings, *, level: str | None = None, libraries: str = "warning") -> None:
    """Send log lines to stderr as the settings want it; call again to change it.

    Parameters
    ----------
    level
        Instead of the settings' `log_level`.
    libraries
        Level for everything that is not of this program.
    """
    hiding.learn(settings)
    handler = _Stderr()
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Stderr)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(libraries.upper())
    # While Kafka is away aiokafka writes tens of lines a second; what matters we say ourselves.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("stream_app").setLevel((level or settings.log_level).upper())


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the moment: a progress bar puts itself there."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return hiding.hide(super().format(record))


class _Json(logging.Formatter):
    """`time`, `level`, `logger`, `message`, and `traceback` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hiding.hide(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = hiding.hide(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)
