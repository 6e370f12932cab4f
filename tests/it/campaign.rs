//! Kills and power cuts at random moments under load: every promise that was made is kept.
//!
//! `KLAGOMAL_SCALE` multiplies the number of both; `KLAGOMAL_SEED` repeats a run's choices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Answer, Call, Connection, File, Keeps, Peer, Plan, Power, Random, Unit, VC1, VC2, World,
    case_id, certs, complaint, inbox_answer, program, region_answer, supplement,
};

const KILLS: usize = 50;
const CUTS: usize = 50;
const SENDERS: u64 = 4;
/// Each of this many kills is followed by damage to the views.
const DAMAGE_EVERY: usize = 8;
/// Cases of one sender at most this long, so that there are many.
const MESSAGES_PER_CASE: u64 = 6;

/// What an acknowledged message was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    number: String,
    case: String,
    received: String,
}

#[derive(Debug, Clone)]
pub struct Message {
    /// Its messageId, which also stands in its text.
    id: String,
    case: String,
    unit: Unit,
    pub body: Arc<str>,
    files: usize,
}

/// In the order of their acknowledgement, for each sender.
#[derive(Debug, Default)]
pub struct History {
    pub acknowledged: Vec<(Message, Receipt)>,
    /// First answers that were lost: the message was there when it was sent again.
    unheard: usize,
    resent: usize,
}

struct Load {
    door: RwLock<Option<SocketAddr>>,
    stop: AtomicBool,
    wrong: Mutex<Vec<String>>,
    acknowledged: AtomicUsize,
}

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

/// The receivers of a campaign, and what was seen of it.
struct Campaign {
    seed: u64,
    region: Peer,
    inkorg: Peer,
    random: Random,
}

impl Campaign {
    fn new() -> Self {
        let clock = u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs());
        let seed = number("KLAGOMAL_SEED", clock);
        eprintln!("KLAGOMAL_SEED={seed}");
        Self {
            seed,
            region: Peer::start(certs(), "region", region_answer),
            inkorg: Peer::start(certs(), "inkorg", inbox_answer),
            random: Random::new(seed),
        }
    }

    fn plan(&self) -> Plan {
        World::plan().region(self.region.address).inkorg(self.inkorg.address)
    }

    /// Senders send while `strike` kills the gateway and starts it, `strikes` times; every third time
    /// the receivers fall with it. What they were acknowledged.
    fn run(
        &mut self,
        world: &mut World,
        strikes: usize,
        strike: &mut dyn FnMut(usize, &mut World, &mut Random),
    ) -> Vec<History> {
        let load = Arc::new(Load {
            door: RwLock::new(Some(world.https)),
            stop: AtomicBool::new(false),
            wrong: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
        });
        let seed = self.seed;
        let senders: Vec<_> = (0..SENDERS)
            .map(|of| {
                let load = Arc::clone(&load);
                std::thread::spawn(move || send(&load, of, Random::new(seed ^ (of + 1))))
            })
            .collect();
        for at in 1..=strikes {
            std::thread::sleep(Duration::from_millis(20 + self.random.below(300)));
            if at.is_multiple_of(3) {
                self.region.falls();
                self.inkorg.falls();
            }
            *load.door.write().unwrap() = None;
            strike(at, world, &mut self.random);
            self.region.rises();
            self.inkorg.rises();
            *load.door.write().unwrap() = Some(world.https);
        }
        load.stop.store(true, Ordering::SeqCst);
        let histories: Vec<History> = senders.into_iter().map(|it| it.join().unwrap()).collect();
        let wrong = load.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
        histories
    }

    /// Holds everything that was seen against what the store and the receivers have.
    fn check(&self, world: &World, strikes: usize, histories: &[History]) {
        let held = settle(world);
        check_cases(world, histories, self.seed);
        check_relays(&self.region.calls(), histories, self.seed);
        check_letters(&self.inkorg.calls(), histories, &held, self.seed);
        let total: usize = histories.iter().map(|it| it.acknowledged.len()).sum();
        let unheard: usize = histories.iter().map(|it| it.unheard).sum();
        let resent: usize = histories.iter().map(|it| it.resent).sum();
        eprintln!(
            "{strikes} times, {total} acknowledged, {resent} sent again, {unheard} of them had \
             arrived; {} relays, {} calls to the inbox, {} outcomes unknown",
            self.region.count(),
            self.inkorg.count(),
            held.len()
        );
        assert!(total > strikes, "too little load to prove anything: {total}");
    }
}

