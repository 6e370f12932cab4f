//! The frame of every page, the words of every trouble, and pieces that several pages use.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use maud::{DOCTYPE, Markup, html};

use super::access::Denied;
use super::form::{Form, encode};
use super::gate::Visit;
use super::login::service::link;
use super::session;
use crate::cases::NotAccepted;
use crate::clock;
use crate::complaint::command::Refusal;
use crate::complaint::deadline::{Deadline, Stand};
use crate::telemetry::Chain;

/// The only style there is.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css")).into_response()
}

/// Every address that is none of ours.
pub(super) async fn not_found() -> Response {
    Trouble::NotFound.into_response()
}

/// A page for somebody who is in. `title` is the heading and the window's name.
pub(super) fn page(visit: &Visit, title: &str, body: Markup) -> Response {
    page_with(visit, StatusCode::OK, title, body)
}

/// A page with another status than 200.
pub(super) fn page_with(visit: &Visit, status: StatusCode, title: &str, body: Markup) -> Response {
    let inside = visit.session.is_some();
    let head = html! {
        @if inside {
            nav aria-label="Huvudmeny" {
                a href="/" { "Inkorg" }
                a href="/sok" { "Sök" }
            }
            form.leave method="post" action="/ut" {
                (token(visit, "/ut"))
                span { (visit.person.name) }
                button.plain type="submit" { "Logga ut" }
            }
        }
    };
    whole(status, title, &head, &body)
}

/// A page that leads on to `path` by itself, without script.
pub(super) fn leading_on(path: &str) -> Response {
    let body = html! { p { a href=(path) autofocus { "Fortsätt" } } };
    whole_with(StatusCode::OK, "Du är inloggad", &html! {}, &body, Some(path))
}

fn whole(status: StatusCode, title: &str, head: &Markup, body: &Markup) -> Response {
    whole_with(status, title, head, body, None)
}

fn whole_with(
    status: StatusCode,
    title: &str,
    head: &Markup,
    body: &Markup,
    on: Option<&str>,
) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="sv" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(path) = on { meta http-equiv="refresh" content={ "0;url=" (path) }; }
                title { (title) " – Synpunkter och klagomål" }
                link rel="stylesheet" href="/stil.css";
            }
            body {
                a.skip href="#innehall" { "Hoppa till innehållet" }
                header { span.brand { "Synpunkter och klagomål" } (head) }
                main id="innehall" tabindex="-1" {
                    h1 { (title) }
                    (body)
                }
            }
        }
    };
    (status, Html(page.into_string())).into_response()
}

/// The hidden field that says that a form is of this session.
pub(super) fn token(visit: &Visit, path: &str) -> Markup {
    html! { input type="hidden" name="intyg" value=(visit.token(path)); }
}

/// Elsewhere, after something was done.
pub(super) fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// A field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The field's name, which is also its id.
    pub(super) field: &'static str,
    pub(super) text: String,
}

/// What is wrong with a form, before it: each line leads to its field.
pub(super) fn faults(faults: &[Fault]) -> Markup {
    html! {
        @if !faults.is_empty() {
            div.faults role="alert" tabindex="-1" {
                h2 { "Det här behöver rättas" }
                ul {
                    @for fault in faults {
                        li { a href={ "#" (fault.field) } { (fault.text) } }
                    }
                }
            }
        }
    }
}

/// A label, its hint and what is wrong, around an input.
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'a str,
    pub(super) hint: &'a str,
    pub(super) form: &'a Form,
    pub(super) faults: &'a [Fault],
}

