//! What `[platform]` may say of a live TAK.

use std::time::Duration;

use super::*;

fn parsed(platform: &str, url: &str) -> Loaded {
    let base = BASE.replacen("[platform]\n", &format!("[platform]\n{platform}\n"), 1);
    let system =
        format!("[[system]]\nid = \"tak\"\nhsa_id = \"SE0000000000-TAK\"\nname = \"TAK\"\n{url}\n");
    Table::parse(&[source("base.toml", &base), source("tak.toml", &system)], noon())
}

const URL: &str = "url = \"https://tak.example.se/v2\"";

#[track_caller]
fn refused(platform: &str, url: &str, message: &str) {
    let loaded = parsed(platform, url);
    assert!(loaded.table.is_none());
    assert_eq!(loaded.findings.len(), 1, "{:#?}", loaded.findings);
    assert!(loaded.findings[0].message.contains(message), "{:#?}", loaded.findings);
}

#[test]
fn a_live_tak_is_a_system_and_is_asked_every_ten_minutes_unless_said_otherwise() {
    let every = |platform: &str| {
        let loaded = parsed(platform, URL);
        assert_eq!(loaded.findings, [], "{platform}");
        let table = loaded.table.unwrap();
        assert_eq!(table.live_tak().unwrap().url.as_deref(), Some("https://tak.example.se/v2"));
        table.platform().tak_every
    };
    assert_eq!(every("tak = \"tak\""), Duration::from_secs(600));
    assert_eq!(every("tak = \"tak\"\ntak_every = \"1min\""), Duration::from_secs(60));
    assert_eq!(every("tak = \"tak\"\ntak_every = \"24h\""), Duration::from_secs(86_400));
    let without = parsed("", URL).table.unwrap();
    assert!(without.live_tak().is_none());
}

#[test]
fn what_cannot_be_asked_is_refused() {
    refused("tak = \"tak\"\ntak_every = \"59s\"", URL, "too short or too long");
    refused("tak = \"tak\"\ntak_every = \"25h\"", URL, "too short or too long");
    refused("tak = \"tak\"\ntak_every = \"often\"", URL, "is not a time");
    refused("tak = \"tok\"", URL, "names system \"tok\", which is not there");
    refused("tak = \"tak\"", "", "which has no \"url\"");
    refused("tak = \"tak\"", "url = \"http://localhost:9/v2\"", "not called over TLS");
    let idle = parsed("tak_every = \"5min\"", URL);
    assert!(idle.table.is_some() && idle.findings[0].message.contains("no effect without tak"));
}
