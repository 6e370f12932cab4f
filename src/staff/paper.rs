//! A case on paper and out of here: a PDF, and the archive for diarieföring.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::Desk;
use super::gate::Visit;
use super::page::Trouble;
use crate::cases::Cases;
use crate::complaint::case::Case;
use crate::complaint::codes::CodeLists;
use crate::export::{self, ExportError, Whole};
use crate::store::blobs;

pub(super) async fn pdf(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let number = visit.case()?.number.clone();
    let pdf = made(&desk, &visit, |cases, case, lists| Whole::read(cases, case, lists)?.pdf(lists));
    Ok(saved("application/pdf", &format!("{number}.pdf"), Body::from(pdf.await?)))
}

pub(super) async fn archive(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let number = visit.case()?.number.clone();
    let (file, bytes) = made(&desk, &visit, export::packed).await?;
    let content = blobs::chunks(file);
    let body = Body::from_stream(content);
    let mut response = saved("application/zip", &format!("{number}.zip"), body);
    response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    Ok(response)
}

/// Runs what waits for the disk on a thread that may.
async fn made<T: Send + 'static>(
    desk: &Desk,
    visit: &Visit,
    make: fn(&Cases, &Case, &CodeLists) -> Result<T, ExportError>,
) -> Result<T, Trouble> {
    let (cases, case) = (desk.cases.clone(), visit.case()?.clone());
    let lists = Arc::clone(&visit.routing.codes);
    let place = Arc::clone(&desk.exports).acquire_owned().await.map_err(|_| Trouble::Internal)?;
    // The place goes with the work, which goes on when the browser hangs up.
    let work = move || {
        let made = make(&cases, &case, &lists);
        drop(place);
        made
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(error)) => Err(Trouble::store(&error)),
        Err(_) => Err(Trouble::Internal),
    }
}

fn saved(kind: &str, name: &str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, body).into_response()
}
