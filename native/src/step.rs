//! Applying events to account records, one after the other: what `stream_app/rounds.py` does in
//! rounds. Both come to the same bits, because nothing here is computed that could be rounded in
//! another way: weights of events (`exp2`) are given, and what takes logarithms is left to Python.

use std::collections::HashMap;

use pyo3::exceptions::{PyIndexError, PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ahead;
use crate::buffers::{Buffer, distinct};
use crate::numbers::{Number, fields};
use crate::panics::guarded;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const PERIOD_DAYS: i64 = 28;
const PERIOD: i64 = PERIOD_DAYS * DAY;
const HALF_DAY_HOURS: i64 = 12;

const TOPICS_PER_EVENT: usize = 4;
const CONTACT_BUCKETS: usize = 64;
const NO_CONTACT: u8 = 255;

/// Causes of points, as in `stream_app/segments/decide.py`.
const EVENT: u8 = 0;
const SILENCE: u8 = 1;
const MODEL: u8 = 2;

/// Columns of the weights that are given: half-lives of 1, 7 and 28 days as of the event's own
/// period, of 1 and 3 hours as of its own day.
const GROWTHS: usize = 5;
const HALVINGS_PER_PERIOD: [i64; 3] = [28, 4, 1];
const FAST: usize = 0;
const MONTH: usize = 2;
const HALVINGS_PER_DAY: [i64; 2] = [24, 8];
const BRIEF: usize = 3;

mod libm {
    // Those that numpy calls. They round once, also where the result is subnormal.
    unsafe extern "C" {
        safe fn ldexp(x: f64, exponent: i32) -> f64;
        safe fn ldexpf(x: f32, exponent: i32) -> f32;
    }

    /// `x` times two to the power of `exponent`, as `np.ldexp` has it.
    pub fn scaled(x: f64, exponent: i64) -> f64 {
        ldexp(x, exponent as i32)
    }

    pub fn scaled_f32(x: f32, exponent: i64) -> f32 {
        ldexpf(x, exponent as i32)
    }
}
use libm::{scaled, scaled_f32};

fields!(Account {
    first_us,
    latest_us,
    engaged_us,
    values,
    topics,
    ring,
    sessions,
    spiked_minute,
    model,
    contacts,
    ring_next,
    session_next,
    checks,
});
fields!(Slot {
    topic,
    hour,
    fast,
    slow,
    arrivals,
    visits,
    usual,
    people_in_hour,
    people,
    people_before,
});

#[inline(always)]
fn change<T: Number>(bytes: &mut [u8], at: usize, with: impl FnOnce(T) -> T) {
    with(T::get(bytes, at)).put(bytes, at);
}

/// Add in double precision to a sum that is kept in single precision, as numpy does.
#[inline(always)]
fn add_f32(bytes: &mut [u8], at: usize, amount: f64) {
    change::<f32>(bytes, at, |sum| (f64::from(sum) + amount) as f32);
}

/// One event: the entries of the columns of `EventBatch`, and its weights.
struct Event<'a> {
    at_us: i64,
    id_hash: u32,
    kind: usize,
    dwell_minutes: f64,
    session_hash: u32,
    contact: u8,
    prompted: bool,
    topics: &'a [u32],
    growth: [f64; GROWTHS],
}

/// Columns that are handed back as bytes.
#[derive(Default)]
struct Points {
    rows: Vec<u8>,
    at_us: Vec<u8>,
    cause: Vec<u8>,
    occurred_us: Vec<u8>,
    record: Vec<u8>,
    candidates: Vec<u8>,
}

impl Points {
    fn add(&mut self, row: i64, at_us: i64, cause: u8, occurred_us: i64, record: usize) {
        self.rows.extend_from_slice(&row.to_le_bytes());
        self.at_us.extend_from_slice(&at_us.to_le_bytes());
        self.cause.push(cause);
        self.occurred_us
            .extend_from_slice(&occurred_us.to_le_bytes());
        self.record
            .extend_from_slice(&(record as i64).to_le_bytes());
    }

    fn count(&self) -> i64 {
        self.cause.len() as i64
    }

    /// All but the candidates.
    fn columns(&self) -> [&[u8]; 5] {
        [
            &self.rows,
            &self.at_us,
            &self.cause,
            &self.occurred_us,
            &self.record,
        ]
    }
}

