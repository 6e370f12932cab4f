//! The real program in a world of its own: folder, settings, certificates, routing, log.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::http::{Answer, Caller};

/// From start to both addresses, on a busy machine; a rebuild of the views is within it.
const START_TIME: Duration = Duration::from_secs(60);

/// Words that stand in the made-up messages and must never stand in a log.
const NEVER_LOGGED: [&str; 4] = ["PÅHITTAT", "Testsson", "Testa", "JVBER"];

/// This process's folder for everything that the tests write.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for entry in fs::read_dir(all).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(pid) = name.strip_prefix("it-") else { continue };
            if !Path::new("/proc").join(pid).exists() {
                // What a run before this one left; where it cannot go it is in nobody's way.
                drop(fs::remove_dir_all(entry.path()));
            }
        }
        let root = all.join(format!("it-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        root
    })
}

/// A new folder, gone with the next run.
pub fn temp(name: &str) -> PathBuf {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let dir = root().join(format!("{name}-{}", MADE.fetch_add(1, Ordering::SeqCst)));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The certificates of `certs make`, made once.
pub fn certs() -> &'static Path {
    static CERTS: OnceLock<PathBuf> = OnceLock::new();
    CERTS.get_or_init(|| {
        let dir = root().join("certs");
        klagomal::pki::make(&dir, jiff::Timestamp::now()).unwrap();
        dir
    })
}

/// The certificate that `name` shows first.
pub fn certificate(name: &str) -> Vec<u8> {
    super::http::chain(&certs().join(format!("{name}.crt")))[0].to_vec()
}

/// The program as it was when the tests began, whatever is built meanwhile.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = root().join("klagomal");
        fs::copy(env!("CARGO_BIN_EXE_klagomal"), &path).unwrap();
        path
    })
}

/// How a world is to be.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    region: Option<SocketAddr>,
    inkorg: Option<SocketAddr>,
    store: Option<PathBuf>,
    routing: String,
    crl: Option<&'static str>,
    onward: bool,
    clear: bool,
    environment: Vec<(String, String)>,
    settings: Vec<(String, String)>,
}

/// A running (or stopped) gateway.
#[derive(Debug)]
pub struct World {
    pub dir: PathBuf,
    pub https: SocketAddr,
    pub admin: SocketAddr,
    child: Option<Child>,
    environment: Vec<(String, String)>,
    readers: Vec<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
}

impl Plan {
    /// Where the region's own system is; nowhere unless said.
    pub fn region(mut self, at: SocketAddr) -> Self {
        self.region = Some(at);
        self
    }

    /// Where 1177 Inkorg is; nowhere unless said.
    pub fn inkorg(mut self, at: SocketAddr) -> Self {
        self.inkorg = Some(at);
        self
    }

    /// Every event of the handling is sent to the region's system, too.
    pub fn onward(mut self) -> Self {
        self.onward = true;
        self
    }

    /// Without a master key, so that cases lie in the clear.
    pub fn in_the_clear(mut self) -> Self {
        self.clear = true;
        self
    }

    /// The store's folder.
    pub fn store(mut self, dir: PathBuf) -> Self {
        self.store = Some(dir);
        self
    }

    /// A file more in the routing folder.
    pub fn routing(mut self, toml: &str) -> Self {
        self.routing.push_str(toml);
        self
    }

    /// The revocation list in use, by its name in the folder of certificates.
    pub fn crl(mut self, name: &'static str) -> Self {
        self.crl = Some(name);
        self
    }

