//! From the bytes of a message to UTF-8 text, piece by piece.
//!
//! The order of belief is the platform's: a byte order mark and the look of the first bytes, then the
//! `charset` of the Content-Type, then the XML declaration, then UTF-8. A message that says UTF-16
//! and is not is read as UTF-8, as the platform does.

use encoding_rs::{DecoderResult, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::ReadError;

/// Where converted text goes.
pub type Sink<'a> = dyn FnMut(&str) -> Result<(), ReadError> + 'a;

/// An XML declaration is looked for in no more than this.
const DECLARATION_BYTES_MAX: usize = 256;

/// What is converted at a time, in bytes.
const BLOCK_BYTES: usize = 16 * 1024;

/// An incremental conversion to UTF-8. UTF-8 passes through unchanged (without its byte order mark),
/// but is checked.
#[derive(Debug)]
pub struct ToUtf8 {
    /// As the Content-Type says.
    told: Option<Charset>,
    state: State,
    /// The first bytes while the encoding is not known; then the begun character between two chunks.
    held: Vec<u8>,
}

/// The character sets that messages come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// With or without byte order mark.
    Utf8,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
    /// ISO-8859-1; read as windows-1252, which holds it.
    Latin1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Utf16,
    Latin1,
}

#[derive(Debug)]
enum State {
    Looking,
    Utf8,
    Other(Box<Converter>),
}

struct Converter {
    decoder: encoding_rs::Decoder,
    text: String,
}

impl std::fmt::Debug for Converter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.decoder.encoding().name())
    }
}

impl ToUtf8 {
    /// `content_type` is the HTTP header's value. Fails on a `charset` that is not read here.
    pub fn new(content_type: Option<&str>) -> Result<Self, ReadError> {
        let told = match content_type.and_then(charset_of) {
            Some(label) => Some(Charset::named(label).ok_or(ReadError::Charset)?),
            None => None,
        };
        Ok(Self { told, state: State::Looking, held: Vec::new() })
    }

    /// Whether the message is UTF-8 as it came; `None` until it is known.
    #[must_use]
    pub fn is_utf8(&self) -> Option<bool> {
        match self.state {
            State::Looking => None,
            State::Utf8 => Some(true),
            State::Other(_) => Some(false),
        }
    }

    /// What the message came in; `None` until it is known.
    #[must_use]
    pub fn encoding(&self) -> Option<Encoding> {
        match &self.state {
            State::Looking => None,
            State::Utf8 => Some(Encoding::Utf8),
            State::Other(converter) => Some(match converter.decoder.encoding() {
                it if it == UTF_16LE => Encoding::Utf16Le,
                it if it == UTF_16BE => Encoding::Utf16Be,
                _ => Encoding::Latin1,
            }),
        }
    }

    /// Converts the next bytes.
    pub fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<(), ReadError> {
        match &mut self.state {
            State::Looking => {
                self.held.extend_from_slice(chunk);
                self.look(false, sink)
            }
            State::Utf8 => self.utf8(chunk, sink),
            State::Other(converter) => converter.push(chunk, false, sink),
        }
    }

