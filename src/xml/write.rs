//! Text made fit to stand in XML.

use super::is_xml_char;

/// Adds `text` to `out` as element content: the same text is read back, except that a character
/// which XML does not have becomes U+FFFD.
pub fn push_text(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            c if is_xml_char(c) => out.push(c),
            _ => out.push('\u{FFFD}'),
        }
    }
}

/// The text with every character that XML does not have as U+FFFD, and line ends as one LF.
#[must_use]
pub fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().map(|c| if is_xml_char(c) { c } else { '\u{FFFD}' }).collect()
}
