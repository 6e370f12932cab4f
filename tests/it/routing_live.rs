//! Routing of a running gateway: what `tak explain` tells is what its calls meet, and no bad change
//! of its folder takes or stops it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use klagomal::clock;
use klagomal::id::{Contract, HsaId};
use klagomal::routing;
use klagomal::tak::{Destination, Profile, Question};

use crate::support::{Act, Peer, Random, World, certs};

/// Calls over real TLS, each explained. The days around today are what rows differ by.
const CALLS: usize = 400;

const CONTRACTS: [&str; 3] = [
    "urn:riv:prov:OneResponder:1",
    "urn:riv:prov:TwoResponder:1",
    "urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintHandlingResponder:1",
];
const ADDRESSES: [&str; 5] = ["SE0000000000-A", "SE0000000000-B", "SE0000000000-C", "*", "SE"];
/// What every table has a route and a permission for, one to each producer.
const SURE: [&str; 2] = ["SE0000000000-SURE-A", "SE0000000000-SURE-B"];
const CALLERS: [&str; 3] = ["1177", "region", "obehorig"];

fn hsa_id(caller: &str) -> String {
    format!("SE0000000000-{}", caller.to_ascii_uppercase())
}

/// Rows that hold today, whatever the seed.
fn sure_rows(ports: [u16; 2]) -> String {
    let mut text = String::new();
    for (address, port) in SURE.into_iter().zip(ports) {
        writeln!(
            text,
            "[[route]]\ncontract = \"{contract}\"\nlogical_address = \"{address}\"\n\
             address = \"https://localhost:{port}/prov\"\nprofile = \"rivtabp21\"\n\
             [[permission]]\nconsumer = \"{caller}\"\ncontract = \"{contract}\"\n\
             logical_address = \"{address}\"",
            contract = CONTRACTS[0],
            caller = hsa_id(CALLERS[0]),
        )
        .unwrap();
    }
    text
}

/// Rows of which some hold today, some no longer and some not yet.
fn rows(random: &mut Random, today: Date, ports: [u16; 2]) -> String {
    let mut text = sure_rows(ports);
    let mut pick = |most: usize| usize::try_from(random.below(most as u64)).unwrap();
    let day = |days: usize| today.checked_add(i64::try_from(days).unwrap().days()).unwrap();
    for contract in &CONTRACTS[..2] {
        for address in ADDRESSES {
            // One route until yesterday, one from today or from tomorrow on; or none at all.
            for (from, to) in [(None, Some(-1i64)), (Some(day(pick(2))), None)] {
                if pick(3) == 0 {
                    continue;
                }
                let profile = ["rivtabp20", "rivtabp21"][pick(2)];
                writeln!(
                    text,
                    "[[route]]\ncontract = \"{contract}\"\nlogical_address = \"{address}\"\n\
                     address = \"https://localhost:{}/prov\"\nprofile = \"{profile}\"",
                    ports[pick(2)]
                )
                .unwrap();
                from.iter().for_each(|it| writeln!(text, "from = {it}").unwrap());
                let to = to.map(|it| today.checked_add(it.days()).unwrap());
                to.iter().for_each(|it| writeln!(text, "to = {it}").unwrap());
            }
            for caller in &CALLERS[..2] {
                let ends = [day(0), today.yesterday().unwrap()][pick(2)];
                if pick(2) == 0 {
                    writeln!(
                        text,
                        "[[permission]]\nconsumer = \"{}\"\ncontract = \"{contract}\"\n\
                         logical_address = \"{address}\"\nto = {ends}",
                        hsa_id(caller)
                    )
                    .unwrap();
                }
            }
        }
    }
    text
}

fn message(contract: &str, address: &str, profile: Profile) -> String {
    let (space, name) = match profile {
        Profile::Rivtabp21 => ("urn:riv:itintegration:registry:1", "LogicalAddress"),
        Profile::Rivtabp20 => ("http://www.w3.org/2005/08/addressing", "To"),
    };
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header><a:{name} \
         xmlns:a=\"{space}\">{address}</a:{name}></s:Header><s:Body><Do xmlns=\"{contract}\"/>\
         </s:Body></s:Envelope>"
    )
}

fn producer(name: &'static str) -> Peer {
    Peer::start(certs(), "region", move |_| {
        Act::Answer(
            200,
            format!(
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
             <from>{name}</from></s:Body></s:Envelope>"
            ),
        )
    })
}

