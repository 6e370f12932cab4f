//! Receivers that an operator has paused: nothing more is sent to them until they are resumed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::engine::{StoreError, SubmitError, Transaction};

use super::outbox::cut;
use super::query::{self, JobError, QueryError};
use super::record::{RECORD_VERSION, StoreEvent, StoreRecord};
use super::{Cases, key};

/// A receiver that is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub system: String,
    pub since: Timestamp,
    /// As the operator gave it.
    pub why: String,
}

/// Why a receiver could not be paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// Somebody has paused it already.
    #[error("{} is paused since {:.0}: {}", .0.system, .0.since, .0.why)]
    Paused(Pause),
    #[error("{0} is not paused")]
    NotPaused(String),
    #[error("the store could not commit it")]
    Store(#[source] SubmitError<JobError>),
}

impl Cases {
    /// The pause of `system`, while it is paused.
    pub fn pause_of(&self, system: &str) -> Result<Option<Pause>, QueryError> {
        self.view(&key::pause(system))
    }

    /// Every receiver that is paused.
    pub fn pauses(&self) -> Result<Vec<Pause>, QueryError> {
        let rows = self.rows(&key::pauses(), usize::MAX)?;
        rows.iter().map(|(_, pause)| query::of_json(pause)).collect()
    }

    /// Pauses `system`: from the answer on nothing more is leased to it. What is under way ends.
    ///
    /// # Errors
    /// When it is paused already, or the store cannot commit it.
    pub async fn pause(&self, system: &str, reason: String) -> Result<Pause, PauseError> {
        let (name, reason) = (system.to_owned(), cut(reason));
        self.turn(name, move |transaction, name| {
            if let Some(pause) = query::read_in::<Pause>(transaction, &key::pause(name))? {
                return Ok(Err(PauseError::Paused(pause)));
            }
            let (system, since, why) = (name.to_owned(), transaction.now(), reason.clone());
            note(transaction, StoreEvent::Paused { system: name.to_owned(), reason })?;
            Ok(Ok(Pause { system, since, why }))
        })
        .await
    }

    /// Resumes `system`; what has gathered is sent in its turn. Gives the pause that ended.
    ///
    /// # Errors
    /// When it is not paused, or the store cannot commit it.
    pub async fn resume(&self, system: &str, reason: String) -> Result<Pause, PauseError> {
        let (name, reason) = (system.to_owned(), cut(reason));
        self.turn(name, move |transaction, name| {
            let Some(pause) = query::read_in::<Pause>(transaction, &key::pause(name))? else {
                return Ok(Err(PauseError::NotPaused(name.to_owned())));
            };
            note(transaction, StoreEvent::Resumed { system: name.to_owned(), reason })?;
            Ok(Ok(pause))
        })
        .await
    }

    async fn turn<F>(&self, system: String, job: F) -> Result<Pause, PauseError>
    where
        F: FnOnce(&mut Transaction<'_>, &str) -> Result<Result<Pause, PauseError>, JobError>
            + Send
            + 'static,
    {
        let name = system.clone();
        let job = move |transaction: &mut Transaction<'_>| job(transaction, &name);
        let turned = self.engine.submit(job).await.map_err(PauseError::Store)?;
        self.ring(&system);
        turned
    }
}

fn note(transaction: &mut Transaction<'_>, store: StoreEvent) -> Result<(), JobError> {
    let record = StoreRecord { v: RECORD_VERSION, at: transaction.now(), store };
    query::append_store_in(transaction, &record)?;
    Ok(())
}

/// Whether `system` is paused, as the writer sees it.
pub(super) fn is_paused_in(
    transaction: &mut Transaction<'_>,
    system: &str,
) -> Result<bool, StoreError> {
    Ok(transaction.get(&key::pause(system))?.is_some())
}
