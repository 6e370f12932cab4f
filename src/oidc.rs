//! OpenID Connect: who a login service (inloggningstjänst) says that somebody in a browser is.
//!
//! Authorization code flow with PKCE. Nothing about a login under way is kept here: what must come
//! back is derived from a secret of this process and a [`Begun`] that the browser carries in a
//! cookie, so nobody can fill a table with logins that they never finish. The login service is
//! asked where its endpoints are when somebody first logs in, and again every
//! [`limits::OIDC_DISCOVERY_AGE_MAX`].
//!
//! No text of a token reaches an error: it may name a person.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthenticationContextClass, AuthenticationFlow, AuthorizationCode,
    ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, SubjectIdentifier, TokenResponse as _,
    UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::clock::Clock;
use crate::id::{HsaId, HsaIdError};
use crate::limits;
use crate::tls::ClientTls;

mod ask;

/// Where people log in, and what they must bring back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The login service's name for itself; `https`, as it stands in its tokens.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// The file with our secret there. `None`: we have none, PKCE alone binds the login to us.
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers reach the staff page, without a slash at the end.
    pub address: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds the HSA-id.
    pub hsa_id_claim: String,
    /// The levels of assurance (tillitsnivå) of which one must have been reached.
    pub levels: Vec<String>,
}

