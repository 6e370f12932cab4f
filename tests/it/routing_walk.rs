//! The README's walk through routing, run as written, and a gateway that follows its folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::Date;
use klagomal::clock::{Clock as _, SystemClock, swedish_day};

/// The days that the README's text was written with, and how far from today they are in the test.
const DAYS: [(&str, i32); 3] = [("2026-11-22", 0), ("2026-11-30", 9), ("2026-12-01", 10)];

/// Where the README's gateway has its files.
const PLACE: &str = "/srv/klagomal";

const CASES: &str =
    "urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1";

/// Longer than any machine takes to notice a changed folder.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway in a folder of its own, with the example routing.
struct Gateway {
    dir: tempfile::TempDir,
    child: Child,
    admin: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.expect("the gateway was running");
    }
}

impl Gateway {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        copy(&root().join("tak-config"), &at.join("tak-config"));
        let settings = "[server]\nhttps = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[tls]\n\
                        certificate = \"certs/gateway.crt\"\nkey = \"certs/gateway.key\"\n\
                        trust = [\"certs/ca.crt\"]\n[store]\ndir = \"store\"\n";
        fs::write(at.join("klagomal.toml"), settings).unwrap();
        let program = env!("CARGO_BIN_EXE_klagomal");
        let made = Command::new(program).args(["certs", "make", "certs"]).current_dir(at).output();
        assert!(made.unwrap().status.success());
        let log = fs::File::create(at.join("log")).unwrap();
        let mut serve = Command::new(program);
        serve.arg("serve").current_dir(at).stdout(Stdio::piped()).stderr(log);
        let mut child = serve.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let admin =
            lines.map_while(Result::ok).find_map(|it| Some(it.strip_prefix("admin ")?.to_owned()));
        let admin = admin.expect("the gateway says where its admin door is");
        Self { dir, child, admin }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("tak-config").join(name)
    }

    /// What a command line prints, with the folder as in the README.
    fn shell(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for asks in ["status", "reload", "plan", "rollback"] {
            let admin = format!("klagomal tak {asks} --admin http://{}", self.admin);
            line = line.replace(&format!("klagomal tak {asks}"), &admin);
        }
        let program = Path::new(env!("CARGO_BIN_EXE_klagomal")).parent().unwrap();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", program.display());
        let output = Command::new("sh")
            .args(["-c", &format!("{{\n{line}\n}} 2>&1")])
            .env("PATH", path)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.replace(&self.dir.path().display().to_string(), PLACE)
    }

    /// Status and body of a GET at the admin door.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Calls as they would have been counted by now.
    fn record(&self, today: Date, counts: &[(&str, u64)]) {
        let rows: Vec<String> = counts
            .iter()
            .map(|(unit, count)| {
                format!(
                    "{{\"hour\":\"{today}T00:00:00Z\",\"contract\":\"{CASES}\",\"address\":\
                     \"SE0000000000-{unit}\",\"caller\":\"SE0000000000-1177\",\"profile\":\
                     \"rivtabp21\",\"outcome\":\"store\",\"count\":{count}}}"
                )
            })
            .collect();
        let folder = self.dir.path().join("store/decisions");
        fs::create_dir_all(&folder).unwrap();
        let text = format!("{{\"leftOut\":0,\"decisions\":[{}]}}", rows.join(","));
        fs::write(folder.join(format!("{today}.json")), text).unwrap();
    }

    #[track_caller]
    fn wait_for(&self, what: &str, text: &str) {
        let start = SystemClock.now();
        while !self.shell("klagomal tak status").contains(text) {
            let waited = SystemClock.now().duration_since(start);
            assert!(
                waited.unsigned_abs() < PATIENCE,
                "{what}: {}",
                self.shell("klagomal tak status")
            );
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// A command of the README and what it is said to print.
pub struct Step {
    pub command: String,
    output: String,
}

/// The commands of the section, in order.
fn steps() -> Vec<Step> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let section = readme.split_once("\n## Routing\n").map(|(_, rest)| rest.to_owned());
    let section = section.unwrap_or_else(|| {
        fs::read_to_string(root().join("README.routing.part")).expect("the section on routing")
    });
    console(section.split("\n## ").next().unwrap())
}

/// The commands of a text, in order; one that goes on in the next line is one.
pub fn console(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.replace("\\\n", "").lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            steps.push(Step { command: command.to_owned(), output: String::new() });
        } else if let (true, Some(last)) = (inside, steps.last_mut()) {
            match line.strip_prefix("> ") {
                Some(more) => last.command += &format!("\n{more}"),
                None => last.output += &format!("{line}\n"),
            }
        }
    }
    steps
}

/// Text with days, times and names of configurations replaced, and those names in order.
fn normal(text: &str) -> (String, Vec<String>) {
    let mut names = Vec::new();
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '-' || c == ':')) {
        let core = word.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '-'));
        let rest = word.strip_prefix(core).unwrap();
        let digit = |c: char| c.is_ascii_digit();
        if core.len() == 12 && core.chars().all(|c| c.is_ascii_hexdigit()) {
            names.push(core.to_owned());
            out += "GENERATION";
        } else if core.len() == 10 && core.split('-').count() == 3 && core.starts_with(digit) {
            out += "DAY";
        } else if core.len() == 5 && core.as_bytes()[2] == b':' && core.starts_with(digit) {
            out += "TIME";
        } else {
            out += core;
        }
        out += rest;
    }
    (out, names)
}

