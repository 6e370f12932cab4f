//! Reloads and hand-overs to a new process under load: not one call of a well-behaved caller fails.
//!
//! `KLAGOMAL_SCALE` multiplies the number of both; `KLAGOMAL_SEED` repeats a run's choices.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::campaign::{self, History, Receipt};
use crate::support::{
    Act, Answer, Call, Connection, Peer, Random, VC1, VC2, World, case_id, certs, complaint,
    inbox_answer, region_answer,
};

const RELOADS: usize = 40;
const RESTARTS: usize = 4;

/// A contract that is passed on, and how its message and its answer look.
const PASSED_ON: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
     xmlns:r=\"urn:riv:itintegration:registry:1\"><s:Header>\
     <r:LogicalAddress>SE0000000000-VC2</r:LogicalAddress></s:Header><s:Body>\
     <q:GetCareDocumentation xmlns:q=\"urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2\">\
     SPEED</q:GetCareDocumentation></s:Body></s:Envelope>";
const PASSED_BACK: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
     <GetCareDocumentationResponse>passed back</GetCareDocumentationResponse></s:Body></s:Envelope>";

/// Longer than a hand-over without load takes.
const SLOW: Duration = Duration::from_secs(4);

fn producer(call: &Call) -> Act {
    if !call.says("GetCareDocumentation") {
        return region_answer(call);
    }
    if call.says("slow") {
        std::thread::sleep(SLOW);
    }
    Act::Answer(200, PASSED_BACK.to_owned())
}

fn question(speed: &str) -> String {
    PASSED_ON.replace("SPEED", speed)
}

/// What all callers share.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    calls: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

/// How a caller of the load behaves: whom it is, and how it uses its connections.
#[derive(Debug, Clone, Copy)]
struct Habit {
    name: &'static str,
    /// A connection for each call.
    anew: bool,
    /// Waits at most this long between two calls.
    thinks: u64,
}

/// A caller that behaves: it leaves a connection whose answer says so, and nothing else.
struct Steady<'a> {
    load: &'a Load,
    habit: Habit,
    door: SocketAddr,
    open: Option<Connection>,
    random: Random,
}

impl Steady<'_> {
    fn call(&mut self, message: &str) -> Option<Answer> {
        let think = self.random.below(self.habit.thinks);
        std::thread::sleep(Duration::from_millis(think));
        let answered = match self.open.take() {
            Some(open) => Ok(open),
            None => World::caller(self.habit.name).connect(self.door),
        }
        .and_then(|mut open| open.post(message.as_bytes()).map(|answer| (open, answer)));
        match answered {
            Ok((open, answer)) => {
                let last = answer.header("connection").is_some_and(|it| it == "close");
                self.open = Some(open).filter(|_| !last && !self.habit.anew);
                self.load.calls.fetch_add(1, Ordering::SeqCst);
                Some(answer)
            }
            Err(error) => {
                self.wrong(format!("no answer: {error}"));
                None
            }
        }
    }

    fn wrong(&self, what: String) {
        self.load.wrong.lock().unwrap().push(format!("{:?}: {what}", self.habit));
    }

    fn goes_on(&self) -> bool {
        !self.load.stop.load(Ordering::SeqCst)
    }

    fn complains(mut self, of: u64) -> History {
        let mut history = History::default();
        for number in 0.. {
            if !self.goes_on() {
                break;
            }
            let case = case_id(&format!("{of}-{number}"));
            let unit = if self.random.below(4) == 0 { VC2 } else { VC1 };
            let message = campaign::make(&case, unit, 0, &mut self.random);
            let body = Arc::clone(&message.body);
            let Some(answer) = self.call(&body) else { continue };
            if answer.outcome() == "OK" {
                history.acknowledged.push((message, Receipt::of(&answer)));
            } else {
                self.wrong(answer.outcome());
            }
        }
        history
    }

    fn asks(mut self, speed: &str) -> History {
        let message = question(speed);
        while self.goes_on() {
            if let Some(answer) = self.call(&message)
                && !answer.text().contains("passed back")
            {
                self.wrong(answer.text());
            }
        }
        History::default()
    }
}

