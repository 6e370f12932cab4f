//! A message from one character set to another while it passes, its XML declaration with it.

use super::ReadError;
use super::encoding::{Encoding, ToUtf8};

/// An XML declaration is looked for in no more characters than this.
const DECLARATION_BYTES_MAX: usize = 256;

/// Converts a message, in pieces of any size.
#[derive(Debug)]
pub struct Recoder {
    from: ToUtf8,
    to: Encoding,
    /// The beginning of the text, until it is known whether it is a declaration.
    beginning: Option<String>,
}

impl Recoder {
    /// From what `content_type` and the message itself say to `to`.
    ///
    /// # Errors
    /// On a `charset` that is not read here.
    pub fn new(content_type: Option<&str>, to: Encoding) -> Result<Self, ReadError> {
        Ok(Self { from: ToUtf8::new(content_type)?, to, beginning: Some(String::new()) })
    }

    /// Converts the next bytes onto `out`.
    ///
    /// # Errors
    /// On bytes that do not belong to the message's character set.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ReadError> {
        let Self { from, to, beginning } = self;
        from.push(bytes, &mut |text| {
            take(*to, beginning, text, out);
            Ok(())
        })
    }

    /// The message has ended.
    ///
    /// # Errors
    /// In the middle of a character.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let Self { from, to, beginning } = self;
        from.finish(&mut |text| {
            take(*to, beginning, text, out);
            Ok(())
        })?;
        if let Some(held) = beginning.take() {
            write(*to, &held, out);
        }
        Ok(())
    }
}

impl Encoding {
    /// For `charset=` and for XML declarations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Latin1 => "ISO-8859-1",
        }
    }
}

fn take(to: Encoding, beginning: &mut Option<String>, text: &str, out: &mut Vec<u8>) {
    let Some(held) = beginning else { return write(to, text, out) };
    held.push_str(text);
    let possible = "<?xml".starts_with(held.get(..5).unwrap_or(held));
    // Not further, so that it does not matter how much comes at once.
    let end = held.find("?>").map(|at| at + 2).filter(|end| *end <= DECLARATION_BYTES_MAX);
    if possible && end.is_none() && held.len() < DECLARATION_BYTES_MAX {
        return;
    }
    let held = beginning.take().unwrap_or_default();
    // The byte order mark tells which of the two UTF-16 it is.
    if matches!(to, Encoding::Utf16Le | Encoding::Utf16Be) {
        write(to, "\u{feff}", out);
    }
    let rest = match end.filter(|_| possible) {
        Some(end) => held.get(end..).unwrap_or_default(),
        None => &held,
    };
    // Without a declaration, ISO-8859-1 would be taken for UTF-8 by one who has only the text.
    if rest.len() < held.len() || to == Encoding::Latin1 {
        write(to, &format!("<?xml version=\"1.0\" encoding=\"{}\"?>", to.label()), out);
    }
    write(to, rest, out);
}

/// What ISO-8859-1 lacks is written as a character reference; so are the places where it and
/// windows-1252 differ.
fn write(to: Encoding, text: &str, out: &mut Vec<u8>) {
    match to {
        Encoding::Utf8 => out.extend_from_slice(text.as_bytes()),
        Encoding::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        Encoding::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
        Encoding::Latin1 => {
            for character in text.chars() {
                match u8::try_from(character) {
                    Ok(byte) if !(0x80..0xa0).contains(&byte) => out.push(byte),
                    _ => out.extend(format!("&#{};", u32::from(character)).bytes()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recode(bytes: &[u8], content_type: Option<&str>, to: Encoding) -> Vec<u8> {
        let whole = |step: usize| {
            let mut out = Vec::new();
            let mut recoder = Recoder::new(content_type, to).unwrap();
            bytes.chunks(step).for_each(|chunk| recoder.push(chunk, &mut out).unwrap());
            recoder.finish(&mut out).unwrap();
            out
        };
        assert_eq!(whole(1), whole(bytes.len().max(1)), "any cut gives the same");
        whole(7)
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn utf_16_becomes_utf_8_and_says_so_in_its_declaration() {
        let given = utf16("\u{feff}<?xml version='1.0' encoding='utf-16'?><a>Åäö€😀</a>");
        let got = recode(&given, None, Encoding::Utf8);
        let want = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>Åäö€😀</a>";
        assert_eq!(String::from_utf8(got).unwrap(), want);
        let bare = recode(&utf16("\u{feff}<a>Å</a>"), None, Encoding::Utf8);
        assert_eq!(String::from_utf8(bare).unwrap(), "<a>Å</a>");
    }

    #[test]
    fn an_answer_becomes_utf_16_with_a_byte_order_mark() {
        let got = recode("<a>Å</a>".as_bytes(), None, Encoding::Utf16Le);
        assert_eq!(got, utf16("\u{feff}<a>Å</a>"));
        let got = recode(b"<?xml version=\"1.0\"?><a/>", None, Encoding::Utf16Be);
        assert_eq!(got.get(..4).unwrap(), [0xfe, 0xff, 0, b'<']);
    }

    #[test]
    fn what_iso_8859_1_lacks_is_written_as_a_reference() {
        let got = recode("<a>Å€\u{85}</a>".as_bytes(), None, Encoding::Latin1);
        let want = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xc5&#8364;&#133;</a>";
        assert_eq!(got, want);
    }

    #[test]
    fn what_only_looks_like_a_declaration_is_kept() {
        for text in ["<?xm", "<a>?></a>", "", "<", "<!-- ?> --><a/>"] {
            assert_eq!(recode(text.as_bytes(), None, Encoding::Utf8), text.as_bytes());
        }
        let late = format!("<?xml version='1.0'{}?><a/>", " ".repeat(DECLARATION_BYTES_MAX));
        assert_eq!(recode(late.as_bytes(), None, Encoding::Utf8), late.as_bytes());
    }
}
