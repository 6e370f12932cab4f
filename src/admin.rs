//! The operator's door: health, status, cases of the built-in store, the outbox; on loopback.
//!
//! It has no login: whoever reaches it may do all of it, so it listens where only the machine's own
//! users come. What a browser sends from a page of somebody else's is refused.

pub mod client;
pub mod outbox;
pub mod removal;
mod routing;
pub mod steps;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::backup::BackupError;
use crate::backup::make::{Made, Wanted};
use crate::cases::outbox::OutboxError;
use crate::cases::record::Item;
use crate::cases::{Cases, Grounds, NotAccepted};
use crate::complaint::case::Case;
use crate::complaint::command::Refusal;
use crate::complaint::event::{Decision, ItemId, Why};
use crate::complaint::message::Actor;
use crate::export;
use crate::id::HsaId;
use crate::limits;
use crate::routing::picture::SharedDesk;
use crate::store::blobs;
use crate::telemetry::Chain;
use steps::StepRequest;

/// Rows in one list when none are asked for, and at most.
const ROWS_DEFAULT: usize = 100;
const ROWS_MAX: usize = 10_000;

/// Makes a backup of the store.
pub type MakesBackup = dyn Fn(&Wanted) -> Result<Made, BackupError> + Send + Sync;

/// What the program as a whole can tell and do; made where everything is put together.
#[derive(Clone)]
pub struct Controls {
    /// Why nothing can be accepted; empty when it can.
    pub not_ready: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Certificates, revocation lists and routing are read again; what came of it, a line each.
    pub reload: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// What the configuration says now, for a step in the built-in store.
    pub grounds: Arc<dyn Fn() -> Grounds + Send + Sync>,
    /// Routing: its state, its changes and what it decided.
    pub routing: SharedDesk,
    /// The systems that something is or can be owed to.
    pub receivers: Arc<dyn Fn() -> BTreeSet<String> + Send + Sync>,
    /// The figures for Prometheus; an error says why there are none.
    pub metrics: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// Makes a backup of the store. Blocks as long as that takes.
    pub backup: Arc<MakesBackup>,
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Controls")
    }
}

#[derive(Debug, Clone)]
struct Door {
    cases: Cases,
    controls: Controls,
    /// Held while a backup is made.
    backing_up: Arc<Semaphore>,
}

/// The door's routes.
pub fn router(cases: Cases, controls: Controls) -> Router {
    routes(cases, controls, limits::ADMIN_CALL_TIME_MAX)
}

fn routes(cases: Cases, controls: Controls, call_time: Duration) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/reload", post(reload))
        .route("/cases", get(list))
        .route("/cases/{number}", get(show))
        .route("/cases/{number}/steps", post(step))
        .route("/cases/{number}/export", post(export))
        .route("/outbox", get(stuck))
        .route("/outbox/{id}", get(item).post(decide))
        .merge(outbox::routes())
        .merge(removal::routes())
        .merge(routing::routes())
        .layer(DefaultBodyLimit::max(limits::ADMIN_BODY_BYTES_MAX))
        .layer(middleware::from_fn(move |request, next| in_time(call_time, request, next)))
        // As long as the store is large: it has no bound in time, and ends with the gateway.
        .route("/backup", post(back_up).layer(DefaultBodyLimit::max(limits::ADMIN_BODY_BYTES_MAX)))
        .layer(middleware::from_fn(own_users_only))
        .with_state(Door { cases, controls, backing_up: Arc::new(Semaphore::new(1)) })
}

/// Serves `router` on `listener` until `stop`; calls under way are then answered, for as long as
/// [`limits::ADMIN_STOP_TIME_MAX`].
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    serve_within(listener, router, stop, limits::ADMIN_STOP_TIME_MAX).await
}

async fn serve_within(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    stop_time: Duration,
) -> std::io::Result<()> {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(stop_time).await;
    };
    let graceful = stop.clone().cancelled_owned();
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(graceful) => served,
        () = overdue => Ok(()),
    }
}

/// Nobody holds a call open: neither a caller that does not send its body, nor work of ours.
async fn in_time(call_time: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(call_time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let why = format!("not done in {} s", call_time.as_secs());
            Trouble::new(StatusCode::REQUEST_TIMEOUT, why).into_response()
        }
    }
}

/// A page that somebody else wrote can make a browser on this machine call loopback; such calls
/// carry `Origin`, or a `Host` that is a name of theirs.
async fn own_users_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || !is_local(headers) {
        return (
            StatusCode::FORBIDDEN,
            "not from a browser, and only by this machine's own name\n",
        )
            .into_response();
    }
    next.run(request).await
}

fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
    });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

async fn readyz(State(door): State<Door>) -> Response {
    let why = (door.controls.not_ready)();
    if why.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", why.join("; "))).into_response()
}

