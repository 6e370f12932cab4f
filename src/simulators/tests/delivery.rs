//! The gateway's deliveries against simulators that misbehave, over real sockets.

use std::path::PathBuf;
use std::sync::Mutex;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cases::fold::CaseFold;
use crate::cases::record::Item;
use crate::cases::{Accepted, Cases, Envelope, Grounds};
use crate::complaint::command::Reception;
use crate::complaint::event::{Decision, Destination};
use crate::complaint::message::{FromHandler, Ii, RecipientKind};
use crate::delivery::{Callers, Delivery};
use crate::gateway;
use crate::producer::Caller;
use crate::routing::Current;
use crate::soap::{MessageReader, Original, Piece};
use crate::store::blobs::Blobs;
use crate::store::engine::{Engine, Settings as StoreSettings};
use crate::store::journal::memory::{Fault, MemoryDisk};
use crate::store::views::MemoryTable;
use crate::tak::System;

mod inbox;
mod own_system;
mod trouble;

const REGION: &str = "region-exempel";
const INKORG: &str = "inkorg";
const ONWARD: &str = "plattform-1177";

/// A gateway without its doors: a store in memory, a routing folder, and the worker.
struct Scene {
    dir: TempDir,
    disk: MemoryDisk,
    table: Arc<MemoryTable>,
    routing: Current,
    cases: Cases,
    inkorg: Inkorg,
    region: Region,
    portal: Portal,
    work: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
    runs: std::sync::atomic::AtomicU32,
}

/// What differs from a scene where all goes well.
#[derive(Default)]
struct Plan {
    region: Option<&'static str>,
    inbox: Option<&'static str>,
    asked: Option<&'static str>,
    /// The region's system is called here, where nobody listens.
    region_url: Option<String>,
    /// One call, in milliseconds.
    timeout: Option<u64>,
    onward: bool,
}

/// Calls without TLS; where told to, a bug.
#[derive(Debug)]
struct Plain {
    panics: bool,
}

impl Callers for Plain {
    fn producer(&self, _: &System) -> Result<Box<dyn Caller>, String> {
        assert!(!self.panics, "a bug, told to");
        Ok(Box::new(Producer::plain().unwrap()))
    }
}

fn plain() -> Place {
    let listen = "127.0.0.1:0".parse().unwrap();
    Place { listen, tls: None, control: None, clock: Arc::new(SystemClock) }
}

fn course(text: Option<&str>) -> Course {
    text.map(|text| text.parse().unwrap()).unwrap_or_default()
}

/// The example routing with the addresses and short waits of a test.
fn routing(dir: &Path, region: &str, inkorg: &str, onward: Option<&str>, ms: u64) -> Current {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tak-config");
    let to = dir.join("tak-config");
    std::fs::create_dir_all(to.join("code-lists")).unwrap();
    for folder in ["", "code-lists"] {
        for entry in std::fs::read_dir(from.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap();
                std::fs::copy(&path, to.join(folder).join(name)).unwrap();
            }
        }
    }
    let quick = format!("timeout = \"{ms}ms\"\nretry = [\"10ms\"]\n");
    let systems = std::fs::read_to_string(to.join("systems.toml")).unwrap();
    let mut systems = systems
        .replace("timeout = \"29s\"\n", "")
        .replace("rate = \"10/s\"", "rate = \"1000/s\"")
        .replace("url = \"https://localhost:9443/rivta\"", &format!("{quick}url = \"{region}\""))
        .replace("url = \"https://localhost:9444/inkorg\"", &format!("{quick}url = \"{inkorg}\""));
    if let Some(url) = onward {
        systems.push_str(&format!(
            "\n[[system]]\nid = \"{ONWARD}\"\nhsa_id = \"SE0000000000-1177B\"\n\
             name = \"1177 plattform (test)\"\nurl = \"{url}\"\ndelivery = \"queued\"\n{quick}"
        ));
        let platform = std::fs::read_to_string(to.join("platform.toml")).unwrap();
        let named = platform.replace("# onward =", "onward =");
        std::fs::write(to.join("platform.toml"), named).unwrap();
    }
    std::fs::write(to.join("systems.toml"), systems).unwrap();
    let opened = Current::open(&to, SystemClock.now());
    opened.unwrap_or_else(|error| panic!("{error:?}")).0
}

fn store(dir: &Path, disk: &MemoryDisk, table: &Arc<MemoryTable>, run: u32) -> Cases {
    let mut settings = StoreSettings::new("");
    settings.free_bytes_min = 1;
    settings.probe_interval = Duration::from_millis(5);
    let (disk, table) = (Arc::new(disk.clone()), Arc::clone(table) as Arc<_>);
    let clock = Arc::new(SystemClock);
    let opened =
        Engine::open_on(&settings, disk, table, "boot", CaseFold::default(), clock.clone());
    let blobs = Blobs::new(&dir.join("attachments")).unwrap();
    Cases::new(opened.unwrap().0, blobs, clock, id("SE0000000000-GATEWAY"), format!("run-{run}"))
}

impl Scene {
    async fn start(plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = InkorgSettings::new(plain());
        inbox.course = course(plan.inbox);
        inbox.course_of_is_active_user = course(plan.asked);
        let inkorg = Inkorg::start(inbox).await.unwrap();
        let (platform, handler) = (id("SE0000000000-1177"), id("SE0000000000-H1"));
        let mut settings = RegionSettings::new(plain(), None, platform, handler);
        settings.course = course(plan.region);
        let region = Region::start(settings).await.unwrap();
        let portal = Portal::start(PortalSettings::new(plain(), None)).await.unwrap();
        let region_url = plan.region_url.unwrap_or_else(|| region.url());
        let onward = plan.onward.then(|| portal.url());
        let ms = plan.timeout.unwrap_or(300);
        let routing = routing(dir.path(), &region_url, &inkorg.url(), onward.as_deref(), ms);
        let (disk, table) = (MemoryDisk::default(), Arc::<MemoryTable>::default());
        let cases = store(dir.path(), &disk, &table, 1);
        let (work, runs) = (Mutex::default(), 1.into());
        Self { dir, disk, table, routing, cases, inkorg, region, portal, work, runs }
    }

