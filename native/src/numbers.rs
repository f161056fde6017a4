//! Numbers in records: fields at given bytes, little-endian, of any alignment.

/// A struct of some values by name: where fields of a record begin, as numpy's dtype says, if no type
/// is named.
macro_rules! fields {
    ($name:ident { $($field:ident),* $(,)? }) => {
        crate::numbers::fields!($name: usize { $($field),* });
    };
    ($name:ident: $type:ty { $($field:ident),* $(,)? }) => {
        struct $name { $($field: $type),* }

        impl $name {
            /// KeyError: one is missing.
            fn new(given: &std::collections::HashMap<String, $type>) -> pyo3::PyResult<Self> {
                Ok(Self { $($field: *given.get(stringify!($field)).ok_or_else(|| {
                    pyo3::exceptions::PyKeyError::new_err(concat!("no ", stringify!($field)))
                })?),* })
            }
        }
    };
}
pub(crate) use fields;

/// A number that can be read from a record and written to it.
pub trait Number: Sized {
    fn get(bytes: &[u8], at: usize) -> Self;
    fn put(self, bytes: &mut [u8], at: usize);
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            #[inline(always)]
            fn get(bytes: &[u8], at: usize) -> Self {
                let raw = bytes[at..at + size_of::<Self>()].try_into();
                Self::from_le_bytes(raw.expect("the slice has the size of the number"))
            }
            #[inline(always)]
            fn put(self, bytes: &mut [u8], at: usize) {
                bytes[at..at + size_of::<Self>()].copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
numbers!(u8, u32, u64, i32, i64, f32, f64);