    /// What the gateway finds in its environment.
    pub fn environment(mut self, of: &[(&str, &str)]) -> Self {
        self.environment.extend(of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
        self
    }

    /// A line of settings.
    pub fn set(mut self, section: &str, line: &str) -> Self {
        self.settings.push((section.to_owned(), line.to_owned()));
        self
    }

    /// Writes the folder, without starting anything.
    pub fn write(self) -> World {
        let dir = temp("world");
        self.write_certs(&dir);
        self.write_routing(&dir);
        self.write_settings(&dir);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        World {
            dir,
            https: nowhere,
            admin: nowhere,
            child: None,
            environment: self.environment.clone(),
            readers: Vec::new(),
            log: Arc::default(),
        }
    }

    pub fn start(self) -> World {
        let mut world = self.write();
        world.start();
        world
    }

    fn write_certs(&self, dir: &Path) {
        let own = dir.join("certs");
        fs::create_dir_all(&own).unwrap();
        for name in
            ["gateway.crt", "gateway.key", "ca.crt", "person-ca.crt", "empty.crl", "revoked.crl"]
        {
            fs::copy(certs().join(name), own.join(name)).unwrap();
        }
    }

    fn write_routing(&self, dir: &Path) {
        let to = dir.join("tak-config");
        copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tak-config"), &to);
        // Port 1 is nobody's: a call there is refused at once.
        let url =
            |at: Option<SocketAddr>| format!("https://localhost:{}", at.map_or(1, |at| at.port()));
        let retry = match (self.region, self.inkorg) {
            (None, None) => "\"10min\"",
            _ => "\"100ms\", \"300ms\"",
        };
        for file in ["systems.toml", "routes.toml"] {
            let path = to.join(file);
            let text = fs::read_to_string(&path).unwrap();
            let text = text
                .replace("https://localhost:9443", &url(self.region))
                .replace("https://localhost:9444", &url(self.inkorg))
                .replace("rate = \"10/s\"", "rate = \"1000/s\"")
                .replace(
                    "\ndelivery = \"queued\"",
                    &format!("\ndelivery = \"queued\"\nretry = [{retry}]"),
                );
            fs::write(&path, text).unwrap();
        }
        if self.onward {
            let path = to.join("platform.toml");
            let text = fs::read_to_string(&path).unwrap();
            let at = text.find("\n# onward").unwrap();
            let (before, after) = text.split_at(at);
            fs::write(&path, format!("{before}\nonward = \"region-exempel\"{after}")).unwrap();
        }
        if !self.routing.is_empty() {
            fs::write(to.join("test-only.toml"), &self.routing).unwrap();
        }
    }

    fn write_settings(&self, dir: &Path) {
        let store = self.store.clone().unwrap_or_else(|| dir.join("store"));
        let crl = self.crl.map(|name| format!("\"certs/{name}\"")).unwrap_or_default();
        let mut sections = [
            ("server", "https = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n".to_owned()),
            (
                "tls",
                format!(
                    "certificate = \"certs/gateway.crt\"\nkey = \"certs/gateway.key\"\n\
                     trust = [\"certs/ca.crt\"]\ncrl = [{crl}]\n"
                ),
            ),
            ("store", format!("dir = {:?}\n", store.display().to_string())),
            ("tak", "dir = \"tak-config\"\n".to_owned()),
            ("proxied", String::new()),
            ("staff", String::new()),
            ("oidc", String::new()),
            ("mail", String::new()),
            ("log", String::new()),
            ("limits", String::new()),
            ("public", String::new()),
            ("telemetry", String::new()),
            ("alarms", String::new()),
        ];
        for (section, line) in &self.settings {
            let known = sections.iter_mut().find(|(name, _)| name == section).unwrap();
            writeln!(known.1, "{line}").unwrap();
        }
        if !self.settings.iter().any(|(_, line)| line.starts_with("min_free_bytes")) {
            sections[2].1.push_str("min_free_bytes = 1_048_576\n");
        }
        if !self.clear {
            sections[2].1.push_str("master_key_file = \"master.key\"\n");
            write_master_key(&dir.join("master.key"), "6b");
        }
        let text: String = sections.iter().map(|(name, it)| format!("[{name}]\n{it}\n")).collect();
        fs::write(dir.join("klagomal.toml"), text).unwrap();
    }
}

impl World {
    pub fn plan() -> Plan {
        Plan::default()
    }

    /// A caller with a certificate of the roster.
    pub fn caller(name: &str) -> Caller {
        Caller::new(certs(), Some(name))
    }

    /// Starts the program, and waits until its doors are open.
    pub fn start(&mut self) {
        if let Err(end) = self.try_start() {
            self.join();
            panic!("the gateway did not start ({end}):\n{}", self.log());
        }
    }

    /// As `start`; the exit status when it ends instead.
    pub fn try_start(&mut self) -> Result<(), ExitStatus> {
        assert!(self.child.is_none(), "it runs already");
        self.launch(&[]).map(|child| self.child = Some(child))
    }

    /// The folder of its store.
    pub fn store(&self) -> PathBuf {
        let text = fs::read_to_string(self.dir.join("klagomal.toml")).unwrap();
        let of = text.split("[store]\ndir = \"").nth(1).unwrap();
        self.dir.join(of.split('"').next().unwrap())
    }

    /// Starts another process that takes doors and store over. The one that ran, to be waited for;
    /// or the exit status of the new one, and the old one runs.
    pub fn take_over(&mut self) -> Result<Predecessor, ExitStatus> {
        let new = self.launch(&["--take-over"])?;
        Ok(Predecessor(self.child.replace(new).expect("it runs")))
    }

    fn launch(&mut self, arguments: &[&str]) -> Result<Child, ExitStatus> {
        let mut child = Command::new(program())
            .args(["serve", "--settings"])
            .arg(self.dir.join("klagomal.toml"))
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        self.readers.push(keep(stderr, Arc::clone(&self.log)));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let start = Instant::now();
        let mut addresses = Vec::new();
        for door in ["https ", "admin "] {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            match line.strip_prefix(door) {
                Some(address) => addresses.push(address.trim().parse().unwrap()),
                None => {
                    let status = child.wait().unwrap();
                    // Its last words are read when its pipe has ended, not when it has.
                    self.readers.pop().unwrap().join().unwrap();
                    return Err(status);
                }
            }
        }
        assert!(start.elapsed() < START_TIME, "it took {:?} to start", start.elapsed());
        [self.https, self.admin] = addresses.try_into().unwrap();
        self.readers.push(keep(stdout, Arc::clone(&self.log)));
        Ok(child)
    }

    /// As `start`, with arguments more.
    pub fn start_with(&mut self, arguments: &[&str]) {
        let child = self.launch(arguments);
        self.child = Some(child.expect("it starts"));
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
        self.join();
    }

