//! Calls to the login service, and what went wrong with them, without what was said in them.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    AsyncHttpClient, DiscoveryError, HttpRequest, HttpResponse, IssuerUrl, RequestTokenError,
    StandardErrorResponse, UserInfoError,
};
use reqwest::{Client, Request};

use super::OidcError;
use crate::limits;
use crate::telemetry::Chain;
use crate::tls::ClientTls;

/// The client for calls, made anew when its certificates have changed.
#[derive(Debug)]
pub(super) struct Http {
    tls: Arc<ClientTls>,
    made: Mutex<(u64, Client)>,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Its address is not https.
    #[error("the address is not https")]
    Plain,
    /// The call was not made, or not answered.
    #[error("no answer")]
    Call(#[source] reqwest::Error),
    /// More than was agreed.
    #[error("the answer is longer than {} bytes", limits::OIDC_ANSWER_BYTES_MAX)]
    TooLong,
    /// A client cannot be made of the new certificates.
    #[error("the client for calls is not made")]
    Client(#[source] reqwest::Error),
}

impl Http {
    pub(super) fn new(tls: Arc<ClientTls>) -> Result<Self, OidcError> {
        let client = client(&tls).map_err(OidcError::Client)?;
        let made = Mutex::new((tls.generation(), client));
        Ok(Self { tls, made })
    }

    /// One call. Ends within [`limits::OIDC_CALL_TIME_MAX`]; no redirect is followed.
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, AskError> {
        let request = Request::try_from(request).map_err(AskError::Call)?;
        if request.url().scheme() != "https" {
            return Err(AskError::Plain);
        }
        let mut answer = self.client()?.execute(request).await.map_err(AskError::Call)?;
        let mut read = HttpResponse::default();
        *read.status_mut() = answer.status();
        *read.headers_mut() = std::mem::take(answer.headers_mut());
        while let Some(chunk) = answer.chunk().await.map_err(AskError::Call)? {
            if read.body().len() + chunk.len() > limits::OIDC_ANSWER_BYTES_MAX {
                return Err(AskError::TooLong);
            }
            read.body_mut().extend_from_slice(&chunk);
        }
        Ok(read)
    }

    fn client(&self) -> Result<Client, AskError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.tls.generation();
        if made.0 != generation {
            *made = (generation, client(&self.tls).map_err(AskError::Client)?);
        }
        Ok(made.1.clone())
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = AskError;
    type Future = BoxFuture<'c, Result<HttpResponse, AskError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

fn client(tls: &ClientTls) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls.config().as_ref().clone())
        .no_proxy()
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .http1_only()
        .user_agent(concat!("klagomal/", env!("CARGO_PKG_VERSION")))
        .timeout(limits::OIDC_CALL_TIME_MAX)
        .build()
}

/// What the login service is or says does not fit.
pub(super) fn unfit(issuer: &IssuerUrl, what: &str) -> OidcError {
    OidcError::Unreachable { at: issuer.to_string(), what: what.to_owned() }
}

fn asked(issuer: &IssuerUrl, error: &AskError) -> OidcError {
    OidcError::Unreachable { at: issuer.to_string(), what: Chain(error).to_string() }
}

pub(super) fn of_discovery(issuer: &IssuerUrl, error: DiscoveryError<AskError>) -> OidcError {
    match error {
        DiscoveryError::Request(error) => asked(issuer, &error),
        // These hold nobody's data: what a login service says of itself is public.
        other @ (DiscoveryError::Parse(_)
        | DiscoveryError::Response(..)
        | DiscoveryError::UrlParse(_)
        | DiscoveryError::Validation(_)
        | DiscoveryError::Other(_)
        | _) => OidcError::Unreachable {
            at: issuer.to_string(),
            what: format!("its description cannot be used: {}", Chain(&other)),
        },
    }
}

pub(super) fn of_tokens(
    issuer: &IssuerUrl,
    error: RequestTokenError<AskError, StandardErrorResponse<CoreErrorResponseType>>,
) -> OidcError {
    match error {
        RequestTokenError::Request(error) => asked(issuer, &error),
        RequestTokenError::ServerResponse(said) => OidcError::refused(said.error().as_ref()),
        RequestTokenError::Parse(..) => unfit(issuer, "its answer to the code is not understood"),
        RequestTokenError::Other(_) => unfit(issuer, "its answer to the code cannot be used"),
    }
}

pub(super) fn of_user_info(issuer: &IssuerUrl, error: &UserInfoError<AskError>) -> OidcError {
    match error {
        UserInfoError::Request(error) => asked(issuer, error),
        UserInfoError::ClaimsVerification(_) => {
            OidcError::Token("the user info is not about the person of the token")
        }
        UserInfoError::Parse(_) => unfit(issuer, "its user info is not understood"),
        UserInfoError::Response(status, ..) => OidcError::Unreachable {
            at: issuer.to_string(),
            what: format!("its user info endpoint answered {status}"),
        },
        UserInfoError::Other(_) | _ => unfit(issuer, "its user info cannot be used"),
    }
}
