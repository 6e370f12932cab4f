//! The staff page in a real browser, the whole way, with the shipped simulators on the other side.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::staff::{door, send, start};
use crate::support::{Simulator, Unit, VC1, World, case_id, certs, complaint, not_run, supplement};

/// Where the browser's libraries are; none where they, or the browser, are not installed.
pub fn installed() -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let modules = modules.join("ci-node/node_modules");
    let browser = std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    if !Path::new(&browser).exists() {
        not_run("Chromium: apt-get install --no-install-recommends chromium");
        return None;
    }
    if ["playwright-core", "axe-core"].iter().any(|it| !modules.join(it).exists()) {
        let folder = modules.parent().unwrap().display();
        not_run(&format!(
            "Playwright and axe: npm install --prefix {folder} playwright-core@1.65.1 axe-core@4.11.0"
        ));
        return None;
    }
    Some(modules)
}

/// What the whole way showed.
struct Seen {
    violations: Vec<String>,
    errors: Vec<String>,
    steps: u32,
    pages: u32,
    inbox: String,
}

fn whole_way(mode: &str) -> Option<Seen> {
    let modules = installed()?;
    let inkorg = Simulator::start("inkorg", "inkorg", &[]);
    let world = start(World::plan().inkorg(inkorg.at));
    let gateway = format!("https://localhost:{}/", world.https.port());
    let portal = Simulator::start("1177", "1177", &["--gateway", &gateway]);
    let pushed = portal.ask("POST", "/step", "complaint SE0000000000-VC1 99");
    assert!(pushed.contains("200 OK"), "{pushed}");
    let cases = world.json("/cases");
    let number = cases[0]["number"].as_str().unwrap().to_owned();
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("staff-page-{mode}"));
    drop(std::fs::remove_dir_all(&pictures));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/staff_page.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .arg(modules)
        .arg(certs())
        .arg(door(&world).port().to_string())
        .arg(&pictures)
        .args([mode, number.as_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = Seen {
        violations: Vec::new(),
        errors: Vec::new(),
        steps: 0,
        pages: 0,
        inbox: String::new(),
    };
    let mut go_on = child.stdin.take().unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match (word, rest) {
            ("wait", "supplement") => add(&world, &number),
            ("wait", "committee") => {
                writeln!(go_on, "go\n{}", to_committee(&world)).unwrap();
                continue;
            }
            ("wait", "standard") => {
                let other = send(&world, 41, "PÅHITTAT standardärende.");
                writeln!(go_on, "go\n{other}").unwrap();
                continue;
            }
            ("wait", _) => seen.inbox = delivered(&inkorg),
            ("violation", _) => seen.violations.push(rest.replace("\\n", "\n")),
            ("error", _) => seen.errors.push(rest.to_owned()),
            ("steps", _) => seen.steps = rest.parse().unwrap(),
            ("pages", _) => seen.pages = rest.parse().unwrap(),
            _ => panic!("{line}"),
        }
        if word == "wait" {
            writeln!(go_on, "go").unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "the browser's script failed; see above");
    eprintln!("pictures to look at: {}", pictures.display());
    Some(seen)
}

/// A case of the patientnämnd's.
fn to_committee(world: &World) -> String {
    let committee = Unit { hsa_id: "SE0000000000-PAN99", ..VC1 };
    let id = "5f1c3a52-61f2-4a44-8f07-000000000043";
    let text = complaint(committee, id, &case_id("browser-pan"), "Till nämnden.", &[]);
    let text = text.replace("CARE_PROVIDER", "PATIENT_ADVISORY_COMMITTEE");
    let answer = World::caller("1177").post(world.https, text.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK", "{}", answer.text());
    answer.value("registrationNumber").unwrap()
}

/// The complainant answers the question.
fn add(world: &World, number: &str) {
    let case = world.json(&format!("/cases/{number}"));
    let id = case["case"]["id"]["extension"].as_str().unwrap().to_owned();
    let message = "5f1c3a52-61f2-4a44-8f07-000000000042";
    let text = supplement(VC1, message, &id, "PÅHITTAT TILLÄGG från anmälaren.", &[]);
    let answer = World::caller("1177").post(world.https, text.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK", "{}", answer.text());
}

/// The citizen's inbox, once everything that can be taken back has been sent.
fn delivered(inkorg: &Simulator) -> String {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let inbox = inkorg.ask("GET", "/messages", "");
        if inbox.contains("PÅHITTAD ÅTGÄRD") && inbox.contains("PÅHITTAT STANDARDSVAR") {
            return inbox;
        }
        assert!(Instant::now() < end, "{inbox}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn is_whole(seen: &Seen) {
    for words in [
        "PÅHITTAT DELSVAR i webbläsaren.",
        "PÅHITTAD FRÅGA: vilken dag?",
        "PÅHITTAT SVAR med <b>tecken</b> & åäö.",
        "PÅHITTAD ÅTGÄRD.",
        "en fil: brev.pdf",
    ] {
        assert!(seen.inbox.contains(words), "{words} is not in {}", seen.inbox);
    }
    assert!(!seen.inbox.contains("ANTECKNING"), "{}", seen.inbox);
    assert!(seen.errors.is_empty(), "{:#?}", seen.errors);
    assert!(seen.steps > 0 && seen.steps <= 8, "{} steps for a standard answer", seen.steps);
}

#[test]
fn the_whole_way_by_the_keyboard_alone_and_axe_finds_nothing_on_any_page() {
    let Some(seen) = whole_way("keyboard") else { return };
    let kinds: BTreeSet<&String> = seen.violations.iter().collect();
    assert!(kinds.is_empty(), "{kinds:#?}");
    assert!(seen.pages >= 36, "{} pages", seen.pages);
    is_whole(&seen);
}

#[test]
fn the_whole_way_with_scripts_off() {
    let Some(seen) = whole_way("mouse") else { return };
    is_whole(&seen);
}