impl Field<'_> {
    fn around(&self, inside: &Markup) -> Markup {
        let fault = self.faults.iter().find(|fault| fault.field == self.name);
        html! {
            div.field.wrong[fault.is_some()] {
                label for=(self.name) { (self.label) }
                @if !self.hint.is_empty() { p.hint id=(self.hint_id()) { (self.hint) } }
                @if let Some(fault) = fault { p.fault id=(self.fault_id()) { (fault.text) } }
                (inside)
            }
        }
    }

    fn hint_id(&self) -> String {
        format!("{}-hjalp", self.name)
    }

    fn fault_id(&self) -> String {
        format!("{}-fel", self.name)
    }

    fn told_by(&self) -> Option<String> {
        let hint = (!self.hint.is_empty()).then(|| self.hint_id());
        let fault = self.faults.iter().any(|fault| fault.field == self.name);
        let all: Vec<String> = hint.into_iter().chain(fault.then(|| self.fault_id())).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }

    /// Several lines of text.
    pub(super) fn area(&self, rows: u8) -> Markup {
        self.around(&html! {
            textarea id=(self.name) name=(self.name) rows=(rows) aria-describedby=[self.told_by()] {
                // A browser drops the first line break after the tag.
                "\n" (self.form.one(self.name))
            }
        })
    }

    /// One line; `kind` is the type of the input.
    pub(super) fn line(&self, kind: &str) -> Markup {
        self.around(&html! {
            input id=(self.name) name=(self.name) type=(kind) value=(self.form.one(self.name))
                autocomplete="off" aria-describedby=[self.told_by()];
        })
    }

    /// A choice of one among few, value and text.
    pub(super) fn choice(&self, options: &[(String, String)]) -> Markup {
        let chosen = self.form.one(self.name);
        self.around(&html! {
            select id=(self.name) name=(self.name) aria-describedby=[self.told_by()] {
                @for (value, text) in options {
                    option value=(value) selected[value == chosen] { (text) }
                }
            }
        })
    }
}

/// A date and a time of day, Swedish.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_zoned(clock::swedish()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The time of day, with the date where that is not today.
pub(super) fn hour(at: Timestamp, now: Timestamp) -> String {
    if clock::swedish_day(at) == clock::swedish_day(now) {
        return at.to_zoned(clock::swedish()).strftime("%H:%M").to_string();
    }
    moment(at)
}

/// A day.
pub(super) fn day(at: Timestamp) -> String {
    clock::swedish_day(at).to_string()
}

/// A promise and where it stands, in words and a colour.
pub(super) fn deadline(what: &str, deadline: &Deadline, now: Timestamp) -> Markup {
    let (class, text) = match (deadline.stand(now), deadline.due) {
        (Stand::Met, _) => return html! {},
        (Stand::Rests, _) | (_, None) => ("rests", "vilar: väntar på anmälaren".to_owned()),
        (Stand::Overdue, Some(due)) => ("overdue", format!("försenat sedan {}", end(due))),
        (Stand::Near, Some(due)) => ("near", format!("snart: senast {}", end(due))),
        (Stand::Ahead, Some(due)) => ("ahead", format!("senast {}", end(due))),
    };
    html! { span.due.(class) { (what) " " (text) } }
}

/// The end of a term as people say it: one that ends at midnight is the day before, whole.
fn end(due: Timestamp) -> String {
    let local = due.to_zoned(clock::swedish());
    if local.time() == jiff::civil::Time::midnight() {
        let last: Option<Date> = local.date().yesterday().ok();
        return last.unwrap_or(local.date()).to_string();
    }
    moment(due)
}

/// Why a page is not the one asked for.
#[derive(Debug)]
pub(super) enum Trouble {
    NotFound,
    Denied(Denied),
    /// The certificate is nobody's, or no longer good.
    Card,
    /// The person is not in the configuration.
    Nobody,
    /// No session; where to go on after logging in.
    Login(String),
    /// No session and no card, where there is a login service; where to go on after logging in.
    SignIn(String),
    /// The login service did not vouch for anybody. `again`: another try may help.
    LoginFailed {
        again: bool,
    },
    /// No session, or a token of another one, for something that was sent.
    Ended,
    /// Not sent from a page of ours.
    Elsewhere,
    /// Not a form.
    Kind,
    TooLarge,
    Slow,
    /// Nothing can be read or kept now.
    Unavailable,
    /// The case does not allow it.
    Refused(String),
    Internal,
}

impl Trouble {
    /// Something that could not be read. What, goes to the log.
    pub(super) fn store(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!("the staff page: {}", Chain(error));
        Self::Unavailable
    }

