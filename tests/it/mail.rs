//! Notices to staff, at a real mail server.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::staff::{Browser, send};
use crate::support::{
    Act, Peer, Plan, Unit, VC1, World, case_id, certs, complaint, inbox_answer, not_run, supplement,
};

/// aiosmtpd in a process of its own; ended when dropped.
struct Post {
    child: Child,
    port: u16,
    came: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Post {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Post {
    /// None where it is not installed.
    fn start(port: u16, mode: &str, answers: &[&str]) -> Option<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let python = target.join("ci-venv/bin/python");
        let mut asks = Command::new(&python);
        let asks = asks.args(["-c", "import aiosmtpd"]).stderr(Stdio::null());
        if !asks.status().is_ok_and(|it| it.success()) {
            let folder = target.join("ci-venv");
            not_run(&format!(
                "aiosmtpd: {0} lacks it (python3 -m venv {0} && {0}/bin/pip install aiosmtpd==1.4.6)",
                folder.display()
            ));
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/mail_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(certs())
            .arg(port.to_string())
            .arg(mode)
            .args(answers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = said.next().expect("the mail server ended").unwrap();
        let port = first.strip_prefix("port ").unwrap().parse().unwrap();
        let came = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&came);
        std::thread::spawn(move || {
            for line in said.map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Self { child, port, came })
    }

    fn came(&self) -> Vec<Value> {
        self.came.lock().unwrap().clone()
    }

    fn wait(&self, what: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let came = self.came();
            if enough(&came) {
                return came;
            }
            assert!(Instant::now() < end, "{what}: {came:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn is(mail: &Value, to: &str, about: &str) -> bool {
    mail["to"][0] == to && mail["heads"]["subject"].as_str().unwrap().starts_with(about)
}

fn plan(port: u16, security: &str) -> Plan {
    let mail = format!(
        "server = \"localhost:{port}\"\nsecurity = \"{security}\"\nfrom = \"Klagomål <klagomal@example.se>\"\n\
         trust = [\"certs/ca.crt\"]\naddress = \"https://klagomal.example.se:8444\""
    );
    World::plan()
        .set("server", "staff = \"127.0.0.1:0\"")
        .set("staff", "trust = [\"certs/person-ca.crt\"]")
        .set("mail", &mail)
}

/// Nothing of a case in any part of a mail, as it is sent and as it is read.
fn is_bare(mail: &Value) {
    let whole = mail.to_string();
    for word in ["19900101", "2385", "Testa", "Testsson", "HEMLIGT", "Påhittad", "vårdcentral"] {
        assert!(!whole.contains(word), "{word} is in {whole}");
    }
}

#[test]
fn staff_are_told_of_what_concerns_them_and_never_whom_it_is_about() {
    let Some(post) = Post::start(0, "starttls", &[]) else { return };
    let inkorg = Peer::start(certs(), "inkorg", |call| {
        if call.says("HEMLIGT SVAR") { Act::HangUp } else { inbox_answer(call) }
    });
    let login = "user = \"klagomal\"\npassword_file = \"mail-password\"";
    let mut world = plan(post.port, "starttls").set("mail", login).inkorg(inkorg.address).write();
    std::fs::write(world.dir.join("mail-password"), "ett hemligt losen\n").unwrap();
    world.start();
    let number = send(&world, 31, "HEMLIGT ORD.");
    let came = post.wait("the new case", |came| came.len() >= 2);
    assert!(came.iter().any(|it| is(it, "vc1@example.se", "Nytt")), "{came:#?}");
    assert!(
        came.iter().any(|it| it["to"][0] == "cecilia@example.se"),
        "the quality lead: {came:#?}"
    );
    let mut anna = Browser::of(&world, "anna");
    let case = format!("/arende/{number}");
    let page = anna.page(&case);
    let handed = anna.post(&page, &format!("{case}/fordela"), &[("hos", "SE0000000000-BO")]);
    assert_eq!(handed.status, 303, "{}", handed.text());
    post.wait("the assignment", |came| came.iter().any(|it| is(it, "bo@example.se", "Ett")));
    let id = "5f1c3a52-61f2-4a44-8f07-000000000031";
    let more = supplement(VC1, &id.replace("31", "77"), &case_id("staff-31"), "HEMLIGT MER.", &[]);
    assert_eq!(World::caller("1177").post(world.https, more.as_bytes()).unwrap().outcome(), "OK");
    let came = post.wait("the supplement", |came| {
        came.iter().filter(|it| it["to"][0] == "bo@example.se").count() >= 2
    });
    for mail in &came {
        is_bare(mail);
        let body = mail["body"].as_str().unwrap().replace("\r\n", "\n");
        assert!(body.contains(&format!("https://klagomal.example.se:8444{case}\n")), "{body}");
        assert_eq!(mail["heads"]["auto-submitted"], "auto-generated");
        let id = mail["heads"]["message-id"].as_str().unwrap();
        assert!(id.starts_with('<') && id.ends_with("@example.se>"), "{id}");
        assert_eq!((&mail["tls"], &mail["login"]), (&true.into(), &true.into()));
        assert_eq!(mail["from"], "klagomal@example.se");
    }
    // What does not arrive at the inbox, the handler is told.
    let mut bo = Browser::of(&world, "bo");
    let path = format!("{case}/fraga");
    let form = bo.page(&path);
    let asked = bo.post(&form, &path, &[("text", "HEMLIGT SVAR?"), ("gor", "skicka")]);
    assert_eq!(asked.status, 303, "{}", asked.text());
    let came = post.wait("the trouble", |came| {
        came.iter().filter(|it| it["to"][0] == "bo@example.se").count() >= 3
    });
    came.iter().for_each(is_bare);
    let log = world.log();
    for word in ["bo@example.se", "vc1@example.se", "cecilia@", "somebody@", "losen"] {
        assert!(!log.contains(word), "{word} is in the log: {log}");
    }
}

#[test]
fn a_mail_that_the_server_refuses_for_now_goes_again_and_for_good_is_parked() {
    let Some(mut post) = Post::start(0, "tls", &["451", "drop", "554"]) else { return };
    let mut world = plan(post.port, "tls").start();
    let number = send(&world, 32, "Trettiotvå.");
    // Two mails, each sent until it is taken or refused for good.
    let came = post.wait("every answer", |came| came.len() >= 4);
    let mut sent = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    for mail in &came {
        let id = mail["heads"]["message-id"].as_str().unwrap();
        sent.entry(id).or_default().push(mail["answer"].as_str().unwrap());
    }
    assert_eq!(sent.len(), 2, "the same mail has the same id: {sent:?}");
    let ends: Vec<&str> = sent.values().map(|it| *it.last().unwrap()).collect();
    assert!(ends.contains(&"554") && ends.contains(&"250"), "{sent:?}");
    world.wait_log(0, "the mail server answered 554");
    let (_, listed) = world.command(&["outbox", "list", "--to", "mail"]);
    assert!(listed.contains("parked") && listed.contains("554"), "{listed}");
    assert!(!listed.contains("somebody@"), "a server's words may name somebody: {listed}");
    // The mail server is gone: cases come in and letters go out as ever.
    drop(post.child.kill());
    drop(post.child.wait());
    let port = post.port;
    let other = send(&world, 33, "Trettiotre.");
    let case = Browser::of(&world, "anna").page(&format!("/arende/{other}"));
    assert!(case.contains(&other), "{case}");
    world.wait_log(0, &format!("case.number={other} outgoing.to=mail"));
    world.kill();
    post = Post::start(port, "tls", &[]).unwrap();
    world.start();
    let came = post.wait("what was owed when the gateway was killed", |came| {
        let of = |to: &str| {
            came.iter().any(|it| it["to"][0] == to && it["text"].as_str().unwrap().contains(&other))
        };
        of("vc1@example.se") && of("cecilia@example.se")
    });
    assert!(!came.iter().any(|it| it["text"].as_str().unwrap().contains(&number)), "{came:#?}");
    // What was refused goes again when somebody says so.
    let (done, told) =
        world.command(&["outbox", "retry", "--to", "mail", "--why", "mended", "--yes"]);
    assert!(done, "{told}");
    post.wait("what was parked", |came| {
        came.iter().any(|it| it["text"].as_str().unwrap().contains(&number))
    });
}

#[test]
fn a_deadline_is_told_once_also_after_a_restart() {
    let Some(post) = Post::start(0, "plain", &[]) else { return };
    let unit = "[[unit]]\nhsa_id = \"SE0000000000-VC9\"\nname = \"Testvårdcentralen Snabb\"\n\
                county = \"99\"\ncare_provider = \"SE0000000000-VG1\"\nmailbox = \"vc9@example.se\"\n\
                reply_within = \"1 day\"\nfirst_contact = \"300 working hours\"\n\
                [[unit.handling]]\nmethod = \"store\"\n";
    let mut world = plan(post.port, "none").routing(unit).set("alarms", "every = \"1s\"").start();
    let id = "5f1c3a52-61f2-4a44-8f07-000000000034";
    let vc9 = Unit { hsa_id: "SE0000000000-VC9", ..VC1 };
    let message = complaint(vc9, id, &case_id("mail-34"), "Trettiofyra.", &[]);
    let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK", "{}", answer.text());
    let of =
        |came: &[Value]| came.iter().filter(|it| is(it, "vc9@example.se", "Snart dags")).count();
    post.wait("the deadline", |came| of(came) == 1);
    world.stop();
    world.start();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(of(&post.came()), 1, "once");
}