    /// Lets the worker work.
    fn work(&self) {
        self.work_with(Plain { panics: false });
    }

    fn work_with(&self, callers: Plain) {
        let worker = Delivery::new(self.cases.clone(), self.routing.clone(), Arc::new(callers));
        let stop = CancellationToken::new();
        let task = tokio::spawn(worker.run(stop.clone()));
        *self.work.lock().unwrap() = Some((stop, task));
    }

    /// The process ends without a word, and another one opens the same store.
    async fn kill(&mut self) {
        let work = self.work.lock().unwrap().take();
        if let Some((_, task)) = work {
            task.abort();
            drop(task.await);
        }
        self.cases.engine().close().await;
        let run = self.runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.cases = store(self.dir.path(), &self.disk, &self.table, run);
    }

    /// Stops in order.
    async fn stop(&self) {
        let work = self.work.lock().unwrap().take();
        if let Some((stop, task)) = work {
            stop.cancel();
            timeout(PATIENCE, task).await.expect("the worker stops").unwrap();
        }
    }

    fn grounds(&self, reception: Option<Reception>) -> Grounds {
        Grounds { reception, ..gateway::grounds(&self.routing.get()) }
    }

    /// A case of the region's system, as it came from 1177.
    async fn case(&self) -> (Ii, Accepted) {
        self.case_at("VC2", own_system("VC2")).await
    }

    async fn case_at(&self, unit: &str, destination: Destination) -> (Ii, Accepted) {
        let now = jiff::Timestamp::from_second(SystemClock.now().as_second()).unwrap();
        let unit = id(&format!("SE0000000000-{unit}"));
        let message = sample::complaint(&unit, "99", now);
        let reception = Reception {
            receiver: unit.clone(),
            receiver_name: "Testkliniken Exempelstad".to_owned(),
            county: "99".to_owned(),
            kind: RecipientKind::CareProvider,
            destination,
        };
        let case = message.case_id.clone();
        (case, self.accept(message, &unit, Some(reception)).await)
    }

    async fn supplement(&self, case: &Ii, text: &str) {
        let now = jiff::Timestamp::from_second(SystemClock.now().as_second()).unwrap();
        let message = sample::supplement(case, None, text, now);
        self.accept(message, &id("SE0000000000-VC2"), None).await;
    }

    async fn accept(
        &self,
        message: ProcessComplaint,
        to: &HsaId,
        reception: Option<Reception>,
    ) -> Accepted {
        let envelope = envelope("SE0000000000-1177", Some(original(&message, to)));
        let grounds = self.grounds(reception);
        self.cases.accept_complaint(message, to.clone(), envelope, grounds).await.unwrap()
    }

    /// A step of the handling by the region's system.
    async fn step(&self, case: &Ii, content: FromHandler) -> Accepted {
        let message = sample::handling(case, &id("SE0000000000-H1"), content, SystemClock.now());
        let envelope = envelope("SE0000000000-REGION", None);
        self.cases.accept_handling(message, envelope, self.grounds(None)).await.unwrap()
    }

    fn items(&self, case: &Ii, to: &str) -> Vec<Item> {
        let all = self.cases.items_of(case).unwrap_or_default();
        all.into_iter().filter(|item| item.to == to).collect()
    }

    /// Waits until the messages of `case` to `to` are in these states.
    async fn states(&self, case: &Ii, to: &str, states: &[&str]) -> Vec<Item> {
        let wait = async {
            loop {
                let items = self.items(case, to);
                if items.iter().map(|item| item.state.name()).eq(states.iter().copied()) {
                    return items;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("not {states:?} but {:?}", self.items(case, to)))
    }

    async fn decide(&self, item: &Item, decision: Decision) {
        self.cases.decide(item.id, decision, "kontrollerat".to_owned()).await.unwrap();
    }

    fn inbox(&self) -> Vec<InboxItem> {
        self.inkorg.messages()
    }

    fn headings(&self) -> Vec<String> {
        self.inbox().into_iter().filter_map(|item| item.heading).collect()
    }
}

fn own_system(receiver: &str) -> Destination {
    Destination::System {
        id: REGION.to_owned(),
        hsa_id: id("SE0000000000-REGION"),
        receiver: id(&format!("SE0000000000-{receiver}")),
    }
}

fn envelope(sender: &str, original: Option<Original>) -> Envelope {
    Envelope {
        sender: id(sender),
        original_consumer: None,
        on_behalf_of: None,
        correlation_id: "c-1".to_owned(),
        trace: String::new(),
        original,
        remarks: Vec::new(),
    }
}

/// The message as it comes over the wire.
fn original(message: &ProcessComplaint, to: &HsaId) -> Original {
    let outline = crate::rivta::process_complaint_v1::write(message, to);
    let mut reader = MessageReader::new(Some("text/xml; charset=utf-8")).unwrap();
    for part in outline.parts {
        let Piece::Text(text) = part else { panic!("no files here") };
        reader.push(text.as_bytes()).unwrap();
    }
    let (head, skeleton, _) = reader.finish().unwrap();
    Original::of(skeleton, &head, &[]).unwrap()
}