    pub fn signal(&self, name: &str) {
        let done =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(done.unwrap().success());
    }

    /// SIGTERM, and how long it took to end.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        self.signal("TERM");
        self.ended(Duration::from_secs(60))
    }

    /// Waits for the end of the process.
    pub fn ended(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            if let Some(end) = self.child.as_mut().expect("it runs").try_wait().unwrap() {
                self.child = None;
                self.join();
                return (end, start.elapsed());
            }
            assert!(start.elapsed() < within, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the process is there.
    pub fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }

    /// Everything that it has written, over all its runs.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a word in the log, from `from` bytes on.
    pub fn wait_log(&self, from: usize, what: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log[from..].lines().find(|line| line.contains(what)) {
                return line.to_owned();
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{what:?} is not in the log:\n{}",
                &log[from..]
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One of the program's commands against this world: exit code 0 or not, and its output.
    pub fn command(&self, arguments: &[&str]) -> (bool, String) {
        let admin = format!("http://{}", self.admin);
        let done = Command::new(program())
            .args(arguments)
            .args(["--admin", &admin])
            .current_dir(&self.dir)
            .output()
            .unwrap();
        let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8_lossy(&done.stderr);
        (done.status.success(), text)
    }

    /// A GET at the admin door: status and body.
    pub fn admin(&self, path: &str) -> (u16, String) {
        let answer = self.admin_call(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        (answer.status, answer.text())
    }

    /// JSON of the admin door.
    pub fn json(&self, path: &str) -> serde_json::Value {
        let (status, text) = self.admin(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A POST of JSON at the admin door.
    pub fn admin_post(&self, path: &str, body: &serde_json::Value) -> (u16, String) {
        let body = body.to_string();
        let answer = self.admin_call(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        (answer.status, answer.text())
    }

    fn admin_call(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let end = super::http::find(&all, b"\r\n\r\n").expect("an answer");
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = all[end + 4..].to_vec();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = unchunk(&body);
        }
        Answer { status, headers: Vec::new(), body }
    }

    /// How many outgoing messages stand where: state to number, over all systems.
    pub fn outgoing(&self) -> std::collections::BTreeMap<String, i64> {
        let status = self.json("/status");
        let mut all = std::collections::BTreeMap::new();
        for system in status["systems"].as_array().unwrap() {
            for (state, number) in system["outgoing"].as_object().unwrap() {
                *all.entry(state.clone()).or_default() += number.as_i64().unwrap();
            }
        }
        all
    }

    /// Waits until nothing is owed to anybody any more.
    pub fn wait_delivered(&self, within: Duration) {
        self.wait_delivered_or_held(within);
        let stuck = self.json("/outbox");
        assert_eq!(stuck.as_array().map(Vec::len), Some(0), "a person is asked: {stuck}");
    }

    /// Waits until what is owed would not move by itself: it has gone, or stands still, or waits for
    /// what stands still.
    pub fn wait_delivered_or_held(&self, within: Duration) {
        let start = Instant::now();
        loop {
            let outgoing = self.outgoing();
            let still = outgoing["unknown"] + outgoing["parked"] + outgoing["held"] > 0;
            let moving = outgoing["due"] + outgoing["leased"];
            if moving == 0 && (still || outgoing["waiting"] == 0) {
                return;
            }
            assert!(start.elapsed() < within, "still owed after {within:?}: {outgoing:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }
}

/// A process that another one has taken over from.
#[derive(Debug)]
pub struct Predecessor(Child);

impl Predecessor {
    /// Its end, which must come within `time`.
    pub fn ended(mut self, time: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(end) = self.0.try_wait().unwrap() {
                return end;
            }
            if start.elapsed() > time {
                self.0.kill().unwrap();
                panic!("the old process does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        let log = self.log();
        if std::thread::panicking() {
            let from = log.char_indices().rev().nth(12_000).map_or(0, |(at, _)| at);
            eprintln!("--- the gateway's log ({}):\n{}", self.dir.display(), &log[from..]);
            return;
        }
        if let Some(line) = log.lines().find(|line| personal(line)) {
            panic!("personal data in the log: {line}");
        }
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Whether a line holds what looks like a person number, or words of a message.
fn personal(line: &str) -> bool {
    if NEVER_LOGGED.iter().any(|word| line.contains(word)) {
        return true;
    }
    // Hexadecimal names of other things hold twelve digits by chance, inside longer words, and now
    // and then as a whole: those are not of a century and a month.
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let plain = word.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let dated = |century: &str| ["18", "19", "20"].contains(&century);
        let month = |word: &str| word[4..6].parse().is_ok_and(|it: u8| (1..=12).contains(&it));
        let whole = digits == 12 && word.len() >= 12 && dated(&word[..2]) && month(word);
        plain && (whole || (digits == 10 && word.contains('-') && word.len() == 11))
    })
}

fn keep(from: impl std::io::Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            log.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// Writes a master key, the same for the same two digits.
pub fn write_master_key(path: &Path, digits: &str) {
    fs::write(path, digits.repeat(32)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Copies a folder and all in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = super::http::find(bytes, b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        out.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    out
}