#[test]
fn what_explain_tells_is_what_the_call_meets() {
    let seed = std::env::var("KLAGOMAL_SEED").ok().and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| Timestamp::now().as_second().unsigned_abs());
    eprintln!("KLAGOMAL_SEED={seed}");
    let mut random = Random::new(seed);
    let producers = [producer("PRODUCER-A"), producer("PRODUCER-B")];
    let ports = [0, 1].map(|at: usize| producers[at].address.port());
    let today = clock::swedish_day(Timestamp::now());
    let world = World::plan().routing(&rows(&mut random, today, ports)).start();
    let reading = routing::read(&world.dir.join("tak-config"), Timestamp::now()).unwrap();
    let table = reading.routing.expect("a good folder").table;
    let generation = world.json("/status")["routing"]["generation"].clone();
    assert!(generation.as_str().unwrap().starts_with(&table.generation().to_string()));

    let callers = CALLERS.map(World::caller);
    let mut met = std::collections::BTreeMap::<String, usize>::new();
    for at in 0..CALLS {
        let mut pick = |most: usize| usize::try_from(random.below(most as u64)).unwrap();
        let mut who = pick(CALLERS.len());
        // Seldom a contract of the gateway's own.
        let mut contract = CONTRACTS[[0, 0, 1, 1, 2][pick(5)]];
        let mut address = ADDRESSES[pick(ADDRESSES.len())].to_owned();
        match pick(6) {
            0 => address = format!("{address}#{}", ADDRESSES[pick(ADDRESSES.len())]),
            1 => address = address.to_lowercase(),
            2 => address = "SE0000000000-UNKNOWN".to_owned(),
            3 => (who, contract, address) = (0, CONTRACTS[0], SURE[pick(2)].to_owned()),
            _ => {}
        }
        let profile = [Profile::Rivtabp20, Profile::Rivtabp21][pick(2)];
        let told = table.explain(&Question {
            caller: &HsaId::parse(&hsa_id(CALLERS[who])).unwrap(),
            contract: &Contract(contract.to_owned()),
            address: &address,
            profile,
            at: Timestamp::now(),
        });
        let answer = callers[who]
            .post(world.https, message(contract, &address, profile).as_bytes())
            .unwrap()
            .text();
        let what = match &told.decision.outcome {
            Err(denial) => denial.code(),
            Ok(Destination::Forward { url, .. }) if url.contains(&ports[0].to_string()) => {
                "PRODUCER-A"
            }
            Ok(Destination::Forward { .. }) => "PRODUCER-B",
            Ok(other) => panic!("{other:?}"),
        };
        let case = format!(
            "seed {seed}, call {at}: {} {contract} {address} {profile}\n{told}\n{answer}",
            CALLERS[who]
        );
        assert!(answer.contains(what), "{case}");
        let said = match what {
            "PRODUCER-A" => format!("localhost:{}", ports[0]),
            "PRODUCER-B" => format!("localhost:{}", ports[1]),
            code => format!("REFUSED, {code}"),
        };
        assert!(told.answer[0].contains(&said), "{case}");
        *met.entry(what.to_owned()).or_default() += 1;
    }
    let passed = producers.iter().map(Peer::count).sum::<usize>();
    assert_eq!(passed, met["PRODUCER-A"] + met["PRODUCER-B"], "{met:?}");
    for what in ["PRODUCER-A", "PRODUCER-B", "VP004", "VP007"] {
        assert!(met.get(what).is_some_and(|it| *it >= 5), "seed {seed}: {met:?}");
    }
}

/// A change of the folder, by its name, and what must be told of it: the place, and why.
type Change = (&'static str, fn(&Path), &'static str);

fn add(folder: &Path, text: &str) {
    fs::write(folder.join("bad.toml"), text).unwrap();
}

fn unit(rows: &str) -> String {
    format!(
        "[[unit]]\nhsa_id = \"SE0000000000-NEW\"\nname = \"Ny\"\ncounty = \"99\"\n\
         care_provider = \"SE0000000000-VG1\"\nmailbox = \"ny@example.se\"\n{rows}"
    )
}

