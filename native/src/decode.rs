//! Records to the columns of `EventBatch` in one pass: `stream_app/events/reading.py` calls it.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::buffers::bytes_of;
use crate::event::{self, EmailKind, Event, Page, Stage, TOPICS, Type};
use crate::hashes::{NO_CONTACT, bucket, hash32};
use crate::json::Text;
use crate::panics::guarded;
use crate::pseudonyms::Pseudonyms;
use crate::texts::Texts;
use crate::topics::{Names, Sources};

const MOST_DWELL_MINUTES: f64 = 60.0;

/// Reads ordinary records; see `stream_app_native.pyi`.
#[pyclass(frozen)]
pub struct EventDecoder {
    types: HashMap<String, Type>,
    pseudonyms: Pseudonyms,
    most_bytes: usize,
    earliest_us: i64,
}

#[pymethods]
impl EventDecoder {
    #[new]
    fn new(
        types: HashMap<String, String>,
        key: &[u8],
        most_bytes: usize,
        earliest_us: i64,
    ) -> PyResult<Self> {
        let types = types.into_iter().map(|(topic, name)| {
            let type_ = event::type_of(name.as_bytes())
                .ok_or_else(|| PyValueError::new_err(format!("no type of an event: {name}")))?;
            Ok((topic, type_))
        });
        Ok(Self {
            types: types.collect::<PyResult<_>>()?,
            pseudonyms: Pseudonyms::new(key),
            most_bytes,
            earliest_us,
        })
    }

    /// See `stream_app_native.pyi`.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        values: &Bound<'py, PyList>,
        topics: &Bound<'py, PyList>,
        latest_us: i64,
    ) -> PyResult<Option<Decoded<'py>>> {
        guarded(|| self.read(py, values, topics, latest_us))
    }
}

/// Columns as bytes, in the order of `Columns`; accounts; names of topics by hash; the median of the
/// instants by the topic that the records come from; positions of those that are not ordinary.
type Decoded<'py> = (
    [Bound<'py, PyBytes>; 9],
    Bound<'py, Texts>,
    Bound<'py, PyDict>,
    Bound<'py, PyDict>,
    Bound<'py, PyList>,
);

impl EventDecoder {
    fn read<'py>(
        &self,
        py: Python<'py>,
        values: &Bound<'py, PyList>,
        topics: &Bound<'py, PyList>,
        latest_us: i64,
    ) -> PyResult<Option<Decoded<'py>>> {
        if values.len() != topics.len() {
            return Err(PyValueError::new_err("values and topics differ in number"));
        }
        let mut columns = Columns::with_capacity(values.len());
        let mut sources = Sources::new(&self.types);
        let mut names = Names::default();
        let mut accounts = Texts::with_capacity(values.len());
        let mut others = Vec::new();
        let mut room = Vec::new();
        for (i, (value, topic)) in values.iter().zip(topics).enumerate() {
            let (source, expected) = sources.of(topic)?;
            let found = value.cast_exact::<PyBytes>().ok();
            let Some(ordinary) = found
                .and_then(|value| self.ordinary(value.as_bytes(), expected, latest_us, &mut room))
            else {
                others.push(i as i64);
                continue;
            };
            accounts.push(ordinary.account);
            columns.push(i as i64, &ordinary);
            sources.note(source, ordinary.at_us);
            if !names.add(&ordinary.topics, &ordinary.topic_names) {
                return Ok(None);
            }
        }
        Ok(Some((
            columns.packed(py),
            accounts.into_pyobject(py)?,
            names.into_dict(py)?,
            sources.into_medians(py)?,
            PyList::new(py, others)?,
        )))
    }

    /// What an ordinary record comes to, on a topic that carries `expected`; None: any type.
    fn ordinary<'a>(
        &self,
        value: &'a [u8],
        expected: Option<Type>,
        latest_us: i64,
        room: &'a mut Vec<u8>,
    ) -> Option<Ordinary<'a>> {
        if value.len() > self.most_bytes {
            return None;
        }
        if room.len() < value.len() {
            room.resize(value.len(), 0);
        }
        let event = event::read(value, room)?;
        let type_ = event.type_.or(expected)?;
        if expected.is_some_and(|expected| expected != type_)
            || !(self.earliest_us..=latest_us).contains(&event.occurred_us)
        {
            return None;
        }
        let kind = kind_of(type_, &event)?;
        let visit = type_ == Type::Visit;
        let mut ordinary = Ordinary {
            at_us: event.occurred_us,
            id_hash: hash32(event.id),
            kind,
            dwell_minutes: 0.0,
            session_hash: 0,
            contact: NO_CONTACT,
            prompted: visit && event.has_campaign,
            topics: [0; TOPICS],
            topic_names: Default::default(),
            account: event.account,
        };
        if visit {
            ordinary.dwell_minutes = (event.dwell_seconds / 60.0).min(MOST_DWELL_MINUTES);
            if !event.session.is_empty() {
                ordinary.session_hash = hash32(event.session);
            }
        }
        if kind != PASSIVE {
            if !event.contact.is_empty() {
                ordinary.contact = bucket(self.pseudonyms.hash(event.contact)?);
            }
            ordinary.take_topics(event.topics);
        }
        Some(ordinary)
    }
}

