//! A gateway and a tiny TAK, both real, over mutual TLS.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::*;
use crate::app::desk::RunningDesk;
use crate::app::{Running, start};
use crate::config::Config;
use crate::listen::{self, Connection, PeerState};
use crate::routing::live::LivePicture;
use crate::routing::picture::{Desk as _, Fetched};
use crate::tls;
use crate::tls::tests::Certificates;

/// What the TAK answers to its two questions: status and body.
type Says = [(u16, String); 2];

struct World {
    made: Certificates,
    says: Arc<Mutex<Says>>,
    calls: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    running: Option<Running>,
}

fn envelope(inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"{}\"><s:Body>{inner}</s:Body></s:Envelope>",
        soap::SOAP_11
    )
}

const DAYS: &str = "<fromTidpunkt>2024-02-01T00:00:00</fromTidpunkt>\
                    <tomTidpunkt>2124-02-01T00:00:00</tomTidpunkt>";

fn routes(units: &[&str]) -> (u16, String) {
    let row = |unit: &&str| {
        format!(
            "<virtualiseringsInfo><receiverId>SE0000000000-{unit}</receiverId><rivProfil>RIVTABP21\
             </rivProfil><tjansteKontrakt>urn:riv:x:YResponder:1</tjansteKontrakt>{DAYS}<adress>\
             https://localhost:9/{unit}</adress></virtualiseringsInfo>"
        )
    };
    let rows: String = units.iter().map(row).collect();
    let name = "hamtaAllaVirtualiseringarResponse";
    (200, envelope(&format!("<{name} xmlns=\"urn:skl:tp:vagvalsinfo:v2\">{rows}</{name}>")))
}

fn permissions(units: &[&str]) -> (u16, String) {
    let row = |unit: &&str| {
        format!(
            "<anropsBehorighetsInfo><receiverId>SE0000000000-{unit}</receiverId><senderId>\
             SE0000000000-REGION</senderId><tjansteKontrakt>urn:riv:x:YResponder:1\
             </tjansteKontrakt>{DAYS}</anropsBehorighetsInfo>"
        )
    };
    let rows: String = units.iter().map(row).collect();
    let name = "hamtaAllaAnropsBehorigheterResponse";
    (200, envelope(&format!("<{name} xmlns=\"urn:skl:tp:vagvalsinfo:v2\">{rows}</{name}>")))
}

fn both(units: &[&str]) -> Says {
    [routes(units), permissions(units)]
}

/// Starts the TAK; its port, and the way to stop it.
async fn tak(
    made: &Certificates,
    says: Arc<Mutex<Says>>,
    calls: Arc<Mutex<Vec<String>>>,
) -> (u16, CancellationToken) {
    let settings = tls::Settings::new(
        &made.path("region.crt"),
        &made.path("region.key"),
        &[made.path("ca.crt")],
    );
    let (listener, at) = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let service = move |connection: Arc<Connection>, request: Request<Incoming>| {
        let (says, calls) = (Arc::clone(&says), Arc::clone(&calls));
        async move {
            let PeerState::Known(peer) = connection.peer() else { panic!("not mutual TLS") };
            assert_eq!(request.headers()["soapaction"], "\"\"");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let asks = |name: &str| {
                body.contains(&format!("<{name} xmlns=\"urn:skl:tp:vagvalsinfo:v2\"/>"))
            };
            let which = [ROUTES, PERMISSIONS].into_iter().position(asks).unwrap();
            calls.lock().unwrap().push(format!("{} {which}", peer.hsa_id));
            let (status, text) = says.lock().unwrap()[which].clone();
            let mut response = Response::new(listen::full(text));
            *response.status_mut() = status.try_into().unwrap();
            response
        }
    };
    let stop = CancellationToken::new();
    let server = made.server(settings);
    let settings = listen::Settings::new("tak");
    tokio::spawn(listen::serve(listener, Some(server), settings, service, stop.clone()));
    (at.port(), stop)
}

impl World {
    /// A gateway whose TAK says `says` when it starts.
    async fn new(says: Says) -> Self {
        let made = Certificates::make();
        let (says, calls) = (Arc::new(Mutex::new(says)), Arc::<Mutex<Vec<String>>>::default());
        let (port, stop) = tak(&made, Arc::clone(&says), Arc::clone(&calls)).await;
        let world = Self { made, says, calls, stop, running: None };
        world.folder(port);
        let mut world = world;
        world.start().await;
        world
    }

