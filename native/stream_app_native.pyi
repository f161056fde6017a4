"""The compiled parts of stream-app. `stream_app/native.py` says whether they are there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

class Message(Protocol):
    """As `stream_app/streams/ports.py` has it."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]: ...

INTERFACE: int
"""Version of what this module offers."""

def contact_buckets(hashes: NDArray[np.uint32], out: NDArray[np.uint8]) -> None:
    """Write the bucket of each of `hashes` (0: nobody) to `out`, which is as long."""

class Index:
    """Account ids and their rows, in little memory; see `stream_app/features/index.py`."""

    def __new__(cls) -> Self: ...
    def __len__(self) -> int: ...
    def get(self, account: str) -> int | None: ...
    def find(self, accounts: _AnyTexts, rows: NDArray[np.int64]) -> None: ...
    def enter(self, accounts: _AnyTexts, rows: NDArray[np.int64]) -> None: ...
    def id_of(self, row: int) -> str: ...
    def ids(self, rows: NDArray[np.int64]) -> Texts: ...
    def remove(self, account: str) -> int: ...

class Packed:
    """Account ids and stored forms in turn."""

    @property
    def sent(self) -> bytes:
        """As `bulk_strings` of them."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> tuple[str, bytes]: ...
    def __iter__(self) -> Iterator[tuple[str, bytes]]: ...

def pack_records(
    records: NDArray[np.void],
    record_bytes: int,
    rows: NDArray[np.int64],
    accounts: _AnyTexts,
) -> Packed:
    """The stored forms of some records, with the ids of their accounts. IndexError: there is no
    such row. ValueError: there are not as many ids."""

def unpack_records(states: list[bytes], record_bytes: int, records: NDArray[np.void]) -> bool:
    """Fill `records`, which are zero, from `states`, which are as many. False: one is no state."""

def bulk_strings(values: Sequence[str | bytes | tuple[str | bytes, ...]]) -> tuple[int, bytes]:
    """How many there are, the parts of tuples one after the other, and all of them as RESP's bulk
    strings."""

class FetchedRecord:
    """A `stream_app.streams.ports.Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

class FetchedRecords:
    """Records in order, made when they are asked for."""

    next_fetch_offset: int
    """From which to read on after those that were given away."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> FetchedRecord: ...

def fetched_records(
    topic: str,
    partition: int,
    raw: bytes,
    from_: int,
    check_crcs: bool,
    decompress: Mapping[int, Callable[[bytes], bytes]],
    /,
) -> FetchedRecords | None:
    """The records of whole batches of message format 2, from the offset `from_` on. `decompress`:
    by the number of a codec. None: there is none, or something is not as usual, such as another
    format, a transaction, damage, or more than may be held."""

def fail() -> None:
    """Panic within, so that a test can see what becomes of a bug: a RuntimeError."""

class EventDecoder:
    """Reads ordinary records; see `stream_app/events/reading.py`.

    Parameters
    ----------
    types
        The event type, by the name in its `type`, that belongs on a topic.
    key
        Of the pseudonyms of contacts.
    most_bytes
        A larger record is not ordinary.
    earliest_us
        An event that happened before it is not ordinary.
    """

    def __new__(
        cls, types: dict[str, str], key: bytes, most_bytes: int, earliest_us: int
    ) -> Self: ...
    def decode(
        self, values: list[Any], topics: list[str], latest_us: int
    ) -> tuple[list[bytes], Texts, dict[int, str], dict[str, int], list[int]] | None:
        """Read records, given by their values and topics; one that happened after `latest_us` is
        not ordinary.

        Returns of the ordinary ones columns as bytes: position of the record (int64), and those of
        `EventBatch` in their order; the accounts; the names of the events' topics by hash, in
        their order; and by the topic of the records the median of the events' instants. And the
        positions of the records that are not ordinary. None: it cannot tell, because two names of
        topics have the same hash.
        """

def record_batches(
    messages: Sequence[Message],
    counts: dict[str, int],
    anywhere: dict[str, int],
    limit: int,
    timestamp_ms: int,
) -> list[tuple[str, int, list[tuple[bytearray, int]]]]:
    """(topic, partition, Kafka record batches) of messages, each batch with its number of records:
    as many as fit into `limit` bytes, but one at least.

    `counts` has the number of partitions of each topic, and `anywhere` where its messages without a
    key go. KeyError: a topic is not there. TypeError: a part of a message is of another type.
    """

def seal_batch(batch: bytearray, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
    """Write who sends a record batch, and its checksum."""

def crc32c(data: bytes, by_table: bool) -> int:
    """The checksum of `data`, with or without the processor's instruction for it."""

class _AnyTexts(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> str: ...
    def __iter__(self) -> Iterator[str]: ...

class Texts(_AnyTexts):
    """Texts that never change, in little memory."""

class Stepper:
    """Applies events to account records; see `stream_app/stepper.py`."""

    def __new__(
        cls,
        account: dict[str, int],
        slot: dict[str, int],
        sizes: dict[str, int],
        weights: list[float],
        half_life_of: list[int],
        dwell: list[int],
        session: list[int],
        day: list[int],
        offsets_us: list[int],
        telling: list[bool],
        people: list[int],
        campaign_visits: bool,
        min_contacts: int,
        cooldown_minutes: float,
        surprise: dict[str, float],
    ) -> Self: ...
    def apply(
        self,
        data: NDArray[np.void],
        held: NDArray[np.uint8],
        model: int,
        rows: NDArray[np.int64],
        at_us: NDArray[np.int64],
        id_hash: NDArray[np.uint32],
        kind: NDArray[np.uint8],
        dwell_minutes: NDArray[np.float64],
        session_hash: NDArray[np.uint32],
        contact: NDArray[np.uint8],
        prompted: NDArray[np.bool_],
        topics: NDArray[np.uint32],
        growth: NDArray[np.float64],
    ) -> tuple[int, int, list[bytes], bytes]:
        """Apply events to `data`. Returns events that were no duplicates, copies made into `held`,
        the columns of points (row, at_us, cause, occurred_us, record), and candidates."""
    def look(
        self,
        data: NDArray[np.void],
        held: NDArray[np.uint8],
        model: int,
        rows: NDArray[np.int64],
        before_us: NDArray[np.int64],
    ) -> tuple[int, list[bytes]]:
        """Look at accounts of which there is no event. Returns copies made into `held`, and the
        columns of points."""
    def note_due(
        self,
        data: NDArray[np.void],
        rows: NDArray[np.int64],
        due_us: NDArray[np.int64],
        never: int,
    ) -> None:
        """Write when the accounts of `rows` are to be looked at next."""

class AccountWriter:
    """Writes where accounts stand; see `stream_app/changes/accounts.py`."""

    def __new__(
        cls,
        account: dict[str, int],
        record_size: int,
        slot: dict[str, int],
        slot_size: int,
        slots: int,
        names: Sequence[str],
        bands: Sequence[str],
        score_decimals: int,
        interest_decimals: int,
        feature_digits: int,
        tens: list[float],
        least: int,
    ) -> Self: ...
    def write(
        self,
        ids: Sequence[str],
        records: NDArray[np.void],
        current: NDArray[np.void],
        fading: NDArray[np.float64],
        features: NDArray[np.float64],
        scores: NDArray[np.float64],
        bands: NDArray[np.uint8],
        at_us: NDArray[np.int64],
        refs: dict[int, bytes],
        topic_names: dict[int, str],
        other_topic: str,
    ) -> list[tuple[str, int, bytes, bytes] | None]:
        """(id, sequence, as_of, JSON) of each account; None for one that is not ordinary."""

class Features:
    """Features as of an instant; see `stream_app/features/values.py`."""

    def __new__(
        cls,
        account: dict[str, int],
        record_size: int,
        half_life_of: list[int],
        count: int,
        columns: dict[str, int],
        contacts: list[tuple[int, int]],
        email: list[int],
        others: list[int],
        dimensions: list[list[int]],
        linear_count: list[float],
        max_silence_days: float,
    ) -> Self: ...
    def ages(
        self, records: NDArray[np.void], at_us: NDArray[np.int64], out: NDArray[np.float64]
    ) -> None:
        """Microseconds from the start of each record's period until an instant."""
    def at(
        self,
        records: NDArray[np.void],
        at_us: NDArray[np.int64],
        fading: NDArray[np.float64],
        features: NDArray[np.float64],
        sums: NDArray[np.float64],
    ) -> None:
        """All features of each record, and the sums whose logarithms make the model vector."""

class Rule:
    """Decides who leaves a segment; see `stream_app/segments/decide.py`."""

    def __new__(
        cls,
        account: dict[str, int],
        record_size: int,
        ids: list[int],
        centres: list[float],
        mean: list[float],
        factor: list[float],
        margin: float,
        strong_margin: float,
        confirm_us: int,
        enter: list[float],
        leave: list[float],
    ) -> Self: ...
    def decide(
        self,
        data: NDArray[np.void],
        bands: NDArray[np.uint8],
        rows: NDArray[np.int64],
        at_us: NDArray[np.int64],
        cause: NDArray[np.uint8],
        scores: NDArray[np.float64],
        vectors: NDArray[np.float64],
    ) -> tuple[
        list[tuple[int, int, int, int, int, int, int, float | None]], bytes, list[tuple[int, int]]
    ]:
        """Decide points in order. Returns transitions, the anchors before them, and (row, point) of
        each account's latest change of a band; writes to `data` and `bands`."""
