//! Topics of a batch, of both kinds: those that its records come from, and those that its events are
//! about.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::event::{TOPICS, Type};
use crate::json::Text;

/// The topics that records come from, in the order of their first record.
pub struct Sources<'a, 'py> {
    types: &'a HashMap<String, Type>,
    found: Vec<Bound<'py, PyAny>>,
    expected: Vec<Option<Type>>,
    times_us: Vec<Vec<i64>>,
    latest: usize,
}

impl<'a, 'py> Sources<'a, 'py> {
    pub fn new(types: &'a HashMap<String, Type>) -> Self {
        Self {
            types,
            found: Vec::new(),
            expected: Vec::new(),
            times_us: Vec::new(),
            latest: 0,
        }
    }

    /// Number of a topic, and what it carries.
    pub fn of(&mut self, topic: Bound<'py, PyAny>) -> PyResult<(usize, Option<Type>)> {
        // Records of one fetch share their topic's text, so it is hardly ever looked at.
        let latest = self.found.get(self.latest);
        if !latest.is_some_and(|known| known.is(&topic)) {
            self.latest = self.number_of(topic)?;
        }
        Ok((self.latest, self.expected[self.latest]))
    }

    /// Notes the instant of an event.
    pub fn note(&mut self, number: usize, at_us: i64) {
        self.times_us[number].push(at_us);
    }

    /// Of two in the middle it is the later one.
    pub fn into_medians(self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let medians = PyDict::new(py);
        for (topic, mut times_us) in self.found.into_iter().zip(self.times_us) {
            let middle = times_us.len() / 2;
            if !times_us.is_empty() {
                medians.set_item(topic, *times_us.select_nth_unstable(middle).1)?;
            }
        }
        Ok(medians)
    }

    fn number_of(&mut self, topic: Bound<'py, PyAny>) -> PyResult<usize> {
        for (number, known) in self.found.iter().enumerate() {
            if known.is(&topic) || known.eq(&topic)? {
                return Ok(number);
            }
        }
        let name = topic.cast::<PyString>()?.to_str()?;
        self.expected.push(self.types.get(name).copied());
        self.found.push(topic);
        self.times_us.push(Vec::new());
        Ok(self.found.len() - 1)
    }
}

/// Names of topics by hash, in the order in which events have them.
#[derive(Default)]
pub struct Names {
    texts: HashMap<u32, Box<[u8]>>,
    order: Vec<u32>,
}

impl Names {
    /// False: two names have one hash, and which of them stays is for Python to say.
    pub fn add(&mut self, hashes: &[u32; TOPICS], names: &[Text; TOPICS]) -> bool {
        for (&hash, name) in hashes.iter().zip(names) {
            if hash == 0 {
                break;
            }
            match self.texts.entry(hash) {
                Entry::Occupied(known) => {
                    if **known.get() != **name {
                        return false;
                    }
                }
                Entry::Vacant(place) => {
                    place.insert((*name).into());
                    self.order.push(hash);
                }
            }
        }
        true
    }

    pub fn into_dict<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for hash in self.order {
            dict.set_item(hash, PyString::from_bytes(py, &self.texts[&hash])?)?;
        }
        Ok(dict)
    }
}
