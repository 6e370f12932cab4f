//! The contracts that the gateway itself answers at its own address: is it well, what is where.
//!
//! The names are the published ones, misspellings and all: `logicalAdress`,
//! `serviceContractNameSpace`. Both registry contracts are of version 2 and keep their types, and the
//! `LogicalAddress` of their calls, in a namespace of their own.

use jiff::Timestamp;

use super::Rejection;
use super::write::response_envelope;
use crate::clock;
use crate::soap::{self, ReadError};
use crate::xml::shape::{Fields, Item, Shape, check};
use crate::xml::write::push_text;
use crate::xml::{Document, Node};

/// `PingForConfiguration` 1.0.
pub const PING: &str = "urn:riv:itintegration:monitoring:PingForConfigurationResponder:1";

/// `GetSupportedServiceContracts` 2.0.
pub const CONTRACTS: &str =
    "urn:riv:infrastructure:itintegration:registry:GetSupportedServiceContractsResponder:2";

/// `GetLogicalAddresseesByServiceContract` 2.0.
pub const ADDRESSEES: &str = "urn:riv:infrastructure:itintegration:registry:GetLogicalAddresseesByServiceContractResponder:2";

/// All of them.
pub const ALL: [&str; 3] = [PING, CONTRACTS, ADDRESSEES];

/// The types that both registry contracts share.
const REGISTRY: &str = "urn:riv:infrastructure:itintegration:registry:2";

/// Whether the contract is one that the gateway answers itself; without regard to case, as routing
/// compares contracts.
#[must_use]
pub fn is_served(contract: &str) -> bool {
    ALL.iter().any(|it| it.eq_ignore_ascii_case(contract))
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Whether the gateway is well.
    Ping,
    /// Which contracts can be called at an address.
    Contracts {
        /// By whom; absent: by anybody.
        consumer: Option<String>,
        /// The logical address.
        address: String,
    },
    /// Which addresses can be called now.
    Addressees {
        /// By whom.
        consumer: String,
        /// With which contract: the namespace of its service schema.
        contract: String,
    },
}

