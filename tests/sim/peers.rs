//! Those who are called: two regions' systems, the citizens' inbox, the platform that is told onward.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use klagomal::rivta::ErrorCode;
use klagomal::rivta::patient_portal_v1::{ADD_MESSAGE_ACTION, IS_ACTIVE_USER_ACTION};
use klagomal::soap::FaultCode;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::words::{self, Says};
use crate::world::World;

/// A message that came to a peer.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub to: String,
    /// Of the words that it carries, where they have one.
    pub token: Option<String>,
    /// What a citizen would recognise as the same words.
    pub words: u64,
    /// The registration number in a letter.
    pub number: Option<String>,
    /// The case's id in a relay.
    pub case: Option<String>,
    pub addressed: String,
    /// After its caller had given up, or once more by the network's own doing: not ours to order.
    pub stray: bool,
    /// How long after the run began.
    pub after: Duration,
}

/// How long a peer is away, and how.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    pub until: Instant,
    pub hangs: bool,
}

/// What the peers know.
#[derive(Debug, Default)]
pub struct Peers {
    pub arrivals: Vec<Arrival>,
    /// Message ids by system, and a hash of what came with them.
    ids: BTreeMap<(String, String), u64>,
    /// Said to be done and thrown away.
    pub lied_done: BTreeSet<u64>,
    /// Taken, and said to be refused: how often.
    pub lied_refused: BTreeMap<u64, u64>,
    pub away: BTreeMap<String, Away>,
    /// New cases that a region's system can work on: system and case.
    pub work: Vec<(String, String)>,
    /// The same id came with another content.
    pub changed: Vec<String>,
}

/// An answer on the wire.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub kind: &'static str,
    pub body: Bytes,
}

fn xml(status: u16, text: String) -> Reply {
    Reply { status, kind: "text/xml; charset=utf-8", body: Bytes::from(text) }
}

fn plain(status: u16, text: &'static str) -> Reply {
    Reply { status, kind: "text/html", body: Bytes::from_static(text.as_bytes()) }
}

pub fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What somebody reads who gets it: the body without its header.
pub fn words_of(body: &str) -> u64 {
    hash(body.find("Body>").map_or(body, |at| &body[at..]))
}

/// A peer's reply to a message that has come whole.
pub fn take(world: &World, to: &str, action: &str, body: &str, stray: bool) -> Reply {
    let fault = |code, text| xml(500, words::answer(action, Says::Fault(code, text)));
    let error = |code| xml(200, words::answer(action, Says::Error(code)));
    // Nothing was taken, and the answer says so.
    if world.strikes(Fault::Answers500) {
        return plain(500, "<html>fel</html>");
    }
    if world.strikes(Fault::Answers503) {
        return plain(503, "upptagen");
    }
    if world.strikes(Fault::Answers404) {
        return plain(404, "<html>saknas</html>");
    }
    if world.strikes(Fault::AnswersRedirect) {
        return plain(302, "");
    }
    if world.strikes(Fault::AnswersFaultServer) {
        return fault(FaultCode::Server, "tillfälligt fel");
    }
    if world.strikes(Fault::AnswersFaultClient) {
        return fault(FaultCode::Client, "fel i meddelandet");
    }
    if world.strikes(Fault::AnswersVp004) {
        return fault(FaultCode::Server, "VP004 [x] Ingen adress");
    }
    if world.strikes(Fault::AnswersVp008) {
        return fault(FaultCode::Server, "VP008 [x] Ingen kontakt");
    }
    if action != IS_ACTIVE_USER_ACTION {
        if world.strikes(Fault::AnswersTechnicalError) {
            return error(ErrorCode::TechnicalError);
        }
        if world.strikes(Fault::AnswersValidationError) {
            return error(ErrorCode::ValidationError);
        }
    }
    if let Some(reply) = unclear(world, to, action, body, stray) {
        return reply;
    }
    if action == IS_ACTIVE_USER_ACTION {
        let active = !world.strikes(Fault::InboxInactive);
        return xml(200, words::answer(action, Says::Active(active)));
    }
    if action == ADD_MESSAGE_ACTION && world.strikes(Fault::InboxInactive) {
        return xml(200, words::answer(action, Says::NotActive));
    }
    if world.strikes(Fault::PeerLiesDone) {
        world.peers().lied_done.insert(words_of(body));
        return xml(200, words::answer(action, Says::Ok));
    }
    if world.strikes(Fault::PeerLiesRefused) {
        keep(world, to, action, body, stray);
        *world.peers().lied_refused.entry(words_of(body)).or_default() += 1;
        return fault(FaultCode::Server, "tillfälligt fel");
    }
    let says = keep(world, to, action, body, stray);
    xml(200, words::answer(action, says))
}