    async fn start(&mut self) {
        let text = "[server]\nhttps = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[tls]\n\
                    certificate = \"gateway.crt\"\nkey = \"gateway.key\"\ntrust = [\"ca.crt\"]\n\
                    [store]\ndir = \"store\"\nmin_free_bytes = 1_048_576\n";
        let base = self.made.dir.path();
        let config = Config::parse("klagomal.toml", text, base).unwrap();
        let clock = Arc::new(self.made.clock.clone());
        self.running = Some(start(config, base.to_owned(), clock).await.unwrap());
    }

    async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    fn folder(&self, port: u16) {
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tak-config");
        for part in ["", "code-lists"] {
            fs::create_dir_all(self.file(part)).unwrap();
            for entry in fs::read_dir(from.join(part)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let name = path.file_name().unwrap();
                    fs::copy(&path, self.file(part).join(name)).unwrap();
                }
            }
        }
        let text = fs::read_to_string(self.file("platform.toml")).unwrap();
        let named = text.replace("[platform]\n", "[platform]\ntak = \"tak\"\ntak_every = \"1h\"\n");
        fs::write(self.file("platform.toml"), named).unwrap();
        let system = format!(
            "[[system]]\nid = \"tak\"\nhsa_id = \"SE0000000000-TAK\"\nname = \"TAK (test)\"\n\
             url = \"https://localhost:{port}/tak-services/SokVagvalsInfo/v2\"\n"
        );
        fs::write(self.file("tak.toml"), system).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.made.path("tak-config").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn parts(&self) -> Parts {
        self.running.as_ref().unwrap().parts.clone()
    }

    fn live(&self) -> LivePicture {
        self.parts().routing.live().unwrap()
    }

    fn generation(&self) -> String {
        self.parts().routing.get().table.generation().full().to_owned()
    }

    /// As `klagomal tak fetch`.
    async fn asked(&self) -> Result<Fetched, String> {
        self.asked_for(false).await
    }

    async fn asked_for(&self, accept_fewer: bool) -> Result<Fetched, String> {
        let desk = RunningDesk(self.parts());
        tokio::task::spawn_blocking(move || desk.fetch(accept_fewer)).await.unwrap()
    }

    /// As when it is due.
    async fn due(&self) -> Result<Vec<String>, FailureKind> {
        fetch(&self.parts(), By::Due).await.map(|it| it.wrote).map_err(|it| it.kind)
    }