async fn status(State(door): State<Door>) -> Response {
    let controls = door.controls.clone();
    match tokio::task::spawn_blocking(move || (controls.status)()).await {
        Ok(status) => Json(status).into_response(),
        Err(_) => Trouble::internal("the status was cut off").into_response(),
    }
}

async fn metrics(State(door): State<Door>) -> Result<Response, Trouble> {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let controls = door.controls.clone();
    match tokio::task::spawn_blocking(move || (controls.metrics)()).await {
        Ok(Ok(text)) => Ok(([(header::CONTENT_TYPE, KIND)], text).into_response()),
        Ok(Err(why)) => Err(Trouble::internal(&why)),
        Err(_) => Err(Trouble::internal("the figures were cut off")),
    }
}

async fn reload(State(door): State<Door>) -> Response {
    let controls = door.controls.clone();
    match tokio::task::spawn_blocking(move || (controls.reload)()).await {
        Ok(lines) => Json(json!({ "reload": lines })).into_response(),
        Err(_) => Trouble::internal("the reload was cut off").into_response(),
    }
}

async fn back_up(
    State(door): State<Door>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Made>, Trouble> {
    let Ok(permit) = Arc::clone(&door.backing_up).try_acquire_owned() else {
        let why = "a backup is being made already; wait for it";
        return Err(Trouble::new(StatusCode::CONFLICT, why.to_owned()));
    };
    let make = Arc::clone(&door.controls.backup);
    let made = tokio::task::spawn_blocking(move || {
        let made = make(&wanted);
        drop(permit);
        made
    });
    match made.await {
        Ok(Ok(made)) => Ok(Json(made)),
        Ok(Err(error)) => {
            let why = Chain(&error).to_string();
            Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, format!("no backup: {why}")))
        }
        Err(_) => Err(Trouble::internal("the backup was cut off")),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    unit: Option<String>,
    limit: Option<usize>,
}

/// A row of the list of cases.
#[derive(Debug, Serialize)]
struct Row {
    number: String,
    status: crate::complaint::case::Status,
    opened: jiff::Timestamp,
    changed: jiff::Timestamp,
    receiver: HsaId,
    receiver_name: String,
    questions: usize,
    handled_here: bool,
}

impl From<Case> for Row {
    fn from(case: Case) -> Self {
        Self {
            status: case.status(),
            number: case.number.to_string(),
            opened: case.opened,
            changed: case.changed,
            questions: case.questions.len(),
            handled_here: matches!(case.destination, crate::complaint::event::Destination::Store),
            receiver: case.receiver,
            receiver_name: case.receiver_name,
        }
    }
}

async fn list(
    State(door): State<Door>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<Row>>, Trouble> {
    let unit = query.unit.map(|unit| HsaId::parse(&unit)).transpose().map_err(|error| {
        Trouble::new(StatusCode::BAD_REQUEST, format!("unit is not an HSA-id: {error}"))
    })?;
    let limit = query.limit.unwrap_or(ROWS_DEFAULT).min(ROWS_MAX);
    let cases = blocking(move || door.cases.list(unit.as_ref(), limit)).await?;
    Ok(Json(cases.into_iter().map(Row::from).collect()))
}

async fn show(
    State(door): State<Door>,
    Path(number): Path<String>,
) -> Result<Json<Value>, Trouble> {
    let case = find(&door, &number).await?;
    let cases = door.cases.clone();
    let id = case.id.clone();
    let (records, outgoing) = blocking(move || {
        Ok::<_, crate::cases::query::QueryError>((cases.records(&id)?, cases.items_of(&id)?))
    })
    .await?;
    let events: Vec<Value> = records
        .into_iter()
        .map(|(seq, record)| match record {
            Ok(record) => json!({
                "seq": seq, "at": record.at, "event": record.event,
                "from": record.incoming.map(|it| it.sender), "generation": record.generation,
            }),
            Err(error) => json!({ "seq": seq, "damaged": Chain(&error).to_string() }),
        })
        .collect();
    Ok(Json(json!({
        "case": case, "status": case.status(), "events": events, "outgoing": outgoing,
    })))
}

/// Who takes a case out, for the access log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportRequest {
    by: HsaId,
    #[serde(default)]
    name: Option<String>,
}

/// The archive of a case, once the access log says who has it.
async fn export(
    State(door): State<Door>,
    Path(number): Path<String>,
    Json(request): Json<ExportRequest>,
) -> Result<Response, Trouble> {
    let case = find(&door, &number).await?;
    let grounds = (door.controls.grounds)();
    let by = Actor { hsa_id: request.by, name: request.name, title: None, unit: None };
    let noted = door.cases.note_reading(&case.id, by, Why::Exports, grounds.generation.clone());
    noted.await.map_err(|error| Trouble::of_refusal(&error))?;
    let (cases, lists) = (door.cases.clone(), grounds.codes);
    let (file, bytes) = blocking(move || export::packed(&cases, &case, &lists)).await?;
    let content = blobs::chunks(file);
    let headers =
        [("content-type", "application/zip".to_owned()), ("content-length", bytes.to_string())];
    Ok((headers, axum::body::Body::from_stream(content)).into_response())
}

