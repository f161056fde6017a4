//! Many short texts in one piece of memory. To Python they are a sequence, whose items are only made
//! when somebody asks for them; to our own code they are bytes.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Texts that never change.
#[pyclass(frozen, sequence)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each ends and the next one begins.
    ends: Vec<usize>,
}

impl Texts {
    pub fn with_capacity(count: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(count * 16),
            ends: Vec::with_capacity(count),
        }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Appends a text, which is UTF-8.
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(&start, &end)| &self.bytes[start..end])
    }
}

#[pymethods]
impl Texts {
    fn __len__(&self) -> usize {
        self.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, at: isize) -> PyResult<Bound<'py, PyString>> {
        let from_end = if at < 0 { self.len() } else { 0 };
        let none = || PyIndexError::new_err("there is no such text");
        let at = from_end.checked_add_signed(at).ok_or_else(none)?;
        let end = *self.ends.get(at).ok_or_else(none)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        PyString::from_bytes(py, &self.bytes[start..end])
    }
}

/// What Python may give for texts.
#[derive(FromPyObject)]
pub enum Given<'py> {
    Packed(Bound<'py, Texts>),
    Listed(Vec<Bound<'py, PyString>>),
}

impl Given<'_> {
    /// All of them as UTF-8. UnicodeEncodeError: one is not Unicode.
    pub fn bytes(&self) -> PyResult<Vec<&[u8]>> {
        match self {
            Self::Packed(texts) => Ok(texts.get().iter().collect()),
            Self::Listed(texts) => texts
                .iter()
                .map(|text| Ok(text.to_str()?.as_bytes()))
                .collect(),
        }
    }
}
