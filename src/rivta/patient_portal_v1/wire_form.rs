//! The patient portal's messages as they are written: one struct for each element, by yaserde.
//!
//! yaserde writes a CR and characters that XML does not have as they are, so texts are made plain
//! before they come here (`plain`).

use yaserde::YaSerialize;

use super::{InboxMessage, InboxResult, SendingUnit, UserStatus, notification_wire};
use crate::id::HsaId;
use crate::rivta::write::{request_envelope, response_envelope};
use crate::xml::write::plain;

/// The serialiser gave up; what it says names no content.
#[derive(Debug, thiserror::Error)]
#[error("skriver ett meddelande till 1177 Inkorg: {0}")]
pub struct WriteError(String);

#[derive(Debug, Default, YaSerialize)]
#[yaserde(rename = "IsActiveUser", prefix = "p", namespaces = {
    "p" = "urn:riv:infrastructure:eservicesupply:patientportal:IsActiveUserResponder:1"
})]
struct IsActiveUser {
    #[yaserde(rename = "subjectOfCareId", prefix = "p")]
    person: String,
}

#[derive(Debug, Default, YaSerialize)]
#[yaserde(rename = "IsActiveUserResponse", prefix = "p", namespaces = {
    "p" = "urn:riv:infrastructure:eservicesupply:patientportal:IsActiveUserResponder:1"
})]
struct IsActiveUserResponse {
    #[yaserde(rename = "status", prefix = "p")]
    status: bool,
    #[yaserde(rename = "activeNotificationMethods", prefix = "p")]
    methods: Vec<String>,
}

#[derive(Debug, Default, YaSerialize)]
#[yaserde(rename = "AddMessageToPatientPortalInbox", prefix = "p", namespaces = {
    "p" = "urn:riv:infrastructure:eservicesupply:patientportal:AddMessageToPatientPortalInboxResponder:1"
})]
struct AddMessage {
    #[yaserde(rename = "subjectOfCareId", prefix = "p")]
    person: String,
    #[yaserde(rename = "message", prefix = "p")]
    message: Message,
    #[yaserde(rename = "notify", prefix = "p")]
    notify: Option<bool>,
    #[yaserde(rename = "sourceSystem", prefix = "p")]
    source_system: Option<String>,
}

#[derive(Debug, Default, YaSerialize)]
#[yaserde(prefix = "k", namespaces = {
    "k" = "urn:riv:infrastructure:eservicesupply:patientportal:1"
})]
struct Message {
    #[yaserde(rename = "organisationUnit", prefix = "k")]
    unit: Unit,
    #[yaserde(rename = "messageThreadId", prefix = "k")]
    thread_id: Option<String>,
    #[yaserde(rename = "messageDescription", prefix = "k")]
    heading: Option<String>,
    #[yaserde(rename = "messageText", prefix = "k")]
    text: String,
}

#[derive(Debug, Default, YaSerialize)]
#[yaserde(prefix = "k", namespaces = {
    "k" = "urn:riv:infrastructure:eservicesupply:patientportal:1"
})]
struct Unit {
    #[yaserde(rename = "unitId", prefix = "k")]
    id: String,
    #[yaserde(rename = "unitName", prefix = "k")]
    name: String,
    #[yaserde(rename = "unitAddress", prefix = "k")]
    address: Option<String>,
    #[yaserde(rename = "unitPostalCode", prefix = "k")]
    postal_code: Option<String>,
    #[yaserde(rename = "unitPostalCity", prefix = "k")]
    postal_city: Option<String>,
    #[yaserde(rename = "unitTelephone", prefix = "k")]
    telephone: Option<String>,
}

#[derive(Debug, Default, YaSerialize)]
#[yaserde(rename = "AddMessageToPatientPortalInboxResponse", prefix = "p", namespaces = {
    "p" = "urn:riv:infrastructure:eservicesupply:patientportal:AddMessageToPatientPortalInboxResponder:1"
})]
struct AddMessageResponse {
    #[yaserde(rename = "messageThreadId", prefix = "p")]
    thread_id: Option<String>,
    #[yaserde(rename = "notificationSent", prefix = "p")]
    notified: Vec<String>,
    #[yaserde(rename = "resultCode", prefix = "p")]
    result_code: String,
    #[yaserde(rename = "resultText", prefix = "p")]
    result_text: Option<String>,
}

pub(super) fn is_active_user(person: &str, address: &HsaId) -> Result<String, WriteError> {
    let body = written(&IsActiveUser { person: plain(person) })?;
    Ok(request_envelope(address, &body))
}

pub(super) fn user_status(status: &UserStatus) -> Result<String, WriteError> {
    let methods = status.methods.iter().copied().map(notification_wire).collect();
    let body = written(&IsActiveUserResponse { status: status.active, methods })?;
    Ok(response_envelope(&body))
}

pub(super) fn message(message: &InboxMessage, address: &HsaId) -> Result<String, WriteError> {
    let body = written(&AddMessage {
        person: plain(&message.person),
        message: Message {
            unit: unit(&message.unit),
            thread_id: optional(message.thread_id.as_ref()),
            heading: optional(message.heading.as_ref()),
            text: plain(&message.text),
        },
        notify: message.notify,
        source_system: optional(message.source_system.as_ref()),
    })?;
    Ok(request_envelope(address, &body))
}

pub(super) fn result(result: &InboxResult) -> Result<String, WriteError> {
    let body = written(&AddMessageResponse {
        thread_id: optional(result.thread_id.as_ref()),
        notified: result.notified.iter().copied().map(notification_wire).collect(),
        result_code: result.result_code.as_str().to_owned(),
        result_text: optional(result.result_text.as_ref()),
    })?;
    Ok(response_envelope(&body))
}

fn unit(unit: &SendingUnit) -> Unit {
    Unit {
        id: plain(unit.id.as_str()),
        name: plain(&unit.name),
        address: optional(unit.address.as_ref()),
        postal_code: optional(unit.postal_code.as_ref()),
        postal_city: optional(unit.postal_city.as_ref()),
        telephone: optional(unit.telephone.as_ref()),
    }
}

fn optional(text: Option<&String>) -> Option<String> {
    text.map(|text| plain(text))
}

fn written(element: &impl YaSerialize) -> Result<String, WriteError> {
    let config = yaserde::ser::Config {
        perform_indent: false,
        write_document_declaration: false,
        ..yaserde::ser::Config::default()
    };
    yaserde::ser::to_string_with_config(element, &config)
        .map_err(|error| WriteError(error.to_string()))
}
