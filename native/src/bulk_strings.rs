//! Many values as Redis reads arguments, one bulk string after the other; see
//! `streams/redis_arguments.py`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

/// Bytes that a value takes besides its own, at most.
pub const MOST_FRAMING: usize = 25;

const END: &[u8] = b"\r\n";

/// The bytes of one value. TypeError: it is neither text nor bytes.
fn bytes_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes());
    }
    match value.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.as_bytes()),
        Err(_) => Err(PyTypeError::new_err("neither str nor bytes")),
    }
}

/// Calls `with` for each value, those within a tuple one after the other.
fn each(values: &[Bound<'_, PyAny>], mut with: impl FnMut(&[u8])) -> PyResult<()> {
    for value in values {
        if let Ok(parts) = value.cast::<PyTuple>() {
            for part in parts.iter_borrowed() {
                with(bytes_of(&part)?);
            }
        } else {
            with(bytes_of(value)?);
        }
    }
    Ok(())
}

/// What precedes a value of so many bytes.
fn head(size: usize, with: impl FnOnce(&[u8])) {
    let mut out = [0; MOST_FRAMING];
    let mut first = out.len() - END.len();
    out[first..].copy_from_slice(END);
    let mut left = size;
    loop {
        first -= 1;
        out[first] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    first -= 1;
    out[first] = b'$';
    with(&out[first..]);
}

/// Appends one bulk string. Returns where its value begins.
pub fn write(out: &mut Vec<u8>, value: &[u8]) -> usize {
    head(value.len(), |head| out.extend_from_slice(head));
    let start = out.len();
    out.extend_from_slice(value);
    out.extend_from_slice(END);
    start
}

/// How many there are, and the bulk strings of str and bytes and of tuples of them.
#[pyfunction]
pub fn bulk_strings<'py>(
    py: Python<'py>,
    values: Vec<Bound<'py, PyAny>>,
) -> PyResult<(usize, Bound<'py, PyBytes>)> {
    let (mut count, mut size) = (0, 0);
    each(&values, |value| {
        count += 1;
        head(value.len(), |head| size += head.len());
        size += value.len() + END.len();
    })?;
    let sent = PyBytes::new_with(py, size, |mut out| {
        let mut copy = |part: &[u8]| {
            let (here, rest) = std::mem::take(&mut out).split_at_mut(part.len());
            here.copy_from_slice(part);
            out = rest;
        };
        each(&values, |value| {
            head(value.len(), &mut copy);
            copy(value);
            copy(END);
        })
    })?;
    Ok((count, sent))
}
