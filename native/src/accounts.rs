//! Where accounts stand, as JSON: what msgspec makes of the payloads of
//! `stream_app/changes/accounts.py`, without the payloads.

use std::collections::HashMap;
use std::io::Write;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::buffers::Buffer;
use crate::instants;
use crate::json_write::{put_decimal, put_integer, put_text};
use crate::numbers::{Number, fields};

const HALF_LIVES: usize = 3;
/// Columns of the fading factors: half-lives of 1 and of 28 days.
const FAST: usize = 0;
const SLOW: usize = 2;
/// Powers of ten that a double holds exactly go up to this one.
const EXACT: usize = 22;

fields!(Account {
    topics,
    sequence,
    segment,
    since_us,
    model,
});

fields!(Slot { topic, fast, slow });

/// A topic that an account follows. Interest is counted in units of the last decimal.
struct Interest<'a> {
    recent: f64,
    usual: f64,
    topic: &'a str,
}

/// What all accounts have in common.
#[pyclass(frozen, module = "stream_app_native")]
pub struct AccountWriter {
    account: Account,
    record_size: usize,
    slot: Slot,
    slot_size: usize,
    slots: usize,
    /// Of the features, as JSON.
    names: Vec<String>,
    bands: Vec<String>,
    score_decimals: usize,
    interest_decimals: usize,
    feature_digits: i64,
    /// Powers of ten from `least` on.
    tens: Vec<f64>,
    least: i64,
}

type Told<'py> = (
    Bound<'py, PyString>,
    u32,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
);

/// The columns of some accounts.
struct Columns<'a> {
    fading: &'a [f64],
    features: &'a [f64],
    scores: &'a [f64],
    bands: &'a [u8],
    at_us: &'a [i64],
}

#[pymethods]
impl AccountWriter {
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        account: HashMap<String, usize>,
        record_size: usize,
        slot: HashMap<String, usize>,
        slot_size: usize,
        slots: usize,
        names: Vec<String>,
        bands: Vec<String>,
        score_decimals: usize,
        interest_decimals: usize,
        feature_digits: i64,
        tens: Vec<f64>,
        least: i64,
    ) -> PyResult<Self> {
        let exact = usize::try_from(-least)
            .ok()
            .and_then(|one| tens.get(one..=one + EXACT));
        if exact.is_none_or(|tens| tens[0] != 1.0) || score_decimals.max(interest_decimals) > EXACT
        {
            return Err(PyValueError::new_err("the tables do not fit together"));
        }
        Ok(Self {
            account: Account::new(&account)?,
            record_size,
            slot: Slot::new(&slot)?,
            slot_size,
            slots,
            names,
            bands,
            score_decimals,
            interest_decimals,
            feature_digits,
            tens,
            least,
        })
    }

    /// (id, sequence, as_of, JSON) of each account; None for one that is not ordinary.
    #[allow(clippy::too_many_arguments)]
    fn write<'py>(
        &self,
        py: Python<'py>,
        ids: Vec<Bound<'py, PyString>>,
        records: Buffer,
        current: Buffer,
        fading: Buffer,
        features: Buffer,
        scores: Buffer,
        bands: Buffer,
        at_us: Buffer,
        refs: &Bound<'py, PyDict>,
        topic_names: &Bound<'py, PyDict>,
        other_topic: &str,
    ) -> PyResult<Vec<Option<Told<'py>>>> {
        let n = ids.len();
        if [&records, &current]
            .iter()
            .any(|all| all.len() != n * self.record_size)
        {
            return Err(PyValueError::new_err("not as many records as ids"));
        }
        // Looking something up in a dict with keys of plain types runs no code of others, but who
        // knows of the keys: so all is copied that is looked at after that.
        let topics = self.topics(&records, topic_names)?;
        let refs = self.refs(&current, refs)?;
        let (mut out, mut as_of) = (Vec::new(), Vec::new());
        let mut told = Vec::with_capacity(n);
        for (i, id) in ids.into_iter().enumerate() {
            out.clear();
            as_of.clear();
            // SAFETY: nobody writes to them, and no Python code runs while they are used.
            let (records, current, columns) = unsafe {
                (
                    records.bytes(),
                    current.bytes(),
                    Columns {
                        fading: fading.values(n * HALF_LIVES)?,
                        features: features.values(n * self.names.len())?,
                        scores: scores.values(n * 2)?,
                        bands: bands.values(n * 2)?,
                        at_us: at_us.values(n)?,
                    },
                )
            };
            let part = i * self.record_size..(i + 1) * self.record_size;
            let (record, current) = (&records[part.clone()], &current[part]);
            let segment = i32::get(current, self.account.segment);
            let ordinary = refs.get(&segment).is_some_and(|segment| {
                let interests = self.interests(record, &columns.fading[i * HALF_LIVES..], |code| {
                    topics.get(&code).map_or(other_topic, String::as_str)
                });
                self.account(
                    id.to_str().ok(),
                    current,
                    segment,
                    &interests,
                    &columns,
                    i,
                    &mut as_of,
                    &mut out,
                )
                .is_some()
            });
            let sequence = u32::get(current, self.account.sequence);
            told.push(if ordinary {
                Some((
                    id,
                    sequence,
                    PyBytes::new(py, &as_of),
                    PyBytes::new(py, &out),
                ))
            } else {
                None
            });
        }
        Ok(told)
    }
}