/// Callers of every habit, until the load is to stop.
fn callers(load: &Arc<Load>, door: SocketAddr, seed: u64) -> Vec<std::thread::JoinHandle<History>> {
    let kept = |name, thinks| Habit { name, anew: false, thinks };
    let anew = |name, thinks| Habit { name, anew: true, thinks };
    let habits = [
        (kept("1177", 150), None),
        (kept("1177", 150), None),
        (kept("1177", 700), None),
        (anew("1177", 300), None),
        (kept("region", 20), Some("quick")),
        (kept("region", 20), Some("quick")),
        (kept("region", 700), Some("quick")),
        (anew("region", 40), Some("quick")),
        (kept("region", 20), Some("slow")),
    ];
    let start = |(of, (habit, speed)): (u64, (Habit, Option<&'static str>))| {
        let load = Arc::clone(load);
        std::thread::spawn(move || {
            let random = Random::new(seed ^ (of + 1));
            let caller = Steady { load: &load, habit, door, open: None, random };
            match speed {
                Some(speed) => caller.asks(speed),
                None => caller.complains(of),
            }
        })
    };
    (0..).zip(habits).map(start).collect()
}

/// Puts a file in the place of another at once, as a careful operator does.
fn replace(path: &Path, content: &[u8]) {
    let aside = path.with_extension("new");
    fs::write(&aside, content).unwrap();
    fs::rename(&aside, path).unwrap();
}

/// Another certificate and another routing configuration in force, seen from outside.
fn reload(world: &World, number: usize) {
    let name = if number.is_multiple_of(2) { "inkorg" } else { "gateway" };
    for end in ["crt", "key"] {
        let content = fs::read(certs().join(format!("{name}.{end}"))).unwrap();
        replace(&world.dir.join(format!("certs/gateway.{end}")), &content);
    }
    let permission = format!(
        "[[permission]]\nconsumer = \"SE0000000000-INKORG\"\n\
         contract = \"urn:riv:itintegration:monitoring:PingForConfigurationResponder:1\"\n\
         logical_address = \"SE0000000000-TEST{number}\"\n"
    );
    let generation = || world.json("/status")["routing"]["generation"].clone();
    let before = generation();
    replace(&world.dir.join("tak-config/test-only.toml"), permission.as_bytes());
    let (status, told) = world.admin_post("/reload", &serde_json::json!({}));
    assert_eq!(status, 200, "{told}");
    assert!(!told.contains("the old one goes on"), "{told}");
    assert_ne!(generation(), before, "{told}");
    let mut caller = World::caller("1177").connect(world.https).unwrap();
    caller.shake_hands().unwrap();
    let wanted = crate::support::certificate(name);
    assert_eq!(caller.server_certificate(), wanted, "reload {number}: {told}");
}

#[test]
fn reloads_and_hand_overs_under_load_fail_no_call() {
    let clock = u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs());
    let seed = campaign::number("KLAGOMAL_SEED", clock);
    eprintln!("KLAGOMAL_SEED={seed}");
    let scale = usize::try_from(campaign::number("KLAGOMAL_SCALE", 1)).unwrap();
    let (reloads, restarts) = (RELOADS * scale, RESTARTS * scale);
    let region = Peer::start(certs(), "region", producer);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let mut world = World::plan().region(region.address).inkorg(inkorg.address).start();
    let (load, door) = (Arc::<Load>::default(), world.https);
    let start = Instant::now();
    let callers = callers(&load, door, seed);
    let mut longest = Duration::ZERO;
    for number in 0..reloads {
        reload(&world, number);
        if (number + 1) % (reloads / restarts) == 0 {
            let begun = Instant::now();
            let old = world.take_over().expect("the new one starts");
            longest = longest.max(begun.elapsed());
            assert_eq!(world.https, door, "the socket is the same");
            let end = old.ended(SLOW * 5);
            assert!(end.success(), "{end}");
        }
    }
    let took = start.elapsed();
    load.stop.store(true, Ordering::SeqCst);
    let histories: Vec<History> = callers.into_iter().map(|it| it.join().unwrap()).collect();
    let wrong = load.wrong.lock().unwrap().clone();
    assert!(wrong.is_empty(), "seed {seed}: {} failed, {wrong:#?}", wrong.len());
    let held = campaign::settle(&world);
    assert_eq!(held, Vec::<String>::new(), "no delivery was cut off");
    campaign::check_cases(&world, &histories, seed);
    let relays: Vec<Call> =
        region.calls().into_iter().filter(|call| !call.says("GetCareDocumentation")).collect();
    campaign::check_relays(&relays, &histories, seed);
    campaign::check_letters(&inkorg.calls(), &histories, &held, seed);
    let cases: usize = histories.iter().map(|it| it.acknowledged.len()).sum();
    let calls = load.calls.load(Ordering::SeqCst);
    eprintln!(
        "{reloads} reloads and {restarts} hand-overs in {took:?}: {calls} calls, {cases} of them \
         complaints, none failed; the longest hand-over took {longest:?}"
    );
    assert!(calls > reloads * 10, "too little load to prove anything: {calls}");
}

