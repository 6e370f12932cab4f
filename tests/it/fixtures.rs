//! Every example message against the real program, each answer held to the one beside it.
//!
//! `UPDATE_EXPECT=1` writes the answers; read what it wrote before it goes in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Answer, Node, World};

/// What differs from run to run.
const VEILED: [&str; 6] =
    ["logId", "registrationNumber", "receivedTime", "version", "pingDateTime", "value"];

/// Beside the example routing: so that a message about somebody else's case is refused for the case
/// and not already for want of permission.
pub const REGION_MAY_SEND: &str = r#"
[[permission]]
consumer = "SE0000000000-REGION"
contract = "urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1"
logical_address = "SE0000000000-VC1"
"#;

/// A row of the index.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    pub path: String,
    #[serde(rename = "as")]
    pub by: String,
    #[serde(default)]
    pub after: Vec<String>,
    pub expect: String,
    pub field: Option<String>,
    pub note: String,
}

#[derive(Debug, serde::Deserialize)]
struct Index {
    fixture: Vec<Fixture>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

pub fn index() -> Vec<Fixture> {
    let text = fs::read_to_string(folder().join("fixtures.toml")).unwrap();
    toml::from_str::<Index>(&text).unwrap().fixture
}

impl Fixture {
    pub fn request(&self) -> Vec<u8> {
        fs::read(folder().join(format!("{}.request.xml", self.path))).unwrap()
    }

    /// The file that holds the answer.
    pub fn answer_path(&self) -> PathBuf {
        let kind = if self.expect.starts_with("FAULT") { "fault" } else { "reply" };
        folder().join(format!("{}.{kind}.xml", self.path))
    }

    pub fn is_accepted(&self) -> bool {
        self.expect.starts_with("OK") || self.expect.starts_with("INFO")
    }
}

#[test]
fn every_example_message_is_answered_as_the_file_beside_it_says() {
    let world = World::plan().routing(REGION_MAY_SEND).start();
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let mut accepted = BTreeSet::new();
    let mut receipts: BTreeMap<(String, String), Vec<Option<String>>> = BTreeMap::new();
    for fixture in index() {
        for before in &fixture.after {
            assert!(
                accepted.contains(before),
                "{}: {before} was not accepted before",
                fixture.path
            );
        }
        let request = fixture.request();
        // Without a character set beside it, so that the document's own declaration decides.
        let mut connection = World::caller(&fixture.by).connect(world.https).unwrap();
        let answer = connection.post_as("text/xml", &request).unwrap();
        if answer.status == 200 && fixture.is_accepted() {
            accepted.insert(fixture.path.clone());
        }
        let mut said = expected(&fixture, &answer);
        said.extend(same_receipt(&fixture, &request, &answer, &mut receipts));
        said.extend(against_file(&fixture, &answer, update));
        if answer.header("content-type") != Some("text/xml; charset=UTF-8") {
            said.push(format!("content-type {:?}", answer.header("content-type")));
        }
        wrong.extend(said.into_iter().map(|it| format!("{}: {it}", fixture.path)));
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_EXPECT=1 writes the answers anew)", wrong.join("\n"));
}

/// `expect` and `field` of the index.
fn expected(fixture: &Fixture, answer: &Answer) -> Vec<String> {
    let outcome = answer.outcome();
    let mut said = Vec::new();
    let as_expected = match fixture.expect.strip_prefix("FAULT ") {
        Some(what) => outcome.starts_with("FAULT ") && outcome.contains(what),
        None => outcome == fixture.expect,
    };
    if !as_expected {
        said.push(format!("expected {}, found {outcome}\n{}", fixture.expect, answer.text()));
    }
    if let Some(field) = &fixture.field
        && !answer.tree().all_text().contains(field.as_str())
    {
        said.push(format!("the answer does not name {field}:\n{}", answer.text()));
    }
    said
}

/// A repeated message gets the first answer's case, number and time.
fn same_receipt(
    fixture: &Fixture,
    request: &[u8],
    answer: &Answer,
    receipts: &mut BTreeMap<(String, String), Vec<Option<String>>>,
) -> Vec<String> {
    if !fixture.is_accepted() {
        return Vec::new();
    }
    let names = ["caseId", "registrationNumber", "receivedTime"];
    let tree = answer.tree();
    let receipt = names.map(|name| tree.find(name).map(Node::all_text)).to_vec();
    let text = String::from_utf8_lossy(request);
    let message = text.split("messageId").nth(1).unwrap_or_default().to_owned();
    let first = receipts.entry((fixture.by.clone(), message)).or_insert_with(|| receipt.clone());
    let missing = receipt.iter().any(Option::is_none);
    let mut said = Vec::new();
    if *first != receipt || missing {
        said.push(format!("the first answer was {first:?}, this one {receipt:?}"));
    }
    said
}

fn against_file(fixture: &Fixture, answer: &Answer, update: bool) -> Vec<String> {
    let path = fixture.answer_path();
    if update {
        let mut tree = answer.tree();
        tree.veil(&VEILED);
        if !String::from_utf8_lossy(&fixture.request()).contains("caseId>") {
            tree.veil(&["caseId"]);
        }
        fs::write(&path, tree.pretty()).unwrap();
    }
    match fs::read(&path) {
        Ok(expected) => Node::parse(&expected).differences(&answer.tree()),
        Err(error) => vec![format!("{}: {error}", path.display())],
    }
}

#[test]
fn every_request_is_in_the_index_with_an_answer_and_nothing_else_lies_there() {
    let mut expected = BTreeSet::from(["fixtures.toml".to_owned(), "README.md".to_owned()]);
    for fixture in index() {
        expected.insert(format!("{}.request.xml", fixture.path));
        let answer = fixture.answer_path();
        expected.insert(answer.strip_prefix(folder()).unwrap().display().to_string());
        assert!(!fixture.note.is_empty(), "{}", fixture.path);
    }
    let mut found = BTreeSet::new();
    let mut folders = vec![folder()];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder()).unwrap().display().to_string());
            }
        }
    }
    let strangers: Vec<_> = found.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(&found).filter(|it| *it != "README.md").collect();
    assert!(strangers.is_empty(), "no row in fixtures.toml has {strangers:?}");
    assert!(missing.is_empty(), "not there: {missing:?}");
}
