//! 1177 Inkorg (patientportal 1.0): IsActiveUser and AddMessageToPatientPortalInbox, both sides.
//!
//! The person id's pattern is checked without the anchors that the official schema has by mistake.
//! The contract has no idempotency key: a resend after a lost answer can be a second message.

use super::Rejection;
use super::answer::{NotAnswer, ResultCode};
use super::person::is_inbox_number;
use super::read::{to_bool, wire};
use crate::id::HsaId;
use crate::limits;
use crate::soap::fault::fault_in;
use crate::soap::{ReadError, body_element, text_of};
use crate::xml::shape::Item::{Many, One, Optional};
use crate::xml::shape::{Fields, Shape, check};
use crate::xml::{Document, Node};

mod wire_form;

pub use wire_form::WriteError;

/// The contract IsActiveUser.
pub const IS_ACTIVE_USER: &str =
    "urn:riv:infrastructure:eservicesupply:patientportal:IsActiveUserResponder:1";

/// The contract AddMessageToPatientPortalInbox.
pub const ADD_MESSAGE: &str =
    "urn:riv:infrastructure:eservicesupply:patientportal:AddMessageToPatientPortalInboxResponder:1";

/// The domain's own types.
const CORE: &str = "urn:riv:infrastructure:eservicesupply:patientportal:1";

/// SOAPAction of IsActiveUser, without quotes.
pub const IS_ACTIVE_USER_ACTION: &str =
    "urn:riv:infrastructure:eservicesupply:patientportal:IsActiveUserResponder:1:IsActiveUser";

/// SOAPAction of AddMessageToPatientPortalInbox, without quotes.
pub const ADD_MESSAGE_ACTION: &str = concat!(
    "urn:riv:infrastructure:eservicesupply:patientportal:",
    "AddMessageToPatientPortalInboxResponder:1:AddMessageToPatientPortalInbox"
);

/// The `resultText` that the contract prescribes when the person has no inbox.
pub const NOT_ACTIVE: &str = "Target person is not active user";

/// How a person is told that a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    Sms,
    Email,
    Other,
}

const NOTIFICATIONS: [(&str, Notification); 3] =
    [("SMS", Notification::Sms), ("Email", Notification::Email), ("Other", Notification::Other)];

const RESULT_CODES: [(&str, ResultCode); 3] =
    [("OK", ResultCode::Ok), ("INFO", ResultCode::Info), ("ERROR", ResultCode::Error)];

/// The answer to IsActiveUser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStatus {
    /// Registered, and can be sent a message.
    pub active: bool,
    /// Which ways the person has chosen to be told; never addresses.
    pub methods: Vec<Notification>,
}

/// A message to a person's inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Person- or samordningsnummer, 12 characters, [`is_inbox_number`].
    pub person: String,
    /// Who sends it.
    pub unit: SendingUnit,
    /// Joins messages to one conversation.
    pub thread_id: Option<String>,
    /// The heading.
    pub heading: Option<String>,
    /// The text; line ends go as LF.
    pub text: String,
    /// Ask for a notification; needs `source_system`.
    pub notify: Option<bool>,
    /// Our system id at 1177.
    pub source_system: Option<String>,
}

/// The unit that sends a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingUnit {
    pub id: HsaId,
    pub name: String,
    pub address: Option<String>,
    pub postal_code: Option<String>,
    pub postal_city: Option<String>,
    pub telephone: Option<String>,
}

/// The answer to AddMessageToPatientPortalInbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxResult {
    /// The request's, where it had one.
    pub thread_id: Option<String>,
    /// How the person was told.
    pub notified: Vec<Notification>,
    pub result_code: ResultCode,
    /// Always there with INFO and ERROR.
    pub result_text: Option<String>,
}

const TEXT: Shape = Shape::Text;

static USER: Fields =
    Fields { namespace: IS_ACTIVE_USER, items: &[One("subjectOfCareId", TEXT)], any: true };

static USER_STATUS: Fields = Fields {
    namespace: IS_ACTIVE_USER,
    items: &[One("status", TEXT), Many("activeNotificationMethods", TEXT)],
    any: true,
};

static UNIT: Fields = Fields {
    namespace: CORE,
    items: &[
        One("unitId", TEXT),
        One("unitName", TEXT),
        Optional("unitAddress", TEXT),
        Optional("unitPostalCode", TEXT),
        Optional("unitPostalCity", TEXT),
        Optional("unitTelephone", TEXT),
    ],
    any: false,
};

