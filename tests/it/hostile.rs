//! Input that nobody sends in good faith: each is answered or cut off in bounded time and memory, no
//! producer sees it, and the gateway is as well afterwards as before.

mod http;
mod messages;
mod tls;

use std::io;
use std::time::{Duration, Instant};

use crate::platform::ground;
use crate::support::{Answer, Connection, Peer, VC1, World, case_id, complaint};

/// More than any of the gateway's own bounds for what is tried here.
const PATIENCE: Duration = Duration::from_secs(35);
const MEMORY_GROWTH_MAX: u64 = 96 * 1024 * 1024;

const XML: &str = "Content-Type: text/xml; charset=utf-8\r\n";

/// A complaint that is kept.
fn good(of: u32) -> String {
    let id = format!("77aa3a52-61f2-4a44-8f07-{of:012}");
    complaint(VC1, &id, &case_id(&format!("h-{of}")), "Vanligt.", &[])
}

/// A gateway with a producer behind it, which must see nothing of what is tried.
struct Besieged {
    world: World,
    producer: Peer,
    /// Calls in good faith that it has had.
    calls: usize,
    resident: u64,
}

impl Besieged {
    fn start() -> Self {
        let producer = Peer::plain(ground::good);
        let url = format!("http://localhost:{}/", producer.address.port());
        let old = ground::route("SE-OLD", &format!("address = \"{url}\"\nprofile = \"rivtabp20\""));
        let rows = ground::permission("*") + &ground::route_to("SE-A", &url) + &old;
        let world = ground::start(&rows);
        let mut it = Self { world, producer, calls: 0, resident: 0 };
        it.is_well(0);
        it.resident = it.world.resident();
        it
    }

    /// A call in good faith to the producer, its body alone.
    fn forwarded() -> String {
        ground::message("SE-A", "Vanligt.")
    }

    /// Both contracts are answered as ever, and the producer has seen nothing else.
    fn is_well(&mut self, of: u32) {
        assert!(self.world.lives(), "{}", self.world.log());
        assert_eq!(self.producer.count(), self.calls, "the producer was reached");
        let seen = ground::by_tls(&self.world, "", Self::forwarded().as_bytes());
        assert_eq!(seen.status, 200, "{}", seen.text());
        self.calls += 1;
        let seen = World::caller("1177").post(self.world.https, good(of).as_bytes()).unwrap();
        assert!(["OK", "INFO ALREADY_RECEIVED"].contains(&seen.outcome().as_str()));
    }

    /// As [`Self::is_well`], and nothing was kept of it all.
    fn has_withstood(mut self, of: u32) {
        let cases = self.world.json("/status")["cases"].as_u64().unwrap();
        assert_eq!(cases, 1, "something was kept");
        self.is_well(of);
        assert_eq!(self.world.admin("/readyz").0, 200);
        let grown = self.world.resident().saturating_sub(self.resident);
        assert!(grown < MEMORY_GROWTH_MAX, "{} MB more than before", grown >> 20);
        assert!(!self.world.log().contains("panic"), "{}", self.world.log());
    }
}

fn connect(world: &World, caller: &str) -> Connection {
    World::caller(caller).connect_within(world.https, PATIENCE).unwrap()
}

/// The next answer, or none when the connection is closed without one. In bounded time.
fn answer(connection: &mut Connection) -> Option<Answer> {
    match connection.answer() {
        Ok(answer) => Some(answer),
        Err(error) => {
            let waited =
                [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
            assert!(!waited, "neither answer nor end within {PATIENCE:?}");
            None
        }
    }
}

/// Sends raw bytes; the first answer, or none when the connection is closed without one.
fn raw_by(caller: &str, world: &World, bytes: &[u8]) -> Option<Answer> {
    let start = Instant::now();
    let mut connection = connect(world, caller);
    // Who refuses early may close while we still write.
    drop(connection.send(bytes));
    let answer = answer(&mut connection);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    answer
}

fn raw(world: &World, bytes: &[u8]) -> Option<Answer> {
    raw_by("1177", world, bytes)
}

fn post_by(caller: &str, world: &World, headers: &str, body: &[u8]) -> Option<Answer> {
    let mut bytes = format!(
        "POST /vp HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    raw_by(caller, world, &bytes)
}

fn post(world: &World, headers: &str, body: &[u8]) -> Option<Answer> {
    post_by("1177", world, headers, body)
}
