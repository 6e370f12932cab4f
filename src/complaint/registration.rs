//! The registration number (ärendenummer): short enough to be read over the phone.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Symbols that are told apart by eye and by ear: no 0 O, 1 I L, 2 Z, 5 S, 8 B, 6 G, Q. Their number
/// is a prime, so the check symbol finds every single wrong symbol and every swap of two.
const SYMBOLS: &[u8; 23] = b"34679ACDEFHJKMNPRTUVWXY";
const BASE: u64 = SYMBOLS.len() as u64;

/// Symbols before the check symbol: 23⁶ is 148 million cases, 600 years of the whole nation's.
const PLACES: u32 = 6;
const COUNT: u64 = BASE.pow(PLACES);

/// Coprime with [`COUNT`], so that following ordinals do not look alike and each is met once.
const SCATTER: u64 = 61_803_399;
const _: () = assert!(!SCATTER.is_multiple_of(BASE));

/// Undoes [`SCATTER`]: its power by the order of the group less one (Euler).
const GATHER: u64 = power(SCATTER, (BASE - 1) * BASE.pow(PLACES - 1) - 1);
const _: () = assert!(SCATTER * GATHER % COUNT == 1);

/// Modulo [`COUNT`], whose square fits.
const fn power(base: u64, mut exponent: u64) -> u64 {
    let (mut square, mut product) = (base % COUNT, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = product * square % COUNT;
        }
        square = square * square % COUNT;
        exponent >>= 1;
    }
    product
}

/// `XXX-XXX-C`: six symbols and a check symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistrationNumber(String);

impl RegistrationNumber {
    /// The number of the `ordinal`th case of this gateway; unique for the first 148 035 889.
    #[must_use]
    pub fn of_ordinal(ordinal: u64) -> Self {
        let mut rest = (ordinal % COUNT) * SCATTER % COUNT;
        let mut values = Vec::with_capacity(7);
        for _ in 0..PLACES {
            values.push(rest % BASE);
            rest /= BASE;
        }
        values.push(check(&values));
        let mut text = String::with_capacity(9);
        for (place, value) in values.iter().enumerate() {
            if place == 3 || place == 6 {
                text.push('-');
            }
            let symbol = usize::try_from(*value).ok().and_then(|at| SYMBOLS.get(at));
            text.push(symbol.copied().map_or('?', char::from));
        }
        Self(text)
    }

    /// Reads a number as a person gives it: any case, with or without hyphens and blanks.
    /// `None` where a symbol is not one of ours or the check symbol does not fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let values: Vec<u64> = text
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| {
                let upper = c.to_ascii_uppercase();
                SYMBOLS.iter().position(|s| char::from(*s) == upper).map(|at| at as u64)
            })
            .collect::<Option<_>>()?;
        let (last, first) = values.split_last()?;
        if first.len() != 6 || check(first) != *last {
            return None;
        }
        let symbols: Vec<char> = text
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let groups: Vec<String> = symbols.chunks(3).map(|group| group.iter().collect()).collect();
        Some(Self(groups.join("-")))
    }

    /// The number's place among all, below [`COUNT`]; `None` where it is none of ours.
    #[must_use]
    pub fn ordinal(&self) -> Option<u64> {
        let mut values = Vec::with_capacity(7);
        for symbol in self.0.bytes().filter(|it| *it != b'-') {
            values.push(SYMBOLS.iter().position(|it| *it == symbol)? as u64);
        }
        let (last, first) = values.split_last()?;
        if first.len() != 6 || check(first) != *last {
            return None;
        }
        let rest = first.iter().rev().fold(0, |rest, value| rest * BASE + value);
        Some(rest * GATHER % COUNT)
    }

    /// As written to people.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegistrationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The weighted sum modulo a prime: weights differ, so neither one wrong symbol nor a swap can
/// leave it as it was.
fn check(values: &[u64]) -> u64 {
    let mut sum = 0;
    for (weight, value) in (2..).zip(values) {
        sum += weight * value;
    }
    sum % BASE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_are_unique_readable_and_read_back() {
        let mut seen = BTreeSet::new();
        for ordinal in 1..20_000 {
            let number = RegistrationNumber::of_ordinal(ordinal);
            assert_eq!(number.as_str().len(), 9);
            assert_eq!(RegistrationNumber::parse(number.as_str()), Some(number.clone()));
            assert_eq!(number.ordinal(), Some(ordinal));
            assert!(seen.insert(number));
        }
    }

    #[test]
    fn a_number_is_read_as_a_person_says_it() {
        let number = RegistrationNumber::of_ordinal(42);
        let said = number.as_str().to_lowercase().replace('-', " ");
        assert_eq!(RegistrationNumber::parse(&said), Some(number));
    }

    #[test]
    fn one_wrong_symbol_or_a_swap_is_found() {
        let number = RegistrationNumber::of_ordinal(4711).as_str().replace('-', "");
        let symbols: Vec<char> = number.chars().collect();
        for at in 0..symbols.len() {
            for symbol in SYMBOLS.iter().map(|s| char::from(*s)) {
                let mut wrong = symbols.clone();
                wrong[at] = symbol;
                let wrong: String = wrong.into_iter().collect();
                assert_eq!(RegistrationNumber::parse(&wrong).is_some(), wrong == number, "{wrong}");
            }
        }
        for at in 0..symbols.len() - 1 {
            let mut wrong = symbols.clone();
            wrong.swap(at, at + 1);
            let wrong: String = wrong.into_iter().collect();
            assert_eq!(RegistrationNumber::parse(&wrong).is_some(), wrong == number, "{wrong}");
        }
    }

    #[test]
    fn confusable_symbols_are_no_symbols() {
        for text in ["OOO-OOO-O", "", "333-333", "333-333-3-3", "ÅÄÖ-333-3"] {
            assert_eq!(RegistrationNumber::parse(text), None, "{text}");
        }
    }
}
