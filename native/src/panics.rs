//! A panic is a bug of ours. Python gets an error for it that it handles like its own bugs, so that the
//! worker finds the record that leads to it and goes on; PyO3's own exception would end the worker.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// What `work` returns; RuntimeError where it panics. What it has changed by then stays changed.
pub fn guarded<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("the compiled extension has a bug")))
}

/// Panics, so that a test can see what becomes of it.
#[pyfunction]
pub fn fail() -> PyResult<()> {
    guarded(|| panic!("as it was asked to"))
}
