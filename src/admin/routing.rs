//! The operator's door on routing: its state, reading it again, going back, and what it decided.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::{Door, Trouble};
use crate::limits;
use crate::routing::decisions::Recorded;
use crate::routing::picture::{Change, Desk, Fetched, Files, NoAnswer, OpenCases, Picture};

pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/routing", get(picture))
        .route("/routing/reload", post(reload))
        .route("/routing/fetch", post(fetch))
        .route("/routing/rollback", post(roll_back))
        .route("/routing/files", get(files))
        .route("/routing/decisions", get(decisions))
        .route("/routing/open-cases", get(open_cases))
}

async fn picture(State(door): State<Door>) -> Result<Json<Picture>, Trouble> {
    asked(door, |desk| Ok(desk.picture())).await
}

async fn reload(State(door): State<Door>) -> Result<Json<Change>, Trouble> {
    asked(door, |desk| Ok(desk.reload())).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Fetch {
    accept_fewer: bool,
}

async fn fetch(
    State(door): State<Door>,
    Json(request): Json<Fetch>,
) -> Result<Json<Fetched>, Trouble> {
    asked(door, move |desk| desk.fetch(request.accept_fewer)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RollBack {
    generation: String,
}

async fn roll_back(
    State(door): State<Door>,
    Json(request): Json<RollBack>,
) -> Result<Json<Change>, Trouble> {
    asked(door, move |desk| desk.roll_back(&request.generation)).await
}

async fn files(State(door): State<Door>) -> Result<Json<Files>, Trouble> {
    asked(door, |desk| desk.files()).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Days {
    days: Option<usize>,
}

async fn decisions(
    State(door): State<Door>,
    Query(query): Query<Days>,
) -> Result<Json<Recorded>, Trouble> {
    let days = query.days.unwrap_or(limits::DECISION_DAYS_MAX);
    asked(door, move |desk| desk.decisions(days)).await
}

async fn open_cases(State(door): State<Door>) -> Result<Json<Vec<OpenCases>>, Trouble> {
    asked(door, |desk| desk.open_cases()).await
}

/// Asks on a thread that nobody else waits for.
async fn asked<T: Send + 'static>(
    door: Door,
    ask: impl FnOnce(&dyn Desk) -> Result<T, NoAnswer> + Send + 'static,
) -> Result<Json<T>, Trouble> {
    let desk = door.controls.routing.clone();
    match tokio::task::spawn_blocking(move || ask(&*desk.0)).await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(why)) => Err(Trouble::new(StatusCode::CONFLICT, why)),
        Err(_) => Err(Trouble::internal("the work was cut off")),
    }
}