#[test]
fn a_new_process_that_cannot_start_leaves_the_old_one_untouched() {
    let mut world = World::plan().start();
    let mut open = World::caller("1177").connect(world.https).unwrap();
    let message = |n: u32| {
        let id = format!("5b1c3a52-61f2-4a44-8f07-{n:012}");
        complaint(VC1, &id, &case_id(&format!("u-{n}")), "Byte.", &[])
    };
    let units = world.dir.join("tak-config/units.toml");
    let good = fs::read_to_string(&units).unwrap();
    fs::write(&units, good.replacen("method = \"store\"", "method = \"stor\"", 1)).unwrap();
    let before = world.pid();
    assert_eq!(world.take_over().unwrap_err().code(), Some(1));
    assert!(world.wait_log(0, "\"stor\"").contains("units.toml"));
    assert_eq!(world.pid(), before);
    let answer = open.post(message(1).as_bytes()).unwrap();
    assert_eq!((answer.outcome().as_str(), answer.header("connection")), ("OK", None));
    // Mended, it goes through.
    fs::write(&units, good).unwrap();
    let old = world.take_over().unwrap();
    assert!(old.ended(Duration::from_secs(20)).success());
    assert!(open.is_closed_within(Duration::from_secs(5)), "it was quiet");
    let answer = World::caller("1177").post(world.https, message(1).as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "INFO ALREADY_RECEIVED");
}

#[test]
fn a_new_process_that_dies_on_the_way_gives_everything_back() {
    let world = World::plan().start();
    let message =
        complaint(VC1, "6b1c3a52-61f2-4a44-8f07-000000000001", &case_id("d"), "Byte.", &[]);
    let mut open = World::caller("1177").connect(world.https).unwrap();
    assert_eq!(open.post(message.as_bytes()).unwrap().outcome(), "OK");
    let path = world.dir.join("store/hand-over");
    for (word, told) in [
        ("go\n", "a hand-over came to nothing"),
        ("take-over 2\n", "a hand-over came to nothing"),
        ("take-over 1\n", "the other process did not come up"),
    ] {
        let from = world.log().len();
        let mut new = UnixStream::connect(&path).unwrap();
        new.write_all(word.as_bytes()).unwrap();
        if word == "take-over 1\n" {
            assert!(new.read(&mut [0; 4096]).unwrap() > 0);
            new.write_all(b"go\n").unwrap();
            // Until the store is closed it waits; then it is gone.
            let mut free = [0; 5];
            new.read_exact(&mut free).unwrap();
            assert_eq!(&free, b"free\n");
        }
        drop(new);
        world.wait_log(from, told);
        let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "INFO ALREADY_RECEIVED", "{word}");
    }
    // And it can be taken over all the same.
    let mut world = world;
    let old = world.take_over().unwrap();
    assert!(old.ended(Duration::from_secs(20)).success());
    let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "INFO ALREADY_RECEIVED");
}

#[test]
fn where_no_gateway_runs_there_is_nothing_to_take_over() {
    let mut world = World::plan().start();
    world.kill();
    // What it left lies there, and nobody listens.
    assert!(world.dir.join("store/hand-over").exists());
    world.start_with(&["--take-over"]);
    world.wait_log(0, "no gateway runs with this store");
    let mode = fs::metadata(world.dir.join("store/hand-over")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let (end, _) = world.stop();
    assert!(end.success());
    assert!(!world.dir.join("store/hand-over").exists(), "a stop takes it away");
}