    /// The message has ended. Fails in the middle of a character.
    pub fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        if matches!(self.state, State::Looking) {
            self.look(true, sink)?;
        }
        match &mut self.state {
            State::Looking => Ok(()),
            State::Utf8 if self.held.is_empty() => Ok(()),
            State::Utf8 => Err(ReadError::Bytes),
            State::Other(converter) => converter.push(&[], true, sink),
        }
    }

    fn look(&mut self, last: bool, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let Some((mark_bytes, encoding)) = self.decide(last)? else { return Ok(()) };
        let held = std::mem::take(&mut self.held);
        let rest = held.get(mark_bytes..).unwrap_or_default();
        if encoding == UTF_8 {
            self.state = State::Utf8;
            return self.utf8(rest, sink);
        }
        let mut converter = Box::new(Converter {
            decoder: encoding.new_decoder_without_bom_handling(),
            text: String::with_capacity(BLOCK_BYTES * 3),
        });
        let result = converter.push(rest, false, sink);
        self.state = State::Other(converter);
        result
    }

    /// The length of the byte order mark and the encoding; `None` where more bytes are needed.
    fn decide(
        &self,
        last: bool,
    ) -> Result<Option<(usize, &'static encoding_rs::Encoding)>, ReadError> {
        let sure = match self.held.as_slice() {
            [0xEF, 0xBB, 0xBF, ..] => Some((3, UTF_8)),
            [0xFF, 0xFE, ..] => Some((2, UTF_16LE)),
            [0xFE, 0xFF, ..] => Some((2, UTF_16BE)),
            [b'<', 0, ..] => Some((0, UTF_16LE)),
            [0, b'<', ..] => Some((0, UTF_16BE)),
            _ => None,
        };
        if sure.is_some() {
            return Ok(sure);
        }
        let begun = b"<?xml".iter().zip(&self.held).all(|(a, b)| a == b);
        // Not further, so that it does not matter how much comes at once.
        let end = memchr::memmem::find(&self.held, b"?>");
        let end = end.filter(|end| end + 2 <= DECLARATION_BYTES_MAX);
        let enough = self.held.len() >= DECLARATION_BYTES_MAX || end.is_some() || last;
        if self.held.len() < 4 && !last || begun && !enough {
            return Ok(None);
        }
        let charset = match self.told {
            Some(Charset::Latin1) => Charset::Latin1,
            Some(Charset::Utf8) => Charset::Utf8,
            Some(Charset::Utf16) | None if begun => self.declared(end)?,
            Some(Charset::Utf16) | None => Charset::Utf8,
        };
        Ok(Some((0, if charset == Charset::Latin1 { WINDOWS_1252 } else { UTF_8 })))
    }

    fn declared(&self, end: Option<usize>) -> Result<Charset, ReadError> {
        let head = end.and_then(|end| self.held.get(..end)).unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        let Some((_, rest)) = head.split_once("encoding") else { return Ok(Charset::Utf8) };
        let rest = rest.trim_start().trim_start_matches('=').trim_start();
        let label = rest.get(1..).unwrap_or_default().split(['"', '\'']).next().unwrap_or_default();
        Charset::named(label).ok_or(ReadError::Charset)
    }

    fn utf8(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let mut rest = chunk;
        while !self.held.is_empty() {
            let Some((byte, after)) = rest.split_first() else { return Ok(()) };
            self.held.push(*byte);
            rest = after;
            match std::str::from_utf8(&self.held) {
                Ok(character) => {
                    sink(character)?;
                    self.held.clear();
                }
                Err(error) if error.error_len().is_some() => return Err(ReadError::Bytes),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(rest) {
            Ok(text) => sink(text),
            Err(error) => {
                let (good, begun) = rest.split_at(error.valid_up_to());
                sink(std::str::from_utf8(good).unwrap_or_default())?;
                if error.error_len().is_some() {
                    return Err(ReadError::Bytes);
                }
                self.held.extend_from_slice(begun);
                Ok(())
            }
        }
    }
}

impl Converter {
    fn push(&mut self, chunk: &[u8], last: bool, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let mut rest = chunk;
        loop {
            let (result, read) =
                self.decoder.decode_to_string_without_replacement(rest, &mut self.text, last);
            rest = rest.get(read..).unwrap_or_default();
            if !self.text.is_empty() {
                sink(&self.text)?;
                self.text.clear();
            }
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => return Err(ReadError::Bytes),
            }
        }
    }
}

impl Charset {
    fn named(label: &str) -> Option<Self> {
        match label.trim().to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Some(Self::Utf8),
            "utf-16" | "utf-16le" | "utf-16be" => Some(Self::Utf16),
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "windows-1252" | "cp1252" => {
                Some(Self::Latin1)
            }
            _ => None,
        }
    }
}

/// The `charset` parameter of a Content-Type, without its quotes.
fn charset_of(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}
