//! The staff page as a browser meets it: real TLS with a person's certificate, forms and cookies.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{
    Answer, Caller, Peer, VC1, World, case_id, certs, complaint, inbox_answer, supplement,
};

/// Somebody at a browser: a card, a cookie, and what the last page said.
pub struct Browser {
    caller: Caller,
    pub door: SocketAddr,
    cookie: Option<String>,
}

pub fn start(world: crate::support::Plan) -> World {
    world
        .set("server", "staff = \"127.0.0.1:0\"")
        .set("staff", "trust = [\"certs/person-ca.crt\"]")
        .start()
}

pub fn door(world: &World) -> SocketAddr {
    world.wait_log(0, "staff 127");
    // After a start there is another one.
    let log = world.log();
    log.lines().rev().find_map(|it| it.strip_prefix("staff ")).unwrap().parse().unwrap()
}

impl Browser {
    fn new(world: &World, who: &str) -> Self {
        let caller = Caller::new(certs(), Some(&format!("person-{who}")));
        Self { caller, door: door(world), cookie: None }
    }

    /// Logged in.
    pub fn of(world: &World, who: &str) -> Self {
        let mut browser = Self::new(world, who);
        let answer = browser.post_raw("/in", &[], "till=%2F");
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }

    fn send(&mut self, head: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_bytes(head, headers, body.as_bytes())
    }