/// Answers that leave open whether the message was taken: a coin says.
fn unclear(world: &World, to: &str, action: &str, body: &str, stray: bool) -> Option<Reply> {
    let kinds = [
        Fault::Answers502,
        Fault::Answers504,
        Fault::AnswersVp009,
        Fault::AnswersGarbage,
        Fault::AnswersHtml,
        Fault::AnswersNothing,
        Fault::AnswersOtherContract,
        Fault::AnswersOkUnder500,
        Fault::AnswersWrongContentType,
    ];
    let kind = kinds.into_iter().find(|it| world.strikes(*it))?;
    // Whoever says that it is done has done it, whatever it calls its words.
    let taken = world.below(2) == 0 || kind == Fault::AnswersWrongContentType;
    if taken && action != IS_ACTIVE_USER_ACTION {
        keep(world, to, action, body, stray);
    }
    let done = || {
        let says = if action == IS_ACTIVE_USER_ACTION { Says::Active(true) } else { Says::Ok };
        words::answer(action, says)
    };
    Some(match kind {
        Fault::Answers502 => plain(502, "<html>ingen kontakt</html>"),
        Fault::Answers504 => plain(504, "<html>inget svar</html>"),
        Fault::AnswersVp009 => {
            let says = Says::Fault(FaultCode::Server, "VP009 [x] Fel vid kontakt");
            xml(500, words::answer(action, says))
        }
        Fault::AnswersGarbage => {
            Reply { status: 200, kind: "text/xml", body: Bytes::from_static(&[0xff, 0x00, 0x3c]) }
        }
        Fault::AnswersHtml => plain(200, "<html>välkommen</html>"),
        Fault::AnswersNothing => plain(200, ""),
        Fault::AnswersOtherContract => {
            let other =
                if action == ADD_MESSAGE_ACTION { ":ProcessComplaint" } else { ADD_MESSAGE_ACTION };
            xml(200, words::answer(other, Says::Ok))
        }
        Fault::AnswersOkUnder500 => xml(500, done()),
        _ => Reply { status: 200, kind: "image/png", body: Bytes::from(done()) },
    })
}

/// Takes a message in.
fn keep(world: &World, to: &str, action: &str, body: &str, stray: bool) -> Says {
    let mut peers = world.peers();
    let words = words_of(body);
    let inbox = action == ADD_MESSAGE_ACTION;
    let mut says = Says::Ok;
    if !inbox {
        let id = words::inside(body, "messageId").unwrap_or_default().to_owned();
        let key = (to.to_owned(), id);
        match peers.ids.get(&key) {
            Some(known) if *known != words => {
                peers.changed.push(format!("{to} got another content under one id: {}", key.1));
            }
            Some(_) => {
                says = Says::Again;
            }
            None => {}
        }
        let known = peers.ids.insert(key.clone(), words).is_some();
        drop(peers);
        if known && world.strikes(Fault::PeerChangesMind) {
            return Says::Error(ErrorCode::ValidationError);
        }
        if world.strikes(Fault::PeerForgets) {
            world.peers().ids.remove(&key);
        }
        if known {
            return says;
        }
        peers = world.peers();
    }
    let case = words::inside(body, "caseId").and_then(|it| words::element(it, "extension"));
    let case = case.map(str::to_owned);
    let number =
        body.split("Ärendenummer: ").nth(1).and_then(|it| it.split(['\n', '<', '&']).next());
    if let (Some(case), true) = (&case, action.ends_with(":ProcessComplaint")) {
        peers.work.push((to.to_owned(), case.clone()));
    }
    peers.arrivals.push(Arrival {
        to: to.to_owned(),
        token: words::token(body).map(str::to_owned),
        words,
        number: number.map(str::to_owned),
        case,
        addressed: words::element(body, "LogicalAddress").unwrap_or_default().to_owned(),
        stray,
        after: world.elapsed(),
    });
    says
}