/// Why a question gets no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unasked {
    /// It is no message of the contract.
    #[error("not a message of the contract")]
    Malformed(#[source] Rejection),
    /// An argument without a value. The text is the contract's, letter for letter.
    #[error("{0}")]
    Empty(&'static str),
}

const NO_CONTRACT: &str = "ServiceContractNamespece must not be empty or null";
const NO_CONSUMER: &str = "ServiceConsumerHsaId must not be empty or null";

static PING_SHAPE: Fields = Fields {
    namespace: PING,
    items: &[
        Item::One("serviceContractNamespace", Shape::Text),
        Item::One("logicalAddress", Shape::Text),
    ],
    any: true,
};

static CONTRACTS_SHAPE: Fields = Fields {
    namespace: CONTRACTS,
    items: &[
        Item::Optional("serviceConsumerHsaId", Shape::Text),
        Item::One("logicalAdress", Shape::Text),
    ],
    any: true,
};

// An argument that is missing is told in the same words as an empty one.
static ADDRESSEES_SHAPE: Fields = Fields {
    namespace: ADDRESSEES,
    items: &[
        Item::Optional("serviceConsumerHsaId", Shape::Text),
        Item::Optional("serviceContractNameSpace", Shape::Fields(&NAMESPACE_SHAPE)),
    ],
    any: true,
};

static NAMESPACE_SHAPE: Fields = Fields {
    namespace: REGISTRY,
    items: &[Item::Optional("ServiceContractNamespace", Shape::Text)],
    any: true,
};

impl From<Rejection> for Unasked {
    fn from(error: Rejection) -> Self {
        Self::Malformed(error)
    }
}

/// Reads a whole request, as text.
///
/// # Errors
/// When it is none of a served contract, or lacks an argument.
pub fn read(text: &str) -> Result<Asked, Unasked> {
    let document =
        Document::parse(text).map_err(|error| Rejection::from(ReadError::from(error)))?;
    let node = soap::body_element(&document).map_err(Rejection::from)?;
    let shaped = |fields| check(node, Shape::Fields(fields)).map_err(Rejection::from);
    match (node.namespace(), node.name()) {
        (PING, "PingForConfiguration") => {
            shaped(&PING_SHAPE)?;
            Ok(Asked::Ping)
        }
        (CONTRACTS, "GetSupportedServiceContracts") => {
            shaped(&CONTRACTS_SHAPE)?;
            let consumer = value(node, CONTRACTS, "serviceConsumerHsaId");
            let address =
                value(node, CONTRACTS, "logicalAdress").ok_or_else(|| Rejection::Malformed {
                    path: format!("{}/logicalAdress", node.name()),
                    what: "elementet är tomt".to_owned(),
                })?;
            Ok(Asked::Contracts { consumer, address })
        }
        (ADDRESSEES, "GetLogicalAddresseesByServiceContract") => {
            shaped(&ADDRESSEES_SHAPE)?;
            let contract = node.child(ADDRESSEES, "serviceContractNameSpace");
            let contract = contract.and_then(|it| value(it, REGISTRY, "ServiceContractNamespace"));
            Ok(Asked::Addressees {
                consumer: value(node, ADDRESSEES, "serviceConsumerHsaId")
                    .ok_or(Unasked::Empty(NO_CONSUMER))?,
                contract: contract.ok_or(Unasked::Empty(NO_CONTRACT))?,
            })
        }
        _ => Err(Unasked::Malformed(Rejection::Malformed {
            path: node.name().to_owned(),
            what: "elementet hör inte till tjänstekontraktet".to_owned(),
        })),
    }
}

/// The text of a child, trimmed; `None` where it is missing or blank.
fn value(node: Node<'_>, namespace: &str, name: &str) -> Option<String> {
    let text = node.child(namespace, name)?.text().trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The answer to [`Asked::Ping`]: `configuration` as names and values.
#[must_use]
pub fn write_ping(version: &str, at: Timestamp, configuration: &[(&str, String)]) -> String {
    let mut w = Response::new(PING, "PingForConfiguration");
    w.element("version", version);
    w.element("pingDateTime", &clock::to_riv_stamp(at));
    for (name, value) in configuration {
        w.open("configuration");
        w.element("name", name);
        w.element("value", value);
        w.close("configuration");
    }
    w.finish()
}

/// The answer to [`Asked::Contracts`].
#[must_use]
pub fn write_contracts(contracts: &[String]) -> String {
    let mut w = Response::new(CONTRACTS, "GetSupportedServiceContracts");
    for contract in contracts {
        w.open("serviceContractNamespace");
        w.text.push_str(&format!("<c:ServiceContractNamespace xmlns:c=\"{REGISTRY}\">"));
        push_text(&mut w.text, contract);
        w.text.push_str("</c:ServiceContractNamespace>");
        w.close("serviceContractNamespace");
    }
    w.finish()
}

/// The answer to [`Asked::Addressees`]. No record has a filter, as routing here has none: each
/// address is for everything.
#[must_use]
pub fn write_addressees(addresses: &[String]) -> String {
    let mut w = Response::new(ADDRESSEES, "GetLogicalAddresseesByServiceContract");
    for address in addresses {
        w.open("logicalAddressRecord");
        w.element("logicalAddress", address);
        w.close("logicalAddressRecord");
    }
    w.finish()
}

/// A response element that is being written.
struct Response {
    text: String,
    operation: &'static str,
}

impl Response {
    fn new(contract: &str, operation: &'static str) -> Self {
        Self { text: format!("<r:{operation}Response xmlns:r=\"{contract}\">"), operation }
    }

    fn open(&mut self, name: &str) {
        self.text.push_str(&format!("<r:{name}>"));
    }

    fn close(&mut self, name: &str) {
        self.text.push_str(&format!("</r:{name}>"));
    }

    fn element(&mut self, name: &str, text: &str) {
        self.open(name);
        push_text(&mut self.text, text);
        self.close(name);
    }

    fn finish(mut self) -> String {
        self.text.push_str(&format!("</r:{}Response>", self.operation));
        response_envelope(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(contract: &str, operation: &str, content: &str) -> Result<Asked, Unasked> {
        read(&format!(
            "<s:Envelope xmlns:s=\"{}\"><s:Body><{operation} xmlns=\"{contract}\">{content}\
             </{operation}></s:Body></s:Envelope>",
            soap::SOAP_11
        ))
    }

    fn addressees(content: &str) -> Result<Asked, Unasked> {
        asked(ADDRESSEES, "GetLogicalAddresseesByServiceContract", content)
    }

    fn namespace(text: &str) -> String {
        format!(
            "<serviceContractNameSpace><ServiceContractNamespace xmlns=\"{REGISTRY}\">{text}\
             </ServiceContractNamespace></serviceContractNameSpace>"
        )
    }

    #[test]
    fn an_argument_that_is_empty_or_missing_is_told_in_the_words_of_the_contract() {
        let consumer = "<serviceConsumerHsaId> SE1 </serviceConsumerHsaId>";
        let good = addressees(&format!("{consumer}{}", namespace(" urn:x ")));
        let expected = Asked::Addressees { consumer: "SE1".into(), contract: "urn:x".into() };
        assert_eq!(good, Ok(expected));
        let blank = "<serviceConsumerHsaId> </serviceConsumerHsaId>";
        for none in [namespace("urn:x"), format!("{blank}{}", namespace("urn:x"))] {
            assert_eq!(addressees(&none), Err(Unasked::Empty(NO_CONSUMER)));
        }
        let hollow = "<serviceContractNameSpace/>".to_owned();
        for none in [String::new(), namespace(""), namespace(" "), hollow] {
            assert_eq!(addressees(&format!("{consumer}{none}")), Err(Unasked::Empty(NO_CONTRACT)));
        }
    }

    #[test]
    fn a_consumer_is_optional_where_contracts_are_asked_for_and_the_address_is_not() {
        let ask = |content: &str| asked(CONTRACTS, "GetSupportedServiceContracts", content);
        let address = "<logicalAdress>SE1</logicalAdress>";
        let all = Asked::Contracts { consumer: None, address: "SE1".into() };
        assert_eq!(ask(address), Ok(all.clone()));
        assert_eq!(ask(&format!("<serviceConsumerHsaId/>{address}")), Ok(all));
        let one = format!("<serviceConsumerHsaId>SE2</serviceConsumerHsaId>{address}");
        let expected = Asked::Contracts { consumer: Some("SE2".into()), address: "SE1".into() };
        assert_eq!(ask(&one), Ok(expected));
        for bad in ["", "<logicalAdress/>", "<logicalAddress>SE1</logicalAddress>"] {
            assert!(matches!(ask(bad), Err(Unasked::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn what_is_no_message_of_a_served_contract_is_refused() {
        let good = "<serviceContractNamespace>urn:x</serviceContractNamespace>\
                    <logicalAddress>SE1</logicalAddress>";
        assert_eq!(asked(PING, "PingForConfiguration", good), Ok(Asked::Ping));
        for (contract, operation, content) in [
            (PING, "PingForConfiguration", ""),
            (PING, "GetSupportedServiceContracts", good),
            (CONTRACTS, "PingForConfiguration", good),
        ] {
            let told = asked(contract, operation, content);
            assert!(matches!(told, Err(Unasked::Malformed(_))), "{operation}");
        }
        assert!(matches!(read("<a"), Err(Unasked::Malformed(_))));
    }

    #[test]
    fn what_a_value_holds_cannot_become_markup() {
        let text = write_addressees(&["<SE&1>".to_owned()]);
        assert!(text.contains("<r:logicalAddress>&lt;SE&amp;1&gt;</r:logicalAddress>"), "{text}");
    }
}
