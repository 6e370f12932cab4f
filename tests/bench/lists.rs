//! The staff page over 100 000 cases of one unit: what each list takes in the server, over TLS on a kept
//! connection, and in how much memory.
//!
//! `KLAGOMAL_CASES` is how many cases there are.

use std::time::{Duration, Instant};

use crate::support::{Connection, Flood, World};
use crate::timed;

const CASES: u64 = 100_000;
const TIMES: usize = 40;

pub(crate) fn run() {
    let wanted = std::env::var("KLAGOMAL_CASES").ok().and_then(|it| it.parse().ok());
    let wanted: u64 = wanted.unwrap_or(CASES);
    let world = World::plan()
        .set("server", "staff = \"127.0.0.1:0\"")
        .set("staff", "trust = [\"certs/person-ca.crt\"]")
        .start();
    let empty = world.resident();
    let flood = Flood::new(world.https, &World::caller("1177"), 0);
    let (mut cases, begun) = (0, Instant::now());
    while cases < wanted {
        let tally = flood.steadily(64, true, Duration::from_secs(5));
        cases += tally.good.load(std::sync::atomic::Ordering::SeqCst);
    }
    println!(
        "{cases} cases of one unit, {:.0} a second; resident memory {} MB, {} MB before",
        cases as f64 / begun.elapsed().as_secs_f64(),
        world.resident() >> 20,
        empty >> 20
    );
    let mut anna = Anna::of(&world);
    let unit = "/enhet/SE0000000000-VC1";
    let first = anna.page(unit);
    let next = first.split("href=\"").find(|it| it.contains("efter=")).unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let case = first.split("href=\"/arende/").nth(1).unwrap().split('"').next().unwrap();
    let case = format!("/arende/{case}");
    for (what, path) in [
        ("the units", "/"),
        ("the first page of the open cases", unit),
        ("the page after it", next.as_str()),
        ("nobody's cases", &format!("{unit}?hos=ingen&status=received")),
        ("a filter that finds none", &format!("{unit}?kategori=8")),
        ("the closed cases, of which there are none", &format!("{unit}?visa=avslutade")),
        ("one case, with its entry in the access log", &case),
    ] {
        let mut times: Vec<f64> =
            (0..TIMES).map(|_| timed(|| anna.page(path)).0.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        println!("{what:<45} {:>7.2} ms, at most {:.2}", times[TIMES / 2], times[TIMES - 1]);
    }
    let mut times: Vec<f64> =
        (0..TIMES).map(|_| timed(|| anna.search("19900101-2385")).0.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let what = "a search for one who stands in all of them";
    println!("{what:<45} {:>7.2} ms, at most {:.2}", times[TIMES / 2], times[TIMES - 1]);
}

/// Somebody logged in, on one connection.
struct Anna {
    connection: Connection,
    origin: String,
    cookie: String,
}

impl Anna {
    fn of(world: &World) -> Self {
        let door = world.wait_log(0, "staff 127");
        let door = door.trim().strip_prefix("staff ").unwrap().parse().unwrap();
        let connection = World::caller("person-anna").connect(door).unwrap();
        let mut anna =
            Self { connection, origin: format!("https://{door}"), cookie: String::new() };
        let set = anna.send("POST /in", "till=%2F").1;
        anna.cookie = set.split(';').next().unwrap().to_owned();
        anna
    }

    fn send(&mut self, head: &str, body: &str) -> (String, String) {
        let Self { origin, cookie, .. } = self;
        let host = origin.trim_start_matches("https://");
        let request = format!(
            "{head} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.connection.send(request.as_bytes()).unwrap();
        let answer = self.connection.answer().unwrap();
        assert!(answer.status < 400, "{head}: {} {}", answer.status, answer.text());
        let set = answer.header("set-cookie").unwrap_or_default().to_owned();
        (answer.text(), set)
    }

    fn page(&mut self, path: &str) -> String {
        self.send(&format!("GET {path}"), "").0
    }

    fn search(&mut self, what: &str) -> String {
        let form = self.page("/sok");
        let form = form.split("action=\"/sok\"").nth(1).unwrap();
        let token = form.split("name=\"intyg\" value=\"").nth(1).unwrap();
        let token = token.split('"').next().unwrap().to_owned();
        self.send("POST /sok", &format!("intyg={token}&sok={what}")).0
    }
}
