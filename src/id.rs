//! Identities: parsed once, then trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// An HSA-id: who a system, unit or person is in Swedish care.
///
/// Kept as given; compared, ordered and hashed by its upper-case form (`key`). At most
/// [`limits::HSA_ID_BYTES_MAX`] bytes of visible ASCII, as received ids are treated as opaque.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HsaId {
    given: String,
    key: String,
}

/// Why a text is not an HSA-id. The text itself is never repeated: it can be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HsaIdError {
    /// Nothing, or white space only.
    #[error("it is empty")]
    Empty,
    /// Longer than the bound.
    #[error("it is longer than {} characters", limits::HSA_ID_BYTES_MAX)]
    TooLong,
    /// White space, control or non-ASCII characters inside.
    #[error("character {0} is not a visible ASCII character")]
    NotVisible(usize),
}

impl HsaId {
    /// Reads an HSA-id, trimming white space around it.
    pub fn parse(text: &str) -> Result<Self, HsaIdError> {
        let given = Self::visible(text)?;
        Ok(Self { given: given.to_owned(), key: given.to_ascii_uppercase() })
    }

    /// The part of `text` that is the HSA-id: all of it but white space around it.
    ///
    /// # Errors
    /// When that is none.
    pub fn visible(text: &str) -> Result<&str, HsaIdError> {
        let given = text.trim();
        if given.is_empty() {
            return Err(HsaIdError::Empty);
        }
        if given.len() > limits::HSA_ID_BYTES_MAX {
            return Err(HsaIdError::TooLong);
        }
        if let Some(at) = given.chars().position(|c| !c.is_ascii_graphic()) {
            return Err(HsaIdError::NotVisible(at + 1));
        }
        Ok(given)
    }

    /// As given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Upper case: what ids are compared by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the form is that of an HSA-id made in Sweden: `SE` + organisation number with a right
    /// check digit + `-` + suffix, at most 31 characters. Strict in what is configured, never asked
    /// of what is received.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let Some(rest) = self.key.strip_prefix("SE") else { return false };
        let Some((number, suffix)) = rest.split_once('-') else { return false };
        let number = match number.len() {
            12 => number.strip_prefix("16"),
            10 => Some(number),
            _ => None,
        };
        self.given.len() <= 31
            && !suffix.is_empty()
            && suffix.bytes().all(|b| b.is_ascii_alphanumeric())
            && number.is_some_and(luhn)
    }
}

impl fmt::Debug for HsaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl fmt::Display for HsaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl PartialEq for HsaId {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for HsaId {}

impl PartialOrd for HsaId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HsaId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl std::hash::Hash for HsaId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl TryFrom<String> for HsaId {
    type Error = HsaIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<HsaId> for String {
    fn from(id: HsaId) -> Self {
        id.given
    }
}

/// A service contract: the namespace of the first element in the SOAP body,
/// `urn:riv:<domain>:<X>Responder:<major>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contract(pub String);

impl Contract {
    /// The namespace as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `digits` ends in the right Luhn check digit (organisation and person numbers, ten digits).
#[must_use]
pub fn luhn(digits: &str) -> bool {
    let mut sum = 0u32;
    for (place, c) in digits.chars().rev().enumerate() {
        let Some(digit) = c.to_digit(10) else { return false };
        let part = if place % 2 == 1 { digit * 2 } else { digit };
        sum += part / 10 + part % 10;
    }
    !digits.is_empty() && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_kept_as_given_and_compared_without_case() {
        let id = HsaId::parse("  se0000000000-vc1\n").unwrap();
        assert_eq!(id.as_str(), "se0000000000-vc1");
        assert_eq!(id, HsaId::parse("SE0000000000-VC1").unwrap());
    }

    #[test]
    fn what_is_no_id_is_told_apart() {
        assert_eq!(HsaId::parse(" \t"), Err(HsaIdError::Empty));
        assert_eq!(HsaId::parse("SE1 2"), Err(HsaIdError::NotVisible(4)));
        assert_eq!(HsaId::parse("å"), Err(HsaIdError::NotVisible(1)));
        assert_eq!(HsaId::parse(&"S".repeat(65)), Err(HsaIdError::TooLong));
    }

    #[test]
    fn the_check_digit_of_the_organisation_number_counts() {
        assert!(HsaId::parse("SE0000000000-1234").unwrap().is_well_formed());
        assert!(HsaId::parse("SE160000000000-1000").unwrap().is_well_formed());
        assert!(!HsaId::parse("SE0000000001-1234").unwrap().is_well_formed());
        assert!(!HsaId::parse("SE0000000000-").unwrap().is_well_formed());
        assert!(!HsaId::parse("0000000000-1").unwrap().is_well_formed());
    }
}
