//! Account ids and their rows; `features/index.py` says what it does, and does the same in Python.

use std::hash::{BuildHasher, RandomState};

use pyo3::exceptions::{PyIndexError, PyKeyError, PyOverflowError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::buffers::Buffer;
use crate::texts::{Given, Texts};

const FEW_SLOTS: usize = 16;

#[derive(Clone, Copy)]
struct Entry {
    /// Of the id, so that a search looks at few ids and growing looks at none.
    hash: u32,
    start: u32,
    length: u32,
}

/// Ids one after the other in one piece of memory, and a hash table of rows: open addressing with
/// linear probing (D. Knuth, "The Art of Computer Programming", vol. 3, 6.4, algorithms L and R).
/// Some 40 bytes an account, of which a dict, a list and text objects take 160.
#[pyclass]
pub struct Index {
    hasher: RandomState,
    entries: Vec<Entry>,
    ids: Vec<u8>,
    /// Bytes of `ids` that belong to no row any more.
    waste: usize,
    /// 1 + row, 0: free. Their number is a power of two.
    slots: Vec<u32>,
}

impl Index {
    fn id(&self, row: usize) -> &[u8] {
        self.id_in(self.entries[row])
    }

    fn entry(&self, row: i64) -> PyResult<Entry> {
        let entry = usize::try_from(row)
            .ok()
            .and_then(|row| self.entries.get(row));
        entry
            .copied()
            .ok_or_else(|| PyIndexError::new_err(format!("there is no row {row}")))
    }

    fn id_in(&self, entry: Entry) -> &[u8] {
        &self.ids[entry.start as usize..][..entry.length as usize]
    }

    fn hash(&self, id: &[u8]) -> u32 {
        self.hasher.hash_one(id) as u32
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// Slot of an id, or the free one where it would be.
    fn slot_of(&self, id: &[u8], hash: u32) -> usize {
        let mut slot = self.home(hash);
        loop {
            let Some(row) = (self.slots[slot] as usize).checked_sub(1) else {
                return slot;
            };
            if self.entries[row].hash == hash && self.id(row) == id {
                return slot;
            }
            slot = self.after(slot);
        }
    }

    fn row_in(&self, slot: usize) -> Option<usize> {
        (self.slots[slot] as usize).checked_sub(1)
    }

    fn row(&self, id: &[u8]) -> Option<usize> {
        self.row_in(self.slot_of(id, self.hash(id)))
    }

    /// Hash and row of each id. Every step is done for all of them before the next one: so memory is
    /// fetched for many of them at a time, where one after the other would wait for it.
    fn rows(&self, ids: &[&[u8]]) -> Vec<(u32, Option<usize>)> {
        let hashes: Vec<_> = ids.iter().map(|id| self.hash(id)).collect();
        let likely: Vec<_> = hashes
            .iter()
            .map(|&hash| self.row_in(self.home(hash)))
            .collect();
        let entries: Vec<_> = likely
            .iter()
            .map(|row| row.map(|row| self.entries[row]))
            .collect();
        let all = ids.iter().zip(hashes).zip(likely).zip(entries);
        all.map(|(((&id, hash), likely), entry)| {
            let at_home = entry.is_none_or(|entry| entry.hash == hash && self.id_in(entry) == id);
            let row = if at_home {
                likely
            } else {
                self.row_in(self.slot_of(id, hash))
            };
            (hash, row)
        })
        .collect()
    }

    /// Row of an id, a new one if it has none.
    fn enter_one(&mut self, id: &[u8], hash: u32) -> PyResult<usize> {
        let slot = self.slot_of(id, hash);
        if let Some(row) = self.row_in(slot) {
            return Ok(row);
        }
        let row = self.entries.len();
        let full = || PyOverflowError::new_err("no room for so many account ids");
        let entry = Entry {
            hash,
            start: u32::try_from(self.ids.len()).map_err(|_| full())?,
            length: u32::try_from(id.len()).map_err(|_| full())?,
        };
        self.slots[slot] = u32::try_from(row + 1).map_err(|_| full())?;
        self.ids.extend_from_slice(id);
        self.entries.push(entry);
        if self.entries.len() * 4 > self.slots.len() * 3 {
            self.place_anew(self.slots.len() * 2);
        }
        Ok(row)
    }

    fn place_anew(&mut self, count: usize) {
        self.slots = Vec::new(); // first, so that there are never both
        self.slots = vec![0; count];
        for row in 0..self.entries.len() {
            let mut slot = self.home(self.entries[row].hash);
            while self.slots[slot] != 0 {
                slot = self.after(slot);
            }
            self.slots[slot] = row as u32 + 1;
        }
    }

    /// Empties a slot and closes the gap that a search would stop at.
    fn free(&mut self, slot: usize) {
        let mut gap = slot;
        let mut next = self.after(gap);
        while let Some(row) = self.row_in(next) {
            // How far it is from where its search begins: it may go back so far, and no further.
            let mask = self.slots.len() - 1;
            let from_home = next.wrapping_sub(self.home(self.entries[row].hash)) & mask;
            if from_home >= next.wrapping_sub(gap) & mask {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
            next = self.after(next);
        }
        self.slots[gap] = 0;
    }

    fn remove_one(&mut self, id: &[u8]) -> Option<usize> {
        let slot = self.slot_of(id, self.hash(id));
        let row = self.row_in(slot)?;
        self.free(slot);
        let last = self.entries.len() - 1;
        if row != last {
            let moved = self.slot_of(self.id(last), self.entries[last].hash);
            self.slots[moved] = row as u32 + 1;
        }
        self.waste += self.entries[row].length as usize;
        self.entries.swap_remove(row);
        if self.waste * 4 > self.ids.len() {
            self.compact();
        }
        Some(row)
    }

    fn compact(&mut self) {
        let mut kept = Vec::with_capacity(self.ids.len() - self.waste);
        for entry in &mut self.entries {
            let id = &self.ids[entry.start as usize..][..entry.length as usize];
            entry.start = kept.len() as u32;
            kept.extend_from_slice(id);
        }
        self.ids = kept;
        self.waste = 0;
    }
}

fn text<'a>(id: &'a Bound<'_, PyString>) -> PyResult<&'a [u8]> {
    Ok(id.to_str()?.as_bytes())
}

#[pymethods]
impl Index {
    #[new]
    fn new() -> Self {
        Index {
            hasher: RandomState::new(),
            entries: Vec::new(),
            ids: Vec::new(),
            waste: 0,
            slots: vec![0; FEW_SLOTS],
        }
    }

    fn __len__(&self) -> usize {
        self.entries.len()
    }

    fn get(&self, account: &Bound<'_, PyString>) -> PyResult<Option<usize>> {
        Ok(self.row(text(account)?))
    }

    /// Writes the rows of accounts to `rows` (int64, as many), -1 for those that are unknown.
    fn find(&self, accounts: Given, rows: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut rows = Buffer::writable(rows)?;
        let ids = accounts.bytes()?;
        // SAFETY: text does not change, and no Python code runs before this function returns.
        let rows = unsafe { rows.values_mut::<i64>(ids.len())? };
        for ((_, row), to) in self.rows(&ids).into_iter().zip(rows) {
            *to = row.map_or(-1, |row| row as i64);
        }
        Ok(())
    }

    /// As `find`, but unknown accounts get the next rows. UnicodeEncodeError: one is not Unicode;
    /// then all is as before.
    fn enter(&mut self, accounts: Given, rows: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut rows = Buffer::writable(rows)?;
        let ids = accounts.bytes()?;
        // SAFETY: as in `find`.
        let rows = unsafe { rows.values_mut::<i64>(ids.len())? };
        for ((&id, (hash, row)), to) in ids.iter().zip(self.rows(&ids)).zip(rows) {
            *to = match row {
                Some(row) => row,
                None => self.enter_one(id, hash)?, // perhaps it was entered a moment ago
            } as i64;
        }
        Ok(())
    }

    /// Ids of rows (int64).
    fn ids(&self, rows: Buffer) -> PyResult<Texts> {
        let count = rows.len() / size_of::<i64>();
        // SAFETY: the slice is gone before Python makes an object.
        let rows = unsafe { rows.values::<i64>(count)? };
        let entries = rows.iter().map(|&row| self.entry(row));
        let mut texts = Texts::with_capacity(count);
        for entry in entries.collect::<PyResult<Vec<_>>>()? {
            texts.push(self.id_in(entry)); // for all of them before the next step, as in `rows`
        }
        Ok(texts)
    }

    fn id_of<'py>(&self, py: Python<'py>, row: i64) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, self.id_in(self.entry(row)?))
    }

    /// Forgets an account; the last row takes its place. Returns which. KeyError: it is unknown.
    fn remove(&mut self, account: &Bound<'_, PyString>) -> PyResult<usize> {
        let known = self.remove_one(text(account)?);
        known.ok_or_else(|| PyKeyError::new_err(account.clone().unbind()))
    }
}
