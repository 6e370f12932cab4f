//! Mail to staff: the server of the settings, and the look for deadlines to tell of.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Parts, StartError};
use crate::config::Config;
use crate::limits;
use crate::mail::Mailer;
use crate::telemetry::Chain;

/// The mail server, if any, and where the staff page is. It is not called yet.
pub(super) fn mailer(config: &Config) -> Result<Option<(Mailer, String)>, StartError> {
    let Some(settings) = &config.mail else { return Ok(None) };
    let mailer = Mailer::new(settings).map_err(StartError::Mail)?;
    Ok(Some((mailer, settings.page.clone())))
}

/// Looks for deadlines that are near or have passed, until `stop`. That staff were told stands in
/// the journal, so that nobody is told again after a restart.
pub(super) async fn remind(parts: Parts, stop: CancellationToken) {
    if parts.config.mail.is_none() {
        return;
    }
    loop {
        if let Err(why) = look(&parts).await {
            tracing::warn!("deadlines are not looked for now: {why}");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(parts.config.alarms.every) => {}
        }
    }
}

async fn look(parts: &Parts) -> Result<(), String> {
    let routing = parts.routing.get();
    let table = &routing.table;
    let generation = table.generation().to_string();
    for unit in table.units() {
        let (cases, unit_id, terms) = (parts.cases.clone(), unit.hsa_id.clone(), unit.terms);
        let work = move || {
            let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
            loop {
                let page = cases.to_remind(&unit_id, &terms, after.as_deref())?;
                found.extend(page.cases.into_iter().map(|case| case.id));
                after = page.next;
                if after.is_none() || found.len() >= limits::REMINDERS_PER_LOOK_MAX {
                    return Ok::<_, crate::cases::query::QueryError>(found);
                }
            }
        };
        let found = parts.cases.engine().blocking(work).await.unwrap_or(Ok(Vec::new()));
        for case in found.map_err(|error| Chain(&error).to_string())? {
            let told = parts.cases.remind(&case, unit.terms, generation.clone()).await;
            told.map_err(|error| Chain(&error).to_string())?;
        }
    }
    Ok(())
}
