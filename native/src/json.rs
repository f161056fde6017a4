//! A strict reader of JSON that goes from value to value, and makes nothing of what nobody reads.
//!
//! It knows less than a whole parser: `None` means "not ordinary", and somebody else reads the text
//! again. That, and copying nothing, makes it several times as fast for our events as typed visitors
//! of serde_json were (0.56 µs an event). What it does read it reads as msgspec does: `tests/native`
//! compares them.

use std::mem;

/// UTF-8, without escapes.
pub type Text<'a> = &'a [u8];

pub enum Value<'a> {
    Text(Text<'a>),
    Null,
    True,
    False,
    /// A number, a list or an object, passed over.
    Other,
}

const DEEPEST: u32 = 32;
/// Powers of ten that a double holds exactly, as far as `amount` needs them.
const TENS: [f64; 16] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// A place in a text. It is copied in and out of what is seldom called, so that where it is often
/// used it stays in registers.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Where texts are put that had escapes: as long as all that is read, at least.
pub struct Room<'a>(pub &'a mut [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte that is no blank, which stays.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let next = *self.bytes.get(self.at)?;
            if !matches!(next, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(next);
            }
            self.at += 1;
        }
    }

    /// Whether the next byte is this one; if so, it is taken.
    #[inline(always)]
    pub fn took(&mut self, wanted: u8) -> Option<bool> {
        let found = self.peek()? == wanted;
        self.at += usize::from(found);
        Some(found)
    }

    #[inline(always)]
    pub fn take(&mut self, wanted: u8) -> Option<()> {
        self.took(wanted)?.then_some(())
    }

    /// Nothing but blanks is left.
    pub fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Behind a field or an item: true at the last, false where another one follows.
    #[inline(always)]
    pub fn ends(&mut self, end: u8) -> Option<bool> {
        if self.took(b',')? {
            return Some(false);
        }
        self.take(end).map(|()| true)
    }

    /// A field's name, in plain ASCII, and the colon.
    #[inline(always)]
    pub fn name(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let name = self.plain();
        if *self.bytes.get(self.at)? != b'"' {
            return None;
        }
        self.at += 1;
        self.take(b':')?;
        Some(name)
    }

    #[inline(always)]
    pub fn value(&mut self, room: &mut Room<'a>) -> Option<Value<'a>> {
        if let b'{' | b'[' | b'-' | b'0'..=b'9' = self.peek()? {
            *self = self.passed(DEEPEST, room)?;
            return Some(Value::Other);
        }
        self.scalar(room)
    }

    /// A value that is neither a number nor holds others.
    #[inline(always)]
    fn scalar(&mut self, room: &mut Room<'a>) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => Some(Value::Text(self.text(room)?)),
            b'n' => self.literal(b"null", Value::Null),
            b't' => self.literal(b"true", Value::True),
            b'f' => self.literal(b"false", Value::False),
            _ => None,
        }
    }

    #[inline(always)]
    pub fn text(&mut self, room: &mut Room<'a>) -> Option<Text<'a>> {
        self.take(b'"')?;
        let text = self.plain();
        if *self.bytes.get(self.at)? == b'"' {
            self.at += 1;
            return Some(text);
        }
        let (text, behind) = self.unusual_text(text.len(), room)?;
        *self = behind;
        Some(text)
    }

    /// A number from 0 on, without an exponent.
    pub fn amount(&mut self) -> Option<f64> {
        self.peek()?;
        let start = self.at;
        let whole = self.digits()?;
        if whole > 1 && self.bytes[start] == b'0' {
            return None;
        }
        let mut fraction = 0;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            fraction = self.digits()?;
        }
        let number = &self.bytes[start..self.at];
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) || whole + fraction > 19 {
            return None;
        }
        if whole + fraction > 15 {
            return std::str::from_utf8(number).ok()?.parse().ok();
        }
        let digits = number.iter().filter(|&&c| c != b'.');
        let mantissa = digits.fold(0_u64, |sum, c| sum * 10 + u64::from(c - b'0'));
        // Both are exact, so the quotient is rounded once, as it should be.
        Some(mantissa as f64 / TENS[fraction])
    }

    #[inline(always)]
    fn literal(&mut self, wanted: &[u8], value: Value<'a>) -> Option<Value<'a>> {
        let found = self.bytes.get(self.at..)?.starts_with(wanted);
        self.at += wanted.len();
        found.then_some(value)
    }

    /// The place behind any value.
    fn passed(mut self, depth: u32, room: &mut Room<'a>) -> Option<Self> {
        let depth = depth.checked_sub(1)?; // the only recursion here is below
        let end = match self.peek()? {
            b'{' => b'}',
            b'[' => b']',
            b'-' | b'0'..=b'9' => return self.passed_number(),
            _ => return self.scalar(room).map(|_| self),
        };
        self.at += 1;
        if self.took(end)? {
            return Some(self);
        }
        loop {
            if end == b'}' {
                self.name()?;
            }
            self = self.passed(depth, room)?;
            if self.ends(end)? {
                return Some(self);
            }
        }
    }

    fn passed_number(mut self) -> Option<Self> {
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        let start = self.at;
        if self.digits()? > 1 && self.bytes[start] == b'0' {
            return None;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(self)
    }

    /// Passes over digits, one at least; how many.
    fn digits(&mut self) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?;
        let count = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(count)
    }

    /// Printable ASCII up to a quote, a backslash, anything else, or the end.
    #[inline(always)]
    fn plain(&mut self) -> &'a [u8] {
        const EACH: u64 = 0x0101_0101_0101_0101;
        let start = self.at;
        // Eight at once. The lowest of the marked bytes is marked rightly; above it a borrow may
        // have marked more.
        while let Some(eight) = self.bytes.get(self.at..self.at + 8) {
            let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
            let (quote, slash) = (word ^ (EACH * b'"' as u64), word ^ (EACH * b'\\' as u64));
            let marked = (quote.wrapping_sub(EACH) & !quote)
                | (slash.wrapping_sub(EACH) & !slash)
                | (word.wrapping_sub(EACH * b' ' as u64) & !word)
                | word;
            let marked = marked & (EACH * 0x80);
            if marked != 0 {
                self.at += marked.trailing_zeros() as usize / 8;
                return &self.bytes[start..self.at];
            }
            self.at += 8;
        }
        while let Some(b' '..=b'!' | b'#'..=b'[' | b']'..=b'\x7f') = self.bytes.get(self.at) {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    /// A text that goes on with an escape or with what is not ASCII, behind so many bytes.
    #[cold]
    fn unusual_text(mut self, before: usize, room: &mut Room<'a>) -> Option<(Text<'a>, Self)> {
        let start = self.at - before;
        let mut from = start;
        let mut length = 0; // of what is in the room
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => {
                    length = room.put(&self.bytes[from..self.at], length);
                    self.at += 1;
                    let mut character = [0; 4];
                    length = room.put(self.escaped(&mut character)?, length);
                    from = self.at;
                }
                ..b' ' => return None,
                b' '..=b'\x7f' => _ = self.plain(),
                b'\x80'.. => self.at += 1,
            }
        }
        let text = if from == start {
            &self.bytes[start..self.at]
        } else {
            length = room.put(&self.bytes[from..self.at], length);
            room.keep(length)
        };
        self.at += 1;
        // An escape is a whole character, so it cannot complete one that breaks off before it.
        std::str::from_utf8(text).ok()?;
        Some((text, self))
    }

    fn escaped<'c>(&mut self, character: &'c mut [u8; 4]) -> Option<&'c [u8]> {
        let escaped = *self.bytes.get(self.at)?;
        self.at += 1;
        let found = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => match self.code_unit()? {
                first @ 0xD800..0xDC00 => {
                    let second = self.bytes.get(self.at..)?.starts_with(b"\\u");
                    self.at += 2;
                    let pair = [first, second.then(|| self.code_unit())??];
                    char::decode_utf16(pair).next()?.ok()?
                }
                unit => char::from_u32(unit.into())?,
            },
            _ => return None,
        };
        Some(found.encode_utf8(character).as_bytes())
    }

    fn code_unit(&mut self) -> Option<u16> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, &digit| {
            Some(unit << 4 | char::from(digit).to_digit(16)? as u16)
        })
    }
}

impl<'a> Room<'a> {
    /// Puts a piece behind the first `length` bytes; how many there are then.
    fn put(&mut self, piece: &[u8], length: usize) -> usize {
        self.0[length..][..piece.len()].copy_from_slice(piece);
        length + piece.len()
    }

    fn keep(&mut self, length: usize) -> &'a [u8] {
        let (text, rest) = mem::take(&mut self.0).split_at_mut(length);
        self.0 = rest;
        text
    }
}
