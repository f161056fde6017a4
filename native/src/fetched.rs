//! What a broker answered for one partition, as records; see `streams/kafka_records.py`.
//!
//! Source: the record batch of Kafka's protocol, message format version 2.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::kafka::{
    AFTER_LENGTH, ATTRIBUTES, COUNT, CRC, FIRST_TIMESTAMP, HEAD, LAST_OFFSET, LENGTH, MAGIC,
    MAX_TIMESTAMP, checksum,
};
use crate::panics::guarded;

const COMPRESSION: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Bounds of what one answer of the broker may come to: all of it is held until it was read. What
/// comes to more is left to aiokafka, which goes through it batch by batch.
const MOST_RECORDS: usize = 50_000;
const MOST_DECOMPRESSED: usize = 4 << 20;

/// A record, with the attributes of aiokafka's `ConsumerRecord` that anybody asks for.
#[pyclass(frozen, get_all)]
pub struct FetchedRecord {
    topic: Py<PyString>,
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<Py<PyBytes>>,
    value: Option<Py<PyBytes>>,
    headers: Py<PyTuple>,
}

/// Where some bytes lie; None: there are none, not even an empty text.
type Place = Option<(usize, usize)>;

/// Where a record's parts lie in its payload.
struct Found {
    payload: usize,
    offset: i64,
    timestamp: i64,
    key: Place,
    value: Place,
    headers: Vec<((usize, usize), Place)>,
}

/// Makes the records one by one, when they are asked for.
#[pyclass]
pub struct FetchedRecords {
    topic: Py<PyString>,
    partition: i32,
    /// What was read, and what was decompressed of it.
    payloads: Vec<Py<PyBytes>>,
    found: std::vec::IntoIter<Found>,
    no_headers: Py<PyTuple>,
    /// Offset from which to read on after the records that were given away.
    #[pyo3(get)]
    next_fetch_offset: i64,
    end: i64,
}

#[pymethods]
impl FetchedRecords {
    fn __iter__(records: PyRef<'_, Self>) -> PyRef<'_, Self> {
        records
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<FetchedRecord>> {
        guarded(|| self.next_record(py))
    }
}

impl FetchedRecords {
    fn next_record(&mut self, py: Python<'_>) -> PyResult<Option<FetchedRecord>> {
        let Some(found) = self.found.next() else {
            self.next_fetch_offset = self.end;
            return Ok(None);
        };
        let payload = self.payloads[found.payload].as_bytes(py);
        let bytes =
            |place: Place| place.map(|(from, to)| PyBytes::new(py, &payload[from..to]).unbind());
        let headers = if found.headers.is_empty() {
            self.no_headers.clone_ref(py)
        } else {
            let pairs = found.headers.iter().map(|&((from, to), value)| {
                (PyString::from_bytes(py, &payload[from..to])?, bytes(value)).into_pyobject(py)
            });
            PyTuple::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?.unbind()
        };
        self.next_fetch_offset = found.offset + 1;
        Ok(Some(FetchedRecord {
            topic: self.topic.clone_ref(py),
            partition: self.partition,
            offset: found.offset,
            timestamp: found.timestamp,
            key: bytes(found.key),
            value: bytes(found.value),
            headers,
        }))
    }
}

/// See `stream_app_native.pyi`.
#[pyfunction]
pub fn fetched_records<'py>(
    py: Python<'py>,
    topic: Py<PyString>,
    partition: i32,
    raw: &Bound<'py, PyBytes>,
    from: i64,
    check_crcs: bool,
    decompress: &Bound<'py, PyDict>,
) -> PyResult<Option<FetchedRecords>> {
    guarded(|| {
        let mut reader = Reader {
            payloads: vec![raw.clone().unbind()],
            found: Vec::new(),
            decompressed: 0,
            from,
            expected: i64::MIN,
            end: from,
        };
        if reader
            .read(py, raw.as_bytes(), check_crcs, decompress)
            .is_none()
        {
            return Ok(None);
        }
        Ok(Some(FetchedRecords {
            topic,
            partition,
            payloads: reader.payloads,
            found: reader.found.into_iter(),
            no_headers: PyTuple::empty(py).unbind(),
            next_fetch_offset: from,
            end: reader.end,
        }))
    })
}

struct Reader {
    payloads: Vec<Py<PyBytes>>,
    found: Vec<Found>,
    /// Bytes of payloads that were compressed.
    decompressed: usize,
    from: i64,
    /// The least offset that the next record can have.
    expected: i64,
    end: i64,
}

impl Reader {
    /// None: something is not as usual.
    fn read(
        &mut self,
        py: Python<'_>,
        raw: &[u8],
        check_crcs: bool,
        decompress: &Bound<'_, PyDict>,
    ) -> Option<()> {
        let mut start = 0;
        // A broker cuts off what does not fit; the next fetch begins with it.
        while let Some(length) = raw.get(start + LENGTH..start + AFTER_LENGTH) {
            let length = usize::try_from(i32::from_be_bytes(length.try_into().ok()?)).ok()?;
            let Some(batch) = raw.get(start..start + AFTER_LENGTH + length) else {
                break;
            };
            self.read_batch(py, start, batch, check_crcs, decompress)?;
            start += batch.len();
        }
        (start > 0).then_some(())
    }