/// Copies of records, in memory that the caller gave.
struct Held<'a> {
    bytes: &'a mut [u8],
    count: usize,
}

impl Held<'_> {
    fn hold(&mut self, record: &[u8]) -> PyResult<usize> {
        let at = self.count * record.len();
        let to = self.bytes.get_mut(at..at + record.len());
        to.ok_or_else(|| PyValueError::new_err("no room for copies of records"))?
            .copy_from_slice(record);
        self.count += 1;
        Ok(self.count - 1)
    }
}

fn out_of_range(what: &str) -> PyErr {
    PyIndexError::new_err(format!("{what} of a record is out of range"))
}

fields!(Surprise: f64 {
    min_surprise, prior_visits, prior_share, prior_days, working_hours, visit_dispersion,
});

/// What a slot and its account say about how usual visits to a topic are.
struct Habit {
    /// Sums as of the instant.
    arrivals: f64,
    visits: f64,
    usual: f64,
    others: f64,
    known_us: i64,
}

impl Surprise {
    /// Whether there is no doubt that it is less than what is reported: the same formula as in
    /// `stream_app/intent/spikes.py`, where those that are left are judged. There the functions are
    /// numpy's, which may round the last bit in another way, so this one keeps a distance.
    fn is_small(&self, habit: &Habit) -> bool {
        let lifetime_days = |half_life_hours: f64| half_life_hours / 24.0 / std::f64::consts::LN_2;
        let half_life_us = (PERIOD_DAYS * DAY) as f64;
        let weight = lifetime_days(PERIOD_DAYS as f64 * 24.0)
            * (1.0 - (-habit.known_us as f64 / half_life_us).exp2());
        let days = weight + self.prior_days;
        let granted = self.prior_visits + self.prior_share * habit.others.max(0.0) / days;
        let before = (habit.usual - habit.visits).max(0.0);
        let rate = self.working_hours * (before + granted * self.prior_days) / days;
        let deviance = |n: f64, expected: f64| {
            if n > expected {
                n * (n / expected).ln() - (n - expected)
            } else {
                0.0
            }
        };
        let of_arrivals = deviance(habit.arrivals, rate * lifetime_days(1.0));
        let of_visits = deviance(habit.visits, rate * lifetime_days(3.0)) / self.visit_dispersion;
        of_arrivals.max(of_visits) < self.min_surprise * (1.0 - 1e-6) - 1e-6
    }
}

/// The settings of a step, prepared.
#[pyclass(frozen, module = "stream_app_native")]
pub struct Stepper {
    account: Account,
    slot: Slot,
    record_size: usize,
    slot_size: usize,
    slots: usize,
    ring: usize,
    sessions: usize,
    /// What one event of a kind adds to each rolling feature.
    weights: Vec<f64>,
    /// Column of the weights by feature.
    half_life_of: Vec<usize>,
    dwell: Vec<usize>,
    session: Vec<usize>,
    day: Vec<usize>,
    /// Times of the silence checks, counted from the account's latest event.
    offsets_us: Vec<i64>,
    /// Which kinds are evidence for spikes.
    telling: Vec<bool>,
    /// Distinct contacts by set bits.
    people: Vec<i64>,
    campaign_visits: bool,
    min_contacts: i64,
    cooldown_minutes: f64,
    surprise: Surprise,
}