/// An event as a row of the columns.
struct Ordinary<'a> {
    at_us: i64,
    id_hash: u32,
    kind: u8,
    dwell_minutes: f64,
    session_hash: u32,
    contact: u8,
    prompted: bool,
    topics: [u32; TOPICS],
    topic_names: [Text<'a>; TOPICS],
    account: Text<'a>,
}

impl<'a> Ordinary<'a> {
    /// Each topic once, in order.
    fn take_topics(&mut self, given: [Text<'a>; TOPICS]) {
        let mut count = 0;
        for topic in given {
            if topic.is_empty() {
                break;
            }
            if !self.topic_names[..count].contains(&topic) {
                self.topics[count] = hash32(topic);
                self.topic_names[count] = topic;
                count += 1;
            }
        }
    }
}

const PASSIVE: u8 = 0;

/// `Kind` of `stream_app/events/batch.py`. None: a field is missing.
fn kind_of(type_: Type, event: &Event) -> Option<u8> {
    Some(match type_ {
        Type::Visit => match event.page {
            Page::Other => 1,
            Page::Product => 2,
            Page::Pricing => 3,
        },
        Type::Download => match event.stage? {
            Stage::Awareness => 4,
            Stage::Consideration => 5,
            Stage::Decision => 6,
        },
        Type::Email => match event.kind? {
            EmailKind::Opened if event.machine_open => PASSIVE,
            EmailKind::Opened => 7,
            EmailKind::Clicked => 8,
            EmailKind::Replied => 9,
            EmailKind::Unsubscribed => 10,
            EmailKind::Passive => PASSIVE,
        },
    })
}

/// The ordinary events, one column a field.
struct Columns {
    index: Vec<i64>,
    at_us: Vec<i64>,
    id_hash: Vec<u32>,
    kind: Vec<u8>,
    dwell_minutes: Vec<f64>,
    session_hash: Vec<u32>,
    contact: Vec<u8>,
    prompted: Vec<u8>,
    topics: Vec<[u32; TOPICS]>,
}

impl Columns {
    fn with_capacity(count: usize) -> Self {
        Self {
            index: Vec::with_capacity(count),
            at_us: Vec::with_capacity(count),
            id_hash: Vec::with_capacity(count),
            kind: Vec::with_capacity(count),
            dwell_minutes: Vec::with_capacity(count),
            session_hash: Vec::with_capacity(count),
            contact: Vec::with_capacity(count),
            prompted: Vec::with_capacity(count),
            topics: Vec::with_capacity(count),
        }
    }

    fn push(&mut self, index: i64, row: &Ordinary) {
        self.index.push(index);
        self.at_us.push(row.at_us);
        self.id_hash.push(row.id_hash);
        self.kind.push(row.kind);
        self.dwell_minutes.push(row.dwell_minutes);
        self.session_hash.push(row.session_hash);
        self.contact.push(row.contact);
        self.prompted.push(row.prompted.into());
        self.topics.push(row.topics);
    }

    fn packed<'py>(&self, py: Python<'py>) -> [Bound<'py, PyBytes>; 9] {
        [
            PyBytes::new(py, bytes_of(&self.index)),
            PyBytes::new(py, bytes_of(&self.at_us)),
            PyBytes::new(py, bytes_of(&self.id_hash)),
            PyBytes::new(py, bytes_of(&self.kind)),
            PyBytes::new(py, bytes_of(&self.dwell_minutes)),
            PyBytes::new(py, bytes_of(&self.session_hash)),
            PyBytes::new(py, bytes_of(&self.contact)),
            PyBytes::new(py, bytes_of(&self.prompted)),
            PyBytes::new(py, bytes_of(self.topics.as_flattened())),
        ]
    }
}