const BAD: [Change; 12] = [
    (
        "bytes that are no text",
        |it| fs::write(it.join("bad.toml"), b"# \xff\xfe\x00\n").unwrap(),
        "bad.toml:1:3: byte 0xff is not text",
    ),
    (
        "a file half written",
        |it| {
            let whole = fs::read_to_string(it.join("units.toml")).unwrap();
            let at = whole.rfind("[[unit.handling]]").unwrap() + "[[unit.han".len();
            fs::write(it.join("units.toml"), &whole[..at]).unwrap();
        },
        "units.toml:",
    ),
    (
        "a file that others need is gone",
        |it| fs::remove_file(it.join("systems.toml")).unwrap(),
        "names system \"inkorg\", which is not there",
    ),
    (
        "a link out of the folder",
        |it| symlink(it.join("../klagomal.toml"), it.join("bad.toml")).unwrap(),
        "bad.toml:1:1: the link leads out of the folder",
    ),
    (
        "the same id twice",
        |it| {
            add(it, "[[system]]\nid = \"inkorg\"\nhsa_id = \"SE0000000000-NEW\"\nname = \"Ny\"\n");
        },
        "system id inkorg is there twice",
    ),
    (
        "redirects that go round",
        |it| {
            let row = "[[unit.handling]]\nmethod = \"system\"\nsystem = \"region-exempel\"\n";
            let one = unit(&format!("{row}receiver = \"SE0000000000-NEW2\"\n"));
            let two = unit(&format!("{row}receiver = \"SE0000000000-NEW\"\n"));
            let two = two.replacen("SE0000000000-NEW", "SE0000000000-NEW2", 1);
            add(it, &format!("{one}{two}"));
        },
        "bad.toml:",
    ),
    (
        "periods that overlap",
        |it| {
            let row = "[[unit.handling]]\nmethod = \"store\"\n";
            add(it, &unit(&format!("{row}to = 2099-06-30\n{row}from = 2099-06-30\n")));
        },
        "2099-06-30",
    ),
    (
        "a day that does not exist",
        |it| add(it, &unit("[[unit.handling]]\nmethod = \"store\"\nfrom = 2099-02-29\n")),
        "bad.toml:9:",
    ),
    (
        "a contract that nobody knows how to name",
        |it| {
            add(
                it,
                "[[route]]\ncontract = \"Do it\"\nlogical_address = \"*\"\nsystem = \"inkorg\"\n",
            );
        },
        "bad.toml:2:12: \"contract\" of [[route]] is not a namespace",
    ),
    (
        "a wrong check digit",
        |it| add(it, &unit("").replace("0000000000-NEW", "0000000001-NEW")),
        "bad.toml:2:10: \"hsa_id\" of [[unit]] is not a well-formed HSA-id",
    ),
    (
        "a key that nobody knows",
        |it| add(it, &unit("mailbx = \"a@example.se\"\n")),
        "bad.toml:7:1: [[unit]] has no key \"mailbx\"",
    ),
    ("an end that is not TOML", |it| add(it, "[[route"), "bad.toml:1:"),
];

fn copy_back(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_file() && fs::read(&path).ok() != fs::read(&place).ok() {
            fs::copy(&path, place).unwrap();
        }
    }
    let bad = to.join("bad.toml");
    if fs::symlink_metadata(&bad).is_ok() {
        fs::remove_file(bad).unwrap();
    }
}

#[test]
fn no_bad_change_takes_and_each_is_told_with_its_place() {
    let world = World::plan().start();
    let folder = world.dir.join("tak-config");
    let good = world.dir.join("good");
    fs::create_dir(&good).unwrap();
    copy_back(&folder, &good);
    let routing = || world.json("/status")["routing"].clone();
    let generation = routing()["generation"].clone();
    let wait = |what: &str, enough: &dyn Fn(&serde_json::Value) -> bool| {
        let start = Instant::now();
        while !enough(&routing()) {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}: {:#}", routing());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for (what, change, told) in BAD {
        let from = world.log().len();
        change(&folder);
        wait(what, &|it| it["refused"]["findings"].to_string().replace('\\', "").contains(told));
        assert_eq!(routing()["generation"], generation, "{what}");
        assert_eq!(world.admin("/readyz").0, 200, "{what}");
        world.wait_log(from, "the old routing goes on");
        let (taken, said) = world.command(&["tak", "status"]);
        assert!(taken && said.contains("NOT TAKEN") && said.contains(told), "{what}: {said}");
        let (taken, said) = world.command(&["tak", "reload"]);
        assert!(!taken && said.contains("NOT TAKEN"), "{what}: {said}");
        copy_back(&good, &folder);
        wait(what, &|it| it["refused"].is_null());
        assert_eq!(routing()["generation"], generation, "{what}");
    }
    let changes = &routing()["changes"];
    assert!(changes["refused"].as_u64().unwrap() >= BAD.len() as u64, "{changes}");
    assert_eq!(changes["taken"], 0);
}
