//! The contracts that are read and written here: from XML to values and back.
//!
//! The domain of the complaint contracts is named once, in `domain!`; on the day it is registered,
//! that line and the schema files change.

use crate::complaint::message::{MediaType, ProcessComplaint, ProcessComplaintHandling, Remark};
use crate::soap::{self, Skeleton};
use crate::xml::shape::{self, ShapeError};
use crate::xml::{Document, Node};

/// The domain's namespace, and names in it: `domain!(":ProcessComplaintResponder:1")`.
macro_rules! domain {
    ($rest:literal) => {
        concat!("urn:klagomal:supportprocess:patientsafety:complaint", $rest)
    };
}

pub mod answer;
pub mod patient_portal_v1;
pub mod person;
pub mod process_complaint_handling_v1;
pub mod process_complaint_v1;
pub mod served;
pub mod types;
pub mod wsdl;

mod read;
mod write;

pub use answer::{Answer, ErrorCode, NotAnswer, ResultCode, read_answer};

/// The namespace of everything below the direct children of a request or response.
pub const CORE: &str = domain!(":1");

/// The two complaint contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interaction {
    /// Toward the one who handles.
    ProcessComplaint,
    /// Back from the one who handles.
    ProcessComplaintHandling,
}

impl Interaction {
    /// The operation: the local name of the request element.
    #[must_use]
    pub const fn operation(self) -> &'static str {
        match self {
            Self::ProcessComplaint => "ProcessComplaint",
            Self::ProcessComplaintHandling => "ProcessComplaintHandling",
        }
    }

    /// The contract: the namespace of the request element and its direct children.
    #[must_use]
    pub const fn contract(self) -> &'static str {
        match self {
            Self::ProcessComplaint => process_complaint_v1::CONTRACT,
            Self::ProcessComplaintHandling => process_complaint_handling_v1::CONTRACT,
        }
    }

    /// The value of the HTTP header SOAPAction, without quotes.
    #[must_use]
    pub fn soap_action(self) -> String {
        format!("{}:{}", self.contract(), self.operation())
    }

    /// By contract and operation, as a message's head says.
    #[must_use]
    pub fn of(contract: &str, operation: &str) -> Option<Self> {
        [Self::ProcessComplaint, Self::ProcessComplaintHandling]
            .into_iter()
            .find(|it| it.contract() == contract && it.operation() == operation)
    }
}

/// What is known of a file in a message when the message has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeen {
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Decoded size.
    pub bytes: u64,
    /// By its first bytes; `None` for every other kind.
    pub media: Option<MediaType>,
    /// It was not base64.
    pub broken: bool,
    /// It was larger than [`crate::limits::ATTACHMENT_BYTES_MAX`], and is not whole.
    pub too_large: bool,
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it says.
    pub request: Request,
    /// Faults of form in optional fields outside a complaint; a complaint carries its own.
    pub remarks: Vec<Remark>,
}

/// A request of one of the two contracts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// From the complainant.
    Complaint(ProcessComplaint),
    /// From the one who handles.
    Handling(Box<ProcessComplaintHandling>),
}

/// Why a request is not taken. No text repeats a value of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It cannot be read as the contract's elements: SOAP Fault `Client`, VP015.
    #[error("{path}: {what}")]
    Malformed {
        /// The element, from the request element down.
        path: String,
        /// What is wrong, in Swedish.
        what: String,
    },
    /// It can be read and breaks a rule: `ERROR`, `VALIDATION_ERROR`.
    #[error("{field}: {rule}")]
    Invalid {
        /// The field, below the request element.
        field: String,
        /// The rule, in Swedish.
        rule: String,
    },
}

impl From<ShapeError> for Rejection {
    fn from(error: ShapeError) -> Self {
        Self::Malformed { path: error.path, what: error.what }
    }
}

impl From<soap::ReadError> for Rejection {
    fn from(error: soap::ReadError) -> Self {
        Self::Malformed { path: "Envelope".to_owned(), what: error.detail() }
    }
}

/// Reads a request of either contract: screens the whole skeleton, checks its shape, then its rules.
/// `files` by index, one for each mark in the skeleton. Whether every header block is understood is
/// [`soap::Head::check_understood`].
pub fn read(skeleton: &Skeleton, files: &[FileSeen]) -> Result<Reading, Rejection> {
    let document = Document::parse(&skeleton.text).map_err(soap::ReadError::from)?;
    let element = soap::body_element(&document)?;
    let malformed = |what: &str| Rejection::Malformed {
        path: element.name().to_owned(),
        what: what.to_owned(),
    };
    if files.len() != skeleton.files.len() {
        return Err(malformed("antalet filer stämmer inte"));
    }
    let Some(interaction) = Interaction::of(element.namespace(), element.name()) else {
        return Err(malformed("elementet hör inte till ett tjänstekontrakt som tas emot här"));
    };
    let (shape, decode): (_, fn(_, _) -> _) = match interaction {
        Interaction::ProcessComplaint => {
            (process_complaint_v1::SHAPE, process_complaint_v1::decode)
        }
        Interaction::ProcessComplaintHandling => {
            (process_complaint_handling_v1::SHAPE, process_complaint_handling_v1::decode)
        }
    };
    shape::check(element, shape)?;
    check_files(&document, element, files)?;
    decode(element, files)
}

/// Every file is whole, those in extensions too: the message may have to be sent on.
fn check_files(document: &Document, top: Node<'_>, files: &[FileSeen]) -> Result<(), Rejection> {
    let path = |index: usize| {
        let index = index.to_string();
        let in_attachment = |it: &Node<'_>| it.parent().is_some_and(|it| it.name() == "attachment");
        let mut values = document.elements().filter(|it| it.name() == "value");
        let node = values.find(|it| it.text() == index && in_attachment(it));
        node.map_or_else(|| "attachment/value".to_owned(), |it| it.path_below(top))
    };
    if let Some(index) = files.iter().position(|file| file.broken) {
        return Err(Rejection::Malformed {
            path: format!("{}/{}", top.name(), path(index)),
            what: "innehållet är inte base64".to_owned(),
        });
    }
    if let Some(index) = files.iter().position(|file| file.too_large) {
        let max = crate::limits::ATTACHMENT_BYTES_MAX;
        let rule = format!("en fil får vara högst {max} byte");
        return Err(Rejection::Invalid { field: path(index), rule });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