    /// Waits for the fetch at the start.
    async fn begun(&self) {
        for _ in 0..600 {
            let live = self.live();
            if live.good + live.failed.values().sum::<u64>() > 0 && live.next.is_some() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing was fetched at the start: {:?}", self.live());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_fetch_comes_with_the_start_and_a_change_is_taken_into_use() {
    let mut world = World::new(both(&["A"])).await;
    let hand_written = world.text("routes.toml");
    world.begun().await;
    assert!(world.text("imported-routes.toml").contains("SE0000000000-A"));
    assert!(world.text("imported-permissions.toml").contains("SE0000000000-A"));
    assert_eq!(
        world.calls.lock().unwrap()[..2],
        ["SE0000000000-GATEWAY 0", "SE0000000000-GATEWAY 1"]
    );
    let first = world.generation();
    let live = world.live();
    assert!(!live.failing && live.last_good.is_some() && live.paused.is_none(), "{live:?}");
    let next = live.next.unwrap().duration_since(world.made.now()).as_secs();
    assert!((54 * 60..=66 * 60).contains(&next), "{next}");
    // The same again changes no file.
    assert_eq!(world.due().await, Ok(Vec::new()));
    assert_eq!(world.generation(), first);
    world.say(both(&["A", "B"]));
    let fetched = world.asked().await.unwrap();
    assert_eq!(fetched.wrote, ["imported-routes.toml", "imported-permissions.toml"]);
    assert_eq!((fetched.routes, fetched.permissions, fetched.left), (2, 2, 0));
    assert_eq!(fetched.change.before, first);
    assert_eq!((fetched.change.generation, fetched.change.refused), (world.generation(), None));
    assert_ne!(world.generation(), first);
    assert_eq!(world.text("routes.toml"), hand_written);
    let kept = world.parts().routing.picture(world.made.now()).kept;
    assert!(kept.iter().any(|it| it.generation == first), "what was fetched before is kept");
    // After a restart without a TAK, the last copy is in use.
    let last = world.generation();
    world.stop.cancel();
    world.stop().await;
    world.start().await;
    assert_eq!(world.generation(), last);
    assert!(world.live().last_good.is_some());
    world.begun().await;
    assert_eq!(world.live().last_failure.unwrap().kind, FailureKind::Unreachable);
    assert_eq!(world.generation(), last);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_changes_nothing_and_is_shown() {
    let mut world = World::new(both(&["A"])).await;
    world.begun().await;
    let (before, text) = (world.generation(), world.text("imported-routes.toml"));
    let fault = envelope(
        "<s:Fault><faultcode>s:Server</faultcode><faultstring>databasen sover</faultstring></s:Fault>",
    );
    let garbage = routes(&["A"]).1.replace("</virtualiseringsInfo>", "");
    let odd = routes(&["B"]).1.replace("urn:riv:x:YResponder:1", "");
    let twice = world.text("routes.toml");
    assert!(!twice.is_empty());
    let good = || permissions(&["B"]);
    let cases = [
        ([routes(&[]), good()], FailureKind::Empty, "virtualiseringsInfo"),
        ([routes(&["B"]), permissions(&[])], FailureKind::Empty, "anropsBehorighetsInfo"),
        ([(500, fault.clone()), good()], FailureKind::Fault, "databasen sover"),
        ([routes(&["B"]), (200, fault)], FailureKind::Fault, "databasen sover"),
        ([(200, garbage), good()], FailureKind::Unreadable, "XML"),
        ([(200, "<html/>".to_owned()), good()], FailureKind::Unreadable, "none of the formats"),
        ([(200, "{\"data\":{}}".to_owned()), good()], FailureKind::Unreadable, "is not XML"),
        ([(200, String::new()), good()], FailureKind::Unreadable, "is not XML"),
        ([routes(&["B"]), routes(&["B"])], FailureKind::Unreadable, "imported-permissions"),
        ([(200, odd), good()], FailureKind::Unreadable, "0 routes"),
        ([(503, "busy".to_owned()), good()], FailureKind::Http, "HTTP 503"),
        ([(302, routes(&["B"]).1), good()], FailureKind::Http, "HTTP 302"),
    ];
    for (at, (says, kind, why)) in cases.into_iter().enumerate() {
        world.say(says);
        assert_eq!(world.due().await, Err(kind), "{at}");
        let live = world.live();
        let failure = live.last_failure.unwrap();
        assert!(live.failing && failure.kind == kind, "{at}: {failure:?}");
        assert!(failure.why.contains(why), "{at}: {}", failure.why);
        assert_eq!(world.generation(), before, "{at}");
        assert_eq!(world.text("imported-routes.toml"), text, "{at}");
    }
    assert_eq!(world.live().failed[&FailureKind::Empty], 2);
    let status = crate::app::status::status(&world.parts());
    assert_eq!(status["routing"]["live"]["failed"]["http"], 2);
    let why = world.asked().await.unwrap_err();
    assert!(why.starts_with("nothing is fetched: ") && why.contains("HTTP 302"), "{why}");
    world.say(both(&["A"]));
    assert_eq!(world.due().await, Ok(Vec::new()));
    assert!(!world.live().failing);
    world.stop.cancel();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn far_fewer_rows_wait_for_a_person() {
    let mut world = World::new(both(&["A", "B", "C"])).await;
    world.begun().await;
    let (before, text) = (world.generation(), world.text("imported-permissions.toml"));
    let fewer = [both(&["A"]), [routes(&["A", "B", "C"]), permissions(&["B"])]];
    for says in fewer {
        world.say(says);
        assert_eq!(world.due().await, Err(FailureKind::Fewer));
        let why = world.asked().await.unwrap_err();
        assert!(why.contains("--accept-fewer"), "{why}");
        assert_eq!(
            (world.generation(), world.text("imported-permissions.toml")),
            (before.clone(), text.clone())
        );
    }
    let live = world.live();
    let why = live.last_failure.unwrap().why;
    assert!(
        live.failing
            && why.contains("3 routes where there were 3 and 1 permissions where there were 3"),
        "{why}"
    );
    let status = crate::app::status::status(&world.parts());
    assert_eq!(status["routing"]["live"]["failed"]["fewer"], 4);
    // Nothing at all is no answer, whatever was accepted.
    world.say([routes(&[]), permissions(&[])]);
    assert!(world.asked_for(true).await.is_err());
    world.say(both(&["A"]));
    let fetched = world.asked_for(true).await.unwrap();
    assert_eq!((fetched.routes, fetched.permissions), (1, 1));
    assert_ne!(world.generation(), before);
    // It was accepted once, and is now what is compared with; half of it or more needs nobody.
    assert!(!world.live().failing);
    world.say(both(&["A", "B"]));
    assert!(world.due().await.is_ok());
    world.say(both(&["B"]));
    assert!(world.due().await.is_ok());
    world.stop.cancel();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_failure_is_new_once_until_a_good_fetch() {
    let mut world = World::new(both(&["A"])).await;
    world.begun().await;
    let routing = world.parts().routing;
    let now = world.made.now();
    let failed = |kind| routing.fetch_failed(&NotFetched::new(kind, "why"), now);
    assert!(failed(FailureKind::Http) && failed(FailureKind::Empty));
    assert!(!failed(FailureKind::Http) && !failed(FailureKind::Empty));
    assert_eq!(world.due().await, Ok(Vec::new()));
    assert!(failed(FailureKind::Http));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_run_into_hand_written_ones_are_not_taken() {
    let mut world = World::new(both(&["A"])).await;
    world.begun().await;
    let own = "[[route]]\ncontract = \"urn:riv:x:YResponder:1\"\n\
               logical_address = \"SE0000000000-B\"\naddress = \"https://own.se/\"\n";
    fs::write(world.file("own.toml"), own).unwrap();
    let before = world.text("imported-routes.toml");
    world.say(both(&["A", "B"]));
    assert_eq!(world.due().await, Err(FailureKind::Unusable));
    let why = world.live().last_failure.unwrap().why;
    assert!(why.contains("two routes for urn:riv:x:YResponder:1"), "{why}");
    assert_eq!(world.text("imported-routes.toml"), before);
    assert_eq!(world.text("own.toml"), own);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rollback_nothing_is_fetched_until_somebody_says_so() {
    let mut world = World::new(both(&["A"])).await;
    world.begun().await;
    let (first, one) = (world.generation(), world.text("imported-routes.toml"));
    world.say(both(&["A", "B"]));
    world.asked().await.unwrap();
    let roll_back = |world: &World| {
        let (desk, to) = (RunningDesk(world.parts()), first.clone());
        tokio::task::spawn_blocking(move || desk.roll_back(&to))
    };
    roll_back(&world).await.unwrap().unwrap();
    assert_eq!(world.text("imported-routes.toml"), one);
    let asked = world.calls.lock().unwrap().len();
    assert_eq!(world.due().await, Err(FailureKind::Paused));
    assert_eq!(world.calls.lock().unwrap().len(), asked, "the TAK is not even asked");
    assert!(world.live().paused.unwrap().why.contains("rolled back"));
    // Also over a restart.
    world.stop().await;
    world.start().await;
    assert_eq!(world.due().await, Err(FailureKind::Paused));
    assert_eq!(world.generation(), first);
    // A reload lets it go on.
    let desk = RunningDesk(world.parts());
    tokio::task::spawn_blocking(move || desk.reload()).await.unwrap();
    assert!(world.live().paused.is_none());
    assert_eq!(world.due().await.unwrap().len(), 2);
    // And so does asking for a fetch.
    roll_back(&world).await.unwrap().unwrap();
    assert_eq!(world.due().await, Err(FailureKind::Paused));
    world.say([routes(&[]), permissions(&["A"])]);
    world.asked().await.unwrap_err();
    assert!(world.live().paused.is_some(), "a fetch that failed has not ended it");
    world.say(both(&["A", "B"]));
    assert_eq!(world.asked().await.unwrap().wrote.len(), 2);
    assert!(world.live().paused.is_none());
    // A rollback to what is not there pauses nothing.
    let desk = RunningDesk(world.parts());
    tokio::task::spawn_blocking(move || desk.roll_back("nosuch")).await.unwrap().unwrap_err();
    assert!(world.live().paused.is_none());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_edit_of_what_was_fetched_is_not_overwritten() {
    let mut world = World::new(both(&["A"])).await;
    world.begun().await;
    let edited = world.text("imported-routes.toml") + "# by hand\n";
    fs::write(world.file("imported-routes.toml"), &edited).unwrap();
    world.say(both(&["A", "B"]));
    assert_eq!(world.due().await, Err(FailureKind::Paused));
    assert!(world.live().paused.unwrap().why.contains("somebody has changed them"));
    assert_eq!(world.text("imported-routes.toml"), edited);
    world.asked().await.unwrap();
    assert_ne!(world.text("imported-routes.toml"), edited);
    // A rollback or an edit while a fetch is under way.
    let routing = world.parts().routing;
    let now = world.made.now();
    let answers = both(&["A"]).map(|(_, text)| Source { name: "x".to_owned(), text });
    let begun = routing.begin_fetch(By::Operator { accept_fewer: false }, now).unwrap();
    routing.pause("rolled back meanwhile", now);
    let kind = routing.take_over(&answers, &begun, now).unwrap_err().kind;
    assert_eq!(kind, FailureKind::Paused);
    let begun = routing.begin_fetch(By::Operator { accept_fewer: false }, now).unwrap();
    fs::write(world.file("imported-routes.toml"), &edited).unwrap();
    let kind = routing.take_over(&answers, &begun, now).unwrap_err().kind;
    assert_eq!(kind, FailureKind::Paused);
    assert_eq!(world.text("imported-routes.toml"), edited);
    world.stop().await;
}