    fn told(&self) -> (StatusCode, &'static str, String) {
        let (status, title, text) = match self {
            Self::NotFound | Self::Denied(Denied::NoRole) => {
                (StatusCode::NOT_FOUND, "Sidan finns inte", Denied::NoRole.swedish())
            }
            Self::Denied(denied) => {
                (StatusCode::FORBIDDEN, "Du har inte behörighet", denied.swedish())
            }
            Self::Card => (
                StatusCode::FORBIDDEN,
                "Ditt kort gäller inte",
                "Kortets certifikat saknar HSA-id, har gått ut eller är spärrat.".to_owned(),
            ),
            Self::Nobody => (
                StatusCode::FORBIDDEN,
                "Du är inte upplagd här",
                "Kontakta den som är ansvarig för behörigheter och uppge ditt HSA-id.".to_owned(),
            ),
            Self::SignIn(_) => (StatusCode::OK, "Logga in", "Visa vem du är.".to_owned()),
            Self::LoginFailed { again: true } => (
                StatusCode::FORBIDDEN,
                "Inloggningen blev inte klar",
                "Den avbröts, tog för lång tid eller kunde inte kontrolleras just nu. Försök igen."
                    .to_owned(),
            ),
            Self::LoginFailed { again: false } => (
                StatusCode::FORBIDDEN,
                "Inloggningen godtas inte",
                "Inloggningstjänsten lämnade inte de uppgifter som krävs. Kontakta den som är \
                 ansvarig för behörigheter."
                    .to_owned(),
            ),
            Self::Login(_) | Self::Ended => (
                StatusCode::FORBIDDEN,
                "Du har blivit utloggad",
                "Inget har sparats eller skickats. Gå tillbaka med webbläsarens bakåtknapp och \
                 kopiera det du har skrivit, logga in igen och klistra in det."
                    .to_owned(),
            ),
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                "Det kom inte härifrån",
                "Formuläret skickades inte från den här tjänstens egna sidor.".to_owned(),
            ),
            Self::Kind => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Det gick inte att läsa",
                "Det som skickades är inget formulär.".to_owned(),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Det var för mycket",
                "Texterna och filerna är tillsammans för stora. Inget har sparats.".to_owned(),
            ),
            Self::Slow => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Det tog för lång tid",
                "Titta i ärendet om det du gjorde är sparat innan du försöker igen.".to_owned(),
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Tjänsten är inte tillgänglig",
                "Inget har sparats och inget visas. Försök igen om en stund.".to_owned(),
            ),
            Self::Refused(why) => (StatusCode::CONFLICT, "Det gick inte", why.clone()),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Något gick fel",
                "Felet är vårt. Titta i ärendet om det du gjorde är sparat.".to_owned(),
            ),
        };
        (status, title, text)
    }
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<NotAccepted> for Trouble {
    fn from(error: NotAccepted) -> Self {
        match error {
            NotAccepted::Refused(Refusal::NotFound) => Self::NotFound,
            NotAccepted::Refused(
                refusal @ (Refusal::Invalid { .. }
                | Refusal::State(_)
                | Refusal::Denied(_)
                | Refusal::Changed),
            ) => Self::Refused(refusal.to_string()),
            NotAccepted::Reused => Self::Internal,
            NotAccepted::Unavailable(_) => Self::store(&error),
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        if let Self::Login(back) = &self {
            return to(&format!("/in?till={}", encode(back)));
        }
        let (status, title, text) = self.told();
        let body = html! {
            p { (text) }
            @if let Self::SignIn(back) = &self {
                p { (link(back)) }
                p.hint { "Har du ett kort som webbläsaren känner? Ta fram det och ladda om sidan." }
            } @else {
                p { a href="/" { "Till inkorgen" } }
            }
        };
        let mut response = whole(status, title, &html! {}, &body);
        if matches!(self, Self::Ended)
            && let Ok(value) = session::drop_cookie().parse()
        {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
        response
    }
}
