//! What routing says of a message that is kept: who receives it, who handles it, whose case it is.

use std::sync::Arc;

use super::Way;
use super::refusal::Refusal;
use crate::complaint::command::Reception;
use crate::complaint::event::Destination as Goes;
use crate::complaint::message::RecipientKind;
use crate::id::HsaId;
use crate::tak::{self, Denial, Handling, Question, Unit};

/// Routing knows no receiver for new cases; a permitted caller may still add to one that is here.
pub(super) fn known_case(
    denial: Denial,
    question: &Question<'_>,
    table: &tak::Table,
) -> Result<Way, Refusal> {
    let ours = question.contract.as_str().eq_ignore_ascii_case(tak::PROCESS_COMPLAINT);
    let gone = matches!(denial, Denial::NoRoute { .. } | Denial::CountyNotLive { .. });
    match HsaId::parse(question.address) {
        Ok(addressed) if ours && gone && table.permits(question) => {
            Ok(Way::KnownCase(addressed, denial))
        }
        _ => Err(Refusal::Routing(denial)),
    }
}

pub(super) fn reception(table: &tak::Table, unit: &Unit, handling: &Handling) -> Reception {
    let destination = match handling {
        Handling::Store => Goes::Store,
        Handling::System { system, receiver } => Goes::System {
            id: system.id.clone().unwrap_or_default(),
            hsa_id: system.hsa_id.clone(),
            receiver: receiver.clone(),
        },
    };
    let kind = if table.is_patient_advisory_committee(&unit.hsa_id) {
        RecipientKind::PatientAdvisoryCommittee
    } else {
        RecipientKind::CareProvider
    };
    Reception {
        receiver: unit.hsa_id.clone(),
        receiver_name: unit.name.clone(),
        county: unit.county.clone(),
        kind,
        destination,
    }
}

pub(super) fn handling_of(unit: &Unit, method: &tak::Method) -> Handling {
    match method {
        tak::Method::Store => Handling::Store,
        tak::Method::System { system, receiver } => Handling::System {
            system: Arc::clone(system),
            receiver: receiver.clone().unwrap_or_else(|| unit.hsa_id.clone()),
        },
    }
}
