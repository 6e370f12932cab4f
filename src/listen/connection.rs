//! One connection: who is at its other end, and what it is doing.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::limits;
use crate::tls::{CertificateDer, Peer, PeerError, ServerTls};

/// Further away than any request lasts.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// Who is at the other end, as of the request at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerState {
    /// A door without TLS: nobody is known.
    Plain,
    /// TLS without a certificate, where the door lets that be: nobody is known.
    Anonymous,
    /// The peer that the certificate names.
    Known(Arc<Peer>),
    /// A certificate was verified, but it names nobody, or it does not hold any longer.
    Refused(PeerError),
}

/// One connection to a door.
#[derive(Debug)]
pub struct Connection {
    /// The address at the other end of the socket (a proxy's, where there is one).
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
    tls: Option<Secured>,
    doing: Mutex<Doing>,
    /// Holds up those who leave the door to another process.
    bound: Mutex<Option<TaskTrackerToken>>,
}

#[derive(Debug)]
struct Secured {
    tls: Arc<ServerTls>,
    chain: Vec<CertificateDer<'static>>,
    verdict: Mutex<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    state: PeerState,
    /// Holds for this generation of files...
    generation: u64,
    /// ...and until then.
    until: Timestamp,
}

/// What the connection is doing, for its time limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doing {
    phase: Phase,
    since: Instant,
    /// When a write found no room, until one does.
    write_blocked: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet.
    New,
    /// Between requests.
    Idle,
    /// A request's head is arriving.
    Head,
    /// A request is being answered.
    Busy,
}

/// Whether a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Open,
    /// Since then the door is being left: a request more is answered.
    Leaving(Instant),
    /// Since then nothing more is answered than what is under way.
    Closing(Instant),
}

/// Which time limit has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request for long: close politely.
    Idle,
    /// A head that does not end.
    Head,
    /// A peer that does not take its answer.
    Write,
    /// The connection is to end, nothing is in flight, and still it has not ended.
    Closing,
}

impl Connection {
    pub(super) fn plain(remote: SocketAddr, local: SocketAddr) -> Self {
        Self { remote, local, tls: None, doing: Mutex::new(Doing::new()), bound: Mutex::default() }
    }

    /// A connection whose handshake has verified `chain` with the files of `generation`.
    pub(super) fn secured(
        remote: SocketAddr,
        local: SocketAddr,
        tls: Arc<ServerTls>,
        chain: Vec<CertificateDer<'static>>,
        generation: u64,
    ) -> Self {
        let state = match tls.peer(&chain) {
            Err(PeerError::NoCertificate) if tls.optional() => PeerState::Anonymous,
            Ok(peer) => PeerState::Known(Arc::new(peer)),
            Err(error) => PeerState::Refused(error),
        };
        let verdict = Mutex::new(Verdict { state, generation, until: tls.good_until(&chain) });
        let tls = Some(Secured { tls, chain, verdict });
        Self { remote, local, tls, doing: Mutex::new(Doing::new()), bound: Mutex::default() }
    }

    /// Who is at the other end: verified at the handshake, and again before this request if any
    /// file has changed or anything has run out since. A reload while a request is being answered
    /// shows here too: ask once, when the request begins, and hold to that.
    #[must_use]
    pub fn peer(&self) -> PeerState {
        self.tls.as_ref().map_or(PeerState::Plain, |secured| locked(&secured.verdict).state.clone())
    }

    /// The certificates that the peer gave, its own first; none on a plain door.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        self.tls.as_ref().map_or(&[], |secured| &secured.chain)
    }

    /// Verifies the peer again if anything may have changed. Whether it is still welcome: a
    /// certificate without an HSA-id may go on being told so.
    pub(super) fn recheck(&self) -> bool {
        let Some(secured) = &self.tls else { return true };
        if locked(&secured.verdict).state == PeerState::Anonymous {
            return true;
        }
        let now = secured.tls.clock().now();
        let mut verdict = locked(&secured.verdict);
        let generation = secured.tls.generation();
        if verdict.generation != generation || verdict.until < now {
            if let Err(error) = secured.tls.recheck(&secured.chain, now) {
                verdict.state = PeerState::Refused(error);
                // Once refused, refused: it may connect again when it is welcome.
                return false;
            }
            verdict.generation = generation;
            verdict.until = secured.tls.good_until(&secured.chain);
        }
        !matches!(verdict.state, PeerState::Refused(PeerError::Refused(_)))
    }

    /// The request at hand needs nothing any more of what a process gives up when it leaves its door
    /// to another one: it may be answered after that.
    pub fn needs_nothing_more(&self) {
        drop(locked(&self.bound).take());
    }

    /// The requests to come may need it.
    pub(super) fn hold(&self, token: TaskTrackerToken) {
        *locked(&self.bound) = Some(token);
    }

    pub(super) fn request_begins(&self) {
        locked(&self.doing).turn(Phase::Busy);
    }

    pub(super) fn answer_ends(&self) {
        locked(&self.doing).turn(Phase::Idle);
    }

    pub(super) fn bytes_came(&self) {
        let mut doing = locked(&self.doing);
        match doing.phase {
            Phase::Idle => doing.turn(Phase::Head),
            // The first head has its time from the beginning of the connection.
            Phase::New => doing.phase = Phase::Head,
            Phase::Head | Phase::Busy => {}
        }
    }

    pub(super) fn write_blocked(&self, blocked: bool) {
        let mut doing = locked(&self.doing);
        doing.write_blocked =
            if blocked { doing.write_blocked.or_else(|| Some(Instant::now())) } else { None };
    }

    pub(super) fn is_busy(&self) -> bool {
        locked(&self.doing).phase == Phase::Busy
    }

    /// The limit that passes next, and when.
    pub(super) fn deadline(&self, settings: &super::Settings, end: Ending) -> (Instant, Overdue) {
        let doing = *locked(&self.doing);
        let own = match (doing.phase, end) {
            // Those who work on the request have limits of their own; this is for a forgotten one.
            (Phase::Busy, _) => (doing.since + FAR, Overdue::Closing),
            (Phase::Idle | Phase::New | Phase::Head, Ending::Closing(closing)) => {
                (closing.max(doing.since) + limits::CLOSING_TIME_MAX, Overdue::Closing)
            }
            (Phase::Idle | Phase::New, Ending::Leaving(leaving)) => {
                (leaving.max(doing.since) + settings.quiet_time, Overdue::Idle)
            }
            (Phase::Idle, Ending::Open) => (doing.since + settings.idle_time, Overdue::Idle),
            (Phase::New, Ending::Open) | (Phase::Head, Ending::Open | Ending::Leaving(_)) => {
                (doing.since + settings.header_time, Overdue::Head)
            }
        };
        match doing.write_blocked.map(|since| since + settings.write_time) {
            Some(write) if write < own.0 => (write, Overdue::Write),
            Some(_) | None => own,
        }
    }
}

impl Doing {
    fn new() -> Self {
        Self { phase: Phase::New, since: Instant::now(), write_blocked: None }
    }

    fn turn(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