pub fn times(of: usize) -> usize {
    of * usize::try_from(number("KLAGOMAL_SCALE", 1)).unwrap()
}

#[test]
fn fifty_kills_under_load_break_no_promise() {
    let mut campaign = Campaign::new();
    let mut world = campaign.plan().start();
    let seed = campaign.seed;
    let kills = times(KILLS);
    let histories = campaign.run(&mut world, kills, &mut |kill, world, random| {
        world.kill();
        world.start();
        if kill % DAMAGE_EVERY == 0 {
            let before = cases(world);
            world.kill();
            damage(&world.dir.join("store/views"), kill / DAMAGE_EVERY, random);
            world.start();
            assert_eq!(cases(world), before, "the rebuilt views differ (seed {seed}, kill {kill})");
        }
    });
    campaign.check(&world, kills, &histories);
}

#[test]
fn fifty_power_cuts_under_load_break_no_promise() {
    let mut campaign = Campaign::new();
    let (mut power, plan) = Power::under(campaign.plan(), false);
    let mut world = plan.start();
    let (cuts, mut lost) = (times(CUTS), 0);
    let histories = campaign.run(&mut world, cuts, &mut |cut, world, random| {
        let keeps = if cut % 2 == 0 { Keeps::Nothing } else { Keeps::Any };
        lost += power.cut(world, keeps, random);
        world.start();
    });
    eprintln!("{lost} writes were not on the disk");
    assert!(lost > cuts, "cuts that lose nothing prove nothing: {lost}");
    campaign.check(&world, cuts, &histories);
}

