//! Features of accounts as of an instant: `values_at` of `stream_app/features/values.py`, but for what
//! takes powers and logarithms, which is given or left to Python.

use std::collections::HashMap;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;

use crate::buffers::{Buffer, distinct};
use crate::numbers::{Number, fields};
use crate::panics::guarded;

const DAY: i64 = 24 * 3_600_000_000;
const PERIOD_DAYS: i64 = 28;
const PERIOD: i64 = PERIOD_DAYS * DAY;
const CONTACT_BUCKETS: usize = 64;
const HALF_LIVES: usize = 3;
/// Below this nothing happened: what is divided by it would say nothing.
const NOTHING: f64 = 1e-9;

fields!(Account {
    latest_us,
    engaged_us,
    values,
    contacts,
});

/// Columns of features, by what they are needed for.
struct Columns {
    contacts: Vec<(usize, i64)>,
    silence: usize,
    week: usize,
    month: usize,
    momentum: usize,
    email: Vec<usize>,
    others: Vec<usize>,
    email_share: usize,
}

/// The catalogue, prepared.
#[pyclass(frozen, module = "stream_app_native")]
pub struct Features {
    account: Account,
    record_size: usize,
    /// Column of the fading factors, by rolling feature.
    half_life_of: Vec<usize>,
    /// Of all features, rolling and derived.
    count: usize,
    columns: Columns,
    /// The addends of each dimension of the model vector.
    dimensions: Vec<Vec<usize>>,
    /// Distinct contacts by number of free buckets.
    linear_count: Vec<f64>,
    max_silence_days: f64,
}

#[pymethods]
impl Features {
    /// `columns` has `silence`, `week`, `month`, `momentum` and `email_share`; `contacts` are
    /// (column, days); `email` and `others` are what is added up, in that order, for the share.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        account: HashMap<String, usize>,
        record_size: usize,
        half_life_of: Vec<usize>,
        count: usize,
        columns: HashMap<String, usize>,
        contacts: Vec<(usize, i64)>,
        email: Vec<usize>,
        others: Vec<usize>,
        dimensions: Vec<Vec<usize>>,
        linear_count: Vec<f64>,
        max_silence_days: f64,
    ) -> PyResult<Self> {
        let column = |name: &str| {
            let missing = || PyValueError::new_err(format!("no column {name}"));
            columns.get(name).copied().ok_or_else(missing)
        };
        let columns = Columns {
            contacts,
            silence: column("silence")?,
            week: column("week")?,
            month: column("month")?,
            momentum: column("momentum")?,
            email,
            others,
            email_share: column("email_share")?,
        };
        let all = [
            columns.silence,
            columns.week,
            columns.month,
            columns.momentum,
            columns.email_share,
        ];
        let mut used = all.iter().chain(&columns.email).chain(&columns.others);
        let mut addends = dimensions.iter().flatten();
        if used.any(|&j| j >= count)
            || addends.any(|&j| j >= count)
            || columns.contacts.iter().any(|&(j, _)| j >= count)
            || dimensions.iter().any(Vec::is_empty)
            || columns.email.is_empty()
            || half_life_of.len() > count
            || half_life_of.iter().any(|&column| column >= HALF_LIVES)
            || linear_count.len() != CONTACT_BUCKETS + 1
        {
            return Err(PyValueError::new_err("the tables do not fit together"));
        }
        Ok(Self {
            account: Account::new(&account)?,
            record_size,
            half_life_of,
            count,
            columns,
            dimensions,
            linear_count,
            max_silence_days,
        })
    }

    /// Microseconds from the start of the period that the sums of a record refer to until an
    /// instant, as a float.
    fn ages(&self, records: Buffer, at_us: Buffer, out: &Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| {
            let mut out = Buffer::writable(out)?;
            // The instants may be a field of the records.
            distinct(&[&records, &out])?;
            distinct(&[&at_us, &out])?;
            let n = self.records_in(&records)?;
            // SAFETY: nothing that is read shares memory with what is written, and no Python code runs while they are used.
            let (records, at_us, out) = unsafe {
                (
                    records.bytes(),
                    at_us.values::<i64>(n)?,
                    out.values_mut::<f64>(n)?,
                )
            };
            for ((record, at_us), age) in records.chunks_exact(self.record_size).zip(at_us).zip(out)
            {
                let latest_us = i64::get(record, self.account.latest_us);
                *age = (at_us - latest_us.div_euclid(PERIOD) * PERIOD) as f64;
            }
            Ok(())
        })
    }

    /// All features of each record as of its instant, and the sums whose logarithms make the model
    /// vector. `fading` (n, 3) are the factors of the decayed sums.
    fn at(
        &self,
        records: Buffer,
        at_us: Buffer,
        fading: Buffer,
        features: &Bound<'_, PyAny>,
        sums: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        guarded(|| {
            let (mut features, mut sums) = (Buffer::writable(features)?, Buffer::writable(sums)?);
            distinct(&[&records, &fading, &features, &sums])?;
            distinct(&[&at_us, &features, &sums])?;
            let n = self.records_in(&records)?;
            let dimensions = self.dimensions.len();
            // SAFETY: nothing that is read shares memory with what is written, and no Python code runs while they are used.
            let (records, at_us, fading, features, sums) = unsafe {
                (
                    records.bytes(),
                    at_us.values::<i64>(n)?,
                    fading.values::<f64>(n * HALF_LIVES)?,
                    features.values_mut::<f64>(n * self.count)?,
                    sums.values_mut::<f64>(n * dimensions)?,
                )
            };
            for (i, record) in records.chunks_exact(self.record_size).enumerate() {
                let found = &mut features[i * self.count..(i + 1) * self.count];
                self.roll(record, &fading[i * HALF_LIVES..(i + 1) * HALF_LIVES], found);
                self.derive(record, at_us[i], found)?;
                let sums = &mut sums[i * dimensions..(i + 1) * dimensions];
                for (sum, addends) in sums.iter_mut().zip(&self.dimensions) {
                    *sum = added(found, addends);
                }
            }
            Ok(())
        })
    }
}

