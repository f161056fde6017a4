//! Parts of JSON, written as msgspec writes them: `tests/native` compares them.

use std::io::Write;

/// Decimal numbers of so many digits are told apart by doubles, so that the shortest text of a
/// double that is the nearest to one of them is that one.
const EXACT_INTEGERS: f64 = 1e15;

pub fn put_integer(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    out.extend_from_slice(written(value, &mut digits));
}

/// The decimal digits of a number.
fn written(mut value: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[at..];
        }
    }
}

/// The shortest text of the double that is nearest to units / 10^decimals, as msgspec writes it.
/// None: `units` is no integer that is small enough, or below 0.
pub fn put_decimal(units: f64, decimals: usize, out: &mut Vec<u8>) -> Option<()> {
    if !(units.is_sign_positive() && units < EXACT_INTEGERS) {
        return None;
    }
    let (mut left, mut decimals) = (units as u64, decimals);
    if left == 0 {
        out.extend_from_slice(b"0.0");
        return Some(());
    }
    while decimals > 0 && left.is_multiple_of(10) {
        left /= 10;
        decimals -= 1;
    }
    let mut room = [0; 20];
    let digits = written(left, &mut room);
    // The digits before the point; below 0, the zeros between it and the first digit.
    let point = digits.len() as i64 - decimals as i64;
    if point <= -5 {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        return write!(out, "e{}", point - 1).ok();
    }
    let before = point.max(0) as usize;
    if before == 0 {
        out.extend_from_slice(&b"0.0000"[..(2 - point) as usize]);
    } else {
        out.extend_from_slice(&digits[..before]);
        out.push(b'.');
    }
    out.extend_from_slice(&digits[before..]);
    if decimals == 0 {
        out.push(b'0');
    }
    Some(())
}

pub fn put_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