/// Where the login service sends people back to, below [`Settings::address`].
pub const CALLBACK: &str = "/in/svar";

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The secret cannot be read.
    #[error("the client secret in {} cannot be read", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An address in the settings is none.
    #[error("[oidc] {key} is no address: {text:?}")]
    Address {
        /// The key.
        key: &'static str,
        /// What it holds.
        text: String,
    },
    /// The client for calls cannot be made.
    #[error("the client for calls to the login service is not made")]
    Client(#[source] reqwest::Error),
    /// Too many logins at once.
    #[error("{} logins wait for the login service already", limits::OIDC_CALLS_MAX)]
    Busy,
    /// The login service did not answer as it should.
    #[error("the login service at {at}: {what}")]
    Unreachable {
        /// Which address, without what was asked.
        at: String,
        /// What was seen.
        what: String,
    },
    /// It said no, or the person did. Its code, such as `access_denied`.
    #[error("the login service refused: {0}")]
    Refused(String),
    /// What came back belongs to no login that this browser began here, or to one long ago.
    #[error("the answer belongs to no login that was begun here: {0}")]
    NotBegun(&'static str),
    /// Its token does not hold.
    #[error("the token of the login service does not hold: {0}")]
    Token(&'static str),
    /// The login has a lower level of assurance than asked for, or tells none.
    #[error("the login service vouches for none of the levels of [oidc] levels")]
    Level,
    /// Neither token nor user info have an HSA-id.
    #[error("neither token nor user info have the claim {0:?} with a text")]
    NoHsaId(String),
    /// It is there and is no HSA-id.
    #[error("the HSA-id that the login service tells cannot be used: {0}")]
    BadHsaId(#[source] HsaIdError),
}

impl OidcError {
    /// The login service refused with this code. Its own words stay out: who knows what they name.
    #[must_use]
    pub fn refused(code: &str) -> Self {
        let known = |c: &char| c.is_ascii_lowercase() || *c == '_';
        Self::Refused(code.chars().take_while(known).take(limits::OIDC_CODE_CHARS_MAX).collect())
    }
}

/// Every claim beside those of the standard.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims(serde_json::Map<String, serde_json::Value>);

impl AdditionalClaims for Claims {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Claims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type Client = openidconnect::Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Signatures that only the login service can make. None of them is made with our own secret.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// One login service. Clones are the same.
#[derive(Debug, Clone)]
pub struct LoginService {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    secret: Option<ClientSecret>,
    http: ask::Http,
    clock: Arc<dyn Clock>,
    /// What states, nonces and verifiers are derived from; new in every process.
    key: hmac::Key,
    known: ArcSwapOption<Known>,
    places: Semaphore,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginService").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The login service as it last described itself.
struct Known {
    client: Client,
    at: Timestamp,
}

/// A login that a browser has begun. What it carries is in the clear and cannot be made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    random: String,
    at: Timestamp,
    /// Where to go on afterwards.
    pub back: String,
}

impl LoginService {
    /// Reads the secret. `tls` trusts those who may vouch for the login service's address.
    ///
    /// # Errors
    /// When the secret cannot be read or an address is none.
    pub fn new(
        settings: Settings,
        tls: Arc<ClientTls>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OidcError> {
        let address = |key, text: &str| OidcError::Address { key, text: text.to_owned() };
        let issuer = IssuerUrl::new(settings.issuer.clone())
            .map_err(|_| address("issuer", &settings.issuer))?;
        let redirect = RedirectUrl::new(format!("{}{CALLBACK}", settings.address))
            .map_err(|_| address("address", &settings.address))?;
        let secret = settings.client_secret_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path)
                .map_err(|source| OidcError::Secret { path: path.clone(), source })?;
            Ok(ClientSecret::new(text.trim().to_owned()))
        });
        let random = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
        let shared = Shared {
            issuer,
            redirect,
            secret: secret.transpose()?,
            http: ask::Http::new(tls)?,
            clock,
            key: hmac::Key::new(hmac::HMAC_SHA256, &random),
            known: ArcSwapOption::empty(),
            places: Semaphore::new(limits::OIDC_CALLS_MAX),
            settings,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The login service's name for itself.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.settings.issuer
    }

    /// Begins a login: where the browser is sent, and the cookie that it brings back with the answer.
    /// `back` is where it goes on afterwards.
    ///
    /// # Errors
    /// When the login service does not tell where people log in.
    pub async fn begin(&self, back: &str) -> Result<(String, String), OidcError> {
        let known = self.known(limits::OIDC_DISCOVERY_AGE_MAX).await?;
        let at = self.shared.clock.now();
        let begun =
            Begun { random: Uuid::new_v4().simple().to_string(), at, back: back.to_owned() };
        let state = CsrfToken::new(self.derive("state", &begun));
        let nonce = Nonce::new(self.derive("nonce", &begun));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&self.verifier(&begun));
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = known
            .client
            .authorize_url(flow, move || state, move || nonce)
            .set_pkce_challenge(challenge)
            // One who logged in there before, at this machine, may be somebody else.
            .add_prompt(CoreAuthPrompt::Login)
            .set_max_age(limits::OIDC_LOGIN_TIME_MAX)
            .add_ui_locale(openidconnect::LanguageTag::new("sv".to_owned()));
        for scope in &self.shared.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for level in &self.shared.settings.levels {
            request =
                request.add_auth_context_value(AuthenticationContextClass::new(level.clone()));
        }
        let (url, _, _) = request.url();
        Ok((url.into(), self.write(&begun)))
    }

    /// The login that a browser has begun, by its cookie and the state that came back.
    ///
    /// # Errors
    /// When it is none of ours, of another browser, or from too long ago.
    pub fn begun(&self, cookie: &str, state: &str) -> Result<Begun, OidcError> {
        let begun = self.read(cookie).ok_or(OidcError::NotBegun("no cookie of a login"))?;
        let age = self.shared.clock.now().duration_since(begun.at);
        if age.unsigned_abs() > limits::OIDC_LOGIN_TIME_MAX {
            return Err(OidcError::NotBegun("it took too long"));
        }
        let (own, given) = (self.derive("state", &begun), self.sign(state.as_bytes()));
        match self.sign(own.as_bytes()) == given {
            true => Ok(begun),
            false => Err(OidcError::NotBegun("another state")),
        }
    }

    /// Who has logged in, by the code that came back.
    ///
    /// # Errors
    /// When the login service does not vouch for anybody with an HSA-id.
    pub async fn finish(&self, begun: &Begun, code: &str) -> Result<HsaId, OidcError> {
        let _place = self.shared.places.try_acquire().map_err(|_| OidcError::Busy)?;
        let known = self.known(limits::OIDC_DISCOVERY_AGE_MAX).await?;
        let http = &self.shared.http;
        let tokens = known
            .client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| ask::unfit(&self.shared.issuer, "it names no token endpoint"))?
            .set_pkce_verifier(self.verifier(begun))
            .request_async(http)
            .await
            .map_err(|error| ask::of_tokens(&self.shared.issuer, error))?;
        let claims = match self.verified(&known, &tokens, begun) {
            // Its keys may be new: it is asked for them once more.
            Err(OidcError::Token(UNSIGNED)) => {
                let newer = self.known(limits::OIDC_DISCOVERY_AGE_MIN).await?;
                self.verified(&newer, &tokens, begun)?
            }
            other => other?,
        };
        let claim = &self.shared.settings.hsa_id_claim;
        let text = match text(&claims.1, claim) {
            Some(text) => text,
            None => self.asked(&known, &tokens, claims.0).await?,
        };
        HsaId::parse(&text).map_err(OidcError::BadHsaId)
    }

    /// Who the token is about and what else it claims, once everything about it holds.
    fn verified(
        &self,
        known: &Known,
        tokens: &Tokens,
        begun: &Begun,
    ) -> Result<(SubjectIdentifier, Claims), OidcError> {
        let token = tokens.id_token().ok_or(OidcError::Token("there is none"))?;
        let clock = Arc::clone(&self.shared.clock);
        let levels = &self.shared.settings.levels;
        let earliest = begun.at - limits::OIDC_CLOCK_DIFFERENCE_MAX;
        let verifier = known
            .client
            .id_token_verifier()
            .set_allowed_algs(SIGNATURES)
            .set_time_fn(move || moment(clock.now()))
            .set_auth_context_verifier_fn(|level| {
                let reached = level.is_some_and(|it| levels.iter().any(|one| one == it.as_str()));
                if reached || levels.is_empty() { Ok(()) } else { Err(String::new()) }
            })
            .set_auth_time_verifier_fn(move |at| match at {
                // A login from before is somebody's who may have left.
                Some(at) if at.timestamp() >= earliest.as_second() => Ok(()),
                Some(_) | None => Err(String::new()),
            });
        let nonce = Nonce::new(self.derive("nonce", begun));
        let claims = token.claims(&verifier, &nonce).map_err(|error| refused(&error))?;
        Ok((claims.subject().clone(), claims.additional_claims().clone()))
    }

    /// The HSA-id from the user info endpoint, which must be about the same person.
    async fn asked(
        &self,
        known: &Known,
        tokens: &Tokens,
        subject: SubjectIdentifier,
    ) -> Result<String, OidcError> {
        let claim = &self.shared.settings.hsa_id_claim;
        let missing = || OidcError::NoHsaId(claim.clone());
        let request = known.client.user_info(tokens.access_token().clone(), Some(subject));
        let http = &self.shared.http;
        let told: UserInfoClaims<Claims, CoreGenderClaim> = request
            .map_err(|_| missing())?
            .request_async(http)
            .await
            .map_err(|error| ask::of_user_info(&self.shared.issuer, &error))?;
        text(told.additional_claims(), claim).ok_or_else(missing)
    }

    /// The login service as it described itself at most `age_max` ago.
    async fn known(&self, age_max: Duration) -> Result<Arc<Known>, OidcError> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let known = shared.known.load_full();
        let young = |known: &Arc<Known>| now.duration_since(known.at).unsigned_abs() < age_max;
        if let Some(known) = known.filter(young) {
            return Ok(known);
        }
        let found = CoreProviderMetadata::discover_async(shared.issuer.clone(), &shared.http)
            .await
            .map_err(|error| ask::of_discovery(&shared.issuer, error))?;
        let id = ClientId::new(shared.settings.client_id.clone());
        let client = Client::from_provider_metadata(found, id, shared.secret.clone());
        let client = client.set_redirect_uri(shared.redirect.clone());
        let known = Arc::new(Known { client, at: now });
        shared.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }

    fn verifier(&self, begun: &Begun) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.derive("verifier", begun))
    }

    /// A secret of this login for one purpose: 43 letters, which is what PKCE asks for.
    fn derive(&self, purpose: &str, begun: &Begun) -> String {
        self.sign(format!("{purpose} {}", plain(begun)).as_bytes())
    }

    fn sign(&self, text: &[u8]) -> String {
        BASE64.encode(hmac::sign(&self.shared.key, text))
    }

    fn write(&self, begun: &Begun) -> String {
        format!("{}.{}", plain(begun), self.derive("cookie", begun))
    }

    fn read(&self, cookie: &str) -> Option<Begun> {
        let mut parts = cookie.split('.');
        let (random, at) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        let back = String::from_utf8(BASE64.decode(parts.next()?).ok()?).ok()?;
        let begun = Begun { random, at: Timestamp::from_second(at).ok()?, back };
        let mark = BASE64.decode(parts.next()?).ok()?;
        let signed = format!("cookie {}", plain(&begun));
        hmac::verify(&self.shared.key, signed.as_bytes(), &mark).ok()?;
        parts.next().is_none().then_some(begun)
    }
}

