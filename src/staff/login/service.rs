//! Logging in at a login service (OpenID Connect), and back.
//!
//! The answer comes from the login service's page, so browsers do not send strict cookies with it: a
//! login under way has a cookie of its own. What leads on from it is a page, not a redirect, since
//! the cookie of the new session is sent only from a page of ours.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use maud::{Markup, html};

use super::super::Desk;
use super::super::form::{Form, encode};
use super::super::gate;
use super::super::page::{Trouble, leading_on, to};
use super::super::session::{self, Holder};
use super::{own_path, with_cookie};
use crate::limits;
use crate::oidc::{LoginService, OidcError};
use crate::telemetry::Chain;

/// The cookie of a login under way.
const COOKIE: &str = "__Host-klagomal-in";

/// To the login service.
pub(in super::super) fn link(back: &str) -> Markup {
    html! { a.button href={ "/in/tjanst?till=" (encode(back)) } { "Logga in med e-legitimation" } }
}

pub(in super::super) async fn begin(
    State(desk): State<Desk>,
    request: Request,
) -> Result<Response, Trouble> {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let login = desk.login.as_ref().ok_or(Trouble::NotFound)?;
    let (url, cookie) = login.begin(own_path(query.one("till"))).await.map_err(failed)?;
    with_cookie(to(&url), &set(&cookie))
}

pub(in super::super) async fn finish(
    State(desk): State<Desk>,
    request: Request,
) -> Result<Response, Trouble> {
    let login = desk.login.clone().ok_or(Trouble::NotFound)?;
    let query = request.uri().query().unwrap_or_default();
    if query.len() > limits::OIDC_QUERY_BYTES_MAX {
        return Err(Trouble::TooLarge);
    }
    let query = Form::parse(query.as_bytes());
    let cookies = gate::one(request.headers(), header::COOKIE).unwrap_or_default().to_owned();
    let cookie = session::cookie(COOKIE, &cookies).unwrap_or_default();
    let begun = login.begun(cookie, query.one("state")).map_err(failed)?;
    let code = code(&login, &query).map_err(failed)?;
    let who = login.finish(&begun, code).await.map_err(failed)?;
    let now = desk.cases.now();
    let person = desk.routing.get().table.person(&who);
    let Some(person) = person else {
        tracing::warn!("somebody logged in who is not in staff.toml");
        return Err(Trouble::Nobody);
    };
    let old = session::cookie(session::COOKIE, &cookies);
    if let Some(old) = old.and_then(|it| desk.sessions.get(it, None, now)) {
        desk.sessions.end(&old);
    }
    let holder = Holder::Login(person.hsa_id.clone());
    let opened = desk.sessions.open(holder, now).ok_or(Trouble::Unavailable)?;
    let answer = leading_on(own_path(&begun.back));
    let answer = with_cookie(answer, &session::set_cookie(&opened))?;
    with_cookie(answer, &format!("{}; Max-Age=0", set("")))
}

/// The code in the login service's answer.
fn code<'a>(login: &LoginService, query: &'a Form) -> Result<&'a str, OidcError> {
    let error = query.one("error");
    if !error.is_empty() {
        return Err(OidcError::refused(error));
    }
    // Some tell who they are (RFC 9207), so that an answer of one is not taken for another's.
    let issuer = query.one("iss");
    if !issuer.is_empty() && issuer != login.issuer() {
        return Err(OidcError::NotBegun("it is from another login service"));
    }
    match query.one("code") {
        "" => Err(OidcError::NotBegun("it has neither code nor error")),
        code => Ok(code),
    }
}

/// Lax: it is sent along when the login service leads the browser back here.
fn set(value: &str) -> String {
    format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

fn failed(error: OidcError) -> Trouble {
    let again = match &error {
        OidcError::NotBegun(_) | OidcError::Refused(_) | OidcError::Busy => {
            tracing::info!("a login came to nothing: {}", Chain(&error));
            true
        }
        OidcError::Unreachable { .. } => {
            tracing::error!("nobody can log in by the login service: {}", Chain(&error));
            true
        }
        OidcError::Token(_)
        | OidcError::Level
        | OidcError::NoHsaId(_)
        | OidcError::BadHsaId(_)
        | OidcError::Secret { .. }
        | OidcError::Address { .. }
        | OidcError::Client(_) => {
            tracing::error!("a login by the login service was refused: {}", Chain(&error));
            false
        }
    };
    Trouble::LoginFailed { again }
}
