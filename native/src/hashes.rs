//! Hashes of texts, and buckets of contacts, as in `stream_app/events/batch.py`.

use pyo3::prelude::*;

use crate::buffers::{Buffer, distinct};

pub const NO_CONTACT: u8 = 255;

/// CRC-32 of a text; 1 where it would be 0, which means "none".
pub fn hash32(text: &[u8]) -> u32 {
    crc32fast::hash(text).max(1)
}

/// Bucket 0..63 of a contact's hash; 255 where the hash is 0: nobody. The finaliser of MurmurHash3
/// (A. Appleby, public domain).
pub fn bucket(hash: u32) -> u8 {
    if hash == 0 {
        return NO_CONTACT;
    }
    let mut mixed = hash ^ (hash >> 16);
    mixed = mixed.wrapping_mul(0x85EB_CA6B);
    mixed ^= mixed >> 13;
    mixed = mixed.wrapping_mul(0xC2B2_AE35);
    mixed ^= mixed >> 16;
    (mixed & 63) as u8
}

/// Writes the bucket of each of `hashes` (uint32) to `out` (uint8), which is as long.
#[pyfunction]
pub fn contact_buckets(hashes: Buffer, out: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut out = Buffer::writable(out)?;
    distinct(&[&hashes, &out])?;
    let count = out.len();
    // SAFETY: the two share no memory, and no Python code runs before this function returns.
    let (hashes, out) = unsafe { (hashes.values::<u32>(count)?, out.bytes_mut()?) };
    for (to, &hash) in out.iter_mut().zip(hashes) {
        *to = bucket(hash);
    }
    Ok(())
}