static SSO_LINK: Fields = Fields {
    namespace: CORE,
    items: &[
        One("systemId", TEXT),
        One("text", TEXT),
        Optional("queryString", TEXT),
        One("type", TEXT),
    ],
    any: false,
};

static MESSAGE: Fields = Fields {
    namespace: CORE,
    items: &[
        One("organisationUnit", Shape::Fields(&UNIT)),
        Optional("messageThreadId", TEXT),
        Optional("messageDescription", TEXT),
        One("messageText", TEXT),
        Optional("ssoLink", Shape::Fields(&SSO_LINK)),
    ],
    any: false,
};

static ADD: Fields = Fields {
    namespace: ADD_MESSAGE,
    items: &[
        One("subjectOfCareId", TEXT),
        One("message", Shape::Fields(&MESSAGE)),
        Optional("notify", TEXT),
        Optional("sourceSystem", TEXT),
    ],
    any: true,
};

static ADDED: Fields = Fields {
    namespace: ADD_MESSAGE,
    items: &[
        Optional("messageThreadId", TEXT),
        Many("notificationSent", TEXT),
        One("resultCode", TEXT),
        Optional("resultText", TEXT),
    ],
    any: true,
};

/// The envelope of an IsActiveUser request, about `person` to the inbox at `address`.
pub fn write_is_active_user(person: &str, address: &HsaId) -> Result<String, WriteError> {
    wire_form::is_active_user(person, address)
}

/// The envelope of an IsActiveUser response.
pub fn write_user_status(status: &UserStatus) -> Result<String, WriteError> {
    wire_form::user_status(status)
}

/// The envelope of an AddMessageToPatientPortalInbox request to the inbox at `address`.
pub fn write_message(message: &InboxMessage, address: &HsaId) -> Result<String, WriteError> {
    wire_form::message(message, address)
}

/// The envelope of an AddMessageToPatientPortalInbox response.
pub fn write_result(result: &InboxResult) -> Result<String, WriteError> {
    wire_form::result(result)
}

/// Reads an IsActiveUser request: the person asked about.
pub fn read_is_active_user(text: &str) -> Result<String, Rejection> {
    let document = request(text)?;
    let node = expect(&document, IS_ACTIVE_USER, "IsActiveUser", &USER)?;
    person(node, IS_ACTIVE_USER)
}

/// Reads an AddMessageToPatientPortalInbox request.
pub fn read_message(text: &str) -> Result<InboxMessage, Rejection> {
    let document = request(text)?;
    let node = expect(&document, ADD_MESSAGE, "AddMessageToPatientPortalInbox", &ADD)?;
    let message = must(node, ADD_MESSAGE, "message")?;
    let unit = must(message, CORE, "organisationUnit")?;
    let id = must(unit, CORE, "unitId")?;
    Ok(InboxMessage {
        person: person(node, ADD_MESSAGE)?,
        unit: SendingUnit {
            id: HsaId::parse(id.text())
                .map_err(|_| invalid("message/organisationUnit/unitId", "ska vara ett HSA-id"))?,
            name: must(unit, CORE, "unitName")?.text().to_owned(),
            address: may(unit, CORE, "unitAddress"),
            postal_code: may(unit, CORE, "unitPostalCode"),
            postal_city: may(unit, CORE, "unitPostalCity"),
            telephone: may(unit, CORE, "unitTelephone"),
        },
        thread_id: may(message, CORE, "messageThreadId"),
        heading: may(message, CORE, "messageDescription"),
        text: must(message, CORE, "messageText")?.text().to_owned(),
        notify: match node.child(ADD_MESSAGE, "notify") {
            Some(notify) => Some(boolean(notify)?),
            None => None,
        },
        source_system: may(node, ADD_MESSAGE, "sourceSystem"),
    })
}

