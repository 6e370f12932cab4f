//! From values to elements: the common types of the complaint contracts.

use jiff::Timestamp;
use jiff::civil::Date;

use super::CORE;
use crate::clock;
use crate::complaint::message::{Actor, Attachment, Classification, Code, Ii, OrgUnit};
use crate::id::HsaId;
use crate::soap::{Outline, REGISTRY_1, SOAP_11};
use crate::xml::write::push_text;

/// The prefix of the contract's own elements.
pub(super) const OWN: &str = "r";
/// The prefix of the core types' elements.
pub(super) const COMMON: &str = "c";

/// Writes one envelope.
#[derive(Debug, Default)]
pub(super) struct Writer {
    outline: Outline,
    text: String,
}

/// Bytes of an answer to a message, with room for a longer case id.
const ANSWER_BYTES: usize = 1_536;

/// The outside of a request to `address`: what stands before the request element, and after.
fn around_request(address: &HsaId) -> (String, &'static str) {
    let mut before = format!(
        "<soapenv:Envelope xmlns:soapenv=\"{SOAP_11}\"><soapenv:Header>\
         <itr:LogicalAddress xmlns:itr=\"{REGISTRY_1}\">"
    );
    push_text(&mut before, address.as_str());
    before.push_str("</itr:LogicalAddress></soapenv:Header><soapenv:Body>");
    (before, END)
}

fn around_response() -> (String, &'static str) {
    (format!("<soapenv:Envelope xmlns:soapenv=\"{SOAP_11}\"><soapenv:Body>"), END)
}

const END: &str = "</soapenv:Body></soapenv:Envelope>";

/// A request element in its envelope.
pub(super) fn request_envelope(address: &HsaId, element: &str) -> String {
    let (before, after) = around_request(address);
    [&before, element, after].concat()
}

/// A response element in its envelope.
pub(super) fn response_envelope(element: &str) -> String {
    let (before, after) = around_response();
    [&before, element, after].concat()
}

/// A request to `address`: `content` writes what stands in the request element.
pub(super) fn request(
    contract: &str,
    operation: &str,
    address: &HsaId,
    content: impl FnOnce(&mut Writer),
) -> Outline {
    let (before, after) = around_request(address);
    Writer::default().whole(&before, contract, operation, content, after)
}

/// A response: `content` writes what stands in the response element.
pub(super) fn response(
    contract: &str,
    operation: &str,
    content: impl FnOnce(&mut Writer),
) -> Outline {
    let (before, after) = around_response();
    Writer::default().whole(&before, contract, &format!("{operation}Response"), content, after)
}

impl Writer {
    fn whole(
        mut self,
        before: &str,
        contract: &str,
        element: &str,
        content: impl FnOnce(&mut Self),
        after: &str,
    ) -> Outline {
        // What an answer takes; it grows where there is more to say.
        self.text.reserve(ANSWER_BYTES);
        self.text.push_str(before);
        for part in ["<", OWN, ":", element, " xmlns:", OWN, "=\"", contract, "\" xmlns:", COMMON] {
            self.text.push_str(part);
        }
        self.text.push_str("=\"");
        self.text.push_str(CORE);
        self.text.push_str("\">");
        content(&mut self);
        self.tag("</", OWN, element);
        self.text.push_str(after);
        self.outline.push_text(&self.text);
        self.outline
    }

    fn tag(&mut self, open: &str, prefix: &str, name: &str) {
        self.text.push_str(open);
        self.text.push_str(prefix);
        self.text.push(':');
        self.text.push_str(name);
        self.text.push('>');
    }

    /// An element with elements in it.
    pub(super) fn element(&mut self, prefix: &str, name: &str, content: impl FnOnce(&mut Self)) {
        self.tag("<", prefix, name);
        content(self);
        self.tag("</", prefix, name);
    }

    /// An element with text in it.
    pub(super) fn line(&mut self, prefix: &str, name: &str, text: &str) {
        self.element(prefix, name, |w| push_text(&mut w.text, text));
    }

    /// A core element with text, where there is one.
    pub(super) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.line(COMMON, name, text);
        }
    }

    pub(super) fn stamp(&mut self, prefix: &str, name: &str, at: Timestamp) {
        self.line(prefix, name, &clock::to_riv_stamp(at));
    }

    pub(super) fn date(&mut self, name: &str, date: Option<Date>) {
        self.optional(name, date.map(clock::to_riv_date).as_deref());
    }

    pub(super) fn boolean(&mut self, name: &str, value: Option<bool>) {
        self.optional(name, value.map(|it| if it { "true" } else { "false" }));
    }

    pub(super) fn ii(&mut self, prefix: &str, name: &str, id: &Ii) {
        self.element(prefix, name, |w| {
            w.line(COMMON, "root", &id.root);
            w.optional("extension", id.extension.as_deref());
        });
    }

    pub(super) fn code(&mut self, name: &str, code: &Code) {
        self.element(COMMON, name, |w| {
            w.optional("code", code.code.as_deref());
            w.optional("codeSystem", code.code_system.as_deref());
            w.optional("codeSystemName", code.code_system_name.as_deref());
            w.optional("codeSystemVersion", code.code_system_version.as_deref());
            w.optional("displayName", code.display_name.as_deref());
            w.optional("originalText", code.original_text.as_deref());
        });
    }

    pub(super) fn org_unit(&mut self, name: &str, unit: &OrgUnit) {
        self.element(COMMON, name, |w| {
            w.line(COMMON, "orgUnitHSAId", unit.hsa_id.as_str());
            w.optional("orgUnitName", unit.name.as_deref());
            w.optional("orgUnitTelecom", unit.telecom.as_deref());
            w.optional("orgUnitEmail", unit.email.as_deref());
            w.optional("orgUnitAddress", unit.address.as_deref());
            w.optional("orgUnitLocation", unit.location.as_deref());
        });
    }

    pub(super) fn actor(&mut self, prefix: &str, name: &str, actor: &Actor) {
        self.element(prefix, name, |w| {
            w.line(COMMON, "hsaId", actor.hsa_id.as_str());
            w.optional("name", actor.name.as_deref());
            w.optional("title", actor.title.as_deref());
            if let Some(unit) = &actor.unit {
                w.org_unit("unit", unit);
            }
        });
    }

    pub(super) fn classification(&mut self, classification: &Classification) {
        self.element(COMMON, "classification", |w| {
            for code in &classification.main_problems {
                w.code("mainProblem", code);
            }
            for code in &classification.sub_problems {
                w.code("subProblem", code);
            }
            w.code("operationalArea", &classification.operational_area);
        });
    }

    pub(super) fn attachments(&mut self, attachments: &[Attachment]) {
        for attachment in attachments {
            self.element(COMMON, "attachment", |w| {
                w.line(COMMON, "id", &attachment.id);
                w.line(COMMON, "fileName", &attachment.file_name);
                w.line(COMMON, "mediaType", attachment.media_type.as_str());
                w.element(COMMON, "value", |w| {
                    w.outline.push_text(&w.text);
                    w.text.clear();
                    w.outline.push_file(&attachment.sha256, attachment.bytes);
                });
            });
        }
    }
}
