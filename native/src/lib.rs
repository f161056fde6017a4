//! The parts of stream-app that are compiled. See README.md.

mod accounts;
mod ahead;
mod buffers;
mod bulk_strings;
mod decide;
mod decode;
mod event;
mod features;
mod fetched;
mod hashes;
mod index;
mod instants;
mod json;
mod json_write;
mod kafka;
mod numbers;
mod packing;
mod panics;
mod pseudonyms;
mod step;
mod texts;
mod topics;

use pyo3::prelude::*;

/// Version of what this module offers to Python. `stream_app/native.py` wants exactly one.
const INTERFACE: u32 = 15;

// The GIL is what keeps Python from changing a buffer while we look at it.
#[pymodule(gil_used = true)]
mod stream_app_native {
    use super::*;

    #[pymodule_export]
    use crate::accounts::AccountWriter;
    #[pymodule_export]
    use crate::bulk_strings::bulk_strings;
    #[pymodule_export]
    use crate::decide::Rule;
    #[pymodule_export]
    use crate::decode::EventDecoder;
    #[pymodule_export]
    use crate::features::Features;
    #[pymodule_export]
    use crate::fetched::{FetchedRecord, FetchedRecords, fetched_records};
    #[pymodule_export]
    use crate::hashes::contact_buckets;
    #[pymodule_export]
    use crate::index::Index;
    #[pymodule_export]
    use crate::kafka::{crc32c, record_batches, seal_batch};
    #[pymodule_export]
    use crate::packing::{Packed, pack_records, unpack_records};
    #[pymodule_export]
    use crate::panics::fail;
    #[pymodule_export]
    use crate::step::Stepper;
    #[pymodule_export]
    use crate::texts::Texts;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("INTERFACE", INTERFACE)
    }
}
