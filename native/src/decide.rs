//! Deciding points, one after the other: what `stream_app/segments/decide.py` does, which says what
//! the rule is. There only accounts that something may change for are walked through; here all are,
//! because a step costs less than finding out.

use std::collections::HashMap;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffers::{Buffer, distinct};
use crate::numbers::{Number, fields};
use crate::panics::guarded;

const NO_SEGMENT: i32 = -1;
const UNSEGMENTED: i32 = 0;

/// Causes of points, as in `stream_app/segments/decide.py`.
const SILENCE: u8 = 1;
const MODEL: u8 = 2;

fields!(Account {
    bands,
    segment,
    pending_us,
    pending_cause,
    sequence,
    since_us,
    anchor,
});

/// Weak evidence that an account is to leave its segment; `since_us` 0: there is none.
#[derive(Clone, Copy)]
struct Pending {
    since_us: i64,
    cause: u8,
}

const NO_EVIDENCE: Pending = Pending {
    since_us: 0,
    cause: 0,
};

/// What a look leads to.
struct Outcome {
    segment: i32,
    pending: Pending,
    /// Of the look that brought the evidence.
    cause: u8,
    /// Since when weak evidence lasted; 0: decided at once.
    evidence_us: i64,
}

/// The centres of a snapshot, and when accounts leave theirs.
#[pyclass(frozen, module = "stream_app_native")]
pub struct Rule {
    account: Account,
    record_size: usize,
    /// Segment id of each centre; empty: there is no model.
    ids: Vec<i32>,
    /// Coordinates of the centres, those of one dimension after those of the other.
    centres: Vec<f64>,
    /// What scaling takes off and multiplies by, per dimension.
    mean: Vec<f64>,
    factor: Vec<f64>,
    margin: f64,
    strong_margin: f64,
    confirm_us: i64,
    /// Scores at which bands are entered and left.
    enter: Vec<f64>,
    leave: Vec<f64>,
}

type Transition = (usize, i64, u32, i32, i32, u8, i64, Option<f64>);

#[pymethods]
impl Rule {
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        account: HashMap<String, usize>,
        record_size: usize,
        ids: Vec<i32>,
        centres: Vec<f64>,
        mean: Vec<f64>,
        factor: Vec<f64>,
        margin: f64,
        strong_margin: f64,
        confirm_us: i64,
        enter: Vec<f64>,
        leave: Vec<f64>,
    ) -> PyResult<Self> {
        if mean.len() != factor.len() || centres.len() != ids.len() * mean.len() {
            return Err(PyValueError::new_err("the tables do not fit together"));
        }
        Ok(Self {
            account: Account::new(&account)?,
            record_size,
            ids,
            centres,
            mean,
            factor,
            margin,
            strong_margin,
            confirm_us,
            enter,
            leave,
        })
    }

    /// Decide points in order, and write what comes of it to their records in `data`, and the bands
    /// after each point to `bands` (n, 2).
    ///
    /// Returns the transitions (point, row, sequence, previous, current, cause, evidence_us,
    /// margin), the anchors before them as bytes, and (row, point) of each account's latest change
    /// of a band, by point.
    ///
    /// After an error records are half-way changed: the caller drops them.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn decide<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        bands: &Bound<'py, PyAny>,
        rows: Buffer,
        at_us: Buffer,
        cause: Buffer,
        scores: Buffer,
        vectors: Buffer,
    ) -> PyResult<(Vec<Transition>, Bound<'py, PyBytes>, Vec<(i64, usize)>)> {
        guarded(|| {
            let (mut data, mut bands) = (Buffer::writable(data)?, Buffer::writable(bands)?);
            distinct(&[&data, &bands, &rows, &at_us, &cause, &scores, &vectors])?;
            let (n, dimensions) = (cause.len(), self.mean.len());
            let mut transitions = Vec::new();
            let mut anchors = Vec::new();
            let mut rebanded = HashMap::new();
            let mut distances = vec![0.0; self.ids.len()];
            // SAFETY: no two of them share memory, and no Python code runs while they are used.
            unsafe {
                let rows = rows.values::<i64>(n)?;
                let at_us = at_us.values::<i64>(n)?;
                let cause = cause.values::<u8>(n)?;
                let scores = scores.values::<f64>(2 * n)?;
                let vectors = vectors.values::<f64>(n * dimensions)?;
                let (data, bands) = (data.bytes_mut()?, bands.values_mut::<u8>(2 * n)?);
                for p in 0..n {
                    let record = self.record(data, rows[p])?;
                    let vector = &vectors[dimensions * p..dimensions * (p + 1)];
                    let banded = [
                        self.band(record, 0, scores[2 * p]),
                        self.band(record, 1, scores[2 * p + 1]),
                    ];
                    bands[2 * p..2 * p + 2].copy_from_slice(&banded);
                    let at = self.account.bands;
                    if record[at..at + 2] != banded {
                        rebanded.insert(rows[p], p);
                        record[at..at + 2].copy_from_slice(&banded);
                    }
                    let look = Pending {
                        since_us: at_us[p],
                        cause: cause[p],
                    };
                    self.measure(vector, &mut distances);
                    if let Some(done) = self.look(record, look, &distances, vector, &mut anchors) {
                        let (sequence, previous, current, cause, evidence_us) = done;
                        let margin = margin_of(&distances);
                        transitions.push((
                            p,
                            rows[p],
                            sequence,
                            previous,
                            current,
                            cause,
                            evidence_us,
                            margin,
                        ));
                    }
                }
            }
            let mut rebanded: Vec<_> = rebanded.into_iter().collect();
            rebanded.sort_unstable_by_key(|&(_, point)| point);
            Ok((transitions, PyBytes::new(py, &anchors), rebanded))
        })
    }
}