impl Features {
    fn records_in(&self, records: &Buffer) -> PyResult<usize> {
        if !records.len().is_multiple_of(self.record_size) {
            return Err(PyValueError::new_err("not a whole number of records"));
        }
        Ok(records.len() / self.record_size)
    }

    fn roll(&self, record: &[u8], fading: &[f64], found: &mut [f64]) {
        let sums = &record[self.account.values..self.account.values + 8 * self.half_life_of.len()];
        for ((sum, &column), value) in sums
            .chunks_exact(8)
            .zip(&self.half_life_of)
            .zip(found.iter_mut())
        {
            *value = f64::get(sum, 0) * fading[column];
        }
    }

    fn derive(&self, record: &[u8], at_us: i64, found: &mut [f64]) -> PyResult<()> {
        let (at, columns) = (&self.account, &self.columns);
        let latest_us = i64::get(record, at.latest_us);
        let period_before = latest_us.div_euclid(PERIOD) - 1;
        let day = at_us.div_euclid(DAY) - period_before * PERIOD_DAYS + 1;
        let contacts = &record[at.contacts..at.contacts + CONTACT_BUCKETS];
        for &(column, days) in &columns.contacts {
            let Ok(limit) = u8::try_from((day - days).min(255)) else {
                return Err(PyIndexError::new_err("an instant before the latest event"));
            };
            let free: usize = contacts.iter().map(|&day| usize::from(day <= limit)).sum();
            found[column] = self.linear_count[free];
        }
        let engaged_us = i64::get(record, at.engaged_us);
        found[columns.silence] = if engaged_us > 0 {
            ((at_us - engaged_us).max(0) as f64 / DAY as f64).min(self.max_silence_days)
        } else {
            self.max_silence_days
        };
        let (week, month) = (found[columns.week], found[columns.month]);
        found[columns.momentum] = if month > NOTHING {
            4.0 * week / month
        } else {
            0.0
        };
        let email = added(found, &columns.email);
        let activity = columns
            .others
            .iter()
            .fold(email, |sum, &column| sum + found[column]);
        found[columns.email_share] = if activity > NOTHING {
            email / activity
        } else {
            0.0
        };
        Ok(())
    }
}

/// The sum of some columns, from the first to the last.
fn added(found: &[f64], columns: &[usize]) -> f64 {
    let (first, further) = columns.split_first().expect("there is a first addend");
    further
        .iter()
        .fold(found[*first], |sum, &column| sum + found[column])
}
