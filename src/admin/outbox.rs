//! The operator's door on many outgoing messages at once, and on pauses of receivers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::{Door, Trouble, blocking, reason_fits};
use crate::cases::pause::{Pause, PauseError};
use crate::cases::select::{Acted, Seen, Selected, Selection, Standing};
use crate::complaint::event::Decision;
use crate::complaint::registration::RegistrationNumber;
use crate::limits;
use crate::telemetry::Chain;

pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/outbox/select", post(select))
        .route("/outbox/decide", post(decide))
        .route("/outbox/pauses", get(pauses))
        .route("/outbox/pause", post(pause))
        .route("/outbox/resume", post(resume))
}

/// Which messages a decision would be about, or without one which there are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectRequest {
    pub decision: Option<Decision>,
    pub selection: Selection,
}

async fn select(
    State(door): State<Door>,
    Json(request): Json<SelectRequest>,
) -> Result<Json<Selected>, Trouble> {
    let SelectRequest { decision, mut selection } = request;
    let unfit = |why: String| Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    if let Some(number) = &selection.case {
        let read = RegistrationNumber::parse(number.as_str());
        let read = read.ok_or_else(|| unfit(format!("{number} is no registration number")))?;
        selection.case = Some(read);
    }
    if let Some(to) = &selection.to {
        known(&door, to)?;
    }
    if let Some(decision) = decision {
        let usual = Standing::usual(decision);
        if selection.states.is_empty() {
            selection.states = usual;
        } else if decision == Decision::Release && selection.states != usual {
            return Err(unfit("only what is held can be released; leave --state out".to_owned()));
        } else if selection
            .states
            .iter()
            .any(|it| matches!(it, Standing::Waiting | Standing::Leased))
        {
            let why = "nobody decides about messages that wait for another of their case, or are \
                       being sent";
            return Err(unfit(why.to_owned()));
        }
    }
    let cases = door.cases.clone();
    let selected = blocking(move || cases.select(&selection, limits::OUTBOX_SELECTION_MAX)).await?;
    Ok(Json(selected))
}

/// A decision about messages as they were shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideManyRequest {
    pub decision: Decision,
    pub reason: String,
    pub seen: Vec<Seen>,
}

async fn decide(
    State(door): State<Door>,
    Json(request): Json<DecideManyRequest>,
) -> Result<Json<Vec<Acted>>, Trouble> {
    reason_fits(&request.reason)?;
    if request.seen.len() > limits::OUTBOX_BATCH_MAX {
        let why = format!("at most {} messages in one call", limits::OUTBOX_BATCH_MAX);
        return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let DecideManyRequest { decision, reason, seen } = request;
    let acted = door.cases.decide_seen(seen, decision, reason).await.map_err(|error| {
        Trouble::new(StatusCode::SERVICE_UNAVAILABLE, Chain(&error).to_string())
    })?;
    let done = acted.iter().filter(|it| it.done).count();
    tracing::info!(?decision, done, moved = acted.len() - done, "an operator decided about many");
    Ok(Json(acted))
}

async fn pauses(State(door): State<Door>) -> Result<Json<Vec<Pause>>, Trouble> {
    Ok(Json(blocking(move || door.cases.pauses()).await?))
}

/// A receiver that is to be paused or resumed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    pub system: String,
    pub reason: String,
}

async fn pause(
    State(door): State<Door>,
    Json(request): Json<PauseRequest>,
) -> Result<Json<Pause>, Trouble> {
    reason_fits(&request.reason)?;
    known(&door, &request.system)?;
    let pause = door.cases.pause(&request.system, request.reason).await.map_err(of_pause)?;
    tracing::warn!(outgoing.to = %pause.system, "an operator paused it");
    Ok(Json(pause))
}

async fn resume(
    State(door): State<Door>,
    Json(request): Json<PauseRequest>,
) -> Result<Json<Pause>, Trouble> {
    reason_fits(&request.reason)?;
    let pause = door.cases.resume(&request.system, request.reason).await.map_err(of_pause)?;
    tracing::info!(outgoing.to = %pause.system, "an operator resumed it");
    Ok(Json(pause))
}

/// A slip of the pen must not be taken for a receiver that is owed nothing.
fn known(door: &Door, system: &str) -> Result<(), Trouble> {
    let all = (door.controls.receivers)();
    if all.contains(system) {
        return Ok(());
    }
    let all: Vec<String> = all.into_iter().collect();
    let why = format!("there is no receiver {system}; there are {}", all.join(", "));
    Err(Trouble::new(StatusCode::NOT_FOUND, why))
}

fn of_pause(error: PauseError) -> Trouble {
    let status = match &error {
        PauseError::Paused(_) | PauseError::NotPaused(_) => StatusCode::CONFLICT,
        PauseError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Trouble::new(status, Chain(&error).to_string())
}