impl Rule {
    fn record<'a>(&self, data: &'a mut [u8], row: i64) -> PyResult<&'a mut [u8]> {
        let size = self.record_size;
        let start = usize::try_from(row)
            .ok()
            .and_then(|row| row.checked_mul(size));
        start
            .and_then(|start| data.get_mut(start..start.checked_add(size)?))
            .ok_or_else(|| PyIndexError::new_err(format!("there is no row {row}")))
    }

    /// Band after a score: entered at one threshold and left at a lower one.
    fn band(&self, record: &[u8], which: usize, score: f64) -> u8 {
        let reached = |limits: &[f64]| limits.partition_point(|&limit| limit <= score) as u8;
        let before = record[self.account.bands + which];
        reached(&self.enter).max(before.min(reached(&self.leave)))
    }

    /// Distances to all centres, summed dimension by dimension as in `Assigner.distances`.
    fn measure(&self, vector: &[f64], distances: &mut [f64]) {
        let k = distances.len();
        distances.fill(0.0);
        for (d, &coordinate) in vector.iter().enumerate() {
            let scaled = (coordinate - self.mean[d]) * self.factor[d];
            for (sum, centre) in distances.iter_mut().zip(&self.centres[d * k..(d + 1) * k]) {
                let apart = scaled - centre;
                *sum += apart * apart;
            }
        }
        for distance in distances {
            *distance = distance.sqrt();
        }
    }

    /// What a transition consists of, after it was written to the record.
    fn look(
        &self,
        record: &mut [u8],
        look: Pending,
        distances: &[f64],
        vector: &[f64],
        anchors: &mut Vec<u8>,
    ) -> Option<(u32, i32, i32, u8, i64)> {
        let at = &self.account;
        let previous = i32::get(record, at.segment);
        let pending = Pending {
            since_us: i64::get(record, at.pending_us),
            cause: u8::get(record, at.pending_cause),
        };
        let next = self.next_segment(previous, pending, look, distances);
        next.pending.since_us.put(record, at.pending_us);
        next.pending.cause.put(record, at.pending_cause);
        if next.segment == previous {
            return None;
        }
        let sequence = u32::get(record, at.sequence).wrapping_add(1);
        sequence.put(record, at.sequence);
        next.segment.put(record, at.segment);
        look.since_us.put(record, at.since_us);
        let anchor = &mut record[at.anchor..at.anchor + 4 * self.mean.len()];
        anchors.extend_from_slice(anchor);
        for (to, &coordinate) in anchor.chunks_exact_mut(4).zip(vector) {
            (coordinate as f32).put(to, 0);
        }
        Some((
            sequence,
            previous,
            next.segment,
            next.cause,
            next.evidence_us,
        ))
    }

    fn next_segment(
        &self,
        current: i32,
        pending: Pending,
        look: Pending,
        distances: &[f64],
    ) -> Outcome {
        let at_once = |segment| Outcome {
            segment,
            pending: NO_EVIDENCE,
            cause: look.cause,
            evidence_us: 0,
        };
        let Some((nearest, least)) = nearest(distances) else {
            return at_once(if current == NO_SEGMENT {
                UNSEGMENTED
            } else {
                current
            });
        };
        let Some(own) = self.ids.iter().position(|&id| id == current) else {
            return at_once(self.ids[nearest]);
        };
        if least >= (1.0 - self.margin) * distances[own] {
            return at_once(current);
        }
        let first = pending.since_us == 0;
        let waiting = if first { look } else { pending };
        let strong = least < (1.0 - self.strong_margin) * distances[own];
        if !strong && look.since_us - waiting.since_us < self.confirm_us {
            return Outcome {
                segment: current,
                pending: waiting,
                cause: look.cause,
                evidence_us: 0,
            };
        }
        // What put the account outside is the reason, unless an event or a model decides at once.
        if first || (strong && waiting.cause != MODEL && look.cause != SILENCE) {
            return at_once(self.ids[nearest]);
        }
        Outcome {
            segment: self.ids[nearest],
            pending: NO_EVIDENCE,
            cause: waiting.cause,
            evidence_us: waiting.since_us,
        }
    }
}

/// The first of the least distances.
fn nearest(distances: &[f64]) -> Option<(usize, f64)> {
    let mut found = (0, *distances.first()?);
    for (i, &distance) in distances.iter().enumerate() {
        if distance < found.1 {
            found = (i, distance);
        }
    }
    Some(found)
}

/// How far inside: 1 - nearest / next nearest; 1 with a single centre. None: there is no model.
fn margin_of(distances: &[f64]) -> Option<f64> {
    let (position, least) = nearest(distances)?;
    let others = distances.iter().enumerate().filter(|&(i, _)| i != position);
    let Some(following) = others.map(|(_, &distance)| distance).reduce(f64::min) else {
        return Some(1.0);
    };
    Some(if following > 0.0 {
        1.0 - least / following
    } else {
        0.0
    })
}
