//! The control door: plain HTTP on loopback, for people and other processes.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::door::with;
use crate::limits;
use crate::listen::{Body, Connection, Service, next_chunk};

/// What can be asked of a simulator, and told to it. A refusal says what can be done instead.
pub(super) trait Controlled: Send + Sync + 'static {
    /// The paths of [`Self::get`].
    const LISTS: &'static [&'static str];

    /// The list at `path`, newest last.
    fn get(&self, path: &str) -> Option<Value>;

    /// `POST /behave`; `of` is the query: which kind of call is meant.
    fn behave(&self, of: &str, course: &str) -> Result<(), String>;

    /// `POST /step`.
    fn step<'s>(&'s self, body: &'s str) -> BoxFuture<'s, Result<Value, String>>;
}

/// The door's service.
pub(super) struct Control<C>(pub(super) Arc<C>);

impl<C: Controlled> Service for Control<C> {
    async fn answer(&self, _: Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
        if !own_users_only(request.headers()) {
            let why = "not from a browser, and only by this machine's own name\n";
            return with(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", why);
        }
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if parts.method == Method::GET {
            return self
                .0
                .get(path)
                .map_or_else(|| lost::<C>(), |value| json_of(StatusCode::OK, &value));
        }
        let Some(body) = text(body).await else {
            return told(StatusCode::BAD_REQUEST, "the body is too large, or not UTF-8");
        };
        let outcome = match (&parts.method, path) {
            (&Method::POST, "/behave") => {
                let of = parts.uri.query().unwrap_or_default();
                self.0.behave(of, body.trim()).map(|()| json!({ "behave": body.trim() }))
            }
            (&Method::POST, "/step") => self.0.step(&body).await,
            _ => return lost::<C>(),
        };
        match outcome {
            Ok(value) => json_of(StatusCode::OK, &value),
            Err(why) => told(StatusCode::BAD_REQUEST, &why),
        }
    }
}

/// A page that somebody else wrote can make a browser on this machine call loopback; such calls
/// carry `Origin`, or a `Host` that is a name of theirs.
fn own_users_only(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let own = name == "localhost" || name.parse::<IpAddr>().is_ok();
    own && !headers.contains_key(header::ORIGIN)
}

async fn text(mut body: Incoming) -> Option<String> {
    let (mut left, mut bytes) = (limits::SIMULATOR_CONTROL_BYTES_MAX, Vec::new());
    while let Some(chunk) = next_chunk(&mut body, &mut left).await.ok()? {
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).ok()
}

fn lost<C: Controlled>() -> Response<Body> {
    let lists = C::LISTS.join(", GET ");
    told(StatusCode::NOT_FOUND, &format!("there is GET {lists}, POST /behave and POST /step"))
}

fn told(status: StatusCode, why: &str) -> Response<Body> {
    json_of(status, &json!({ "error": why }))
}

fn json_of(status: StatusCode, value: &Value) -> Response<Body> {
    with(status, "application/json", format!("{value:#}\n"))
}