/// Reads an answer to IsActiveUser of at most [`limits::INBOX_ANSWER_BYTES_MAX`].
pub fn read_user_status(bytes: &[u8], content_type: Option<&str>) -> Result<UserStatus, NotAnswer> {
    let document = answer(bytes, content_type)?;
    let read = || {
        let node = expect(&document, IS_ACTIVE_USER, "IsActiveUserResponse", &USER_STATUS)?;
        let status = must(node, IS_ACTIVE_USER, "status")?;
        let methods = notifications(node, IS_ACTIVE_USER, "activeNotificationMethods");
        Ok(UserStatus { active: boolean(status)?, methods })
    };
    read().map_err(NotAnswer::Other)
}

/// Reads an answer to AddMessageToPatientPortalInbox of at most [`limits::INBOX_ANSWER_BYTES_MAX`].
pub fn read_result(bytes: &[u8], content_type: Option<&str>) -> Result<InboxResult, NotAnswer> {
    let document = answer(bytes, content_type)?;
    let read = || {
        let name = "AddMessageToPatientPortalInboxResponse";
        let node = expect(&document, ADD_MESSAGE, name, &ADDED)?;
        let code = must(node, ADD_MESSAGE, "resultCode")?;
        Ok(InboxResult {
            thread_id: may(node, ADD_MESSAGE, "messageThreadId"),
            notified: notifications(node, ADD_MESSAGE, "notificationSent"),
            result_code: super::read::pick(code, &RESULT_CODES)
                .ok_or_else(|| invalid("resultCode", "ska vara OK, INFO eller ERROR"))?,
            result_text: may(node, ADD_MESSAGE, "resultText"),
        })
    };
    read().map_err(NotAnswer::Other)
}

fn request(text: &str) -> Result<Document, Rejection> {
    Ok(Document::parse(text).map_err(ReadError::from)?)
}

fn answer(bytes: &[u8], content_type: Option<&str>) -> Result<Document, NotAnswer> {
    let text = text_of(bytes, content_type, limits::INBOX_ANSWER_BYTES_MAX)
        .map_err(NotAnswer::Unreadable)?;
    let document = Document::parse(&text).map_err(|error| NotAnswer::Unreadable(error.into()))?;
    match fault_in(&document) {
        Some(fault) => Err(NotAnswer::Fault(fault)),
        None => Ok(document),
    }
}

fn expect<'d>(
    document: &'d Document,
    contract: &str,
    name: &str,
    fields: &'static Fields,
) -> Result<Node<'d>, Rejection> {
    let node = body_element(document).map_err(|error| Rejection::Malformed {
        path: "Envelope".to_owned(),
        what: error.detail(),
    })?;
    if !node.is(contract, name) {
        let what = format!("meddelandet ska vara {name}");
        return Err(Rejection::Malformed { path: node.name().to_owned(), what });
    }
    check(node, Shape::Fields(fields))?;
    Ok(node)
}

fn must<'d>(node: Node<'d>, namespace: &str, name: &str) -> Result<Node<'d>, Rejection> {
    node.child(namespace, name).ok_or_else(|| Rejection::Malformed {
        path: node.name().to_owned(),
        what: format!("elementet {name} saknas"),
    })
}

fn may(node: Node<'_>, namespace: &str, name: &str) -> Option<String> {
    node.child(namespace, name).map(|it| it.text().to_owned())
}

fn boolean(node: Node<'_>) -> Result<bool, Rejection> {
    to_bool(node.text()).ok_or_else(|| invalid(node.name(), "ska vara true eller false"))
}

fn person(node: Node<'_>, namespace: &str) -> Result<String, Rejection> {
    let number = must(node, namespace, "subjectOfCareId")?.text().trim();
    if !is_inbox_number(number) {
        let rule = "ska vara ett person- eller samordningsnummer: 12 tecken utan bindestreck";
        return Err(invalid("subjectOfCareId", rule));
    }
    Ok(number.to_owned())
}

/// A way of telling that is not known counts as [`Notification::Other`]: it is only information, and
/// a message that was taken must not look like one that was not.
fn notifications(node: Node<'_>, namespace: &str, name: &str) -> Vec<Notification> {
    let kind = |it| super::read::pick(it, &NOTIFICATIONS).unwrap_or(Notification::Other);
    node.children().filter(|it| it.is(namespace, name)).map(kind).collect()
}

fn invalid(field: &str, rule: &str) -> Rejection {
    Rejection::Invalid { field: field.to_owned(), rule: rule.to_owned() }
}

fn notification_wire(notification: Notification) -> String {
    wire(&notification, &NOTIFICATIONS).to_owned()
}
