//! The operator's door on gallring: which cases a decision covers, and removing them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Door, Trouble, blocking, reason_fits};
use crate::cases::remove::{Ground, Kept, Remains, RemoveError, Scope};
use crate::complaint::message::Ii;
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;
use crate::limits;
use crate::telemetry::Chain;

pub(super) fn routes() -> Router<Door> {
    Router::new().route("/removal/scope", post(scope)).route("/removal", get(removed).post(remove))
}

/// Which cases are meant: those of a unit that were closed before a moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeRequest {
    pub unit: HsaId,
    pub before: Timestamp,
}

/// What a removal would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScopeFound {
    /// The cases that would be removed.
    pub cases: Vec<String>,
    /// Those that cannot be.
    pub kept: Vec<KeptCase>,
    /// There are more than these.
    pub more: bool,
}

/// A case that stays, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptCase {
    pub number: String,
    pub why: String,
}

/// Cases to be removed, as they were shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveRequest {
    pub scope: ScopeRequest,
    /// The reference of the decision.
    pub decision: String,
    pub by: HsaId,
    /// At most [`limits::REMOVE_BATCH_MAX`].
    pub numbers: Vec<String>,
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveDone {
    pub removed: Vec<String>,
    pub kept: Vec<KeptCase>,
}

impl From<ScopeRequest> for Scope {
    fn from(ScopeRequest { unit, before }: ScopeRequest) -> Self {
        Self { unit, before }
    }
}

async fn scope(
    State(door): State<Door>,
    Json(request): Json<ScopeRequest>,
) -> Result<Json<ScopeFound>, Trouble> {
    let (cases, scope) = (door.cases.clone(), request.into());
    let found = tokio::task::spawn_blocking(move || cases.to_remove(&scope)).await;
    let found = found.map_err(|_| Trouble::internal("the search was cut off"))?;
    let found = found.map_err(|error| of_removal(&error))?;
    let kept = found.kept.into_iter().map(|(number, why)| KeptCase {
        number: number.as_str().to_owned(),
        why: why.why().to_owned(),
    });
    Ok(Json(ScopeFound {
        cases: found.cases.iter().map(|(_, number)| number.as_str().to_owned()).collect(),
        kept: kept.collect(),
        more: found.more,
    }))
}

async fn removed(State(door): State<Door>) -> Result<Json<Vec<Remains>>, Trouble> {
    Ok(Json(blocking(move || door.cases.removed(limits::REMOVE_LISTED_MAX)).await?))
}

async fn remove(
    State(door): State<Door>,
    Json(request): Json<RemoveRequest>,
) -> Result<Json<RemoveDone>, Trouble> {
    reason_fits(&request.decision)?;
    if request.numbers.len() > limits::REMOVE_BATCH_MAX {
        let why = format!("at most {} cases in one call", limits::REMOVE_BATCH_MAX);
        return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    // A backup copies what records name: files must not go in the middle of it.
    let Ok(alone) = Arc::clone(&door.backing_up).try_acquire_owned() else {
        let why = "a backup is being made, or other cases removed; wait for that";
        return Err(Trouble::new(StatusCode::CONFLICT, why.to_owned()));
    };
    // Whoever hangs up: what was begun is finished, its keys gone with it.
    let removing = tokio::spawn(async move {
        let done = remove_all(&door, request).await;
        drop(alone);
        done
    });
    removing.await.map_err(|_| Trouble::internal("the removal was cut off"))?.map(Json)
}

async fn remove_all(door: &Door, request: RemoveRequest) -> Result<RemoveDone, Trouble> {
    let scope = request.scope.into();
    let ground = Ground { decision: request.decision, by: request.by.to_string() };
    let mut done = RemoveDone { removed: Vec::new(), kept: Vec::new() };
    for number in request.numbers {
        let why = match case_of(door, &number).await? {
            Some(case) => door.cases.remove(&case, &scope, &ground).await,
            None => Ok(Some(Kept::Changed)),
        };
        match why.map_err(|error| of_removal(&error))? {
            None => done.removed.push(number),
            Some(why) => done.kept.push(KeptCase { number, why: why.why().to_owned() }),
        }
    }
    tracing::warn!(removed = done.removed.len(), unit = %scope.unit, "cases were removed");
    Ok(done)
}

async fn case_of(door: &Door, number: &str) -> Result<Option<Ii>, Trouble> {
    let Some(number) = RegistrationNumber::parse(number) else { return Ok(None) };
    let cases = door.cases.clone();
    let found = blocking(move || cases.by_number(number.as_str())).await?;
    Ok(found.map(|case| case.id))
}

fn of_removal(error: &RemoveError) -> Trouble {
    let status = match error {
        RemoveError::NotSealed => StatusCode::CONFLICT,
        RemoveError::Query(_)
        | RemoveError::Store(_)
        | RemoveError::Keys(_)
        | RemoveError::Blobs(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Trouble::new(status, Chain(error).to_string())
}
