//! Asking for memory before it is needed.

const LINE: usize = 64;
const AHEAD: usize = 3;

/// To be called before the work on `rows[at]`: the record of a row some places further is fetched
/// meanwhile. Records of a million accounts are in no cache, and to wait for one takes as long as
/// the work on it. A row that is not there is nothing to fetch.
pub fn fetch(records: &[u8], record_bytes: usize, rows: &[i64], at: usize) {
    let record = rows.get(at + AHEAD).and_then(|&row| {
        let start = usize::try_from(row).ok()?.checked_mul(record_bytes)?;
        records.get(start..start.checked_add(record_bytes)?)
    });
    for line in record.unwrap_or_default().chunks(LINE) {
        fetch_line(line);
    }
}

#[cfg(target_arch = "x86_64")]
fn fetch_line(line: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint to the processor, which changes nothing, and the address is one of ours.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
}

/// Rust has no such hint for other processors.
#[cfg(not(target_arch = "x86_64"))]
fn fetch_line(_: &[u8]) {}
