//! Why a call is not passed on: the platform's codes and details, and our own words.

use crate::id::HsaId;
use crate::limits;

/// Why a call is refused. `Display` is for the log and holds nothing that the caller wrote; the detail
/// of the fault does (see [`Denial::detail`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No logical address in the header.
    NoAddress,
    /// No unit or route for the address and contract.
    NoRoute {
        /// As called.
        contract: String,
        /// As called.
        address: String,
        /// White space in the address is likely why.
        white_space: bool,
    },
    /// The unit is known, but its county takes no cases that day.
    CountyNotLive {
        /// As called.
        contract: String,
        /// As called.
        address: String,
        /// Länskod.
        county: String,
        /// Name of the county.
        name: String,
        /// What it lacks.
        missing: Vec<Missing>,
    },
    /// Several routes are in effect and nothing tells which.
    MoreThanOne {
        /// As called.
        contract: String,
        /// As called.
        address: String,
    },
    /// The caller has no permission.
    NotPermitted {
        /// As called.
        contract: String,
        /// As called.
        address: String,
        /// Who called.
        caller: HsaId,
    },
    /// The route leads to a system without a URL.
    NoUrl {
        /// As called.
        contract: String,
        /// As called.
        address: String,
    },
    /// There is no routing configuration: said by the one who should hold a table and does not.
    NoTable,
}

/// What a county lacks to be live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// A patientnämnd that takes cases that day.
    Committee,
    /// A care unit that takes cases that day.
    CareUnit,
}

impl Missing {
    /// For operators.
    #[must_use]
    pub const fn english(self) -> &'static str {
        match self {
            Self::Committee => "a patient advisory committee",
            Self::CareUnit => "a care unit",
        }
    }

    const fn swedish(self) -> &'static str {
        match self {
            Self::Committee => "patientnämnd",
            Self::CareUnit => "vårdenhet",
        }
    }
}

impl Denial {
    /// The platform's code, `VPnnn`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAddress => "VP003",
            Self::NoRoute { .. } | Self::CountyNotLive { .. } => "VP004",
            Self::MoreThanOne { .. } => "VP006",
            Self::NotPermitted { .. } => "VP007",
            Self::NoTable => "VP008",
            Self::NoUrl { .. } => "VP010",
        }
    }

    /// For the caller, in Swedish; stands after `VPnnn [instance] ` in the fault string.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::NoAddress => "Anropet saknar logisk adress. Ange mottagarens HSA-id i \
                                meddelandets huvud."
                .to_owned(),
            Self::NoRoute { .. } => "Det finns ingen mottagare för den logiska adressen och \
                                     tjänstekontraktet. Kontrollera adressen och kontraktet; \
                                     stämmer de behöver mottagaren läggas upp i gatewayen."
                .to_owned(),
            Self::CountyNotLive { county, name, missing, .. } => {
                let missing: Vec<_> = missing.iter().map(|it| it.swedish()).collect();
                format!(
                    "Länet {name} ({county}) tar ännu inte emot ärenden: {} saknas.",
                    missing.join(" och ")
                )
            }
            Self::MoreThanOne { .. } => "Fel i gatewayens konfiguration: flera mottagare passar \
                                         anropet. Anmäl till gatewayens förvaltning."
                .to_owned(),
            Self::NotPermitted { .. } => "Anropande system saknar behörighet för den logiska \
                                          adressen och tjänstekontraktet. Kontrollera anropet; \
                                          stämmer det behöver behörighet beställas."
                .to_owned(),
            Self::NoUrl { .. } => "Fel i gatewayens konfiguration: mottagaren saknar \
                                   nätverksadress. Anmäl till gatewayens förvaltning."
                .to_owned(),
            Self::NoTable => "Gatewayen har ingen giltig konfiguration och kan inte förmedla \
                              anropet. Anmäl till gatewayens förvaltning."
                .to_owned(),
        }
    }

    /// The detail of the fault, word for word as the platform gives it: consumers match on it.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::NoAddress => {
                "No receiverId (logical address) found in message header. ".to_owned()
            }
            Self::NoRoute { contract, address, white_space } => {
                let hint =
                    if *white_space { ". Whitespace detected in incoming request!" } else { "" };
                format!("{}{hint}", no_receiver(contract, address))
            }
            Self::CountyNotLive { contract, address, county, missing, .. } => {
                let missing: Vec<_> = missing.iter().map(|it| it.english()).collect();
                let missing = missing.join(" and ");
                format!("{}. County {county} lacks {missing}", no_receiver(contract, address))
            }
            Self::MoreThanOne { contract, address } => format!(
                "More than one receiverId (logical address) with matching Riv-version found for \
                 serviceNamespace: {contract}, receiverId: {}",
                shown(address)
            ),
            Self::NotPermitted { contract, address, caller } => format!(
                "Authorization missing for serviceNamespace: {contract}, receiverId: {}, \
                 senderId: {caller}",
                shown(address)
            ),
            Self::NoUrl { contract, address } => format!(
                "Physical Address field is empty in Service Producer for serviceNamespace: \
                 {contract}, receiverId: {}",
                shown(address)
            ),
            Self::NoTable => "No contact with TAK at startup, and no local cache to fallback on, \
                              not possible to route call"
                .to_owned(),
        }
    }
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAddress => f.write_str("no logical address in the header"),
            Self::NoRoute { white_space: false, .. } => {
                f.write_str("no unit or route for the address and contract")
            }
            Self::NoRoute { white_space: true, .. } => {
                f.write_str("no unit or route for the address and contract; white space in it")
            }
            Self::CountyNotLive { county, missing, .. } => {
                let missing: Vec<_> = missing.iter().map(|it| it.english()).collect();
                write!(f, "county {county} lacks {}", missing.join(" and "))
            }
            Self::MoreThanOne { .. } => f.write_str("more than one route is in effect"),
            Self::NotPermitted { .. } => {
                f.write_str("the caller has no permission for the address and contract")
            }
            Self::NoUrl { .. } => f.write_str("the system that the route names has no URL"),
            Self::NoTable => f.write_str("there is no routing configuration"),
        }
    }
}

impl std::error::Error for Denial {}

fn no_receiver(contract: &str, address: &str) -> String {
    format!(
        "No receiverId (logical address) found for serviceNamespace: {contract}, receiverId: {}",
        shown(address)
    )
}

/// An address as it may stand in a fault: the whole of every real one, not the whole of a flood.
fn shown(address: &str) -> &str {
    let end = address.char_indices().nth(limits::LOGICAL_ADDRESS_CHARS_MAX).map(|(at, _)| at);
    end.and_then(|end| address.get(..end)).unwrap_or(address)
}
