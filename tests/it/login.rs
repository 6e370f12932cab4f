//! Logging in on the staff page without a card, at a real OpenID provider.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::{Answer, Caller, World, certs, not_run};

/// oidc-provider in a process of its own; ended when dropped.
struct LoginService {
    child: Child,
    issuer: String,
    /// What else it says goes nowhere, but it must have where to say it.
    _said: BufReader<ChildStdout>,
}

impl Drop for LoginService {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where it tells the HSA-id.
#[derive(Clone, Copy)]
enum Tells {
    InToken,
    AtUserInfo,
}

impl LoginService {
    /// None where it is not installed.
    fn start(staff: SocketAddr, tells: Tells) -> Option<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let modules = target.join("ci-node/node_modules");
        if !modules.join("oidc-provider").exists() {
            let folder = target.join("ci-node");
            not_run(&format!(
                "oidc-provider: {0} is missing (npm install --prefix {0} oidc-provider@8.8.1)",
                folder.display()
            ));
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/login_service.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(modules)
            .arg(certs())
            .arg(format!("https://localhost:{}/in/svar", staff.port()))
            .arg(match tells {
                Tells::InToken => "token",
                Tells::AtUserInfo => "userinfo",
            })
            .env("NODE_ENV", "test")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut issuer = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut issuer).unwrap();
        while !issuer.starts_with("https") {
            issuer.clear();
            assert_ne!(said.read_line(&mut issuer).unwrap(), 0, "the login service ended");
        }
        Some(Self { child, issuer: issuer.trim().to_owned(), _said: said })
    }
}

/// A gateway whose staff page knows the login service; with cards too where `cards` says so.
fn start(staff: SocketAddr, issuer: &str, cards: bool) -> World {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut secret, b"a made up secret that is long enough\n").unwrap();
    let (_, secret) = secret.keep().unwrap();
    let oidc = format!(
        "issuer = \"{issuer}\"\nclient_id = \"klagomal\"\nclient_secret_file = \"{}\"\n\
         address = \"https://localhost:{}\"\nlevels = [\"loa3\"]\ntrust = [\"certs/ca.crt\"]",
        secret.display(),
        staff.port()
    );
    let mut plan = World::plan()
        .set("server", &format!("staff = \"127.0.0.1:{}\"", staff.port()))
        .set("oidc", &oidc);
    if cards {
        plan = plan.set("staff", "trust = [\"certs/person-ca.crt\"]");
    }
    let world = plan.start();
    std::fs::remove_file(secret).unwrap();
    world
}

/// An address that is free now.
fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A browser: cookies by host, redirects followed by hand.
struct Browser {
    caller: Caller,
    cookies: BTreeMap<(u16, String), String>,
    staff: SocketAddr,
}

impl Browser {
    fn new(staff: SocketAddr, card: Option<&str>) -> Self {
        let caller = Caller::new(certs(), card);
        Self { caller, cookies: BTreeMap::new(), staff }
    }

    fn get(&mut self, url: &str) -> Answer {
        let rest = url.strip_prefix("https://localhost:").unwrap();
        let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port: u16 = port.parse().unwrap();
        let own = self.cookies.iter().filter(|((of, _), _)| *of == port);
        let cookies: Vec<String> =
            own.map(|((_, name), value)| format!("{name}={value}")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: text/html\r\n\
             Cookie: {}\r\n\r\n",
            cookies.join("; ")
        );
        let mut connection = self.caller.connect((Ipv4Addr::LOCALHOST, port).into()).unwrap();
        connection.send(request.as_bytes()).unwrap();
        let answer = connection.answer().unwrap();
        for (name, value) in &answer.headers {
            let Some((pair, _)) = value.split_once(';').filter(|_| name == "set-cookie") else {
                continue;
            };
            let (cookie, value) = pair.split_once('=').unwrap();
            self.cookies.insert((port, cookie.to_owned()), value.to_owned());
        }
        self.cookies.retain(|_, value| !value.is_empty());
        answer
    }

