//! Everything that goes over a wire is valid by the schemas: what we take, what we answer, what we
//! send. `xmllint` judges; it knows nothing of our own reader.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::fixtures::{REGION_MAY_SEND, index};
use crate::support::{Node, Peer, World, certs, inbox_answer, not_run, region_answer, temp};

/// Accepted although a field is not as the schema says: PSL 3:8 a, a complaint is to be received.
const RECEIVED_ALL_THE_SAME: &str = "ProcessComplaint/remark-";

fn schema(payload: &Node) -> PathBuf {
    let name = payload.name.strip_suffix("Response").unwrap_or(&payload.name);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/interactions");
    let of = |version| folder.join(format!("{name}Interaction/{name}Responder_{version}.xsd"));
    [of("2.0"), of("1.0")].into_iter().find(|it| it.exists()).unwrap()
}

/// Documents by name, judged; what is wrong with which.
fn invalid(documents: &[(String, Node)]) -> BTreeMap<String, String> {
    let dir = temp("xmllint");
    let mut by_schema: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for (at, (_, payload)) in documents.iter().enumerate() {
        let path = dir.join(format!("{at}.xml"));
        fs::write(&path, payload.document()).unwrap();
        by_schema.entry(schema(payload)).or_default().push(path.display().to_string());
    }
    let mut wrong = BTreeMap::new();
    for (schema, files) in by_schema {
        let done = Command::new("xmllint")
            .args(["--huge", "--noout", "--nonet", "--schema"])
            .arg(&schema)
            .args(&files)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        for file in files {
            let at: usize =
                Path::new(&file).file_stem().unwrap().to_str().unwrap().parse().unwrap();
            if !told.contains(&format!("{file} validates")) {
                let why = told.lines().filter(|line| line.contains(&file)).collect::<Vec<_>>();
                wrong.insert(documents[at].0.clone(), why.join("\n"));
            }
        }
    }
    wrong
}

fn has_xmllint() -> bool {
    let there = Command::new("xmllint").arg("--version").output().is_ok();
    if !there {
        not_run(
            "schema validity: xmllint is missing (Debian, Ubuntu: apt-get install libxml2-utils)",
        );
    }
    there
}

#[test]
fn what_is_taken_answered_and_sent_on_is_valid_by_the_schemas() {
    if !has_xmllint() {
        return;
    }
    let region = Peer::start(certs(), "region", region_answer);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let plan = World::plan().region(region.address).inkorg(inkorg.address).onward();
    let world = plan.routing(REGION_MAY_SEND).start();
    let mut documents = Vec::new();
    for fixture in index() {
        let request = fixture.request();
        let mut connection = World::caller(&fixture.by).connect(world.https).unwrap();
        let answer = connection.post_as("text/xml", &request).unwrap();
        if answer.status == 200 {
            documents.push((format!("reply to {}", fixture.path), answer.tree().payload().clone()));
        }
        if fixture.is_accepted() || fixture.expect == "ANSWER" {
            let request = request.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&request);
            documents.push((fixture.path.clone(), Node::parse(request).payload().clone()));
        }
    }
    world.wait_delivered(Duration::from_secs(60));
    let mut sent = BTreeSet::new();
    for (name, peer) in [("region", &region), ("inkorg", &inkorg)] {
        for (at, call) in peer.calls().iter().enumerate() {
            let payload = call.payload();
            sent.insert(payload.name.clone());
            documents.push((format!("{name} {at}: {}", payload.name), payload));
        }
    }
    let kinds = [
        "AddMessageToPatientPortalInbox",
        "IsActiveUser",
        "ProcessComplaint",
        "ProcessComplaintHandling",
    ];
    assert_eq!(sent, BTreeSet::from(kinds.map(str::to_owned)), "each kind was sent");
    let wrong = invalid(&documents);
    // What is relayed is what came, so a remark's message is as little valid there.
    let remarked: BTreeSet<_> = documents
        .iter()
        .filter(|(name, _)| name.starts_with(RECEIVED_ALL_THE_SAME))
        .filter_map(|(_, payload)| payload.value("messageId").map(str::to_owned))
        .collect();
    let told: Vec<String> = documents
        .iter()
        .filter(|(_, it)| !it.value("messageId").is_some_and(|id| remarked.contains(id)))
        .filter_map(|(name, it)| {
            wrong.get(name).map(|why| format!("{name}: {why}\n{}", it.document()))
        })
        .collect();
    assert!(told.is_empty(), "{} of {}:\n{}", told.len(), documents.len(), told.join("\n"));
    assert!(!wrong.is_empty(), "xmllint refuses nothing: is it asked at all?");
}
