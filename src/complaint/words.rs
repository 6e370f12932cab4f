//! Bounds of what people write: what is kept must be possible to send.

/// Why a text cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFault {
    /// Nothing but white space.
    Empty,
    /// More than so many characters.
    TooLong(usize),
    /// A character that no message can carry.
    Unfit(char),
}

/// Whether a text of at most `most` characters fits in the messages of the contracts.
///
/// # Errors
/// The first bound that it breaks; emptiness is for [`given`] to mind.
pub fn within(text: &str, most: usize) -> Result<(), TextFault> {
    if text.chars().nth(most).is_some() {
        return Err(TextFault::TooLong(most));
    }
    let unfit = |c: &char| {
        (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || matches!(c, '\u{FFFE}' | '\u{FFFF}')
    };
    text.chars().find(unfit).map_or(Ok(()), |c| Err(TextFault::Unfit(c)))
}

/// As [`within`], and not empty.
///
/// # Errors
/// The first bound that it breaks.
pub fn given(text: &str, most: usize) -> Result<(), TextFault> {
    if text.trim().is_empty() { Err(TextFault::Empty) } else { within(text, most) }
}
