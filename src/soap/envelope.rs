//! The head of a message: who it is for, and which contract and operation it is.
//!
//! Stricter than the platform, on purpose: namespaces count, and there is exactly one address of a
//! kind. Where a `LogicalAddress` and a `wsa:To` stand in one header (as WCF sends), the
//! `LogicalAddress` is the address: `wsa:To` is then the URL of the call. The platform takes the last.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{REGISTRY_1, ReadError, SOAP_11};
use crate::id::Contract;
use crate::xml::{Document, Node};

/// Where the address of RIV TA Basic Profile 2.1 stands. The registry's own contracts have it in their
/// second version, against the profile; the last is that version's name by the pattern of the first.
pub(super) const REGISTRY: [&str; 3] = [
    REGISTRY_1,
    "urn:riv:infrastructure:itintegration:registry:2",
    "urn:riv:itintegration:registry:2",
];

/// WS-Addressing, whose `To` is the address of Basic Profile 2.0.
pub(super) const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";

/// The blocks of WS-Addressing that mean nothing more than is known from the call itself.
const ADDRESSING_KNOWN: [&str; 4] = ["To", "Action", "MessageID", "From"];

/// The actor that is whoever receives the message next.
const NEXT: &str = "http://schemas.xmlsoap.org/soap/actor/next";

/// Which RIV TA Basic Profile a message is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Basic Profile 2.0: the address is `wsa:To`.
    Rivtabp20,
    /// Basic Profile 2.1: the address is `LogicalAddress`.
    Rivtabp21,
}

impl Profile {
    /// As in the routing configuration and in faults.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rivtabp20 => "rivtabp20",
            Self::Rivtabp21 => "rivtabp21",
        }
    }
}

/// What routing needs to know. Offsets are bytes in the message as UTF-8 without byte order mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The logical address as written, white space and all; never blank.
    pub address: String,
    /// By the kind of address.
    pub profile: Profile,
    /// The namespace of the first element in Body; may be empty.
    pub contract: Contract,
    /// The local name of that element.
    pub operation: String,
    /// The prefix of the envelope's own elements; empty for a default namespace.
    pub soap_prefix: String,
    /// The envelope's start tag.
    pub envelope: Range<usize>,
    /// The whole header element.
    pub header: Range<usize>,
    /// Where Body's start tag begins.
    pub body: usize,
    /// The start tag of the first element in Body.
    pub first: Range<usize>,
    not_understood: Option<String>,
}

impl Head {
    /// For one who answers the message and does not send it on: fails where a header block meant for
    /// us has `mustUnderstand` and is not known here (SOAP 1.1 section 4.2.3).
    pub fn check_understood(&self) -> Result<(), ReadError> {
        self.not_understood.clone().map_or(Ok(()), |name| Err(ReadError::NotUnderstood(name)))
    }
}

/// Reads the head from the beginning of a message, up to and with the start tag of the first element
/// in Body.
pub fn read_head(beginning: &str) -> Result<Head, ReadError> {
    let document = Document::parse_beginning(beginning)?;
    let root = document.root();
    check_envelope(root)?;
    let mut parts = root.children();
    let first = parts.next().ok_or(ReadError::Envelope("kuvertet är tomt"))?;
    if first.is(SOAP_11, "Body") {
        return Err(ReadError::NoAddress);
    }
    if !first.is(SOAP_11, "Header") {
        return Err(ReadError::Envelope("okänt element i kuvertet"));
    }
    let body = parts
        .next()
        .filter(|it| it.is(SOAP_11, "Body"))
        .ok_or(ReadError::Envelope("kroppen (Body) saknas eller står på fel plats"))?;
    let operation = body.children().next().ok_or(ReadError::Envelope("kroppen (Body) är tom"))?;
    let (address, profile) = address(first)?;
    Ok(Head {
        address,
        profile,
        contract: Contract(operation.namespace().to_owned()),
        operation: operation.name().to_owned(),
        soap_prefix: root.prefix().to_owned(),
        envelope: root.tag(),
        header: first.range(),
        body: body.tag().start,
        first: operation.tag(),
        not_understood: not_understood(first),
    })
}

/// The root is a SOAP 1.1 envelope.
pub(super) fn check_envelope(root: Node<'_>) -> Result<(), ReadError> {
    match (root.name(), root.namespace()) {
        ("Envelope", SOAP_11) => Ok(()),
        ("Envelope", _) => Err(ReadError::Version),
        _ => Err(ReadError::Envelope("rotelementet är inte Envelope")),
    }
}

fn address(header: Node<'_>) -> Result<(String, Profile), ReadError> {
    let logical =
        |it: &Node<'_>| it.name() == "LogicalAddress" && REGISTRY.contains(&it.namespace());
    let to = |it: &Node<'_>| it.is(ADDRESSING, "To");
    let found = match only(header.children().filter(logical))? {
        Some(text) => Some((text, Profile::Rivtabp21)),
        None => only(header.children().filter(to))?.map(|text| (text, Profile::Rivtabp20)),
    };
    found.filter(|(text, _)| !text.trim().is_empty()).ok_or(ReadError::NoAddress)
}

fn only<'d>(mut found: impl Iterator<Item = Node<'d>>) -> Result<Option<String>, ReadError> {
    let Some(node) = found.next() else { return Ok(None) };
    if found.next().is_some() || node.children().next().is_some() {
        return Err(ReadError::Address);
    }
    Ok(Some(node.text().to_owned()))
}

fn not_understood(header: Node<'_>) -> Option<String> {
    let known = |it: Node<'_>| {
        it.name() == "LogicalAddress" && REGISTRY.contains(&it.namespace())
            || it.namespace() == ADDRESSING && ADDRESSING_KNOWN.contains(&it.name())
    };
    let demands = |it: &Node<'_>| {
        let must = it.attribute(Some(SOAP_11), "mustUnderstand").unwrap_or_default();
        let actor = it.attribute(Some(SOAP_11), "actor").unwrap_or_default();
        matches!(must.trim(), "1" | "true") && matches!(actor, "" | NEXT)
    };
    let strange = header.children().find(|it| demands(it) && !known(*it))?;
    Some(format!("{{{}}}{}", strange.namespace(), strange.name()))
}
