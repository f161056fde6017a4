//! Records as they are stored: without the words that are zero. `features/packing.py` describes the
//! form and does the same in Python.

use std::ops::Range;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::ahead;
use crate::buffers::Buffer;
use crate::bulk_strings;
use crate::texts::Given;

const WORD: usize = 4;

/// Bytes of the head of a record of `count` words.
fn head_bytes(count: usize) -> usize {
    count.div_ceil(8 * WORD) * WORD
}

fn words_of(record_bytes: usize) -> PyResult<usize> {
    if record_bytes == 0 || !record_bytes.is_multiple_of(WORD) {
        return Err(PyValueError::new_err("a record is a number of whole words"));
    }
    Ok(record_bytes / WORD)
}

/// Writes the stored form of `record` to `out`, which has room for a head and all words; returns
/// how many bytes it has.
fn pack(record: &[u8], out: &mut [u8]) -> usize {
    let head = head_bytes(record.len() / WORD);
    out[..head].fill(0);
    let mut end = head;
    for (i, word) in record.chunks_exact(WORD).enumerate() {
        // Every word is written, and the next one over it if it was zero: no branch to guess.
        out[end..end + WORD].copy_from_slice(word);
        let filled = word != [0; WORD];
        out[i / 8] |= u8::from(filled) << (i % 8);
        end += WORD * usize::from(filled);
    }
    end
}

/// Writes the record of `state` to `out`, which is zero. False: it is no such state, and nothing
/// was written.
fn unpack(state: &[u8], out: &mut [u8]) -> bool {
    let count = out.len() / WORD;
    let Some((head, mut rest)) = state.split_at_checked(head_bytes(count)) else {
        return false;
    };
    let filled: u32 = head.iter().map(|byte| byte.count_ones()).sum();
    let beyond = (count..8 * head.len()).any(|i| head[i / 8] >> (i % 8) & 1 != 0);
    if beyond || rest.len() != filled as usize * WORD {
        return false;
    }
    for (words, &bits) in out.chunks_mut(8 * WORD).zip(head) {
        let mut left = bits;
        while left != 0 {
            let at = left.trailing_zeros() as usize * WORD;
            let (word, after) = rest.split_at(WORD);
            words[at..at + WORD].copy_from_slice(word);
            rest = after;
            left &= left - 1;
        }
    }
    true
}

/// Account ids and stored forms in turn, as bulk strings (`bulk_strings.rs`). To Python they are a
/// sequence of pairs.
#[pyclass(frozen, sequence)]
pub struct Packed {
    #[pyo3(get)]
    sent: Py<PyBytes>,
    /// Where each id lies, and its state.
    places: Vec<(Range<usize>, Range<usize>)>,
}

#[pymethods]
impl Packed {
    fn __len__(&self) -> usize {
        self.places.len()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        at: isize,
    ) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyBytes>)> {
        let from_end = if at < 0 { self.places.len() } else { 0 };
        let none = || PyIndexError::new_err("there is no such account");
        let at = from_end.checked_add_signed(at).ok_or_else(none)?;
        let (id, state) = self.places.get(at).ok_or_else(none)?.clone();
        let sent = self.sent.as_bytes(py);
        Ok((
            PyString::from_bytes(py, &sent[id])?,
            PyBytes::new(py, &sent[state]),
        ))
    }
}

/// The stored forms of the records `rows` (int64) of an array of records, with the ids of their
/// accounts, which are as many.
#[pyfunction]
pub fn pack_records(
    py: Python<'_>,
    records: Buffer,
    record_bytes: usize,
    rows: Buffer,
    accounts: Given,
) -> PyResult<Packed> {
    let accounts = accounts.bytes()?;
    let most = head_bytes(words_of(record_bytes)?) + record_bytes;
    let ids: usize = accounts.iter().map(|id| id.len()).sum();
    let framing = 2 * bulk_strings::MOST_FRAMING;
    let mut sent = Vec::with_capacity(ids + accounts.len() * (framing + most));
    let mut places = Vec::with_capacity(accounts.len());
    let mut packed = vec![0; most];
    // SAFETY: no Python code runs while they are used.
    let (records, rows) = unsafe { (records.bytes(), rows.values::<i64>(accounts.len())?) };
    for (i, (&row, id)) in rows.iter().zip(accounts).enumerate() {
        ahead::fetch(records, record_bytes, rows, i);
        let record = usize::try_from(row)
            .ok()
            .and_then(|row| records.chunks_exact(record_bytes).nth(row))
            .ok_or_else(|| PyIndexError::new_err(format!("there is no row {row}")))?;
        let size = pack(record, &mut packed);
        let first = bulk_strings::write(&mut sent, id);
        let second = bulk_strings::write(&mut sent, &packed[..size]);
        places.push((first..first + id.len(), second..second + size));
    }
    Ok(Packed {
        sent: PyBytes::new(py, &sent).unbind(),
        places,
    })
}

/// Fills `records`, which are zero, from `states`. False: one of them is none, and what is filled in
/// means nothing.
#[pyfunction]
pub fn unpack_records(
    states: Vec<Bound<'_, PyBytes>>,
    record_bytes: usize,
    records: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    words_of(record_bytes)?;
    let mut records = Buffer::writable(records)?;
    if records.len() != states.len() * record_bytes {
        return Err(PyValueError::new_err("not as many records as states"));
    }
    // SAFETY: bytes do not change, and no Python code runs before this function returns.
    let records = unsafe { records.bytes_mut()? };
    let mut pairs = states.iter().zip(records.chunks_exact_mut(record_bytes));
    Ok(pairs.all(|(state, record)| unpack(state.as_bytes(), record)))
}