    fn staff(&mut self, path: &str) -> Answer {
        self.get(&format!("https://localhost:{}{path}", self.staff.port()))
    }

    /// From the staff page to the login service's own page, which answers `with` (a query).
    fn log_in(&mut self, issuer: &str, with: &str) -> Answer {
        let callback = self.as_far_as_the_answer(issuer, with);
        self.get(&callback)
    }

    /// The address that the login service sends the browser back to.
    fn as_far_as_the_answer(&mut self, issuer: &str, with: &str) -> String {
        let begun = self.staff("/in/tjanst?till=%2Fsok");
        assert_eq!(begun.status, 303, "{}", begun.text());
        let mut url = begun.header("location").unwrap().to_owned();
        assert!(url.starts_with(issuer), "{url}");
        for _ in 0..6 {
            let answer = self.get(&url);
            let to =
                answer.header("location").unwrap_or_else(|| panic!("{url}: {}", answer.text()));
            url = if to.starts_with('/') { format!("{issuer}{to}") } else { to.to_owned() };
            if url.contains("/login/") {
                url = format!("{url}?{with}");
            }
            if url.contains("/in/svar") {
                return url;
            }
        }
        panic!("never sent back");
    }
}

/// A world with its login service, or nothing where that is not installed.
fn both(tells: Tells, cards: bool) -> Option<(World, LoginService, SocketAddr)> {
    let staff = free();
    let service = LoginService::start(staff, tells)?;
    let world = start(staff, &service.issuer, cards);
    world.wait_log(0, "staff 127");
    Some((world, service, staff))
}

