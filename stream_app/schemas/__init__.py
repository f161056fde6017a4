"""The contract with the outside, generated from the types: JSON Schema 2020-12 and AsyncAPI 3.0.

The folder `schemas/` at the top of the repository holds what these modules produce. It is written
by `stream-app schema --write schemas` and never by hand; `stream-app schema --check` says when the
two differ.
"""

from stream_app.schemas.events import EventSchema, event_schemas
from stream_app.schemas.files import Document, documents, drift, write
from stream_app.schemas.headers import headers_schema

__all__ = [
    "Document",
    "EventSchema",
    "documents",
    "drift",
    "event_schemas",
    "headers_schema",
    "write",
]