/// A login as text; whole seconds.
fn plain(begun: &Begun) -> String {
    format!("{}.{}.{}", begun.random, begun.at.as_second(), BASE64.encode(&begun.back))
}

fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.0.get(name)?.as_str().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
}

/// Our time as the library's.
fn moment(at: Timestamp) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(at.as_second(), 0).unwrap_or_default()
}

const UNSIGNED: &str = "its signature is not by a key of the login service";

/// Why a token does not hold, in words of our own: the library's may quote it.
fn refused(error: &ClaimsVerificationError) -> OidcError {
    use ClaimsVerificationError as Error;
    OidcError::Token(match error {
        Error::InvalidAuthContext(_) => return OidcError::Level,
        Error::InvalidAuthTime(_) => "it tells of no login since we asked (auth_time)",
        Error::Expired(_) => "it has run out, by our clock",
        Error::InvalidAudience(_) => "it is for somebody else than [oidc] client_id",
        Error::InvalidIssuer(_) => "it is by another than [oidc] issuer",
        Error::InvalidNonce(_) => "it belongs to another login (nonce)",
        Error::InvalidSubject(_) => "it is about somebody else",
        Error::SignatureVerification(_) => UNSIGNED,
        Error::Other(_) | Error::Unsupported(_) => "it has a form that is not understood",
        _ => "for another reason",
    })
}

#[cfg(test)]
mod tests;
