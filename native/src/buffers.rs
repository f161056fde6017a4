//! Memory of Python objects (bytes, bytearray, numpy arrays of any type) as slices.

use std::slice;

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

/// The memory of one object, kept alive and unmoved while this value lives.
///
/// It is asked for as plain contiguous bytes: numpy then need not describe its element type, which
/// for a structured array costs more than a small batch. So nobody checks what the elements are; give
/// the length that the caller's side promises, which catches most mistakes.
pub struct Buffer {
    view: Box<ffi::Py_buffer>,
    to_be_written: bool,
}

impl Buffer {
    /// For reading. BufferError: no buffer, or not C-contiguous.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::get(object, false)
    }

    /// For writing. BufferError: also where the object is read-only.
    pub fn writable(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::get(object, true)
    }

    fn get(object: &Bound<'_, PyAny>, to_be_written: bool) -> PyResult<Self> {
        let flags = if to_be_written {
            ffi::PyBUF_WRITABLE
        } else {
            ffi::PyBUF_SIMPLE
        };
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `object` is alive, and `view` is ours and stays where it is until it is released.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) } != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Self {
            view,
            to_be_written,
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.view.len as usize
    }

    /// All of it as bytes.
    ///
    /// # Safety
    /// While the slice is used no Python code runs and nothing writes to this memory.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: any byte is a valid u8, and the rest is the caller's promise.
        unsafe { slice::from_raw_parts(self.start(), self.len()) }
    }

    /// All of it as `count` values. ValueError: it has another length, or is not aligned.
    ///
    /// # Safety
    /// As of `bytes`.
    pub unsafe fn values<T: Value>(&self, count: usize) -> PyResult<&[T]> {
        let start = self.start_of::<T>(count)?;
        // SAFETY: length and alignment fit, any bits are a valid T, and the caller's promise.
        Ok(unsafe { slice::from_raw_parts(start, count) })
    }

    /// All of it as bytes to be written. BufferError: it was not got with `writable`.
    ///
    /// # Safety
    /// While the slice is used no Python code runs, and no other slice of this memory lives:
    /// `distinct` checks that of several buffers.
    pub unsafe fn bytes_mut(&mut self) -> PyResult<&mut [u8]> {
        self.check_writable()?;
        // SAFETY: as in `bytes`, and nobody else has it.
        Ok(unsafe { slice::from_raw_parts_mut(self.start(), self.len()) })
    }

    /// All of it as `count` values to be written. Errors: those of `values` and `bytes_mut`.
    ///
    /// # Safety
    /// As of `bytes_mut`.
    pub unsafe fn values_mut<T: Value>(&mut self, count: usize) -> PyResult<&mut [T]> {
        self.check_writable()?;
        let start = self.start_of::<T>(count)?;
        // SAFETY: as in `values`, and nobody else has it.
        Ok(unsafe { slice::from_raw_parts_mut(start, count) })
    }

    fn check_writable(&self) -> PyResult<()> {
        if !self.to_be_written {
            return Err(PyBufferError::new_err("the buffer is to be read only"));
        }
        Ok(())
    }

    fn start(&self) -> *mut u8 {
        if self.view.len == 0 {
            // An empty buffer may have no memory at all, but a slice must have an address.
            return std::ptr::NonNull::dangling().as_ptr();
        }
        self.view.buf.cast()
    }

    fn start_of<T: Value>(&self, count: usize) -> PyResult<*mut T> {
        if count.checked_mul(size_of::<T>()) != Some(self.len()) {
            return Err(PyValueError::new_err(format!(
                "the buffer has {} bytes, not {count} values of {} bytes",
                self.len(),
                size_of::<T>()
            )));
        }
        if count == 0 {
            return Ok(std::ptr::NonNull::dangling().as_ptr());
        }
        let start: *mut T = self.view.buf.cast();
        if !start.is_aligned() {
            return Err(PyValueError::new_err("the buffer is not aligned"));
        }
        Ok(start)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it was filled by PyObject_GetBuffer and is released once, with the GIL held.
        Python::attach(|_| unsafe { ffi::PyBuffer_Release(&raw mut *self.view) });
    }
}

/// Makes a function argument of it, to be read; take `&Bound<PyAny>` for one to be written.
impl FromPyObject<'_, '_> for Buffer {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Self::of(&object)
    }
}

/// ValueError if a buffer that is to be written shares memory with another one. Those that are only
/// read may: CPython has one object for all bytes of a length of one with the same value.
pub fn distinct(buffers: &[&Buffer]) -> PyResult<()> {
    for (i, a) in buffers.iter().enumerate() {
        let (a_start, a_end) = (a.view.buf as usize, a.view.buf as usize + a.len());
        for b in &buffers[..i] {
            let (b_start, b_end) = (b.view.buf as usize, b.view.buf as usize + b.len());
            let written = a.to_be_written || b.to_be_written;
            if written && a_start < b_end && b_start < a_end {
                return Err(PyValueError::new_err("two buffers share memory"));
            }
        }
    }
    Ok(())
}

/// The bytes of numbers, in the order of this machine, which is numpy's.
pub fn bytes_of<T: Value>(values: &[T]) -> &[u8] {
    // SAFETY: a Value has no padding, so all of its bytes are there to be read.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// A number whose every bit pattern is a valid value.
///
/// # Safety
/// That, and it has no padding.
pub unsafe trait Value: Copy {}

macro_rules! values {
    ($($type:ty),*) => {
        // SAFETY: every bit pattern is a number (or a NaN).
        $(unsafe impl Value for $type {})*
    };
}

values!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);
