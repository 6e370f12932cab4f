//! What may happen among the staff of the built-in store: assigning, noting, taking back.
//!
//! Pure, as [`command`](super::command) is. Who may do it is decided before, by the staff page.

use super::case::Case;
use super::command::{Decided, Refusal, may_handle, still_open};
use super::event::{Act, Event, Via};
use super::message::Actor;
use crate::id::HsaId;

/// `by` does `act` with a case of the built-in store, as it stands now.
///
/// # Errors
/// When the case is handled elsewhere, or does not allow it.
pub fn act(case: Option<&Case>, by: &Actor, act: Act, own: &HsaId) -> Result<Decided, Refusal> {
    let case = case.ok_or(Refusal::NotFound)?;
    may_handle(case, super::command::Handling { by, via: Via::Store, system: own })?;
    match &act {
        Act::Assigned { to } => {
            still_open(case)?;
            if case.assigned == *to {
                let text = match to {
                    Some(to) => format!("{} har redan ärendet.", to.name),
                    None => "Ingen har ärendet.".to_owned(),
                };
                return Err(Refusal::State(text));
            }
        }
        Act::Noted { .. } | Act::Read { .. } => {}
        Act::Undone { step } => {
            let last = case.last_step.as_ref().filter(|last| last.seq == *step);
            let Some(last) = last else {
                return Err(Refusal::State("Det går inte längre att ångra.".to_owned()));
            };
            if last.by != by.hsa_id {
                let text = "Bara den som skickade kan ångra.".to_owned();
                return Err(Refusal::Denied(text));
            }
        }
    }
    Ok(Decided { event: Event::Staff { by: by.clone(), act }, owed: Vec::new() })
}