    fn send_bytes(&mut self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("{head} HTTP/1.1\r\nHost: {}\r\n", self.door);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(cookie) = &self.cookie {
            request.push_str(&format!("Cookie: {cookie}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut connection = self.caller.connect(self.door).unwrap();
        connection.send(&[request.as_bytes(), body].concat()).unwrap();
        let answer = connection.answer().unwrap();
        if let Some(set) = answer.header("set-cookie") {
            let pair = set.split(';').next().unwrap().to_owned();
            self.cookie = Some(pair).filter(|it| !it.ends_with('='));
        }
        answer
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "")
    }

    pub fn page(&mut self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// A form of ours, with these headers besides.
    pub fn post_raw(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let origin = format!("https://{}", self.door);
        let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
        if !headers.iter().any(|(name, _)| *name == "Origin") {
            all.push(("Origin", &origin));
        }
        all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
        self.send(&format!("POST {path}"), &all, body)
    }

    /// A form of ours with files: fields, then files by name and content, all in `fil`.
    pub fn upload(
        &mut self,
        page: &str,
        path: &str,
        fields: &[(&str, &str)],
        files: &[(&str, &[u8])],
    ) -> Answer {
        let token = hidden(page, path, "intyg").unwrap_or_default();
        let mut body = Vec::new();
        let known = ["sett", "blankett"].map(|name| (name, hidden(page, path, name)));
        let known = known.iter().filter_map(|(name, it)| Some((*name, it.as_deref()?)));
        for (name, value) in
            [("intyg", token.as_str())].into_iter().chain(known).chain(fields.iter().copied())
        {
            let head =
                format!("--grans\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(format!("{value}\r\n").as_bytes());
        }
        for (name, content) in files {
            let head = format!(
                "--grans\r\nContent-Disposition: form-data; name=\"fil\"; filename=\"{name}\"\r\n\
                 Content-Type: application/pdf\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--grans--\r\n");
        let origin = format!("https://{}", self.door);
        let headers =
            [("Content-Type", "multipart/form-data; boundary=grans"), ("Origin", origin.as_str())];
        self.send_bytes(&format!("POST {path}"), &headers, &body)
    }

    /// Fills in the form that `page` has for `path`, and sends it.
    pub fn post(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        for name in ["intyg", "sett", "steg", "blankett"] {
            if let Some(value) = hidden(page, path, name) {
                body.append_pair(name, &value);
            }
        }
        body.extend_pairs(fields);
        self.post_raw(path, &[], &body.finish())
    }
}

/// The value of a hidden field in the form for `path`.
pub fn hidden(page: &str, path: &str, name: &str) -> Option<String> {
    let form = page.split("<form").find(|it| it.contains(&format!("action=\"{path}\"")))?;
    let form = form.split("</form>").next()?;
    let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
    field.split('"').next().map(str::to_owned)
}

pub fn send(world: &World, of: u32, text: &str) -> String {
    let id = format!("5f1c3a52-61f2-4a44-8f07-{of:012}");
    let message = complaint(VC1, &id, &case_id(&format!("staff-{of}")), text, &[]);
    let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK");
    answer.value("registrationNumber").unwrap()
}

pub const REPLY: &[(&str, &str)] = &[
    ("forklaring", "PÅHITTAT SVAR. Provet blev liggande."),
    ("atgarder", "PÅHITTAT SVAR. Vi kontrollerar varje dag."),
    ("problem", "1.1"),
    ("omrade", "3"),
];

/// Takes the case and shows the form of its answer.
pub fn taken(browser: &mut Browser, number: &str) -> String {
    let case = format!("/arende/{number}");
    let page = browser.page(&case);
    let answer = browser.post(&page, &format!("{case}/ta"), &[]);
    assert_eq!(answer.status, 303, "{}", answer.text());
    browser.page(&format!("{case}/svar"))
}

#[test]
fn what_is_previewed_is_what_the_citizen_reads_a_minute_later() {
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let world = start(World::plan().inkorg(inkorg.address));
    let number = send(&world, 1, "Provet kom aldrig fram.");
    let mut anna = Browser::of(&world, "anna");
    let list = anna.get("/");
    assert_eq!(list.header("location"), Some("/enhet/SE0000000000-VC1"));
    let list = anna.page("/enhet/SE0000000000-VC1");
    assert!(list.contains(&number) && list.contains("1 mottaget"), "{list}");
    let case = format!("/arende/{number}");
    let page = anna.page(&case);
    for words in ["Provet kom aldrig fram.", "Testa Testsson", "199001012385", "Inkorgen: "] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    let form = taken(&mut anna, &number);
    let path = format!("{case}/svar");
    let preview = anna.post(&form, &path, REPLY);
    assert_eq!(preview.status, 200);
    let preview = preview.text();
    for words in ["Det här har hänt\nPÅHITTAT SVAR. Provet", "patientnämnden eller till"] {
        assert!(preview.contains(words), "{words} is not in {preview}");
    }
    let mut fields = REPLY.to_vec();
    // A browser sends the hidden copy of what was seen.
    let seen = hidden(&form, &path, "sett").unwrap();
    fields.extend([("gor", "skicka"), ("sett", &seen)]);
    assert_eq!(anna.post(&preview, &path, &fields).status, 303);
    let page = anna.page(&case);
    assert!(page.contains("avslutat") && page.contains("Ångra"), "{page}");
    // Taken back, written once more, and this time left alone.
    assert_eq!(anna.post(&page, &format!("{case}/angra"), &[]).status, 303);
    let page = anna.page(&case);
    assert!(page.contains("Ångrade det senaste") && page.contains("skickas inte"), "{page}");
    let form = anna.page(&path);
    let seen = hidden(&form, &path, "sett").unwrap();
    let mut fields = REPLY.to_vec();
    fields.extend([("gor", "skicka"), ("sett", &seen)]);
    assert_eq!(anna.post(&form, &path, &fields).status, 303);
    let replies = |calls: &[crate::support::Call]| {
        calls.iter().filter(|call| call.says("Provet blev liggande")).count()
    };
    std::thread::sleep(Duration::from_secs(55));
    assert_eq!(replies(&inkorg.calls()), 0, "before the minute is over");
    inkorg.wait(Duration::from_secs(20), "the reply", |calls| replies(calls) > 0);
    world.wait_delivered(Duration::from_secs(20));
    assert_eq!(replies(&inkorg.calls()), 1, "what was taken back is never sent");
    assert!(anna.page(&case).contains("i inkorgen "), "the way of the message is told");
    let late = anna.post_raw(&format!("{case}/angra"), &[], "steg=1");
    assert_eq!(late.status, 403, "without a token nothing is done");
}

#[test]
fn of_two_who_answer_at_once_one_wins_and_the_other_keeps_the_text() {
    let world = start(World::plan());
    let number = send(&world, 2, "Två.");
    let (mut one, mut two) = (Browser::of(&world, "anna"), Browser::of(&world, "anna"));
    let path = format!("/arende/{number}/svar");
    let form = taken(&mut one, &number);
    let other = two.page(&path);
    let mut fields = REPLY.to_vec();
    fields.push(("gor", "skicka"));
    assert_eq!(one.post(&form, &path, &fields).status, 303);
    let undo = one.page(&format!("/arende/{number}"));
    assert_eq!(one.post(&undo, &format!("/arende/{number}/angra"), &[]).status, 303);
    let beaten = two.post(&other, &path, &fields);
    assert_eq!(beaten.status, 409);
    let text = beaten.text();
    assert!(text.contains("Inget är skickat") && text.contains("Provet blev liggande"), "{text}");
    // Having seen what happened, the same text goes through.
    assert_eq!(two.post(&text, &path, &fields).status, 303);
}

#[test]
fn what_the_complainant_adds_is_seen_before_an_answer_goes_out() {
    let world = start(World::plan());
    let number = send(&world, 3, "Tre.");
    let mut anna = Browser::of(&world, "anna");
    let path = format!("/arende/{number}/svar");
    let form = taken(&mut anna, &number);
    let id = "5f1c3a52-61f2-4a44-8f07-000000000099";
    let more = supplement(VC1, id, &case_id("staff-3"), "Ett tillägg.", &[]);
    let added = World::caller("1177").post(world.https, more.as_bytes()).unwrap();
    assert_eq!(added.outcome(), "OK");
    let mut fields = REPLY.to_vec();
    fields.push(("gor", "skicka"));
    assert_eq!(anna.post(&form, &path, &fields).status, 409);
    assert!(anna.page(&format!("/arende/{number}")).contains("Ett tillägg."));
}

#[test]
fn markup_in_every_text_is_shown_as_text() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;";
    let world = start(World::plan());
    let number = send(&world, 4, EVIL);
    let mut anna = Browser::of(&world, "anna");
    let case = format!("/arende/{number}");
    let mut pages = vec![taken(&mut anna, &number)];
    for step in ["bekrafta", "delsvar", "fraga", "svar", "avsluta"] {
        let path = format!("{case}/{step}");
        let form = anna.page(&path);
        let names = ["text", "forklaring", "atgarder", "senast", "standard", "skal", "omrade"];
        let mut fields: Vec<(&str, &str)> = names.iter().map(|name| (*name, EVIL)).collect();
        pages.push(anna.post(&form, &path, &fields).text());
        fields = vec![("text", EVIL), ("forklaring", EVIL), ("atgarder", EVIL)];
        fields.extend([("problem", "1"), ("omrade", "3"), ("skal", "referred")]);
        let preview = anna.post(&form, &path, &fields);
        assert_eq!(preview.status, 200, "{}", preview.text());
        pages.push(preview.text());
    }
    let page = anna.page(&case);
    let noted = anna.post(&page, &format!("{case}/anteckna"), &[("text", EVIL)]);
    assert_eq!(noted.status, 303);
    let twice = anna.post(&page, &format!("{case}/anteckna"), &[("text", EVIL)]);
    assert_eq!(twice.status, 303);
    let shown = anna.page(&case);
    assert_eq!(shown.matches("Intern anteckning – ").count(), 1, "a double click is one note");
    let other = anna.post(&page, &format!("{case}/anteckna"), &[("text", "annat")]);
    assert_eq!(other.status, 409, "{}", other.text());
    let path = "/enhet/SE0000000000-VC1/nytt";
    let form = anna.page(path);
    let names =
        ["beskrivning", "onskan", "namn", "person", "telefon", "epost", "adress", "patientnamn"];
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (*name, EVIL)).collect();
    pages.push(anna.post(&form, path, &fields).text());
    let form = anna.page("/sok");
    pages.push(anna.post(&form, "/sok", &[("sok", EVIL)]).text());
    let query = form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>();
    let unit = "/enhet/SE0000000000-VC1";
    pages.push(anna.page(&format!("{unit}?hos={query}&fran={query}&kategori={query}")));
    pages.push(anna.page(&case));
    for page in &pages {
        let lower = page.to_lowercase();
        assert!(!lower.contains("<script") && !lower.contains("<img"), "{page}");
    }
    assert!(pages.last().unwrap().contains("&lt;script&gt;alert(1)"), "it is there, as text");
}

#[test]
fn a_form_is_taken_only_from_our_own_pages_with_this_sessions_token() {
    let world = start(World::plan());
    let number = send(&world, 5, "Fem.");
    let (mut anna, mut bo) = (Browser::of(&world, "anna"), Browser::of(&world, "bo"));
    let case = format!("/arende/{number}");
    let path = format!("{case}/anteckna");
    let page = anna.page(&case);
    let token = hidden(&page, &path, "intyg").unwrap();
    let body = format!("intyg={token}&text=hej");
    let own = format!("https://{}", anna.door);
    for (headers, body, why) in [
        (vec![("Origin", "")], body.as_str(), "no origin"),
        (vec![("Origin", "null")], &body, "an opaque origin"),
        (vec![("Origin", "https://x.example")], &body, "another origin"),
        (vec![("Origin", &own.replace("https", "http"))], &body, "another scheme"),
        (vec![], "text=hej", "no token"),
        (vec![], "intyg=0&text=hej", "a made up token"),
    ] {
        assert_eq!(anna.post_raw(&path, &headers, body).status, 403, "{why}");
        // A refused form ends nothing: the cookie is dropped with a token of another session.
        anna = Browser::of(&world, "anna");
    }
    assert_eq!(anna.post_raw(&path, &[], &body).status, 403, "the token of an ended session");
    assert_eq!(bo.post_raw(&path, &[], &body).status, 403, "somebody else's token");
    anna = Browser::of(&world, "anna");
    let page = anna.page(&case);
    let token = hidden(&page, &path, "intyg").unwrap();
    let other = format!("{case}/bekrafta");
    let body = format!("intyg={token}&gor=skicka");
    assert_eq!(anna.post_raw(&other, &[], &body).status, 403, "the token of another form");
    assert!(!Browser::of(&world, "anna").page(&case).contains("hej"), "nothing was kept");
}

#[test]
fn a_session_is_new_at_every_login_and_bound_to_its_card() {
    let world = start(World::plan());
    let mut anna = Browser::new(&world, "anna");
    let first = anna.get("/");
    assert_eq!((first.status, first.header("location")), (303, Some("/in?till=%2F")));
    assert!(first.header("set-cookie").is_none(), "a page gives no session");
    // A cookie that somebody else has chosen never becomes a session.
    let chosen = "__Host-klagomal=chosen-by-another";
    anna.cookie = Some(chosen.to_owned());
    let answer = anna.post_raw("/in", &[], "till=https%3A%2F%2Fx.example");
    assert_eq!(answer.header("location"), Some("/"), "nobody is sent elsewhere");
    let set = answer.header("set-cookie").unwrap().to_owned();
    assert!(set.starts_with("__Host-klagomal=") && !set.contains("chosen"), "{set}");
    for flag in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(set.contains(flag) && !set.contains("Domain"), "{set}");
    }
    let old = anna.cookie.clone();
    assert_eq!(anna.post_raw("/in", &[], "till=%2F").status, 303);
    assert_ne!(anna.cookie, old);
    let mut stale = Browser::new(&world, "anna");
    stale.cookie = old;
    assert_eq!(stale.get("/").status, 303, "the session before has ended");
    let mut thief = Browser::new(&world, "bo");
    thief.cookie.clone_from(&anna.cookie);
    assert_eq!(thief.get("/").status, 303, "a cookie is nothing without its card");
    let page = anna.page("/enhet/SE0000000000-VC1");
    assert_eq!(anna.post(&page, "/ut", &[]).header("location"), Some("/in"));
    let mut gone = Browser::new(&world, "anna");
    gone.cookie.clone_from(&thief.cookie);
    assert_eq!(gone.get("/").status, 303, "logged out");
}

#[test]
fn every_answer_has_the_headers_that_keep_it_in_its_page() {
    let world = start(World::plan());
    let number = send(&world, 6, "Sex.");
    let mut anna = Browser::of(&world, "anna");
    let missing = "/arende/AAA-AAA-A";
    for path in ["/", "/in", "/stil.css", missing, "/nothing", &format!("/arende/{number}")] {
        let answer = anna.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{path}: {policy}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
}

#[test]
fn each_person_gets_where_the_roles_lead_and_no_further() {
    let world = start(World::plan());
    let number = send(&world, 7, "Sju.");
    let case = format!("/arende/{number}");
    let (svar, fordela, logg) =
        (format!("{case}/svar"), format!("{case}/fordela"), format!("{case}/logg"));
    let unit = "/enhet/SE0000000000-VC1";
    let unit_log = format!("{unit}/logg");
    // Unit's list, case, answer, hand out, the case's log, the unit's log.
    for (who, expected) in [
        ("anna", [200, 200, 403, 200, 403, 403]),
        ("bo", [200, 403, 403, 403, 403, 403]),
        ("p1", [200, 200, 403, 200, 403, 403]),
        ("p2", [403, 403, 403, 403, 200, 200]),
        ("p3", [200, 403, 403, 200, 403, 403]),
        ("p4", [404, 404, 404, 404, 404, 404]),
    ] {
        let mut browser = Browser::of(&world, who);
        let paths = [unit, &case, &svar, &fordela, &logg, &unit_log];
        let seen = paths.map(|path| browser.get(path).status);
        assert_eq!(seen, expected, "{who}");
        let search = browser.page("/sok");
        let found = browser.post(&search, "/sok", &[("sok", "19900101-2385")]);
        let finds = matches!(who, "anna" | "p1" | "p3");
        let told = found.status == 303 || found.text().contains(&number);
        assert_eq!(told, finds, "{who} searches by identity: {}", found.text());
    }
    let mut stranger = Browser::new(&world, "obehorig");
    let answer = stranger.get(unit);
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("inte upplagd"), "{}", answer.text());
    // What was read, and by whom, is in the log of the reviewer.
    let log = Browser::of(&world, "p2").page(&unit_log);
    for name in ["Anna Påhittad", "Cecilia Påhittad", "David Påhittad", "Eva Påhittad"] {
        assert!(log.contains(name), "{name} is not in {log}");
    }
    assert!(
        log.contains("såg det i en sökning"),
        "a list of hits shows that cases are there: {log}"
    );
    assert!(!log.contains("Bo Påhittad"), "{log}");
}

#[test]
fn cards_and_systems_are_trusted_each_at_their_own_door() {
    let world = start(World::plan());
    let staff = door(&world);
    let mut system = World::caller("1177").connect(staff).unwrap();
    let refused = system.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").and_then(|()| system.answer());
    assert!(refused.is_err(), "{refused:?}");
    let card = World::caller("person-anna").post(world.https, b"<a/>");
    assert!(card.is_err(), "{card:?}");
    let nobody = Caller::new(certs(), None).connect(staff).and_then(|mut it| it.post(b"<a/>"));
    assert!(nobody.is_err(), "{nobody:?}");
}

#[test]
fn a_case_told_by_phone_is_registered_handed_out_and_hidden_from_others() {
    let world = start(World::plan());
    let mut anna = Browser::of(&world, "anna");
    let path = "/enhet/SE0000000000-VC1/nytt";
    let form = anna.page(path);
    let wrong = anna.post(&form, path, &[("hande", "2026-02-30"), ("svar", "inbox")]);
    assert_eq!(wrong.status, 422);
    for words in ["Vad som har hänt saknas", "har redan varit", "saknas en uppgift"] {
        assert!(wrong.text().contains(words), "{words} is not in {}", wrong.text());
    }
    let fields = [
        ("satt", "phone"),
        ("mottaget", "2026-03-02"),
        ("hande", "2026-02-16"),
        ("beskrivning", "PÅHITTAT ÄRENDE. Ringde om väntetiden."),
        ("namn", "Testa Testsson"),
        ("person", "19900101-2385"),
        ("relation", "relative"),
        ("patientnamn", "Testa Patient"),
        ("skyddad", "ja"),
        ("svar", "inbox"),
    ];
    let made = anna.post(&form, path, &fields);
    assert_eq!(made.status, 303, "{}", made.text());
    let case = made.header("location").unwrap().to_owned();
    let twice = anna.post(&form, path, &fields);
    assert_eq!(twice.header("location"), Some(case.as_str()), "a double click is one case");
    let mut other = fields;
    other[3].1 = "PÅHITTAT ÄRENDE. Något annat.";
    assert_eq!(anna.post(&form, path, &other).status, 409, "the form has made its case");
    let list = anna.page("/enhet/SE0000000000-VC1");
    assert_eq!(list.matches("href=\"/arende/").count(), 1, "{list}");
    let page = anna.page(&case);
    for words in
        ["per telefon", "Skyddade personuppgifter", "Anmälaren är <strong>inte</strong> patienten"]
    {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    let mut bo = Browser::of(&world, "bo");
    assert_eq!(bo.get(&case).status, 403, "not his");
    let hand = format!("{case}/fordela");
    let nobody = anna.post(&page, &hand, &[("hos", "SE0000000000-P1")]);
    assert_eq!(nobody.status, 422, "she handles no cases");
    assert_eq!(anna.post(&page, &hand, &[("hos", "SE0000000000-BO")]).status, 303);
    let mine = bo.page("/enhet/SE0000000000-VC1");
    assert!(mine.contains(case.trim_start_matches("/arende/")), "{mine}");
    assert!(bo.page(&case).contains("Ringde om väntetiden."));
}

#[test]
fn a_substitute_sees_and_answers_what_the_absent_handler_has() {
    let today = jiff::Zoned::now().date();
    let (from, to) = (today.yesterday().unwrap(), today.tomorrow().unwrap());
    let world = World::plan()
        .set("server", "staff = \"127.0.0.1:0\"")
        .set("staff", "trust = [\"certs/person-ca.crt\"]")
        .write();
    let file = world.dir.join("tak-config/staff.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let absence = format!(
        "name = \"Anna Påhittad\"\n[[person.absence]]\nfrom = {from}\nto = {to}\n\
         substitute = \"SE0000000000-BO\"\n"
    );
    // Titles stand before tables in TOML.
    let text = text.replace("name = \"Anna Påhittad\"\ntitle = \"verksamhetschef\"\n", &absence);
    std::fs::write(&file, text).unwrap();
    let mut world = world;
    world.start();
    let number = send(&world, 9, "Nio.");
    let path = format!("/arende/{number}/svar");
    let mut bo = Browser::of(&world, "bo");
    assert_eq!(bo.get(&path).status, 403, "nobody's yet");
    let form = taken(&mut Browser::of(&world, "anna"), &number);
    drop(form);
    let unit = "/enhet/SE0000000000-VC1";
    let mine = bo.page(unit);
    assert!(mine.contains("Ärenden hos Anna Påhittad") && !mine.contains(&number), "{mine}");
    let hers = bo.page(&format!("{unit}?hos=SE0000000000-ANNA"));
    assert!(hers.contains(&number), "{hers}");
    let form = bo.page(&path);
    let mut fields = REPLY.to_vec();
    fields.push(("gor", "skicka"));
    assert_eq!(bo.post(&form, &path, &fields).status, 303);
    let log = Browser::of(&world, "p2").page(&format!("/arende/{number}/logg"));
    assert!(log.contains("ersätter den som handlägger ärendet"), "{log}");
}
