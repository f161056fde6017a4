//! A batch of records as a producer sends it; see `streams/kafka_batch.py`.
//!
//! Source: the record batch of Kafka's protocol, message format version 2.

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString, PyTuple};

/// Bytes before the records.
pub const HEAD: usize = 61;
/// Where the length of the rest stands, and where that rest begins.
pub const LENGTH: usize = 8;
pub const AFTER_LENGTH: usize = 12;
pub const MAGIC: usize = 16;
pub const CRC: usize = 17;
/// What the checksum covers begins here.
pub const ATTRIBUTES: usize = 21;
pub const LAST_OFFSET: usize = 23;
pub const FIRST_TIMESTAMP: usize = 27;
pub const MAX_TIMESTAMP: usize = 35;
const PRODUCER: usize = 43;
pub const COUNT: usize = 57;

/// An integer as protocol buffers write it: small ones of either sign in few bytes.
fn put_varint(value: i64, out: &mut Vec<u8>) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn put_optional(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    if value.is_none() {
        put_varint(-1, out);
    } else {
        put_bytes(value.cast::<PyBytes>()?.as_bytes(), out);
    }
    Ok(())
}

/// Writes what follows the length of a record.
fn put_body(
    message: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    offset: usize,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let py = message.py();
    out.push(0); // attributes
    out.push(0); // all have the timestamp of the first
    put_varint(offset as i64, out);
    put_optional(key, out)?;
    put_optional(&message.getattr(intern!(py, "value"))?, out)?;
    let headers = message.getattr(intern!(py, "headers"))?;
    let headers = headers.cast::<PyTuple>()?;
    put_varint(headers.len() as i64, out);
    for header in headers.iter_borrowed() {
        let header = header.cast::<PyTuple>()?;
        if header.len() != 2 {
            return Err(PyTypeError::new_err("a header is a name and a value"));
        }
        let name = header.get_borrowed_item(0)?;
        put_bytes(name.cast::<PyString>()?.to_str()?.as_bytes(), out);
        put_optional(&header.get_item(1)?, out)?;
    }
    Ok(())
}

/// Batches for one partition of a topic: those that are full, and the one that is being filled.
struct Queue {
    topic: usize,
    partition: u32,
    full: Vec<(Py<PyByteArray>, usize)>,
    batch: Vec<u8>,
    count: usize,
}

impl Queue {
    /// Ends the batch that is being filled. `seal_batch` completes it.
    fn end(&mut self, py: Python<'_>, timestamp_ms: i64) -> PyResult<()> {
        if self.count == 0 {
            return Ok(());
        }
        let too_many = |_| PyValueError::new_err("the batch is too large for Kafka");
        let out = &mut self.batch;
        let rest = i32::try_from(out.len() - AFTER_LENGTH).map_err(too_many)?;
        let number = i32::try_from(self.count).map_err(too_many)?;
        out[LENGTH..LENGTH + 4].copy_from_slice(&rest.to_be_bytes());
        out[AFTER_LENGTH..MAGIC].fill(0xFF); // no leader epoch
        out[MAGIC] = 2;
        out[LAST_OFFSET..LAST_OFFSET + 4].copy_from_slice(&(number - 1).to_be_bytes());
        for at in [FIRST_TIMESTAMP, MAX_TIMESTAMP] {
            out[at..at + 8].copy_from_slice(&timestamp_ms.to_be_bytes());
        }
        out[COUNT..COUNT + 4].copy_from_slice(&number.to_be_bytes());
        self.full
            .push((PyByteArray::new(py, out).unbind(), self.count));
        self.batch.truncate(HEAD);
        self.batch.fill(0);
        self.count = 0;
        Ok(())
    }
}

type Batches = Vec<(Py<PyByteArray>, usize)>;

