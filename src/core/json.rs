//! Reads the fields of a JSON object, or the elements of an array, without reading their values, and writes the few texts
//! that an envelope needs.
//!
//! An envelope's payload stays as it came: it is a slice, decoded once, by whoever wants it.

use std::borrow::Cow;

/// One field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, unescaped.
    pub name: Cow<'a, str>,
    /// Its value, as it came.
    pub value: &'a [u8],
}

/// The text is no JSON object, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object (byte {at})")]
pub struct Malformed {
    /// Where it ceases to be one.
    pub at: usize,
}

/// The fields of an object, in order. Ends after the first error.
#[derive(Debug)]
pub struct Fields<'a> {
    text: &'a [u8],
    at: usize,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    After,
    Done,
}

/// The fields of the object that `text` is.
#[must_use]
pub fn fields(text: &[u8]) -> Fields<'_> {
    Fields { text, at: 0, stage: Stage::Begin }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let Raw { name, value, .. } = match self.next_raw()? {
            Ok(raw) => raw,
            Err(error) => return Some(Err(error)),
        };
        let Some(name) = text(name) else {
            self.stage = Stage::Done;
            return Some(Err(Malformed { at: self.at }));
        };
        Some(Ok(Field { name, value }))
    }
}

/// One field of an object, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Its name, with the quotes.
    pub name: &'a [u8],
    /// Whether the name has escapes.
    pub escaped: bool,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next field without a look at its name: for those who compare it only.
    #[inline]
    pub fn next_raw(&mut self) -> Option<Result<Raw<'a>, Malformed>> {
        if self.stage == Stage::Done {
            return None;
        }
        match self.advance() {
            Some(Some(field)) => {
                self.stage = Stage::After;
                Some(Ok(field))
            }
            Some(None) => {
                self.stage = Stage::Done;
                None
            }
            None => {
                self.stage = Stage::Done;
                Some(Err(Malformed { at: self.at }))
            }
        }
    }

    /// The next field, `Some(None)` at the object's end, `None` when it is none.
    #[inline]
    fn advance(&mut self) -> Option<Option<Raw<'a>>> {
        if !self.another(b'{', b'}')? {
            return self.end();
        }
        let (name, escaped) = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        let value = self.value()?;
        Some(Some(Raw { name, escaped, value }))
    }

    /// The next element, likewise.
    fn item(&mut self) -> Option<Option<&'a [u8]>> {
        if !self.another(b'[', b']')? {
            return self.end();
        }
        self.value().map(Some)
    }

    /// Whether there is another one, up to which it goes; otherwise the closing byte is next.
    fn another(&mut self, open: u8, close: u8) -> Option<bool> {
        self.space();
        if self.stage == Stage::Begin {
            self.expect(open)?;
            self.space();
            return Some(self.peek()? != close);
        }
        match self.peek()? {
            b',' => self.at += 1,
            byte => return (byte == close).then_some(false),
        }
        self.space();
        Some(true)
    }

    /// Past the closing byte only space may follow.
    fn end<T>(&mut self) -> Option<Option<T>> {
        self.at += 1;
        self.space();
        (self.at == self.text.len()).then_some(None)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A string with its quotes, and whether it has escapes.
    #[inline]
    fn string(&mut self) -> Option<(&'a [u8], bool)> {
        let start = self.at;
        self.expect(b'"')?;
        let mut escaped = false;
        // Most are short: their end is found sooner than a search for it begins.
        for _ in 0..NEAR {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some((&self.text[start..self.at], escaped));
                }
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            if self.peek()? == b'"' {
                self.at += 1;
                return Some((&self.text[start..self.at], escaped));
            }
            escaped = true;
            self.at += 2;
        }
    }

    /// Any value. Only its extent is found: whether it is well formed is its decoder's business.
    fn value(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        match self.peek()? {
            b'"' => self.string().map(|(string, _)| string),
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    match self.peek()? {
                        b'"' => {
                            self.string()?;
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        return Some(&self.text[start..self.at]);
                    }
                }
            }
            _ => {
                while !matches!(self.peek(), None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')) {
                    self.at += 1;
                }
                (self.at > start).then(|| &self.text[start..self.at])
            }
        }
    }
}

/// So many bytes of a string are looked at before the rest is searched.
const NEAR: usize = 16;

/// The elements of an array, in order. Ends after the first error.
#[derive(Debug)]
pub struct Items<'a>(Fields<'a>);

/// The elements of the array that `text` is.
#[must_use]
pub fn items(text: &[u8]) -> Items<'_> {
    Items(fields(text))
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let within = &mut self.0;
        if within.stage == Stage::Done {
            return None;
        }
        let item = within.item();
        within.stage = if matches!(item, Some(Some(_))) { Stage::After } else { Stage::Done };
        match item {
            Some(item) => item.map(Ok),
            None => Some(Err(Malformed { at: within.at })),
        }
    }
}

/// The text that a JSON string says; `None` when the value is no string.
#[must_use]
pub fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if is_plain(inner, |byte| matches!(byte, b'\\' | 0..0x20)) {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(value).ok().map(Cow::Owned)
}

/// Whether none of the bytes is special. It looks at all of them, many at once.
#[inline]
fn is_plain(text: &[u8], special: impl Fn(u8) -> bool) -> bool {
    !text.iter().fold(false, |any, byte| any | special(*byte))
}

/// The number that a value is.
#[must_use]
pub fn number(value: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// The texts of an array; `None` when the value is anything else.
#[must_use]
pub fn texts(value: &[u8]) -> Option<Vec<String>> {
    serde_json::from_slice(value).ok()
}

/// Appends a text as a JSON string.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let special = |byte| matches!(byte, b'"' | b'\\' | 0..0x20);
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while !is_plain(rest, special) {
        let Some(at) = rest.iter().position(|byte| special(*byte)) else { break };
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        match from[0] {
            byte @ (b'"' | b'\\') => out.extend([b'\\', byte]),
            byte => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &from[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends an array of texts.
pub fn write_texts<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    out.push(b'[');
    for (place, text) in texts.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_text(out, text);
    }
    out.push(b']');
}
