//! `Pseudonyms` of `stream_app/events/decode.py`, as far as their hashes are concerned.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hashes::hash32;

pub struct Pseudonyms {
    keyed: Hmac<Sha256>,
}

impl Pseudonyms {
    pub fn new(key: &[u8]) -> Self {
        let keyed = Hmac::new_from_slice(key).expect("a key may have any length");
        Self { keyed }
    }

    /// Hash of what stands for a contact: of its id, or where that is an address, of its pseudonym.
    /// None: an address that is not ASCII, whose lower case only Python knows as Python does.
    pub fn hash(&self, contact: &[u8]) -> Option<u32> {
        if !contact.contains(&b'@') {
            return Some(hash32(contact));
        }
        if !contact.is_ascii() {
            return None;
        }
        let mut mac = self.keyed.clone();
        let address = stripped(contact);
        let mut lower = [0_u8; 256];
        let lower = lower.get_mut(..address.len())?; // which an id's most characters fit into
        lower.copy_from_slice(address);
        lower.make_ascii_lowercase();
        mac.update(lower);
        let digest = mac.finalize().into_bytes();
        let mut pseudonym = *b"hmac-0123456789abcdef0123456789abcdef";
        for (pair, byte) in pseudonym[5..].chunks_exact_mut(2).zip(digest) {
            pair[0] = hex_digit(byte >> 4);
            pair[1] = hex_digit(byte & 15);
        }
        Some(hash32(&pseudonym))
    }
}

/// Without the blanks around it, which to Python's `str.strip` are more than to Rust.
fn stripped(mut text: &[u8]) -> &[u8] {
    while let [b'\t'..=b'\r' | b'\x1c'..=b' ', rest @ ..]
    | [rest @ .., b'\t'..=b'\r' | b'\x1c'..=b' '] = text
    {
        text = rest;
    }
    text
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'a' + value - 10
    }
}