async fn step(
    State(door): State<Door>,
    Path(number): Path<String>,
    Json(request): Json<StepRequest>,
) -> Result<Json<Value>, Trouble> {
    let case = find(&door, &number).await?;
    let grounds = (door.controls.grounds)();
    let message = request
        .into_message(&case, door.cases.now(), &grounds.codes)
        .map_err(|why| Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, why))?;
    match door.cases.handle_here(message, grounds).await {
        Ok(accepted) => Ok(Json(json!({
            "number": accepted.receipt.number, "received": accepted.receipt.received,
        }))),
        Err(error) => Err(Trouble::of_refusal(&error)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboxQuery {
    /// Only what needs a person; otherwise counters of every system are given beside it.
    limit: Option<usize>,
}

async fn stuck(
    State(door): State<Door>,
    Query(query): Query<OutboxQuery>,
) -> Result<Json<Vec<Item>>, Trouble> {
    let limit = query.limit.unwrap_or(ROWS_DEFAULT).min(ROWS_MAX);
    Ok(Json(blocking(move || door.cases.stuck(limit)).await?))
}

async fn item(State(door): State<Door>, Path(id): Path<String>) -> Result<Json<Item>, Trouble> {
    let id = item_id(&id)?;
    let item = blocking(move || door.cases.item(id)).await?;
    item.map(Json).ok_or_else(|| Trouble::not_found("there is no such outgoing message"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideRequest {
    decision: Decision,
    reason: String,
}

async fn decide(
    State(door): State<Door>,
    Path(id): Path<String>,
    Json(request): Json<DecideRequest>,
) -> Result<Json<Item>, Trouble> {
    let id = item_id(&id)?;
    reason_fits(&request.reason)?;
    match door.cases.decide(id, request.decision, request.reason).await {
        Ok(item) => Ok(Json(item)),
        Err(error @ OutboxError::NoSuch(_)) => Err(Trouble::not_found(&error.to_string())),
        Err(error @ OutboxError::NotNow { .. }) => {
            Err(Trouble::new(StatusCode::CONFLICT, error.to_string()))
        }
        Err(error @ OutboxError::Store(_)) => {
            Err(Trouble::new(StatusCode::SERVICE_UNAVAILABLE, Chain(&error).to_string()))
        }
    }
}

fn reason_fits(reason: &str) -> Result<(), Trouble> {
    if reason.trim().is_empty() {
        return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "give a reason".to_owned()));
    }
    if reason.chars().nth(limits::WHY_CHARS_MAX).is_some() {
        let why = format!("a reason has at most {} characters", limits::WHY_CHARS_MAX);
        return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    Ok(())
}

async fn find(door: &Door, number: &str) -> Result<Case, Trouble> {
    let cases = door.cases.clone();
    let number = number.to_owned();
    let case = blocking(move || cases.by_number(&number)).await?;
    case.ok_or_else(|| Trouble::not_found("no case has that registration number"))
}

fn item_id(text: &str) -> Result<ItemId, Trouble> {
    ItemId::parse(text).ok_or_else(|| {
        let why = "an outgoing message is named as 12.0, as `klagomal outbox list` shows it";
        Trouble::new(StatusCode::BAD_REQUEST, why.to_owned())
    })
}

async fn blocking<T, E, F>(work: F) -> Result<T, Trouble>
where
    T: Send + 'static,
    E: std::error::Error + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Trouble::internal(&Chain(&error).to_string())),
        Err(_) => Err(Trouble::internal("the work was cut off")),
    }
}

/// An answer to an operator that is not the one asked for.
#[derive(Debug)]
struct Trouble {
    status: StatusCode,
    why: String,
}

impl Trouble {
    const fn new(status: StatusCode, why: String) -> Self {
        Self { status, why }
    }

    fn not_found(why: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, why.to_owned())
    }

    fn internal(why: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_owned())
    }

    fn of_refusal(error: &NotAccepted) -> Self {
        let status = match error {
            NotAccepted::Refused(Refusal::NotFound) => StatusCode::NOT_FOUND,
            NotAccepted::Refused(Refusal::Denied(_)) => StatusCode::FORBIDDEN,
            NotAccepted::Refused(Refusal::State(_) | Refusal::Changed) => StatusCode::CONFLICT,
            NotAccepted::Refused(Refusal::Invalid { .. }) | NotAccepted::Reused => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            NotAccepted::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, Chain(error).to_string())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.why }))).into_response()
    }
}

#[cfg(test)]
mod tests;
