//! TAK data from elsewhere (SokVagvalsInfo, a cache file, publications, orders): an import is a folder
//! that loads, and importing what is exported from it changes nothing.

use klagomal::tak::export::Export;
use klagomal::tak::import::{ImportError, Imported, import};
use klagomal::tak::{Source, Table};

use crate::tak_table::places;

/// What every routing folder has beside what is imported.
const BASE: &str = r#"
[platform]
hsa_id = "SE0000000000-GATEWAY"
instance = "klagomal-test"
inkorg = "inkorg"
portal = "SE0000000000-1177"
[[system]]
hsa_id = "SE0000000000-1177"
name = "1177"
[[system]]
id = "inkorg"
hsa_id = "SE0000000000-INKORG"
name = "Inkorg"
url = "https://localhost:9444/inkorg"
delivery = "queued"
[[system]]
id = "region"
hsa_id = "SE0000000000-REGION"
name = "Region"
url = "https://producer.example.se:8443/case/submit"
"#;

pub fn try_one(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        stays(text);
    }
}

pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000).expect("a time")
}

/// What is imported from `text` can be used, and is the same when it has been out and in again.
pub fn stays(text: &str) {
    let Ok(first) = imported(text) else { return };
    let table = table(&first);
    if first.report.routes == 0 || first.report.permissions == 0 {
        // An export without rows is not taken for the truth, as it should be.
        return;
    }
    let again = imported(&Export::new(&table, None).cache());
    let again = again.unwrap_or_else(|error| panic!("what was exported is refused: {error}"));
    assert!(again.report.left.is_empty(), "rows were left: {:?}", again.report.left);
    assert_eq!(rows(&first), rows(&again), "out and in again");
    let third = Export::new(&self::table(&again), None).cache();
    assert_eq!(rows(&again), rows(&imported(&third).expect("again")), "twice out and in again");
}

fn imported(text: &str) -> Result<Imported, ImportError> {
    let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    import(&[source("in", text)], &[source("base.toml", BASE)], now())
}

/// The rows themselves, in no order; names beside them are not exported to a cache file. Ids and
/// contracts are the same in upper and lower case, and come out as the first row writes them.
fn rows(of: &Imported) -> Vec<(String, Vec<String>)> {
    let kept = |text: &str| {
        let lines = text.lines().filter(|it| !it.starts_with('#'));
        let lines = lines.map(|it| it.split(" # ").next().unwrap_or_default());
        let text = lines.collect::<Vec<_>>().join("\n").to_ascii_lowercase();
        let mut rows: Vec<String> = text.split("[[").map(|it| it.trim().to_owned()).collect();
        rows.sort_unstable();
        rows
    };
    let files = of.files.iter().filter(|it| it.name != "imported-systems.toml");
    files.map(|it| (it.name.clone(), kept(&it.text))).collect()
}

fn table(of: &Imported) -> Table {
    let mut all = of.files.clone();
    all.push(Source { name: "base.toml".to_owned(), text: BASE.to_owned() });
    let loaded = Table::parse(&all, now());
    places(&loaded, &all);
    loaded
        .table
        .unwrap_or_else(|| panic!("what was imported cannot be used: {:#?}", loaded.findings))
}