impl AccountWriter {
    /// The slots of a record, as (topic, fast, slow); those that are not free.
    fn followed(&self, record: &[u8]) -> impl Iterator<Item = (u32, f32, f32)> {
        let slots = &record[self.account.topics..][..self.slots * self.slot_size];
        slots.chunks_exact(self.slot_size).filter_map(|slot| {
            let code = u32::get(slot, self.slot.topic);
            let interest = || {
                (
                    f32::get(slot, self.slot.fast),
                    f32::get(slot, self.slot.slow),
                )
            };
            (code != 0)
                .then(interest)
                .map(|(fast, slow)| (code, fast, slow))
        })
    }

    /// Names of all topics in these records that have one.
    fn topics(
        &self,
        records: &Buffer,
        names: &Bound<'_, PyDict>,
    ) -> PyResult<HashMap<u32, String>> {
        // SAFETY: nobody writes to it, and no Python code runs while it is used.
        let mut codes: Vec<u32> = unsafe { records.bytes() }
            .chunks_exact(self.record_size)
            .flat_map(|record| self.followed(record).map(|(code, _, _)| code))
            .collect();
        codes.sort_unstable();
        codes.dedup();
        let mut found = HashMap::with_capacity(codes.len());
        for code in codes {
            if let Some(name) = names.get_item(code)? {
                found.insert(code, name.extract()?);
            }
        }
        Ok(found)
    }

    /// JSON of all segments in these records that have one.
    fn refs(&self, current: &Buffer, refs: &Bound<'_, PyDict>) -> PyResult<HashMap<i32, Vec<u8>>> {
        // SAFETY: nobody writes to it, and no Python code runs while it is used.
        let mut segments: Vec<i32> = unsafe { current.bytes() }
            .chunks_exact(self.record_size)
            .map(|record| i32::get(record, self.account.segment))
            .collect();
        segments.sort_unstable();
        segments.dedup();
        let mut found = HashMap::with_capacity(segments.len());
        for segment in segments {
            if let Some(reference) = refs.get_item(segment)? {
                found.insert(segment, reference.extract()?);
            }
        }
        Ok(found)
    }