#[test]
fn the_readmes_walk_does_what_it_says() {
    let today = swedish_day(SystemClock.now());
    let gateway = Gateway::start();
    let steps = steps();
    assert!(steps.len() >= 15, "{} commands in the section", steps.len());
    // Names of configurations, as written and as they are here.
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut first = String::new();
    for Step { command, output } in &steps {
        if command.contains(" plan ") {
            gateway.record(today, &[("VC1", 117), ("VC4", 8)]);
        }
        let mut here = command.clone();
        for (at, (day, _)) in DAYS.iter().enumerate() {
            here = here.replace(day, &format!("@{at}@"));
        }
        for (at, (_, ahead)) in DAYS.iter().enumerate() {
            let day = today.checked_add(ahead.days()).unwrap();
            here = here.replace(&format!("@{at}@"), &day.to_string());
        }
        for (written, name) in &known {
            here = here.replace(written, name);
        }
        let printed = gateway.shell(&here);
        let (said, names) = normal(&printed);
        let (expected, written) = normal(output);
        if said == "GENERATION is in force, as before\n" && command.ends_with("tak reload") {
            // The gateway had seen the change by itself.
            known.insert(written[0].clone(), names[0].clone());
            continue;
        }
        assert_eq!(said, expected, "$ {here}\n{printed}");
        for (written, name) in written.into_iter().zip(names) {
            let old = known.insert(written.clone(), name.clone());
            assert!(old.is_none_or(|old| old == name), "{written} stands for two in: {here}");
        }
        if first.is_empty() {
            first = printed;
        }
    }
    // The walk ends where it began, byte for byte.
    assert_eq!(gateway.shell("klagomal tak check"), first);
    for entry in fs::read_dir(root().join("tak-config")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let here = gateway.file(path.file_name().unwrap().to_str().unwrap());
            assert_eq!(fs::read(&path).unwrap(), fs::read(here).unwrap(), "{path:?}");
        }
    }
    assert!(!gateway.file("vc4.toml").exists());
}

#[test]
fn a_gateway_follows_its_folder_and_stays_ready_through_every_fault() {
    let gateway = Gateway::start();
    let folder = gateway.file("");
    let units = fs::read_to_string(gateway.file("units.toml")).unwrap();
    let running = gateway.shell("klagomal tak status").lines().next().unwrap().to_owned();
    // A row that names nothing: told, and the old one goes on.
    fs::write(gateway.file("units.toml"), units.replace("region-exempel", "nobody")).unwrap();
    gateway.wait_for("a fault", "NOT TAKEN");
    assert!(gateway.shell("klagomal tak status").starts_with(&running));
    assert!(gateway.get("/readyz").ends_with("ready\n"), "{}", gateway.get("/readyz"));
    assert!(gateway.get("/status").contains("which is not there"));
    let log = || fs::read_to_string(gateway.dir.path().join("log")).unwrap();
    assert!(log().contains("the old routing goes on") && log().contains("which is not there"));
    fs::write(gateway.file("units.toml"), &units).unwrap();
    gateway.wait_for("mended", "newest     is in force");

    // The whole folder exchanged by renaming, twice: the second shows that the new one is watched.
    for (at, name) in ["ett", "två"].into_iter().enumerate() {
        let next = gateway.dir.path().join(format!("next{at}"));
        copy(&folder, &next);
        fs::write(next.join("more.toml"), format!("# {name}\n")).unwrap();
        let before = gateway.shell("klagomal tak status").lines().next().unwrap().to_owned();
        fs::rename(&folder, gateway.dir.path().join(format!("old{at}"))).unwrap();
        std::thread::park_timeout(Duration::from_millis(300));
        fs::rename(&next, &folder).unwrap();
        let generation = gateway.shell("klagomal tak check");
        let generation = generation.lines().last().unwrap().strip_prefix("generation ").unwrap();
        gateway.wait_for(name, &format!("in force   {generation}"));
        assert!(!before.contains(generation));
    }
    // A folder that is gone is a fault like any other.
    fs::rename(&folder, gateway.dir.path().join("gone")).unwrap();
    gateway.wait_for("gone", "NOT TAKEN");
    assert!(gateway.get("/readyz").ends_with("ready\n"));
    fs::rename(gateway.dir.path().join("gone"), &folder).unwrap();
    gateway.wait_for("back", "newest     is in force");
}

#[test]
fn a_gateway_that_does_not_start_is_put_right_by_a_rollback_of_its_files() {
    let mut gateway = Gateway::start();
    gateway.child.kill().unwrap();
    gateway.child.wait().unwrap();
    let kept = gateway.shell("klagomal tak check");
    let kept = kept.lines().last().unwrap().strip_prefix("generation ").unwrap().to_owned();
    fs::write(gateway.file("units.toml"), "nonsense").unwrap();
    let said = gateway.shell("klagomal serve");
    assert!(
        said.contains("the gateway does not start") && said.contains("units.toml:1:"),
        "{said}"
    );
    let line =
        format!("klagomal  tak rollback {} --settings klagomal.toml", kept.get(..8).unwrap());
    let said = gateway.shell(&line);
    assert_eq!(said, format!("tak-config holds {kept}; the next start takes it\n"));
    let example = fs::read(root().join("tak-config/units.toml")).unwrap();
    assert_eq!(fs::read(gateway.file("units.toml")).unwrap(), example);
}