#[test]
fn a_real_browser_comes_back_from_the_login_service_and_is_inside() {
    let Some(modules) = crate::browser::installed() else { return };
    let Some((_world, _service, staff)) = both(Tells::InToken, false) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/staff_login.mjs");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("staff-page-login");
    let done = Command::new("node")
        .arg(script)
        .arg(modules)
        .arg(staff.port().to_string())
        .arg(pictures)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn somebody_logs_in_without_a_card_and_out() {
    for tells in [Tells::InToken, Tells::AtUserInfo] {
        let Some((world, service, staff)) = both(tells, true) else { return };
        let mut anna = Browser::new(staff, None);
        let page = anna.staff("/");
        assert_eq!(page.header("location"), Some("/in?till=%2F"));
        let page = anna.staff("/in?till=%2Fsok");
        assert_eq!(page.status, 200);
        assert!(page.text().contains("href=\"/in/tjanst?till=%2Fsok\""), "{}", page.text());
        let answer = anna.log_in(&service.issuer, "name=ANNA");
        assert_eq!(answer.status, 200, "{}", answer.text());
        // The browser goes on from a page of ours: with a redirect it would leave the cookie out.
        assert!(answer.text().contains("http-equiv=\"refresh\" content=\"0;url=/sok\""));
        let mut set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        let session = &set.next().unwrap().1;
        assert!(session.starts_with("__Host-klagomal=") && session.contains("SameSite=Strict"));
        assert!(set.next().unwrap().1.starts_with("__Host-klagomal-in=;"), "that one is used up");
        let list = anna.staff("/enhet/SE0000000000-VC1");
        assert_eq!(list.status, 200);
        assert!(list.text().contains("Anna Påhittad"), "{}", list.text());
        assert_eq!(anna.staff("/enhet/SE0000000000-TV1").status, 404, "her roles are her own");
        // With somebody else's card in the reader it is still her session.
        anna.caller = Caller::new(certs(), Some("person-bo"));
        assert!(anna.staff("/enhet/SE0000000000-VC1").text().contains("Anna Påhittad"));
        drop(world);
    }
}

#[test]
fn a_card_is_enough_beside_a_login_service_and_another_card_is_not() {
    let Some((_world, _service, staff)) = both(Tells::InToken, true) else { return };
    let mut anna = Browser::new(staff, Some("person-anna"));
    let page = anna.staff("/in").text();
    assert!(page.contains("Anna Påhittad") && page.contains("/in/tjanst"), "{page}");
    // A system's certificate is no card here, optional or not.
    let stranger = Caller::new(certs(), Some("1177"));
    let answer = stranger.connect(staff).and_then(|mut it| it.get("/in"));
    assert!(answer.is_err(), "the door let a system's certificate in");
}

#[test]
fn a_login_service_alone_asks_for_no_card() {
    let Some((_world, service, staff)) = both(Tells::InToken, false) else { return };
    let mut anna = Browser::new(staff, None);
    assert_eq!(anna.log_in(&service.issuer, "name=ANNA").status, 200);
    assert_eq!(anna.staff("/enhet/SE0000000000-VC1").status, 200);
}

#[test]
fn nobody_gets_in_by_a_login_that_does_not_hold() {
    let Some((world, service, staff)) = both(Tells::AtUserInfo, true) else { return };
    let cases = [
        ("name=NOBODY", 403, "neither token nor user info have the claim"),
        ("name=STALE", 403, "it tells of no login since we asked"),
        ("name=LOW", 403, "vouches for none of the levels"),
        ("name=A%20B", 403, "cannot be used"),
        ("name=UNKNOWN", 403, "not in staff.toml"),
        ("cancel", 403, "the login service refused: access_denied"),
    ];
    for (with, status, told) in cases {
        let from = world.log().len();
        let mut browser = Browser::new(staff, None);
        let answer = browser.log_in(&service.issuer, with);
        assert_eq!(answer.status, status, "{with}: {}", answer.text());
        world.wait_log(from, told);
        assert_eq!(browser.staff("/").status, 303, "{with}: no session");
    }
}

#[test]
fn an_answer_counts_once_in_the_browser_that_asked() {
    let Some((world, service, staff)) = both(Tells::InToken, true) else { return };
    let mut anna = Browser::new(staff, None);
    let callback = anna.as_far_as_the_answer(&service.issuer, "name=ANNA");
    // Somebody is led to another one's answer: no cookie, or the cookie of another login.
    let mut victim = Browser::new(staff, None);
    assert_eq!(victim.get(&callback).status, 403);
    victim.as_far_as_the_answer(&service.issuer, "name=BO");
    let from = world.log().len();
    assert_eq!(victim.get(&callback).status, 403);
    world.wait_log(from, "another state");
    // With another login service's name (RFC 9207).
    let mixed = callback.replace(
        &form_urlencoded::byte_serialize(service.issuer.as_bytes()).collect::<String>(),
        "https%3A%2F%2Fid.example.se",
    );
    assert_ne!(mixed, callback);
    assert_eq!(anna.get(&mixed).status, 403);
    assert_eq!(anna.get(&callback).status, 200);
    // A code is good once, whatever cookies are kept.
    let mut again = anna.as_far_as_the_answer(&service.issuer, "name=ANNA");
    let kept = anna.cookies.clone();
    assert_eq!(anna.get(&again).status, 200);
    anna.cookies = kept;
    assert_eq!(anna.get(&again).status, 403);
    again.push_str(&"x".repeat(9000));
    assert_ne!(anna.get(&again).status, 200);
}

#[test]
fn without_its_login_service_the_page_says_so_and_cards_go_on() {
    let Some((world, service, staff)) = both(Tells::InToken, true) else { return };
    drop(service);
    let from = world.log().len();
    let mut anna = Browser::new(staff, None);
    let answer = anna.staff("/in/tjanst");
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("Försök igen"), "{}", answer.text());
    world.wait_log(from, "nobody can log in by the login service");
    assert_eq!(Browser::new(staff, Some("person-anna")).staff("/in").status, 200);
}