    /// By recent, then usual interest, then name.
    fn interests<'a>(
        &self,
        record: &[u8],
        fading: &[f64],
        name: impl Fn(u32) -> &'a str,
    ) -> Vec<Interest<'a>> {
        let one = self.ten(self.interest_decimals);
        let mut found: Vec<_> = self
            .followed(record)
            .map(|(code, fast, slow)| Interest {
                recent: (f64::from(fast) * fading[FAST] * one).round_ties_even(),
                usual: (f64::from(slow) * fading[SLOW] * one).round_ties_even(),
                topic: name(code),
            })
            .collect();
        found.sort_by(|a, b| {
            let recent = b.recent.total_cmp(&a.recent);
            let usual = recent.then(b.usual.total_cmp(&a.usual));
            usual.then(a.topic.cmp(b.topic))
        });
        found
    }

    #[allow(clippy::too_many_arguments)]
    fn account(
        &self,
        id: Option<&str>,
        current: &[u8],
        segment: &[u8],
        interests: &[Interest<'_>],
        columns: &Columns<'_>,
        i: usize,
        as_of: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        out.extend_from_slice(b"{\"account_id\":");
        put_text(id?, out);
        out.extend_from_slice(b",\"sequence\":");
        put_integer(u64::from(u32::get(current, self.account.sequence)), out);
        out.extend_from_slice(b",\"segment\":");
        out.extend_from_slice(segment);
        out.extend_from_slice(b",\"since\":\"");
        instants::put(i64::get(current, self.account.since_us), out)?;
        out.extend_from_slice(b"\",\"scores\":{");
        for (j, name) in [(0, "engagement"), (1, "intent")] {
            let band = self.bands.get(usize::from(columns.bands[2 * i + j]))?;
            let comma = if j == 0 { "" } else { "," };
            write!(out, "{comma}\"{name}\":").ok()?;
            let one = self.ten(self.score_decimals);
            let score = (columns.scores[2 * i + j] * one).round_ties_even();
            put_decimal(score, self.score_decimals, out)?;
            write!(out, ",\"{name}_band\":\"{band}\"").ok()?;
        }
        out.extend_from_slice(b"},\"interests\":[");
        for (j, interest) in interests.iter().enumerate() {
            out.extend_from_slice(if j == 0 { b"{" } else { b",{" });
            out.extend_from_slice(b"\"topic\":");
            put_text(interest.topic, out);
            out.extend_from_slice(b",\"recent\":");
            put_decimal(interest.recent, self.interest_decimals, out)?;
            out.extend_from_slice(b",\"usual\":");
            put_decimal(interest.usual, self.interest_decimals, out)?;
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"features\":{");
        let count = self.names.len();
        let features = &columns.features[i * count..(i + 1) * count];
        for (j, (name, &feature)) in self.names.iter().zip(features).enumerate() {
            out.extend_from_slice(if j == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            self.put_feature(feature, out)?;
        }
        out.extend_from_slice(b"},\"model_version\":");
        put_integer(u64::from(u32::get(current, self.account.model)), out);
        out.extend_from_slice(b",\"as_of\":\"");
        instants::put(columns.at_us[i], as_of)?;
        out.extend_from_slice(as_of);
        out.extend_from_slice(b"\"}");
        Some(())
    }

    fn ten(&self, exponent: usize) -> f64 {
        self.tens[exponent + self.least.unsigned_abs() as usize]
    }

    /// To some significant digits; as `rounded` in Python does it.
    fn put_feature(&self, value: f64, out: &mut Vec<u8>) -> Option<()> {
        if value == 0.0 {
            out.extend_from_slice(b"0.0");
            return Some(());
        }
        if !(value > 0.0 && value.is_finite()) {
            return None;
        }
        let decimals = (self.feature_digits - 1 - self.exponent(value)).clamp(0, -self.least);
        let decimals = decimals as usize;
        let scaled = (value * self.ten(decimals)).round_ties_even();
        if decimals <= EXACT {
            return put_decimal(scaled, decimals, out);
        }
        match scaled / self.ten(decimals) {
            0.0 => out.extend_from_slice(b"0.0"),
            tiny => write!(out, "{tiny:e}").ok()?,
        }
        Some(())
    }

    /// The exponent of the greatest power of ten in `tens` that is not above `value`, which is more
    /// than 0; one less than `least` where there is none.
    fn exponent(&self, value: f64) -> i64 {
        // 315653 / 2^20 is a little more than log10(2): one too high or too low, at most.
        let binary = (value.to_bits() >> 52) as i64 - 1023;
        let estimate = ((binary * 315_653) >> 20).max(self.least - 1);
        let reaches = |exponent: i64| {
            let ten = usize::try_from(exponent - self.least).map(|at| self.tens.get(at));
            ten.is_ok_and(|ten| ten.is_some_and(|&ten| ten <= value))
        };
        if reaches(estimate + 1) {
            estimate + 1
        } else {
            estimate - i64::from(estimate >= self.least && !reaches(estimate))
        }
    }
}
