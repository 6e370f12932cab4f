//! In and out: the card or a login service says who, the session says since when.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use maud::html;

use super::Desk;
use super::gate::Visit;
use super::page::{Trouble, page, to};
use super::session::{self, Holder};

pub(super) mod service;

pub(super) async fn show(Extension(visit): Extension<Arc<Visit>>) -> Response {
    let back = own_path(visit.query.one("till"));
    if visit.session.is_some() {
        return to(back);
    }
    let body = html! {
        p { "Ditt kort visar att du är " strong { (visit.person.name) } " (" (visit.person.hsa_id) ")." }
        form method="post" action="/in" {
            input type="hidden" name="till" value=(back);
            button type="submit" autofocus { "Logga in" }
        }
        @if visit.other_login { p { (service::link(back)) } }
        p.hint { "Du loggas ut efter en kvart utan aktivitet. Ta med dig kortet när du går." }
    };
    page(&visit, "Logga in", body)
}

/// Always a new session: one that was open in this browser ends.
pub(super) async fn enter(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    if let Some(old) = &visit.session {
        desk.sessions.end(old);
    }
    let card = visit.fingerprint.clone().ok_or(Trouble::Card)?;
    let cookie = desk.sessions.open(Holder::Card(card), visit.now).ok_or(Trouble::Unavailable)?;
    with_cookie(to(own_path(visit.form.one("till"))), &session::set_cookie(&cookie))
}

pub(super) async fn leave(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    if let Some(session) = &visit.session {
        desk.sessions.end(session);
    }
    with_cookie(to("/in"), &session::drop_cookie())
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, Trouble> {
    let value = HeaderValue::from_str(cookie).map_err(|_| Trouble::Internal)?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(response)
}

/// A path here, whatever was asked for: nobody is sent elsewhere.
pub(super) fn own_path(path: &str) -> &str {
    let plain = |c: char| c.is_ascii_graphic() && c != '\\';
    let own = path.starts_with('/') && !path.starts_with("//") && path.chars().all(plain);
    if own { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_logging_in_one_is_still_here() {
        for path in ["/", "/arende/DNM-VMF-Y", "/enhet/SE0000000000-VC1?visa=avslutade"] {
            assert_eq!(own_path(path), path);
        }
        for path in ["", "//x.example", "https://x.example", "/\\x.example", "/a\r\nb", "in"] {
            assert_eq!(own_path(path), "/", "{path}");
        }
    }
}
