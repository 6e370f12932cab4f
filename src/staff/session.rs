//! Sessions: short, in memory only, bound to the certificate that they were opened with, if any.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::clock;
use crate::id::HsaId;
use crate::limits;

/// The cookie's name: `__Host-` makes browsers refuse it without Secure, with Domain, or with
/// another Path than `/`.
pub(super) const COOKIE: &str = "__Host-klagomal";

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// Of whoever shows the certificate with this fingerprint.
    Card(String),
    /// Of the person whom the login service told of, with whatever certificate.
    Login(HsaId),
}

/// An open session, as a page needs it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    key: [u8; 32],
    secret: [u8; 32],
    /// Whom the login service told of, where it did.
    pub(super) login: Option<HsaId>,
}

#[derive(Debug)]
struct Kept {
    holder: Holder,
    opened: Timestamp,
    seen: Timestamp,
    secret: [u8; 32],
}

/// Every open session, by the hash of its cookie: who reads the memory of a list has no cookie.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    kept: Mutex<BTreeMap<[u8; 32], Kept>>,
}

impl Sessions {
    /// Opens a session for `holder`, and ends the oldest where there are
    /// [`limits::STAFF_SESSIONS_PER_PERSON_MAX`]. The cookie is always a new one: one that
    /// somebody was given before can never become a session.
    pub(super) fn open(&self, holder: Holder, now: Timestamp) -> Option<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, one| is_open(one, now));
        leave_room(&mut kept, &holder);
        if kept.len() >= limits::STAFF_SESSIONS_MAX {
            return None;
        }
        let cookie = random();
        let one = Kept { holder, opened: now, seen: now, secret: hash(&random()) };
        kept.insert(hash(&cookie), one);
        Some(cookie)
    }

    /// The session of this cookie, if it is open and was opened with this certificate or by the
    /// login service; being asked for keeps it open.
    pub(super) fn get(
        &self,
        cookie: &str,
        fingerprint: Option<&str>,
        now: Timestamp,
    ) -> Option<Session> {
        let key = hash(cookie);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let one = kept.get_mut(&key)?;
        if !is_open(one, now) {
            kept.remove(&key);
            return None;
        }
        let login = match &one.holder {
            Holder::Card(own) if Some(own.as_str()) == fingerprint => None,
            Holder::Card(_) => return None,
            Holder::Login(person) => Some(person.clone()),
        };
        one.seen = now;
        Some(Session { key, secret: one.secret, login })
    }

    /// Ends a session.
    pub(super) fn end(&self, session: &Session) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&session.key);
    }
}

impl Session {
    /// What a form posted to `path` must hold.
    pub(super) fn token(&self, path: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let tag = hmac::sign(&key, path.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `given` is the token of `path`; compared by hashes, so that time tells nothing.
    pub(super) fn is_token(&self, path: &str, given: &str) -> bool {
        hash(&self.token(path)) == hash(given)
    }
}

/// The cookie, for a `Set-Cookie` header.
pub(super) fn set_cookie(value: &str) -> String {
    format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict")
}

/// Takes the cookie away.
pub(super) fn drop_cookie() -> String {
    format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// The cookie `name` of a `Cookie` header; `None` also where there are two.
pub(super) fn cookie<'a>(name: &str, header: &'a str) -> Option<&'a str> {
    let mut ours =
        header.split(';').filter_map(|part| part.trim().split_once('=')).filter(|it| it.0 == name);
    let (_, value) = ours.next()?;
    ours.next().is_none().then_some(value)
}

/// Ends the oldest sessions of a holder, who may then have one more.
fn leave_room(kept: &mut BTreeMap<[u8; 32], Kept>, holder: &Holder) {
    let own = kept.iter().filter(|(_, one)| one.holder == *holder);
    let mut own: Vec<_> = own.map(|(key, one)| (one.opened, *key)).collect();
    own.sort_unstable();
    let surplus = (own.len() + 1).saturating_sub(limits::STAFF_SESSIONS_PER_PERSON_MAX);
    for (_, key) in own.iter().take(surplus) {
        kept.remove(key);
    }
}

fn is_open(one: &Kept, now: Timestamp) -> bool {
    now < clock::after(one.seen, limits::STAFF_IDLE_MAX)
        && now < clock::after(one.opened, limits::STAFF_SESSION_MAX)
}

/// 244 bits from the system's source.
fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn card(of: &str) -> Holder {
        Holder::Card(of.to_owned())
    }

