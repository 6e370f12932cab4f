//! SOAP faults: ours in the platform's exact form, those of others in any form.

use super::SOAP_11;
use crate::limits;
use crate::xml::write::push_text;
use crate::xml::{Document, Node};

/// The four classes of fault that SOAP 1.1 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultCode {
    /// The message is at fault: the same again gives the same.
    Client,
    /// The receiver could not: the same again may succeed.
    Server,
    /// The envelope is of another SOAP version.
    VersionMismatch,
    /// A header block that must be understood is not.
    MustUnderstand,
}

impl FaultCode {
    /// The local name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "Client",
            Self::Server => "Server",
            Self::VersionMismatch => "VersionMismatch",
            Self::MustUnderstand => "MustUnderstand",
        }
    }

    /// By the local name; a dotted subcode counts as its class.
    #[must_use]
    pub fn parse(local: &str) -> Option<Self> {
        let class = local.split('.').next().unwrap_or_default();
        [Self::Client, Self::Server, Self::VersionMismatch, Self::MustUnderstand]
            .into_iter()
            .find(|it| it.as_str() == class)
    }
}

/// A fault of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whose fault it is.
    pub code: FaultCode,
    /// `faultstring`, in Swedish: `VPnnn [instance] text` where the platform has a number for it.
    pub string: String,
    /// `detailString`: for those who look for the cause. No personal data.
    pub detail: Option<String>,
}

impl Fault {
    /// The whole envelope, as the platform writes it: prefix SOAP-ENV, one line, no XML declaration,
    /// an empty header, and `detailString` in no namespace.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(512);
        out.push_str("<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"");
        out.push_str(SOAP_11);
        out.push_str("\"><SOAP-ENV:Header/><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:");
        out.push_str(self.code.as_str());
        out.push_str("</faultcode><faultstring>");
        push_text(&mut out, &self.string);
        out.push_str("</faultstring>");
        if let Some(detail) = &self.detail {
            out.push_str("<detail><detailString>");
            push_text(&mut out, detail);
            out.push_str("</detailString></detail>");
        }
        out.push_str("</SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>");
        out
    }
}

/// A fault of another's, as far as it can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultSeen {
    /// `None` where the code is none of SOAP 1.1's.
    pub code: Option<FaultCode>,
    /// At most [`limits::FAULT_CHARS_MAX`] characters.
    pub string: String,
    /// All text in the detail, at most [`limits::FAULT_CHARS_MAX`] characters.
    pub detail: Option<String>,
    /// The platform's number, where the string begins with `VPnnn`.
    pub vp: Option<u8>,
}

/// Finds a SOAP 1.1 fault in an answer (UTF-8, at most [`limits::ANSWER_BYTES_MAX`]): any prefix,
/// and its parts in any namespace. `None` where there is none.
#[must_use]
pub fn read_fault(bytes: &[u8]) -> Option<FaultSeen> {
    let text = super::text_of(bytes, None, limits::ANSWER_BYTES_MAX).ok()?;
    let document = Document::parse(&text).ok()?;
    fault_in(&document)
}

/// As [`read_fault`], of a document that is already read.
#[must_use]
pub fn fault_in(document: &Document) -> Option<FaultSeen> {
    let fault = document.root().child(SOAP_11, "Body")?.child(SOAP_11, "Fault")?;
    let part = |name: &str| fault.children().find(|it| it.name() == name);
    let string = part("faultstring").map(|it| cut(it.text().trim())).unwrap_or_default();
    let code = part("faultcode").map(|it| it.text().trim()).unwrap_or_default();
    let code = code.rsplit(':').next().and_then(FaultCode::parse);
    let detail = part("detail").map(|it| {
        let mut all = String::new();
        gather(it, &mut all);
        cut(all.trim())
    });
    let vp = vp_number(&string);
    Some(FaultSeen { code, string, detail: detail.filter(|it| !it.is_empty()), vp })
}

fn gather(node: Node<'_>, all: &mut String) {
    all.push_str(node.text());
    for child in node.children() {
        gather(child, all);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(limits::FAULT_CHARS_MAX).collect()
}

fn vp_number(string: &str) -> Option<u8> {
    let digits = string.strip_prefix("VP")?.get(..3)?;
    digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
}