#[pymethods]
impl Stepper {
    /// `sizes` has `record`, `slot` (bytes) and `slots`, `ring`, `sessions` (entries).
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        account: HashMap<String, usize>,
        slot: HashMap<String, usize>,
        sizes: HashMap<String, usize>,
        weights: Vec<f64>,
        half_life_of: Vec<usize>,
        dwell: Vec<usize>,
        session: Vec<usize>,
        day: Vec<usize>,
        offsets_us: Vec<i64>,
        telling: Vec<bool>,
        people: Vec<i64>,
        campaign_visits: bool,
        min_contacts: i64,
        cooldown_minutes: f64,
        surprise: HashMap<String, f64>,
    ) -> PyResult<Self> {
        let size = |name: &str| {
            let missing = || PyKeyError::new_err(format!("no size {name}"));
            sizes.get(name).copied().ok_or_else(missing)
        };
        let features = half_life_of.len();
        let columns = [&dwell, &session, &day];
        if weights.len() != telling.len() * features
            || people.len() != CONTACT_BUCKETS + 1
            || half_life_of.iter().any(|&column| column >= BRIEF)
            || columns
                .iter()
                .any(|found| found.iter().any(|&j| j >= features))
        {
            return Err(PyValueError::new_err("the tables do not fit together"));
        }
        Ok(Self {
            account: Account::new(&account)?,
            slot: Slot::new(&slot)?,
            record_size: size("record")?,
            slot_size: size("slot")?,
            slots: size("slots")?,
            ring: size("ring")?,
            sessions: size("sessions")?,
            weights,
            half_life_of,
            dwell,
            session,
            day,
            offsets_us,
            telling,
            people,
            campaign_visits,
            min_contacts,
            cooldown_minutes,
            surprise: Surprise::new(&surprise)?,
        })
    }

    /// Apply events to the records in `data`, event `i` to record `rows[i]`.
    ///
    /// `held` takes copies of records, three for each event at most. Returns how many events were no
    /// duplicates, how many copies there are, and as bytes the columns of the points (row, at_us,
    /// cause, occurred_us, record) and the candidates for spikes.
    ///
    /// After an error records are half-way changed: the caller drops them.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        held: &Bound<'py, PyAny>,
        model: u32,
        rows: Buffer,
        at_us: Buffer,
        id_hash: Buffer,
        kind: Buffer,
        dwell_minutes: Buffer,
        session_hash: Buffer,
        contact: Buffer,
        prompted: Buffer,
        topics: Buffer,
        growth: Buffer,
    ) -> PyResult<(usize, usize, [Bound<'py, PyBytes>; 5], Bound<'py, PyBytes>)> {
        guarded(|| {
            let (mut data, mut held) = (Buffer::writable(data)?, Buffer::writable(held)?);
            distinct(&[
                &data,
                &held,
                &rows,
                &at_us,
                &id_hash,
                &kind,
                &dwell_minutes,
                &session_hash,
                &contact,
                &prompted,
                &topics,
                &growth,
            ])?;
            let n = kind.len();
            let mut points = Points::default();
            // SAFETY: no two of them share memory, and no Python code runs while they are used.
            let (applied, copies) = unsafe {
                let rows = rows.values::<i64>(n)?;
                let at_us = at_us.values::<i64>(n)?;
                let id_hash = id_hash.values::<u32>(n)?;
                let kind = kind.bytes();
                let dwell_minutes = dwell_minutes.values::<f64>(n)?;
                let session_hash = session_hash.values::<u32>(n)?;
                let contact = contact.values::<u8>(n)?;
                let prompted = prompted.values::<u8>(n)?;
                let topics = topics.values::<u32>(n * TOPICS_PER_EVENT)?;
                let growth = growth.values::<f64>(n * GROWTHS)?;
                let data = data.bytes_mut()?;
                let mut held = Held {
                    bytes: held.bytes_mut()?,
                    count: 0,
                };
                let mut applied = 0;
                for i in 0..n {
                    ahead::fetch(data, self.record_size, rows, i);
                    let event = Event {
                        at_us: at_us[i],
                        id_hash: id_hash[i],
                        kind: kind[i] as usize,
                        dwell_minutes: dwell_minutes[i],
                        session_hash: session_hash[i],
                        contact: contact[i],
                        prompted: prompted[i] != 0,
                        topics: &topics[i * TOPICS_PER_EVENT..(i + 1) * TOPICS_PER_EVENT],
                        growth: std::array::from_fn(|j| growth[i * GROWTHS + j]),
                    };
                    let record = self.record(data, rows[i])?;
                    applied += usize::from(self.one(
                        record,
                        rows[i],
                        &event,
                        model,
                        &mut held,
                        &mut points,
                    )?);
                }
                (applied, held.count)
            };
            let candidates = PyBytes::new(py, &points.candidates);
            let columns = points.columns().map(|column| PyBytes::new(py, column));
            Ok((applied, copies, columns, candidates))
        })
    }

    /// Look at accounts of which there is no event: under another model, and at silence before an
    /// instant each. `held` takes two copies of records for each at most. Returns as `apply` does.
    #[allow(clippy::type_complexity)]
    fn look<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        held: &Bound<'py, PyAny>,
        model: u32,
        rows: Buffer,
        before_us: Buffer,
    ) -> PyResult<(usize, [Bound<'py, PyBytes>; 5])> {
        guarded(|| {
            let (mut data, mut held) = (Buffer::writable(data)?, Buffer::writable(held)?);
            distinct(&[&data, &held, &rows, &before_us])?;
            let n = rows.len() / size_of::<i64>();
            let mut points = Points::default();
            // SAFETY: no two of them share memory, and no Python code runs while they are used.
            let copies = unsafe {
                let (rows, before_us) = (rows.values::<i64>(n)?, before_us.values::<i64>(n)?);
                let data = data.bytes_mut()?;
                let mut held = Held {
                    bytes: held.bytes_mut()?,
                    count: 0,
                };
                for (&row, &before_us) in rows.iter().zip(before_us) {
                    let record = self.record(data, row)?;
                    self.check_model(record, row, model, &mut held, &mut points)?;
                    self.check_silence(record, row, before_us, &mut held, &mut points)?;
                }
                held.count
            };
            Ok((
                copies,
                points.columns().map(|column| PyBytes::new(py, column)),
            ))
        })
    }

    /// Write to `due_us`, which has an entry for each record in `data`, when the accounts of `rows`
    /// are to be looked at next; `never` where their silence is complete.
    fn note_due(
        &self,
        data: Buffer,
        rows: Buffer,
        due_us: &Bound<'_, PyAny>,
        never: i64,
    ) -> PyResult<()> {
        guarded(|| {
            let mut due_us = Buffer::writable(due_us)?;
            distinct(&[&data, &rows, &due_us])?;
            let (n, all) = (rows.len() / size_of::<i64>(), data.len() / self.record_size);
            // SAFETY: no two of them share memory, and no Python code runs while they are used.
            unsafe {
                let (data, rows) = (data.bytes(), rows.values::<i64>(n)?);
                let due_us = due_us.values_mut::<i64>(all)?;
                for &row in rows {
                    let row = usize::try_from(row).unwrap_or(usize::MAX);
                    let Some(due) = due_us.get_mut(row) else {
                        return Err(PyIndexError::new_err(format!("there is no row {row}")));
                    };
                    let record = &data[row * self.record_size..(row + 1) * self.record_size];
                    let latest_us = i64::get(record, self.account.latest_us);
                    let done = u8::get(record, self.account.checks) as usize;
                    *due = self
                        .offsets_us
                        .get(done)
                        .map_or(never, |offset| latest_us + offset);
                }
            }
            Ok(())
        })
    }
}