/// The campaign is checked: where a disk lies about its syncs, a cut loses what was acknowledged.
#[test]
fn a_disk_that_lies_is_found_out_by_a_power_cut() {
    let mut random = Random::new(4711);
    let (mut power, plan) = Power::under(World::plan(), true);
    let mut world = plan.start();
    let message = make(&case_id("lies"), VC1, 0, &mut random);
    let portal = World::caller("1177");
    let answer = portal.post(world.https, message.body.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK");
    power.cut(&mut world, Keeps::Nothing, &mut random);
    world.start();
    assert_eq!(cases(&world), serde_json::json!([]), "it was acknowledged, and is gone");
}

/// A disk that stands still costs waiting, and neither an error nor memory.
#[test]
fn a_disk_that_stalls_for_two_seconds_costs_waiting_alone() {
    let (power, plan) = Power::under(World::plan(), false);
    let world = plan.start();
    let mut random = Random::new(4712);
    let messages: Vec<Message> =
        (0..200).map(|at| make(&case_id(&format!("stall-{at}")), VC1, 0, &mut random)).collect();
    let before = world.resident();
    power.stalls();
    let start = std::time::Instant::now();
    let outcomes: Vec<String> = std::thread::scope(|scope| {
        let sending: Vec<_> = messages
            .chunks(5)
            .map(|some| {
                let door = world.https;
                scope.spawn(move || {
                    let mut connection = World::caller("1177").connect(door).unwrap();
                    let mut send =
                        |it: &Message| connection.post(it.body.as_bytes()).unwrap().outcome();
                    some.iter().map(&mut send).collect::<Vec<_>>()
                })
            })
            .collect();
        std::thread::sleep(Duration::from_secs(2));
        power.goes_on();
        sending.into_iter().flat_map(|it| it.join().unwrap()).collect()
    });
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(outcomes.iter().all(|it| it == "OK"), "{outcomes:?}");
    let more = world.resident().saturating_sub(before);
    assert!(more < 64 * 1024 * 1024, "{more} bytes more");
}

/// One sender: its cases one after another, each message until it is acknowledged.
fn send(load: &Load, of: u64, mut random: Random) -> History {
    let mut history = History::default();
    let mut connection = None;
    let mut number = 0;
    while !load.stop.load(Ordering::SeqCst) {
        number += 1;
        let case = case_id(&format!("{of}-{number}"));
        let unit = if random.below(2) == 0 { VC1 } else { VC2 };
        for at in 0..=random.below(MESSAGES_PER_CASE) {
            let message = make(&case, unit, at, &mut random);
            deliver(load, &mut connection, message, &mut history);
            if random.below(5) == 0 {
                again(load, &mut connection, &mut random, &history);
            }
            if load.stop.load(Ordering::SeqCst) {
                break;
            }
        }
    }
    history
}

pub fn make(case: &str, unit: Unit, at: u64, random: &mut Random) -> Message {
    let id = random.uuid();
    let mut files = Vec::new();
    if random.below(4) == 0 {
        let bytes = 100 + random.below(60_000);
        files.push(File::pdf("fil.pdf", usize::try_from(bytes).unwrap(), random.next()));
    }
    let text = format!("Meddelande [{id}].");
    let body = if at == 0 {
        complaint(unit, &id, case, &text, &files)
    } else {
        supplement(unit, &id, case, &text, &files)
    };
    Message { id, case: case.to_owned(), unit, body: body.into(), files: files.len() }
}

/// Sends a message until it is acknowledged, over any number of deaths of the gateway.
fn deliver(
    load: &Load,
    connection: &mut Option<Connection>,
    message: Message,
    history: &mut History,
) {
    let mut tries = 0;
    loop {
        tries += 1;
        if let Ok((outcome, receipt)) = post(load, connection, &message.body) {
            match outcome.as_str() {
                "OK" => {}
                "INFO ALREADY_RECEIVED" if tries > 1 => history.unheard += 1,
                // Nothing was accepted, says the fault: again.
                other if other.contains("VP012") => continue,
                other => {
                    load.wrong
                        .lock()
                        .unwrap()
                        .push(format!("{}, try {tries}: {other}", message.id));
                    return;
                }
            }
            history.resent += usize::from(tries > 1);
            history.acknowledged.push((message, receipt));
            load.acknowledged.fetch_add(1, Ordering::SeqCst);
            return;
        }
        *connection = None;
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One of the acknowledged messages once more: the first answer comes back.
fn again(load: &Load, connection: &mut Option<Connection>, random: &mut Random, history: &History) {
    let at = random.below(u64::try_from(history.acknowledged.len()).unwrap());
    let (message, receipt) = &history.acknowledged[usize::try_from(at).unwrap()];
    match post(load, connection, &message.body) {
        Ok((outcome, _)) if outcome.contains("VP012") => {}
        Ok((outcome, found)) => {
            if outcome != "INFO ALREADY_RECEIVED" || found != *receipt {
                let told = format!("{}: {outcome} {found:?}, first {receipt:?}", message.id);
                load.wrong.lock().unwrap().push(told);
            }
        }
        Err(_) => *connection = None,
    }
}

fn post(
    load: &Load,
    connection: &mut Option<Connection>,
    body: &str,
) -> io::Result<(String, Receipt)> {
    let open = match connection {
        Some(open) => open,
        None => {
            let door = *load.door.read().unwrap();
            let door = door.ok_or_else(|| io::Error::other("it is dead"))?;
            connection.insert(World::caller("1177").connect(door)?)
        }
    };
    let answer = open.post(body.as_bytes())?;
    Ok((answer.outcome(), Receipt::of(&answer)))
}

impl Receipt {
    pub fn of(answer: &Answer) -> Self {
        let value = |name| answer.value(name).unwrap_or_default();
        Self {
            number: value("registrationNumber"),
            case: value("extension"),
            received: value("receivedTime"),
        }
    }
}

/// What the views say, without what delivery moves.
fn cases(world: &World) -> Value {
    world.json("/cases?limit=10000")
}

fn damage(views: &Path, how: usize, random: &mut Random) {
    if how.is_multiple_of(3) {
        return fs::remove_dir_all(views).unwrap();
    }
    let file = views.join("db");
    let mut bytes = fs::read(&file).unwrap();
    if how % 3 == 1 {
        bytes.truncate(bytes.len() / 2);
    } else {
        for _ in 0..64 {
            let at = usize::try_from(random.below(u64::try_from(bytes.len()).unwrap())).unwrap();
            bytes[at] ^= 0xa5;
        }
    }
    fs::write(&file, bytes).unwrap();
}

/// Lets everything go out; what nobody knows of is sent once more by a person. The registration
/// numbers of those letters.
pub fn settle(world: &World) -> Vec<String> {
    let mut held = Vec::new();
    loop {
        world.wait_delivered_or_held(Duration::from_secs(120));
        let stuck = world.json("/outbox?limit=10000");
        let stuck = stuck.as_array().unwrap();
        if stuck.is_empty() {
            return held;
        }
        for item in stuck {
            assert_eq!(item["state"]["state"], "unknown", "{item}");
            assert_eq!(item["to"], "inkorg", "a region knows a message by its id: {item}");
            held.push(item["number"].as_str().unwrap().to_owned());
            let id = format!("{}.{}", item["id"]["seq"], item["id"]["n"]);
            let body = serde_json::json!({ "decision": "retry", "reason": "prov" });
            let (status, text) = world.admin_post(&format!("/outbox/{id}"), &body);
            assert_eq!(status, 200, "{text}");
        }
    }
}

/// Every acknowledged message is in its case once, in the order of the acknowledgements, whole; and
/// nothing else is.
pub fn check_cases(world: &World, histories: &[History], seed: u64) {
    let mut wanted: BTreeMap<&str, Vec<&Message>> = BTreeMap::new();
    let mut number_of: BTreeMap<&str, &str> = BTreeMap::new();
    for (message, receipt) in histories.iter().flat_map(|it| &it.acknowledged) {
        assert_eq!(receipt.case, message.case, "seed {seed}");
        let known = number_of.entry(&message.case).or_insert(&receipt.number);
        assert_eq!(*known, receipt.number, "a case has one number (seed {seed})");
        wanted.entry(&receipt.number).or_default().push(message);
    }
    assert_eq!(wanted.len(), number_of.len(), "a number has one case (seed {seed})");
    let listed: BTreeSet<String> = cases(world)
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["number"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, wanted.keys().map(|it| (*it).to_owned()).collect(), "seed {seed}");
    let mut files = 0;
    for (number, messages) in wanted {
        let case = world.json(&format!("/cases/{number}"));
        let mut found = Vec::new();
        for row in case["events"].as_array().unwrap() {
            let event = &row["event"];
            let content = match event["kind"].as_str().unwrap() {
                "opened" => &event["complaint"],
                "supplemented" => &event["supplement"],
                _ => continue,
            };
            let text = content["description"].as_str().or(content["text"].as_str()).unwrap();
            let id = text.split(['[', ']']).nth(1).unwrap().to_owned();
            let count = content["attachments"].as_array().unwrap().len();
            files += count;
            found.push((id, count));
        }
        let messages: Vec<_> = messages.iter().map(|it| (it.id.clone(), it.files)).collect();
        assert_eq!(found, messages, "case {number}, seed {seed}");
    }
    check_files(world, files, seed);
}

/// Every file that a record names is there and whole, each on its own.
fn check_files(world: &World, files: usize, seed: u64) {
    let store = world.store().display().to_string();
    let audit = ["audit", "verify", &store, "--anyway", "--json"];
    let report = Command::new(program()).args(audit).output().unwrap().stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["damage"], serde_json::json!([]), "seed {seed}");
    assert_eq!(report["files"], files, "seed {seed}");
}

/// The region has every message of its cases, in order; it tells a repeat by the messageId.
pub fn check_relays(calls: &[Call], histories: &[History], seed: u64) {
    let mut came: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for call in calls {
        let payload = call.payload();
        let id = payload.at("messageId/root").unwrap().text.clone();
        let case = payload.at("caseId/extension").unwrap().text.clone();
        let body = payload.document();
        if let Some(first) = bodies.get(&id) {
            assert_eq!(*first, body, "a repeat is the same message (seed {seed})");
        } else {
            came.entry(case).or_default().push(id.clone());
            bodies.insert(id, body);
        }
    }
    let mut owed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (message, _) in histories.iter().flat_map(|it| &it.acknowledged) {
        if message.unit == VC2 {
            owed.entry(message.case.clone()).or_default().push(message.id.clone());
            let sent = crate::support::Node::parse(message.body.as_bytes()).payload().document();
            assert_eq!(bodies.get(&message.id), Some(&sent), "what came is what was sent on");
        }
    }
    assert_eq!(came, owed, "seed {seed}");
}

/// A letter for each new case, and never a second without an unknown outcome in between.
pub fn check_letters(calls: &[Call], histories: &[History], held: &[String], seed: u64) {
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for number in held {
        *unknown.entry(number.clone()).or_default() += 1;
    }
    let letters: Vec<String> = calls
        .iter()
        .map(Call::payload)
        .filter(|payload| payload.name == "AddMessageToPatientPortalInbox")
        .map(|payload| payload.all_text())
        .collect();
    let numbers: BTreeSet<&String> =
        histories.iter().flat_map(|it| &it.acknowledged).map(|(_, it)| &it.number).collect();
    for number in numbers {
        let came = letters.iter().filter(|text| text.contains(number.as_str())).count();
        let most = 1 + unknown.get(number).copied().unwrap_or(0);
        assert!(
            (1..=most).contains(&came),
            "{number}: {came} letters, at most {most} (seed {seed})"
        );
    }
}