    fn at(seconds: u64) -> Timestamp {
        let start: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        clock::after(start, Duration::from_secs(seconds))
    }

    #[test]
    fn a_session_is_its_certificates_alone() {
        let sessions = Sessions::default();
        let cookie = sessions.open(card("anna"), at(0)).unwrap();
        assert!(sessions.get(&cookie, Some("anna"), at(1)).is_some());
        assert!(sessions.get(&cookie, Some("bo"), at(1)).is_none());
        assert!(sessions.get("made up", Some("anna"), at(1)).is_none());
        assert_ne!(cookie, sessions.open(card("anna"), at(1)).unwrap());
    }

    #[test]
    fn a_session_by_the_login_service_is_the_persons_with_any_card_or_none() {
        let sessions = Sessions::default();
        let anna = HsaId::parse("SE0000000000-ANNA").unwrap();
        let cookie = sessions.open(Holder::Login(anna.clone()), at(0)).unwrap();
        for card in [None, Some("anna"), Some("bo")] {
            assert_eq!(sessions.get(&cookie, card, at(1)).unwrap().login, Some(anna.clone()));
        }
        let cookie = sessions.open(card("anna"), at(0)).unwrap();
        assert!(sessions.get(&cookie, None, at(1)).is_none(), "a card's without the card");
        assert_eq!(sessions.get(&cookie, Some("anna"), at(1)).unwrap().login, None);
    }

    #[test]
    fn a_session_ends_when_it_is_left_when_it_is_old_and_when_it_is_ended() {
        let sessions = Sessions::default();
        let idle = limits::STAFF_IDLE_MAX.as_secs();
        let cookie = sessions.open(card("anna"), at(0)).unwrap();
        assert!(sessions.get(&cookie, Some("anna"), at(idle - 1)).is_some());
        assert!(sessions.get(&cookie, Some("anna"), at(2 * idle - 2)).is_some(), "it was in use");
        assert!(sessions.get(&cookie, Some("anna"), at(3 * idle - 2)).is_none());
        let old = sessions.open(card("anna"), at(0)).unwrap();
        let long = limits::STAFF_SESSION_MAX.as_secs();
        for now in (0..long).step_by(usize::try_from(idle - 1).unwrap()) {
            assert!(sessions.get(&old, Some("anna"), at(now)).is_some());
        }
        assert!(sessions.get(&old, Some("anna"), at(long)).is_none());
        let ended = sessions.open(card("anna"), at(0)).unwrap();
        sessions.end(&sessions.get(&ended, Some("anna"), at(1)).unwrap());
        assert!(sessions.get(&ended, Some("anna"), at(2)).is_none());
    }

    #[test]
    fn one_person_keeps_the_newest_few_and_nobody_elses_end() {
        let sessions = Sessions::default();
        let bo = sessions.open(card("bo"), at(0)).unwrap();
        let most = limits::STAFF_SESSIONS_PER_PERSON_MAX;
        let times = (1..).take(most + 1);
        let cookies: Vec<_> =
            times.map(|it| sessions.open(card("anna"), at(it)).unwrap()).collect();
        let open = |cookie: &String| sessions.get(cookie, Some("anna"), at(60)).is_some();
        let open: Vec<bool> = cookies.iter().map(open).collect();
        assert!(!open[0] && open[1..].iter().all(|it| *it), "{open:?}");
        assert!(sessions.get(&bo, Some("bo"), at(60)).is_some());
    }

    #[test]
    fn a_token_is_good_for_one_form_of_one_session() {
        let sessions = Sessions::default();
        let mut both = (0..2).map(|_| {
            let cookie = sessions.open(card("anna"), at(0)).unwrap();
            sessions.get(&cookie, Some("anna"), at(1)).unwrap()
        });
        let (one, two) = (both.next().unwrap(), both.next().unwrap());
        let token = one.token("/arende/1/svar");
        assert!(one.is_token("/arende/1/svar", &token));
        assert!(!one.is_token("/arende/2/svar", &token));
        assert!(!two.is_token("/arende/1/svar", &token));
        assert!(!one.is_token("/arende/1/svar", ""));
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_none() {
        assert_eq!(cookie(COOKIE, "a=b; __Host-klagomal=x"), Some("x"));
        assert_eq!(cookie(COOKIE, "__Host-klagomal=x; __Host-klagomal=y"), None);
        assert_eq!(cookie(COOKIE, "klagomal=x"), None);
    }
}