impl Stepper {
    fn record<'a>(&self, data: &'a mut [u8], row: i64) -> PyResult<&'a mut [u8]> {
        let size = self.record_size;
        let start = usize::try_from(row)
            .ok()
            .and_then(|row| row.checked_mul(size));
        start
            .and_then(|start| data.get_mut(start..start.checked_add(size)?))
            .ok_or_else(|| PyIndexError::new_err(format!("there is no row {row}")))
    }

    /// False: the event is a duplicate.
    fn one(
        &self,
        record: &mut [u8],
        row: i64,
        event: &Event,
        model: u32,
        held: &mut Held,
        points: &mut Points,
    ) -> PyResult<bool> {
        if self.is_duplicate(record, event.id_hash) {
            return Ok(false);
        }
        self.check_model(record, row, model, held, points)?;
        self.check_silence(record, row, event.at_us, held, points)?;
        self.advance(record, event.at_us);
        let latest_us = i64::get(record, self.account.latest_us);
        // To be added to sums that refer to a later period than the event's own.
        let late = event.at_us.div_euclid(PERIOD) - latest_us.div_euclid(PERIOD);
        let mut growth = event.growth;
        if late != 0 {
            for (weight, halvings) in growth.iter_mut().zip(HALVINGS_PER_PERIOD) {
                *weight = scaled(*weight, late * halvings);
            }
        }
        self.add(record, event, &growth)?;
        self.add_interest(record, row, event, &growth, points)?;
        let copy = held.hold(record)?;
        points.add(row, self.as_of(record)?, EVENT, event.at_us, copy);
        Ok(true)
    }

    fn is_duplicate(&self, record: &[u8], id_hash: u32) -> bool {
        let ring = &record[self.account.ring..self.account.ring + 4 * self.ring];
        let id = id_hash.to_le_bytes();
        // Without a branch for each entry, so that several are compared at once.
        ring.chunks_exact(4)
            .fold(false, |hit, entry| hit | (entry == id))
    }

    /// Instant up to which the account has been decided.
    fn as_of(&self, record: &[u8]) -> PyResult<i64> {
        let latest_us = i64::get(record, self.account.latest_us);
        match u8::get(record, self.account.checks) as usize {
            0 => Ok(latest_us),
            done => {
                let offset = self.offsets_us.get(done - 1);
                Ok(latest_us + offset.ok_or_else(|| out_of_range("checks"))?)
            }
        }
    }

    fn check_model(
        &self,
        record: &mut [u8],
        row: i64,
        model: u32,
        held: &mut Held,
        points: &mut Points,
    ) -> PyResult<()> {
        if u32::get(record, self.account.model) == model {
            return Ok(());
        }
        model.put(record, self.account.model);
        if i64::get(record, self.account.first_us) > 0 {
            let at_us = self.as_of(record)?;
            points.add(row, at_us, MODEL, at_us, held.hold(record)?);
        }
        Ok(())
    }

    fn check_silence(
        &self,
        record: &mut [u8],
        row: i64,
        before_us: i64,
        held: &mut Held,
        points: &mut Points,
    ) -> PyResult<()> {
        let latest_us = i64::get(record, self.account.latest_us);
        let known = i64::get(record, self.account.first_us) > 0;
        if !known || before_us - latest_us <= self.offsets_us[0] {
            return Ok(());
        }
        let done = u8::get(record, self.account.checks) as usize;
        let passed = self
            .offsets_us
            .partition_point(|&offset| offset < before_us - latest_us);
        if passed <= done {
            return Ok(());
        }
        let copy = held.hold(record)?;
        for offset in &self.offsets_us[done..passed] {
            let at_us = latest_us + offset;
            points.add(row, at_us, SILENCE, at_us, copy);
        }
        (passed as u8).put(record, self.account.checks);
        Ok(())
    }

    /// Move the record's latest event time, and the reference of its sums with it.
    fn advance(&self, record: &mut [u8], at_us: i64) {
        let at = &self.account;
        let first_us = i64::get(record, at.first_us);
        if first_us == 0 {
            at_us.put(record, at.first_us);
            at_us.put(record, at.latest_us);
            0u8.put(record, at.checks);
            return;
        }
        first_us.min(at_us).put(record, at.first_us);
        let latest_us = i64::get(record, at.latest_us);
        if at_us <= latest_us {
            return;
        }
        at_us.put(record, at.latest_us);
        0u8.put(record, at.checks);
        let periods = at_us.div_euclid(PERIOD) - latest_us.div_euclid(PERIOD);
        if periods > 0 {
            self.rebase(record, periods);
        }
    }

    fn rebase(&self, record: &mut [u8], periods: i64) {
        for (j, &column) in self.half_life_of.iter().enumerate() {
            let halvings = -periods * HALVINGS_PER_PERIOD[column];
            change::<f64>(record, self.account.values + 8 * j, |sum| {
                scaled(sum, halvings)
            });
        }
        let slot = &self.slot;
        for i in 0..self.slots {
            let start = self.account.topics + i * self.slot_size;
            for (field, column) in [(slot.fast, FAST), (slot.slow, MONTH), (slot.usual, MONTH)] {
                let halvings = -periods * HALVINGS_PER_PERIOD[column];
                change::<f32>(record, start + field, |sum| scaled_f32(sum, halvings));
            }
        }
        let days = (periods * PERIOD_DAYS).min(255) as u8;
        let contacts = self.account.contacts;
        for day in &mut record[contacts..contacts + CONTACT_BUCKETS] {
            *day = day.saturating_sub(days);
        }
    }

    /// Ids, sums, sessions and contacts.
    fn add(&self, record: &mut [u8], event: &Event, growth: &[f64; GROWTHS]) -> PyResult<()> {
        let at = &self.account;
        let next = u8::get(record, at.ring_next) as usize;
        if next >= self.ring {
            return Err(out_of_range("ring_next"));
        }
        event.id_hash.put(record, at.ring + 4 * next);
        (((next + 1) % self.ring) as u8).put(record, at.ring_next);

        let features = self.half_life_of.len();
        let weights = self
            .weights
            .get(event.kind * features..(event.kind + 1) * features);
        let mut added = [0.0; 64];
        let added = added
            .get_mut(..features)
            .ok_or_else(|| out_of_range("values"))?;
        added.copy_from_slice(weights.ok_or_else(|| out_of_range("kind"))?);
        for &j in &self.dwell {
            added[j] = event.dwell_minutes;
        }
        let opened = self.opens_session(record, event.session_hash)?;
        for &j in &self.session {
            added[j] = f64::from(u8::from(opened));
        }
        let engaged_us = i64::get(record, at.engaged_us);
        let engaged = event.kind != 0;
        let first_today = engaged && event.at_us.div_euclid(DAY) > engaged_us.div_euclid(DAY);
        for &j in &self.day {
            added[j] = f64::from(u8::from(first_today));
        }
        let sums = &mut record[at.values..at.values + 8 * features];
        for ((sum, amount), &column) in sums
            .chunks_exact_mut(8)
            .zip(added.iter())
            .zip(&self.half_life_of)
        {
            change::<f64>(sum, 0, |sum| sum + amount * growth[column]);
        }

        if engaged {
            engaged_us.max(event.at_us).put(record, at.engaged_us);
        }
        if event.contact != NO_CONTACT {
            let bucket = event.contact as usize;
            if bucket >= CONTACT_BUCKETS {
                return Err(out_of_range("contact"));
            }
            let latest_us = i64::get(record, at.latest_us);
            let period_before = latest_us.div_euclid(PERIOD) - 1;
            let day = event.at_us.div_euclid(DAY) - period_before * PERIOD_DAYS + 1;
            change::<u8>(record, at.contacts + bucket, |last| {
                last.max(day.max(0) as u8)
            });
        }
        Ok(())
    }

    /// Whether a session is not among the last ones; it is remembered.
    fn opens_session(&self, record: &mut [u8], session_hash: u32) -> PyResult<bool> {
        let at = &self.account;
        let known =
            (0..self.sessions).any(|i| u32::get(record, at.sessions + 4 * i) == session_hash);
        if session_hash == 0 || known {
            return Ok(false);
        }
        let next = u8::get(record, at.session_next) as usize;
        if next >= self.sessions {
            return Err(out_of_range("session_next"));
        }
        session_hash.put(record, at.sessions + 4 * next);
        (((next + 1) % self.sessions) as u8).put(record, at.session_next);
        Ok(true)
    }

    fn add_interest(
        &self,
        record: &mut [u8],
        row: i64,
        event: &Event,
        growth: &[f64; GROWTHS],
        points: &mut Points,
    ) -> PyResult<()> {
        let evidence = self.telling.get(event.kind).copied().unwrap_or(false)
            && event.contact != NO_CONTACT
            && (self.campaign_visits || !event.prompted);
        for &topic in event.topics.iter().take_while(|&&topic| topic != 0) {
            let number = self.slot_of(record, topic);
            let start = self.account.topics + number * self.slot_size;
            add_f32(record, start + self.slot.fast, growth[FAST]);
            add_f32(record, start + self.slot.slow, growth[MONTH]);
            if evidence {
                self.note_visit(&mut record[start..start + self.slot_size], event, growth);
                self.find_candidate(record, row, number, event, points);
            }
        }
        Ok(())
    }

    /// Slot of a topic; where it has none, the slot with the least slow interest is emptied.
    fn slot_of(&self, record: &mut [u8], topic: u32) -> usize {
        let (size, first) = (self.slot_size, self.account.topics);
        let mut least = 0;
        for i in 0..self.slots {
            if u32::get(record, first + i * size + self.slot.topic) == topic {
                return i;
            }
            let slow = |i: usize| f32::get(record, first + i * size + self.slot.slow);
            if slow(i) < slow(least) {
                least = i;
            }
        }
        let slot = &mut record[first + least * size..first + (least + 1) * size];
        slot.fill(0);
        topic.put(slot, self.slot.topic);
        least
    }

    /// Count what is a visit or an arrival; `note_visits` in `stream_app/intent/spikes.py` says what
    /// these are.
    fn note_visit(&self, slot: &mut [u8], event: &Event, growth: &[f64; GROWTHS]) {
        let at = &self.slot;
        let bit = 1u64 << event.contact;
        let (hour, last) = (
            event.at_us.div_euclid(HOUR),
            i64::from(u32::get(slot, at.hour)),
        );
        let half = hour.div_euclid(HALF_DAY_HOURS);
        let last_half = last.div_euclid(HALF_DAY_HOURS);
        let mut people = u64::get(slot, at.people);
        let mut before = u64::get(slot, at.people_before);
        if half > last_half {
            before = if half == last_half + 1 { people } else { 0 };
            people = 0;
        }
        let in_hour = if hour > last {
            0
        } else {
            u64::get(slot, at.people_in_hour)
        };

        let arrival = (people | before) & bit == 0 && half >= last_half - 1;
        let visit = arrival || hour > last || (hour == last && in_hour & bit == 0);

        let people = if half >= last_half {
            people | bit
        } else {
            people
        };
        people.put(slot, at.people);
        let before = if half == last_half - 1 {
            before | bit
        } else {
            before
        };
        before.put(slot, at.people_before);
        let in_hour = if hour >= last { in_hour | bit } else { in_hour };
        in_hour.put(slot, at.people_in_hour);

        let days = hour.div_euclid(24) - last.div_euclid(24);
        let brief = [at.arrivals, at.visits];
        if days > 0 {
            for (field, halvings) in brief.into_iter().zip(HALVINGS_PER_DAY) {
                change::<f32>(slot, field, |sum| scaled_f32(sum, -days * halvings));
            }
        }
        (hour.max(last) as u32).put(slot, at.hour);
        for ((field, happened), (j, halvings)) in brief
            .into_iter()
            .zip([arrival, visit])
            .zip(HALVINGS_PER_DAY.into_iter().enumerate())
        {
            if happened {
                let weight = growth[BRIEF + j];
                let weight = if days < 0 {
                    scaled(weight, days * halvings)
                } else {
                    weight
                };
                add_f32(slot, field, weight);
            }
        }
        if visit {
            add_f32(slot, at.usual, growth[MONTH]);
        }
    }

    /// Whether it may be a spike: `candidates` in `stream_app/intent/spikes.py`.
    fn find_candidate(
        &self,
        record: &[u8],
        row: i64,
        number: usize,
        event: &Event,
        points: &mut Points,
    ) {
        let start = self.account.topics + number * self.slot_size;
        let slot = &record[start..start + self.slot_size];
        let at = &self.slot;
        let people = u64::get(slot, at.people) | u64::get(slot, at.people_before);
        let spiked = i64::from(u32::get(record, self.account.spiked_minute));
        let rested = spiked == 0
            || (event.at_us.div_euclid(MINUTE) - spiked) as f64 >= self.cooldown_minutes;
        let latest_us = i64::get(record, self.account.latest_us);
        if self.people[people.count_ones() as usize] < self.min_contacts
            || !rested
            || event.at_us != latest_us
        {
            return;
        }
        let first_us = i64::get(record, self.account.first_us);
        let faded = |sum: usize, since_us: i64, half_life_us: i64| {
            let sum = f64::from(f32::get(record, sum));
            sum * (-((event.at_us - since_us) as f64) / half_life_us as f64).exp2()
        };
        let day_us = event.at_us.div_euclid(DAY) * DAY;
        let period_us = event.at_us.div_euclid(PERIOD) * PERIOD;
        let usual_of = |i: usize| {
            let field = self.account.topics + i * self.slot_size + at.usual;
            faded(field, period_us, PERIOD)
        };
        let usual = usual_of(number);
        let habit = Habit {
            arrivals: faded(start + at.arrivals, day_us, HOUR),
            visits: faded(start + at.visits, day_us, 3 * HOUR),
            usual,
            others: (0..self.slots).map(usual_of).sum::<f64>() - usual,
            known_us: event.at_us - first_us,
        };
        if self.surprise.is_small(&habit) {
            return;
        }
        let point = points.count();
        let out = &mut points.candidates;
        for word in [point, row, event.at_us, first_us] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&u32::get(slot, at.topic).to_le_bytes());
        out.extend_from_slice(&(number as u32).to_le_bytes());
        out.extend_from_slice(&people.to_le_bytes());
        for field in [at.arrivals, at.visits] {
            out.extend_from_slice(&f64::from(f32::get(slot, field)).to_le_bytes());
        }
        for i in 0..self.slots {
            let usual = self.account.topics + i * self.slot_size + at.usual;
            out.extend_from_slice(&f64::from(f32::get(record, usual)).to_le_bytes());
        }
    }
}
