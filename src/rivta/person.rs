//! Person identities by kind: form and check digit, never more.

use crate::complaint::message::Ii;
use crate::id::luhn;

/// Root OID of a personnummer.
pub const PERSONNUMMER: &str = "1.2.752.129.2.1.3.1";
/// Root OID of a samordningsnummer.
pub const SAMORDNINGSNUMMER: &str = "1.2.752.129.2.1.3.3";
/// Root OID of a national reserve number.
pub const NATIONAL_RESERVE: &str = "1.2.752.74.9.1";
/// Root OID of Region Stockholm's reserve number (SLL).
pub const STOCKHOLM_RESERVE: &str = "1.2.752.97.3.1.3";

/// What the check of a person id came to. Texts are rules in Swedish and hold nothing of the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Right by its kind.
    Good,
    /// Of a kind that is not known here: neither right nor wrong.
    Unknown(&'static str),
    /// Wrong by its kind.
    Wrong(&'static str),
}

/// Checks a person id by its root OID.
#[must_use]
pub fn check(id: &Ii) -> Verdict {
    let Some(number) = id.extension.as_deref() else {
        return Verdict::Wrong("numret (extension) ska finnas");
    };
    let (good, rule) = match id.root.as_str() {
        PERSONNUMMER => (
            is_numbered(number, 1..=31),
            "ett personnummer har 12 siffror utan bindestreck och en riktig kontrollsiffra",
        ),
        SAMORDNINGSNUMMER => (
            is_numbered(number, 61..=91),
            "ett samordningsnummer har 12 siffror utan bindestreck, dag plus 60 och en riktig \
             kontrollsiffra",
        ),
        STOCKHOLM_RESERVE => (
            is_stockholm_reserve(number),
            "ett reservnummer i Region Stockholm har formen 99ååååNNNNNK med en riktig \
             kontrollsiffra",
        ),
        NATIONAL_RESERVE => (
            is_national_reserve(number),
            "ett nationellt reservnummer har 12 tecken: 8 siffror, två eller tre bokstäver utom I, \
             O, Q, V och W, och siffror",
        ),
        _ => {
            return Verdict::Unknown(
                "identitetens typ (root) är okänd; numret är inte kontrollerat",
            );
        }
    };
    if good { Verdict::Good } else { Verdict::Wrong(rule) }
}

/// Whether 1177 Inkorg 1.0 takes the number: `[0-9]{8}[0-9pPtTfF][0-9]{3}`.
#[must_use]
pub fn inbox_capable(id: &Ii) -> bool {
    id.extension.as_deref().is_some_and(is_inbox_number)
}

/// The pattern of SubjectOfCareIdType, without the anchors that its schema has by mistake.
#[must_use]
pub fn is_inbox_number(number: &str) -> bool {
    number.len() == 12
        && number
            .bytes()
            .enumerate()
            .all(|(place, byte)| byte.is_ascii_digit() || place == 8 && b"pPtTfF".contains(&byte))
}

/// Twelve digits, a sane month, a day within `days`, and Luhn over the last ten. The day is not
/// compared with the calendar: it may be a nearby one where numbers ran out.
fn is_numbered(number: &str, days: std::ops::RangeInclusive<u8>) -> bool {
    let part = |from: usize, to: usize| number.get(from..to).and_then(|it| it.parse::<u8>().ok());
    is_digits(number)
        && matches!(part(0, 2), Some(18..=20))
        && matches!(part(4, 6), Some(1..=12))
        && part(6, 8).is_some_and(|day| days.contains(&day))
        && number.get(2..).is_some_and(luhn)
}

fn is_stockholm_reserve(number: &str) -> bool {
    let year = number.get(2..6).and_then(|it| it.parse::<u16>().ok());
    // Luhn over positions 5 to 11 with the check digit in position 12.
    is_digits(number)
        && number.starts_with("99")
        && matches!(year, Some(1980..=2299))
        && number.get(4..).is_some_and(luhn)
}

fn is_national_reserve(number: &str) -> bool {
    let letter = |b: &u8| b.is_ascii_uppercase() && !b"IOQVW".contains(b);
    match number.as_bytes().split_at_checked(8) {
        Some((date, [first, second, gender, check])) => {
            date.iter().all(u8::is_ascii_digit)
                && letter(first)
                && letter(second)
                && (letter(gender) || gender.is_ascii_digit())
                && check.is_ascii_digit()
        }
        _ => false,
    }
}

fn is_digits(number: &str) -> bool {
    number.len() == 12 && number.bytes().all(|b| b.is_ascii_digit())
}