/// (topic, partition, batches) of messages, each batch with its number of records: as many as fit
/// into `limit` bytes, but one at least. `counts` has the number of partitions of each topic, and
/// `anywhere` where its messages without a key go.
#[pyfunction]
pub fn record_batches<'py>(
    py: Python<'py>,
    messages: Vec<Bound<'py, PyAny>>,
    counts: &Bound<'py, PyDict>,
    anywhere: &Bound<'py, PyDict>,
    limit: usize,
    timestamp_ms: i64,
) -> PyResult<Vec<(Bound<'py, PyString>, u32, Batches)>> {
    let mut topics: Vec<(Bound<'py, PyString>, u32, u32)> = Vec::new();
    let mut queues: Vec<Queue> = Vec::new();
    let (mut body, mut length) = (Vec::new(), Vec::new());
    for message in &messages {
        let name = message.getattr(intern!(py, "topic"))?;
        let name = name.cast::<PyString>()?;
        let known = match topics.iter().position(|(known, _, _)| known.is(name)) {
            Some(known) => Some(known),
            None => {
                let text = name.to_str()?;
                topics
                    .iter()
                    .position(|(known, _, _)| known.to_str().is_ok_and(|k| k == text))
            }
        };
        let topic = match known {
            Some(topic) => topic,
            None => {
                let of = |of: &Bound<'py, PyDict>| match of.get_item(name)? {
                    Some(number) => number.extract(),
                    None => Err(PyKeyError::new_err(name.clone().unbind())),
                };
                topics.push((name.clone(), of(counts)?, of(anywhere)?));
                topics.len() - 1
            }
        };
        let (_, count, without_key) = topics[topic];
        let key = message.getattr(intern!(py, "key"))?;
        let partition = if key.is_none() {
            without_key
        } else {
            let hash = murmur2(key.cast::<PyBytes>()?.as_bytes()) & 0x7FFF_FFFF;
            let partition = hash.checked_rem(count);
            partition.ok_or_else(|| PyValueError::new_err("a topic without partitions"))?
        };
        let same = |queue: &Queue| queue.topic == topic && queue.partition == partition;
        let at = queues.iter().position(same).unwrap_or_else(|| {
            queues.push(Queue {
                topic,
                partition,
                full: Vec::new(),
                batch: vec![0; HEAD],
                count: 0,
            });
            queues.len() - 1
        });
        let queue = &mut queues[at];
        body.clear();
        put_body(message, &key, queue.count, &mut body)?;
        length.clear();
        put_varint(body.len() as i64, &mut length);
        if queue.count > 0 && queue.batch.len() + length.len() + body.len() > limit {
            queue.end(py, timestamp_ms)?;
            body.clear();
            put_body(message, &key, 0, &mut body)?;
            length.clear();
            put_varint(body.len() as i64, &mut length);
        }
        queue.batch.extend_from_slice(&length);
        queue.batch.extend_from_slice(&body);
        queue.count += 1;
    }
    let mut found = Vec::with_capacity(queues.len());
    for mut queue in queues {
        queue.end(py, timestamp_ms)?;
        found.push((topics[queue.topic].0.clone(), queue.partition, queue.full));
    }
    Ok(found)
}

/// The hash by which Kafka's own clients choose a partition: 32-bit MurmurHash2 by A. Appleby.
fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_B28C;
    const FACTOR: u32 = 0x5BD1_E995;
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ key.len() as u32, |hash, word| {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        hash.wrapping_mul(FACTOR) ^ (mixed ^ mixed >> 24).wrapping_mul(FACTOR)
    });
    if !rest.is_empty() {
        let last = rest
            .iter()
            .rev()
            .fold(0, |last, &byte| last << 8 | u32::from(byte));
        hash = (hash ^ last).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(FACTOR);
    hash ^ hash >> 15
}

/// Writes who sends a batch, and its checksum.
#[pyfunction]
pub fn seal_batch(
    batch: &Bound<'_, PyByteArray>,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
) -> PyResult<()> {
    // SAFETY: no Python code runs while the slice is used.
    let batch = unsafe { batch.as_bytes_mut() };
    if batch.len() < HEAD {
        return Err(PyValueError::new_err("this is no batch"));
    }
    batch[PRODUCER..PRODUCER + 8].copy_from_slice(&producer_id.to_be_bytes());
    batch[PRODUCER + 8..PRODUCER + 10].copy_from_slice(&producer_epoch.to_be_bytes());
    batch[PRODUCER + 10..COUNT].copy_from_slice(&base_sequence.to_be_bytes());
    let checksum = checksum(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// CRC-32C (Castagnoli). `by_table`: as on a processor that has no instruction for it.
#[pyfunction]
pub fn crc32c(data: &[u8], by_table: bool) -> u32 {
    if by_table {
        !with_table(data)
    } else {
        checksum(data)
    }
}

pub fn checksum(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instructions.
        return !unsafe { with_sse(bytes) };
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("crc") {
        // SAFETY: the processor has the instructions.
        return !unsafe { with_crc(bytes) };
    }
    !with_table(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn with_sse(bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let (words, rest) = bytes.as_chunks::<8>();
    let crc = words.iter().fold(u64::from(u32::MAX), |crc, word| {
        _mm_crc32_u64(crc, u64::from_le_bytes(*word))
    });
    rest.iter()
        .fold(crc as u32, |crc, byte| _mm_crc32_u8(crc, *byte))
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "crc")]
fn with_crc(bytes: &[u8]) -> u32 {
    use std::arch::aarch64::{__crc32cb, __crc32cd};
    let (words, rest) = bytes.as_chunks::<8>();
    let crc = words.iter().fold(u32::MAX, |crc, word| {
        __crc32cd(crc, u64::from_le_bytes(*word))
    });
    rest.iter().fold(crc, |crc, byte| __crc32cb(crc, *byte))
}

/// The polynomial with its bits in reverse order.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                (crc >> 1) ^ POLYNOMIAL
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn with_table(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}
