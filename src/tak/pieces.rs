//! A file of the routing folder in pieces, so that a national TAK's rows are read one by one and no
//! tree of the whole file is ever made.

use memchr::memmem;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One row, or what stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'t> {
    /// Where it begins in the file.
    pub(super) start: usize,
    /// From its heading to the next row.
    pub(super) text: &'t str,
    /// Which rows it is one of; absent for what stands before the first.
    pub(super) key: Option<&'static str>,
}

/// The rows that there may be many of, by their key.
const MANY: [(&str, &str); 2] = [("[[route]]", "route"), ("[[permission]]", "permission")];

/// The pieces of a file; `None` where a heading may stand inside a text, so that only the whole file
/// tells.
///
/// Anywhere else, a line that is such a heading is one: no value is written like it.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let bytes = text.as_bytes();
    if [r#"""""#, "'''"].iter().any(|it| memmem::find(bytes, it.as_bytes()).is_some()) {
        return None;
    }
    let mut found = Vec::new();
    let mut last = Piece { start: 0, text: "", key: None };
    for start in memmem::find_iter(bytes, b"[[") {
        if let Some(key) = heading(text, start) {
            found.push(Piece { text: text.get(last.start..start)?, ..last });
            last = Piece { start, text: "", key: Some(key) };
        }
    }
    found.push(Piece { text: text.get(last.start..)?, ..last });
    Some(found)
}

fn heading(text: &str, start: usize) -> Option<&'static str> {
    let before = text.get(..start)?;
    if !(before.is_empty() || before.ends_with('\n')) {
        return None;
    }
    let line = text.get(start..)?.lines().next()?;
    let (rest, key) = MANY.iter().find_map(|it| Some((line.strip_prefix(it.0)?, it.1)))?;
    is_end(rest).then_some(key)
}

/// Nothing, white space, or a comment.
fn is_end(rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', '\t', '\r']);
    rest.is_empty() || rest.starts_with('#')
}

/// A row of nothing but plain texts in quotes, days and comments, each on a line of its own; `None`
/// where the row needs a whole TOML reader. Its spans are those of the file.
pub(super) fn plain<'t>(row: &Piece<'t>) -> Option<DeTable<'t>> {
    let mut table = DeTable::new();
    let mut at = row.start;
    for (number, whole) in row.text.split_inclusive('\n').enumerate() {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.bytes().fold(false, |any, it| any | (it < b' ' && it != b'\t') | (it == 0x7F)) {
            return None;
        }
        // The first line is the heading.
        if number > 0 && !is_end(line) {
            let (key, value) = entry(line, at)?;
            if table.insert(key, value).is_some() {
                return None;
            }
        }
        at = at.checked_add(whole.len())?;
    }
    Some(table)
}

type Entry<'t> = (Spanned<std::borrow::Cow<'t, str>>, Spanned<DeValue<'t>>);

/// `key = "text"` or `key = 2026-01-31`, on a line that begins at `at`.
fn entry(line: &str, at: usize) -> Option<Entry<'_>> {
    let blank = [' ', '\t'];
    let from = line.trim_start_matches(blank);
    let is_key = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    let after = from.trim_start_matches(is_key);
    let key = from.get(..from.len().checked_sub(after.len())?).filter(|it| !it.is_empty())?;
    let from = after.trim_start_matches(blank).strip_prefix('=')?.trim_start_matches(blank);
    let (value, rest) = match from.bytes().next()? {
        b'"' => text(from, "\"", Some('\\'))?,
        b'\'' => text(from, "'", None)?,
        b'0'..=b'9' => {
            let (day, rest) = from.split_at_checked("2026-01-31".len())?;
            (DeValue::Datetime(day.parse().ok()?), rest)
        }
        _ => return None,
    };
    let span = |part: &str| {
        let start = at.checked_add(part.as_ptr().addr().checked_sub(line.as_ptr().addr())?)?;
        Some(start..start.checked_add(part.len())?)
    };
    let written = from.get(..from.len().checked_sub(rest.len())?)?;
    is_end(rest).then_some(())?;
    Some((Spanned::new(span(key)?, key.into()), Spanned::new(span(written)?, value)))
}

/// A text in `quote`s, and what follows it.
fn text<'t>(from: &'t str, quote: &str, escape: Option<char>) -> Option<(DeValue<'t>, &'t str)> {
    let (text, rest) = from.strip_prefix(quote)?.split_once(quote)?;
    let is_plain = escape.is_none_or(|it| !text.contains(it));
    is_plain.then(|| (DeValue::String(text.into()), rest))
}
