"""The generated files: what they hold, writing them, and finding those that drifted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stream_app.errors import UsageError
from stream_app.schemas.asyncapi import asyncapi
from stream_app.schemas.events import event_schemas
from stream_app.schemas.headers import DEAD_LETTER_NAME, dead_letter_headers


@dataclass(frozen=True, slots=True)
class Document:
    """One generated file."""

    name: str
    """How it is asked for: `segment.change`, `asyncapi`."""
    file: str
    """Its name in the folder."""
    title: str
    """What it is, for people."""
    content: dict[str, Any]

    @property
    def data(self) -> bytes:
        """The file's bytes: the same for the same types, always."""
        return (json.dumps(self.content, indent=2, ensure_ascii=False) + "\n").encode()


@cache
def documents() -> Mapping[str, Document]:
    """All generated files by name: the events' schemas, then the AsyncAPI document."""
    contents = {schema.name: schema.document for schema in event_schemas().values()}
    contents[DEAD_LETTER_NAME] = dead_letter_headers()
    found = [
        Document(name, f"{name}.schema.json", content["title"], content)
        for name, content in contents.items()
    ]
    api = asyncapi()
    found.append(Document("asyncapi", "asyncapi.json", api["info"]["title"], api))
    return {document.name: document for document in found}


def write(folder: Path) -> list[Path]:
    """Write all files; returns their paths.

    Raises
    ------
    UsageError
        The folder cannot be made or written to.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for document in documents().values():
            path = folder / document.file
            path.write_bytes(document.data)
            written.append(path)
    except OSError as error:
        raise UsageError(f"cannot write schemas to {folder}: {error.strerror or error}") from None
    return written


def drift(folder: Path) -> dict[str, str]:
    """Files of `folder` that are not what would be written, with what is wrong; sorted.

    Raises
    ------
    UsageError
        The folder does not exist.
    """
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder} to compare with",
            hint="run this in a checkout of the repository",
        )
    wanted = {document.file: document.data for document in documents().values()}
    wrong = {path.name: "not generated any more" for path in folder.glob("*.json")}
    for file, data in wanted.items():
        wrong.pop(file, None)
        path = folder / file
        if not path.is_file():
            wrong[file] = "missing"
        elif path.read_bytes() != data:
            wrong[file] = "differs"
    return dict(sorted(wrong.items()))