    fn read_batch(
        &mut self,
        py: Python<'_>,
        start: usize,
        batch: &[u8],
        check_crcs: bool,
        decompress: &Bound<'_, PyDict>,
    ) -> Option<()> {
        if batch.len() < HEAD || batch[MAGIC] != 2 {
            return None;
        }
        let attributes = i16::from_be_bytes(batch[ATTRIBUTES..LAST_OFFSET].try_into().ok()?);
        if attributes & (TRANSACTIONAL | CONTROL) != 0 {
            return None;
        }
        let crc = u32::from_be_bytes(batch[CRC..ATTRIBUTES].try_into().ok()?);
        if check_crcs && checksum(&batch[ATTRIBUTES..]) != crc {
            return None;
        }
        let long = |at: usize| Some(i64::from_be_bytes(batch[at..at + 8].try_into().ok()?));
        let int = |at: usize| Some(i32::from_be_bytes(batch[at..at + 4].try_into().ok()?));
        let head = BatchHead {
            base_offset: long(0)?,
            first_timestamp: long(FIRST_TIMESTAMP)?,
            appended: (attributes & LOG_APPEND_TIME != 0).then_some(long(MAX_TIMESTAMP)?),
        };
        let count = int(COUNT)?;
        let codec = attributes & COMPRESSION;
        if codec == 0 {
            let mut cursor = Cursor {
                bytes: &batch[HEAD..],
                at: 0,
            };
            self.read_records(&head, count, 0, start + HEAD, &mut cursor)?;
        } else {
            let decompressed = decompress
                .get_item(codec)
                .ok()??
                .call1((PyBytes::new(py, &batch[HEAD..]),))
                .ok()?
                .cast_into::<PyBytes>()
                .ok()?;
            self.decompressed += decompressed.as_bytes().len();
            if self.decompressed > MOST_DECOMPRESSED {
                return None;
            }
            self.payloads.push(decompressed.clone().unbind());
            let mut cursor = Cursor {
                bytes: decompressed.as_bytes(),
                at: 0,
            };
            self.read_records(&head, count, self.payloads.len() - 1, 0, &mut cursor)?;
        }
        let last = head.base_offset.checked_add(int(LAST_OFFSET)?.into())?;
        let end = last.checked_add(1)?;
        if end < self.expected.max(self.end) {
            return None;
        }
        (self.expected, self.end) = (end, end);
        Some(())
    }

    /// `shift`: where the cursor's bytes begin in the payload.
    fn read_records(
        &mut self,
        head: &BatchHead,
        count: i32,
        payload: usize,
        shift: usize,
        cursor: &mut Cursor<'_>,
    ) -> Option<()> {
        let moved = |(from, to): (usize, usize)| (from + shift, to + shift);
        for _ in 0..count {
            let size = usize::try_from(cursor.varint()?).ok()?;
            let end = cursor.at.checked_add(size)?;
            cursor.skip(1)?; // attributes, of which there are none
            let timestamp = head.first_timestamp.checked_add(cursor.varint()?)?;
            let offset = head.base_offset.checked_add(cursor.varint()?)?;
            let key = cursor.optional()?.map(moved);
            let value = cursor.optional()?.map(moved);
            let mut headers = Vec::new();
            for _ in 0..u32::try_from(cursor.varint()?).ok()? {
                let (from, to) = cursor.optional()??;
                std::str::from_utf8(&cursor.bytes[from..to]).ok()?;
                headers.push((moved((from, to)), cursor.optional()?.map(moved)));
            }
            if cursor.at != end {
                return None;
            }
            if offset < self.expected || self.found.len() == MOST_RECORDS {
                return None;
            }
            self.expected = offset.checked_add(1)?;
            if offset >= self.from {
                self.found.push(Found {
                    payload,
                    offset,
                    timestamp: head.appended.unwrap_or(timestamp),
                    key,
                    value,
                    headers,
                });
            }
        }
        (cursor.at == cursor.bytes.len()).then_some(())
    }
}

struct BatchHead {
    base_offset: i64,
    first_timestamp: i64,
    /// When the broker took all of them, where that counts.
    appended: Option<i64>,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    /// An integer as protocol buffers write it.
    fn varint(&mut self) -> Option<i64> {
        let mut found = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            found |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some((found >> 1) as i64 ^ -((found & 1) as i64));
            }
        }
        None
    }

    /// A size and so many bytes, or a negative size.
    fn optional(&mut self) -> Option<Place> {
        let size = self.varint()?;
        let Ok(size) = usize::try_from(size) else {
            return (size == -1).then_some(None);
        };
        let from = self.at;
        self.skip(size)?;
        Some(Some((from, self.at)))
    }
}
