//! Questions to the gateway itself: is it well, what can be called here.

use jiff::Timestamp;

use super::opening::Opening;
use super::refusal::Refusal;
use crate::cases::Cases;
use crate::id::HsaId;
use crate::limits;
use crate::rivta::Rejection;
use crate::rivta::served::{self, Asked, Unasked};
use crate::routing::Routing;
use crate::soap::{ReadError, text_of};
use crate::telemetry::Chain;

/// Reads the rest of a question. It holds no files, so all of it is bounded as what is beside them.
pub(super) async fn receive(opening: Opening) -> Result<Asked, Refusal> {
    let mut bytes = Vec::new();
    let mut rest = opening.rest;
    let mut waiting = opening.read;
    loop {
        let chunk = match waiting.pop_front() {
            Some(chunk) => chunk,
            None => match rest.next().await? {
                Some(chunk) => chunk,
                None => break,
            },
        };
        if bytes.len() + chunk.len() > limits::SKELETON_BYTES_MAX {
            return Err(ReadError::SkeletonSize.into());
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = text_of(&bytes, opening.content_type.as_deref(), limits::SKELETON_BYTES_MAX)?;
    served::read(&text).map_err(|error| match error {
        Unasked::Malformed(Rejection::Malformed { path, what }) => {
            Refusal::Malformed { path, what }
        }
        Unasked::Malformed(Rejection::Invalid { field, rule }) => {
            Refusal::Malformed { path: field, what: rule }
        }
        Unasked::Empty(text) => Refusal::Argument(text),
    })
}

/// What the routing in force and the store answer. An HSA-id that is none has no permission.
pub(super) fn answer(
    asked: &Asked,
    cases: &Cases,
    routing: &Routing,
    started: Timestamp,
) -> Result<String, Refusal> {
    let (table, now) = (&routing.table, cases.now());
    Ok(match asked {
        Asked::Ping => {
            well(cases)?;
            let configuration = [
                ("version", concat!("klagomal ", env!("CARGO_PKG_VERSION")).to_owned()),
                ("started", started.to_string()),
                ("routing", table.generation().to_string()),
            ];
            served::write_ping(env!("CARGO_PKG_VERSION"), now, &configuration)
        }
        Asked::Contracts { consumer: None, address } => {
            served::write_contracts(&table.contracts_at(address, None, now))
        }
        Asked::Contracts { consumer: Some(consumer), address } => {
            let contracts = HsaId::parse(consumer)
                .map(|consumer| table.contracts_at(address, Some(&consumer), now));
            served::write_contracts(&contracts.unwrap_or_default())
        }
        Asked::Addressees { consumer, contract } => {
            let addresses =
                HsaId::parse(consumer).map(|it| table.addresses_for(&it, contract, now));
            served::write_addressees(&addresses.unwrap_or_default())
        }
    })
}

/// Goes all the way to the store: an answer from a gateway that can take nothing would be a lie.
fn well(cases: &Cases) -> Result<(), Refusal> {
    if let Some(unavailable) = cases.engine().health().unavailable {
        return Err(Refusal::Unavailable(unavailable.why.to_string()));
    }
    cases.count().map(|_| ()).map_err(|error| Refusal::Unavailable(Chain(&error).to_string()))
}
