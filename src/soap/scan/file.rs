//! One file in a message: base64 text in, decoded blocks out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Broken, Part, is_space};

/// Base64 characters decoded at a time: 65 535 bytes. A whole number of groups of four.
const BLOCK_CHARS: usize = 87_380;

/// The longest reference that can stand for a base64 character: `&#x0000000041;` and some more.
const REFERENCE_BYTES_MAX: usize = 16;

/// A file whose end has not come.
#[derive(Debug, Default)]
pub(super) struct OpenFile {
    /// Characters that wait for a whole block, white space taken out.
    staged: Vec<u8>,
    reference: Vec<u8>,
    /// The last group has come: nothing may follow it.
    ended: bool,
    broken: Option<Broken>,
}

impl OpenFile {
    /// Takes the next of the content; white space may stand anywhere in it.
    pub(super) fn text(&mut self, data: &[u8], parts: &mut Vec<Part>) {
        let mut rest = data;
        while let Some(first) = rest.first()
            && self.broken.is_none()
        {
            if is_space(*first) {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let room = BLOCK_CHARS - self.staged.len();
            let window = rest.get(..room).unwrap_or(rest);
            let run = run_of(window);
            self.staged.extend_from_slice(window.get(..run).unwrap_or_default());
            rest = rest.get(run..).unwrap_or_default();
            if self.staged.len() == BLOCK_CHARS {
                self.decode(parts);
            }
        }
    }

    /// Takes the next byte of a reference; true when the reference has ended.
    pub(super) fn reference(&mut self, byte: u8, parts: &mut Vec<Part>) -> bool {
        if byte != b';' && self.reference.len() < REFERENCE_BYTES_MAX {
            self.reference.push(byte);
            return false;
        }
        match character(&self.reference) {
            Some(character) if byte == b';' => self.text(&[character], parts),
            _ => self.broken = self.broken.or(Some(Broken::Reference)),
        }
        self.reference.clear();
        true
    }

    /// Markup came in the middle of a reference.
    pub(super) fn reference_cut(&mut self) {
        self.reference.clear();
        self.broken = self.broken.or(Some(Broken::Reference));
    }

    /// The file has ended.
    pub(super) fn finish(mut self, parts: &mut Vec<Part>) {
        self.decode(parts);
        parts.push(Part::FileEnd { broken: self.broken });
    }

    fn decode(&mut self, parts: &mut Vec<Part>) {
        if self.broken.is_some() || self.staged.is_empty() {
            return;
        }
        let mut bytes = Vec::with_capacity(self.staged.len() / 4 * 3 + 3);
        let decoded = STANDARD.decode_vec(&self.staged, &mut bytes);
        if self.ended || decoded.is_err() {
            self.broken = Some(Broken::NotBase64);
        } else {
            parts.push(Part::FileBytes(bytes));
        }
        self.ended = self.staged.last() == Some(&b'=');
        self.staged.clear();
    }
}

/// How many bytes come before the next white space.
fn run_of(window: &[u8]) -> usize {
    // Line breaks are what stands between base64 lines; other white space is rare.
    let line = memchr::memchr2(b'\n', b'\r', window).unwrap_or(window.len());
    let line = window.get(..line).unwrap_or_default();
    memchr::memchr2(b' ', b'\t', line).unwrap_or(line.len())
}

/// The ASCII character that a numeric reference (without `&` and `;`) stands for.
fn character(reference: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(reference).ok()?.strip_prefix('#')?;
    let (digits, radix) = digits.strip_prefix('x').map_or((digits, 10), |hex| (hex, 16));
    if digits.starts_with('+') {
        return None;
    }
    u8::from_str_radix(digits, radix).ok()
}
